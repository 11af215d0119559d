"""
Checks of plain JSON values, and how they combine.

A check takes a value of any type and a `Report`, and returns the canonical
value. Where something is wrong it adds to the report, and what it returns is
not used. Nothing here knows of routes or services, and nothing raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fengling_gateway.model.problems import Report, shown, suggestion

Check = Callable[[Any, Report], Any]

REQUIRED: Final = object()
"""The default of a field that has none."""

MAX_DEPTH: Final = 32
"""Deepest nesting of a free value: far more than anybody writes, far less than Python's stack."""

MAX_NODES: Final = 20_000
"""Most values within a free value; their canonical form would be too large anyway."""

_HUGE: Final = 10**300


def wrong_type(value: Any, wanted: str, report: Report) -> None:
    report.add("wrong_type", f"must be {wanted}, not {shown(value)}")


def boolean(value: Any, report: Report) -> Any:
    if value is not True and value is not False:
        wrong_type(value, "true or false", report)
    return value


def integer(low: int, high: int) -> Check:
    """A whole number in a range; JSON's 3.0 is one, true is none."""

    def check(value: Any, report: Report) -> Any:
        kind = type(value)
        if kind is float and value.is_integer():
            value = int(value)
        elif kind is not int:
            wrong_type(value, f"a whole number from {low} to {high}", report)
            return None
        if not low <= value <= high:
            report.add("out_of_range", f"must be from {low} to {high}, not {shown(value)}")
        return value

    return check


def number(low: float, high: float) -> Check:
    """A finite number in a range."""

    def check(value: Any, report: Report) -> Any:
        if type(value) is not float and type(value) is not int:
            wrong_type(value, f"a number from {low:g} to {high:g}", report)
        elif not low <= value <= high:
            report.add("out_of_range", f"must be from {low:g} to {high:g}, not {shown(value)}")
        else:
            return float(value)
        return None

    return check


def choice(*allowed: str) -> Check:
    known = frozenset(allowed)
    listed = ", ".join(allowed)

    def check(value: Any, report: Report) -> Any:
        if type(value) is not str:
            wrong_type(value, f"one of {listed}", report)
        elif value not in known:
            report.add("not_allowed", f"must be one of {listed}, not {shown(value)}")
        return value

    return check


def text(limit: int) -> Check:
    """Any text of a bounded length that UTF-8 can say (a lone surrogate it cannot) and no NUL."""

    def check(value: Any, report: Report) -> Any:
        if type(value) is not str:
            wrong_type(value, "text", report)
        elif len(value) > limit:
            report.add("too_long", f"must have at most {limit} characters, not {len(value)}")
        elif not storable(value):
            report.add("bad_text", f"must be valid Unicode without NUL, not {shown(value)}")
        return value

    return check


def some_text(limit: int) -> Check:
    """The same, and not empty."""
    any_text = text(limit)

    def check(value: Any, report: Report) -> Any:
        if value == "":
            report.add("empty", "must not be empty")
        return any_text(value, report)

    return check


def storable(value: str) -> bool:
    """Whether text can be encoded, and stored by PostgreSQL."""
    if "\0" in value:
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def optional(check: Check) -> Check:
    """Let null pass."""

    def or_null(value: Any, report: Report) -> Any:
        return None if value is None else check(value, report)

    return or_null


def unsupported(what: str) -> Check:
    """Let nothing but null pass: a later version's feature must not be ignored silently."""

    def check(value: Any, report: Report) -> None:
        if value is not None:
            report.add("unsupported", f"{what} is not supported by this version; leave it null")

    return check


def list_of(check: Check, limit: int, *, as_set: bool = False) -> Check:
    """A list of bounded length; `as_set`: order and repetition say nothing, so it is sorted."""

    def check_list(value: Any, report: Report) -> Any:
        if type(value) is not list:
            wrong_type(value, "a list", report)
            return None
        if not value:
            return value
        if len(value) > limit:
            report.add("too_long", f"must have at most {limit} entries, not {len(value)}")
            return None
        start = len(report.found)
        items = []
        for index, item in enumerate(value):
            items.append(check(item, report))
            if len(report.found) != start:
                start = report.locate(start, index)
        if as_set and not report.found:
            return sorted(set(items))
        return items

    return check_list


def mapping_of(check_name: Check, check: Check, limit: int) -> Check:
    """An object whose names are data (header names, service ids)."""

    def check_mapping(value: Any, report: Report) -> Any:
        if type(value) is not dict:
            wrong_type(value, "an object", report)
            return None
        if len(value) > limit:
            report.add("too_long", f"must have at most {limit} fields, not {len(value)}")
            return None
        start = len(report.found)
        items = {}
        for name, item in value.items():
            checked_name = check_name(name, report)
            items[checked_name] = check(item, report)
            if len(report.found) != start:
                start = report.locate(start, name)
        return items

    return check_mapping


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a `Record`; ``default`` is in canonical form."""

    name: str
    check: Check
    default: Any = REQUIRED


class Record:
    """
    An object with known fields.

    `open_ended`: unknown fields are dropped silently. Rows are, since a newer
    schema may have more columns than this code knows; all else is not.
    """

    __slots__ = ("_fields", "_known", "_open_ended")

    def __init__(self, *fields: Field, open_ended: bool = False) -> None:
        self._fields = tuple((field.name, field.check, field.default) for field in fields)
        self._known = tuple(field.name for field in fields)
        self._open_ended = open_ended

    @property
    def names(self) -> tuple[str, ...]:
        return self._known

    @property
    def defaults(self) -> dict[str, Any]:
        """What the fields hold that have a default, when nothing is said of them."""
        return {name: default for name, _, default in self._fields if default is not REQUIRED}

    def __call__(self, value: Any, report: Report) -> dict[str, Any]:
        record: dict[str, Any] = {}
        if type(value) is not dict:
            wrong_type(value, "an object", report)
            return record
        found = report.found
        start = len(found)
        for name, check, default in self._fields:
            if name in value:
                record[name] = check(value[name], report)
            elif default is REQUIRED:
                report.add("required", "is required")
            else:
                record[name] = default
            if len(found) != start:
                start = report.locate(start, name)
        if not self._open_ended:
            refuse_unknown(value, self._known, "unknown_field", report)
        return record


def refuse_unknown(
    value: Mapping[Any, Any], known: tuple[str, ...], code: str, report: Report
) -> None:
    """Add a problem for each name that is not known, with the one that may be meant."""
    for name in value:
        if name not in known:
            start = len(report.found)
            what = code.removeprefix("unknown_")
            report.add(code, f"is not a known {what}; {suggestion(name, known)}")
            report.locate(start, name)


def free_value(value: Any, report: Report) -> Any:
    """Any JSON value of bounded depth and size: something that only a filter understands."""
    problem = _first_fault([value])
    if problem is not None:
        report.add(*problem)
    return value


def _first_fault(level: list[Any]) -> tuple[str, str] | None:
    """Look through a value level by level: no recursion, so no depth can hurt."""
    nodes = 0
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            fault = _fault(value)
            if fault is not None:
                return fault
            if type(value) is dict:
                below.extend(value)
                below.extend(value.values())
                if not all(type(name) is str for name in value):
                    return "wrong_type", "has a field whose name is not text"
            elif type(value) is list:
                below.extend(value)
            nodes += 1
            if nodes + len(below) > MAX_NODES:
                return "too_large", f"must have at most {MAX_NODES} values in all"
        if not below:
            return None
        level = below
    return "too_deep", f"must be nested at most {MAX_DEPTH} deep"


def _fault(value: Any) -> tuple[str, str] | None:
    kind = type(value)
    if kind is str:
        if not storable(value):
            return "bad_text", f"must be valid Unicode without NUL, not {shown(value)}"
    elif kind is float:
        if not -_HUGE < value < _HUGE:
            return "not_finite", f"must be a finite number below 1e300, not {shown(value)}"
    elif kind is int:
        if not -_HUGE < value < _HUGE:
            return "out_of_range", f"must be below 1e300, not {shown(value)}"
    elif value is not None and kind not in {bool, list, dict}:
        return "wrong_type", f"must be a JSON value, not {shown(value)}"
    return None


def unique(names: Iterable[str], what: str, report: Report) -> None:
    """Refuse names that differ in case only: headers that would be one on the wire."""
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(name.lower(), name)
        if first is not name:
            report.add("duplicate", f"{what} {name} is given twice (also as {first})")
