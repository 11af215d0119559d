"""A dict of any size with a cheap copy.

An immutable structure is changed by copying what is on the way to the change.
Copying a plain dict of 100,000 keys costs 2 ms, so a large map is kept in
shards, of which a copy shares all but those written to since.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

WIDE: Final = 1024
"""A plain dict beyond this many keys becomes a `ShardedDict`: its copy would cost over 5 µs."""

_FEW_SHARDS: Final = 64
_MANY_SHARDS: Final = 1024
_RESHARD_AT: Final = 8192


class ShardedDict(Generic[K, V]):
    """
    A mutable mapping whose `copy` shares shards until either side writes to them.

    Copying costs a list of 64 or 1024 references; the first write to a shard
    after a copy costs a dict of some hundred keys at 100,000.

    Attributes:
        shards, mask: the request path reads ``shards[hash(key) & mask].get(key)``
            itself, which takes half the time of calling `get`.
    """

    __slots__ = ("_own", "_size", "mask", "shards")

    def __init__(self, items: dict[K, V]) -> None:
        self._size = 0
        self._reshard(items, _FEW_SHARDS if len(items) < _RESHARD_AT else _MANY_SHARDS)

    def _reshard(self, items: dict[K, V], count: int) -> None:
        shards: list[dict[K, V]] = [{} for _ in range(count)]
        mask = count - 1
        for key, value in items.items():
            shards[hash(key) & mask][key] = value
        self.shards = shards
        self.mask = mask
        self._own = bytearray(b"\1") * count
        self._size = len(items)

    def get(self, key: K) -> V | None:
        """As of a dict, but for a default."""
        return self.shards[hash(key) & self.mask].get(key)

    def copy(self) -> ShardedDict[K, V]:
        """Return an equal mapping; from now on neither sees what is written to the other."""
        twin: ShardedDict[K, V] = ShardedDict.__new__(ShardedDict)
        twin.shards = self.shards.copy()
        twin.mask = self.mask
        twin._size = self._size
        count = self.mask + 1
        self._own = bytearray(count)
        twin._own = bytearray(count)
        return twin

    def _writable(self, key: K) -> dict[K, V]:
        index = hash(key) & self.mask
        if not self._own[index]:
            self.shards[index] = self.shards[index].copy()
            self._own[index] = 1
        return self.shards[index]

    def __setitem__(self, key: K, value: V) -> None:
        shard = self._writable(key)
        before = len(shard)
        shard[key] = value
        if len(shard) > before:
            self._size += 1
            if self._size == _RESHARD_AT and self.mask < _MANY_SHARDS - 1:
                self._reshard(dict(self.items()), _MANY_SHARDS)

    def __delitem__(self, key: K) -> None:
        del self._writable(key)[key]
        self._size -= 1

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[K]:
        for shard in self.shards:
            yield from shard

    def items(self) -> Iterator[tuple[K, V]]:
        for shard in self.shards:
            yield from shard.items()

    def values(self) -> Iterator[V]:
        for shard in self.shards:
            yield from shard.values()


AnyDict = dict[K, V] | ShardedDict[K, V]
"""A map that is a plain dict while it is small."""


def put(items: AnyDict[K, V], key: K, value: V) -> AnyDict[K, V]:
    """Write to a map that the caller owns; return it, or what it has grown into."""
    items[key] = value
    if type(items) is dict and len(items) > WIDE:
        return ShardedDict(items)
    return items
