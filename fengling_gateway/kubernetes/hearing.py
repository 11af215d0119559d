"""Who hears of Services and EndpointSlices: what is discovered, and whoever follows the Gateway API."""

from __future__ import annotations

from collections.abc import Iterable

from fengling_gateway.kubernetes import objects, resources
from fengling_gateway.kubernetes.backends import Backends
from fengling_gateway.kubernetes.catalog import Catalog
from fengling_gateway.kubernetes.gateway_side import GatewaySide
from fengling_gateway.kubernetes.objects import Service
from fengling_gateway.kubernetes.selection import Selector
from fengling_gateway.kubernetes.watching import Heard, Watched


def services_and_slices(
    catalog: Catalog, backends: Backends, gateway_side: GatewaySide | None, selector: Selector
) -> tuple[Watched, ...]:
    """Return both, to be watched: those with our label, or all, as HTTPRoutes refer to any."""
    labels = str(selector) if gateway_side is None else None
    services = Watched(
        resources.SERVICES,
        objects.service,
        lambda one: one.name,
        _of_services(catalog, gateway_side),
        labels,
    )
    slices = Watched(
        resources.ENDPOINT_SLICES,
        objects.endpoint_slice,
        lambda one: one.name,
        Heard(
            backends.slices_listed,
            backends.slice_changed,
            lambda one: backends.slice_gone(one.name),
        ),
        labels,
    )
    return services, slices


def _of_services(catalog: Catalog, gateway_side: GatewaySide | None) -> Heard:
    if gateway_side is None:
        return Heard(catalog.listed, catalog.changed, lambda one: catalog.gone(one.name))

    def listed(services: Iterable[Service]) -> None:
        services = list(services)
        catalog.listed(services)
        gateway_side.services_listed(services)

    def changed(service: Service) -> None:
        catalog.changed(service)
        gateway_side.service_changed(service)

    def gone(service: Service) -> None:
        catalog.gone(service.name)
        gateway_side.service_gone(service)

    return Heard(listed, changed, gone)
