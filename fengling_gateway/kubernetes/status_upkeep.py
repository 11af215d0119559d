"""When statuses of the Gateway API's objects are written: as they are wanted, or overwritten by others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef
from fengling_gateway.kubernetes.gateway_api.world import Translation
from fengling_gateway.kubernetes.overwriting import FIRST_SECONDS, Overwriting
from fengling_gateway.kubernetes.resources import Resource
from fengling_gateway.kubernetes.statuses import Statuses
from fengling_gateway.kubernetes.wanted_statuses import WantedStatuses, refused_routes
from fengling_gateway.model.entity import Key

_log = Logger()

Found = Mapping[str, Any] | None
"""The status that an object has."""


class StatusUpkeep:
    """
    Keeps statuses as they are to be.

    Args:
        controller: whose parents of an HTTPRoute are ours.
        statuses: writes them.
        due: called when some may have to be written that were left alone for a while; then `want`
            is to be called, now or later.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        controller: str,
        statuses: Statuses,
        due: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._statuses = statuses
        self._due = due
        self._wanted = WantedStatuses(controller)
        self._overwriting = Overwriting()
        self._left_alone: dict[ObjectRef, Any] = {}
        self._wanted_with: frozenset[tuple[Key, str]] | None = None
        self._is_stopped = False

    def __repr__(self) -> str:
        return f"<StatusUpkeep: {self._wanted}, {len(self._left_alone)} left alone>"

    def stop(self) -> None:
        self._is_stopped = True
        self._statuses.stop()
        for call in self._left_alone.values():
            call.cancel()
        self._left_alone.clear()

    # What they are to be

    def outdate(self) -> None:
        """Have all looked at when they are wanted next, even if the same is refused."""
        self._wanted_with = None

    def want(self, now: Translation, refused: Mapping[Key, str]) -> None:
        """
        Have those written that are not as they are to be.

        Args:
            refused: what the configuration refuses, and why.
        """
        said = frozenset(refused.items())
        if self._wanted_with == said:
            return
        self._wanted_with = said
        self._wanted.want(now, refused_routes(now, refused))
        untrue = self._wanted.untrue().items()
        self._statuses.want({ref: one for ref, one in untrue if ref not in self._left_alone})

    # What they are

    def listed(self, resource: Resource, found: Mapping[ObjectRef, Found]) -> None:
        """Note the statuses of all objects of a resource."""
        self._wanted.forget(resource)
        for ref, status in found.items():
            self._wanted.heard(ref, status)
            # (Of what was written since, and overwritten, nothing else may ever be heard.)
            self._statuses.settled(ref)

    def heard(self, ref: ObjectRef, status: Found, *, is_all: bool) -> None:
        """
        Note the status of an object that is new or another.

        Args:
            is_all: whether nothing else of it has changed; all are wanted anew else.
        """
        was_so = self._wanted.is_so(ref)
        self._wanted.heard(ref, status)
        if is_all:
            self._written_by_somebody(ref, was_so=was_so)

    def gone(self, ref: ObjectRef) -> None:
        self._wanted.gone(ref)

    def _written_by_somebody(self, ref: ObjectRef, *, was_so: bool) -> None:
        """
        Note that somebody, often we ourselves, has written a status, and nothing else.

        Args:
            was_so: whether it was before as it is to be; else this may be what we wanted earlier.
        """
        if self._wanted.is_so(ref):
            self._statuses.settled(ref)
        elif not self._is_stopped and ref not in self._left_alone:
            pause = self._overwritten(ref) if was_so else FIRST_SECONDS
            self._left_alone[ref] = self._clock.callLater(pause, self._look_again, ref)

    def _overwritten(self, ref: ObjectRef) -> float:
        """Return how many seconds a status is to be left alone."""
        was_at_war = self._overwriting.is_at_war(ref)
        pause = self._overwriting.pause(ref, self._clock.seconds())
        if self._overwriting.is_at_war(ref) and not was_at_war:
            _log.warn(
                "somebody else keeps overwriting the status of {object}, which is now written once "
                "a minute: is there another installation with the same kubernetes.controller?",
                object=str(ref),
                log_id="kubernetes.status_overwritten",
            )
        return pause

    def _look_again(self, ref: ObjectRef) -> None:
        """Write what others have written otherwise."""
        del self._left_alone[ref]
        self.outdate()
        self._due()
