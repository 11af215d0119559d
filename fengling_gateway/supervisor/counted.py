"""What the workers of this host have counted, also those that are gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final
from weakref import WeakSet

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from fengling_gateway.dataplane.counters_in_parts import rows_of
from fengling_gateway.observability.sums import Past, Values
from fengling_gateway.supervisor.link import WorkerLink, WorkerState

_log = Logger()

GATHER_SECONDS: Final = 10.0
"""A worker that is killed takes along what it has counted for so long, at most."""


class Counted:
    """
    Asks workers for their counters, now and then, and whenever somebody wants them.

    One that has drained tells by itself what it has counted in the end.

    Attributes:
        past: of those that are gone.
        gathered: called when workers have been asked, with what all have told last; see
            `Past.everything`. Set from outside.
    """

    def __init__(self, *, clock: IReactorTime, links: Callable[[], Iterable[WorkerLink]]) -> None:
        self._links = links
        self.gathered: Callable[[list[Values]], None] = lambda _: None
        self.past = Past()
        self._shown: frozenset[str] = frozenset()
        self._leaving: list[WorkerLink] = []
        self._past_ones: WeakSet[WorkerLink] = WeakSet()
        self._is_asking = False
        self._wanted: list[Deferred[dict[str, Values]]] = []
        self._loop = LoopingCall(self.gather)
        self._loop.clock = clock

    def __repr__(self) -> str:
        return f"<Counted {self.past!r}>"

    def start(self) -> None:
        self._loop.start(GATHER_SECONDS, now=False).addErrback(
            lambda failure: _log.failure(
                "counters are gathered no more", failure, log_id="metrics.not_gathered"
            )
        )

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    def gather(self) -> Deferred[dict[str, Values]]:
        """Return the counters of every worker that answers, by its name."""
        wanted: Deferred[dict[str, Values]] = Deferred()
        self._wanted.append(wanted)
        if not self._is_asking:
            self._ask()
        return wanted

    def _ask(self) -> None:
        """Ask for all who want to know by now; whoever comes later is told what is asked later."""
        wanted, self._wanted = self._wanted, []
        self._is_asking = True
        self._part_with_leaving()
        links = [one for one in self._links() if one.state is not WorkerState.STARTING]
        asked = DeferredList([_all_of(one) for one in links], consumeErrors=True)
        asked.addCallback(self._gathered, links).addBoth(self._tell, wanted)

    def _tell(self, result: Any, wanted: list[Deferred[Any]]) -> None:
        self._is_asking = False
        for one in wanted:
            one.callback(result)
        if self._wanted:
            self._ask()

    def unshown(self) -> Values:
        """
        Return what is to be added to what was gathered last.

        That is of those that are gone, of those that did not answer, and of those that drain
        while another worker has their name: a host's counters never go back.
        """
        return self.past.beside(self._shown)

    def told(self, link: WorkerLink, values: Values) -> None:
        if link not in self._past_ones:
            self.past.told(_key(link), values)

    def gone(self, link: WorkerLink) -> None:
        # The end of a process may be heard of before what it has said in the end: until
        # somebody asks again, that may come yet, and counts instead of what it said before.
        self._leaving.append(link)

    def _part_with_leaving(self) -> None:
        leaving, self._leaving = self._leaving, []
        for link in leaving:
            self.past.gone(_key(link))
            self._past_ones.add(link)

    def _gathered(
        self, results: list[tuple[bool, Any]], links: list[WorkerLink]
    ) -> dict[str, Values]:
        found: dict[str, Values] = {}
        shown: dict[str, str] = {}
        for link, (answered, values) in zip(links, results, strict=True):
            # (One that has gone meanwhile is in the past, with what it said last.)
            if answered and link.state is not WorkerState.GONE:
                found[link.name], shown[link.name] = values, _key(link)
                self.told(link, values)
        self._shown = frozenset(shown.values())
        self.gathered(self.past.everything())
        return found


def _all_of(link: WorkerLink) -> Deferred[Values]:
    """Return all that a worker has counted, which it tells in parts: it has more to do."""

    def more(part: dict[str, Any], whole: dict[str, Any] | None = None) -> Any:
        is_whole, rows = not part.pop("is_more"), rows_of(part.pop("pairs"))
        if whole is None:
            whole = {**part, "requests": rows}
        else:
            whole["requests"] += rows
        return whole if is_whole else link.ask("counters", is_more=True).addCallback(more, whole)

    return link.ask("counters").addCallback(more)


def _key(link: WorkerLink) -> str:
    return f"{link.name}/{link.pid}"
