"""What is known of a resource: the values that its objects were made into. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

from fengling_gateway.kubernetes.objects import ObjectName, name_of

T = TypeVar("T")

Object = Mapping[str, Any]

NOBODY: Final = ObjectName("", "")
"""Stands for objects without a name."""


class Change(NamedTuple, Generic[T]):
    """What an event comes to."""

    kind: Literal["changed", "gone"]
    value: T


class Refused(NamedTuple):
    """Why an object can't be taken; it is as it was, until it can."""

    why: str


class Listing(Generic[T]):
    """A list on its way; nothing of it is known before it is whole."""

    def __init__(self) -> None:
        self.values: dict[ObjectName, T] = {}
        self.refused: dict[ObjectName, str] = {}


class Known(Generic[T]):
    """
    The values there are, by name.

    Args:
        convert: makes a value of an object; None where it is of no interest; ValueError where it
            can't be read.

    Attributes:
        refused: why, by name, of objects that can't be read at present.
    """

    def __init__(self, convert: Callable[[dict[str, Any]], T | None]) -> None:
        self._convert = convert
        self._values: dict[ObjectName, T] = {}
        self.refused: dict[ObjectName, str] = {}

    def __len__(self) -> int:
        return len(self._values)

    @property
    def values(self) -> list[T]:
        return list(self._values.values())

    # A list

    def list_object(self, listing: Listing[T], obj: dict[str, Any]) -> None:
        """Add an object to a list; one that can't be read is as it was."""
        name, made = self._made(obj)
        if isinstance(made, Refused):
            listing.refused[name] = made.why
            if name in self._values:
                listing.values[name] = self._values[name]
        elif made is not None:
            listing.values[name] = made

    def replace(self, listing: Listing[T]) -> None:
        """Take a list that is whole in the place of everything."""
        self._values = listing.values
        self.refused = listing.refused

    # Events

    def put(self, obj: dict[str, Any]) -> Change[T] | None:
        """Take an object that was added or modified; None where nothing follows from it."""
        name, made = self._made(obj)
        if isinstance(made, Refused):
            self.refused[name] = made.why
            return None
        self.refused.pop(name, None)
        if made is None:
            return self._lost(name, None)
        if self._values.get(name) == made:
            return None
        self._values[name] = made
        return Change("changed", made)

    def drop(self, obj: dict[str, Any]) -> Change[T] | None:
        """Take an object that is gone, in its last state; None where it was not known."""
        name, made = self._made(obj)
        self.refused.pop(name, None)
        return self._lost(name, None if isinstance(made, Refused) else made)

    def _lost(self, name: ObjectName, last: T | None) -> Change[T] | None:
        if name not in self._values:
            return None
        before = self._values.pop(name)
        return Change("gone", before if last is None else last)

    def _made(self, obj: dict[str, Any]) -> tuple[ObjectName, T | Refused | None]:
        name = NOBODY
        try:
            name = name_of(obj)
            return name, self._convert(obj)
        except ValueError as error:
            return name, Refused(str(error))
