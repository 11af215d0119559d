"""Limits as the configuration would have them."""

from __future__ import annotations

from typing import Any

from fengling_gateway.limiting.limit import ConcurrencyLimit, Limit, compile_limits
from fengling_gateway.model.limits import concurrency, rate_limit
from fengling_gateway.model.problems import Report


def limits(*policies: dict[str, Any], where: str = "route:orders") -> tuple[Limit, ...]:
    """Return limits; of each, the terms that differ from 10/s."""
    report = Report()
    policy = rate_limit([{"rate": "10/s", **one} for one in policies], report)
    assert not report.found, report.found
    return compile_limits(policy, where)


def limit(**terms: Any) -> Limit:
    (one,) = limits(terms)
    return one


def at_once(most: int, **terms: Any) -> ConcurrencyLimit:
    report = Report()
    policy = concurrency({"limit": most, **terms}, report)
    assert not report.found, report.found
    return ConcurrencyLimit(policy, "route:orders")
