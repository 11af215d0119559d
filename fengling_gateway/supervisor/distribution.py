"""Which delta goes to which worker, and when.

Two things make workers newer: the push of each delta as it comes to be, and an
announcement on Redis, whoever of this host hears it first: the supervisor, or a
worker that asks. Both always run, the first one wins, and either alone suffices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from twisted.logger import Logger

from fengling_gateway.model.delta import Delta, Position
from fengling_gateway.model.entity import Key
from fengling_gateway.supervisor.delta_log import DeltaLog
from fengling_gateway.supervisor.link import CatchUp, WorkerLink, WorkerState

_log = Logger()

MAX_QUEUED: Final = 1000
"""
Deltas that wait for a worker which does not read them: it hangs, or still imports.

Above it the push leaves out the worker. Its next heartbeat or question brings
it up to date, with everything if it has missed too much.
"""


class Distribution:
    """
    Sends deltas and answers catch-up questions.

    Args:
        links: the workers there are now.
        bodies: the configuration served, for full deltas.
        heard: told of a position that a worker has heard of, and that is news here.
        push: False leaves out the push, so that only announcements, questions and
            heartbeats bring deltas: for measuring Redis alone.
    """

    def __init__(
        self,
        *,
        log: DeltaLog,
        links: Callable[[], Iterable[WorkerLink]],
        bodies: Callable[[], dict[Key, bytes]],
        heard: Callable[[Position], object],
        push: bool,
    ) -> None:
        self._log = log
        self._links = links
        self._bodies = bodies
        self._heard = heard
        self._push = push
        self.full_deltas = 0

    def publish(self, delta: Delta) -> None:
        """Make a delta the head and send it to every worker that is in step."""
        before = (self._log.head, self._log.content_hash)
        self._log.append(delta)
        for link in self._links():
            if link.state is WorkerState.GONE:
                continue
            if link.sent is None:
                self._send_everything(link)
            elif (
                (self._push or link.wanted is not None)
                and link.sent == before
                and link.queued < MAX_QUEUED
            ):
                if link.wanted is not None and not link.wanted.is_after(delta.after):
                    link.wanted = None
                link.deliver([delta])

    def answer(self, link: WorkerLink, question: CatchUp) -> None:
        """Answer a worker that asks to catch up."""
        if question.reason == "heard":
            self._answer_hearsay(question.wanted)
        elif question.reason == "started":
            self.check(link)  # it may be on its way already
        else:
            self._bring_up(link, question.position, question.content_hash)

    def check(self, link: WorkerLink) -> None:
        """On each heartbeat: a worker that fell behind without noticing is helped up."""
        if self._log.head is not None and link.sent != (self._log.head, self._log.content_hash):
            self._continue(link)

    def _answer_hearsay(self, wanted: Position | None) -> None:
        if wanted is None:
            return
        self.announced(wanted)
        if wanted.is_after(self._log.head):
            self._heard(wanted)

    def announced(self, position: Position) -> None:
        """Help up whoever is behind a position, now or when it is here; each would ask for itself."""
        is_news = position.is_after(self._log.head)
        for link in self._links():
            if link.state is WorkerState.GONE:
                continue
            if is_news:
                link.wanted = position
            self.check(link)

    def _continue(self, link: WorkerLink) -> None:
        if link.sent is None:
            self._send_everything(link)
        elif link.queued < MAX_QUEUED:
            self._bring_up(link, *link.sent)

    def _bring_up(self, link: WorkerLink, position: Position | None, content_hash: int) -> None:
        if self._log.head is None:
            return
        deltas = self._log.after(position, content_hash)
        if deltas is None:
            self._send_everything(link)
        else:
            link.deliver(deltas)
            link.sent = (self._log.head, self._log.content_hash)

    def _send_everything(self, link: WorkerLink) -> None:
        if self._log.head is None:
            return
        self.full_deltas += 1
        link.deliver([self._log.full(self._bodies())])
        _log.debug(
            "supervisor: sent everything to {worker}",
            worker=link.name,
            log_id="worker.sent_everything",
        )
