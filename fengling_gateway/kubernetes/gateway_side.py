"""
The Gateway API's side of following a cluster: its objects as routes, and their statuses.

::

    what is watched ──→ gathered ──→ translating ──→ wanted routes ──→ (written) ─┐
          └── statuses as they are ──→ upkeep of statuses as they are to be ←─────┘

Rules that are as they were are not compiled anew. Endpoints, which change all the
time, have no part in that, nor do statuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.kubernetes.backends import Backends
from fengling_gateway.kubernetes.gateway_api.world import Settings, Translation
from fengling_gateway.kubernetes.gathered import SOURCES, Gathered, name_of, ref_of, status_of
from fengling_gateway.kubernetes.objects import Service
from fengling_gateway.kubernetes.origins import is_of_gateway_api
from fengling_gateway.kubernetes.resources import Resource
from fengling_gateway.kubernetes.status_upkeep import StatusUpkeep
from fengling_gateway.kubernetes.statuses import Statuses
from fengling_gateway.kubernetes.translating import Beside, Translating
from fengling_gateway.kubernetes.wanted_routes import WantedRoutes
from fengling_gateway.kubernetes.wants import Wants
from fengling_gateway.kubernetes.watching import Heard, Watched

_log = Logger()


def warn_of_left(origins: Iterable[str]) -> None:
    """Say, where the Gateway API is switched off, what of it was written before and stays."""
    count = sum(map(is_of_gateway_api, origins))
    if count:
        _log.warn(
            "the setting kubernetes.gateway_api is false: what was written for the Gateway API before "
            "stays as it is, {count} entities, but for those that somebody has deleted",
            count=count,
            log_id="kubernetes.gateway_api_left",
        )


class GatewaySide:
    """
    Follows the Gateway API's objects, for one term.

    Args:
        statuses: are told what statuses are to be, once the routes are written.
        beside: runs something in a thread.

    Attributes:
        is_synced: whether it is known what follows from what has been listed.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        settings: Settings,
        wants: Wants,
        backends: Backends,
        statuses: Statuses,
        beside: Beside,
    ) -> None:
        self._settings = settings
        self._wants = wants
        self._statuses = statuses
        self._gathered = Gathered(settings)
        self._routes = WantedRoutes(wants, backends, self._gathered.service)
        self._translating = Translating(
            self._gathered,
            clock=clock,
            beside=beside,
            translated=self._translated,
            ended=self.written,
        )
        self._upkeep = StatusUpkeep(
            clock=clock, controller=settings.controller, statuses=statuses, due=self.written
        )
        self._first: Callable[[], None] | None = None
        self.is_synced = False

    def __repr__(self) -> str:
        return f"<GatewaySide: {len(self._routes)} routes>"

    def watched(self) -> list[Watched]:
        """Return what is to be watched for it."""
        return [
            Watched(
                one.resource,
                one.convert,
                name_of,
                self._heard(one.resource),
                is_optional=one.is_optional,
            )
            for one in SOURCES
        ]

    def synced(self, first: Callable[[], None]) -> None:
        """
        Begin: everything has been listed.

        Args:
            first: called when it is known for the first time what follows from it.
        """
        self._first = first
        self._translating.begin()

    def stop(self) -> None:
        self._translating.stop()
        self._upkeep.stop()

    def status(self) -> dict[str, Any]:
        return {
            "is_synced": self.is_synced,
            "routes": len(self._routes),
            "statuses_waiting": len(self._statuses),
            "statuses_written": self._statuses.written,
            "has_host_limits": bool(self._settings.limits.hosts),
            "priority": self._settings.priority,
            "problem": self._translating.problem or self._statuses.problem,
        }

    def when_translated(self) -> Deferred[None]:
        """Return what fires when it is known what follows from all that has been heard by now."""
        return self._translating.when_translated()

    # What follows

    def _translated(self, now: Translation) -> None:
        self._upkeep.outdate()
        self._routes.want(now)
        if not self.is_synced:
            self.is_synced = True
            assert self._first is not None, "given when all was listed"
            self._first()

    def written(self) -> None:
        """Tell statuses, as what has been wanted is written, or refused: instances aside."""
        if self.is_synced and not self._translating.is_open and self._wants.only_instances:
            self._upkeep.want(self._routes.now, self._wants.refused)

    # What the cluster has

    def services_listed(self, services: Iterable[Service]) -> None:
        self._gathered.services_listed(services)
        self._translating.changed()

    def service_changed(self, service: Service) -> None:
        if self._gathered.put_service(service):
            self._translating.changed()

    def service_gone(self, service: Service) -> None:
        self._gathered.drop_service(service)
        self._translating.changed()

    def _heard(self, resource: Resource) -> Heard:
        return Heard(
            partial(self._listed, resource),
            partial(self._changed, resource),
            partial(self._gone, resource),
        )

    def _listed(self, resource: Resource, values: Iterable[Any]) -> None:
        values = list(values)
        self._gathered.listed(resource, values)
        statuses = {ref_of(resource, one): status_of(one) for one in values}
        self._upkeep.listed(resource, statuses)
        self._translating.changed()

    def _changed(self, resource: Resource, value: Any) -> None:
        is_another = self._gathered.put(resource, value)
        self._upkeep.heard(ref_of(resource, value), status_of(value), is_all=not is_another)
        if is_another:
            self._translating.changed()

    def _gone(self, resource: Resource, value: Any) -> None:
        self._gathered.drop(resource, value)
        self._upkeep.gone(ref_of(resource, value))
        self._translating.changed()
