"""An exchange that says in its answer how it went, for whoever may know.

There is one where a request has a good ``X-Gateway-Debug`` header; all others
are plain ones and read no clock for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from fengling_gateway.dataplane.answer_side import AnswerSide
from fengling_gateway.dataplane.exchange import Exchange
from fengling_gateway.dataplane.request_side import RequestSide
from fengling_gateway.dataplane.state import PlaneState, Revision
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.headers import Pair
from fengling_gateway.http.response_head import ResponseHead

if TYPE_CHECKING:
    from fengling_gateway.balancing.instance import InstanceState
    from fengling_gateway.dataplane.listener import Peer
    from fengling_gateway.dataplane.streams import DownstreamStream, UpstreamStream
    from fengling_gateway.http.head import RequestHead

DEBUG_HEADER: Final = b"X-Gateway-Debug"
_LOWER: Final = DEBUG_HEADER.lower()

_NOT_YET: Final = -1.0


def new_exchange(
    plane: PlaneState, downstream: DownstreamStream, head: RequestHead, peer: Peer
) -> Exchange:
    """Return the exchange of a request with a debug header: a plain one, unless that is good."""
    counters = plane.counters
    asked = None if head.debug is None else plane.debug_id_in(head.debug)
    if asked is not None:
        counters.debugged += 1
        return DebuggedExchange(plane, downstream, head, peer, asked)
    counters.debug_headers_refused += 1
    return Exchange(plane, downstream, head, peer)


class DebuggedExchange(Exchange):
    """
    Measures its phases, and adds to its answer which route, service and instance it is from.

    A phase that there was not is null: no connection was opened where a kept one was used, and
    what the gateway answers by itself has no first byte of an instance.

    Args:
        asked: what the answer repeats, so that whoever asked knows that it is no instance's.
    """

    __slots__ = (
        "_answered_at",
        "_chosen_at",
        "_debug_id",
        "_dialed_at",
        "_extra",
        "_sends_at",
    )

    def __init__(
        self,
        plane: PlaneState,
        downstream: DownstreamStream,
        head: RequestHead,
        peer: Peer,
        asked: str,
    ) -> None:
        super().__init__(plane, downstream, head, peer)
        if plane.tracing is not None and self._traced is None:
            self._trace_pairs, self._traced = plane.tracing.sampler.begin(
                head.traceparent, head.tracestate, is_forced=True
            )
        self._debug_id = asked
        self._extra: list[Pair] | None = None  # of the revision; None until it is told
        self._chosen_at = self._dialed_at = _NOT_YET
        self._sends_at = self._answered_at = _NOT_YET

    # Methods of the data plane's own are called by their classes: of those, super() in C knows
    # nothing.

    # When what happens

    def queued(self) -> None:
        self._note_choice()
        super().queued()

    def connecting(self) -> None:
        self._note_choice()
        self._dialed_at = self._plane.seconds()
        super().connecting()

    def connected(self, upstream: UpstreamStream) -> None:
        self._note_choice()
        self._sends_at = self._plane.seconds()
        RequestSide.connected(self, upstream)

    def _note_choice(self) -> None:
        if self._chosen_at == _NOT_YET:
            self._chosen_at = self._plane.seconds()

    def _retry(self, instance: InstanceState, must_be_fresh: bool, error: ForwardError) -> None:
        self._dialed_at = self._sends_at = _NOT_YET
        super()._retry(instance, must_be_fresh, error)

    # Ways to answer

    def response_begun(self, response: ResponseHead, framing: int) -> None:
        self._answered_at = self._plane.seconds()
        response.forward = _without_own(response.forward)
        self._tell()
        AnswerSide.response_begun(self, response, framing)

    def _switch(self, response: ResponseHead) -> None:
        self._answered_at = self._plane.seconds()
        response.forward = [*_without_own(response.forward), self._pair()]
        super()._switch(response)

    def _answer(self, status: int, pairs: list[Pair], body: bytes) -> None:
        self._note_choice()
        AnswerSide._answer(self, status, [*pairs, self._pair()], body)

    def _end_in(self, error: ForwardError) -> None:
        self._note_choice()
        self._tell()
        AnswerSide._end_in(self, error)

    # What is said

    def _tell(self) -> None:
        """Have it among the headers that every answer gets."""
        revision = self._revision
        if self._extra is None:
            self._extra = revision.extra_pairs
        tenant = revision.tenant_header.decode("latin-1")
        self._revision = Revision(revision.number, {"tenant": tenant}, [*self._extra, self._pair()])

    def _pair(self) -> Pair:
        instance = self.instance
        configured = None if instance is None else instance.instance
        position = self._plane.snapshot.position
        said: dict[str, Any] = {
            "id": self._debug_id,
            "route": self._route_id or None,
            "service": self._service_id or None,
            "tenant": self._tenant,
            "instance": None if configured is None else configured.id,
            "address": None if configured is None else configured.address,
            "attempts": len(self._tried or ()) + (configured is not None),
            "worker": self._plane.worker_name,
            "revision": None if position is None else position.revision,
            "phases": self._phases(),
        }
        return (DEBUG_HEADER, json.dumps(said, separators=(",", ":")).encode())

    def _phases(self) -> dict[str, float | None]:
        chosen, connected = self._chosen_at, self._sends_at
        return {
            "match_us": _between(self._started, chosen, 1e6),
            "connect_ms": _between(self._dialed_at, connected, 1e3),
            "first_byte_ms": _between(connected, self._answered_at, 1e3),
            "total_ms": _between(self._started, self._plane.seconds(), 1e3),
        }


def _between(begin: float, end: float, per_second: float) -> float | None:
    """Return how long it took; None where it has not begun, or not ended."""
    if min(begin, end) < 0:  # not yet
        return None
    return round(max(0.0, end - begin) * per_second, 3)


def _without_own(pairs: list[Pair]) -> list[Pair]:
    """Return an instance's headers without one of this name: what it says of itself is no answer."""
    return [pair for pair in pairs if pair[0].lower() != _LOWER]
