"""A live configuration made of bodies by key, for who follows one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from fengling_gateway.model.entity import Key


class KeyedBodies:
    """Bodies of one kind, found among those of all kinds."""

    __slots__ = ("_bodies", "_kind")

    def __init__(self, bodies: Mapping[Key, bytes], kind: str) -> None:
        self._bodies = bodies
        self._kind = kind

    def get(self, entity_id: str, /) -> bytes | None:
        return self._bodies.get(Key(self._kind, entity_id))

    def __iter__(self) -> Iterator[str]:
        return (key.id for key in self._bodies if key.kind == self._kind)


class KeyedConfiguration:
    """
    A `fengling_gateway.health.watched.LiveConfiguration`.

    Args:
        newest: returns all bodies as they are now.
    """

    def __init__(self, newest: Callable[[], Mapping[Key, bytes]]) -> None:
        self._newest = newest
        self._told: list[Callable[[Collection[Key] | None], None]] = []

    def __repr__(self) -> str:
        return f"<KeyedConfiguration followed by {len(self._told)}>"

    @property
    def bodies(self) -> KeyedConfiguration:
        return self

    def __getitem__(self, kind: str, /) -> KeyedBodies:
        return KeyedBodies(self._newest(), kind)

    def when_changed(self, told: Callable[[Collection[Key] | None], None]) -> Callable[[], None]:
        self._told.append(told)
        return lambda: self._told.remove(told)

    def changed(self, keys: Collection[Key] | None) -> None:
        """Tell who follows it what may be another than before; None: anything."""
        for told in list(self._told):
            told(keys)
