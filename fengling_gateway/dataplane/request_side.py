"""The layer of an exchange that brings a request to an instance: attempts, retries, the body."""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.balancing.instance import InstanceState
from fengling_gateway.balancing.service import HOST_OF_INSTANCE
from fengling_gateway.dataplane import phases
from fengling_gateway.dataplane.exchange_base import ExchangeBase, Tried
from fengling_gateway.dataplane.pool import UpstreamPool
from fengling_gateway.dataplane.streams import UpstreamStream
from fengling_gateway.dataplane.sweeper import NEVER
from fengling_gateway.http.forward_error import ForwardError, Retry
from fengling_gateway.http.forwarded import forwarded_pairs
from fengling_gateway.http.framing import CHUNKED
from fengling_gateway.http.headers import Pair, nominated
from fengling_gateway.http.trailers import forwardable
from fengling_gateway.http.transforms import NO_EDITS

_QUEUED: Final = phases.QUEUED
_CONNECTING: Final = phases.CONNECTING
_SENDING: Final = phases.SENDING
_WAITING: Final = phases.WAITING
_OVER: Final = phases.OVER

_IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PROPFIND"})
"""Methods that may be sent again when nobody knows what became of them (RFC 9110, 9.2.2)."""


class RequestSide(ExchangeBase):
    """A request on its way to an instance that answers it."""

    __slots__ = ()

    # Attempts

    def _attempt(self, instance: InstanceState, must_be_fresh: bool) -> None:
        """Ask an instance, over an idle connection if there is one."""
        exchange: Any = self  # all of it
        instance.in_flight += 1
        instance.picked += 1
        self.instance = self._asked = instance
        pool: UpstreamPool = instance.pool
        if pool is None:
            pool = instance.pool = UpstreamPool(instance, self._plane)
        if not self.is_request_ended and pool.is_crowded() and self._waits_for_body():
            return
        if not must_be_fresh:
            upstream = pool.take_idle(exchange)
            if upstream is not None:
                self.connected(upstream)
                return
        self._pool = pool
        pool.connect(exchange)

    def _waits_for_body(self) -> bool:
        """
        Wait until there is enough of the body to keep a connection busy.

        Many clients whose bodies trickle in would else hold every connection to
        an instance. Where there are enough a body is passed on as it comes.
        """
        is_enough = self._received >= self._plane.settings.high_water_bytes
        if is_enough or self.head.expects_continue:
            return False
        self._is_waiting_for_body = True
        self._phase = _SENDING
        self._arm_idle()
        self.downstream.resume()
        return True

    def _body_suffices(self) -> None:
        """Go on with what `_waits_for_body` has put off."""
        instance = self.instance
        self._is_waiting_for_body = False
        if instance is not None:
            instance.in_flight -= 1
            instance.picked -= 1
            self._attempt(instance, False)

    def queued(self) -> None:
        """Note that the pool is full, and a connection will be given when one is free."""
        self._phase = _QUEUED
        self.arm(self._plane.settings.upstream_queue_timeout)

    def connecting(self) -> None:
        """Note that a connection is being opened for this exchange."""
        self._phase = _CONNECTING
        timeout = self._plan.connect_timeout
        self.arm(self._service.connect_timeout if timeout is None else timeout)

    def connected(self, upstream: UpstreamStream) -> None:
        """Send what there is of the request."""
        self._upstream = upstream
        self._pool = None
        if self._phase in {_QUEUED, _CONNECTING}:
            self._connected_at = self._plane.seconds()
        head = self.head
        plan = self._plan
        target = head.target
        if plan.rewrite_path is not None:
            target = plan.rewrite_path.apply(target)
        upstream.send_head(
            head.method, target, self._host_upstream(), self._request_pairs(), head.framing
        )
        if self.is_request_ended and self._held is None:
            self._phase = _WAITING
            self._arm_first_byte()
            upstream.send_end(self._trailers)
            return
        self._phase = _SENDING
        held, self._held = self._held, None
        for data in held or ():
            upstream.send_data(data)
        if self.is_request_ended:
            self._phase = _WAITING
            self._arm_first_byte()
            upstream.send_end(self._trailers)
            self.downstream.resume()
        else:
            if head.expects_continue and not self._received:
                self._phase = _WAITING  # the client for the instance to ask
            self._arm_progress()
            upstream.flush()
            if not self._is_upstream_blocked:
                self.downstream.resume()

    def _host_upstream(self) -> bytes:
        """Return what the Host header says to the instance."""
        mode = self._plan.host_header or self._service.host_header
        if mode:
            return mode
        if mode == HOST_OF_INSTANCE or self.head.host_header is None:
            return self.instance.instance.authority  # type: ignore[union-attr]
        return self.head.host_header

    def _request_pairs(self) -> list[Pair]:
        """Return the headers that the instance gets, but for Host and framing."""
        head = self.head
        pairs = head.forward + forwarded_pairs(head, self._peer.address, self._peer.listener.scheme)
        pairs.append((b"X-Request-Id", self.request_id))
        via = self._plane.via if head.minor else self._plane.via_1_0
        pairs.append(via if head.via is None else (b"Via", head.via + b", " + via[1]))
        if self._upgrade is not None or head.takes_trailers:
            self._add_hop_by_hop(pairs)
        if self._peer.pairs:
            pairs += self._peer.pairs
        if self._tenant is not None:
            pairs.append((self._revision.tenant_header, self._tenant.encode()))
        if self._admission is not None:
            pairs += self._admission.identity
        if self._traced is not None:
            pairs += self._traced.pairs(0 if self._tried is None else len(self._tried))
        elif self._trace_pairs:
            pairs += self._trace_pairs
        if head.expects_continue and not self.is_request_ended:
            pairs.append((b"Expect", b"100-continue"))
        edits = self._plan.request_headers
        return pairs if edits is NO_EDITS else edits.apply(pairs)

    def _add_hop_by_hop(self, pairs: list[Pair]) -> None:
        """Ask the instance for what the client asks us for (RFC 9110, 7.8 and 10.1.4)."""
        options = []
        if self._upgrade is not None:
            options.append(b"Upgrade")
            pairs.append((b"Upgrade", self._upgrade))
        if self.head.takes_trailers:
            options.append(b"TE")
            pairs.append((b"TE", b"trailers"))
        pairs.append((b"Connection", b", ".join(options)))

    def upstream_failed(self, error: ForwardError, *, is_reused: bool) -> None:
        """
        Try again where that is safe, else fail.

        The connection is gone, or never came to be.

        Args:
            is_reused: whether the connection had carried another exchange.
        """
        if self._phase == _OVER:
            return
        self._upstream = self._pool = None
        # A kept connection that has died most likely was closed before the request came; and
        # before all of the body has come, an instance may just have had enough of a slow client.
        closed = error.retry is Retry.FRESH_CONNECTION
        if self.instance is not None and not (closed and (is_reused or not self.is_request_ended)):
            self._plane.passive.failed(self.instance, error)
        if error is ForwardError.UPSTREAM_BUSY:
            self._was_busy = True
        if not self.status and self._plane.sweeper.now < self._total_deadline:
            if error.retry is Retry.OTHER_INSTANCE and self._retry_elsewhere(error):
                return
            if error.retry is Retry.FRESH_CONNECTION and is_reused and self._retry_fresh(error):
                return
        if self._was_busy and error.retry is Retry.OTHER_INSTANCE:
            error = ForwardError.UPSTREAM_BUSY  # that others can't be reached is not the point
        self._end_in(error)

    def _retry_elsewhere(self, error: ForwardError) -> bool:
        """Ask another instance: in this attempt nothing has been sent, so any request may be."""
        if not self._attempts_left:
            return False
        other = self._service.pick(self._tenant, self._plane.rng, self.instance)
        if other is None:
            return False
        self._attempts_left -= 1
        self._retry(other, self._has_retried_fresh, error)
        return True

    def _retry_fresh(self, error: ForwardError) -> bool:
        """
        Send the request once more, over a new connection.

        The old one had been idle, and the instance had most likely hung up
        before it saw the request; but nobody knows, so only what may be
        repeated is, and only once; and not what it had begun to answer.
        """
        head = self.head
        if self._has_retried_fresh or self._interims or head.framing > 0 or head.framing == CHUNKED:
            return False
        if head.method not in _IDEMPOTENT:
            return False
        instance = self._service.pick(self._tenant, self._plane.rng)
        if instance is None:
            return False
        self._has_retried_fresh = True
        self._retry(instance, True, error)
        return True

    def _retry(self, instance: InstanceState, must_be_fresh: bool, error: ForwardError) -> None:
        plane, before = self._plane, self.instance
        plane.counters.retries += 1
        if before is not None:
            before.in_flight -= 1
            before.unanswered += 1
            if self._tried is None:
                self._tried = []
            now = plane.seconds()
            self._tried.append(Tried(before, error, self._attempt_at, self._connected_at, now))
            self._attempt_at = now
            self._connected_at = 0.0
        self._is_upstream_blocked = False
        self._interims = 0
        self._attempt(instance, must_be_fresh)

    # The request's body

    def request_data(self, data: bytes) -> None:
        """Take a piece of the request's body."""
        if self._phase == _OVER:
            return
        self._received += len(data)
        limit = self._plan.max_request_body
        if limit is not None and self._received > limit:
            self.fail(ForwardError.BODY_TOO_LARGE)
        elif self._upstream is not None:
            self._upstream.send_data(data)
            if self._phase == _WAITING:
                self._body_begins()
            else:
                self._arm_progress()
        else:
            self._hold(data)

    def _body_begins(self) -> None:
        """Wait for the body of a client that has been told to continue, or does so unasked."""
        self._phase = _SENDING
        self._watch_body()
        self._arm_idle()

    def _hold(self, data: bytes) -> None:
        if self._held is None:
            self._held = []
        self._held.append(data)
        if not self._is_waiting_for_body:
            self._was_held_up = True
            self.downstream.pause()
        elif self._received >= self._plane.settings.high_water_bytes:
            self._body_suffices()
            if self._upstream is None and self._phase != _OVER:
                self.downstream.pause()

    def request_ended(self, trailers: list[Pair]) -> None:
        """Note that the request is complete; some of its trailers are passed on."""
        self.is_request_ended = True
        self._body_due = NEVER
        if trailers:
            names = nominated(self.head.connection or b"")
            self._trailers = forwardable(trailers, self._plane.roles, names)
        if self._is_waiting_for_body:
            self._body_suffices()
        elif self._upstream is not None:
            if self._phase == _SENDING:
                self._phase = _WAITING
                self._arm_first_byte()
            self._upstream.send_end(self._trailers)

    def request_flush(self) -> None:
        """Note that no more of the request is at hand."""
        if self._upstream is not None:
            self._upstream.flush()

    def upstream_blocked(self) -> None:
        """Note that the instance reads slower than the client sends."""
        self._is_upstream_blocked = True
        if not self.is_request_ended or self._tunnel is not None:
            # Else there is nothing to hold back, and whoever isn't read from can't be seen to leave.
            self._was_held_up = True
            self.downstream.pause()

    def upstream_unblocked(self) -> None:
        """Note that the instance reads on."""
        self._is_upstream_blocked = False
        self._arm_progress()
        self.downstream.resume()
