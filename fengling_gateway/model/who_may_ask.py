"""Who may ask a route, all levels of the configuration taken together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from fengling_gateway.model.entity import Key

PUBLIC: Final = "public"
"""What a route is whose mode is anonymous, also where nobody has said so."""

OPENNESS: Final = (PUBLIC, "optional", "required")
"""What a route may be, the most open first."""

_DEFAULTS: Final = Key("setting", "defaults")
_UNSAID: Final = object()

AuthPolicy = Mapping[str, Any]


class WhoMayAsk:
    """
    Finds what of the policy ``auth`` is effective: defaults, then service, then route.

    Args:
        bodies: canonical bodies; each is looked at when a route needs it, once.
    """

    def __init__(self, bodies: Mapping[Key, bytes]) -> None:
        self._bodies = bodies
        self._said: dict[Key, Any] = {}

    def policies(self, route: Mapping[str, Any]) -> list[AuthPolicy | None]:
        """
        Return what counts for a route, for each service that it may lead to.

        Args:
            route: its canonical body, as an object.

        Returns:
            Policies; None where everybody may ask. A route that leads to no service has one.
        """
        own = route["policies"].get("auth", _UNSAID)
        names = [route["service_id"]] if route["service_id"] else sorted(route["split"] or ())
        services = [self._said_by(Key("service", name)) for name in names] or [_UNSAID]
        defaults = self._said_by(_DEFAULTS)
        found = [_last(defaults, service, own) for service in services]
        return [one if one is not None and one["mode"] != "anonymous" else None for one in found]

    def openness(self, route: Mapping[str, Any]) -> str:
        """Return what a route is, one of `OPENNESS`; of a split, the most open of its ways."""
        ways = (PUBLIC if one is None else str(one["mode"]) for one in self.policies(route))
        return min(ways, key=OPENNESS.index)

    def _said_by(self, key: Key) -> Any:
        if key not in self._said:
            self._said[key] = self._read(key)
        return self._said[key]

    def _read(self, key: Key) -> Any:
        body = self._bodies.get(key)
        if body is None or b'"auth":' not in body:  # (which most have not, and it is quicker)
            return _UNSAID
        policies = json.loads(body)["value" if key == _DEFAULTS else "policies"]
        return policies.get("auth", _UNSAID)


def _last(*levels: Any) -> AuthPolicy | None:
    said: AuthPolicy | None = None
    for level in levels:
        if level is not _UNSAID:
            said = level
    return said
