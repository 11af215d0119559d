"""Two ends of a control channel: over a socketpair, or within one process.

Messages are delivered in order, and in one reactor turn only as many as fit
into a part of a delta, so that a large delta never holds up the requests that
the same reactor serves, and a small one takes a single turn.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer, IReactorTime, IWriteDescriptor
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as WireProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from fengling_gateway.control.frames import FrameDecoder, FrameError, Message, encode_frame
from fengling_gateway.model.delta import MAX_PART_BYTES, Delta, Position, encode_changes

_log = Logger()

MAX_RECEIVED_BYTES: Final = 64 * MAX_PART_BYTES
"""Received and not yet handled; reading pauses above it, and the sender waits."""


class ChannelUser(Protocol):
    """Who talks over one end of a channel."""

    def message_received(self, message: Message, payload: bytes) -> None:
        """Handle one message."""

    def channel_lost(self) -> None:
        """The other end is gone; nothing more arrives, nothing more is delivered."""


class Channel(Protocol):
    """One end, as its user sees it."""

    def send(self, message: Message, values: dict[str, Any] | None = None) -> None:
        """Queue one message behind all that were queued before it."""

    def send_delta(self, delta: Delta) -> None:
        """Queue a delta as its frames, encoded only as fast as the other end reads."""

    def close(self) -> None:
        """Stop; the other end sees `channel_lost`."""

    def pause(self) -> None:
        """Deliver nothing to the user until `resume`; for work that takes several turns."""

    def resume(self) -> None:
        """Deliver again what has arrived and what arrives."""

    bytes_sent: int
    """Payload and framing, since the start."""

    @property
    def queued(self) -> int:
        """How many messages and deltas wait to be sent."""


def position_to_json(position: Position | None) -> list[Any] | None:
    return None if position is None else list(position)


def position_from_json(value: list[Any] | None) -> Position | None:
    return None if value is None else Position(*value)


def delta_frames(delta: Delta) -> Iterator[bytes]:
    """Yield the frames of one delta: its head, its parts, its end."""
    head = {
        "before": position_to_json(delta.before),
        "after": position_to_json(delta.after),
        "hash_before": f"{delta.hash_before:032x}",
        "hash_after": f"{delta.hash_after:032x}",
        "committed_at": delta.committed_at,
    }
    yield encode_frame(Message.DELTA, json.dumps(head).encode())
    for part in encode_changes(delta.changes):
        yield encode_frame(Message.CHANGES, part)
    yield encode_frame(Message.DELTA_END)


def delta_head(payload: bytes) -> Delta:
    """Read the payload of a `Message.DELTA`: the delta without its changes."""
    head = json.loads(payload)
    after = position_from_json(head["after"])
    assert after is not None
    return Delta(
        before=position_from_json(head["before"]),
        after=after,
        hash_before=int(head["hash_before"], 16),
        hash_after=int(head["hash_after"], 16),
        changes=(),
        committed_at=head["committed_at"],
    )


class _Inbox:
    """Hands queued messages to the user, `MAX_PART_BYTES` of them per reactor turn."""

    def __init__(self, *, clock: IReactorTime, user: ChannelUser) -> None:
        self._clock = clock
        self._user = user
        self._queue: deque[tuple[Message, bytes]] = deque()
        self.waiting_bytes = 0
        self._scheduled = False
        self._paused = False
        self.emptied: Callable[[], None] = lambda: None

    def put(self, message: Message, payload: bytes) -> None:
        """Queue a message; `schedule` or `deliver_now` what has been queued."""
        self._queue.append((message, payload))
        self.waiting_bytes += len(payload)

    def deliver_now(self) -> None:
        """Deliver in this turn, unless there is a backlog whose turn comes first."""
        if self._queue and not self._scheduled:
            self._deliver()

    def clear(self) -> None:
        self._queue.clear()
        self.waiting_bytes = 0

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
            self.waiting_bytes -= len(payload)
            try:
                self._user.message_received(message, payload)
            except Exception:
                _log.failure("control: {message} was not handled", message=message.name)
        self.schedule()
        if not self._queue:
            self.emptied()


@implementer(IPullProducer)
class SocketChannel(WireProtocol):
    """One end over a stream transport; a pull producer, so that buffers stay small."""

    transport: Any

    def __init__(self, *, clock: IReactorTime, user: ChannelUser) -> None:
        self._decoder = FrameDecoder()
        self._inbox = _Inbox(clock=clock, user=user)
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


class LocalChannel:
    """
    One end within one process, for ``workers = 1`` and for tests.

    It carries the very frames that a socket would, so that both paths behave
    alike.
    """

    queued = 0

    def __init__(self, *, clock: IReactorTime, user: ChannelUser) -> None:
        self._decoder = FrameDecoder()
        self._inbox = _Inbox(clock=clock, user=user)
        self._user = user
        self._peer: LocalChannel | None = None
        self.bytes_sent = 0

    @staticmethod
    def connect(one: LocalChannel, other: LocalChannel) -> None:
        one._peer, other._peer = other, one

    def send(self, message: Message, values: dict[str, Any] | None = None) -> None:
        self._write((encode_frame(message, json.dumps(values or {}).encode()),))

    def send_delta(self, delta: Delta) -> None:
        self._write(delta_frames(delta))

    def _write(self, frames: Iterable[bytes]) -> None:
        if self._peer is None:
            return
        for frame in frames:
            self.bytes_sent += len(frame)
            self._peer._received(frame)

    def _received(self, frame: bytes) -> None:
        self._decoder.feed(frame)
        for message, payload in self._decoder.frames():
            self._inbox.put(message, payload)
        self._inbox.schedule()

    def pause(self) -> None:
        self._inbox.pause()

    def resume(self) -> None:
        self._inbox.resume()

    def close(self) -> None:
        peer, self._peer = self._peer, None
        self._inbox.clear()
        if peer is not None:
            peer._peer = None
            peer._user.channel_lost()
            self._user.channel_lost()


class Questions:
    """
    Requests to a worker that wait for their `Message.ANSWER`.

    Each waits at most `timeout_seconds`; when the channel is lost all of them
    fail with `ConnectionError`.
    """

    def __init__(self, *, clock: IReactorTime, channel: Channel, timeout_seconds: float) -> None:
        self._clock = clock
        self._channel = channel
        self._timeout = timeout_seconds
        self._waiting: dict[int, Deferred[Any]] = {}
        self._last_id = 0

    def ask(self, ask: str, **arguments: Any) -> Deferred[Any]:
        """
        Ask, and return the answer.

        Fails with `TimeoutError` without an answer in time, with `RuntimeError`
        when the worker answered with an error.
        """
        self._last_id += 1
        number = self._last_id
        waiting: Deferred[Any] = Deferred()
        self._waiting[number] = waiting
        deadline = self._clock.callLater(self._timeout, self._expire, number, ask)

        def ended(result: Any) -> Any:
            if deadline.active():
                deadline.cancel()
            return result

        waiting.addBoth(ended)
        self._channel.send(Message.REQUEST, {"id": number, "ask": ask, **arguments})
        return waiting

    def answered(self, payload: bytes) -> None:
        """Take the payload of an `Message.ANSWER`; one that nobody waits for is dropped."""
        values = json.loads(payload)
        waiting = self._waiting.pop(values["id"], None)
        if waiting is None:
            return
        if "error" in values:
            waiting.errback(RuntimeError(values["error"]))
        else:
            waiting.callback(values["answer"])

    def fail_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            one.errback(ConnectionError("the worker is gone"))

    def _expire(self, number: int, ask: str) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            waiting.errback(TimeoutError(f"no answer to {ask!r} in {self._timeout:g} s"))
