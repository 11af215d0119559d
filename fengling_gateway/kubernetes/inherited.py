"""
What a term finds of the terms before it, and what of that may go, and when. Pure.

What the cluster owned then and does not want any more is to go, but never before
it is certain that it does not: everything is listed, nothing of it is unreadable,
and what is asked for is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fengling_gateway.kubernetes.backends import Backends
from fengling_gateway.kubernetes.catalog import Catalog
from fengling_gateway.kubernetes.objects import ObjectName
from fengling_gateway.kubernetes.origins import is_of_gateway_api, service_of
from fengling_gateway.kubernetes.table import DiscoveryTerm
from fengling_gateway.kubernetes.wants import Wants
from fengling_gateway.model.entity import Key


class Certainty(NamedTuple):
    """
    What is certain, whenever it is asked.

    Attributes:
        is_readable: nothing of the Services and slices that there are is unreadable.
        has_gateway_api: the Gateway API is followed.
        knows_gateway_api: it is known what follows from it.
    """

    is_readable: Callable[[], bool]
    has_gateway_api: bool
    knows_gateway_api: Callable[[], bool]


class Inherited:
    def __init__(
        self,
        term: DiscoveryTerm,
        *,
        catalog: Catalog,
        backends: Backends,
        wants: Wants,
        certainty: Certainty,
    ) -> None:
        self._said = term.said
        self._unsaid = term.unsaid
        self._catalog = catalog
        self._backends = backends
        self._wants = wants
        self._certainty = certainty
        # What stays as it was, by Service: what is asked for there now is not right.
        self._kept: dict[ObjectName, list[Key]] = {}

    def __repr__(self) -> str:
        return f"<Inherited: {len(self._said)}, kept of {len(self._kept)} Services>"

    def synced(self) -> None:
        """Services and slices are listed: what of them is not wanted any more may go."""
        for key, said in self._said.items():
            if self._catalog.is_kept(said.origin):
                self._kept.setdefault(service_of(said.origin), []).append(key)
            elif not is_of_gateway_api(said.origin) and self.may_go(key):
                self._look_at(key)
        for name, keys in self._kept.items():
            self._keep(name, keys)
        if not self._certainty.has_gateway_api:
            self._look_at_unsaid()

    def translated(self) -> None:
        """It is known what follows from the Gateway API: what else there is of it may go."""
        for key, said in self._said.items():
            if is_of_gateway_api(said.origin) and key not in self._wants.rows:
                self._look_at(key)
        self._look_at_unsaid()

    def settled(self, name: ObjectName) -> None:
        """It is certain by now what follows from a Service: nothing stays only because it was."""
        for key in self._kept.pop(name, ()):
            if not self._catalog.follows(name) or (
                key.kind == "instance" and not self._is_followed(key)
            ):
                self._wants.put(key, None, str(name))
            self._look_at(key)

    def may_go(self, key: Key) -> bool:
        """Whether it is certain that the cluster does not want an entity that it does not name."""
        said, certainty = self._said.get(key), self._certainty
        if not certainty.is_readable():
            return said is None and not certainty.has_gateway_api
        if said is None:
            return not certainty.has_gateway_api or certainty.knows_gateway_api()
        if is_of_gateway_api(said.origin):
            return certainty.has_gateway_api and certainty.knows_gateway_api()
        return True

    def _look_at(self, key: Key) -> None:
        said = self._said[key]
        self._wants.look_at(key, said.origin, said.fields)

    def _look_at_unsaid(self) -> None:
        for key in self._unsaid:
            if self.may_go(key):
                self._wants.look_at(key)

    def _keep(self, name: ObjectName, keys: list[Key]) -> None:
        """Want what is there of a Service to be as it was: what it asks for now is not right."""
        services = [key.id for key in keys if key.kind == "service"]
        backend = self._catalog.keep(name, services[0]) if services else None
        for key in keys:
            if key.kind != "instance" or backend is None:
                self._wants.put(key, self._said[key].fields, str(name))
            elif not self._backends.has(backend.id, key.id):
                self._look_at(key)

    def _is_followed(self, instance: Key) -> bool:
        want = self._wants.rows.get(instance)
        row = None if want is None else want.row
        return row is not None and self._backends.has(row.get("service_id", ""), instance.id)
