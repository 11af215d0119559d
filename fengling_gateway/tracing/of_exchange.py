"""What is told of every exchange that has ended, as what spans are made of."""

from __future__ import annotations

from typing import Final

from fengling_gateway.http.forward_error import Phase
from fengling_gateway.records.ended import Attempt as Told
from fengling_gateway.records.ended import Ended
from fengling_gateway.tracing.sampling import Traced
from fengling_gateway.tracing.spans import Attempt, Recorded

_WITHOUT_CONNECTION: Final = frozenset({Phase.CONNECT})


def recorded_of(
    ended: Ended, traced: Traced, *, route_path: str, forwarded: bytes = b""
) -> Recorded:
    """
    Return what spans are made of.

    Args:
        route_path: the template of the route; empty where it came to none.
        forwarded: the target that instances were asked for, if it is not the client's.
    """
    head = ended.head
    assert head is not None, "what was no request is part of no trace"
    started = ended.at - ended.seconds
    last = len(ended.attempts) - 1
    return Recorded(
        traced=traced,
        started=started,
        ended=ended.at,
        method=head.method,
        target=head.target,
        scheme=ended.scheme.decode("latin-1"),
        host=head.host_header or b"",
        minor=head.minor,
        client=ended.client,
        peer=ended.peer,
        user_agent=head.header(b"user-agent") or b"",
        status=ended.status,
        error=None if ended.error is None else ended.error.code,
        request_id=ended.request_id,
        route=ended.route,
        route_path=route_path,
        service=ended.service,
        tenant=ended.tenant or "",
        revision=ended.revision,
        attempts=[
            _attempt(one, traced.attempt_id(number), started, ended if number == last else None)
            for number, one in enumerate(ended.attempts)
        ],
        forwarded=forwarded,
    )


def _attempt(one: Told, span_id: bytes, started: float, whole: Ended | None) -> Attempt:
    """Return an attempt; `whole` is the exchange where it is the last one, which ends with it."""
    began = started + one.began
    settled = began if one.seconds is None else began + one.seconds
    has_connection = one.error is None or one.error.phase not in _WITHOUT_CONNECTION
    has_answer = one.first_byte is not None
    waited = one.connect or 0.0
    return Attempt(
        span_id=span_id,
        instance=one.instance,
        address=one.address,
        started=began,
        connected=began + waited if has_connection else None,
        first_byte=settled if has_answer else None,
        ended=settled if whole is None else whole.at,
        status=whole.status if whole is not None and has_answer else 0,
        error=None if one.error is None else one.error.code,
        is_reused=has_connection and one.connect is None,
    )
