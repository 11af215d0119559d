"""
Putting a status as it should be into one that others write, too. Pure.

What is not ours stays as it is: parents of other controllers, conditions of types that are not
ours, fields that are not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fengling_gateway.kubernetes.gateway_api.conditions import OWN_TYPES, Condition

Status = dict[str, Any]

_FEATURES: Final = "supportedFeatures"
"""
Older API servers don't know this field and drop it.

So where it is not there, that alone is no reason to write.
"""


def merged_status(
    present: Mapping[str, Any] | None, wanted: Mapping[str, Any], now_iso: str, controller: str
) -> Status | None:
    """
    Return the status to write; None where there is nothing to write.

    A condition whose ``status`` is as before keeps its ``lastTransitionTime``. Where somebody has
    judged a later generation of the object than the one that is known here, nothing is written.

    Args:
        present: as the API server has it.
        wanted: as `translate` wants it: conditions without times.
        now_iso: when conditions that change do so.
        controller: whose parents of an HTTPRoute are ours.
    """
    before: Mapping[str, Any] = present or {}
    merged: Status = {**before, **wanted}
    if "conditions" in wanted:
        merged["conditions"] = _conditions(
            _list(before, "conditions"), wanted["conditions"], now_iso
        )
    if "listeners" in wanted:
        merged["listeners"] = _listeners(_list(before, "listeners"), wanted["listeners"], now_iso)
    if "parents" in wanted:
        merged["parents"] = _parents(
            _list(before, "parents"), wanted["parents"], now_iso, controller
        )
    if _says_nothing_new(before, merged) or _is_behind(before, wanted, controller):
        return None
    return merged


def _says_nothing_new(before: Mapping[str, Any], merged: Status) -> bool:
    if _FEATURES in merged and _FEATURES not in before:
        merged = {name: value for name, value in merged.items() if name != _FEATURES}
    if not before and merged == {"parents": []}:
        return True
    return merged == before


def _conditions(before: list[Any], wanted: Sequence[Condition], now_iso: str) -> list[Condition]:
    """Return conditions in the order in which they were, new ones last."""
    left = {one["type"]: one for one in wanted}
    merged: list[Condition] = []
    for old in before:
        new = left.pop(old.get("type"), None)
        if new is not None:
            merged.append({**new, "lastTransitionTime": _since(old, new, now_iso)})
        elif old.get("type") not in OWN_TYPES:
            merged.append(old)
    return merged + [{**new, "lastTransitionTime": now_iso} for new in left.values()]


def _since(old: Mapping[str, Any], new: Condition, now_iso: str) -> str:
    since = old.get("lastTransitionTime")
    if old.get("status") == new["status"] and isinstance(since, str):
        return since
    return now_iso


def _listeners(
    before: list[Any], wanted: Sequence[Mapping[str, Any]], now_iso: str
) -> list[Status]:
    was = {one.get("name"): one for one in before}
    return [
        {
            **one,
            "conditions": _conditions(
                _list(was.get(one["name"], {}), "conditions"), one["conditions"], now_iso
            ),
        }
        for one in wanted
    ]


def _parents(
    before: list[Any], wanted: Sequence[Mapping[str, Any]], now_iso: str, controller: str
) -> list[Status]:
    """Return others' parents where they were, and ours behind them."""
    was = {_ref(one): one for one in before if one.get("controllerName") == controller}
    merged = [one for one in before if one.get("controllerName") != controller]
    for one in wanted:
        old = was.get(_ref(one), {})
        conditions = _conditions(_list(old, "conditions"), one["conditions"], now_iso)
        merged.append(
            {**one, "parentRef": old.get("parentRef", one["parentRef"]), "conditions": conditions}
        )
    return merged if _mixed(merged) != _mixed(before) else before


def _mixed(parents: list[Any]) -> list[str]:
    """Return something of parents that is equal if they are, in whatever order."""
    return sorted(map(str, map(_sorted, parents)))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _sorted(one)) for key, one in value.items())
    return [_sorted(one) for one in value] if isinstance(value, list) else repr(value)


def _ref(parent: Mapping[str, Any]) -> tuple[Any, ...]:
    ref = parent.get("parentRef") or {}
    return tuple(
        ref.get(key) for key in ("group", "kind", "namespace", "name", "sectionName", "port")
    )


def _is_behind(before: Mapping[str, Any], wanted: Mapping[str, Any], controller: str) -> bool:
    """Whether what is there is about a later generation than what is wanted."""
    known = _newest(wanted, controller, OWN_TYPES)
    return known < _newest(before, controller, OWN_TYPES) and known > 0


def _newest(status: Mapping[str, Any], controller: str, types: frozenset[str]) -> int:
    conditions = [*_list(status, "conditions")]
    for one in _list(status, "listeners"):
        conditions += _list(one, "conditions")
    for one in _list(status, "parents"):
        if one.get("controllerName") == controller:
            conditions += _list(one, "conditions")
    seen = (one.get("observedGeneration") for one in conditions if one.get("type") in types)
    return max((number for number in seen if type(number) is int), default=0)


def _list(status: Mapping[str, Any], key: str) -> list[Any]:
    value = status.get(key)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
