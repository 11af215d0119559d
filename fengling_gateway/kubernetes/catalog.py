"""
The Services that are discovered: who has approved them, and what follows from it. Pure.

A decision is somebody's, or a rule's; somebody's goes first. Of what somebody
has approved, the annotations count as they were then: what the cluster asks
for later is shown, and waits for another approval. Endpoints follow at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from fengling_gateway.kubernetes.annotations import PREFIX, ours
from fengling_gateway.kubernetes.backends import Backends
from fengling_gateway.kubernetes.limits import NO_LIMITS, Limits
from fengling_gateway.kubernetes.objects import ObjectName, Service
from fengling_gateway.kubernetes.offers import Backend, Offer, offer
from fengling_gateway.kubernetes.selection import Selector, approving_rule
from fengling_gateway.kubernetes.wants import Wants
from fengling_gateway.model.entity import Key

PENDING: Final = "pending"
APPROVED: Final = "approved"
REJECTED: Final = "rejected"


class Decided(NamedTuple):
    """
    What has been decided of a Service.

    Attributes:
        wish: what the approver has set: ``hosts``, ``path``, ``tenant_id``.
        approved: our annotations as they were approved; None: as they are.
        number: grows with every decision.
        offered: our annotations as they were when somebody was told of them last; None: nobody was.
        is_rule_s: whether a rule has decided, which may be there no more.
    """

    state: str
    wish: Mapping[str, Any]
    approved: Mapping[str, str] | None
    number: int
    offered: Mapping[str, str] | None = None
    is_rule_s: bool = False

    @property
    def is_seen(self) -> bool:
        """Whether somebody looks at annotations before they count: not if a rule has approved."""
        return self.state != APPROVED or (self.approved is not None and not self.is_rule_s)


class Entry(NamedTuple):
    """
    A discovered Service.

    Attributes:
        state: what has been decided, by ``rule`` if it is not None.
        offer: what it would become, as it is annotated now.
        effective: what it becomes; None: nothing.
        settled: the annotations that count as approved because a rule had approved it, and there is
            no such rule any more; None: it is not so.
    """

    service: Service
    state: str
    rule: str | None
    number: int
    offer: Offer
    effective: Offer | None
    settled: Mapping[str, str] | None = None

    @property
    def is_changed(self) -> bool:
        """Whether it asks for something else than what has been approved."""
        return self.effective is not None and self.effective != self.offer


class Catalog:
    """
    Args:
        rules: patterns of ``namespace/name`` that are approved without asking.
        limits: what namespaces may ask for.
        settled: called when it is certain what follows from a Service: also nothing, but not where
            what was before stays, because what is asked for is not right.

    Attributes:
        entries: all that are there.
        untold: whose offer, or being there, nobody has been told of since it changed.
    """

    def __init__(
        self,
        *,
        selector: Selector,
        rules: Iterable[str],
        backends: Backends,
        wants: Wants,
        limits: Limits = NO_LIMITS,
        settled: Callable[[ObjectName], None] = lambda _: None,
    ) -> None:
        self._selector = selector
        self._rules = tuple(rules)
        self._limits = limits
        self._backends = backends
        self._wants = wants
        self._settled = settled
        self._decided: dict[ObjectName, Decided] = {}
        # The ids of services that follow.
        self._followed: dict[ObjectName, str] = {}
        self.entries: dict[ObjectName, Entry] = {}
        self.untold: dict[ObjectName, None] = {}

    def __repr__(self) -> str:
        return f"<Catalog of {len(self.entries)}>"

    def listed(self, services: Iterable[Service]) -> None:
        """Take over all Services that there are (in the namespaces that are looked at)."""
        now = {one.name: one for one in services}
        for name in [one for one in self.entries if one not in now]:
            self.gone(name)
        for one in now.values():
            self.changed(one)

    def changed(self, service: Service) -> None:
        if not self._selector.takes(service.labels):
            self.gone(service.name)
            return
        entry = self.entries.get(service.name)
        if entry is None or entry.service != service:
            self._place(service)

    def gone(self, name: ObjectName) -> None:
        entry = self.entries.pop(name, None)
        if entry is not None:
            self.untold[name] = None
            self._follow(name, None)

    def decided(self, name: ObjectName, decision: Decided | None) -> None:
        """Hear of a decision; None: that it has been taken back."""
        if decision is None:
            self._decided.pop(name, None)
        else:
            self._decided[name] = decision
        entry = self.entries.get(name)
        if entry is not None:
            self._place(entry.service)

    def keep(self, name: ObjectName, service_id: str) -> Backend | None:
        """
        Follow a Service as it was before this term, for what is asked for there is not right.

        Its pods are followed all the same, if it can be made out which they are.

        Args:
            service_id: of the service that there is.
        """
        entry = self.entries[name]
        backend = None if entry.effective is None else entry.effective.backend
        self._followed[name] = service_id
        if backend is not None and backend.id == service_id:
            self._backends.want(backend)
            return backend
        return None

    def follows(self, name: ObjectName) -> bool:
        """Whether anything follows from a Service."""
        return name in self._followed

    def is_kept(self, origin: str) -> bool:
        """Whether what stands for a Service stays as it is, because what is asked for is not right."""
        namespace, _, name = origin.partition("/")
        entry = self.entries.get(ObjectName(namespace, name))
        return entry is not None and entry.effective is not None and bool(entry.effective.problems)

    def _place(self, service: Service) -> None:
        name = service.name
        before = self.entries.get(name)
        entry = self._entry(service)
        self.entries[name] = entry
        if (
            before is None
            or before._replace(service=service) != entry
            or (before.service.ports != service.ports or before.service.labels != service.labels)
        ):
            self.untold[name] = None
        self._follow(name, entry.effective)

    def _entry(self, service: Service) -> Entry:
        decision = self._decided.get(service.name)
        rule = None
        # (What somebody has set back to pending waits for somebody.)
        if decision is None or (decision.state == PENDING and decision.number == 0):
            rule = approving_rule(service.name, self._rules)
            decision = Decided(PENDING if rule is None else APPROVED, {}, None, 0)
        settled = self._settled_annotations(service.name, decision)
        if settled is not None:
            decision = decision._replace(approved=settled, is_rule_s=True)
        offered = self._offer(service, decision)
        effective = self._effective(service, decision, offered)
        return Entry(service, decision.state, rule, decision.number, offered, effective, settled)

    def _settled_annotations(self, name: ObjectName, decision: Decided) -> Mapping[str, str] | None:
        """Return what a rule that is gone has approved: what is asked for later waits for somebody."""
        if decision.state != APPROVED or decision.approved is not None or not decision.is_rule_s:
            return None
        return decision.offered if approving_rule(name, self._rules) is None else None

    def _offer(self, service: Service, decision: Decided) -> Offer:
        return offer(service, decision.wish, self._limits, is_seen=decision.is_seen)

    def _effective(self, service: Service, decision: Decided, offered: Offer) -> Offer | None:
        if decision.state != APPROVED:
            return None
        approved = decision.approved
        if approved is None or dict(approved) == ours(service.annotations):
            return offered
        annotations = {f"{PREFIX}{name}": text for name, text in approved.items()}
        return self._offer(service._replace(annotations=annotations), decision)

    def _follow(self, name: ObjectName, now: Offer | None) -> None:
        """Want what follows from an offer, in place of what followed from the one before."""
        if now is not None and now.problems:
            return  # a slip in an annotation takes nothing away
        backend = None if now is None else now.backend
        if backend is None or now is None:
            old = self._followed.pop(name, None)
            if old is not None:
                self._wants.put(Key("route", old), None, str(name))
                self._backends.unwant(old)
                self._wants.put(Key("service", old), None, str(name))
            self._settled(name)
            return
        self._followed[name] = backend.id
        self._wants.put(Key("service", backend.id), dict(backend.fields), str(name))
        self._backends.want(backend)
        self._wants.put(Key("route", backend.id), now.route, str(name))
        self._settled(name)
