"""Which trailers pass."""

from __future__ import annotations

import pytest

from fengling_gateway.http.headers import RESPONSE_ROLES, request_roles
from fengling_gateway.http.trailers import forwardable

REFUSED = [
    *("Content-Length", "transfer-encoding", "Host", "Connection", "Trailer", "TE", "Via"),
    *("Authorization", "Cookie", "Set-Cookie", "Content-Type", "Expect", "If-Match", "Date"),
    *("X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Tenant-Id", "X_Tenant_Id", "x_forwarded_for"),
    *("X-Gateway-Error", "X-Request-Id", "Content_Length"),
]


@pytest.mark.parametrize("name", REFUSED)
def test_trailer_that_belongs_into_a_head_is_dropped(name: str) -> None:
    """A receiver might read it as if it had stood there."""
    assert forwardable([(name.encode(), b"1")], request_roles()) == []


def test_other_trailers_pass_as_they_are() -> None:
    """In order, repeated ones too; but not what Connection calls hop-by-hop."""
    pairs = [(b"Digest", b"a"), (b"grpc-status", b"0"), (b"Digest", b""), (b"X-Hop", b"1")]
    assert forwardable(pairs, RESPONSE_ROLES, {b"x-hop"}) == pairs[:3]
