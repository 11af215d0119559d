"""The file with the keys that secrets of the configuration are encrypted with."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from fengling_gateway.auth.keys import WeakKeyError
from fengling_gateway.auth.sealing import parse_sealing_keys
from fengling_gateway.settings.values import HIDDEN, may_hold_secret

MAX_FILE_BYTES: Final = 64 * 1024

_BY_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP


class KeyFileError(Exception):
    """The file can't be used; the message quotes nothing of it."""


def read_key_file(path: Path) -> tuple[str, ...]:
    """
    Return the keys as they are written, ``id:key``, the one that encrypts first.

    One a line; empty lines and those that begin with # are none.

    Raises:
        KeyFileError: it can't be read, others may read or change it, or a key is weak.
    """
    try:
        # (Not blocking: a pipe would keep us waiting for its writer.)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            _require_private(os.fstat(descriptor))
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        # Somebody may have put the key itself here, or a URL.
        named = HIDDEN if may_hold_secret(str(path)) else path
        raise KeyFileError(f"can't be read from {named}: {error.strerror}") from None
    except KeyFileError as error:
        raise KeyFileError(f"{path} {error}") from None
    if len(content) > MAX_FILE_BYTES:
        raise KeyFileError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
    try:
        lines = [line.strip() for line in content.decode().splitlines()]
        keys = tuple(line for line in lines if line and not line.startswith("#"))
        parse_sealing_keys(keys)
    except UnicodeDecodeError:
        raise KeyFileError(f"{path} is no text") from None
    except WeakKeyError as error:
        raise KeyFileError(f"{path}: {error}") from None
    return keys


def _require_private(found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileError("is not a file")
    if mode & _BY_OTHERS:
        raise KeyFileError(
            f"has mode {mode:04o}: nobody else may read it, and its group not change it "
            "(chmod 600, or 640)"
        )
