"""One request and its answer: what happens, whatever the protocol on either side.

An exchange is driven by five parties:

1. the downstream codec: `begin`, `request_data`, `request_ended`,
   `request_flush`, `downstream_blocked`, `downstream_unblocked`,
   `request_malformed`, `client_gone`;
2. the upstream codec: `response_interim`, `response_begun`, `response_data`,
   `response_ended`, `response_flush`, `upstream_blocked`, `upstream_unblocked`,
   `upstream_failed`;
3. the pool, which finds it a connection: `connecting`, `connected`,
   `upstream_failed`;
4. the sweeper, through the downstream stream: `deadline_passed`;
5. the tunnel, once it has become one: `arm`, `tunnel_ended`, `fail`.

It keeps the compiled objects that it began with, whatever is applied meanwhile.
Once it is over it is deaf.
"""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.dataplane import answers, phases
from fengling_gateway.dataplane.admission import Admission
from fengling_gateway.dataplane.request_side import RequestSide
from fengling_gateway.dataplane.sweeper import NEVER
from fengling_gateway.dataplane.tunnel import Tunnel
from fengling_gateway.http.forward_error import CLIENT_CLOSED_REQUEST, ForwardError
from fengling_gateway.http.forwarded import hops
from fengling_gateway.http.framing import NO_BODY, TUNNEL
from fengling_gateway.http.headers import RESPONSE_ROLES, Pair, without_reserved
from fengling_gateway.http.response_head import ResponseHead
from fengling_gateway.http.trailers import forwardable
from fengling_gateway.http.transforms import NO_EDITS
from fengling_gateway.routing.plan import ForwardPlan
from fengling_gateway.routing.route import Route

_ROUTING: Final = phases.ROUTING
_ADMITTING: Final = phases.ADMITTING
_QUEUED: Final = phases.QUEUED
_CONNECTING: Final = phases.CONNECTING
_WAITING: Final = phases.WAITING
_ANSWERING: Final = phases.ANSWERING
_TUNNEL: Final = phases.TUNNEL
_OVER: Final = phases.OVER

MAX_HOPS: Final = 10
"""How often a request may come by: two gateways one after the other are no loop."""

KEYS_SECONDS: Final = 3.0
"""How long a request waits for the key that may verify its token."""

MAX_INTERIM_ANSWERS: Final = 32
"""1xx heads an instance may send before its answer; a flood of them is no answer."""


class Exchange(RequestSide):
    """A request and its answer; this half chooses where it goes, and brings the answer back."""

    __slots__ = ()

    # Choosing where it goes

    def begin(self) -> None:
        """Find the route, and do what its plan says."""
        self._plane.counters.in_flight_now += 1
        self._choose(True, None)

    def _choose(self, may_wait: bool, earlier: Admission | None) -> None:
        """
        Find the route, and go on if its guards let it.

        Args:
            earlier: what they found out before it waited for keys.
        """
        plane = self._plane
        snapshot = plane.snapshot
        if snapshot.position is None:
            self.fail(ForwardError.NO_CONFIGURATION)
            return
        head = self.head
        tenant = snapshot.tenants.resolve(head.host, head.path)
        if tenant is None and head.authorization is not None:
            tenant = plane.identities.tenant_of(head.authorization, plane.wall)
        self._tenant = tenant
        route = snapshot.routes.match(head, tenant, plane.wall)
        if head.preflight is not None:
            route = self._asked_leave_for(route)
        if head.has_encoded_slash and not self._takes_encoded_slashes(route):
            self.downstream.end_connection()
            self.fail(ForwardError.INVALID_TARGET)
            return
        if route is None:
            self.fail(ForwardError.NO_ROUTE)
            return
        if earlier is not None and self._route_id != route.id:
            earlier = None  # this one's guards have found nothing out
        self._route_id = route.id
        plan: Any = route.plan
        if plan.split is not None:
            plan = self._branch_of(plan)
        self._plan = plan
        if plan.guards is None and head.said_tenant is None:
            self._admission = None
            self._proceed()
        else:
            self._ask_guards(may_wait, earlier)

    def _ask_guards(self, may_wait: bool, earlier: Admission | None) -> None:
        """Go on if the guards of the route let it."""
        plane, plan = self._plane, self._plan
        head, guards = self.head, plan.guards
        now = self._started if earlier is None else plane.seconds()
        admission = self._admission = self._new_admission(now)
        if guards is not None:
            is_https = (head.forwarded_proto or self._peer.listener.scheme) == b"https"
            admission.ask(guards, is_https, earlier)
        if head.said_tenant is not None and admission.error is None:
            admission.compare_tenant()
        if may_wait and admission.waits and plane.identities.wait(self):
            self._phase = _ADMITTING
            if self._phase_deadline == NEVER:
                self.arm(KEYS_SECONDS)
            return
        if admission.refused:
            plane.identities.count(admission.refused)
        if admission.error is not None:
            self.fail(admission.error)
        elif admission.status:
            pairs = [*admission.pairs, plane.date, *self._revision.extra_pairs]
            self._answer(admission.status, pairs, b"")
        else:
            self._tenant = admission.tenant
            self._proceed()

    def _new_admission(self, now: float) -> Admission:
        return Admission(self._plane, self.head, self._route_id, self._tenant, now)

    def ask_again(self, may_wait: bool) -> None:
        """
        Begin anew, now that keys have arrived or time is up.

        By what is configured now: a token may lead to other routes than nobody's,
        and names that a client was free to use may have become the gateway's.
        """
        if self._phase != _ADMITTING:
            return
        plane, head = self._plane, self.head
        plane.identities.wait_no_longer(self)
        self._phase = _ROUTING
        self._revision = plane.revision
        head.forward = without_reserved(head.forward, plane.roles)
        self._choose(may_wait, self._admission)

    def _asked_leave_for(self, route: Route | None) -> Route | None:
        """
        Return the route that a preflight is about, if it is the gateway that answers it.

        Else it is a request like any other, for a route that takes such requests.
        """
        plane, head = self._plane, self.head
        if head.method == b"OPTIONS" and head.header(b"origin") is not None:
            head.method = head.preflight or b""
            wanted = plane.snapshot.routes.match(head, self._tenant, plane.wall)
            head.method = b"OPTIONS"
            plan: Any = None if wanted is None else wanted.plan
            if plan is not None and plan.takes_preflights:
                return wanted
        head.preflight = None
        return route

    def _proceed(self) -> None:
        """Do what the plan says."""
        plane, head, snapshot = self._plane, self.head, self._plane.snapshot
        plan: Any = self._plan
        if not isinstance(plan, ForwardPlan):
            status, pairs, body = answers.answer_plan(plane, head, plan)
            if self._admission is not None:
                pairs = self._admission.edited(pairs)
            self._answer(status, pairs, body)  # Cython can't unpack for a cdef method
            return
        self._service_id = plan.service_id
        if plan.max_request_body is not None and head.framing > plan.max_request_body:
            self.fail(ForwardError.BODY_TOO_LARGE)
            return
        if head.via is not None and hops(head.via, plane.pseudonym) >= MAX_HOPS:
            self.fail(ForwardError.LOOP_DETECTED)
            return
        service = snapshot.services.get(plan.service_id)
        if service is None or not service.enabled:
            self.fail(ForwardError.NO_SERVICE)
            return
        self._service = service
        self._attempts_left = plan.retry_attempts
        if plan.total_timeout is not None:
            self._total_deadline = plane.sweeper.now + plan.total_timeout
        if head.upgrade is not None:
            self._upgrade = plan.upgrade_to(head.upgrade)
        instance = None if plane.is_shedding else service.pick(self._tenant, plane.rng)
        if instance is None:
            self.fail(ForwardError.OVERLOADED if plane.is_shedding else ForwardError.NO_INSTANCE)
            return
        self._attempt(instance, False)

    def _branch_of(self, plan: Any) -> Any:
        """Return what a split does with this request; any that answers preflights will do for one."""
        if self.head.preflight is not None:
            return next(one for one in plan.branches.values() if one.takes_preflights)
        return plan.branches[plan.split.pick()]

    def _takes_encoded_slashes(self, route: Route | None) -> bool:
        plan: Any = None if route is None else route.plan
        return plan is not None and plan.takes_encoded_slashes

    def _answer(self, status: int, pairs: list[Pair], body: bytes) -> None:
        """Answer by ourselves, and be over."""
        seconds = self._finish()
        answers.send(self.downstream, self.head.method, status, pairs, body)
        self._record(status, seconds, None)

    # The answer

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
        self.downstream.send_data(data)
        self._arm_idle()

    def response_ended(self, trailers: list[Pair]) -> None:
        """End the answer; some of its trailers are passed on. The connection is no longer ours."""
        self._upstream = None
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
        self._phase = _TUNNEL
        self._total_deadline = self._body_due = NEVER
        plane = self._plane
        admission = self._admission or self._new_admission(self._started)
        tunnel = self._tunnel = Tunnel(
            self,
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
        try:
            self._give_upstream_up()
        finally:
            self._record(self.status or CLIENT_CLOSED_REQUEST, self._finish(), error)

    def fail(self, error: ForwardError) -> None:
        """Tell the client of a failure, by a problem or, in the middle of an answer, by an abort."""
        if self._phase == _OVER:
            return
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
        answers.send(self.downstream, self.head.method, error.status, pairs, body)
        self._record(error.status, seconds, error)

    def _give_upstream_up(self) -> None:
        # Both may call back before they return; by then nothing is left to be given up.
        upstream, self._upstream = self._upstream, None
        pool, self._pool = self._pool, None
        if upstream is not None:
            upstream.abort()
        elif pool is not None:
            pool.give_up(self)

    def _finish(self) -> float:
        """
        Be over, and return how long it took.

        From here on nobody but the caller tells the client anything, so it does
        that next, and what might fail comes after it.
        """
        plane = self._plane
        if self._tunnel is not None:
            plane.tunnels.pop(self._tunnel, None)
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
        self._plane.counters.record((self._route_id, self._service_id), status, seconds, error)

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
        if phase == _ADMITTING:
            self.ask_again(False)
        elif phase == _QUEUED:
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
