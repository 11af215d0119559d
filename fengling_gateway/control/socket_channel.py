"""A control channel over a stream transport: between supervisor and worker process."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from twisted.internet.interfaces import IPullProducer, IReactorTime, IWriteDescriptor
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from fengling_gateway.control.channel import ChannelUser
from fengling_gateway.control.encoding import delta_frames
from fengling_gateway.control.frames import FrameDecoder, FrameError, Message, encode_frame
from fengling_gateway.control.inbox import Inbox
from fengling_gateway.model.delta import MAX_PART_BYTES, Delta

_log = Logger()

MAX_RECEIVED_BYTES: Final = 64 * MAX_PART_BYTES
"""Received and not yet handled; reading pauses above it, and the sender waits."""


@implementer(IPullProducer)
class SocketChannel(Protocol):
    """One end over a stream transport; a pull producer, so that buffers stay small."""

    transport: Any

    def __init__(self, *, clock: IReactorTime, user: ChannelUser) -> None:
        self._decoder = FrameDecoder()
        self._inbox = Inbox(clock=clock, user=user)
        self._inbox.emptied = self._resume_reading
        self._user = user
        self._outbox: deque[Iterator[bytes]] = deque()
        self._producing = False
        self._paused = False
        self._lost = False
        self.bytes_sent = 0

    def __repr__(self) -> str:
        return f"<SocketChannel queued={self.queued} lost={self._lost}>"

    @property
    def queued(self) -> int:
        return len(self._outbox)

    def send(self, message: Message, values: dict[str, Any] | None = None) -> None:
        self._enqueue(iter((encode_frame(message, json.dumps(values or {}).encode()),)))

    def send_delta(self, delta: Delta) -> None:
        self._enqueue(delta_frames(delta))

    def pause(self) -> None:
        self._inbox.pause()

    def resume(self) -> None:
        self._inbox.resume()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()

    def _enqueue(self, frames: Iterator[bytes]) -> None:
        if self._lost:
            return
        self._outbox.append(frames)
        if not self._producing and self.transport is not None:
            self._producing = True
            self.transport.registerProducer(self, False)

    def connectionMade(self) -> None:
        if self._outbox and not self._producing:
            self._producing = True
            self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Write a part's worth of frames; called by the transport when its buffer is empty."""
        frames: list[bytes] = []
        size = 0
        while self._outbox and size < MAX_PART_BYTES:
            frame = next(self._outbox[0], None)
            if frame is None:
                self._outbox.popleft()
            else:
                frames.append(frame)
                size += len(frame)
        if frames:
            self.bytes_sent += size
            self.transport.write(b"".join(frames))
            if not self._outbox:
                # All there is: out with it at once, not after whatever this turn still holds.
                self._write_now()
        else:
            self._producing = False
            self.transport.unregisterProducer()

    def _write_now(self) -> None:
        """Try what the reactor would do in its next turn; if it fails, the reactor will see it."""
        if IWriteDescriptor.providedBy(self.transport):
            self.transport.doWrite()

    def stopProducing(self) -> None:
        self._outbox.clear()

    def dataReceived(self, data: bytes) -> None:
        self._decoder.feed(data)
        try:
            for message, payload in self._decoder.frames():
                self._inbox.put(message, payload)
        except FrameError as error:
            _log.error("control: {error}; closing", error=error)
            self.transport.abortConnection()
            return
        self._inbox.deliver_now()
        if self._inbox.waiting_bytes > MAX_RECEIVED_BYTES and not self._paused:
            self._paused = True
            self.transport.pauseProducing()

    def _resume_reading(self) -> None:
        if self._paused and not self._lost:
            self._paused = False
            self.transport.resumeProducing()

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._lost = True
        self._outbox.clear()
        self._inbox.clear()
        self._user.channel_lost()


class OneChannel(Factory):
    """Gives an adopted connection the channel that was made for it."""

    noisy = False

    def __init__(self, channel: SocketChannel) -> None:
        self._channel = channel

    def buildProtocol(self, addr: Any) -> SocketChannel:
        return self._channel
