"""
Following a cluster, for one term: from what is watched to what is written and told.

What a term has found out is forgotten with it. In the next one everything is
listed anew, and nothing is taken away before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.kubernetes import objects, resources
from fengling_gateway.kubernetes.backends import Backends, Row
from fengling_gateway.kubernetes.catalog import APPROVED, Catalog, Decided, Entry
from fengling_gateway.kubernetes.gateway_side import GatewaySide, is_ours, warn_of_left
from fengling_gateway.kubernetes.objects import ObjectName, Service
from fengling_gateway.kubernetes.offers import Backend
from fengling_gateway.kubernetes.results import Results
from fengling_gateway.kubernetes.selection import Selector
from fengling_gateway.kubernetes.storable import storable
from fengling_gateway.kubernetes.table import Decision, DiscoveryTerm, Seen, Told
from fengling_gateway.kubernetes.wants import Want, Wants
from fengling_gateway.kubernetes.watching import ClusterWatch, Heard, Reflecting, Watched
from fengling_gateway.kubernetes.writer import Writer
from fengling_gateway.kubernetes.writing import Written
from fengling_gateway.model.entity import Key

_log = Logger()

TELL_SECONDS: Final = 0.3
"""Between two looks at what is to be told of discovered Services."""

COUNT_EVERY: Final = 20
"""In how many of these looks instances are counted anew: that alone makes nothing new."""

MAX_TOLD: Final = 500
"""Services that are told of in one transaction."""

MAX_PAUSE: Final = 30
"""Looks between two tries to tell what could not be told."""


class Rules(NamedTuple):
    """
    What a host's settings say.

    Attributes:
        namespaces: those that are looked at; empty: all.
        approve: patterns of ``namespace/name`` that are approved without asking.
    """

    namespaces: tuple[str, ...]
    selector: Selector
    approve: tuple[str, ...]


class Telling(NamedTuple):
    """What is to be told of discovered Services: seen, gone, and what became of them."""

    seen: tuple[Seen, ...]
    gone: tuple[ObjectName, ...]
    results: tuple[Told, ...]


class World(NamedTuple):
    """
    Whom it talks to.

    Attributes:
        reflect: makes what watches a resource, in a namespace or in all, for a user.
        tell: writes what is told, in a term; fails as the database does.
    """

    reflect: Callable[[Watched, str | None, Any], Reflecting]
    tell: Callable[[int, Telling], Deferred[None]]


MakeGatewaySide = Callable[[Wants, Backends], GatewaySide]


class Following:
    """
    Args:
        gateway_side: makes what follows the Gateway API's objects; None: nothing does.
        changed: called after something has been told.
    """

    def __init__(
        self,
        term: DiscoveryTerm,
        *,
        clock: IReactorTime,
        rules: Rules,
        world: World,
        writer: Writer,
        gateway_side: MakeGatewaySide | None,
        changed: Callable[[], None],
    ) -> None:
        self._term = term
        self._world = world
        self._writer = writer
        self._changed = changed
        self._is_telling = False
        self._looks = self._tells_again = 0
        self._pause = 1
        self._most_told = MAX_TOLD
        self.problem: str | None = None
        self._results = Results()
        # Whose being there, and what became of them, is yet to be told.
        self._untold: dict[ObjectName, None] = {}
        self._counts: dict[ObjectName, dict[str, int]] = {}
        # What stays as it was, by Service: what is asked for there now is not right.
        self._kept: dict[ObjectName, list[Key]] = {}
        self.wants = Wants(writer.wake)
        self.backends = Backends(self._instance_changed)
        self.catalog = Catalog(
            selector=rules.selector,
            rules=rules.approve,
            backends=self.backends,
            wants=self.wants,
            settled=self._settled,
        )
        for one in term.decisions:
            self._decide(one)
        self._gateway_side = None
        if gateway_side is not None:
            self._gateway_side = gateway_side(self.wants, self.backends)
        # (Routes of the Gateway API refer to any Service.)
        selector = str(rules.selector) if self._gateway_side is None else None
        self._watch = ClusterWatch(
            (
                Watched(
                    resources.SERVICES,
                    objects.service,
                    lambda one: one.name,
                    Heard(self._services_listed, self._service_changed, self._service_gone),
                    selector,
                ),
                Watched(
                    resources.ENDPOINT_SLICES,
                    objects.endpoint_slice,
                    lambda one: one.name,
                    Heard(
                        self.backends.slices_listed,
                        self.backends.slice_changed,
                        lambda one: self.backends.slice_gone(one.name),
                    ),
                    selector,
                ),
            ),
            namespaces=rules.namespaces,
            reflect=world.reflect,
            synced=self._synced,
        )
        self._gateway_watch = ClusterWatch(
            () if self._gateway_side is None else self._gateway_side.watched(),
            namespaces=rules.namespaces,
            reflect=world.reflect,
            synced=self._both_synced,
        )
        self._teller = LoopingCall(self._tell)
        self._teller.clock = clock

    def __repr__(self) -> str:
        return f"<Following in term {self._term.number}, {self._watch}>"

    def start(self) -> None:
        if self._gateway_side is None:
            warn_of_left(one.origin for one in self._term.said.values())
        self._watch.start()
        self._gateway_watch.start()

    def stop(self) -> Deferred[None]:
        """Follow no more; what is not written yet is the next term's."""
        if self._teller.running:
            self._teller.stop()
        self._writer.end()
        if self._gateway_side is not None:
            self._gateway_side.stop()
        stops = [self._watch.stop(), self._gateway_watch.stop()]
        return DeferredList(stops).addCallback(lambda _: None)

    def decided(self, decisions: Iterable[Decision]) -> None:
        """Hear of decisions, those that were taken back included."""
        for one in decisions:
            origin = f"{one.namespace}/{one.name}"
            if one.state == APPROVED:
                self.wants.withdrawn.discard(origin)
            else:
                self.wants.withdrawn.add(origin)
            self._decide(one)

    def _decide(self, one: Decision) -> None:
        name = ObjectName(one.namespace, one.name)
        self.catalog.decided(name, Decided(one.state, one.asked, one.approved, one.number))
        self._untold[name] = None

    def others_changed(self, keys: Iterable[Key]) -> None:
        """Hear that somebody else may have changed entities: what the cluster wants counts again."""
        if not self._watch.is_synced:
            return
        for key in keys:
            if key.kind in ("service", "instance", "route"):
                want = self.wants.rows.get(key)
                if want is not None or self._may_go(key):
                    self.wants.look_at(key, "" if want is None else want.origin)

    def _may_go(self, key: Key) -> bool:
        """Whether it is certain that the cluster does not want an entity."""
        said = self._term.said.get(key)
        if self._watch.has_unreadable:
            return said is None and self._gateway_side is None
        if said is None:
            return self._gateway_side is None or self._gateway_side.is_synced
        if is_ours(said.origin):
            return self._gateway_side is not None and self._gateway_side.is_synced
        return True

    def status(self) -> dict[str, Any]:
        """Return what is watched and written, as a console shows it."""
        counts = self._writer.counts
        return {
            "resources": [*self._watch.status(), *self._gateway_watch.status()],
            "is_synced": self._watch.is_synced,
            "telling": self.problem,
            "gateway_api": None if self._gateway_side is None else self._gateway_side.status(),
            "writing": {
                "waiting": len(self._writer),
                "refused": len(self.wants.refused),
                "revisions": counts.revisions,
                "entities": counts.written,
                "failures": counts.failures,
                "problem": self._writer.problem or self._writer.held,
            },
            "following": {
                "services": len(self.backends.wanted),
                "entities": len(self.wants.rows),
            },
        }

    def _settled(self, name: ObjectName) -> None:
        for key in self._kept.pop(name, ()):
            if not self.catalog.follows(name) or (
                key.kind == "instance" and not self._is_followed(key)
            ):
                self.wants.put(key, None, str(name))
            self.wants.look_at(key, str(name))

    def _is_followed(self, instance: Key) -> bool:
        want = self.wants.rows.get(instance)
        row = None if want is None else want.row
        return row is not None and self.backends.has(row.get("service_id", ""), instance.id)

    # What the cluster says

    def _services_listed(self, services: Iterable[Service]) -> None:
        services = list(services)
        self.catalog.listed(services)
        if self._gateway_side is not None:
            self._gateway_side.services_listed(services)

    def _service_changed(self, service: Service) -> None:
        self.catalog.changed(service)
        if self._gateway_side is not None:
            self._gateway_side.service_changed(service)

    def _service_gone(self, service: Service) -> None:
        self.catalog.gone(service.name)
        if self._gateway_side is not None:
            self._gateway_side.service_gone(service)

    def _instance_changed(self, instance: str, row: Row | None, backend: Backend) -> None:
        self.wants.put(Key("instance", instance), row, backend.origin)

    def _synced(self) -> None:
        """Begin to write: whatever is known from before, and not wanted any more, may go now."""
        for key, said in self._term.said.items():
            if self.catalog.is_kept(said.origin):
                self._kept.setdefault(_name(said.origin), []).append(key)
            elif not is_ours(said.origin) and self._may_go(key):
                self.wants.look_at(key, said.origin)
        for name, keys in self._kept.items():
            self._keep(name, keys)
        if self._gateway_side is None:
            self._look_at_unsaid()
        if self._watch.has_unreadable:
            _log.warn(
                "some objects can't be read: in this term nothing of before is taken away",
                log_id="kubernetes.unreadable",
            )
        _log.info(
            "following the cluster: {services} services of which {approved} are approved",
            services=len(self.catalog.entries),
            approved=len(self.backends.wanted),
            log_id="kubernetes.synced",
        )
        self._writer.begin(self._term.number, self.wants)
        self._teller.start(TELL_SECONDS)
        self._both_synced()

    def _both_synced(self) -> None:
        """Begin with the Gateway API, which may be there later, or never."""
        if (
            self._gateway_side is None
            or not self._watch.is_synced
            or not self._gateway_watch.is_synced
        ):
            return
        # First: where it fails, nothing of before may go.
        self._gateway_side.synced(self._translated)

    def _translated(self) -> None:
        """Have go what is of the Gateway API, and not wanted any more."""
        if self._gateway_watch.has_unreadable:
            return
        for key, said in self._term.said.items():
            if is_ours(said.origin) and key not in self.wants.rows:
                self.wants.look_at(key, said.origin)
        self._look_at_unsaid()

    def _look_at_unsaid(self) -> None:
        for key in self._term.unsaid:
            if self._may_go(key):
                self.wants.look_at(key)

    def _keep(self, name: ObjectName, keys: list[Key]) -> None:
        """Want what is there of a Service to be as it was: what it asks for now is not right."""
        services = [key.id for key in keys if key.kind == "service"]
        backend = self.catalog.keep(name, services[0]) if services else None
        for key in keys:
            if key.kind != "instance" or backend is None:
                self.wants.put(key, self._term.said[key].fields, str(name))
            elif not self.backends.has(backend.id, key.id):
                self.wants.look_at(key, str(name))

    def written(self, batch: Mapping[Key, Want], written: Written) -> None:
        """Hear what became of a batch."""
        for origin in self._results.written(batch, written):
            if origin and not is_ours(origin):
                self._untold[_name(origin)] = None
        if self._gateway_side is not None:
            self._gateway_side.written()

    # What is told of it

    def _tell(self) -> None:
        try:
            self._tell_some()
        except Exception:  # or nothing would be told any more
            _log.failure("telling what has been discovered", log_id="kubernetes.telling_failed")

    def _tell_some(self) -> None:
        self._untold.update(self.catalog.untold)
        self.catalog.untold.clear()
        self._looks += 1
        if self._looks % COUNT_EVERY == 1:
            self._count()
        names = [one for one in self._untold if not self._is_open(one)][: self._most_told]
        if not names or self._is_telling or self._looks < self._tells_again:
            return
        for name in names:
            del self._untold[name]
        self._is_telling = True
        telling = self._telling(names)
        self._world.tell(self._term.number, telling).addCallbacks(
            lambda _: self._told(), self._not_told, errbackArgs=(names,)
        )

    def _is_open(self, name: ObjectName) -> bool:
        """Whether something of a Service is yet to be written: then there is more to tell soon."""
        entry = self.catalog.entries.get(name)
        backend = None if entry is None or entry.effective is None else entry.effective.backend
        return backend is not None and (
            Key("service", backend.id) in self.wants or Key("route", backend.id) in self.wants
        )

    def _telling(self, names: Iterable[ObjectName]) -> Telling:
        entries = {one: self.catalog.entries.get(one) for one in names}
        there = {one: entry for one, entry in entries.items() if entry is not None}
        return Telling(
            tuple(self._seen(name, entry) for name, entry in there.items()),
            tuple(name for name, entry in entries.items() if entry is None),
            tuple(
                Told(*name, storable(self._results.document(entry)))
                for name, entry in there.items()
            ),
        )

    def _seen(self, name: ObjectName, entry: Entry) -> Seen:
        offer = entry.offer.document(entry.service)
        counts = self._counts[name] = self._states(entry)
        return Seen(
            *name,
            offer=storable({**offer, "instances": counts}),
            state=APPROVED if entry.rule is not None else "pending",
            decided_by=None if entry.rule is None else f"rule {entry.rule}",
        )

    def _states(self, entry: Entry) -> dict[str, int]:
        backend = entry.offer.backend
        if backend is None:
            return {}
        return self.backends.states(backend.name, backend.port, backend.family)

    def _count(self) -> None:
        """Count endpoints anew where slices have changed."""
        touched, self.backends.touched = self.backends.touched, set()
        for name in touched:
            entry = self.catalog.entries.get(name)
            if entry is not None and self._counts.get(name) != self._states(entry):
                self._untold[name] = None

    def _told(self) -> None:
        self._is_telling = False
        self._most_told = min(2 * self._most_told, MAX_TOLD)
        self._pause = 1
        self.problem = None
        self._changed()

    def _not_told(self, failure: Failure, names: list[ObjectName]) -> None:
        """Try again, later and later, with fewer at a time: one of them may be to blame."""
        self._is_telling = False
        # (At the end: who is not to blame goes first then.)
        self._untold.update(dict.fromkeys(names))
        self._most_told = max(1, len(names) // 2)
        self._tells_again = self._looks + self._pause
        self._pause = min(2 * self._pause, MAX_PAUSE)
        reason = failure.getErrorMessage()
        if self.problem is None:
            _log.warn(
                "what has been discovered can't be told: {reason}",
                reason=reason,
                log_id="kubernetes.untold",
            )
        self.problem = reason


def _name(origin: str) -> ObjectName:
    """Return the Service that an origin names."""
    namespace, _, name = origin.partition("/")
    return ObjectName(namespace, name)
