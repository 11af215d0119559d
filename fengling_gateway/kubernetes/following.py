"""
Following a cluster, for one term: from what is watched to what is written and told.

What a term has found out is forgotten with it. In the next one everything is
listed anew, and nothing is taken away before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.kubernetes.backends import Backends, Row
from fengling_gateway.kubernetes.catalog import APPROVED, Catalog, Decided
from fengling_gateway.kubernetes.gateway_side import GatewaySide, warn_of_left
from fengling_gateway.kubernetes.hearing import services_and_slices
from fengling_gateway.kubernetes.inherited import Certainty, Inherited
from fengling_gateway.kubernetes.limits import NO_LIMITS, Limits
from fengling_gateway.kubernetes.objects import ObjectName
from fengling_gateway.kubernetes.offers import Backend
from fengling_gateway.kubernetes.origins import is_of_gateway_api
from fengling_gateway.kubernetes.relists import Relists
from fengling_gateway.kubernetes.reporting import Report, Reporting
from fengling_gateway.kubernetes.selection import Selector
from fengling_gateway.kubernetes.table import Confirmed, Decision, DiscoveryTerm
from fengling_gateway.kubernetes.wants import Want, Wants
from fengling_gateway.kubernetes.watching import ClusterWatch, Reflecting, Watched
from fengling_gateway.kubernetes.writer import Writer
from fengling_gateway.kubernetes.writing import Written
from fengling_gateway.model.entity import Key

_log = Logger()

LOGGED: Final = 5
"""Decisions that a line of the log names, of those that are heard of at once."""


class Rules(NamedTuple):
    """
    What a host's settings say.

    Attributes:
        namespaces: those that are looked at; empty: all.
        approve: patterns of ``namespace/name`` that are approved without asking.
        limits: what namespaces may ask for.
    """

    namespaces: tuple[str, ...]
    selector: Selector
    approve: tuple[str, ...]
    limits: Limits = NO_LIMITS


class World(NamedTuple):
    """
    Whom it talks to.

    Attributes:
        reflect: makes what watches a resource, in a namespace or in all, for a user.
        tell: writes a report, in a term; fails as the database does.
    """

    reflect: Callable[[Watched, str | None, Any], Reflecting]
    tell: Callable[[int, Report], Deferred[None]]


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
        self._writer = writer
        self.wants = Wants(writer.wake)
        self.backends = Backends(self._instance_changed)
        self.catalog = Catalog(
            selector=rules.selector,
            rules=rules.approve,
            limits=rules.limits,
            backends=self.backends,
            wants=self.wants,
            settled=self._settled,
        )
        self._reporting = Reporting(
            clock=clock,
            catalog=self.catalog,
            backends=self.backends,
            wants=self.wants,
            tell=lambda report: world.tell(term.number, report),
            changed=changed,
        )
        self._inherited = Inherited(
            term,
            catalog=self.catalog,
            backends=self.backends,
            wants=self.wants,
            certainty=Certainty(
                is_readable=lambda: not self._watch.has_unreadable,
                has_gateway_api=gateway_side is not None,
                knows_gateway_api=self._knows_gateway_api,
            ),
        )
        for one in term.decisions:
            if one.number and one.state != APPROVED:
                # (It may not be written yet; then nobody else has to confirm it either.)
                self.wants.withdraw(f"{one.namespace}/{one.name}")
            self._decide(one)
        self._gateway_side = None
        # Fires when it is known for the first time what the Gateway API's objects come to.
        self._known: Deferred[None] = Deferred()
        if gateway_side is not None:
            self._gateway_side = gateway_side(self.wants, self.backends)
        self._relists = Relists(clock, self._relisted)
        self._watch = ClusterWatch(
            services_and_slices(self.catalog, self.backends, self._gateway_side, rules.selector),
            namespaces=rules.namespaces,
            reflect=world.reflect,
            relists=self._relists,
            synced=self._synced,
        )
        self._gateway_watch = ClusterWatch(
            () if self._gateway_side is None else self._gateway_side.watched(),
            namespaces=rules.namespaces,
            reflect=world.reflect,
            relists=self._relists,
            synced=self._both_synced,
        )

    def __repr__(self) -> str:
        return f"<Following in term {self._term.number}, {self._watch}>"

    def start(self) -> None:
        if self._gateway_side is None:
            warn_of_left(one.origin for one in self._term.said.values())
        self._writer.remember(self._term.lost)
        self._watch.start()
        self._gateway_watch.start()

    def stop(self) -> Deferred[None]:
        """Follow no more; what is not written yet is the next term's."""
        self._reporting.stop()
        self._relists.stop()
        self._writer.end()
        if not self._known.called:
            self._known.callback(None)
        if self._gateway_side is not None:
            self._gateway_side.stop()
        stops = [self._watch.stop(), self._gateway_watch.stop()]
        return DeferredList(stops).addCallback(lambda _: None)

    def decided(self, decisions: Iterable[Decision]) -> None:
        """Hear of decisions, those that were taken back included."""
        found = tuple(decisions)
        if found:
            _log.info(
                "decided: {decisions}",
                decisions=_some(found),
                count=len(found),
                log_id="kubernetes.decided",
            )
        for one in found:
            origin = f"{one.namespace}/{one.name}"
            if one.state == APPROVED:
                self.wants.admit(origin)
            else:
                self.wants.withdraw(origin)
            self._decide(one)

    def _decide(self, one: Decision) -> None:
        name = ObjectName(one.namespace, one.name)
        self.catalog.decided(
            name,
            Decided(one.state, one.asked, one.approved, one.number, one.offered, one.is_rule_s),
        )
        self._reporting.note(name)

    def confirmed(self, confirmed: Confirmed) -> None:
        """Hear that somebody lets routes go that are kept: those of which he was shown the id."""
        removal = self._writer.awaited.confirm(confirmed.removal)
        if removal is None:
            _log.warn(
                "{by} has confirmed {removal}, which is not what waits for it by now: nothing goes",
                by=confirmed.by,
                removal=confirmed.removal,
                log_id="kubernetes.confirmed_in_vain",
            )
            return
        _log.info(
            "{by} has confirmed {removal}: {routes} of the routes go, which the cluster has no more",
            by=confirmed.by,
            routes=len(removal.routes),
            removal=removal.id,
            log_id="kubernetes.confirmed",
        )
        self.wants.confirm(removal.routes)

    def others_changed(self, keys: Iterable[Key]) -> None:
        """Hear that somebody else may have changed entities: what the cluster wants counts again."""
        if not self._watch.is_synced:
            return
        for key in keys:
            if key.kind in ("service", "instance", "route"):
                want = self.wants.rows.get(key)
                if want is not None or self._inherited.may_go(key):
                    self.wants.look_at(key, "" if want is None else want.origin)

    def _settled(self, name: ObjectName) -> None:
        self._inherited.settled(name)

    def _knows_gateway_api(self) -> bool:
        return self._gateway_side is not None and self._gateway_side.is_synced

    def status(self) -> dict[str, Any]:
        """Return what is watched and written, as a console shows it."""
        counts, awaited = self._writer.counts, self._writer.awaited
        return {
            "resources": [*self._watch.status(), *self._gateway_watch.status()],
            "is_synced": self._watch.is_synced,
            "telling": self._reporting.problem,
            "gateway_api": None if self._gateway_side is None else self._gateway_side.status(),
            "writing": {
                "waiting": len(self._writer),
                "refused": len(self.wants.refused),
                "withheld": len(self.wants.withheld),
                **awaited.to_json(),
                "lately": self._writer.lately,
                "revisions": counts.revisions,
                "entities": counts.written,
                "failures": counts.failures,
                "problem": self._writer.problem or awaited.held,
                "held": awaited.held,
            },
            "following": {
                "services": len(self.backends.wanted),
                "entities": len(self.wants.rows),
            },
        }

    # What the cluster says

    def _instance_changed(self, instance: str, row: Row | None, backend: Backend) -> None:
        self.wants.put(Key("instance", instance), row, backend.origin)

    def _relisted(self) -> None:
        """Have it written together, what is lost of all: of the Gateway API that is known in a moment."""
        if self._gateway_side is not None:
            self._writer.pause(self._gateway_side.when_translated())

    def _synced(self) -> None:
        """Begin to write: whatever is known from before, and not wanted any more, may go now."""
        self._inherited.synced()
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
        if self._gateway_side is not None and self._may_lose_of_both():
            self._writer.pause(self._known)
        self._writer.begin(self._term.number, self.wants)
        self._reporting.start()
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
        if not self._gateway_watch.has_unreadable:
            self._inherited.translated()
        self._known.callback(None)

    def _may_lose_of_both(self) -> bool:
        """Whether routes go, of Services, and others may that are the Gateway API's: they count together."""
        return self.wants.has_routes_to_go and any(
            key.kind == "route" and is_of_gateway_api(said.origin)
            for key, said in self._term.said.items()
        )

    def written(self, batch: Mapping[Key, Want], written: Written) -> None:
        """Hear what became of a batch."""
        self._reporting.written(batch, written)
        if self._gateway_side is not None:
            self._gateway_side.written()


def _some(decisions: Sequence[Decision]) -> str:
    said = [f"{one.namespace}/{one.name} is {one.state}{_by(one)}" for one in decisions[:LOGGED]]
    more = len(decisions) - len(said)
    return ", ".join(said) + (f" and {more} more" if more else "")


def _by(decision: Decision) -> str:
    return "" if decision.by is None else f" by {decision.by}"
