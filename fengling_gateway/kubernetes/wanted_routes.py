"""Which entities are to be for the Gateway API's objects: routes, services, instances. Pure."""

from __future__ import annotations

from collections.abc import Callable

from fengling_gateway.kubernetes.backends import Backends
from fengling_gateway.kubernetes.gateway_api.world import Backend as ServedPort
from fengling_gateway.kubernetes.gateway_api.world import Translation
from fengling_gateway.kubernetes.objects import ObjectName, Service
from fengling_gateway.kubernetes.offers import Backend, scheme_of
from fengling_gateway.kubernetes.origins import GATEWAY_API
from fengling_gateway.kubernetes.wants import Wants
from fengling_gateway.model.entity import Key


class WantedRoutes:
    """
    Wants what follows from a translation, and no more of what followed from the one before.

    Args:
        find: returns a Service of the cluster.

    Attributes:
        now: the translation that counts.
    """

    def __init__(
        self, wants: Wants, backends: Backends, find: Callable[[ObjectName], Service | None]
    ) -> None:
        self._wants = wants
        self._backends = backends
        self._find = find
        self.now = Translation({}, {}, {}, {}, {})

    def __repr__(self) -> str:
        return f"<WantedRoutes: {len(self)}>"

    def __len__(self) -> int:
        return len(self.now.routes)

    def want(self, now: Translation) -> None:
        """Want what follows from a translation; a service before those who refer to it."""
        before, self.now = self.now, now
        for route in before.routes.keys() - now.routes.keys():
            self._wants.put(Key("route", route), None, str(before.origins[route]))
        for service, referred in now.services.items():
            self._want_service(service, referred)
        for route, row in now.routes.items():
            self._wants.put(Key("route", route), row, str(now.origins[route]))
        for service in before.services.keys() - now.services.keys():
            self._backends.unwant(service)
            self._wants.put(Key("service", service), None, GATEWAY_API)

    def _want_service(self, service: str, referred: ServedPort) -> None:
        name = ObjectName(referred.namespace, referred.name)
        said = {"name": f"{name}:{referred.port.port}"} if name.name else {}
        self._wants.put(Key("service", service), {**said, **referred.fields}, GATEWAY_API)
        found = self._find(name)
        if found is not None:
            scheme = scheme_of(referred.port, []) or "http"
            port = referred.port.name
            self._backends.want(Backend(service, name, port, scheme, found.family, {}, GATEWAY_API))
