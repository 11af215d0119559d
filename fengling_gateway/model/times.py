"""Checks of durations and points in time; both become float seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from fengling_gateway.model.checks import Check, wrong_type
from fengling_gateway.model.problems import Report, shown

_EXAMPLES: Final = "a duration like 3s, 500ms, 1m30s or a number of seconds"
_UNITS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER: Final = r"(?:[0-9]{1,15}(?:\.[0-9]{1,9})?)"
_SHORT: Final = re.compile(rf"(?:{_NUMBER}(?:ms|[dhms]))+")
_SHORT_PART: Final = re.compile(rf"({_NUMBER})(ms|[dhms])")
# Years and months are not matched: nobody knows how many seconds they have.
_ISO: Final = re.compile(
    rf"P(?:({_NUMBER})D)?(?:T(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?"
)
_CLOCK: Final = re.compile(r"([0-9]{1,9}):([0-5][0-9]):([0-5][0-9](?:\.[0-9]{1,9})?)")
DURATION_PATTERN: Final = "|".join(one.pattern for one in (_SHORT, _ISO, _CLOCK))
"""For documents: what `parse_duration` takes is like this from end to end."""

_LATEST: Final = 253402300799.0
"""The end of the year 9999, the last that has an ISO date."""

_INFINITIES: Final = {"-infinity": 0.0, "infinity": _LATEST}


@lru_cache(maxsize=1024)
def parse_duration(text: str) -> float | None:
    """
    Return the seconds of ``3s``, ``1m30s``, ``PT1M30S`` or ``00:01:30``.

    These are how people, ISO 8601 and a PostgreSQL session with its default
    intervalstyle write one. None for anything else.
    """
    if len(text) > 60:
        return None
    if _SHORT.fullmatch(text):
        return sum(float(value) * _UNITS[unit] for value, unit in _SHORT_PART.findall(text))
    if (iso := _ISO.fullmatch(text)) and text[-1] not in "PT":
        return _total(iso.groups(default="0"), (86400.0, 3600.0, 60.0, 1.0))
    if clock := _CLOCK.fullmatch(text):
        return _total(clock.groups(), (3600.0, 60.0, 1.0))
    return None


def _total(values: tuple[str, ...], units: tuple[float, ...]) -> float:
    return sum(float(value) * unit for value, unit in zip(values, units, strict=True))


def duration(low: float, high: float) -> Check:
    """A duration between two bounds, in seconds."""
    allowed = f"from {shortest(low)} to {shortest(high)}"

    def check(value: Any, report: Report) -> Any:
        kind = type(value)
        seconds: float | int | None = None
        if kind is str:
            seconds = parse_duration(value) if len(value) <= 60 else None
            if seconds is None:
                report.add("bad_duration", f"must be {_EXAMPLES}, not {shown(value)}")
                return None
        elif kind is float or kind is int:
            seconds = value
        else:
            wrong_type(value, _EXAMPLES, report)
            return None
        if not low <= seconds <= high:
            report.add("out_of_range", f"must be {allowed}, not {shown(value)}")
            return None
        return float(seconds)

    return check


def shortest(seconds: float) -> str:
    """
    Write a duration as people do: 0.001 → ``1ms``, 5400 → ``1h30m``.

    Exactly, as far as text can say it: `parse_duration` takes nine decimals, and
    longer ones it would refuse.
    """
    readable = _with_units(seconds)
    return (
        readable if parse_duration(readable) == seconds else f"{_digits(Decimal(repr(seconds)))}s"
    )


def _with_units(seconds: float) -> str:
    if 0 < seconds < 1:
        return f"{_digits(Decimal(repr(seconds)) * 1000)}ms"
    parts = []
    for unit in ("d", "h", "m"):
        count, seconds = divmod(seconds, _UNITS[unit])
        if count:
            parts.append(f"{count:g}{unit}")
    if seconds or not parts:
        parts.append(f"{seconds:g}s")
    return "".join(parts)


def _digits(number: Decimal) -> str:
    """Write a number without an exponent, and without zeros at the end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def beginning(value: Any, report: Report) -> Any:
    """
    From when on, as seconds since the Unix epoch; null is no bound.

    Of PostgreSQL's infinities the one is no bound either, and the other is never.
    """
    return None if value == "-infinity" else instant(value, report)


def ending(value: Any, report: Report) -> Any:
    """Until when; null and ``infinity`` are no bound, and ``-infinity`` has always been over."""
    return None if value == "infinity" else instant(value, report)


def instant(value: Any, report: Report) -> Any:
    """A point in time as seconds since the Unix epoch; null is none, and an infinity is one."""
    if value is None:
        return None
    if type(value) is str:
        known = _INFINITIES.get(value)
        return _parse_instant(value, report) if known is None else known
    if type(value) is not float and type(value) is not int:
        wrong_type(value, "a time like 2026-12-31T23:00:00Z", report)
    elif not 0 <= value <= _LATEST:
        report.add("out_of_range", f"must be a time from 1970 to 9999, not {shown(value)}")
    else:
        return float(value)
    return None


def _parse_instant(value: str, report: Report) -> float | None:
    try:
        moment = datetime.fromisoformat(value) if len(value) <= 40 else None
        if moment is not None and moment.tzinfo is not None:
            seconds = moment.timestamp()
            if seconds >= 0:
                # (Its last second, and places where it has not begun yet, belong to the year 9999.)
                return min(seconds, _LATEST)
    except (ValueError, OverflowError):
        pass
    report.add(
        "bad_time",
        "must be a time from 1970 on with its offset from UTC, like 2026-12-31T23:00:00Z, "
        f"not {shown(value)}",
    )
    return None


def moment(at: float) -> str:
    """Return a time in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
