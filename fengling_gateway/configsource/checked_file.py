"""
Files of checked blocks: what survives a crash at any byte of a write.

A file is a mark and then blocks, each with its length and checksum in front.
Reading ends at the first block that is not whole, so a torn tail costs what
was being written and nothing before it.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

MARK: Final = b"fengling file 1\n"

_HEAD: Final = struct.Struct(">II")
_MAX_BLOCK: Final = 1 << 20
_WRITE_BYTES: Final = 256 * 1024


class DamagedFileError(Exception):
    """A file can't be used; the message says why."""


def block(payload: bytes) -> bytes:
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def read_blocks(path: Path) -> Iterator[bytes]:
    """
    Yield the blocks of a file as far as they are whole.

    Raises:
        FileNotFoundError: there is none.
        DamagedFileError: it is not such a file, can't be read, or belongs to somebody else.
    """
    content = _read(path)
    if not content.startswith(MARK):
        raise DamagedFileError("does not begin as such a file does")
    offset = len(MARK)
    while offset + _HEAD.size <= len(content):
        length, checksum = _HEAD.unpack_from(content, offset)
        offset += _HEAD.size
        payload = content[offset : offset + length]
        if length > _MAX_BLOCK or len(payload) < length or zlib.crc32(payload) != checksum:
            return
        yield payload
        offset += length


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # Who can plant a file here could otherwise route our traffic.
            if os.fstat(file.fileno()).st_uid not in {0, os.geteuid()}:
                raise DamagedFileError("belongs to another user")
            return file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedFileError(f"can't be read: {error.strerror}") from error


def write_new(path: Path, blocks: Iterable[bytes]) -> int:
    """
    Write a whole file: it is there completely, and durably, or not at all.

    Returns:
        Its size in bytes.

    Raises:
        OSError: it could not be written; what was there under its name still is.
    """
    temporary = path.with_name(path.name + ".tmp")
    # What is there by this name is left over from a crash, or somebody's link to another file.
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            size = _write_all(descriptor, blocks)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
    return size


def _write_all(descriptor: int, blocks: Iterable[bytes]) -> int:
    size = 0
    pending = bytearray(MARK)
    for payload in blocks:
        pending += block(payload)
        if len(pending) >= _WRITE_BYTES:
            size += write_fully(descriptor, pending)
            pending.clear()
    return size + write_fully(descriptor, pending)


def write_fully(descriptor: int, content: bytes | bytearray) -> int:
    """Write all of it, however little the system takes at a time; returns its size."""
    with memoryview(content) as view:
        written = 0
        while written < len(view):
            written += os.write(descriptor, view[written:])
    return written


def sync_directory(directory: Path) -> None:
    """Make what has been created, renamed or removed in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
