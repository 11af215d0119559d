"""What the management API tells of exchanges that failed or were slow: ``errors``, ``exchanges``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fengling_gateway.access.granted import Access
from fengling_gateway.access.parameters import (
    is_id,
    no_other_parameters,
    page_limit,
    query_value,
)
from fengling_gateway.access.tenancy import is_visible
from fengling_gateway.management.gateway import ManagedGateway
from fengling_gateway.model.entity import Key
from fengling_gateway.model.management_tokens import ADMIN
from fengling_gateway.records.blame import Fault
from fengling_gateway.records.notable import KINDS
from fengling_gateway.records.ring import Ring
from fengling_gateway.records.search import Found, IsVisible, Sight, Sought, by_id, look, told

TIME: Final = r"[0-9]{1,12}(?:\.[0-9]{1,6})?(?:ms|[smhd])?"
"""Seconds since the epoch, or with a unit how long ago."""

ERROR: Final = r"[a-z][a-z0-9_]{0,63}"
STATUS: Final = r"[1-9][0-9]{2}|[1-9]xx"

REQUEST_ID: Final = r"[A-Za-z0-9][A-Za-z0-9._:+=-]{0,127}"
"""What nearly all are, and what a path may have."""

ANY_REQUEST_ID: Final = r"[!-~]{1,128}"
"""As trusted proxies may say them."""

FAULTS: Final = tuple(one.value for one in Fault)

MAX_NUMBER: Final = 10**15 - 1
"""Of an exchange: some of those of a million years."""

HOUR: Final = 3600.0

_TIME: Final = re.compile(TIME)
_ERROR: Final = re.compile(ERROR)
_ANY_REQUEST_ID: Final = re.compile(ANY_REQUEST_ID)
_STATUS: Final = re.compile(STATUS)
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": HOUR, "d": 86400.0}
_PARAMETERS: Final = {
    *("since", "until", "kind", "error", "fault", "status", "route", "service", "instance"),
    *("request_id", "limit", "after"),
}


class Asked:
    """What somebody asks of exchanges, and the answer."""

    def __init__(self, request: Any, access: Access, gateway: ManagedGateway, now: float) -> None:
        no_other_parameters(request, _PARAMETERS)
        after = query_value(request, "after", "", _is_number, "the number of an exchange")
        limit = page_limit(request)
        self._ring = gateway.exchanges()
        self._tenants = access.operator.tenants
        sight = _sight(gateway, access)
        self._is_visible = sight.is_visible
        self._sought = _sought(request, self._tenants, now)
        self._now = now
        self._found = Found(after=int(after) if after else None, limit=limit, sight=sight)

    def looking(self) -> Iterator[None]:
        """Look; each turn of the iteration is one where others may take theirs."""
        if not _asks_for_hidden(self._sought, self._is_visible):
            yield from look(self._ring, self._sought, self._found)

    def answer(self) -> dict[str, Any]:
        """Return what was found; who sees a tenant only is not told how much there is of others."""
        found, since = self._found, self._sought.since
        sees_all = self._tenants is None
        return {
            "items": found.items,
            "next": found.next,
            "count": found.count,
            "summary": found.summary(),
            "groups": found.groups,
            "now": round(self._now, 3),
            "ring": self._ring.values() if sees_all else None,
            "left_out": dict(self._ring.left_out(since or 0.0)) if sees_all else None,
        }


def exchanges_by_id(
    access: Access, gateway: ManagedGateway, request_id: str
) -> list[dict[str, Any]]:
    """Return what is told of the exchanges with a request id, newest first."""
    sight, tenants = _sight(gateway, access), access.operator.tenants
    return [told(one, sight) for one in by_id(gateway.exchanges(), request_id, tenants)]


def is_of_others(gateway: ManagedGateway, request_id: str) -> bool:
    """Whether there is an exchange with a request id, whoever's."""
    return bool(by_id(gateway.exchanges(), request_id, None))


def why_not(access: Access, gateway: ManagedGateway, now: float) -> dict[str, Any]:
    """Return what may explain that an exchange is not there: `Ring.values`, and what was left out."""
    detail = "no exchange with this id is kept here"
    if access.operator.tenants is not None:
        return {"detail": detail}
    ring: Ring = gateway.exchanges()
    left_out = dict(ring.left_out(now - HOUR))
    return {"detail": detail, "ring": ring.values(), "left_out": left_out}


def _sought(request: Any, tenants: frozenset[str] | None, now: float) -> Sought:
    def matching(name: str, check: Any, expected: str) -> str | None:
        return query_value(request, name, "", check, expected) or None

    when = "seconds since the epoch, or how long ago, like 10m"
    since = matching("since", _TIME.fullmatch, when)
    until = matching("until", _TIME.fullmatch, when)
    status = matching("status", _STATUS.fullmatch, "a status like 502, or a class like 5xx")
    return Sought(
        since=None if since is None else _moment(since, now),
        until=None if until is None else _moment(until, now),
        kind=matching("kind", KINDS.__contains__, " or ".join(KINDS)),
        error=matching("error", _ERROR.fullmatch, "the code of an error"),
        fault=matching("fault", FAULTS.__contains__, " or ".join(FAULTS)),
        statuses=None if status is None else _statuses(status),
        route=matching("route", is_id, "an id"),
        service=matching("service", is_id, "an id"),
        instance=matching("instance", is_id, "an id"),
        request_id=matching("request_id", _ANY_REQUEST_ID.fullmatch, "a request id"),
        tenants=tenants,
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(MAX_NUMBER))


def _moment(text: str, now: float) -> float:
    unit = text.lstrip("0123456789.")
    number = float(text.removesuffix(unit))
    return now - number * _UNITS[unit] if unit else number


def _statuses(text: str) -> tuple[int, int]:
    if text.endswith("xx"):
        low = int(text[0]) * 100
        return low, low + 99
    return int(text), int(text)


def _sight(gateway: ManagedGateway, access: Access) -> Sight:
    """Return what somebody may see: who asked for what is for admins, as with taps."""
    tenants = access.operator.tenants
    sees_people = access.operator.may(ADMIN)
    return Sight(None if tenants is None else _visible(gateway, tenants), sees_people)


def _visible(gateway: ManagedGateway, tenants: frozenset[str]) -> IsVisible:
    bodies: Mapping[Key, bytes] = gateway.bodies()
    seen: dict[Key, bool] = {}

    def sees(kind: str, entity_id: str) -> bool:
        key = Key(kind, entity_id)
        if key not in seen:
            seen[key] = key in bodies and is_visible(bodies, key, tenants)
        return seen[key]

    return sees


def _asks_for_hidden(sought: Sought, sees: IsVisible | None) -> bool:
    """Whether what somebody looks for by name is nothing that he sees: no count is to tell of it."""
    if sees is None:
        return False
    named = (("route", sought.route), ("instance", sought.instance))
    return sought.service is not None or any(
        entity_id is not None and not sees(kind, entity_id) for kind, entity_id in named
    )
