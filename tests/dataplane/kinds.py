"""The kinds of transports that tests with real sockets run with, each on the reactor of its own."""

from __future__ import annotations

from typing import Any, Final

import pytest

_FAST: Final[dict[str, Any]] = {"transports": "fast", "reactor": "lean"}
_STOCK: Final[dict[str, Any]] = {"transports": "stock", "reactor": "stock"}
_STOCK_TLS: Final[dict[str, Any]] = {"tls_transport": "stock"}

TRANSPORTS: Final = pytest.mark.parametrize("kinds", [_FAST, _STOCK], ids=["fast", "stock"])
TLS_TRANSPORTS: Final = pytest.mark.parametrize(
    "kinds",
    [_FAST, _STOCK, _FAST | _STOCK_TLS, _STOCK | _STOCK_TLS],
    ids=["fast", "stock", "stock TLS", "all stock"],
)
