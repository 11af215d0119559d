"""The layer of an exchange that brings the answer back: interim answers, tunnels, ends, deadlines."""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.dataplane import answers, phases
from fengling_gateway.dataplane.admission import Admission
from fengling_gateway.dataplane.credentials import hide_proof
from fengling_gateway.dataplane.request_side import RequestSide
from fengling_gateway.dataplane.sweeper import NEVER
from fengling_gateway.dataplane.tunnel import Tunnel
from fengling_gateway.http.forward_error import CLIENT_CLOSED_REQUEST, ForwardError
from fengling_gateway.http.framing import NO_BODY, TUNNEL
from fengling_gateway.http.headers import RESPONSE_ROLES, Pair
from fengling_gateway.http.response_head import ResponseHead
from fengling_gateway.http.trailers import forwardable
from fengling_gateway.http.transforms import NO_EDITS
from fengling_gateway.records.ended import Attempt, Ended, attempt_of, ended_of
from fengling_gateway.tracing.trace_context import TRACEPARENT

_ADMITTING: Final = phases.ADMITTING
_QUEUED: Final = phases.QUEUED
_CONNECTING: Final = phases.CONNECTING
_WAITING: Final = phases.WAITING
_ANSWERING: Final = phases.ANSWERING
_TUNNEL: Final = phases.TUNNEL
_OVER: Final = phases.OVER

NO_ATTEMPTS: Final[tuple[Attempt, ...]] = ()

MAX_INTERIM_ANSWERS: Final = 32
"""1xx heads an instance may send before its answer; a flood of them is no answer."""


class AnswerSide(RequestSide):
    """An answer on its way to the client, be it an instance's or one of ours."""

    __slots__ = ()

    # The answer

    def _answer(self, status: int, pairs: list[Pair], body: bytes) -> None:
        """Answer by ourselves, and be over."""
        seconds = self._finish()
        self._sent = answers.send(self.downstream, self.head.method, status, pairs, body)
        self._record(status, seconds, None)

    def response_interim(self, response: ResponseHead) -> None:
        """Pass an interim answer on to whoever can understand it."""
        self._interims += 1
        if response.status == 101:
            self._switch(response)
        elif self._interims > MAX_INTERIM_ANSWERS:
            self.fail(ForwardError.MALFORMED_RESPONSE)
        elif self.head.minor and (response.status != 100 or self.head.expects_continue):
            self.downstream.send_interim(response.status, response.reason, response.forward)
            if response.status == 100 and self._phase == _WAITING and not self.is_request_ended:
                self._body_begins()

    def response_begun(self, response: ResponseHead, framing: int) -> None:
        """Pass the answer's head on."""
        plane = self._plane
        self._first_byte_at = plane.seconds()
        status = self.status = response.status
        self._phase = _ANSWERING
        self._arm_idle()
        pairs = response.forward
        if framing == NO_BODY and response.content_length >= 0 and status != 204:
            # What the length would be: of the answer to a GET, or of what was not modified.
            pairs.append((b"Content-Length", b"%d" % response.content_length))
        if not response.has_date:
            pairs.append(plane.date)
        edits = self._plan.response_headers
        if edits is not NO_EDITS:
            pairs = edits.apply(pairs)
        if self._admission is not None:
            pairs = self._admission.edited(pairs)
        if self._revision.extra_pairs:
            pairs += self._revision.extra_pairs
        self.downstream.send_head(status, response.reason, pairs, framing)

    def response_data(self, data: bytes) -> None:
        """Pass a piece of the answer's body on."""
        self._sent += len(data)
        self.downstream.send_data(data)
        self._arm_idle()

    def response_ended(self, trailers: list[Pair]) -> None:
        """End the answer; some of its trailers are passed on. The connection is no longer ours."""
        self._upstream = None
        instance = self.instance
        if instance is not None and instance.failures:
            self._plane.passive.answered(instance)
        seconds = self._finish()
        if trailers:
            trailers = forwardable(trailers, RESPONSE_ROLES)
        self.downstream.send_end(trailers)
        self._record(self.status, seconds, None)

    def response_flush(self) -> None:
        """Note that no more of the answer is at hand."""
        self.downstream.flush()

    def downstream_blocked(self) -> None:
        """Note that the client reads slower than the instance sends."""
        self._is_downstream_blocked = True
        if self._upstream is not None:
            self._upstream.pause()

    def downstream_unblocked(self) -> None:
        """Note that the client reads on."""
        self._is_downstream_blocked = False
        self._arm_progress()
        if self._upstream is not None:
            self._upstream.resume()

    # A tunnel

    def _switch(self, response: ResponseHead) -> None:
        """Go on in another protocol, if it is the one that was offered (RFC 9110, 7.8)."""
        upstream, offer, protocol = self._upstream, self._upgrade, response.upgrade
        if (
            upstream is None
            or offer is None
            or protocol is None
            or protocol.lower() != offer.lower()
        ):
            self.fail(ForwardError.MALFORMED_RESPONSE)
            return
        self.status = 101
        self._first_byte_at = self._plane.seconds()
        self._phase = _TUNNEL
        if self.instance is not None and self.instance.failures:
            self._plane.passive.answered(self.instance)
        self._total_deadline = self._body_due = NEVER
        plane = self._plane
        admission = self._admission or self._new_admission(self._started)
        exchange: Any = self  # all of it
        tunnel = self._tunnel = Tunnel(
            exchange,
            upstream,
            protocol.lower(),
            admission,
            route_id=self._route_id,
            timeout=self._plan.tunnel_timeout,
            mask=plane.rng.getrandbits(32).to_bytes(4),
        )
        plane.tunnels[tunnel] = None
        pairs = [*response.forward, (b"Connection", b"Upgrade"), (b"Upgrade", protocol)]
        tunnel.moved()
        upstream.begin_tunnel(tunnel)
        self.downstream.send_head(101, response.reason, pairs, TUNNEL)
        self.downstream.begin_tunnel(tunnel)

    def _new_admission(self, now: float) -> Admission:
        return Admission(self._plane, self.head, self._route_id, self._tenant, now)

    def tunnel_ended(self, reason: ForwardError | None) -> None:
        """Close what both sides have ended; `reason` says why they were asked to, if they were."""
        upstream, self._upstream = self._upstream, None
        seconds = self._finish()
        if upstream is not None:
            upstream.close_tunnel()
        self.downstream.close_tunnel()
        self._record(101, seconds, reason)

    # Ends

    def request_malformed(self) -> None:
        """Give up on a request whose body is not well framed."""
        self.fail(ForwardError.MALFORMED_REQUEST_BODY)

    def client_gone(self) -> None:
        """Give up because nobody is left to be answered."""
        if self._phase == _OVER:
            return
        error = ForwardError.CLIENT_GONE_IN_RESPONSE if self.status else ForwardError.CLIENT_GONE
        if self.instance is not None:
            self.instance.unanswered += 1
        try:
            self._give_upstream_up()
        finally:
            self._record(self.status or CLIENT_CLOSED_REQUEST, self._finish(), error)

    def fail(self, error: ForwardError) -> None:
        """Tell the client of a failure, for which the instance may be to blame."""
        if self._phase == _OVER:
            return
        if self.instance is not None:
            self._plane.passive.failed(self.instance, error)
        self._end_in(error)

    def _end_in(self, error: ForwardError) -> None:
        """Tell the client, by a problem or, in the middle of an answer, by an abort."""
        if self.instance is not None:
            self.instance.unanswered += 1
        self._give_upstream_up()
        if self.status and not self.downstream.retract():
            seconds = self._finish()
            self.downstream.abort(error)
            self._record(self.status, seconds, error)
            return
        pairs, body = answers.problem(self._plane, self._revision, error, self.request_id)
        if self._admission is not None:
            pairs += self._admission.pairs
        seconds = self._finish()
        self._sent = answers.send(self.downstream, self.head.method, error.status, pairs, body)
        self._record(error.status, seconds, error)

    def _give_upstream_up(self) -> None:
        # Both may call back before they return; by then nothing is left to be given up.
        exchange: Any = self
        upstream, self._upstream = self._upstream, None
        pool, self._pool = self._pool, None
        if upstream is not None:
            upstream.abort()
        elif pool is not None:
            pool.give_up(exchange)

    def _finish(self) -> float:
        """
        Be over, and return how long it took.

        From here on nobody but the caller tells the client anything, so it does
        that next, and what might fail comes after it.
        """
        plane = self._plane
        tunnel = self._tunnel
        if tunnel is not None:
            plane.tunnels.pop(tunnel, None)
            self._received += tunnel.received
            self._sent += tunnel.sent
        if self._phase == _ADMITTING:
            plane.identities.wait_no_longer(self)
        if self._admission is not None:
            self._admission.leave()
        self._phase = _OVER
        self.downstream.deadline = NEVER
        if self.instance is not None:
            self.instance.in_flight -= 1
            self.instance = None
        plane.counters.in_flight_now -= 1
        seconds: float = plane.seconds() - self._started
        return seconds

    def _record(self, status: int, seconds: float, error: ForwardError | None) -> None:
        plane = self._plane
        began = self._first_byte_at
        if plane.counts_requests:
            plane.counters.record(
                (self._route_id, self._service_id),
                status,
                seconds,
                error,
                began - self._attempt_at if began else -1.0,
                self._received,
                self._sent,
            )
        is_wanted = plane.tell_ended is not None and (
            error is not None or status >= 500 or seconds >= plane.tells_slower_than
        )
        if not is_wanted and self._traced is None:
            return
        ended = self._ended(status, seconds, error)
        if is_wanted:
            plane.tell_ended(ended)  # type: ignore[misc]
        if self._traced is not None:
            plane.tracing.exchange_ended(
                ended, self._traced, route_path=self._route_path, forwarded=self._forwarded()
            )

    def _ended(self, status: int, seconds: float, error: ForwardError | None) -> Ended:
        """Return what is told of it now that it is over."""
        plane, head, peer, admission = self._plane, self.head, self._peer, self._admission
        if admission is not None and admission.hides:
            hide_proof(head, admission.hides)
        return ended_of(
            (
                plane.wall_now(),
                seconds,
                head,
                self.request_id,
                peer.listener.name,
                head.forwarded_proto or peer.listener.scheme,
                head.peer,
                peer.name,
                status,
                error,
                self._route_id,
                self._service_id,
                self._tenant,
                None if admission is None else admission.subject,
                self._revision.number,
                NO_ATTEMPTS if self._asked is None else self._attempts(seconds, error),
                self._received,
                self._sent,
                self._trace_id(),
                peer.tls,
            )
        )

    def _forwarded(self) -> bytes:
        """Return the target that instances were asked for, if it is not the client's."""
        if self._asked is None or self._plan.rewrite_path is None:
            return b""
        return self._plan.rewrite_path.apply(self.head.target)

    def _trace_id(self) -> bytes | None:
        """Return the id of its trace, recorded or not."""
        if self._traced is not None:
            trace_id: bytes = self._traced.trace_id
            return trace_id
        for name, value in self._trace_pairs:
            if name == TRACEPARENT:
                return value[3:35]
        return None

    def _attempts(self, seconds: float, error: ForwardError | None) -> tuple[Attempt, ...]:
        """Return the attempts, the last one with what it was answered by or failed of."""
        began, end = self._attempt_at, self._first_byte_at
        asked: Any = self._asked
        blamed = error if error is not None and error.blames_instance else None
        if blamed is not None and not end:
            end = self._started + seconds
        last = attempt_of(
            (
                asked.instance.id,
                asked.instance.address,
                blamed,
                began - self._started,
                self._connected_at - began if self._connected_at else None,
                end - began if end else None,
            )
        )
        if self._tried is None:
            return (last,)
        return (*[one.told(self._started) for one in self._tried], last)

    # Deadlines

    def deadline_passed(self, now: float) -> None:
        """Fail for whoever was too slow."""
        if now >= self._total_deadline:
            self.fail(ForwardError.TOTAL_TIMEOUT)
        elif now < self._phase_deadline:
            self._judge_body()
        else:
            self._phase_overdue(self._phase)

    def _phase_overdue(self, phase: int) -> None:
        if phase == _QUEUED:
            self.fail(ForwardError.UPSTREAM_WAIT_TIMEOUT)
        elif phase == _CONNECTING:
            self._plane.counters.upstream_connects_failed += 1
            self._give_upstream_up()
            self.upstream_failed(ForwardError.CONNECT_TIMEOUT, is_reused=False)
        elif phase == _TUNNEL:
            self._tunnel_overdue()
        elif phase == _ANSWERING:
            if not self._is_downstream_blocked:
                self.fail(ForwardError.RESPONSE_IDLE_TIMEOUT)
            elif self.downstream.has_moved():
                self._arm_progress()
            else:
                self.fail(ForwardError.RESPONSE_SEND_TIMEOUT)
        elif self._is_upstream_blocked:
            if self._upstream_has_moved():
                self._arm_progress()
            else:
                self.fail(ForwardError.REQUEST_SEND_TIMEOUT)
        else:
            waiting = phase == _WAITING
            self.fail(
                ForwardError.FIRST_BYTE_TIMEOUT if waiting else ForwardError.REQUEST_BODY_TIMEOUT
            )

    def _tunnel_overdue(self) -> None:
        tunnel = self._tunnel
        if tunnel is None:
            return
        if tunnel.farewell is not None:
            self.fail(tunnel.farewell)
        elif (self._is_downstream_blocked and self.downstream.has_moved()) or (
            self._is_upstream_blocked and self._upstream_has_moved()
        ):
            tunnel.moved()
        else:
            tunnel.go_away(ForwardError.TUNNEL_IDLE_TIMEOUT)

    def _upstream_has_moved(self) -> bool:
        return self._upstream is not None and self._upstream.has_moved()
