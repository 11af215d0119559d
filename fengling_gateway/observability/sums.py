"""
Adds up what the workers of a host have counted. Pure.

A host's counters never go back: what a worker had counted that is gone is added to what
was counted before (`Past`), and what its successor counts begins there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from operator import add
from typing import Any, Final

Values = Mapping[str, Any]
"""What a data plane tells of its counters; see `fengling_gateway.dataplane.counters.Counters.to_json`."""

GAUGE: Final = "_now"
"""What names of values end with that are no counters, and are not added up."""

MAX_PAST: Final = 10_000
"""Pairs of route and service, and services, that are kept of workers that are gone."""

PIECE: Final = 1000
"""Rows that are added up in one go: half a millisecond."""

NOTHING: Final[Values] = {"requests": [], "services": {}}


def together(all_values: Iterable[Values]) -> dict[str, Any]:
    """Return the sums of counters, in the shape of a data plane's; without gauges."""
    sums = Sums()
    for values in all_values:
        for _ in sums.add(values):
            pass
    return sums.result()


class Sums:
    """The sums of counters, added up piece by piece: a host has many, and more to do."""

    def __init__(self) -> None:
        self._plain: dict[str, int] = {}
        self._by_name: dict[str, dict[str, int]] = {}
        self._requests: dict[tuple[str, str], tuple[list[int], dict[str, int]]] = {}
        self._services: dict[str, dict[str, list[float]]] = {}
        self._histograms: dict[str, dict[str, Any]] = {}
        self._bounds: Any = {}

    def __repr__(self) -> str:
        return f"<Sums of {len(self._requests)} pairs>"

    def add(self, values: Values) -> Iterator[None]:
        """Add what one of them has counted; another piece of it with each step."""
        self._bounds = values.get("bounds", self._bounds)
        _add_histograms(self._histograms, values.get("histograms", {}))
        for name, value in values.items():
            if name.endswith(GAUGE):
                continue
            if type(value) is int:
                self._plain[name] = self._plain.get(name, 0) + value
            elif type(value) is dict and name not in {"services", "bounds", "histograms"}:
                _add_named(self._by_name.setdefault(name, {}), value)
        _add_services(self._services, values["services"])
        yield
        rows = values["requests"]
        for start in range(0, len(rows), PIECE):
            _add_requests(self._requests, rows[start : start + PIECE])
            yield

    def result(self) -> dict[str, Any]:
        """Return them, in the shape of a data plane's; without gauges."""
        return {
            **self._plain,
            **self._by_name,
            "requests": [
                [route, service, by_class, errors]
                for (route, service), (by_class, errors) in self._requests.items()
            ],
            "bounds": self._bounds,
            "services": self._services,
            "histograms": self._histograms,
        }


class Past:
    """
    What those workers have counted that are gone, and what the others told last.

    Of one that is killed, what it counted since it told last is lost.

    Attributes:
        values: of those that are gone, together.
    """

    def __init__(self) -> None:
        self.values: Values = NOTHING
        self._last: dict[str, Values] = {}

    def __repr__(self) -> str:
        return f"<Past with {len(self._last)} living>"

    def told(self, worker: str, values: Values) -> None:
        """Note what a living worker has counted so far."""
        self._last[worker] = values

    def everything(self) -> list[Values]:
        """Return what was told last, by those that are gone and by those that live; none of it changes."""
        return [self.values, *self._last.values()]

    def gone(self, worker: str) -> None:
        """Keep what a worker has counted: it will tell no more."""
        last = self._last.pop(worker, None)
        if last is not None:
            self.values = self._bounded(together((self.values, last)))

    def beside(self, shown: Collection[str]) -> Values:
        """Return what those have counted, living or gone, that are not among these."""
        silent = [values for worker, values in self._last.items() if worker not in shown]
        return together((self.values, *silent)) if silent else self.values

    def _bounded(self, values: dict[str, Any]) -> dict[str, Any]:
        """Forget routes and services that nobody living counts, where there are too many."""
        if max(len(values["requests"]), len(values["services"])) > MAX_PAST:
            living = list(self._last.values())
            pairs = {(route, service) for one in living for route, service, *_ in one["requests"]}
            names = {service for one in living for service in one["services"]}
            values["requests"] = [row for row in values["requests"] if (row[0], row[1]) in pairs]
            values["services"] = {
                name: one for name, one in values["services"].items() if name in names
            }
        return values


def _add_requests(
    sums: dict[tuple[str, str], tuple[list[int], dict[str, int]]], rows: Iterable[Any]
) -> None:
    for route, service, by_class, errors in rows:
        key = (route, service)
        found = sums.get(key)
        if found is None:
            sums[key] = (list(by_class), dict(errors) if errors else {})
            continue
        found[0][:] = map(add, found[0], by_class)
        if errors:
            _add_named(found[1], errors)


def _add_services(
    sums: dict[str, dict[str, list[float]]], services: Mapping[str, Mapping[str, list[float]]]
) -> None:
    for service, histograms in services.items():
        found = sums.get(service)
        if found is None:
            sums[service] = {name: list(one) for name, one in histograms.items()}
            continue
        for name, one in histograms.items():
            mine = found[name]
            for index, number in enumerate(one):
                mine[index] += number


def _add_histograms(sums: dict[str, dict[str, Any]], histograms: Mapping[str, Any]) -> None:
    """Add up those that are of no service, each with its bounds."""
    for name, one in histograms.items():
        found = sums.get(name)
        if found is None:
            sums[name] = {"bounds": one["bounds"], "values": list(one["values"])}
            continue
        for index, number in enumerate(one["values"]):
            found["values"][index] += number


def _add_named(sums: dict[str, int], values: Mapping[str, int]) -> None:
    for name, number in values.items():
        sums[name] = sums.get(name, 0) + number
