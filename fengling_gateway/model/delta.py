"""Positions in the history of a configuration, and the deltas between them."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import starmap
from typing import Final, NamedTuple

from fengling_gateway.model.entity import NUMBERED_KINDS, Key

MAX_PART_BYTES: Final = 64 * 1024
"""Largest part of an encoded delta: what a worker decodes in one reactor turn."""

_RECORD: Final = struct.Struct(">BBI")
_REMOVED: Final = 0xFFFF_FFFF
_NUMBERS: Final = {kind: number for number, kind in enumerate(NUMBERED_KINDS)}


class Position(NamedTuple):
    """
    A point in the history of one database's configuration.

    ``revision`` orders positions within an epoch. ``token`` is the random mark
    of that very revision: a database restored to an older state that has since
    reached the same number has another token there.
    """

    epoch: str
    revision: int
    token: str

    def is_after(self, other: Position | None) -> bool:
        """Whether somebody at `other` (None: nowhere) has something to gain from looking."""
        if other is None or self.epoch != other.epoch:
            return True
        return self.revision > other.revision or (
            self.revision == other.revision and self.token != other.token
        )

    def follows(self, other: Position) -> bool:
        """Whether it is further on in the same history."""
        return self.epoch == other.epoch and self.revision > other.revision


class Change(NamedTuple):
    """An entity's new canonical body; None where the entity is gone."""

    key: Key
    body: bytes | None


class Everything(Collection[Change]):
    """
    A whole configuration as changes from nothing, each made only as it is asked for.

    It stays what it was, whatever becomes of the bodies that it was made of:
    it copies where they are, not what they are. For 100,000 of them that takes
    2 ms, and making all changes at once 70.
    """

    __slots__ = ("_bodies",)

    def __init__(self, bodies: dict[Key, bytes]) -> None:
        self._bodies = bodies.copy()

    def __repr__(self) -> str:
        return f"<Everything: {len(self)} entities>"

    def __len__(self) -> int:
        return len(self._bodies)

    def __iter__(self) -> Iterator[Change]:
        return starmap(Change, self._bodies.items())

    def __contains__(self, change: object) -> bool:
        return (
            isinstance(change, Change)
            and change.body is not None
            and self._bodies.get(change.key) == change.body
        )


@dataclass(frozen=True, slots=True)
class Delta:
    """
    What leads from one position to another.

    A *full* delta has ``before`` None: it starts from nothing, and its changes
    are the whole configuration. Its receiver drops what it had. Any other
    applies only to a configuration whose content hash is ``hash_before``; the
    result must have ``hash_after``.

    ``committed_at`` is the commit time of the last revision in it, in seconds
    since the Unix epoch by the database's clock; None where unknown.
    """

    before: Position | None
    after: Position
    hash_before: int
    hash_after: int
    changes: Collection[Change]
    committed_at: float | None = None

    @property
    def is_full(self) -> bool:
        return self.before is None


def encode_changes(changes: Iterable[Change]) -> Iterator[bytes]:
    """Yield the changes as parts of at most `MAX_PART_BYTES`, each whole in itself."""
    part: list[bytes] = []
    size = 0
    for (kind, entity_id), body in changes:
        name = entity_id.encode()
        length = _REMOVED if body is None else len(body)
        record = _RECORD.pack(_NUMBERS[kind], len(name), length) + name + (body or b"")
        if part and size + len(record) > MAX_PART_BYTES:
            yield b"".join(part)
            part, size = [], 0
        part.append(record)
        size += len(record)
    if part:
        yield b"".join(part)


def decode_changes(part: bytes) -> Iterator[Change]:
    """
    Yield the changes of one part.

    Raises:
        ValueError: the part is cut short or names an unknown kind.
    """
    offset = 0
    while offset < len(part):
        try:
            kind, name_length, length = _RECORD.unpack_from(part, offset)
            key_kind = NUMBERED_KINDS[kind]
        except (struct.error, IndexError) as error:
            raise ValueError(f"no record at byte {offset} of {len(part)}") from error
        start = offset + _RECORD.size
        end = start + name_length + (0 if length == _REMOVED else length)
        if end > len(part):
            raise ValueError(f"the record at byte {offset} is cut short")
        key = Key(key_kind, part[start : start + name_length].decode())
        yield Change(key, None if length == _REMOVED else part[start + name_length : end])
        offset = end
