"""
What is wrong with settings that are each right: what no single key shows.

Looks at the raw values, so that it is found along with all else; of a value that
is wrong in itself, nothing more is said here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fengling_gateway.auth.keys import WeakKeyError, parse_keys
from fengling_gateway.model.problems import Problem
from fengling_gateway.settings.environment import variable
from fengling_gateway.settings.model import (
    GatewaySettings,
    LimitSettings,
    ManagementSettings,
)
from fengling_gateway.settings.values import Refused, size, split_address

_FALSE: Final = ("false", "0", "no", "off", "f", "n")  # what pydantic takes for false
_WILDCARDS: Final = ("0.0.0.0", "::")

Raw = dict[str, Any]


def contradictions(raw: Raw) -> list[Problem]:
    """Return what is missing because of something else, and what can't be true together."""
    listeners = raw.get("listeners")
    ours = listeners if isinstance(listeners, list) else []
    return [
        *_missing(raw),
        *_repeated_listeners(ours),
        *_taken_by_management(raw, ours),
        *_water(raw),
        *shared_keys(raw),
    ]


def _value(raw: Raw, section: str, key: str, default: Any = None) -> Any:
    values = raw.get(section)
    return values.get(key, default) if isinstance(values, dict) else default


def _has_management(raw: Raw) -> bool:
    return str(_value(raw, "management", "enabled", default=True)).lower() not in _FALSE


def _missing(raw: Raw) -> Iterator[Problem]:
    needed = []
    if raw.get("source", "database") == "database":
        needed.append(("database", "url", 'with source = "database"'))
    if raw.get("source") == "file":
        needed.append(("file", "path", 'with source = "file"'))
    if _value(raw, "redis", "url"):
        needed.append(("sync", "keys", "with [redis] url: messages on Redis are signed"))
    if _has_management(raw):
        why = "while [management] is enabled: there is no default"
        needed.append(("management", "token_keys", why))
    for section, key, why in needed:
        if not _value(raw, section, key):
            path = f"{section}.{key}"
            yield Problem(path, "required", f"is required {why}; set it or {variable(path)}")


def _repeated_listeners(listeners: list[Any]) -> Iterator[Problem]:
    names: dict[str, int] = {}
    addresses: dict[tuple[str, int], int] = {}
    for index, one in enumerate(listeners):
        if not isinstance(one, dict):
            continue
        name, address = one.get("name"), _address(one.get("address"))
        if isinstance(name, str) and (first := names.setdefault(name, index)) != index:
            message = f"is that of listeners[{first}]"
            yield Problem(f"listeners[{index}].name", "duplicate", message)
        if address is None:
            continue
        for other, first in addresses.items():
            if _overlap(address, other):
                how = "is" if address == other else "overlaps"
                message = f"{how} that of listeners[{first}]"
                yield Problem(f"listeners[{index}].address", "duplicate", message)
                break
        addresses.setdefault(address, index)


def _taken_by_management(raw: Raw, listeners: list[Any]) -> Iterator[Problem]:
    if not _has_management(raw):
        return
    default = ManagementSettings.model_fields["address"].default
    taken = _address(_value(raw, "management", "address", default))
    if "listeners" not in raw:
        listeners = [one.model_dump() for one in GatewaySettings.model_fields["listeners"].default]
    for index, one in enumerate(listeners):
        address = _address(one.get("address")) if isinstance(one, dict) else None
        if address and taken and _overlap(address, taken):
            path = f"listeners[{index}].address"
            yield Problem(path, "duplicate", "is that of the management API (management.address)")


def _address(given: Any) -> tuple[str, int] | None:
    try:
        return split_address(given) if isinstance(given, str) else None
    except ValueError:
        return None


def _overlap(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Whether a connection to one of them may be meant for the other."""
    if one[1] != other[1]:
        return False
    wild = [host for host, _ in (one, other) if host in _WILDCARDS]
    same_family = (":" in one[0]) == (":" in other[0])
    return one[0] == other[0] or (bool(wild) and same_family)


def _water(raw: Raw) -> Iterator[Problem]:
    marks = []
    for key in ("low_water_bytes", "high_water_bytes"):
        default = LimitSettings.model_fields[key].default
        try:
            marks.append(int(size(_value(raw, "limits", key, default))))
        except Refused:
            return
    low, high = marks
    if low > high:
        default_too = "" if _value(raw, "limits", "low_water_bytes") else " (its default)"
        message = f"must be at most limits.high_water_bytes ({high}), not {low}{default_too}"
        yield Problem("limits.low_water_bytes", "out_of_range", message)


def shared_keys(raw: Raw) -> Iterator[Problem]:
    rings = []
    for section, key in (("sync", "keys"), ("management", "token_keys")):
        try:
            rings.append({one.secret for one in parse_keys(_value(raw, section, key) or ())})
        except (WeakKeyError, TypeError, AttributeError):
            return
    if rings[0] & rings[1]:
        message = "shares a secret with sync.keys: who has one of them would have both"
        yield Problem("management.token_keys", "duplicate", message)
