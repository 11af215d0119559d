"""What has arrived over a control channel and is still to be handled."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.control.channel import ChannelUser
from fengling_gateway.control.frames import Message
from fengling_gateway.model.delta import MAX_PART_BYTES

_log = Logger()

MAX_RECEIVED_BYTES: Final = 64 * MAX_PART_BYTES
"""Received and not yet handled; nothing is taken above it, and the sender waits."""


class Inbox:
    """Hands queued messages to the user, `MAX_PART_BYTES` of them per reactor turn."""

    def __init__(self, *, clock: IReactorTime, user: ChannelUser) -> None:
        self._clock = clock
        self._user = user
        self._queue: deque[tuple[Message, bytes]] = deque()
        self._waiting_bytes = 0
        self._scheduled = False
        self._paused = False
        self.emptied: Callable[[], None] = lambda: None

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be put in until it has been `emptied`."""
        return self._waiting_bytes > MAX_RECEIVED_BYTES

    def put(self, message: Message, payload: bytes) -> None:
        """Queue a message; `schedule` or `deliver_now` what has been queued."""
        self._queue.append((message, payload))
        self._waiting_bytes += len(payload)

    def deliver_now(self) -> None:
        """Deliver in this turn, unless there is a backlog whose turn comes first."""
        if self._queue and not self._scheduled:
            self._deliver()

    def clear(self) -> None:
        self._queue.clear()
        self._waiting_bytes = 0

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self.schedule()

    def schedule(self) -> None:
        """Deliver in the next turn."""
        if self._queue and not self._scheduled and not self._paused:
            self._scheduled = True
            self._clock.callLater(0, self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        handled = 0
        while self._queue and not self._paused and handled < MAX_PART_BYTES:
            message, payload = self._queue.popleft()
            handled += len(payload)
            self._waiting_bytes -= len(payload)
            try:
                self._user.message_received(message, payload)
            except Exception:
                _log.failure(
                    "control: {message} was not handled",
                    message=message.name,
                    log_id="control.message_failed",
                )
        self.schedule()
        if not self._queue:
            self.emptied()
