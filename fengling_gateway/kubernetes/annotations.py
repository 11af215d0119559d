"""What a Service's annotations ask for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any, Final, NamedTuple

import yaml

from fengling_gateway.configsource.file_yaml import YamlError, read_yaml
from fengling_gateway.model.problems import suggestion

PREFIX: Final = "gateway.fengling/"

ROUTE_FIELDS: Final = ("match", "policies")
SERVICE_FIELDS: Final = (
    *("balancing", "host_header", "connect_timeout", "first_byte_timeout", "idle_timeout"),
    *("health_check", "policies", "tenant_spill", "tls"),
)
MAX_CHARACTERS: Final = 16_384
"""Of all annotations of a Service that are for us."""

_MAX_REMEMBERED: Final = 256
_LONGEST_REMEMBERED: Final = 1000
"""
Texts, and their characters, of which is remembered what they say.

A Service is read anew whenever anything of it changes, as asked for and as approved; YAML of a few
lines takes a millisecond, in the reactor. What longer ones could be full of takes memory.
"""

_MAX_UNKNOWN: Final = 10
SCHEMES: Final = ("http", "https")

_KEYS: Final = (
    *("hosts", "methods", "path", "port", "priority", "route", "scheme", "service", "tenant"),
)


class Asked(NamedTuple):
    """
    What is asked for; None stands for nothing.

    Attributes:
        route, service: further fields of the entities.
        problems: everything that is not understood.
    """

    hosts: tuple[str, ...] | None
    path: str | None
    methods: tuple[str, ...]
    tenant_id: str | None
    priority: int
    port: str | None
    scheme: str | None
    route: Mapping[str, Any]
    service: Mapping[str, Any]
    problems: tuple[str, ...]


def ours(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return our annotations, without the prefix."""
    return {
        name.removeprefix(PREFIX): text
        for name, text in sorted(annotations.items())
        if name.startswith(PREFIX)
    }


def shown(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return our annotations as people are shown them: of those that are too long the beginnings."""
    said = ours(annotations)
    if sum(map(len, said.values())) <= MAX_CHARACTERS:
        return said
    return {name[:100]: text[:200] for name, text in list(said.items())[:_MAX_UNKNOWN]}


def read(annotations: Mapping[str, str]) -> Asked:
    """Read the annotations of a Service; nothing that is in them raises."""
    said = ours(annotations)
    problems = [
        f"{PREFIX}{name}: no such annotation{_hint(name)}" for name in said if name not in _KEYS
    ][:_MAX_UNKNOWN]
    if sum(map(len, said.values())) > MAX_CHARACTERS:
        problems.append(f"annotations of {PREFIX} have more than {MAX_CHARACTERS} characters")
        said = {}
    return Asked(
        hosts=_list(said.get("hosts")) or None,
        path=said.get("path", "").strip() or None,
        methods=tuple(one.upper() for one in _list(said.get("methods"))),
        tenant_id=said.get("tenant", "").strip() or None,
        priority=_integer(said, "priority", problems),
        port=said.get("port", "").strip() or None,
        scheme=_scheme(said, problems),
        route=_route(said, problems),
        service=_fields(said, "service", SERVICE_FIELDS, problems),
        problems=tuple(problems),
    )


def _hint(name: str) -> str:
    hint = suggestion(name, _KEYS)
    return f"; {hint}" if hint else ""


def _has_aliases(text: str) -> bool:
    """Whether YAML repeats parts of itself: a little of it could become any amount."""
    try:
        return any(isinstance(one, yaml.AliasEvent) for one in yaml.parse(text, yaml.SafeLoader))
    except yaml.YAMLError:
        return False  # (whoever reads it says so)


def _list(text: str | None) -> tuple[str, ...]:
    return tuple((text or "").replace(",", " ").split())


def _integer(said: Mapping[str, str], name: str, problems: list[str]) -> int:
    text = said.get(name, "").strip() or "0"
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 11:
        return int(text)
    problems.append(f'{PREFIX}{name}: must be a whole number, not "{text}"')
    return 0


def _scheme(said: Mapping[str, str], problems: list[str]) -> str | None:
    scheme = said.get("scheme", "").strip().lower() or None
    if scheme is None or scheme in SCHEMES:
        return scheme
    problems.append(f'{PREFIX}scheme: must be http or https, not "{scheme}"')
    return None


def _route(said: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    """Return the route's fields, but for what would put it before others as a priority does."""
    fields = _fields(said, "route", ROUTE_FIELDS, problems)
    match = fields.get("match")
    if isinstance(match, dict) and match.pop("counts_as", None) is not None:
        problems.append(f"{PREFIX}route: match.counts_as can't be set here; priority can")
    return fields


def _fields(
    said: Mapping[str, str], name: str, allowed: tuple[str, ...], problems: list[str]
) -> dict[str, Any]:
    text = said.get(name)
    if text is None or not text.strip():
        return {}
    is_short = len(text) <= _LONGEST_REMEMBERED
    # (A copy, for whoever has it may do with it what he wants.)
    fields, problem = deepcopy(_remembered(text)) if is_short else _parsed(text)
    if problem is not None:
        problems.append(f"{PREFIX}{name}: {problem}")
        return {}
    unknown = [one for one in fields if one not in allowed]
    problems += [
        f"{PREFIX}{name}: {one} can't be set here; {', '.join(allowed)} can" for one in unknown
    ]
    return {one: value for one, value in fields.items() if one in allowed}


def _parsed(text: str) -> tuple[dict[str, Any], str | None]:
    """Return the fields that YAML says, or what is wrong with it."""
    try:
        if _has_aliases(text):
            return {}, "anchors and aliases are not taken here"
        fields, _ = read_yaml(text.encode("utf-8", "replace"))
    except YamlError as error:
        return {}, str(error)
    if not isinstance(fields, dict):
        return {}, "must be fields like `policies: {…}` (YAML or JSON)"
    return fields, None


_remembered: Final = lru_cache(maxsize=_MAX_REMEMBERED)(_parsed)
