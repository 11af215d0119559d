"""What a worker tells its supervisor of exchanges that failed or were slow: bounded, a little later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from fengling_gateway.control.frames import MAX_BACKLOG, MAX_RECORDS, Message
from fengling_gateway.records.ended import Ended
from fengling_gateway.records.notable import kind_of
from fengling_gateway.records.plain import to_json
from fengling_gateway.records.redaction import Redaction

WAIT_SECONDS: Final = 1.0

BURST_SECONDS: Final = 10
"""So many seconds' worth may come at once, after as long without any."""

ALL_ERRORS: Final = 4
"""What is kept of all errors together is so many times what is kept of one."""


@dataclass(frozen=True, slots=True)
class Budget:
    """
    How much a worker tells.

    Attributes:
        per_second: exchanges with the same error, or of the same kind.
        slower_than: seconds until the first byte, from which on an exchange is slow.
    """

    per_second: float
    slower_than: float


class WorkerFailures:
    """
    Keeps some of what fails, and tells it.

    A flood is a number: of what the budget has no room for, nothing but the count is kept,
    by error, so that one error's flood leaves room for the others.

    Args:
        send: sends a message with its values.
        backlog: how many messages wait to be sent.
        worker: its name.

    Attributes:
        told: records, since the start.
        left_out: how many were not, since then, by error or kind.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        send: Callable[[Message, dict[str, Any]], None],
        backlog: Callable[[], int],
        budget: Budget,
        redaction: Redaction,
        worker: str,
    ) -> None:
        self._clock = clock
        self._send = send
        self._backlog = backlog
        self._slower_than = budget.slower_than
        self._per_second = budget.per_second
        self._burst = max(1.0, budget.per_second * BURST_SECONDS)
        self._redaction = redaction
        self._worker = worker
        self._room: dict[str, float] = {}
        self._room_for_all = self._burst * ALL_ERRORS
        self._waiting: list[dict[str, Any]] = []
        self._untold: Counter[str] = Counter()
        self._timer: Any = None
        self.told = 0
        self.left_out: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<WorkerFailures {len(self._waiting)} waiting, {self.told} told>"

    def ended(self, one: Ended) -> None:
        """Take an exchange that has ended; a `recipients.Tell`."""
        kind = kind_of(one, self._slower_than)
        if kind is None:
            return
        error = kind if one.error is None else one.error.code
        if self._timer is None:
            self._timer = self._clock.callLater(WAIT_SECONDS, self._tick)
        room = self._room.get(error, self._burst)
        if room < 1 or self._room_for_all < 1:
            self._untold[error] += 1
            return
        self._room[error] = room - 1
        self._room_for_all -= 1
        told = to_json(one, self._redaction)
        told["kind"], told["worker"] = kind, self._worker
        self._waiting.append(told)
        if len(self._waiting) >= MAX_RECORDS:
            self._tell()

    def stop(self) -> None:
        """Tell at once what there is, and need no more time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell()

    def _tick(self) -> None:
        self._tell()
        self._make_room()
        has_all_room = not self._room and self._room_for_all >= self._burst * ALL_ERRORS
        is_idle = has_all_room and not self._untold
        self._timer = None if is_idle else self._clock.callLater(WAIT_SECONDS, self._tick)

    def _make_room(self) -> None:
        gained = self._per_second * WAIT_SECONDS
        grown = {error: room + gained for error, room in self._room.items()}
        self._room = {error: room for error, room in grown.items() if room < self._burst}
        self._room_for_all = min(self._room_for_all + gained * ALL_ERRORS, self._burst * ALL_ERRORS)

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._backlog() > MAX_BACKLOG:
            self._untold.update(one["error"] or one["kind"] for one in waiting)
            return
        if not waiting and not self._untold:
            return
        untold, self._untold = self._untold, Counter()
        self.told += len(waiting)
        self.left_out.update(untold)
        self._send(Message.RECORDS, {"records": waiting, "left_out": untold})


def worker_failures(
    values: dict[str, Any],
    *,
    clock: IReactorTime,
    send: Callable[[Message, dict[str, Any]], None],
    backlog: Callable[[], int],
    redaction: Redaction,
    worker: str,
    workers: int,
) -> WorkerFailures:
    """
    Return it as ``configuration["failures"]`` has it.

    Args:
        worker: its name.
        workers: how many share what the host keeps in a second.
    """
    return WorkerFailures(
        clock=clock,
        send=send,
        backlog=backlog,
        budget=Budget(values["per_second"] / workers, values["slower_than"]),
        redaction=redaction,
        worker=worker,
    )
