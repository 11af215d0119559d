"""When the instances of a service are ejected, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class EjectionPolicy(NamedTuple):
    """
    The policy ``ejection`` of a service.

    Attributes:
        consecutive: failures in a row after which an instance is ejected.
        base: seconds of the first ejection.
        max_share: of the instances that stand in for one another, the largest part
            that may be ejected.
    """

    consecutive: int
    base: float
    max_share: float


def compile_ejection(policies: Mapping[str, Any]) -> EjectionPolicy | None:
    """Compile what effective policies say; None where nobody is to be ejected."""
    policy = policies.get("ejection")
    return None if policy is None else EjectionPolicy(**policy)
