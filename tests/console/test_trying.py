"""Requests that are tried: what is sent, and what is left of them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.console.trying import MAX_SHOWN_BYTES, Sign, Trying, reachable


class Endless(Protocol):
    """A gateway behind which an answer never ends."""

    def dataReceived(self, data: bytes) -> None:
        server: Any = self.factory
        server.asked += data
        transport: Any = self.transport
        transport.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_SHOWN_BYTES + 1))

    def connectionLost(self, reason: Any = None) -> None:
        server: Any = self.factory
        server.ended.callback(None)


class Says(Protocol):
    """Answers with some headers of debugging; `{id}` in them is what was asked by."""

    def dataReceived(self, data: bytes) -> None:
        server: Any = self.factory
        [asked] = [
            line.partition(b": ")[2]
            for line in data.split(b"\r\n")
            if line.lower().startswith(b"x-gateway-debug:")
        ]
        lines = [b"X-Gateway-Debug: " + one.replace(b"{id}", asked) for one in server.says]
        transport: Any = self.transport
        transport.write(b"\r\n".join((b"HTTP/1.1 204 No", *lines, b"\r\n")))
        transport.loseConnection()


class Access:
    """Somebody who may."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def require(self, scope: str) -> None:
        pass

    def require_all_tenants(self) -> None:
        pass

    def began(self, what: str, before: Any) -> None:
        self.noted.append(what)

    def ended(self, record: Any, outcome: str, after: Any) -> None:
        self.noted.append(outcome)


class Asks:
    """A call with a body."""

    def __init__(self, **fields: Any) -> None:
        self.access = Access()
        self._fields = fields

    def only(self) -> None:
        pass

    def fields(self, checks: Any) -> dict[str, Any]:
        assert all(checks[name](value) for name, value in self._fields.items())
        return self._fields


class Explains:
    def explain(self, request: Any, now: float) -> dict[str, Any]:
        return {}


class TryingTests(TestCase):
    def setUp(self) -> None:
        factory: Any = Factory.forProtocol(Endless)
        factory.asked, factory.ended = b"", Deferred()
        self.server = factory
        self.trying = self.trying_at(factory)

    def trying_at(self, factory: Any, sign: Sign | None = None) -> Trying:
        from twisted.internet import reactor  # noqa: TID251 - real connections

        listens: Any = reactor
        port = listens.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        explains: Any = Explains()
        return Trying(
            reactor=reactor,
            mirror=explains,
            fleet=explains,
            own_host=lambda: None,
            gateway_url=f"http://127.0.0.1:{port.getHost().port}",
            sign=sign,
            wall=time.time,
        )

    async def test_answer_without_end_is_not_read_on(self) -> None:
        """Its beginning is shown, and its connection ends."""
        asked: Any = Asks(path="/stream?token=secret")
        answer = await self.trying.send(asked)
        self.assertEqual(answer.value["status"], 200)
        self.assertEqual(len(answer.value["body"]), MAX_SHOWN_BYTES)
        self.assertFalse(answer.value["body_is_whole"])
        await self.server.ended
        [what, outcome] = asked.access.noted
        self.assertTrue(what.endswith("/stream"), what)
        self.assertEqual(outcome, "done")

    async def test_only_who_knows_what_was_signed_is_believed(self) -> None:
        """Not an instance behind a gateway that passes on what it says; that is shown as it is."""
        good = b'{"id": "{id}", "route": "r"}'
        forged = [b'{"route": "x"}', b'{"id": "' + b"0" * 32 + b'"}', b"{id}", b'["{id}"]', b"["]
        for says, debug, shown in (
            ([good], {"route": "r"}, 0),
            ([*forged, good], {"route": "r"}, 0),
            (forged, None, len(forged)),
            ([], None, 0),
        ):
            factory: Any = Factory.forProtocol(Says)
            factory.says = says
            asked: Any = Asks(path="/")
            answer = await self.trying_at(factory, lambda random: random.decode()).send(asked)
            self.assertEqual(answer.value["debug"], debug)
            names = [name for name, _ in answer.value["headers"] if name == "X-Gateway-Debug"]
            self.assertEqual(len(names), shown)

    async def test_what_is_no_request_is_not_sent(self) -> None:
        """With what is wrong with it, and not as a mistake of ours."""
        wrong: list[dict[str, Any]] = [{"path": f"/a{one}b"} for one in "\n\r\t \x7f\u00f6"]
        wrong += [
            {"headers": {name: "chunked"}}
            for name in ("Transfer-Encoding", "content-length", "a b")
        ]
        for fields in wrong:
            asked: Any = Asks(**fields)
            with self.assertRaises(ProblemError) as caught:
                await self.trying.send(asked)
            self.assertEqual(caught.exception.code, "invalid_parameter", fields)
        self.assertEqual(self.server.asked, b"")


@pytest.mark.parametrize(
    ("address", "host", "own", "where"),
    [
        ("10.0.0.5:8000", None, None, "10.0.0.5:8000"),
        ("0.0.0.0:8000", "10.0.0.5", "10.0.0.9", "10.0.0.5:8000"),
        ("[::]:8000", "fd00::5", "fd00::9", "[fd00::5]:8000"),
        ("0.0.0.0:8000", "127.0.0.1", "127.0.0.1", "127.0.0.1:8000"),
        ("127.0.0.1:8000", "10.0.0.5", "10.0.0.5", "127.0.0.1:8000"),
        ("gateway.example:8000", None, None, "gateway.example:8000"),
        # What is loopback of another host is not ours.
        ("127.0.0.1:8000", "10.0.0.5", "10.0.0.9", None),
        ("0.0.0.0:8000", "127.0.0.1", "10.0.0.9", None),
        ("[::1]:8000", None, None, None),
        ("localhost:8000", "10.0.0.5", "10.0.0.9", None),
        ("0.0.0.0:8000", None, "10.0.0.9", None),
    ],
)
def test_gateway_is_asked_where_it_can_be_reached(
    address: str, host: str | None, own: str | None, where: str | None
) -> None:
    assert reachable(address, host, own) == where
