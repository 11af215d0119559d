"""Requests that are tried: what is sent, and what is left of them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.console.trying import MAX_SHOWN_BYTES, Trying, reachable


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
        from twisted.internet import reactor  # noqa: TID251 - real connections

        factory: Any = Factory.forProtocol(Endless)
        factory.asked, factory.ended = b"", Deferred()
        self.server = factory
        listens: Any = reactor
        self.port = listens.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        explains: Any = Explains()
        self.trying = Trying(
            reactor=reactor,
            mirror=explains,
            fleet=explains,
            own_host=lambda: None,
            gateway_url=f"http://127.0.0.1:{self.port.getHost().port}",
            sign=None,
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
