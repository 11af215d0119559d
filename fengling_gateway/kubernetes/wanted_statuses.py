"""Which statuses of the Gateway API's objects are not as they are to be. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from fengling_gateway.kubernetes.gateway_api.merging import merged_status
from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef
from fengling_gateway.kubernetes.gateway_api.world import Translation
from fengling_gateway.kubernetes.resources import HTTP_ROUTES, Resource
from fengling_gateway.model.entity import Key

Status = dict[str, Any]

_MAX_REFUSAL: Final = 1000
"""Characters of what the configuration refuses of a route."""


class _Judged(NamedTuple):
    """Whether a status that is there is as it is wanted, looked at once."""

    there: Mapping[str, Any] | None
    wanted: Status
    is_so: bool


class WantedStatuses:
    """
    What statuses are to be, beside what they are as far as that is known here.

    Args:
        controller: whose parents of an HTTPRoute are ours.
    """

    def __init__(self, controller: str) -> None:
        self._controller = controller
        self._wanted: dict[ObjectRef, Status] = {}
        self._there: dict[ObjectRef, Mapping[str, Any] | None] = {}
        # (Of hundreds few change at a time, and each look takes a while.)
        self._judged: dict[ObjectRef, _Judged] = {}

    def __repr__(self) -> str:
        return f"<WantedStatuses: {len(self._wanted)} of {len(self._there)} objects>"

    # What they are

    def heard(self, ref: ObjectRef, status: Mapping[str, Any] | None) -> None:
        """Note the status that an object has."""
        self._there[ref] = status

    def gone(self, ref: ObjectRef) -> None:
        self._there.pop(ref, None)
        self._judged.pop(ref, None)

    def forget(self, resource: Resource) -> None:
        """Note that no object of a resource is known."""
        for ref in [one for one in self._there if one.resource == resource]:
            self.gone(ref)

    # What they are to be

    def want(self, now: Translation, refused: Mapping[ObjectRef, Sequence[str]]) -> None:
        """
        Want statuses to be so, and no others.

        Args:
            refused: what the configuration refuses of an HTTPRoute, which then isn't accepted, and
                not counted either.
        """
        self._wanted = dict(now.statuses)
        for route, why in refused.items():
            self._wanted[route] = _with_refusals(self._wanted[route], why)
            for gateway, listener in now.attached[route]:
                self._wanted[gateway] = _with_one_less(self._wanted[gateway], listener)

    def is_so(self, ref: ObjectRef) -> bool:
        """Whether there is nothing to write: also of an object that is gone, or not ours."""
        wanted = self._wanted.get(ref)
        if wanted is None or ref not in self._there:
            return True
        there, known = self._there[ref], self._judged.get(ref)
        if known is None or known.there is not there or known.wanted != wanted:
            is_so = merged_status(there, wanted, "", self._controller) is None
            known = self._judged[ref] = _Judged(there, wanted, is_so)
        return known.is_so

    def untrue(self) -> dict[ObjectRef, Status]:
        """Return the statuses that are to be written."""
        return {ref: status for ref, status in self._wanted.items() if not self.is_so(ref)}


def refused_routes(now: Translation, refused: Mapping[Key, str]) -> dict[ObjectRef, list[str]]:
    """Return what the configuration refuses, by the HTTPRoutes that it is of."""
    found: dict[ObjectRef, list[str]] = {}
    for key, why in sorted(refused.items()):
        ref = now.origins.get(key.id) if key.kind == "route" else None
        if ref is not None and ref.resource == HTTP_ROUTES:
            found.setdefault(ref, []).append(why)
    return found


def _with_refusals(status: Status, refused: Sequence[str]) -> Status:
    """Return the status of a route of which the configuration refuses something."""
    why = "; ".join(refused)[:_MAX_REFUSAL]

    def judged(condition: Mapping[str, Any]) -> Mapping[str, Any]:
        if condition["type"] != "Accepted" or condition["status"] != "True":
            return condition
        return {**condition, "status": "False", "reason": "UnsupportedValue", "message": why}

    return {
        **status,
        "parents": [
            {**one, "conditions": [judged(condition) for condition in one["conditions"]]}
            for one in status.get("parents", ())
        ],
    }


def _with_one_less(status: Status, listener: str) -> Status:
    """Return the status of a Gateway without one of the routes that its listener counts."""
    return {
        **status,
        "listeners": [
            {**one, "attachedRoutes": one["attachedRoutes"] - (one["name"] == listener)}
            for one in status["listeners"]
        ],
    }
