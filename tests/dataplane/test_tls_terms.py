"""On what terms connections to instances are opened, and until when these hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fengling_gateway.dataplane import tls_upstream
from fengling_gateway.dataplane.tls_upstream import ClientTls


def test_forgotten_terms_do_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of connections that could not be told of a change any more are given up at once."""
    monkeypatch.setattr(tls_upstream, "MAX_TERMS", 2)
    plane: Any = SimpleNamespace(snapshot=SimpleNamespace(services={}))
    tls = ClientTls(plane)
    instances: list[Any] = [
        SimpleNamespace(service_id="s", host=f"{name}.example") for name in "abc"
    ]
    first, second, third = (tls.terms_for(one) for one in instances)
    assert (first.hold, second.hold, third.hold) == (False, True, True)
    assert tls.terms_for(instances[1]) is second
    tls.changed()
    assert (second.hold, third.hold) == (False, False)
