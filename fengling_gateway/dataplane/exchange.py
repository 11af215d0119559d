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
from fengling_gateway.dataplane.answer_side import AnswerSide
from fengling_gateway.dataplane.sweeper import NEVER
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.forwarded import hops
from fengling_gateway.http.headers import without_reserved
from fengling_gateway.routing.guards import SWITCHED_OFF
from fengling_gateway.routing.plan import ForwardPlan
from fengling_gateway.routing.route import Route

_ROUTING: Final = phases.ROUTING
_ADMITTING: Final = phases.ADMITTING

MAX_HOPS: Final = 10
"""How often a request may come by: two gateways one after the other are no loop."""

KEYS_SECONDS: Final = 3.0
"""How long a request waits for the key that may verify its token."""


class Exchange(AnswerSide):
    """A request and its answer; this part chooses where it goes, and asks whether it may."""

    __slots__ = ()

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
        if self._traced is not None:
            self._route_path = route.path
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
        if guards is SWITCHED_OFF:
            self.fail(ForwardError.ROUTE_SWITCHED_OFF)
            return
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

    def _phase_overdue(self, phase: int) -> None:
        if phase == _ADMITTING:
            self.ask_again(False)
        else:
            super()._phase_overdue(phase)

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
