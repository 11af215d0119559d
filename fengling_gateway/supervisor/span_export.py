"""
Sends spans to a collector, in batches, behind everything else.

What waits is bounded, in spans and in bytes: what comes on top is dropped and
counted. A collector that is away or busy is asked again, later and later, and
nobody waits for it but the spans. `otlp` knows how a batch is sent.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger(namespace="fengling.tracing")

RETRY: Final = frozenset({429, 502, 503, 504})
"""Statuses that may pass (OTLP 1.x, section Failures); all other failures are for good."""

RETRY_SECONDS: Final = 120.0
"""For so long a batch is tried; newer spans are worth more."""

_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
_REPEAT_SECONDS: Final = 60.0

DROPPED: Final = ("worker", "queue_full", "refused", "rejected", "unavailable", "stopped", "failed")
"""
Why spans are dropped.

A worker could not tell of them; too many waited; the collector refused a batch for
good, took a part of one, or was not to be had for `RETRY_SECONDS`; the gateway
stopped; we failed.
"""

Row = Sequence[Any]
"""A `fengling_gateway.tracing.spans.Span`, perhaps as JSON has it."""

Batch = list[tuple[str, Row]]
"""Each row with the name of the worker that it is from; "" for the supervisor's own."""


class Outcome(NamedTuple):
    """What a collector has answered; `retry_after` in seconds, `rejected` in spans."""

    status: int
    retry_after: float | None = None
    rejected: int = 0
    message: str = ""


class UnreachableError(Exception):
    """A collector can't be reached, or does not answer; the message is one line."""


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How much is sent when; times in seconds."""

    timeout: float = 10.0
    batch_spans: int = 512
    batch_interval: float = 2.0
    queue_spans: int = 20_000
    queue_bytes: int = 32 << 20


class SpanExport:
    """
    Queues spans and sends them.

    Args:
        send: sends a batch; fails with `UnreachableError`. It has no deadline; when it is
            cancelled it ends with that or a CancelledError, depending on how far it had got.
        rng: for the pauses between tries.

    Attributes:
        sent: spans that a collector has taken.
        batches: how many it has taken.
        failures: tries that failed.
        dropped: spans that nobody will see, by why: one of `DROPPED`.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        settings: ExportSettings,
        send: Callable[[Batch], Deferred[Outcome]],
        rng: random.Random,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._send = send
        self._rng = rng
        self._queue: deque[tuple[str, Row, int]] = deque()
        self._queued_bytes = 0
        self._sending: Deferred[None] | None = None
        self._timer: Any = None
        self._pause: Deferred[None] | None = None
        self._is_stopping = False
        self._said = ("", 0.0)
        self.sent = 0
        self.batches = 0
        self.failures = 0
        self.dropped: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<SpanExport {len(self._queue)} waiting, {self.sent} sent>"

    @property
    def waiting(self) -> int:
        """How many spans wait to be sent."""
        return len(self._queue)

    def values(self) -> dict[str, Any]:
        """Return what there is to say, for the status."""
        return {
            "sent": self.sent,
            "waiting": self.waiting,
            "failures": self.failures,
            "dropped": {why: self.dropped[why] for why in DROPPED},
            "last_trouble": self._said[0] or None,
        }

    def add(self, rows: Sequence[Row], size: int, *, worker: str = "", dropped: int = 0) -> None:
        """
        Take spans.

        Args:
            size: of all of them, in bytes, more or less.
            worker: who has made them.
            dropped: how many more there were, which it could not keep.
        """
        self.dropped["worker"] += dropped
        each = size // len(rows) + 1 if rows else 0
        for row in rows:
            if not self._has_room(each):
                self.dropped["stopped" if self._is_stopping else "queue_full"] += 1
                continue
            self._queue.append((worker, row, each))
            self._queued_bytes += each
        if len(self._queue) >= self._settings.batch_spans:
            self._begin()
        elif self._queue and self._timer is None and self._sending is None:
            self._timer = self._clock.callLater(self._settings.batch_interval, self._begin)

    def _has_room(self, size: int) -> bool:
        return (
            not self._is_stopping
            and len(self._queue) < self._settings.queue_spans
            and self._queued_bytes + size <= self._settings.queue_bytes
        )

    def stop(self) -> Deferred[None]:
        """Send what there is, each batch once more at most; fires after `timeout` at the latest."""
        self._is_stopping = True
        if self._pause is not None:
            pause, self._pause = self._pause, None
            pause.callback(None)
        self._begin()
        if self._sending is None:
            self._stopped()
            return _done()
        # (Cancelling what is under way ends all of it.)
        deadline = self._clock.callLater(self._settings.timeout, self._sending.cancel)
        stopped: Deferred[None] = Deferred()

        def ended(_: Any) -> None:
            if deadline.active():
                deadline.cancel()
            self._stopped()
            stopped.callback(None)

        self._sending.addBoth(ended)
        return stopped

    def _stopped(self) -> None:
        self._drop(len(self._queue), "stopped")
        self._queue.clear()
        self._queued_bytes = 0

    # Sending

    def _begin(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if self._queue and self._sending is None:
            sending = self._sending = Deferred.fromCoroutine(self._send_all())
            if sending.called:
                self._sending = None
            sending.addErrback(_unless_cancelled)

    async def _send_all(self) -> None:
        """Send until there is less than a batch, or nothing if this is the end."""
        least = 1
        try:
            while len(self._queue) >= (1 if self._is_stopping else least):
                await self._deliver(self._take())
                least = self._settings.batch_spans
        finally:
            self._sending = None
            if self._queue and not self._is_stopping:
                self._timer = self._clock.callLater(self._settings.batch_interval, self._begin)

    def _take(self) -> Batch:
        batch: Batch = []
        while self._queue and len(batch) < self._settings.batch_spans:
            worker, row, size = self._queue.popleft()
            self._queued_bytes -= size
            batch.append((worker, row))
        return batch

    async def _deliver(self, batch: Batch) -> None:
        """Send a batch until it is taken, refused, or not worth it any more."""
        until = self._clock.seconds() + RETRY_SECONDS
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                outcome = await self._try(batch)
            except CancelledError:
                self._drop(len(batch), "stopped")
                raise
            except Exception:
                _log.failure(
                    "{count} spans could not be sent",
                    count=len(batch),
                    log_id="tracing.batch_failed",
                )
                self._drop(len(batch), "failed")
                return
            if outcome.status not in RETRY:
                self._settle(batch, outcome)
                return
            self.failures += 1
            wait = max(pause * self._rng.uniform(0.5, 1.0), outcome.retry_after or 0.0)
            if self._is_stopping or self._clock.seconds() + wait > until:
                self._drop(len(batch), "stopped" if self._is_stopping else "unavailable")
                if self._is_stopping:
                    self._stopped()  # nor will it take the others
                self._say(f"{outcome.message}; {len(batch)} are dropped")
                return
            self._say(f"{outcome.message}; it is tried again")
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            await self._sleep(wait)

    async def _try(self, batch: Batch) -> Outcome:
        trying = self._send(batch)
        seconds = self._settings.timeout
        late = []

        def expire() -> None:
            late.append(True)
            trying.cancel()

        deadline = self._clock.callLater(seconds, expire)
        try:
            return await trying
        except (CancelledError, UnreachableError) as error:
            if late:
                return Outcome(503, message=f"no answer within {seconds:g} s")
            if isinstance(error, CancelledError):
                raise
            return Outcome(503, message=str(error))
        finally:
            if deadline.active():
                deadline.cancel()

    def _settle(self, batch: Batch, outcome: Outcome) -> None:
        if not 200 <= outcome.status < 300:
            self.failures += 1
            self._drop(len(batch), "refused")
            self._say(f"{outcome.message}; {len(batch)} are dropped")
            return
        rejected = min(outcome.rejected, len(batch))
        self.batches += 1
        self.sent += len(batch) - rejected
        self._drop(rejected, "rejected")
        if rejected:
            self._say(f"the collector has rejected {rejected} of {len(batch)}: {outcome.message}")
        elif self._said[0]:
            self._said = ("", 0.0)
            _log.info("spans can be sent again", log_id="tracing.sent_again")

    def _drop(self, count: int, why: str) -> None:
        if count:
            self.dropped[why] += count

    def _say(self, what: str) -> None:
        """Say what is wrong: the same at most once a minute."""
        now = self._clock.seconds()
        said, at = self._said
        if what == said and now - at < _REPEAT_SECONDS:
            return
        self._said = (what, now)
        _log.warn("spans can't be sent: {what}", log_id="tracing.not_sent", what=what)

    async def _sleep(self, seconds: float) -> None:
        pause: Deferred[None] = Deferred(lambda _: timer.cancel())
        timer = self._clock.callLater(seconds, self._wake)
        self._pause = pause
        try:
            await pause
        finally:
            if timer.active():
                timer.cancel()

    def _wake(self) -> None:
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.callback(None)


def _unless_cancelled(failure: Failure) -> None:
    if not failure.check(CancelledError):
        _log.failure("spans could not be sent", failure=failure, log_id="tracing.failed")


def _done() -> Deferred[None]:
    done: Deferred[None] = Deferred()
    done.callback(None)
    return done
