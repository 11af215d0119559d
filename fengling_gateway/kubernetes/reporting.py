"""Telling, of discovered Services, what there is and what became of them: so that somebody can decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.kubernetes.backends import Backends
from fengling_gateway.kubernetes.catalog import APPROVED, Catalog, Entry
from fengling_gateway.kubernetes.objects import ObjectName
from fengling_gateway.kubernetes.origins import is_of_gateway_api, service_of
from fengling_gateway.kubernetes.results import Results
from fengling_gateway.kubernetes.storable import storable
from fengling_gateway.kubernetes.table import Seen, Told
from fengling_gateway.kubernetes.wants import Want, Wants
from fengling_gateway.kubernetes.writing import Written
from fengling_gateway.model.entity import Key

_log = Logger()

TELL_SECONDS: Final = 0.3
"""Between two looks at what is to be told."""

COUNT_EVERY: Final = 20
"""In how many of these looks instances are counted anew: that alone makes nothing new."""

MAX_TOLD: Final = 500
"""Services that are told of in one transaction."""

MAX_PAUSE: Final = 30
"""Looks between two tries to tell what could not be told."""


class Report(NamedTuple):
    """What is to be told of discovered Services: seen, gone, and what became of them."""

    seen: tuple[Seen, ...]
    gone: tuple[ObjectName, ...]
    results: tuple[Told, ...]


class Reporting:
    """
    Args:
        tell: writes a report; fails as the database does.
        changed: called after something has been told.

    Attributes:
        problem: why the last report could not be told; None if it could.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        catalog: Catalog,
        backends: Backends,
        wants: Wants,
        tell: Callable[[Report], Deferred[None]],
        changed: Callable[[], None],
    ) -> None:
        self._catalog = catalog
        self._backends = backends
        self._wants = wants
        self._tell_report = tell
        self._changed = changed
        self._results = Results()
        # Whose being there, and what became of them, is yet to be told.
        self._untold: dict[ObjectName, None] = {}
        self._counts: dict[ObjectName, dict[str, int]] = {}
        self._is_telling = False
        self._looks = self._tells_again = 0
        self._pause = 1
        self._most = MAX_TOLD
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        self.problem: str | None = None

    def __repr__(self) -> str:
        return f"<Reporting, {len(self._untold)} untold>"

    def start(self) -> None:
        self._looking.start(TELL_SECONDS)

    def stop(self) -> None:
        if self._looking.running:
            self._looking.stop()

    def note(self, name: ObjectName) -> None:
        """Have it told what becomes of a Service."""
        self._untold[name] = None

    def written(self, batch: Mapping[Key, Want], written: Written) -> None:
        """Hear what became of a batch."""
        for origin in self._results.written(batch, written):
            if origin and not is_of_gateway_api(origin):  # (of those, statuses tell)
                self.note(service_of(origin))

    def _look(self) -> None:
        try:
            self._tell_some()
        except Exception:  # or nothing would be told any more
            _log.failure("telling what has been discovered", log_id="kubernetes.telling_failed")

    def _tell_some(self) -> None:
        self._untold.update(self._catalog.untold)
        self._catalog.untold.clear()
        self._looks += 1
        if self._looks % COUNT_EVERY == 1:
            self._count()
        names = [one for one in self._untold if not self._is_open(one)][: self._most]
        if not names or self._is_telling or self._looks < self._tells_again:
            return
        for name in names:
            del self._untold[name]
        self._is_telling = True
        self._tell_report(self._report(names)).addCallbacks(
            lambda _: self._told(names), self._not_told, errbackArgs=(names,)
        )

    def _is_open(self, name: ObjectName) -> bool:
        """Whether something of a Service is yet to be written: then there is more to tell soon."""
        entry = self._catalog.entries.get(name)
        # (Of what is not routed to any more: what it was; its ids are the same.)
        offer = None if entry is None else entry.effective or entry.offer
        backend = None if offer is None else offer.backend
        return backend is not None and (
            Key("service", backend.id) in self._wants or Key("route", backend.id) in self._wants
        )

    def _report(self, names: Iterable[ObjectName]) -> Report:
        entries = {one: self._catalog.entries.get(one) for one in names}
        there = {one: entry for one, entry in entries.items() if entry is not None}
        return Report(
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
            approved=None if entry.settled is None else dict(entry.settled),
        )

    def _states(self, entry: Entry) -> dict[str, int]:
        backend = entry.offer.backend
        if backend is None:
            return {}
        return self._backends.states(backend.name, backend.port, backend.family)

    def _count(self) -> None:
        """Count endpoints anew where slices have changed."""
        touched, self._backends.touched = self._backends.touched, set()
        for name in touched:
            entry = self._catalog.entries.get(name)
            if entry is not None and self._counts.get(name) != self._states(entry):
                self._untold[name] = None

    def _told(self, names: Iterable[ObjectName]) -> None:
        self._is_telling = False
        self._most = min(2 * self._most, MAX_TOLD)
        self._pause = 1
        self.problem = None
        for name in names:
            if name not in self._catalog.entries and name not in self._untold:
                self._counts.pop(name, None)
                self._results.forget(str(name))
        self._changed()

    def _not_told(self, failure: Failure, names: list[ObjectName]) -> None:
        """Try again, later and later, with fewer at a time: one of them may be to blame."""
        self._is_telling = False
        # (At the end: who is not to blame goes first then.)
        self._untold.update(dict.fromkeys(names))
        self._most = max(1, len(names) // 2)
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
