"""
Which series a host has of its own, and which count together as `other`. Pure.

Each worker has places for so many pairs of a route and a service (`Counters`), and gives them
to those that it is asked for first: eight workers may have given theirs to eight times as many.
So a host has places, too, and for single series besides: a pair may have six of requests and
some of errors. What has once counted as another stays there while it exists, because a counter
that goes back and comes again looks like a burst of requests.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from math import ceil
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

    def keep(self, is_present: Callable[[Any], bool]) -> None:
        """Forget all that are gone, so that others may come; where all have places, nobody waits."""
        if self._refused:
            self._given = set(filter(is_present, self._given))
            self._refused = set(filter(is_present, self._refused))


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
        self._asked: set[str] = set()  # services that had requests when was looked last

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
        self._services.keep(lambda service: service in found or service in self._asked)
        return shown

    def rows(self, found: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows of pairs that have places, without what has none; then those of all others."""
        others: dict[str, Row] = {}
        present = set()
        for row in found:
            route, service, by_class, errors = row
            key = (route, service)
            present.add(key)
            other = others.setdefault(self._service(service), _nothing())
            # (What came to no route is always told apart.)
            if route == OTHER or (route and not self._pairs.has(key)):
                _add(other, by_class, errors)
                continue
            yield [
                route,
                service,
                self._own_classes(key, by_class, other[2]),
                self._own_errors(key, errors, other[3]),
            ]
        yield from self._of_others(others)
        self._asked = {service for _, service in present}
        self._pairs.keep(present.__contains__)
        for room in (self._series, self._errors):
            room.keep(lambda one: one[0] in present)

    def _service(self, service: str) -> str:
        """Return what a service is called: by its id, or as another."""
        return service if service in {"", OTHER} or self._services.has(service) else OTHER

    def _own_classes(self, key: Hashable, by_class: list[int], other: list[int]) -> list[int]:
        own = list(by_class)
        for index, number in enumerate(own):
            if number and not self._series.has((key, index)):
                own[index] = 0
                other[index] += number
        return own

    def _own_errors(
        self, key: Hashable, errors: dict[str, int], other: dict[str, int]
    ) -> dict[str, int]:
        own = {}
        for error, number in errors.items():
            if self._errors.has((key, error)):
                own[error] = number
            else:
                other[error] = other.get(error, 0) + number
        return own

    def _of_others(self, others: dict[str, Row]) -> Iterator[Row]:
        """Yield a row for each service; their errors, of which there are many kinds, in one."""
        errors: dict[str, int] = {}
        for service, (_, _, by_class, by_error) in others.items():
            for error, number in by_error.items():
                errors[error] = errors.get(error, 0) + number
            if service != OTHER and any(by_class):
                yield [OTHER, service, by_class, {}]
        _, _, by_class, _ = others.get(OTHER, _nothing())
        if errors or any(by_class):
            yield [OTHER, OTHER, by_class, errors]


def _nothing() -> Row:
    return ["", "", [0] * 6, {}]


def _add(row: Row, by_class: Iterable[int], errors: dict[str, int]) -> None:
    for index, number in enumerate(by_class):
        row[2][index] += number
    for error, number in errors.items():
        row[3][error] = row[3].get(error, 0) + number
