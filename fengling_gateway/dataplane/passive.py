"""What requests show of instances: who is ejected for it, and what the supervisor is told.

Only failures, and the first answer after some, come here. What else an instance
has answered follows from what is counted anyway (`InstanceState.answered`).
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger

from fengling_gateway.balancing.ejection import GATEWAY_ERRORS, NEVER, Ejections
from fengling_gateway.balancing.instance import InstanceState
from fengling_gateway.dataplane.rarely import Rarely
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.routing.snapshot import Snapshot

if TYPE_CHECKING:
    from fengling_gateway.dataplane.state import PlaneState

_log = Logger()

MAX_TOLD: Final = 1000
"""Instances in one report: those with most failures. It is some 150 KB, once a second."""


class PassiveHealth:
    """
    That of one worker.

    Attributes:
        due: when the next instance is to be reactivated, on the sweeper's clock.
    """

    __slots__ = (
        "_changed",
        "_ejections",
        "_left",
        "_plane",
        "_rarely",
        "_suspects",
        "_watched",
        "due",
    )

    def __init__(self, plane: PlaneState) -> None:
        self._plane = plane
        self._ejections = Ejections()
        # Ejected or reactivated while a snapshot may have been in the making.
        self._changed: dict[InstanceState, None] = {}
        # Failures since the last report, with the newest of them.
        self._suspects: dict[InstanceState, tuple[int, ForwardError]] = {}
        # Of whom failures were told, and no answer since.
        self._watched: dict[InstanceState, None] = {}
        # Whose last connection has been closed since the last report: no pool tells of them.
        self._left: dict[InstanceState, None] = {}
        self._rarely = Rarely()
        self.due = NEVER

    def __repr__(self) -> str:
        return f"<PassiveHealth {self._ejections!r}>"

    # What exchanges call

    def failed(self, state: InstanceState, error: ForwardError) -> None:
        """Note that an attempt has failed; only some failures count against an instance."""
        if error not in GATEWAY_ERRORS:
            return
        plane = self._plane
        count, _ = self._suspects.get(state, (0, error))
        self._suspects[state] = (count + 1, error)
        snapshot = plane.snapshot
        service, report = snapshot.service_of(state), snapshot.report_of(state)
        if self._ejections.failed(state, service, report, plane.sweeper.now):
            plane.counters.ejections += 1
            self._settle([state])
            self._say_ejected(state, error)

    def answered(self, state: InstanceState) -> None:
        """Note an answer of an instance that has failed before."""
        self._ejections.answered(state)

    def left(self, state: InstanceState) -> None:
        """Note that there is no connection to an instance any more."""
        self._left[state] = None

    # What time and configurations bring

    def reactivate(self, now: float) -> None:
        """Send again to those whose time is over."""
        self._reactivated(self._ejections.reactivate(now))

    def applied(self, snapshot: Snapshot) -> None:
        """
        Look at what a snapshot that is served from now on changes.

        Who was ejected when it was compiled, it knows; not who has been since.
        """
        over = self._ejections.applied(snapshot.service_of, snapshot.report_of)
        self._settle(list(self._changed))
        self._reactivated(over)
        self._changed.clear()

    def _reactivated(self, over: list[InstanceState]) -> None:
        self._plane.counters.reactivations += len(over)
        self._settle(over)
        for state in over:
            if not state.retired:
                self._say_reactivated(state)

    def _settle(self, states: Iterable[InstanceState]) -> None:
        """Have the services of these choose anew."""
        services = {}
        for state in states:
            self._changed[state] = None
            service = self._plane.snapshot.service_of(state)
            if service is not None:
                services[service.id] = service
        for service in services.values():
            service.settle(self._plane.rng)
        self.due = self._ejections.due
        self._plane.counters.ejected_now = len(self._ejections.ejected)

    # What is told

    def ejected_for(self, state: InstanceState) -> float | None:
        """Return for how many seconds an instance stays ejected; None where it is not."""
        if not state.ejected_until:
            return None
        return max(0.0, round(state.ejected_until - self._plane.sweeper.now, 1))

    def take_evidence(self) -> dict[str, Any] | None:
        """
        Return the payload of `Message.EVIDENCE`; None where there is nothing to tell.

        Of whom failures were told, the first answers are told, too.
        """
        suspects, self._suspects = self._suspects, {}
        found = [
            (count, state, error) for state, (count, error) in suspects.items() if not state.retired
        ]
        told = nlargest(MAX_TOLD, found, key=lambda one: one[0])
        instances = {state.id: self._evidence(state, count, error) for count, state, error in told}
        for state in [one for one in self._watched if one not in suspects]:
            if state.retired or state.answered > state.told:
                del self._watched[state]
                if not state.retired and len(instances) < MAX_TOLD:
                    instances.setdefault(state.id, self._evidence(state, 0, None))
        for _, state, _ in told:
            if state.failures:
                self._watched[state] = None
        self._tell({**suspects, **self._left, **self._watched})
        self._left = {}
        others = len(found) - len(told)
        return {"instances": instances, "others": others} if instances else None

    def _tell(self, without_pool: Iterable[InstanceState]) -> None:
        """Begin to count anew what has been answered."""
        for pool in self._plane.pools:
            pool.tell()
        for state in without_pool:
            state.told = state.answered

    def _evidence(
        self, state: InstanceState, failures: int, error: ForwardError | None
    ) -> dict[str, Any]:
        return {
            "failures": failures,
            "successes": max(0, state.answered - state.told),
            "error": None if error is None else error.code,
            "ejected_for": self.ejected_for(state),
        }

    def _say_ejected(self, state: InstanceState, error: ForwardError) -> None:
        if self._rarely.is_time(state.id, self._plane.sweeper.now):
            _log.warn(
                "instance {instance} at {address} gets nothing for {seconds:.0f} s: "
                "{failures} failures in a row, the last one {error}",
                instance=state.id,
                address=state.instance.address,
                seconds=state.ejected_until - self._plane.sweeper.now,
                failures=state.failures,
                error=error.code,
                log_id="instance.ejected",
            )

    def _say_reactivated(self, state: InstanceState) -> None:
        _log.info(
            "instance {instance} at {address} is tried again",
            instance=state.id,
            address=state.instance.address,
            log_id="instance.reactivated",
        )
