"""What stands before a route, compiled: who may ask, from where, how often, and from which pages.

A route without any of it has no guards at all, and its requests pay nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fengling_gateway.auth.requirement import ANONYMOUS, Requirement
from fengling_gateway.http.cors import Cors
from fengling_gateway.http.headers import Pair
from fengling_gateway.limiting.limit import (
    ADDRESS,
    ALL,
    HEADER,
    ROUTE,
    ConcurrencyLimit,
    compile_limits,
)
from fengling_gateway.model.browsers import PRESETS, REMOVED
from fengling_gateway.routing.access import AccessList

HTTPS_ONLY: Final = "strict-transport-security"
"""The header that must not go out in the clear (RFC 6797, section 7.2)."""

COUNTED: Final = ("rate_limit", "concurrency")
"""Policies that count where they are configured: equal ones elsewhere count apart."""

GUARD_POLICIES: Final = (
    *("access", "auth", "cors", "security_headers", "response_headers"),
    *COUNTED,
)
"""What guards are made of."""

_BEFORE_CREDENTIALS: Final = frozenset({ALL, ROUTE, ADDRESS, HEADER})
"""Keys of limits that are known before anybody has looked at credentials."""


class Guards:
    """
    What is asked of a request before it goes anywhere. None stands for nothing asked.

    Attributes:
        requirement: None where everybody may ask, whoever they say they are.
        early_limits, late_limits: rates that are asked for before credentials are
            looked at, so that they bound guessing, too, and those that need them.
        https_pairs: headers of answers to requests that came over TLS.
    """

    __slots__ = (
        "access",
        "concurrency",
        "cors",
        "early_limits",
        "https_pairs",
        "late_limits",
        "requirement",
    )

    def __init__(self, policies: Mapping[str, Any], places: Mapping[str, str]) -> None:
        """
        Args:
            places: where each of the `COUNTED` policies is configured.
        """
        access, auth, cors = (policies.get(name) for name in ("access", "auth", "cors"))
        self.access = None if access is None else AccessList(access)
        self.cors = None if cors is None else Cors(cors)
        requirement = None if auth is None else Requirement(auth)
        if requirement is not None and requirement.mode == ANONYMOUS:
            requirement = None
        self.requirement = requirement
        rates = compile_limits(policies.get("rate_limit"), places.get("rate_limit", ""))
        self.early_limits = tuple(one for one in rates if one.key_kind in _BEFORE_CREDENTIALS)
        self.late_limits = tuple(one for one in rates if one.key_kind not in _BEFORE_CREDENTIALS)
        at_once = policies.get("concurrency")
        place = places.get("concurrency", "")
        self.concurrency = None if at_once is None else ConcurrencyLimit(at_once, place)
        self.https_pairs = _https_pairs(policies)

    def __repr__(self) -> str:
        present = [name for name in self.__slots__ if getattr(self, name)]
        return f"<Guards {', '.join(present)}>"

    @property
    def ask_nothing(self) -> bool:
        return not any(getattr(self, name) for name in self.__slots__)


def compile_guards(policies: Mapping[str, Any], places: Mapping[str, str]) -> Guards | None:
    """Compile the guards of effective policies; None where there are none."""
    if not any(policies.get(name) for name in GUARD_POLICIES):
        return None
    guards = Guards(policies, places)
    return None if guards.ask_nothing else guards


def takes_preflights(guards: Guards | None) -> bool:
    return guards is not None and guards.cors is not None


def response_edits(policies: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """
    Return the policy ``response_headers`` with what ``security_headers`` adds to it.

    What somebody edits by name is left to them.
    """
    edits: Mapping[str, Any] | None = policies.get("response_headers")
    security = policies.get("security_headers")
    if security is None:
        return edits
    own = edits or {"set": {}, "add": {}, "remove": []}
    edited = _edited(own)
    wanted = {
        name: value
        for name, value in _security_headers(security).items()
        if name.lower() not in edited and name.lower() != HTTPS_ONLY
    }
    kept = edited | {name.lower() for name in security["headers"]}
    removed = [name.lower() for name in REMOVED if name.lower() not in kept]
    return {
        "set": {**wanted, **own["set"]},
        "add": own["add"],
        "remove": sorted({*own["remove"], *removed}),
    }


def _security_headers(security: Mapping[str, Any]) -> dict[str, str]:
    """Return a preset with what differs from it, whatever the case it is written in."""
    different = {name.lower() for name in security["headers"]}
    preset = PRESETS[security["preset"]]
    found = {name: value for name, value in preset.items() if name.lower() not in different}
    return found | {name: value for name, value in security["headers"].items() if value is not None}


def _edited(edits: Mapping[str, Any]) -> set[str]:
    return {name.lower() for kind in ("set", "add", "remove") for name in edits[kind]}


def _https_pairs(policies: Mapping[str, Any]) -> tuple[Pair, ...]:
    security, edits = policies.get("security_headers"), policies.get("response_headers")
    if security is None or (edits is not None and HTTPS_ONLY in _edited(edits)):
        return ()
    return tuple(
        (name.encode(), value.encode())
        for name, value in _security_headers(security).items()
        if name.lower() == HTTPS_ONLY
    )


SWITCHED_OFF: Final = Guards({}, {})
"""Those of a route that somebody has switched off: they let nobody through."""
