"""Recorded exchanges, valid by default."""

from __future__ import annotations

from typing import Any

from fengling_gateway.tracing.sampling import Traced
from fengling_gateway.tracing.spans import Attempt, Recorded

TRACE = b"%032x" % 0x0AF7651916CD43DD8448EB211C80319C
CALLER = b"%016x" % 0xB7AD6B7169203331
OURS = b"%016x" % 0x00F067AA0BA902B7


def attempt(number: int = 1, **changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "span_id": b"%016x" % number,
        "instance": f"i{number}",
        "address": f"http://10.0.0.{number}:8080",
        "started": 1000.001,
        "connected": 1000.002,
        "first_byte": 1000.01,
        "ended": 1000.02,
        "status": 200,
    }
    return Attempt(**values | changes)


def recorded(*attempts: Attempt, **changes: Any) -> Recorded:
    values: dict[str, Any] = {
        "traced": Traced(TRACE, OURS, CALLER, b"a=1"),
        "started": 1000.0,
        "ended": 1000.03,
        "method": b"GET",
        "target": b"/orders/7?token=secret&page=2",
        "scheme": "https",
        "host": b"api.example",
        "minor": 1,
        "client": "192.0.2.7",
        "peer": "10.0.0.250",
        "user_agent": b"curl/8",
        "status": 200,
        "error": None,
        "request_id": b"r-1",
        "route": "orders",
        "route_path": "/orders/{id}",
        "service": "shop",
        "tenant": "acme",
        "revision": 12,
        "attempts": attempts or (attempt(),),
    }
    return Recorded(**values | changes)
