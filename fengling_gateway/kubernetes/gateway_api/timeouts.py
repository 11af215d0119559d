"""Timeouts of a rule, as the policy ``timeouts`` has them. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from fengling_gateway.kubernetes.gateway_api.http_routes import Rule
from fengling_gateway.kubernetes.gateway_api.world import Problem
from fengling_gateway.model.policies import MAX_TIMEOUT, MIN_TIMEOUT

_DURATION: Final = re.compile(r"(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}")
_PART: Final = re.compile(r"([0-9]+)(h|ms|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds(text: str) -> float | None:
    """Return a duration of the Gateway API (GEP-2257) in seconds; None for what is none."""
    if not _DURATION.fullmatch(text):
        return None
    return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def compile_timeouts(rule: Rule, where: str, problems: list[Problem]) -> dict[str, Any]:
    """
    Return the policy; empty where the rule says nothing of timeouts.

    A try at an instance has no timeout as a whole here: what a backend's is, is that until its
    answer begins, and where there is no other that of the whole exchange.
    """
    request = _read(rule.request_timeout, f"{where}.timeouts.request", problems)
    backend = _read(rule.backend_timeout, f"{where}.timeouts.backendRequest", problems)
    policy: dict[str, Any] = {}
    if request is not None:
        policy["total"] = _bounded(request)
    elif backend is not None:
        policy["total"] = _bounded(backend)
    if backend is not None:
        # (Null would be the service's: without end is as long as there is.)
        policy["first_byte"] = _bounded(backend) or MAX_TIMEOUT
    elif request is not None:
        # The service's own would else end what the rule gives more time to.
        policy["first_byte"] = _bounded(request) or MAX_TIMEOUT
    return policy


def _read(text: str | None, where: str, problems: list[Problem]) -> float | None:
    if text is None:
        return None
    found = seconds(text)
    if found is None:
        problems.append(Problem("UnsupportedValue", f"{where}: {text} is no duration like 1m30s"))
    return found


def _bounded(timeout: float) -> float | None:
    """Return a timeout in the range there is; None for 0, which is without end."""
    return min(max(timeout, MIN_TIMEOUT), MAX_TIMEOUT) if timeout else None
