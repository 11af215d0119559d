"""Whose fault a failure is, and what it means, in a sentence. Pure."""

from __future__ import annotations

from enum import Enum, unique
from typing import Final

from fengling_gateway.http.forward_error import ForwardError, Side
from fengling_gateway.records.notable import ANSWERED, FAILED


@unique
class Fault(Enum):
    """Who can do something about it."""

    CLIENT = "client"
    INSTANCE = "instance"
    OPERATOR = "operator"
    """What is configured, or is not: by whoever writes routes and services, or runs the host."""
    GATEWAY = "gateway"


_OPERATORS: Final = frozenset(
    (
        ForwardError.NO_CONFIGURATION,
        ForwardError.KEYS_UNAVAILABLE,
        ForwardError.LIMIT_UNAVAILABLE,
        ForwardError.LOOP_DETECTED,
        ForwardError.ROUTE_SWITCHED_OFF,
        ForwardError.NO_SERVICE,
        ForwardError.CONNECTION_LIMIT,
        ForwardError.ADDRESS_REFUSED,
        ForwardError.RESOLVE_FAILED,
        ForwardError.TUNNEL_WITHDRAWN,
        ForwardError.DRAIN_DEADLINE,
    )
)
"""Failures that somebody has configured, or should have."""

_INSTANCES: Final = frozenset(
    (
        ForwardError.NO_INSTANCE,
        ForwardError.UPSTREAM_BUSY,
        ForwardError.UPSTREAM_WAIT_TIMEOUT,
        ForwardError.TOTAL_TIMEOUT,
    )
)
"""Failures that the gateway decides on, because instances are away or too slow."""

SLOW_MEANS: Final = "The answer's first byte was long in coming."
ANSWERED_MEANS: Final = "The instance answered with a status of 500 or more."


def fault_of(error: ForwardError) -> Fault:
    """Return whose fault a failure most likely is."""
    if error in _OPERATORS:
        return Fault.OPERATOR
    if error in _INSTANCES or error.side is Side.UPSTREAM:
        return Fault.INSTANCE
    return Fault.CLIENT if error.side is Side.DOWNSTREAM else Fault.GATEWAY


def verdict(kind: str, code: str | None, *, was_asked: bool) -> tuple[str, str]:
    """
    Return whose fault an exchange's failure most likely is, and what it means.

    Args:
        kind: one of `notable.KINDS`.
        code: of its error, perhaps one of another version.
        was_asked: whether an instance was.
    """
    if kind == FAILED:
        error = ForwardError.__members__.get((code or "").upper())
        if error is None:
            return Fault.GATEWAY.value, "Another version of the gateway knows what this means."
        return fault_of(error).value, error.title
    slow_one = Fault.INSTANCE if was_asked else Fault.GATEWAY
    return slow_one.value, ANSWERED_MEANS if kind == ANSWERED else SLOW_MEANS
