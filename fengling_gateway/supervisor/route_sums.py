"""
What routes have served of late, by differences of what workers have counted. Pure.

A host may have ten thousand routes, and a supervisor has more to do than to add up: whatever looks
at all of them is a generator that yields after each piece of work.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterable, Mapping, Sequence
from heapq import nlargest
from itertools import chain, compress, repeat
from operator import sub
from typing import Any, Final, Literal

from fengling_gateway.dataplane.counters import LATENCY_BOUNDS
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.observability.sums import Values
from fengling_gateway.supervisor.traffic import percentile_ms

Sort = Literal["rate", "errors", "latency"]
SORTS: Final = ("rate", "errors", "latency")

WINDOWS: Final = (10.0, 60.0)
"""Seconds that are told of."""

CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""What `RouteCounts.by_class` has."""

MAX_PAIRS: Final = 50_000
"""Of routes and services; with more that have mostly gone, all begins anew."""

PIECE: Final = 200
"""Rows that are looked at in a piece of work: a fifth of a millisecond."""

_EARLY: Final = 0.95
"""A gathering may be a little early, and its window a little short."""

_APART_SECONDS: Final = 8.0
"""Moments that are kept for the longer window; in the shorter one all are."""

_TOTAL, _ERRORS = range(2)
_FIRST_CLASS: Final = 2
_COLUMNS: Final = _FIRST_CLASS + len(CLASSES)
_BUCKETS: Final = len(LATENCY_BOUNDS) + 1
_SERVER_ERRORS: Final = CLASSES.index("5xx")
_OURS: Final = frozenset(error.code for error in ForwardError if error.status >= 500)

Pair = tuple[str, str]


class Moment:
    """
    What was counted until then, by all workers that there ever were.

    Attributes:
        places: of pairs, in columns; shared by moments, with those that have come since.
        columns: of each pair, by its place.
        latency: exchanges of each service, by `LATENCY_BOUNDS`.
        counted: pairs of which anything is counted, at most.
    """

    __slots__ = ("at", "columns", "counted", "latency", "places")

    def __init__(self, at: float, places: dict[Pair, int]) -> None:
        self.at = at
        self.places = places
        self.columns = [array("q", bytes(8 * len(places))) for _ in range(_COLUMNS)]
        self.latency: dict[str, list[int]] = {}
        self.counted = 0

    def place_of(self, pair: Pair) -> int:
        place = self.places.get(pair)
        if place is None:
            place = self.places[pair] = len(self.places)
            for column in self.columns:
                column.append(0)
        return place

    def since(self, before: Moment, column: int) -> list[int]:
        """Return how much more there is of each pair; what had no place then had nothing."""
        return list(map(sub, self.columns[column], chain(before.columns[column], repeat(0))))

    def latency_since(self, before: Moment, service: str) -> list[int]:
        now, then = self.latency.get(service), before.latency.get(service)
        if now is None:
            return [0] * _BUCKETS
        return now if then is None else [max(0, a - b) for a, b in zip(now, then, strict=True)]


class RouteSums:
    """
    The last minute.

    Args:
        now: when everything was zero; monotonic, in seconds.
    """

    def __init__(self, *, now: float) -> None:
        self._moments = [Moment(now, {})]
        self._max_places = MAX_PAIRS

    def __repr__(self) -> str:
        last = self._moments[-1]
        return f"<RouteSums {len(last.places)} pairs, {len(self._moments)} moments>"

    @property
    def at(self) -> float:
        """When was counted last."""
        return self._moments[-1].at

    def add(self, all_values: Iterable[Values], *, now: float) -> Generator[None, None, None]:
        """Take what all workers have counted until now; it counts when all of it is done."""
        places = self._moments[-1].places
        begins_anew = len(places) > self._max_places
        moment = Moment(now, {} if begins_anew else places)
        for values in all_values:
            yield from _add_requests(moment, values["requests"])
            yield from _add_services(moment.latency, values["services"])
        self._moments = [*([] if begins_anew else _kept(self._moments, now)), moment]
        # (What is counted, all of it, has to have room.)
        self._max_places = max(self._max_places, 2 * moment.counted)

    def busiest(self, sort: Sort, limit: int) -> Generator[None, None, dict[str, Any]]:
        """Return the first so many pairs that had requests in the longest window, as JSON."""
        short, long = (self._before(window) for window in WINDOWS)
        last = self._moments[-1]
        names = list(last.places)
        recent, total = last.since(short, _TOTAL), last.since(long, _TOTAL)
        yield
        key: Sequence[float]
        if sort == "latency":
            key = yield from self._by_latency(names, last, short)
        elif sort == "errors":
            key = last.since(short, _ERRORS)
        else:
            key = recent
        yield
        # (What is equal goes by what it had to do.)
        ranked = zip(key, recent, range(len(total)), strict=False)
        active = list(compress(ranked, map((0).__lt__, total)))
        yield
        first = [place for _, _, place in nlargest(limit, active)]
        yield
        windows = (*zip(WINDOWS, (short, long), strict=True),)
        return {
            "windows": {_name(window): round(last.at - before.at, 1) for window, before in windows},
            "routes": len(active),
            "items": [
                {
                    "route": names[place][0] or None,
                    "service": names[place][1] or None,
                    **{
                        _name(window): _values(last, before, place, names[place][1])
                        for window, before in windows
                    },
                }
                for place in first
            ],
        }

    def _by_latency(
        self, names: Sequence[Pair], last: Moment, before: Moment
    ) -> Generator[None, None, list[float]]:
        """Return the 95th percentile of each pair's service; negative where it had no requests."""
        by_service: dict[str, float] = {}
        for number, service in enumerate(last.latency):
            found = percentile_ms(last.latency_since(before, service), 0.95)
            by_service[service] = -1.0 if found is None else found
            if number % (PIECE // 4) == 0:
                yield
        return [by_service.get(service, -1.0) for _, service in names]

    def _before(self, seconds: float) -> Moment:
        """Return the newest moment that is so long before the last one; else the oldest."""
        last = self._moments[-1].at
        far = [one for one in self._moments if last - one.at >= seconds * _EARLY]
        return far[-1] if far else self._moments[0]


def _kept(moments: Sequence[Moment], now: float) -> list[Moment]:
    """Return those that are needed yet for windows that end now or later."""
    shortest, longest = WINDOWS
    kept: list[Moment] = []
    for number, one in enumerate(moments):
        following = moments[number + 1].at if number + 1 < len(moments) else now
        is_past = now - following >= longest
        is_recent = now - one.at <= shortest * 1.5
        if not is_past and (is_recent or not kept or one.at - kept[-1].at >= _APART_SECONDS):
            kept.append(one)
    return kept


def _add_requests(moment: Moment, rows: Sequence[Any]) -> Generator[None, None, None]:
    total, errors, *classes = moment.columns
    moment.counted += len(rows)
    for start in range(0, len(rows), PIECE):
        yield
        for route, service, by_class, by_error in rows[start : start + PIECE]:
            place = moment.place_of((route, service))
            for column, number in zip(classes, by_class, strict=True):
                if number:
                    column[place] += number
                    total[place] += number
            failed = by_class[_SERVER_ERRORS]
            if by_error:
                # (One that failed after its head was answered with another status.)
                ours = sum(by_error[code] for code in _OURS.intersection(by_error))
                failed = max(failed, ours)
            errors[place] += failed


def _add_services(
    sums: dict[str, list[int]], services: Mapping[str, Mapping[str, Sequence[Any]]]
) -> Generator[None, None, None]:
    for number, (service, histograms) in enumerate(services.items()):
        if number % PIECE == 0:
            yield
        latency = histograms["latency"][:_BUCKETS]
        found = sums.get(service)
        if found is None:
            sums[service] = list(latency)
        else:
            sums[service] = [a + b for a, b in zip(found, latency, strict=True)]


def _values(last: Moment, before: Moment, place: int, service: str) -> dict[str, Any]:
    seconds = last.at - before.at

    def more(column: int) -> int:
        then = before.columns[column]
        return max(0, last.columns[column][place] - (then[place] if place < len(then) else 0))

    total, errors = more(_TOTAL), more(_ERRORS)
    by_class = {name: more(_FIRST_CLASS + at) for at, name in enumerate(CLASSES)}
    latency = last.latency_since(before, service)
    percentiles = {
        f"p{share}_ms": percentile_ms(latency, share / 100) if total else None
        for share in (50, 95, 99)
    }
    return {
        "requests_per_s": round(total / seconds, 2) if seconds > 0 else 0.0,
        "errors_per_s": round(errors / seconds, 2) if seconds > 0 else 0.0,
        "error_ratio": round(min(1.0, errors / total), 4) if total else None,
        "by_class": by_class,
        **percentiles,
    }


def _name(window: float) -> str:
    return f"last_{window:g}s"
