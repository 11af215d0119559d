"""
Instances of services that follow the cluster, kept up slice by slice. Pure.

What one change costs depends on its slice (a hundred endpoints as a rule), not
on the service. While endpoints move from one slice to another they are in
both, or may be: what lets a request through counts then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final

from fengling_gateway.kubernetes.ids import instance_id
from fengling_gateway.kubernetes.objects import Endpoint, EndpointSlice, ObjectName
from fengling_gateway.kubernetes.offers import Backend

Row = dict[str, Any]

KNOWN_BEFORE: Final = 20_000
"""Addresses that are remembered: one change of an endpoint brings the hundred of its slice."""

MAX_PORT: Final = 65535
MAX_ZONE: Final = 100
"""Of an instance's zone."""

READY: Final = "ready"
DRAIN: Final = "drain"
_PREFERRED: Final = (READY, DRAIN)


class Backends:
    """
    Args:
        changed: told of each instance that is wanted otherwise than before; None: not any more.

    Attributes:
        wanted: by id of their services.
        touched: Services whose slices have changed since somebody cleared it.
    """

    def __init__(self, changed: Callable[[str, Row | None, Backend], None]) -> None:
        self._changed = changed
        self._slices: dict[ObjectName, EndpointSlice] = {}
        self._slices_of: dict[ObjectName, set[ObjectName]] = {}
        self._backends_of: dict[ObjectName, dict[str, Backend]] = {}
        # By backend, what each slice says.
        self._said: dict[str, dict[ObjectName, dict[str, Row]]] = {}
        self.wanted: dict[str, Backend] = {}
        self.touched: set[ObjectName] = set()

    def __repr__(self) -> str:
        return f"<Backends: {len(self.wanted)} of {len(self._slices)} slices>"

    # What the cluster has

    def slices_listed(self, slices: Iterable[EndpointSlice]) -> None:
        """Take over all slices that there are (in the namespaces that are looked at)."""
        now = {one.name: one for one in slices}
        for name in [one for one in self._slices if one not in now]:
            self.slice_gone(name)
        for one in now.values():
            self.slice_changed(one)

    def slice_changed(self, new: EndpointSlice) -> None:
        old = self._slices.get(new.name)
        if old == new:
            return
        if old is not None and old.service != new.service:
            self.slice_gone(new.name)
        self._slices[new.name] = new
        if new.service is None:
            return
        self.touched.add(new.service)
        self._slices_of.setdefault(new.service, set()).add(new.name)
        for backend in self._backends_of.get(new.service, {}).values():
            self._take(backend, new.name, _rows(backend, new))

    def slice_gone(self, name: ObjectName) -> None:
        old = self._slices.pop(name, None)
        if old is None or old.service is None:
            return
        self.touched.add(old.service)
        others = self._slices_of[old.service]
        others.discard(name)
        if not others:
            del self._slices_of[old.service]
        for backend in self._backends_of.get(old.service, {}).values():
            self._take(backend, name, {})

    # What is wanted of it

    def want(self, backend: Backend) -> None:
        """Keep the instances of a backend; in place of the one with its id."""
        old = self.wanted.get(backend.id)
        if old is not None and _where(old) == _where(backend):
            self.wanted[backend.id] = backend
            self._backends_of[backend.name][backend.id] = backend
            return
        if old is not None:
            self._detach(old)
        self.wanted[backend.id] = backend
        self._backends_of.setdefault(backend.name, {})[backend.id] = backend
        before = self._said.pop(backend.id, {})
        gone = {one for rows in before.values() for one in rows}
        said = {
            name: _rows(backend, self._slices[name])
            for name in self._slices_of.get(backend.name, ())
        }
        self._said[backend.id] = said
        for one in gone | {one for rows in said.values() for one in rows}:
            self._changed(one, self._merged(backend.id, one), backend)

    def unwant(self, backend_id: str) -> None:
        backend = self.wanted.get(backend_id)
        if backend is None:
            return
        self._detach(backend)
        del self.wanted[backend_id]
        said = self._said.pop(backend_id)
        for one in {one for rows in said.values() for one in rows}:
            self._changed(one, None, backend)

    def _detach(self, backend: Backend) -> None:
        others = self._backends_of[backend.name]
        del others[backend.id]
        if not others:
            del self._backends_of[backend.name]

    # What is asked of it

    def has(self, backend_id: str, instance: str) -> bool:
        """Whether a slice has an instance of a backend that is wanted."""
        return any(instance in rows for rows in self._said.get(backend_id, {}).values())

    def instances(self, backend_id: str) -> Mapping[str, Row]:
        """Return the instances of a backend that is wanted."""
        return dict(self._all(backend_id))

    def states(self, name: ObjectName, port: str, family: str) -> dict[str, int]:
        """Count the endpoints of a Service by what their instances are, or would be."""
        found: dict[str, str] = {}
        for one in self._slices_of.get(name, ()):
            known = self._slices[one]
            if known.address_type != family or all(port != each.name for each in known.ports):
                continue
            for endpoint in known.endpoints:
                which = endpoint.pod or endpoint.address
                if found.get(which) != READY:
                    found[which] = _state(endpoint)
        return dict(sorted(Counter(found.values()).items()))

    def _all(self, backend_id: str) -> Iterator[tuple[str, Row]]:
        names = {one for rows in self._said[backend_id].values() for one in rows}
        for one in sorted(names):
            row = self._merged(backend_id, one)
            assert row is not None, "some slice has it"
            yield one, row

    def _take(self, backend: Backend, name: ObjectName, rows: dict[str, Row]) -> None:
        said = self._said[backend.id]
        before = said.get(name, {})
        if rows:
            said[name] = rows
        else:
            said.pop(name, None)
        for one in before.keys() | rows.keys():
            if before.get(one) != rows.get(one):
                self._changed(one, self._merged(backend.id, one), backend)

    def _merged(self, backend_id: str, instance: str) -> Row | None:
        """Return what all slices together say of an instance."""
        found = [rows[instance] for rows in self._said[backend_id].values() if instance in rows]
        if len(found) < 2:  # as a rule there is one
            return found[0] if found else None
        # (Of two addresses the same one each time, whatever the order in which slices came.)
        return min(found, key=lambda row: (_PREFERRED.index(row["state"]), row["address"]))


def _where(backend: Backend) -> tuple[Any, ...]:
    """What decides on the rows of a backend's instances."""
    return backend.name, backend.port, backend.scheme, backend.family


def _rows(backend: Backend, found: EndpointSlice) -> dict[str, Row]:
    """Return the instances that a slice makes, by id."""
    # (Names, FQDN, are refused as ExternalName is: they may be anybody's.)
    if found.address_type != backend.family:
        return {}
    ports = [one for one in found.ports if one.name == backend.port and one.protocol == "TCP"]
    if not ports or ports[0].port is None:
        return {}
    number = ports[0].port
    rows: dict[str, Row] = {}
    if not 0 < number <= MAX_PORT:
        return rows
    for endpoint in found.endpoints:
        if not _is_address(endpoint.address, found.address_type):
            continue
        entity = instance_id(backend.id, endpoint.pod or endpoint.address)
        row = {
            "service_id": backend.id,
            "address": f"{backend.scheme}://{_host(endpoint.address)}:{number}",
            "state": _state(endpoint),
            "zone": _zone(endpoint.zone),
        }
        other = rows.get(entity)
        if other is None or _PREFERRED.index(row["state"]) < _PREFERRED.index(other["state"]):
            rows[entity] = row
    return rows


@lru_cache(maxsize=KNOWN_BEFORE)
def _is_address(address: str, family: str) -> bool:
    """Whether an address is one of the family; the API would take others in slices made by hand."""
    try:
        return str(family) == f"IPv{ip_address(address).version}" and "%" not in address
    except ValueError:
        return False


def _zone(zone: str | None) -> str | None:
    return zone if zone is not None and len(zone) <= MAX_ZONE and zone.isprintable() else None


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _state(endpoint: Endpoint) -> str:
    """
    Return what an instance is.

    An endpoint that terminates, or is not ready, takes nothing new and finishes what it has.
    """
    return READY if endpoint.is_ready and not endpoint.is_terminating else DRAIN
