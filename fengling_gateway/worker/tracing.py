"""What a worker tells its supervisor of recorded requests: their spans, bounded, a little later."""

from __future__ import annotations

from collections.abc import Callable, Collection
from random import Random
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from fengling_gateway.control.frames import MAX_BACKLOG, MAX_SPANS, Message
from fengling_gateway.http.redacting import names_to_redact
from fengling_gateway.records.ended import Ended
from fengling_gateway.tracing.of_exchange import recorded_of
from fengling_gateway.tracing.sampling import Sampler, Traced
from fengling_gateway.tracing.spans import Recorded, Span, spans_of

WAIT_SECONDS: Final = 1.0


class WorkerTracing:
    """
    Decides which requests are recorded, and tells their spans.

    Args:
        send: sends a message with its values.
        backlog: how many messages wait to be sent.
        redact: query parameters whose values nobody is to see.
        trust: whose word on traces counts, as `request_roles` has it.

    Attributes:
        sampler: decides about a request when it begins.
        told, dropped: spans, since the start.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        send: Callable[[Message, dict[str, Any]], None],
        backlog: Callable[[], int],
        sampler: Sampler,
        redact: Collection[bytes] = frozenset(),
        trust: str = "all",
    ) -> None:
        self._clock = clock
        self._send = send
        self._backlog = backlog
        self._redact = redact
        self._waiting: list[Recorded] = []
        self._spans = 0
        self._untold = 0
        self._timer: Any = None
        self.sampler = sampler
        self.trust = trust
        self.told = 0
        self.dropped = 0

    def __repr__(self) -> str:
        return f"<WorkerTracing {self._spans} waiting, {self.told} told>"

    def exchange_ended(
        self, ended: Ended, traced: Traced, *, route_path: str, forwarded: bytes = b""
    ) -> None:
        """Tell of an exchange that is recorded, now that it has; see `recorded_of`."""
        self.ended(recorded_of(ended, traced, route_path=route_path, forwarded=forwarded))

    def ended(self, recorded: Recorded) -> None:
        """Tell of a recorded request that has ended."""
        # Spans are made when there are several to be made of: between others' requests, the
        # first one takes several times as long.
        self._waiting.append(recorded)
        self._spans += 1 + len(recorded.attempts)
        if self._spans >= MAX_SPANS:
            self.flush()
        elif self._timer is None:
            self._timer = self._clock.callLater(WAIT_SECONDS, self.flush)

    def flush(self) -> None:
        """Tell at once what there is."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        waiting, self._waiting, self._spans = self._waiting, [], 0
        spans = [span for one in waiting for span in spans_of(one, self._redact)]
        for start in range(0, len(spans), MAX_SPANS):
            self._tell(spans[start : start + MAX_SPANS])

    def _tell(self, spans: list[Span]) -> None:
        if self._backlog() > MAX_BACKLOG:
            self.dropped += len(spans)
            self._untold += len(spans)
            return
        self.told += len(spans)
        self._send(Message.SPANS, {"spans": spans, "dropped": self._untold})
        self._untold = 0


def worker_tracing(
    values: dict[str, Any] | None,
    *,
    clock: IReactorTime,
    send: Callable[[Message, dict[str, Any]], None],
    backlog: Callable[[], int],
) -> WorkerTracing | None:
    """Return it as ``configuration["tracing"]`` has it; None where nothing is traced."""
    if values is None:
        return None
    return WorkerTracing(
        clock=clock,
        send=send,
        backlog=backlog,
        sampler=Sampler(ratio=values["sample_ratio"], rng=Random()),
        redact=names_to_redact(values["redact_query"]),
        trust=values["trust"],
    )
