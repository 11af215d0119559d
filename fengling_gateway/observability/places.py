"""
Which series a host has of its own, and which count together as `other`. Pure.

Each worker has places for so many pairs of a route and a service (`Counters`), and gives them
to those that it is asked for first: eight workers may have given theirs to eight times as many.
So a host has places, too, and for single series besides: a pair may have six of requests and
some of errors. What has once counted as another stays there while it exists, because a counter
that goes back and comes again looks like a burst of requests.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from math import ceil
from operator import add
from typing import Any, Final

OTHER: Final = "other"
"""Stands for the routes, and for the services, that have no place of their own."""

MAX_PAIRS: Final = 2000
"""Of a host, unless its settings say otherwise."""

PAIRS_PER_SERVICE: Final = 12
"""A service has some 68 series: there may be a twelfth as many of them as of pairs."""

SERIES_PER_PAIR: Final = 2.5
"""Of requests, on the average: most pairs have answers of two classes."""

PAIRS_PER_ERROR: Final = 4

_NOTHING: Final = (0, 0, 0, 0, 0, 0)

Row = list[Any]
"""``[route, service, [by class], {error code: number}]``, as of `Counters.to_json`."""


class Room:
    """So many places, for those that come first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._given: set[Hashable] = set()
        self._refused: set[Hashable] = set()

    def __repr__(self) -> str:
        return f"<Room for {self._size}, {len(self._given)} given, {len(self._refused)} refused>"

    def has(self, one: Hashable) -> bool:
        """Whether it has a place; it gets one, if there is any left, and has never been refused."""
        if one in self._given:
            return True
        if one in self._refused or len(self._given) >= self._size:
            self._refused.add(one)
            return False
        self._given.add(one)
        return True

    def forget(self, gone: AbstractSet[Hashable]) -> None:
        """Give their places to others who come."""
        self._given -= gone
        self._refused -= gone

    def all(self) -> Iterator[Any]:
        return chain(self._given, self._refused)


class Places:
    """
    The places of a host, for as long as its supervisor lives.

    Args:
        max_pairs: of routes and services.
    """

    def __init__(self, max_pairs: int) -> None:
        self._pairs = Room(max_pairs)
        self._services = Room(ceil(max_pairs / PAIRS_PER_SERVICE))
        self._series = Room(round(max_pairs * SERIES_PER_PAIR))
        self._errors = Room(max_pairs // PAIRS_PER_ERROR)
        self._present: set[tuple[str, str]] = set()
        self._measured: set[str] = set()

    def __repr__(self) -> str:
        return f"<Places {self._pairs!r}>"

    def services(
        self, found: dict[str, dict[str, list[float]]]
    ) -> dict[str, dict[str, list[float]]]:
        """Return the histograms of services, those that have no place together."""
        shown: dict[str, dict[str, list[float]]] = {}
        for service, histograms in found.items():
            name = self._service(service)
            if name not in shown:
                shown[name] = {one: list(values) for one, values in histograms.items()}
                continue
            for one, values in histograms.items():
                sums = shown[name][one]
                for index, number in enumerate(values):
                    sums[index] += number
        gone, self._measured = self._measured - found.keys(), set(found)
        self._services.forget(gone - {service for _, service in self._present})
        return shown

    def rows(self, found: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows of pairs that have places, without what has none; then those of all others."""
        others: dict[str, Row] = {}
        present = set()
        for route, service, by_class, errors in found:
            key = (route, service)
            present.add(key)
            # (What came to no route is always told apart.)
            if not route or (route != OTHER and self._pairs.has(key)):
                own_classes, rest = self._own_classes(key, by_class)
                own_errors, other_errors = self._own_errors(key, errors)
                yield [route, service, own_classes, own_errors]
                if not rest and not other_errors:
                    continue
                by_class, errors = rest or _NOTHING, other_errors
            name = self._service(service)
            other = others.get(name)
            if other is None:
                other = others[name] = [OTHER, name, list(_NOTHING), {}]
            other[2] = list(map(add, other[2], by_class))
            for error, number in errors.items():
                other[3][error] = other[3].get(error, 0) + number
        yield from self._of_others(others)
        self._forget(present)

    def _forget(self, present: set[tuple[str, str]]) -> None:
        """Forget those that are gone, if any are: their places are for others."""
        gone, self._present = self._present - present, present
        if gone:
            self._pairs.forget(gone)
            for room in (self._series, self._errors):
                room.forget({one for one in room.all() if one[0] in gone})

    def _service(self, service: str) -> str:
        """Return what a service is called: by its id, or as another."""
        return service if service in {"", OTHER} or self._services.has(service) else OTHER

    def _own_classes(
        self, key: tuple[str, str], by_class: Sequence[int]
    ) -> tuple[Sequence[int], Sequence[int]]:
        """Return the numbers that have series, and the others: nothing where all have."""
        has = self._series.has
        without = [
            index for index, number in enumerate(by_class) if number and not has((key, index))
        ]
        if not without:
            return by_class, ()
        own, rest = list(by_class), list(_NOTHING)
        for index in without:
            own[index], rest[index] = 0, own[index]
        return own, rest

    def _own_errors(
        self, key: tuple[str, str], errors: Mapping[str, int]
    ) -> tuple[Mapping[str, int], Mapping[str, int]]:
        rest = {
            error: number for error, number in errors.items() if not self._errors.has((key, error))
        }
        own = {error: number for error, number in errors.items() if error not in rest}
        return own, rest

    def _of_others(self, others: Mapping[str, Row]) -> Iterator[Row]:
        """Yield a row for each service; their errors, of which there are many kinds, in one."""
        errors: dict[str, int] = {}
        for service, (_, _, by_class, by_error) in others.items():
            for error, number in by_error.items():
                errors[error] = errors.get(error, 0) + number
            if service != OTHER and any(by_class):
                yield [OTHER, service, by_class, {}]
        by_class = others[OTHER][2] if OTHER in others else _NOTHING
        if errors or any(by_class):
            yield [OTHER, OTHER, by_class, errors]
