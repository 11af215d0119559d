"""
Ejection: a worker stops sending to an instance by what its own requests show.

It bridges the seconds until whoever probes has a verdict, and does that job
alone where nobody probes. For each instance, in each worker:

1. Failures (`GATEWAY_ERRORS`) are counted. An answer, whatever its status, sets
   their number to 0. What a client does, or the gateway, is neither.
2. When there are `EjectionPolicy.consecutive` of them, the instance is ejected,
   unless more than `max_share` of those that stand in for one another would be,
   or are reported unhealthy: an ejection is never what causes panic.
   It is none of the healthy then: it gets no new requests, but in panic.
3. For the first time that lasts ``base`` seconds, for the n-th time in a row n
   times as long, and never longer than `MAX_SECONDS`. Then it is reactivated.
4. The number of failures stays. The next failure ejects the instance again at
   once; with its first answer both numbers begin anew.
5. A report of ``healthy`` that came after the ejection ends it. So does a
   policy that is switched off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fengling_gateway.balancing.instance import InstanceState
from fengling_gateway.balancing.service import Service
from fengling_gateway.http.forward_error import ForwardError, Phase

MAX_SECONDS: Final = 300.0
"""No ejection is longer: by then the instance deserves another try."""

NEVER: Final = float("inf")

GATEWAY_ERRORS: Final = frozenset(
    error for error in ForwardError if error.blames_instance and error.phase is not Phase.TUNNEL
)
"""
What counts: no connection, no answer or a bad one, none in time.

Not how tunnels end: that is between client and instance, and most are ended by silence.
"""

Report = bytes | None
"""What the health check last wrote of an instance, as it wrote it; None: nothing."""


class Ejections:
    """
    Those of one worker.

    Whatever is ejected or reactivated is named to the caller, who has the choices
    of its service settled.

    Attributes:
        ejected: with the report that was known of each.
        due: when the first of them is to be reactivated; `NEVER` where there is none.
    """

    __slots__ = ("due", "ejected")

    def __init__(self) -> None:
        self.ejected: dict[InstanceState, Report] = {}
        self.due = NEVER

    def __repr__(self) -> str:
        return f"<Ejections of {len(self.ejected)}>"

    def failed(
        self, state: InstanceState, service: Service | None, report: Report, now: float
    ) -> bool:
        """
        Count a failure; return whether the instance is ejected for it.

        Args:
            service: its own, as configured now.
        """
        state.failures += 1
        policy = None if service is None else service.ejection
        if service is None or policy is None or state.ejected_until or state.retired:
            return False
        if state.failures < policy.consecutive:
            return False
        group = service.group_of(state)
        others = sum(1 for one in group if one is not state and not service.is_healthy(one))
        if others + 1 > policy.max_share * len(group):
            return False
        state.ejections += 1
        until = now + min(policy.base * state.ejections, MAX_SECONDS)
        state.ejected_until = until
        self.ejected[state] = report
        self.due = min(self.due, until)
        return True

    def answered(self, state: InstanceState) -> None:
        """Note an answer after failures. An ejection goes on: others may still have failed."""
        state.failures = state.ejections = 0

    def reactivate(self, now: float) -> list[InstanceState]:
        """End the ejections that are over, and return whose."""
        over = [state for state in self.ejected if state.ejected_until <= now]
        self._end(over)
        return over

    def applied(
        self,
        service_of: Callable[[InstanceState], Service | None],
        report_of: Callable[[InstanceState], Report],
    ) -> list[InstanceState]:
        """Look at what has changed with the configuration; return whose ejections have ended."""
        over = []
        for state, known in self.ejected.items():
            service = service_of(state)
            report = report_of(state)
            if report != known and state.instance.health == "healthy":
                self.answered(state)
                over.append(state)
            elif state.retired or service is None or service.ejection is None:
                over.append(state)
            else:
                self.ejected[state] = report
        self._end(over)
        return over

    def _end(self, over: list[InstanceState]) -> None:
        for state in over:
            del self.ejected[state]
            state.ejected_until = 0.0
        if over:
            self.due = min((state.ejected_until for state in self.ejected), default=NEVER)
