"""What holds beside the configuration: what somebody has switched off, and whether health counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self


class Overrides(NamedTuple):
    """
    All of it. Ids of what is not configured, or not yet, mean nothing, and are kept.

    Attributes:
        routes, instances: ids of those that are switched off.
        health_is_stale: nobody has probed for so long that what is reported of
            instances counts no more: unhealthy is unknown.
    """

    routes: frozenset[str] = frozenset()
    instances: frozenset[str] = frozenset()
    health_is_stale: bool = False

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return what the payload of `Message.OVERRIDES` says."""
        return cls(
            frozenset(values["routes"]),
            frozenset(values["instances"]),
            bool(values["health_is_stale"]),
        )


NO_OVERRIDES: Final = Overrides()
