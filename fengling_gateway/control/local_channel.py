"""A control channel within one process."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime

from fengling_gateway.control.channel import ChannelUser
from fengling_gateway.control.frames import FrameDecoder, Message
from fengling_gateway.control.inbox import Inbox
from fengling_gateway.control.outbox import Outbox
from fengling_gateway.model.delta import Delta


class LocalChannel:
    """
    One end within one process, for ``workers = 1`` and for tests.

    It carries the very frames that a socket would, as many in a turn, and waits
    as a socket would for an end that does not take them: both paths behave
    alike.
    """

    def __init__(self, *, clock: IReactorTime, user: ChannelUser) -> None:
        self._clock = clock
        self._decoder = FrameDecoder()
        self._inbox = Inbox(clock=clock, user=user)
        self._outbox = Outbox()
        self._user = user
        self._peer: LocalChannel | None = None
        self._scheduled = False
        self.bytes_sent = 0

    @staticmethod
    def connect(one: LocalChannel, other: LocalChannel) -> None:
        one._peer, other._peer = other, one
        one._inbox.emptied, other._inbox.emptied = other._schedule, one._schedule

    def __repr__(self) -> str:
        return f"<LocalChannel queued={self.queued} lost={self._peer is None}>"

    @property
    def queued(self) -> int:
        return len(self._outbox)

    @property
    def has_sent_all(self) -> bool:
        return True  # there is no process that ends without the other end

    def send(self, message: Message, values: dict[str, Any] | None = None) -> None:
        if self._peer is not None:
            self._outbox.put(message, values)
            self._schedule()

    def send_delta(self, delta: Delta) -> None:
        if self._peer is not None:
            self._outbox.put_delta(delta)
            self._schedule()

    def _schedule(self) -> None:
        """Send in the next turn, unless the other end has more than it can handle."""
        room = self._peer is not None and not self._peer._inbox.is_full
        if self._outbox and room and not self._scheduled:
            self._scheduled = True
            self._clock.callLater(0, self._send_some)

    def _send_some(self) -> None:
        self._scheduled = False
        if self._peer is None:
            return
        frames = self._outbox.take()
        self.bytes_sent += len(frames)
        self._peer._received(frames)
        self._schedule()

    def _received(self, frames: bytes) -> None:
        self._decoder.feed(frames)
        for message, payload in self._decoder.frames():
            self._inbox.put(message, payload)
        self._inbox.deliver_now()

    def pause(self) -> None:
        self._inbox.pause()

    def resume(self) -> None:
        self._inbox.resume()

    def close(self) -> None:
        if self._peer is not None:
            ends = (self._peer, self)
            for end in ends:
                end._peer = None
                end._inbox.clear()
                end._outbox.clear()
            for end in ends:
                end._user.channel_lost()
