"""A control channel within one process."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from fengling_gateway.control.channel import ChannelUser
from fengling_gateway.control.encoding import delta_frames
from fengling_gateway.control.frames import FrameDecoder, Message, encode_frame
from fengling_gateway.control.inbox import Inbox
from fengling_gateway.model.delta import Delta


class LocalChannel:
    """
    One end within one process, for ``workers = 1`` and for tests.

    It carries the very frames that a socket would, so that both paths behave
    alike.
    """

    queued = 0

    def __init__(self, *, clock: IReactorTime, user: ChannelUser) -> None:
        self._decoder = FrameDecoder()
        self._inbox = Inbox(clock=clock, user=user)
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
