"""Answers that the gateway gives by itself: problems, redirects and fixed responses."""

from __future__ import annotations

from typing import Final

from fengling_gateway.dataplane.state import PlaneState, Revision
from fengling_gateway.dataplane.streams import DownstreamStream
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.framing import NO_BODY
from fengling_gateway.http.head import RequestHead
from fengling_gateway.http.headers import NO_PAIRS, Pair
from fengling_gateway.http.problem import CONTENT_TYPE, REASONS, problem_body
from fengling_gateway.routing.plan import RedirectPlan, RespondPlan

_RETRY_AFTER: Final = (b"Retry-After", b"1")
_ALLOW: Final = (b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")


def problem(
    plane: PlaneState, revision: Revision, error: ForwardError, request_id: bytes
) -> tuple[list[Pair], bytes]:
    """
    Return the headers and the body that tell a client of a failure.

    Args:
        revision: by which the request was served.
    """
    pairs = [
        (b"Content-Type", CONTENT_TYPE),
        (b"Cache-Control", b"no-store"),
        (b"X-Content-Type-Options", b"nosniff"),
        (b"X-Gateway-Error", error.code.encode()),
        (b"X-Request-Id", request_id),
        plane.date,
        *revision.extra_pairs,
    ]
    if error.status == 503:
        pairs.append(_RETRY_AFTER)
    elif error is ForwardError.METHOD_REFUSED:
        pairs.append(_ALLOW)
    return pairs, problem_body(error, request_id)


def answer_plan(
    plane: PlaneState, head: RequestHead, plan: RedirectPlan | RespondPlan
) -> tuple[int, list[Pair], bytes]:
    """Return the status, headers and body of a route that answers by itself."""
    pairs: list[Pair]
    if isinstance(plan, RedirectPlan):
        path = head.path if plan.edit_path is None else plan.edit_path.apply(head.path)
        location = plan.location.fill(head.host_header or b"", path, head.query, head.host)
        pairs, body = [(b"Location", location)], b""
    else:
        pairs, body = list(plan.headers), plan.body
    pairs = plan.response_headers.apply([*pairs, plane.date])
    return plan.status, pairs + plane.revision.extra_pairs, body


def send(
    downstream: DownstreamStream, method: bytes, status: int, pairs: list[Pair], body: bytes
) -> int:
    """
    Send an answer that is at hand, without its body where it must have none.

    Returns:
        How many bytes of the body were sent.
    """
    reason = REASONS.get(status, b"")
    sent = 0
    if status in {204, 304}:
        downstream.send_head(status, reason, pairs, NO_BODY)
    elif method == b"HEAD":
        length = (b"Content-Length", b"%d" % len(body))
        downstream.send_head(status, reason, [*pairs, length], NO_BODY)
    else:
        sent = len(body)
        downstream.send_head(status, reason, pairs, len(body))
        if body:
            downstream.send_data(body)
    downstream.send_end(NO_PAIRS)
    return sent
