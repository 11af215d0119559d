"""
The file that keeps a pin: what a node is to serve whatever is committed, and who said so.

Everything here blocks: call it in a thread, or before anything is served.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fengling_gateway.configsource.checked_file import (
    DamagedFileError,
    read_blocks,
    sync_directory,
    write_new,
)
from fengling_gateway.model.delta import Change, Position, decode_changes, encode_changes
from fengling_gateway.model.effective import hash_of
from fengling_gateway.model.entity import Key

_NAME: Final = "pin.lkg"


@dataclass(frozen=True, slots=True)
class Pin:
    """
    What is served until somebody unpins it.

    ``at`` is in seconds since the epoch. The bodies belong to it: nobody else changes them.
    """

    position: Position
    by: str
    at: float
    comment: str = ""
    content_hash: int = 0
    bodies: dict[Key, bytes] = field(default_factory=dict, repr=False)


class PinFile:
    """The file in a node's directory."""

    def __init__(self, directory: Path | str) -> None:
        self._path = Path(directory) / _NAME

    def load(self) -> Pin | None:
        """
        Return the pin; None where there is none.

        Raises:
            DamagedFileError: there is one, and it can't be known what it pins.
        """
        try:
            return self._read()
        except FileNotFoundError:
            return None
        except (ValueError, LookupError, TypeError) as error:
            raise DamagedFileError(f"{self._path} is damaged: {error}") from error

    def _read(self) -> Pin:
        blocks = read_blocks(self._path)
        meta = json.loads(next(blocks, b"null"))
        if meta is None:
            raise DamagedFileError(f"{self._path} has no whole block")
        bodies = {
            key: body
            for _ in range(meta["parts"])
            for key, body in decode_changes(next(blocks, b""))
            if body is not None
        }
        content_hash = int(meta["content_hash"], 16)
        if hash_of(bodies) != content_hash:
            raise DamagedFileError(f"{self._path} is not complete")
        epoch, revision, token = meta["position"]
        position = Position(str(epoch), int(revision), str(token))
        return Pin(position, meta["by"], meta["at"], meta["comment"], content_hash, bodies)

    def write(self, pin: Pin) -> None:
        """
        Raises:
            OSError: it could not be written; what was there before still is.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        parts = list(encode_changes(Change(key, body) for key, body in pin.bodies.items()))
        meta = {
            "position": pin.position,
            "by": pin.by,
            "at": pin.at,
            "comment": pin.comment,
            "content_hash": f"{pin.content_hash:032x}",
            "parts": len(parts),
        }
        write_new(self._path, [json.dumps(meta).encode(), *parts])

    def remove(self) -> None:
        """
        Raises:
            OSError: it is still there.
        """
        self._path.unlink(missing_ok=True)
        if self._path.parent.exists():
            sync_directory(self._path.parent)
