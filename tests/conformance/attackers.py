"""Clients that send nearly right things on every way there is, and judge what comes of it."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.conformance.client import Answer, AnswerCutError, Client, request
from tests.conformance.instance import CLOSE, Step, head, ok
from tests.conformance.judge import CutError, Request, Stream
from tests.conformance.mutations import changed_answer, mutant, pipelined, upgrade
from tests.conformance.scene import Scene
from tests.conformance.ways import LINE, PROXY_HEADERS, TlsSocket, proxy_header, reset, segments
from tests.support.wait import wait_until

PATIENCE_SECONDS = 30.0
"""By then whoever is connected has been told something, or the end."""

_NAMED = re.compile(rb"/u(\d+)")
_TOLD = re.compile(rb"<<(\d+)>>")
_ENDS = ("half-close", "half-close", "half-close", "close", "reset")


@dataclass
class Switched:
    """
    A tunnel as its client knows it.

    Attributes:
        said: everything that it has sent, its request included.
        late: what of that it sent when it had been told of the tunnel.
        is_whole: whether it has ended in peace.
        raw: the request.
    """

    said: bytes
    late: bytes
    is_whole: bool
    raw: bytes


class FarScene(Scene):
    """
    A scene whose clients come over TLS, or through a balancer.

    Attributes:
        tunnels: by name, what instances have got in tunnels.
    """

    def __init__(self, scene: Scene, *, tls: ssl.SSLContext | None, is_behind: bool) -> None:
        super().__init__(scene.gateway, scene.instance)
        self._tls = tls
        self._is_behind = is_behind
        self.tunnels: dict[int, bytes] = {}
        self._switched: dict[int, Switched] = {}

    def client(self, **given: Any) -> Client:
        """A new connection, with all that belongs before HTTP."""
        return Client(self.connect(LINE if self._is_behind else b"", **given))

    def connect(self, header: bytes, rng: Random | None = None, **given: Any) -> Any:
        """The same, with this header before it."""
        plain = self.gateway.connect(**given)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in [header] if rng is None else segments(rng, header):
                plain.sendall(piece)
            if self._tls is None:
                return plain
            secured = TlsSocket(plain, self._tls)
            if header and header not in PROXY_HEADERS:
                plain.settimeout(0.3)  # it may have taken the handshake for a part of the header
            secured.shake_hands()
            plain.settimeout(PATIENCE_SECONDS)
        except TimeoutError:
            plain.close()
            raise ConnectionError from None
        except BaseException:
            plain.close()
            raise
        return secured

    # What clients do

    def attack(self, number: int) -> None:
        """One connection with something on it that is not quite right."""
        rng = Random(number)
        header = proxy_header(rng) if self._is_behind else b""
        try:
            self._attack(rng, number, header)
        except TimeoutError:
            raise AssertionError(f"no end of connection {number}") from None
        except (AnswerCutError, CutError, OSError):
            pass

    def _attack(self, rng: Random, number: int, header: bytes) -> None:
        if self._tls is None:
            connection = self.connect(b"")
        else:
            connection, header = self.connect(header, rng), b""
        with Client(connection) as client:
            if rng.random() < 0.25:
                self._ask_for_tunnel(rng, client, number, header)
                return
            raw = header + (mutant(rng) if rng.random() < 0.7 else pipelined(rng))
            if rng.random() < 0.2:
                raw = raw[: rng.randrange(len(raw))]
            for piece in segments(rng, raw):
                client.send(piece)
            self._end(rng, client)
            while True:
                self._is_its_own(client.answer(), raw)

    def _is_its_own(self, answer: Answer, raw: bytes) -> None:
        """Check that what an instance has answered, it was asked by these bytes."""
        if answer.status == 200:
            target = answer.body.partition(b" ")[2]
            assert target.lstrip(b"/") in raw, (answer, raw)

    def _end(self, rng: Random, client: Client) -> bool:
        """End somehow; whether in peace, and reading on."""
        how = rng.choice(_ENDS)
        connection: Any = client.socket
        if isinstance(connection, TlsSocket):
            connection.says_the_end = rng.random() < 0.8
        if how == "half-close":
            client.half_close()
            return not isinstance(connection, TlsSocket) or connection.says_the_end
        if how == "reset" and isinstance(connection, TlsSocket):
            connection.reset()
        elif how == "reset":
            reset(connection)
        else:
            client.close()
        raise ConnectionError

    def _ask_for_tunnel(self, rng: Random, client: Client, number: int, header: bytes) -> None:
        raw = upgrade(rng, b"/u%d" % number)
        early = words(rng, number) if rng.random() < 0.3 else b""
        for piece in segments(rng, header + raw + early):
            client.send(piece)
        # Who has announced more than it says has to say that this was all.
        has_ended = rng.random() < 0.1 or b"Content-Length" in raw or b"Transfer-Enc" in raw
        has_ended = has_ended or header not in {b"", *PROXY_HEADERS}
        is_whole = has_ended and self._end(rng, client)
        answer = client.head()
        while answer.status < 200 and answer.status != 101:
            answer = client.head()
        if answer.status != 101:
            return
        late = b"" if has_ended else words(rng, number)
        switched = Switched(raw + early + late, late, is_whole, raw)
        self._switched[number] = switched
        if not has_ended:
            for piece in segments(rng, late):
                client.send(piece)
            switched.is_whole = self._end(rng, client)
        while client.data(1):
            pass

    # What the instance does

    def respond(self, asked: Request) -> tuple[Step, ...]:
        """Agree to upgrades most often, refuse some, and garble some answers."""
        protocol = asked.one("Upgrade")
        named = _NAMED.match(asked.target)
        if protocol is None or named is None:
            return (ok(asked.method + b" " + asked.target),)
        number = int(named[1])
        rng = Random(~number << 32)
        agreed = head(
            b"Upgrade: " + protocol, b"Connection: Upgrade", status=b"101 Switching Protocols"
        )
        way = rng.random()
        if way < 0.1:
            return (ok(b"no"),)
        if way < 0.2:
            return (ok(b"no", status=rng.choice((b"400 Bad", b"426 Upgrade", b"503 No"))),)
        if way < 0.4:
            agreed = changed_answer(rng, agreed)
            if b"\r\n\r\n" not in agreed:
                return (agreed, CLOSE)

        pieces = segments(rng, agreed + rng.choice((b"", b"\x81\x05hello")))

        def talk(stream: Stream) -> None:
            try:
                for piece in pieces:
                    stream.connection.sendall(piece)
            except OSError:
                pass  # the client was told of the tunnel by half of them, and has gone
            got = self.tunnels[number] = stream.rest()
            stream.connection.sendall(got)

        return (talk, CLOSE)

    # What holds afterwards

    def judge(self) -> None:
        """Check that every word in a tunnel has come where it belongs, and nowhere else; forget them."""
        for number, switched in self._switched.items():
            self._judge(number, switched)
        assert not self.instance.unsafe, self.instance.unsafe
        for asked in self.instance.requests:
            said = repr((asked.target, asked.headers, asked.body, asked.trailers)).encode()
            told = {int(number) for number in _TOLD.findall(said)}
            assert not told & set(self._switched), asked
        self._switched.clear()
        self.tunnels.clear()
        self.instance.begin()
        self.instance.responds(self.respond)

    def _judge(self, number: int, switched: Switched) -> None:
        wait_until(lambda: number in self.tunnels)
        got = self.tunnels[number]
        assert {int(told) for told in _TOLD.findall(got)} <= {number}, got
        if switched.is_whole:
            assert got.endswith(switched.late), (got, switched)
            assert switched.said.endswith(got), (got, switched)
        else:
            assert got in switched.said, (got, switched)
        head, end, rest = switched.said.partition(b"\r\n\r\n")
        if head + end == switched.raw:
            assert rest.startswith(got), (got, switched)


def words(rng: Random, number: int) -> bytes:
    """What a client says in a tunnel: frames, broken ones, or what looks like a request."""
    name = b"<<%d>>" % number
    frame = bytes((0x81, 0x80 | len(name))) + bytes(4) + name
    way = rng.random()
    if way < 0.5:
        return frame * rng.choice((1, 3, 200))
    if way < 0.6:
        return frame[: rng.randrange(1, len(frame))]
    if way < 0.7:
        return b"\x88\x82" + bytes(4) + b"\x03\xe8" + name
    if way < 0.8:
        return rng.randbytes(rng.randrange(1, 3000)) + name
    return request(target=b"/" + name.replace(b"<", b"%3C").replace(b">", b"%3E")) + name
