"""What the layers of an exchange share: what it holds, and until when it waits for what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fengling_gateway.balancing.instance import InstanceState
from fengling_gateway.balancing.service import Service
from fengling_gateway.dataplane import phases
from fengling_gateway.dataplane.admission import Admission
from fengling_gateway.dataplane.listener import Peer
from fengling_gateway.dataplane.pool import UpstreamPool
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.dataplane.streams import DownstreamStream, UpstreamStream
from fengling_gateway.dataplane.sweeper import NEVER
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.framing import NO_BODY
from fengling_gateway.http.head import RequestHead
from fengling_gateway.http.headers import NO_PAIRS, Pair
from fengling_gateway.records.ended import Attempt
from fengling_gateway.routing.plan import ForwardPlan

if TYPE_CHECKING:
    from fengling_gateway.dataplane.tunnel import Tunnel

_ROUTING: Final = phases.ROUTING
_SENDING: Final = phases.SENDING
_WAITING: Final = phases.WAITING
_ANSWERING: Final = phases.ANSWERING


class Tried(NamedTuple):
    """An attempt that has failed, and was followed by another."""

    instance: InstanceState
    error: ForwardError
    began: float
    connected: float
    ended: float

    def told(self, started: float) -> Attempt:
        """Return it as it is told of an exchange that has started then."""
        return Attempt(
            self.instance.instance.id,
            self.instance.instance.address,
            self.error,
            self.began - started,
            self.connected - self.began if self.connected else None,
            self.ended - self.began,
        )


class ExchangeBase:
    """
    A request that is being dealt with.

    Attributes:
        request_id: the client's, if it is trusted, or ours.
        is_request_ended: whether all of the request has arrived.
        status: of the answer; 0 until it begins.
        instance: who is asked at present.

    Times are those of `PlaneState.seconds`; 0.0 is never. ``_attempt_at``: when the
    present attempt began; ``_connected_at``: when it had its connection, if it had to
    wait for one; ``_first_byte_at``: when its answer began. ``_asked`` is whom it asks,
    also when it is over; ``_tried`` are those before it, as `Tried`.
    """

    __slots__ = (
        "_admission",
        "_asked",
        "_attempt_at",
        "_attempts_left",
        "_body_counted",
        "_body_due",
        "_connected_at",
        "_first_byte_at",
        "_has_retried_fresh",
        "_held",
        "_interims",
        "_is_downstream_blocked",
        "_is_upstream_blocked",
        "_is_waiting_for_body",
        "_peer",
        "_phase",
        "_phase_deadline",
        "_plan",
        "_plane",
        "_pool",
        "_received",
        "_revision",
        "_route_id",
        "_route_path",
        "_sent",
        "_service",
        "_service_id",
        "_started",
        "_tenant",
        "_total_deadline",
        "_trace_pairs",
        "_traced",
        "_trailers",
        "_tried",
        "_tunnel",
        "_upgrade",
        "_upstream",
        "_was_busy",
        "_was_held_up",
        "downstream",
        "head",
        "instance",
        "is_request_ended",
        "request_id",
        "status",
    )

    def __init__(
        self,
        plane: PlaneState,
        downstream: DownstreamStream,
        head: RequestHead,
        peer: Peer,
    ) -> None:
        self._plane = plane
        self.downstream = downstream
        self.head = head
        self._peer = peer
        self._revision = plane.revision
        self.request_id = head.request_id or plane.new_request_id()
        self.is_request_ended = head.framing in {NO_BODY, 0}
        self.status = 0
        self.instance: InstanceState | None = None
        self._upstream: UpstreamStream | None = None
        self._pool: UpstreamPool | None = None  # that it waits in
        self._plan: ForwardPlan = None  # type: ignore[assignment]  # until it is chosen
        self._service: Service = None  # type: ignore[assignment]
        self._admission: Admission | None = None
        self._attempts_left = 0
        self._phase = _ROUTING
        self._route_id = ""
        self._service_id = ""
        self._tenant: str | None = None
        self._received = 0
        self._sent = 0
        self._route_path = ""
        self._traced: Any = None
        self._trace_pairs = NO_PAIRS
        if plane.tracing is not None:
            self._trace_pairs, self._traced = plane.tracing.sampler.begin(
                head.traceparent, head.tracestate
            )
        self._asked: InstanceState | None = None
        self._tried: list[Tried] | None = None
        self._connected_at = self._first_byte_at = 0.0
        self._held: list[bytes] | None = None
        self._trailers: list[Pair] = NO_PAIRS
        self._upgrade: bytes | None = None  # what it may go on in
        self._tunnel: Tunnel | None = None
        self._interims = 0
        self._has_retried_fresh = False
        self._was_busy = False  # an instance that it was to go to
        self._is_downstream_blocked = False
        self._is_upstream_blocked = False
        self._total_deadline = NEVER
        self._phase_deadline = NEVER
        self._body_due = NEVER
        self._body_counted = 0
        self._was_held_up = False
        self._is_waiting_for_body = False
        if not self.is_request_ended:
            self._watch_body()
        self._started = self._attempt_at = plane.seconds()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.request_id.decode()} phase={self._phase} status={self.status}>"

    def fail(self, error: ForwardError) -> None:
        """Tell the client of a failure, and whose it is may count; another layer knows how."""
        raise NotImplementedError

    def _end_in(self, error: ForwardError) -> None:
        """Tell the client of a failure that has been counted."""
        raise NotImplementedError

    # Deadlines

    def arm(self, seconds: float) -> None:
        """Let `deadline_passed` be called after so long, unless something else is due before."""
        deadline = self._phase_deadline = self._plane.sweeper.now + seconds
        self._settle_deadline(deadline)

    def _settle_deadline(self, deadline: float) -> None:
        total, due = self._total_deadline, self._body_due
        if total < deadline:  # noqa: PLR1730
            deadline = total
        self.downstream.deadline = deadline if deadline < due else due  # noqa: FURB136

    def _watch_body(self) -> None:
        """Judge after a while how fast the body has come."""
        listener = self._peer.listener
        self._body_counted = self._received
        self._was_held_up = False
        if listener.min_body_bytes:
            self._body_due = self._plane.sweeper.now + listener.body_grace

    def _judge_body(self) -> None:
        """Fail for a client that sends too slowly; it is not judged by what we did not read."""
        too_slow = self._received - self._body_counted < self._peer.listener.min_body_bytes
        if self.is_request_ended:
            self._body_due = NEVER
        elif too_slow and not self._was_held_up and not self._awaits_continue():
            self.fail(ForwardError.REQUEST_BODY_TIMEOUT)
            return
        else:
            self._watch_body()
            # Whoever does not read it now holds up what comes next, too.
            self._was_held_up = self._is_upstream_blocked or (
                self._upstream is None and not self._is_waiting_for_body
            )
        self._settle_deadline(self._phase_deadline)

    def _awaits_continue(self) -> bool:
        """Whether the client waits to be asked for its body, and has not been."""
        return self.head.expects_continue and not self._received and self._phase != _SENDING

    def _arm_first_byte(self) -> None:
        timeout = self._plan.first_byte_timeout
        self.arm(self._service.first_byte_timeout if timeout is None else timeout)

    def _arm_idle(self) -> None:
        timeout = self._plan.idle_timeout
        self.arm(self._service.idle_timeout if timeout is None else timeout)

    def _arm_progress(self) -> None:
        """Start the present phase's timeout anew: something moved."""
        if self._phase == _WAITING:
            self._arm_first_byte()
        elif self._phase in {_SENDING, _ANSWERING}:
            self._arm_idle()
