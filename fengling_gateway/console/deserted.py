"""Services that get requests and have nobody to send them to. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from fengling_gateway.routing.snapshot import Snapshot

ROUTES_LOOKED_AT: Final = 100
"""Of a service without instances: one of them mostly is enabled, and one is enough."""


def deserted_services(
    snapshot: Snapshot, switched_off: Collection[str], *, now: float
) -> Iterator[str]:
    """
    Yield the ids of services that routes lead to, and of whose instances none takes requests.

    Health does not count: where everybody is unhealthy everybody is asked.
    Neither do services and routes that are disabled, as whoever did that wants it, and routes
    that are not valid yet, or no longer.

    Args:
        switched_off: what is, as ``route/ID`` and ``instance/ID``.
        now: seconds since the epoch.
    """
    for service_id in snapshot.dependents:
        service = snapshot.services.get(service_id)
        if service is None or not service.enabled:
            continue
        taking = (
            one.weight > 0 and one.state == "ready" and f"instance/{one.id}" not in switched_off
            for one in snapshot.members.get(service_id) or ()
        )
        if not any(taking) and _is_led_to(snapshot, service_id, switched_off, now):
            yield service_id


def _is_led_to(
    snapshot: Snapshot, service_id: str, switched_off: Collection[str], now: float
) -> bool:
    ids = snapshot.dependents.get(service_id) or ()
    for route_id in islice((ids,) if isinstance(ids, str) else ids, ROUTES_LOOKED_AT):
        body = snapshot.bodies["route"].get(route_id)
        if body is None or f"route/{route_id}" in switched_off:
            continue
        route = json.loads(body)
        has_share = route["service_id"] == service_id or (route["split"] or {}).get(service_id)
        if route["enabled"] and has_share and _is_valid(route, now):
            return True
    return False


def _is_valid(route: Mapping[str, Any], now: float) -> bool:
    start, end = route["valid_from"], route["valid_to"]
    return (start is None or start <= now) and (end is None or now < end)
