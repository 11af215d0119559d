"""
What nodes say of themselves, as far as this version understands it. Pure.

While a fleet is upgraded, gateways of another version say more, or less, or the same in
another way. What nobody here can read is left out, so that one such node does not keep
others from being seen, and whoever looks at states needs not doubt them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

_LARGEST: Final = 1e15
"""Numbers are added up; what is infinite, or none, is not less than this."""

Check = Callable[[Any], bool]


def readable(states: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """
    Return the states of nodes without what is not of its usual kind.

    Each has its node's name, and its workers. ``unread`` names what was left out, if anything:
    ``workers``, where there are others of which is not known whether they serve.
    """
    return {node: _state(node, state) for node, state in states.items() if _is_object(state)}


def is_unknown(state: Mapping[str, Any]) -> bool:
    """Whether a node lives of which is not known what all of its workers serve."""
    return bool(state.get("live")) and "workers" in state.get("unread", ())


def _state(node: str, said: Mapping[str, Any]) -> dict[str, Any]:
    workers = said.get("workers")
    told = workers if type(workers) is list else ()
    known = [_known(one, _OF_WORKERS) for one in told if _is_worker(one)]
    state = {**_known(said, _OF_NODES), "node": node, "workers": known}
    unread = sorted(said.keys() - state.keys())
    if type(workers) is not list or len(known) < len(workers):
        unread.append("workers")
    return {**state, "unread": unread} if unread else state


def _known(said: Mapping[str, Any], checks: Mapping[str, Check]) -> dict[str, Any]:
    """Return the fields that are of their kind, or of which nobody here knows the kind."""
    return {name: value for name, value in said.items() if checks.get(name, _is_anything)(value)}


def _is_worker(said: Any) -> bool:
    """Whether it is known who it is, and whether it serves."""
    return (
        _is_object(said) and type(said.get("worker")) in {str, int} and _is_text(said.get("state"))
    )


def _is_anything(_: Any) -> bool:
    return True


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_whole(value: Any) -> bool:
    return type(value) is int


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and abs(value) <= _LARGEST


def _is_truth(value: Any) -> bool:
    return type(value) is bool


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _all(check: Check) -> Check:
    return lambda value: type(value) is list and all(map(check, value))


def _is_position(value: Any) -> bool:
    return _is_object(value) and _is_text(value.get("epoch")) and _is_whole(value.get("revision"))


def _is_listener(value: Any) -> bool:
    return _is_object(value) and _is_text(value.get("address"))


def _is_pin(value: Any) -> bool:
    return _is_object(value) and _is_whole(value.get("revision")) and _is_text(value.get("message"))


def _is_traffic(value: Any) -> bool:
    return _is_object(value) and all(map(_or_none(_is_number), value.values()))


_OF_NODES: Final[dict[str, Check]] = {
    **dict.fromkeys(("version", "state", "health", "content_hash"), _is_text),
    **dict.fromkeys(("served_from", "host"), _or_none(_is_text)),
    **dict.fromkeys(("started_at", "applied_ms"), _or_none(_is_number)),
    **dict.fromkeys(("position", "held_position"), _or_none(_is_position)),
    "held": _or_none(_is_whole),
    "rejected": _is_whole,
    "draining": _is_truth,
    "pinned": _or_none(_is_pin),
    "switches": _all(_is_text),
    "listeners": _all(_is_listener),
    "traffic": _is_traffic,
}
"""Of each field that is used here what it has to be; as `fengling_gateway.supervisor` tells them."""

_OF_WORKERS: Final[dict[str, Check]] = {
    "epoch": _or_none(_is_text),
    "revision": _or_none(_is_whole),
    **dict.fromkeys(("pid", "slot"), _or_none(_is_whole)),
    **dict.fromkeys(("propagation_ms", "lag_ms", "uptime_s"), _or_none(_is_number)),
    "traffic": _is_traffic,
}
