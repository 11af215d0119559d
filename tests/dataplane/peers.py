"""Clients and instances that take a step when they are told to, at random, and judge what they get."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable
from random import Random
from typing import Any

from fengling_gateway.dataplane.transports import has_unsent
from tests.dataplane.talk import (
    WEBSOCKET,
    Answer,
    Asked,
    Said,
    read_answer,
    read_chunks,
    words,
)

_FAREWELL = b"\x88\x02\x03\xe9"


def _beyond(got: bytes, said: bytes) -> bytes:
    """What was got beyond what was said."""
    same = next((at for at, (a, b) in enumerate(zip(got, said, strict=False)) if a != b), None)
    return got[min(len(got), len(said)) if same is None else same :]


class Peer:
    """
    What a client and an instance have in common: a socket, and what went over it.

    Attributes:
        wire: the gateway's end.
        has_ended: whether it has said that it will send no more; ``is_gone``: that it has closed.
        is_told: whether the gateway has ended.
    """

    def __init__(self, rng: Random, wire: Any, end: socket.socket) -> None:
        self.rng = rng
        self.wire = wire
        self._socket = end
        self.unsent = bytearray()
        self.received = bytearray()
        self.has_ended = False
        self.is_gone = False
        self.is_told = False

    def send(self, most: int) -> int:
        """Send some of what there is to be sent; how much the kernel has taken."""
        if self.is_gone or self.has_ended or not self.unsent:
            return 0
        try:
            sent = self._socket.send(self.unsent[:most])
        except BlockingIOError:
            return 0
        except OSError:
            self.unsent.clear()
            return 0
        del self.unsent[:sent]
        return sent

    def read(self, most: int) -> None:
        if self.is_gone:
            return
        try:
            data = self._socket.recv(most)
        except BlockingIOError:
            return
        except OSError:
            self.is_told = True
            return
        self.is_told = self.is_told or not data
        self.received += data
        if data:
            self.heard()

    def heard(self) -> None:
        """Note that something has been received."""

    def read_all(self) -> None:
        before = -1
        while before != len(self.received):
            before = len(self.received)
            self.read(1 << 20)

    def half_close(self) -> None:
        if not self.is_gone and not self.has_ended:
            self.has_ended = True
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def leave(self) -> None:
        """Close, with whatever is unread: the gateway then sees a reset."""
        if not self.is_gone:
            self.is_gone = True
            self._socket.close()

    def has_unread(self) -> bool:
        if self.is_gone:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))


class Client(Peer):
    """Sends what it has to say piece by piece, and judges what it is told."""

    def __init__(self, rng: Random, wire: Any, end: socket.socket, asked: list[Asked]) -> None:
        super().__init__(rng, wire, end)
        self.asked = asked
        self.unsent += b"".join(one.raw for one in asked)
        self.said = bytes(self.unsent)
        self.has_left_early = False

    def speak(self, data: bytes) -> None:
        """Have something more to say, in a tunnel."""
        self.unsent += data
        self.said += data

    def after(self, asked: Asked) -> bytes:
        """What it has said after a request."""
        return self.said.partition(asked.raw)[2]

    def judge(self) -> None:
        """Check that what was received answers the requests, in order, and nothing else."""
        rest = bytes(self.received)
        for asked in self.asked:
            answer = read_answer(rest, asked.method)
            if answer is None:
                return
            self._judge_one(asked, answer)
            if not answer.is_complete or answer.status == 101:
                return
            rest = answer.rest
        if rest:
            answer = read_answer(rest, b"GET")
            assert answer is None or b"X-Gateway-Error" in answer.headers, answer

    def _judge_one(self, asked: Asked, answer: Answer) -> None:
        if b"X-Gateway-Error" in answer.headers:
            assert answer.status >= 400
            return
        assert answer.headers.get(b"X-For") == asked.name, (asked, answer)
        assert asked.seen
        if answer.status == 101:
            self._judge_tunnel(asked, answer.rest)
            return
        possible = [
            said
            for said in asked.answers
            if said.status == answer.status and said.body.startswith(answer.body)
        ]
        assert possible, (asked, answer)
        is_complete = answer.is_complete
        if is_complete is None:
            is_complete = not self.has_left_early and self.is_told and self.wire.has_ended_well
        if is_complete and asked.method != b"HEAD":  # whose answers are whole with their heads
            assert any(
                said.was_cut_short
                or (said.is_whole and said.body == answer.body and said.is_all_said)
                for said in possible
            ), (asked, answer)

    def _judge_tunnel(self, asked: Asked, got: bytes) -> None:
        tunnels = [bytes(said.tunnel) for said in asked.answers if said.status == 101]
        foreign = [_beyond(got, tunnel) for tunnel in tunnels]
        assert b"" in foreign or asked.protocol == WEBSOCKET, (asked, got)
        assert any(_FAREWELL.startswith(one) for one in foreign), (asked, got)


class Instance(Peer):
    """One connection to an instance: reads requests strictly, and answers as it likes."""

    def __init__(
        self,
        rng: Random,
        wire: Any,
        end: socket.socket,
        *,
        by_name: dict[bytes, tuple[Client, Asked]],
        answer: Callable[[Random, Asked], Said],
    ) -> None:
        super().__init__(rng, wire, end)
        self._answer = answer
        self._by_name = by_name
        self._current: Asked | None = None
        self._client: Client | None = None
        self.said: Said | None = None
        self._head = b""
        self._is_read = False

    @property
    def is_idle(self) -> bool:
        """Whether it has been asked nothing, as far as it has read."""
        return self._current is None and not self.received

    @property
    def is_tunnel(self) -> bool:
        return self.said is not None and self.said.status == 101

    def heard(self) -> None:
        while self.received:
            if self._current is None:
                if not self._begin():
                    return
            elif self.is_tunnel:
                self._judge_tunnel()
                return
            elif self._is_read:
                raise AssertionError(f"after {self._current}: {bytes(self.received)!r}")
            elif not self._read_body():
                return

    def _begin(self) -> bool:
        head, end, rest = bytes(self.received).partition(b"\r\n\r\n")
        if not end:
            return False
        first, *lines = head.split(b"\r\n")
        method, name, version = first.split(b" ")
        assert version == b"HTTP/1.1"
        self._client, asked = self._by_name[name]
        assert method == asked.method
        asked.seen += 1
        assert asked.seen <= (1 if method == b"POST" else 2), asked
        self._head = b"\r\n".join(lines).lower() + b"\r\n"
        assert self.said is None
        self._current, self._is_read = asked, False
        self.received[:] = rest
        if b"transfer-encoding:" not in self._head and b"content-length:" not in self._head:
            self._is_read = True
        return True

    def _read_body(self) -> bool:
        """Judge what there is of the body; whether it is all."""
        asked = self._current
        assert asked is not None
        data = bytes(self.received)
        if b"transfer-encoding: chunked" in self._head:
            body, is_all, rest = read_chunks(data)
        else:
            length = int(self._head.split(b"content-length: ")[1].split(b"\r\n")[0])
            body, is_all, rest = data[:length], len(data) >= length, data[length:]
        assert asked.body.startswith(body), (asked, body)
        if is_all:
            assert asked.is_whole
            assert body == asked.body
            self._is_read = True
            self.received[:] = rest
            self._done()
        return is_all

    def _judge_tunnel(self) -> None:
        assert self._client is not None
        assert self._current is not None
        said = self._client.after(self._current)
        got = bytes(self.received)
        foreign = _beyond(got, said)
        assert not foreign or self._current.protocol == WEBSOCKET, (said, got)
        assert len(foreign) <= 8, (said, got)
        assert b"\x88\x82".startswith(foreign[:2]), (said, got)

    # What it does

    def act(self) -> None:
        """Say a piece, or begin to say something."""
        if self.said is None and self._current is not None:
            if self._is_read or self.rng.random() < 0.2:
                self.said = self._answer(self.rng, self._current)
                self._current.answers.append(self.said)
                self.unsent += self.said.raw
        elif self.said is None:
            self._stray()
        elif self.is_tunnel and not self.unsent and self.rng.random() < 0.3:
            assert self._current is not None
            more = words(self.rng, self._current.name)
            self.said.tunnel += more
            self.unsent += more
        self.say()

    def say(self, most: int | None = None) -> None:
        """Say some of what there is to say, and end where it ends."""
        self.send(self.rng.choice((1, 20, 500, 100_000)) if most is None else most)
        said = self.said
        if said is None or self.unsent or self.is_tunnel or self.is_gone or self.has_ended:
            return
        said.is_all_said = True
        if not said.is_whole and not said.then:
            return  # whatever it says would be the rest
        if said.then == "half-close" or (said.then == "close" and not self.has_unread()):
            self.half_close()
        if said.then in {"close", "reset"}:
            self.wire.is_reset = said.then == "reset"
            self.leave()
        self._done()

    def be_polite(self) -> None:
        """Answer what it was asked; in a tunnel, come to an end."""
        if self.is_tunnel:
            self.say(1 << 20)
            self.half_close()
        elif self.said is not None or self._current is not None:
            self.act()

    def _stray(self) -> None:
        """Say what nobody has asked for; only if the gateway has really asked nothing."""
        is_asked = self.received or self.has_unread() or has_unsent(self.wire)
        if not is_asked and self.rng.random() < 0.15:
            self.unsent += b"HTTP/1.1 200 OK\r\nX-For: nobody\r\nContent-Length: 0\r\n\r\n"
            if not self.send(1 << 20):
                self.unsent.clear()  # what comes later might be an answer

    def _done(self) -> None:
        """Part from a request that was read, and answered, to its end."""
        if self._is_read and self.said is not None and self.said.is_all_said:
            self._current = self._client = self.said = None
