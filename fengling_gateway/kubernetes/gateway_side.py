"""
The Gateway API's side of following a cluster: its objects as routes, and their statuses.

What changes is looked at shortly after, all that changed meanwhile together; rules
that are as they were are not compiled anew. Endpoints, which change all the time,
have no part in that, nor do statuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.kubernetes import objects, resources
from fengling_gateway.kubernetes.backends import Backends
from fengling_gateway.kubernetes.gateway_api.compiled import CompiledRules
from fengling_gateway.kubernetes.gateway_api.http_routes import convert_http_route
from fengling_gateway.kubernetes.gateway_api.objects import (
    ObjectRef,
    convert_gateway,
    convert_gateway_class,
    convert_reference_grant,
)
from fengling_gateway.kubernetes.gateway_api.translation import translate
from fengling_gateway.kubernetes.gateway_api.world import (
    Backend as ServedPort,
)
from fengling_gateway.kubernetes.gateway_api.world import (
    GatewayObjects,
    Settings,
    Translation,
    World,
)
from fengling_gateway.kubernetes.objects import Namespace, ObjectName, Service
from fengling_gateway.kubernetes.offers import Backend, scheme_of
from fengling_gateway.kubernetes.origins import GATEWAY_API, is_of_gateway_api
from fengling_gateway.kubernetes.overwriting import FIRST_SECONDS, Overwriting
from fengling_gateway.kubernetes.resources import Resource
from fengling_gateway.kubernetes.statuses import Statuses
from fengling_gateway.kubernetes.wanted_statuses import WantedStatuses
from fengling_gateway.kubernetes.wants import Wants
from fengling_gateway.kubernetes.watching import Heard, Watched
from fengling_gateway.model.entity import Key

_log = Logger()

MAX_PAUSE_SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 0.03
"""What changes together (`kubectl apply` of some files) is translated together."""

_NOTHING: Final = Translation({}, {}, {}, {}, {})


class _Shape(NamedTuple):
    """A resource of the Gateway API, and what is made of its objects."""

    resource: Resource
    convert: Callable[[dict[str, Any]], Any]
    is_optional: bool = False


_SHAPES: Final = (
    _Shape(resources.GATEWAY_CLASSES, convert_gateway_class),
    _Shape(resources.GATEWAYS, convert_gateway),
    _Shape(resources.HTTP_ROUTES, convert_http_route),
    # (Clusters are not obliged to have them: then nothing may refer to another namespace.)
    _Shape(resources.REFERENCE_GRANTS, convert_reference_grant, is_optional=True),
    _Shape(resources.NAMESPACES, objects.namespace),
)


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
    Keeps what is known of the Gateway API's objects, and wants what follows from them.

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
        beside: Callable[[Callable[[], Translation]], Deferred[Any]],
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._wants = wants
        self._backends = backends
        self._statuses = statuses
        self._wanted_statuses = WantedStatuses(settings.controller)
        self._beside = beside
        self._known: dict[Resource, dict[Any, Any]] = {one.resource: {} for one in _SHAPES}
        self._services: dict[tuple[str, str], Service] = {}
        self._is_listed = False
        self._first: Callable[[], None] | None = None
        self._call: Any = None
        self._looks: dict[ObjectRef, Any] = {}
        self._overwriting = Overwriting()
        self._translating: Deferred[Any] | None = None
        self._compiled = CompiledRules()
        self._is_doubtful = False
        self._pause = SETTLE_SECONDS
        self._now = _NOTHING
        self._untold: frozenset[tuple[Key, str]] | None = None
        self._problem: str | None = None
        self.is_synced = False

    def __repr__(self) -> str:
        return f"<GatewaySide: {len(self._now.routes)} routes>"

    def watched(self) -> list[Watched]:
        """Return what is to be watched for it."""
        return [
            Watched(
                one.resource,
                one.convert,
                _name_of,
                self._heard(one.resource),
                is_optional=one.is_optional,
            )
            for one in _SHAPES
        ]

    def synced(self, first: Callable[[], None]) -> None:
        """
        Begin: everything has been listed.

        Args:
            first: called when it is known for the first time what follows from it.
        """
        self._is_listed = True
        self._first = first
        self._translate()

    def stop(self) -> None:
        self._statuses.stop()  # (first: what ends below would have some written)
        self._is_listed = False
        for call in (self._call, *self._looks.values()):
            if call is not None:
                call.cancel()
        self._call = None
        self._looks.clear()
        if self._translating is not None:
            self._translating.cancel()

    def written(self) -> None:
        """Tell statuses, as what has been wanted is written, or refused: instances aside."""
        is_open = self._call is not None or self._translating is not None
        if not self.is_synced or is_open or not self._wants.only_instances:
            return
        refused = frozenset(self._wants.refused.items())
        if self._untold != refused:
            self._untold = refused
            self._wanted_statuses.want(self._now, self._refusals())
            untrue = self._wanted_statuses.untrue()
            self._statuses.want({ref: one for ref, one in untrue.items() if ref not in self._looks})

    def status(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "is_synced": self.is_synced,
            "routes": len(self._now.routes),
            "statuses_waiting": len(self._statuses),
            "statuses_written": self._statuses.written,
            "has_host_limits": bool(settings.limits.hosts),
            "priority": settings.priority,
            "problem": self._problem or self._statuses.problem,
        }

    # What the cluster has

    def services_listed(self, services: Iterable[Service]) -> None:
        self._services = {one.name: one for one in services}
        self._changed()

    def service_changed(self, service: Service) -> None:
        before = self._services.get(service.name)
        self._services[service.name] = service
        if before is None or before._replace(uid="", annotations={}, labels={}) != service._replace(
            uid="", annotations={}, labels={}
        ):
            self._changed()

    def service_gone(self, service: Service) -> None:
        self._services.pop(service.name, None)
        self._changed()

    def _heard(self, resource: Resource) -> Heard:
        known, statuses = self._known, self._wanted_statuses

        def listed(values: Iterable[Any]) -> None:
            statuses.forget(resource)
            known[resource] = {_name_of(one): self._without_status(resource, one) for one in values}
            for name in known[resource]:
                # (Of what was written since, and overwritten, nothing else may ever be heard.)
                self._statuses.settled(_ref_of(resource, name))
            self._changed()

        def changed(value: Any) -> None:
            before = known[resource].get(_name_of(value))
            was_so = statuses.is_so(_ref(resource, value))
            now = known[resource][_name_of(value)] = self._without_status(resource, value)
            if before != now:
                self._changed()
            elif now is not value:
                self._status_changed(_ref(resource, value), was_so=was_so)

        def gone(value: Any) -> None:
            known[resource].pop(_name_of(value), None)
            statuses.gone(_ref(resource, value))
            self._changed()

        return Heard(listed, changed, gone)

    def _without_status(self, resource: Resource, value: Any) -> Any:
        """Return what is translated of an object; its status, which is no part of that, is noted."""
        if not hasattr(value, "status"):
            return value
        self._wanted_statuses.heard(_ref(resource, value), value.status)
        return value._replace(status=None)

    def _status_changed(self, ref: ObjectRef, *, was_so: bool) -> None:
        """
        Note that somebody, often we ourselves, has written a status, and nothing else.

        Args:
            was_so: whether it was before as it is to be; else this may be what we wanted earlier.
        """
        if self._wanted_statuses.is_so(ref):
            self._statuses.settled(ref)
        elif self._is_listed and ref not in self._looks:
            pause = self._overwritten(ref) if was_so else FIRST_SECONDS
            self._looks[ref] = self._clock.callLater(pause, self._look_again, ref)

    def _overwritten(self, ref: ObjectRef) -> float:
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
        del self._looks[ref]
        self._untold = None
        self.written()

    # What follows from it

    def _changed(self) -> None:
        if self._translating is not None:
            self._is_doubtful = True
        elif self._is_listed and self._call is None:
            self._call = self._clock.callLater(self._pause, self._translate)

    def _translate(self) -> None:
        """Translate what is known, beside the reactor: of thousands of routes it takes a second."""
        self._call = None
        self._is_doubtful = False
        known, world = self._objects(), self._world()
        began = self._clock.seconds()
        self._translating = self._beside(lambda: translate(known, world, self._compiled))
        self._translating.addCallback(self._translated).addErrback(self._not_translated)
        self._translating.addBoth(self._ended, began)

    def _ended(self, _: object, began: float) -> None:
        self._translating = None
        took = self._clock.seconds() - began
        # No more than a third of the time, however fast the cluster changes.
        self._pause = min(max(SETTLE_SECONDS, 2 * took), MAX_PAUSE_SECONDS)
        if self._is_doubtful:
            self._changed()
        else:
            self.written()

    def _not_translated(self, failure: Failure) -> None:
        """What was before counts on."""
        if failure.check(CancelledError):
            return
        self._problem = f"a fault of this program, which is in its log: {failure.getErrorMessage()}"
        _log.failure("translating the Gateway API", failure, log_id="kubernetes.untranslated")

    def _translated(self, now: Translation) -> None:
        self._problem = self._untold = None
        before, self._now = self._now, now
        for route in before.routes.keys() - now.routes.keys():
            self._wants.put(Key("route", route), None, str(before.origins[route]))
        for service, referred in now.services.items():
            self._want_service(service, referred)
        for route, row in now.routes.items():
            self._wants.put(Key("route", route), row, str(now.origins[route]))
        for service in before.services.keys() - now.services.keys():
            self._backends.unwant(service)
            self._wants.put(Key("service", service), None, GATEWAY_API)
        if not self.is_synced:
            self.is_synced = True
            assert self._first is not None, "given when all was listed"
            self._first()

    def _want_service(self, service: str, referred: ServedPort) -> None:
        name = ObjectName(referred.namespace, referred.name)
        said = {"name": f"{name}:{referred.port.port}"} if name.name else {}
        self._wants.put(Key("service", service), {**said, **referred.fields}, GATEWAY_API)
        found = self._services.get(name)
        if found is not None:
            scheme = scheme_of(referred.port, []) or "http"
            port = referred.port.name
            self._backends.want(Backend(service, name, port, scheme, found.family, {}, GATEWAY_API))

    def _objects(self) -> GatewayObjects:
        # (Copies: somebody looks at them while more is heard.)
        known = self._known
        return GatewayObjects(
            dict(known[resources.GATEWAY_CLASSES]),
            dict(known[resources.GATEWAYS]),
            dict(known[resources.HTTP_ROUTES]),
            dict(known[resources.REFERENCE_GRANTS]),
        )

    def _world(self) -> World:
        namespaces: Mapping[Any, Namespace] = self._known[resources.NAMESPACES]
        return World(
            dict(self._services),
            {one.name: one.labels for one in namespaces.values()},
            self._settings,
        )

    def _refusals(self) -> dict[ObjectRef, list[str]]:
        """Return what the configuration refuses, by the HTTPRoutes that it is of."""
        refused: dict[ObjectRef, list[str]] = {}
        for key, why in sorted(self._wants.refused.items()):
            ref = self._now.origins.get(key.id) if key.kind == "route" else None
            if ref is not None and ref.resource == resources.HTTP_ROUTES:
                refused.setdefault(ref, []).append(why)
        return refused


def _name_of(value: Any) -> Any:
    """Return what tells a value from others of its resource."""
    metadata = getattr(value, "metadata", None)
    return value.name if metadata is None else metadata.name


def _ref(resource: Resource, value: Any) -> ObjectRef:
    return _ref_of(resource, _name_of(value))


def _ref_of(resource: Resource, name: Any) -> ObjectRef:
    return ObjectRef(resource, *(name if isinstance(name, ObjectName) else ("", name)))
