"""Selectors of labels and fields, as they stand in queries of the API. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Object = dict[str, Any]
Labels = Mapping[str, str]

_SETS = re.compile(r"^(?P<key>\S+)\s+(?P<word>in|notin)\s*\((?P<values>[^)]*)\)$")
_COMMAS = re.compile(r",(?![^(]*\))")
_NAME = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$")


def selection(labels: str, fields: str) -> Callable[[Object], bool]:
    """
    Return what objects are selected.

    Raises:
        ValueError: it can't be read; the message is that of the API.
    """
    wanted = [_requirement(one.strip()) for one in _COMMAS.split(labels) if one.strip()]
    named = [_field(one) for one in fields.split(",") if one]

    def selects(obj: Object) -> bool:
        has = obj["metadata"].get("labels") or {}
        return all(one(has) for one in wanted) and all(one(obj) for one in named)

    return selects


def _requirement(text: str) -> Callable[[Labels], bool]:
    sets = _SETS.match(text)
    if sets is not None:
        values = {one.strip() for one in sets["values"].split(",")}
        key, is_in = _name(sets["key"]), sets["word"] == "in"
        return lambda has: (has.get(key) in values) is is_in
    for sign, is_equal in (("!=", False), ("==", True), ("=", True)):
        key, found, value = text.partition(sign)
        if found:
            name, value = _name(key.strip()), value.strip()
            return lambda has: (has.get(name) == value) is is_equal
    if text.startswith("!"):
        absent = _name(text[1:])
        return lambda has: absent not in has
    present = _name(text)
    return lambda has: present in has


def _name(text: str) -> str:
    if not _NAME.match(text):
        raise ValueError(f"unable to parse requirement: found '{text}', expected: identifier")
    return text


def _field(text: str) -> Callable[[Object], bool]:
    path, _, value = text.partition("=")
    value = value.removeprefix("=")
    if path not in ("metadata.name", "metadata.namespace"):
        raise ValueError(f"field label not supported: {path}")
    part = path.partition(".")[2]
    return lambda obj: obj["metadata"].get(part, "") == value
