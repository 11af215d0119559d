"""A control channel over a stream transport: between supervisor and worker process."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPullProducer, IReactorTime, IWriteDescriptor
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from fengling_gateway.control.channel import ChannelUser
from fengling_gateway.control.frames import FrameDecoder, FrameError, Message
from fengling_gateway.control.inbox import Inbox
from fengling_gateway.control.outbox import Outbox
from fengling_gateway.model.delta import Delta

_log = Logger()


@implementer(IPullProducer)
class SocketChannel(Protocol):
    """One end over a stream transport; a pull producer, so that buffers stay small."""

    transport: Any

    def __init__(self, *, clock: IReactorTime, user: ChannelUser) -> None:
        self._decoder = FrameDecoder()
        self._inbox = Inbox(clock=clock, user=user)
        self._inbox.emptied = self._resume_reading
        self._user = user
        self._outbox = Outbox()
        self._producing = False
        self._paused = False
        self._lost = False
        self.bytes_sent = 0

    def __repr__(self) -> str:
        return f"<SocketChannel queued={self.queued} lost={self._lost}>"

    @property
    def queued(self) -> int:
        return len(self._outbox)

    @property
    def has_sent_all(self) -> bool:
        # (A producer is unregistered when the transport has written what it had.)
        return self._lost or not (self._producing or self._outbox)

    def send(self, message: Message, values: dict[str, Any] | None = None) -> None:
        if not self._lost:
            self._outbox.put(message, values)
            self._produce()

    def send_delta(self, delta: Delta) -> None:
        if not self._lost:
            self._outbox.put_delta(delta)
            self._produce()

    def pause(self) -> None:
        self._inbox.pause()

    def resume(self) -> None:
        self._inbox.resume()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()

    def _produce(self) -> None:
        if self._outbox and not self._producing and self.transport is not None:
            self._producing = True
            self.transport.registerProducer(self, False)

    def connectionMade(self) -> None:
        self._produce()

    def resumeProducing(self) -> None:
        """Write a part's worth of frames; called by the transport when its buffer is empty."""
        frames = self._outbox.take()
        if frames:
            self.bytes_sent += len(frames)
            self.transport.write(frames)
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
            _log.error("control: {error}; closing", error=error, log_id="control.broken")
            self.transport.abortConnection()
            return
        self._inbox.deliver_now()
        if self._inbox.is_full and not self._paused:
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
