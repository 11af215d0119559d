"""
Traces of changes: commit, load, publish, and apply in each worker.

One for each revision, whose id follows from the revision itself, so that what all nodes
of a cluster tell of it is one trace. They are made of what the supervisor knows anyway,
and cost nothing but their spans.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorTime

from fengling_gateway.configsource.reading import Reading
from fengling_gateway.model.delta import Delta, Position
from fengling_gateway.tracing.spans import INTERNAL, Span, Value

LAST_SECONDS: Final = 60.0
"""After so long a trace ends, whoever has not applied the revision by then."""

OLD_SECONDS: Final = 60.0
"""A commit that was longer ago does not begin the trace: it waited for other reasons than us."""

MAX_OPEN: Final = 100
"""Revisions that not every worker serves yet; the oldest makes room."""


class Spans(Protocol):
    """What takes them; see `SpanExport.add`."""

    def add(self, rows: list[Span], size: int, *, worker: str = "") -> None: ...


@dataclass(slots=True)
class _Open:
    """A revision on its way to the workers; times in seconds since the epoch."""

    trace_id: str
    root_id: str
    committed_at: float | None
    looked_at: float
    read_at: float
    published_at: float
    attributes: dict[str, Value]
    load: dict[str, Value]
    applied: dict[str, float] = field(default_factory=dict)
    timer: Any = None


class ChangeTraces:
    """
    Follows revisions from their commit to the last worker.

    Args:
        wall: returns the wall clock, in seconds.
        node: whose spans these are.
        spans: takes them; None: nobody wants any, and nothing is followed.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        wall: Callable[[], float],
        node: str,
        spans: Spans | None,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._node = node
        self._spans = spans
        self._open: OrderedDict[Position, _Open] = OrderedDict()

    def __repr__(self) -> str:
        return f"<ChangeTraces of {len(self._open)} revisions>"

    def published(
        self, delta: Delta, reading: Reading, *, rejected: int, looked_at: float, read_at: float
    ) -> None:
        """
        A delta has just been published.

        Args:
            rejected: how many entities of it were.
            looked_at, read_at: when the look began that found it, and when it was judged; by
                the reactor's clock.
        """
        if self._spans is None:
            return
        self._finish(delta.after)
        while len(self._open) >= MAX_OPEN:
            self._finish(next(iter(self._open)))
        now, ticks = self._wall(), self._clock.seconds()
        name = _name(delta)
        one = self._open[delta.after] = _Open(
            trace_id=sha256(name).hexdigest()[:32],
            root_id=_span_id(name, self._node),
            committed_at=delta.committed_at,
            looked_at=now - max(0.0, ticks - looked_at),
            read_at=now - max(0.0, ticks - read_at),
            published_at=now,
            attributes=dict(_about(delta, reading, rejected)),
            load={"fengling.rows_read": reading.rows_read, "fengling.full": delta.is_full},
        )
        one.timer = self._clock.callLater(LAST_SECONDS, self._finish, delta.after)

    def applied(self, worker: str, position: Position | None, applied_at: float | None) -> None:
        """A worker serves a position, and all that came before it."""
        if position is None or applied_at is None:
            return
        for waiting, one in self._open.items():
            if waiting.epoch == position.epoch and waiting.revision <= position.revision:
                one.applied.setdefault(worker, applied_at)

    def converged(self) -> None:
        """Every worker serves what there is."""
        for position in list(self._open):
            self._finish(position)

    def stop(self) -> None:
        """Tell what is known."""
        self.converged()

    def _finish(self, position: Position) -> None:
        one = self._open.pop(position, None)
        if one is None or self._spans is None:
            return
        if one.timer.active():
            one.timer.cancel()
        own = [_root(one), *_steps(one)]
        self._spans.add(own, _size(own))
        for worker, applied_at in one.applied.items():
            applying = _child(one, "config apply", one.published_at, applied_at, {}, worker)
            self._spans.add([applying], _size([applying]), worker=worker)


def _name(delta: Delta) -> bytes:
    """Return what a revision is known by everywhere; also a change that made no revision."""
    after = delta.after
    unseen = f"{delta.hash_after:x}" if delta.before == after else ""
    return f"{after.epoch}\n{after.revision}\n{after.token}\n{unseen}".encode()


def _span_id(name: bytes, about: str) -> str:
    return sha256(name + b"\n" + about.encode()).hexdigest()[:16]


def _about(delta: Delta, reading: Reading, rejected: int) -> Iterator[tuple[str, Value]]:
    yield "fengling.revision", delta.after.revision
    yield "fengling.epoch", delta.after.epoch
    yield "fengling.changes", len(delta.changes)
    if rejected:
        yield "fengling.rejected_entities", rejected
    if reading.revisions:
        newest = reading.revisions[-1]
        yield "fengling.author", newest.author
        yield "fengling.kind", newest.kind


def _root(one: _Open) -> Span:
    began = one.looked_at
    if one.committed_at is not None and 0 <= began - one.committed_at <= OLD_SECONDS:
        began = one.committed_at
    ended = max([one.published_at, *one.applied.values()])
    attributes = {**one.attributes, "fengling.workers": len(one.applied)}
    return Span(
        *(one.trace_id, one.root_id, "", "", INTERNAL, "config revision", began, ended),
        attributes,
        None,
    )


def _steps(one: _Open) -> Iterator[Span]:
    yield _child(one, "config load", one.looked_at, one.read_at, one.load)
    yield _child(one, "config publish", one.read_at, one.published_at, {})


def _child(
    one: _Open,
    name: str,
    start: float,
    end: float,
    attributes: dict[str, Value],
    worker: str = "",
) -> Span:
    span_id = _span_id(one.root_id.encode(), f"{name} {worker}")
    if worker:
        attributes = {**attributes, "fengling.worker": worker}
    return Span(
        *(one.trace_id, span_id, one.root_id, "", INTERNAL, name, start, max(start, end)),
        attributes,
        None,
    )


def _size(spans: list[Span]) -> int:
    return len(json.dumps(spans))
