"""Applies the deltas that arrive over the control channel, one part a turn.

Decides nothing about transport: it is told of heads, parts and ends, and
answers with what has to be said to the supervisor.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Final

from twisted.logger import Logger

from fengling_gateway.balancing.overrides import Overrides
from fengling_gateway.control.heap import Heap
from fengling_gateway.model.delta import Delta, Position, decode_changes
from fengling_gateway.routing.overriding import override
from fengling_gateway.routing.snapshot import (
    CompileContext,
    HashMismatch,
    Snapshot,
    SnapshotBuilder,
)

_log = Logger()

MAX_FAILED_NAMED: Final = 100
"""What does not compile is said with every delta, and shown by every node."""


class Outcome(Enum):
    """What became of a delta."""

    APPLIED = "applied"
    OUT_OF_PLACE = "out of place"
    """It does not start where this worker is, or did not lead where it said, or failed: catch up."""
    DUPLICATE = "duplicate"
    """It leads to where this worker already is."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of a whole delta, with what it cost."""

    outcome: Outcome
    delta: Delta
    received_bytes: int
    compiled: dict[str, int]
    failed: dict[str, str]
    """
    Entities that the supervisor found valid and that don't compile here, and why.

    All told and not only of this delta, but at most `MAX_FAILED_NAMED`.
    """
    refused: dict[str, str]
    """Instances at addresses that this host must not connect to, and why: as many at most."""
    refused_total: int


class Applier:
    """Holds the snapshot that is served, and the one under construction."""

    def __init__(self, *, context: CompileContext, heap: Heap) -> None:
        self._context = context
        self._heap = heap
        self.snapshot: Snapshot = Snapshot.empty()
        self._head: Delta | None = None
        self._builder: SnapshotBuilder | None = None
        self._received = 0
        self._changes = 0
        self._compiled_before: dict[str, int] = {}

    @property
    def position(self) -> Position | None:
        return self.snapshot.position

    @property
    def content_hash(self) -> int:
        return self.snapshot.content_hash

    def override(self, overrides: Overrides) -> bool:
        """
        Have this hold beside the configuration that is served, and that is to come.

        Returns:
            whether it is anything else than what held before.
        """
        if overrides == self._context.overrides:
            return False
        self.snapshot = override(self.snapshot, overrides, self._context)
        return True

    def begin(self, head: Delta) -> None:
        """Start a delta; one that was under way is dropped."""
        if self._head is not None:
            self._heap.load_ended(0)
        self._heap.load_began()
        self._head = head
        self._received = self._changes = 0
        self._compiled_before = dict(self._context.compiled)
        starts_here = head.is_full or head.hash_before == self.content_hash
        self._builder = self.snapshot.applying(head, self._context) if starts_here else None

    def add(self, part: bytes) -> None:
        """Take one part of the delta under way; of one that does not fit, nothing."""
        self._received += len(part)
        if self._builder is None:
            return
        try:
            changes = list(decode_changes(part))
            self._changes += len(changes)
            self._builder.add(changes)
        except Exception:
            self._give_up()

    def step(self) -> bool:
        """Compile a slice of the delta under way; return whether there is more to do."""
        try:
            return self._builder is not None and bool(self._builder.step())
        except Exception:
            self._give_up()
            return False

    def _give_up(self) -> None:
        """Go on with what is served: a fault of ours must not end the conversation."""
        assert self._head is not None, "a part of a delta that had not begun"
        self._builder = None
        _log.failure(
            "worker: revision {revision} failed",
            revision=self._head.after.revision,
            log_id="worker.revision_failed",
        )

    def end(self) -> Applied:
        """Swap the snapshot if the delta led where it said; every step has been taken."""
        head, builder = self._head, self._builder
        assert head is not None, "a delta ended that had not begun"
        self._head = self._builder = None
        outcome = self._finish(head, builder)
        self._heap.load_ended(self._changes)
        named = islice(self._context.failed.items(), MAX_FAILED_NAMED)
        failed = {str(key): reason for key, reason in named}
        refused = dict(islice(self._context.refused.items(), MAX_FAILED_NAMED))
        return Applied(
            outcome,
            head,
            self._received,
            self._spent(),
            failed,
            refused,
            len(self._context.refused),
        )

    def _finish(self, head: Delta, builder: SnapshotBuilder | None) -> Outcome:
        if builder is None:
            here = head.after == self.position and head.hash_after == self.content_hash
            return Outcome.DUPLICATE if here else Outcome.OUT_OF_PLACE
        try:
            self.snapshot = builder.finish()
        except HashMismatch as error:
            _log.error(
                "worker: revision {revision} {error}",
                revision=head.after.revision,
                error=error,
                log_id="worker.revision_refused",
            )
            return Outcome.OUT_OF_PLACE
        except Exception:
            _log.failure(
                "worker: revision {revision} failed",
                revision=head.after.revision,
                log_id="worker.revision_failed",
            )
            return Outcome.OUT_OF_PLACE
        return Outcome.APPLIED

    def _spent(self) -> dict[str, int]:
        before = self._compiled_before
        return {
            kind: count - before.get(kind, 0)
            for kind, count in self._context.compiled.items()
            if count != before.get(kind, 0)
        }
