"""What a worker tells those who look on: requests as they end, bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from fengling_gateway.control.frames import MAX_BACKLOG, MAX_TAPPED, Message
from fengling_gateway.dataplane.recipients import ALL, Recipients
from fengling_gateway.records.ended import Ended
from fengling_gateway.records.plain import to_json
from fengling_gateway.records.redaction import Redaction
from fengling_gateway.records.tap_filter import TapFilter

WAIT_SECONDS: Final = 0.1
"""Who looks on sees a request so much later: a message for each would cost as much as the rest."""

MAX_PER_SECOND: Final = 200
"""
Requests that are told, of each tap: more than anybody reads.

Each costs some 15 µs to tell, so eight taps that take everything cost 2.5 % of a core.
"""

Send = Callable[[Message, dict[str, Any]], None]


class WorkerTaps:
    """
    The taps that are on. While there are none, a request pays nothing.

    Args:
        recipients: of the data plane.
        send: sends a message with its values.
        backlog: how many messages wait to be sent.
        redaction: of what is told.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        recipients: Recipients,
        send: Send,
        backlog: Callable[[], int],
        redaction: Redaction,
    ) -> None:
        self._clock = clock
        self._recipients = recipients
        self._send = send
        self._backlog = backlog
        self._redaction = redaction
        self._taps: dict[int, _Tap] = {}
        self._ends: dict[int, Any] = {}

    def __repr__(self) -> str:
        return f"<WorkerTaps {len(self._taps)}>"

    def __len__(self) -> int:
        return len(self._taps)

    def tap(self, values: dict[str, Any]) -> None:
        """Begin one; see `Message.TAP`."""
        number = values["id"]
        self._end(number)
        tap = _Tap(
            takes=TapFilter.from_json(values["filter"]).compiled(),
            redaction=self._redaction,
            clock=self._clock,
            tell=lambda requests, left_out: self._tell(number, requests, left_out),
        )
        self._taps[number] = tap
        # The supervisor says when it is over. But it may die, and workers outlive it.
        self._ends[number] = self._clock.callLater(values["seconds"], self._end, number)
        self._recipients.add(tap.ended, slower_than=ALL)

    def untap(self, values: dict[str, Any]) -> None:
        self._end(values["id"])

    def flush(self) -> None:
        """Tell at once what there is."""
        for tap in self._taps.values():
            tap.flush()

    def stop(self) -> None:
        for number in list(self._taps):
            self._end(number)

    def _end(self, number: int) -> None:
        tap, expiry = self._taps.pop(number, None), self._ends.pop(number, None)
        if expiry is not None and expiry.active():
            expiry.cancel()
        if tap is not None:
            self._recipients.remove(tap.ended)
            tap.stop()

    def _tell(self, number: int, requests: list[dict[str, Any]], left_out: int) -> bool:
        if self._backlog() > MAX_BACKLOG:
            return False
        told = {"id": number, "requests": requests, "left_out": left_out}
        self._send(Message.TAPPED, told)
        return True


class _Tap:
    """
    One who looks on.

    Args:
        tell: takes requests, and how many more were left out; returns whether it has.
    """

    def __init__(
        self,
        *,
        takes: Callable[[Ended], bool],
        redaction: Redaction,
        clock: IReactorTime,
        tell: Callable[[list[dict[str, Any]], int], bool],
    ) -> None:
        self._takes = takes
        self._redaction = redaction
        self._clock = clock
        self._tell = tell
        self._waiting: list[dict[str, Any]] = []
        self._left_out = 0
        self._timer: Any = None
        self._room = 0
        self._room_until = 0.0

    def ended(self, one: Ended) -> None:
        if not self._takes(one):
            return
        if self._has_room():
            self._waiting.append(to_json(one, self._redaction))
        else:
            self._left_out += 1
        if len(self._waiting) >= MAX_TAPPED:
            self.flush()
        elif self._timer is None:
            self._timer = self._clock.callLater(WAIT_SECONDS, self.flush)

    def flush(self) -> None:
        self._cancel()
        waiting, self._waiting = self._waiting, []
        if not waiting and not self._left_out:
            return
        if self._tell(waiting, self._left_out):
            self._left_out = 0
            return
        # (Told with the next message that can be sent, for which somebody has to try.)
        self._left_out += len(waiting)
        self._timer = self._clock.callLater(WAIT_SECONDS, self.flush)

    def stop(self) -> None:
        self._waiting = []
        self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _has_room(self) -> bool:
        """Whether one more may be told in this second, which then is."""
        now = self._clock.seconds()
        if now >= self._room_until:
            self._room, self._room_until = MAX_PER_SECOND, now + 1.0
        self._room -= 1
        return self._room >= 0
