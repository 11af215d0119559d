"""Probes of real servers, over real connections."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from fengling_gateway.balancing.upstream_networks import LOOPBACK, UpstreamNetworks
from fengling_gateway.dataplane.tls_certificates import Certificate
from fengling_gateway.health.outcomes import Failed, Outcome, Passed, Unjudged
from fengling_gateway.health.probing import Probing
from fengling_gateway.health.targets import Target, Targets
from tests.health.builders import no_certificate, probed
from tests.health.instance import DOWN, TestInstance
from tests.support.certificates import Authority

ALLOWED = UpstreamNetworks(LOOPBACK)


class KnownNames:
    """Names as a table has them, told at once or later."""

    def __init__(self, *, later: bool = False, **addresses: list[str]) -> None:
        self.addresses = addresses
        self.later = later
        self.waiting: list[Callable[[list[str]], None]] = []
        self.released: list[tuple[str, Hashable]] = []

    def ask(self, name: str, user: Hashable, told: Callable[[list[str]], None]) -> list[str] | None:
        if self.later:
            self.waiting.append(told)
            return None
        return self.addresses.get(name, [])

    def forget(self, name: str, told: Callable[[list[str]], None]) -> None:
        self.waiting.remove(told)

    def release(self, name: str, user: Hashable) -> None:
        self.released.append((name, user))


def target(address: str, check: dict[str, Any] | None = None, **service: Any) -> Target:
    targets = Targets()
    targets.follow(probed(check, address, **service).bodies)
    return targets.by_id["i0"]


class RealTests(TestCase):
    """What real connections come to."""

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def instance(self, context: ssl.SSLContext | None = None) -> TestInstance:
        instance = TestInstance(context)
        self.addCleanup(instance.kill)
        return instance

    def probe(
        self,
        wanted: Target,
        *,
        names: KnownNames | None = None,
        networks: UpstreamNetworks = ALLOWED,
        certificates: Callable[[str], Certificate] | None = None,
    ) -> Deferred[Outcome]:
        from twisted.internet import reactor  # noqa: TID251 - real servers are the point

        probing = Probing(
            reactor=reactor,
            networks=networks,
            names=names or KnownNames(),
            certificates=certificates or no_certificate,
        )
        done: Deferred[Outcome] = Deferred()
        probing.new(wanted, done.callback).start()
        return done

    async def test_answer_as_expected_passes(self) -> None:
        """It takes some time, and was asked what the check says."""
        instance = self.instance()
        found = await self.probe(target(instance.address, {"path": "/health"}))
        assert isinstance(found, Passed)
        assert found.seen == "HTTP 200"
        assert 0.0 < found.seconds < 2.0
        [request] = instance.requests
        assert request.startswith(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:")

    async def test_other_answer_fails(self) -> None:
        """With what it was."""
        instance = self.instance()
        instance.answer = DOWN
        found = await self.probe(target(instance.address))
        assert isinstance(found, Failed)
        assert found.why == "HTTP 503"

    async def test_redirect_is_not_followed(self) -> None:
        """It is the answer."""
        instance = self.instance()
        instance.answer = (
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
            + instance.address.encode()
            + b"/else\r\n\r\n"
        )
        found = await self.probe(target(instance.address, {"expected": ["200-299"]}))
        assert isinstance(found, Failed)
        assert len(instance.requests) == 1

    async def test_nobody_there_fails(self) -> None:
        """At once."""
        instance = self.instance()
        instance.kill()
        for check in ({}, {"type": "tcp"}):
            found = await self.probe(target(instance.address, check))
            assert isinstance(found, Failed)
            assert found.why == "connection refused"

    async def test_silence_fails_after_the_timeout(self) -> None:
        """Also one in the middle of an answer; it says how far that came."""
        instance = self.instance()
        instance.answer = None
        found = await self.probe(target(instance.address, {"timeout": "50ms"}))
        assert isinstance(found, Failed)
        assert found.why == "no answer within 0.05 s"
        instance.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        found = await self.probe(target(instance.address, {}))
        assert isinstance(found, Failed)
        assert found.why == "its answer breaks off"

    async def test_tcp_needs_a_connection_and_no_more(self) -> None:
        """Whoever accepts passes."""
        instance = self.instance()
        instance.answer = None
        found = await self.probe(target(instance.address, {"type": "tcp"}))
        assert isinstance(found, Passed)
        assert found.seen == "connected"
        assert instance.requests == []

    async def test_tls_is_verified_as_the_service_says(self) -> None:
        """By its authorities, for its name; or not at all."""
        authority = Authority()
        instance = self.instance(self.context(authority, "orders.internal"))
        trusting = {"ca": authority.pem.decode(), "sni": "orders.internal"}
        for tls, check, expected in (
            (trusting, {}, Passed),
            (trusting, {"type": "tcp"}, Passed),
            ({"verify": False}, {}, Passed),
            (None, {}, Failed),
            ({**trusting, "sni": "other.internal"}, {}, Failed),
            ({**trusting, "sni": "other.internal"}, {"type": "tcp"}, Failed),
        ):
            found = await self.probe(target(instance.address, check, tls=tls))
            assert isinstance(found, expected), (found, tls)
            if isinstance(found, Failed):
                assert found.why.startswith("TLS: certificate verify failed")

    async def test_client_certificate_is_shown(self) -> None:
        """If its key is here; else nothing can be said of the instance."""
        authority = Authority()
        context = self.context(authority, "127.0.0.1")
        context.load_verify_locations(cadata=authority.pem.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        instance = self.instance(context)
        tls = {"ca": authority.pem.decode(), "client_certificate": "me"}
        wanted = target(instance.address, tls=tls)
        mine = authority.issue("me")
        shown = {"me": Certificate("me", (), mine.chain, mine.key)}
        assert isinstance(await self.probe(wanted, certificates=shown.__getitem__), Passed)
        found = await self.probe(wanted)
        assert found == Unjudged("there is no key of me here")
        anonymous = target(instance.address, tls={"ca": authority.pem.decode()})
        assert isinstance(await self.probe(anonymous), Failed)

    async def test_plain_server_is_no_tls(self) -> None:
        """And says so."""
        instance = self.instance()
        found = await self.probe(target(instance.address.replace("http", "https")))
        assert isinstance(found, Failed)

    async def test_refused_address_is_not_probed(self) -> None:
        """It is not the instance's fault, and nobody connects."""
        instance = self.instance()
        found = await self.probe(target(instance.address), networks=UpstreamNetworks())
        assert isinstance(found, Unjudged)
        assert "loopback" in found.why
        named = target(f"http://orders.internal:{instance.port}")
        names = KnownNames(**{"orders.internal": ["127.0.0.1"]})
        found = await self.probe(named, names=names, networks=UpstreamNetworks())
        assert isinstance(found, Unjudged)
        assert instance.connections == 0

    async def test_one_address_of_a_name_suffices(self) -> None:
        """The next is tried when one refuses, or does not answer."""
        instance = self.instance()
        named = target(f"http://orders.internal:{instance.port}", {"timeout": "1s"})
        names = KnownNames(**{"orders.internal": ["127.0.0.2", "127.0.0.1"]})
        assert isinstance(await self.probe(named, names=names), Passed)
        with full_backlog(instance.port):
            assert isinstance(await self.probe(named, names=names), Passed)

    async def test_name_that_nobody_knows_says_nothing(self) -> None:
        """Whoever resolves it may be at fault."""
        found = await self.probe(target("http://orders.internal:1"))
        assert found == Unjudged("orders.internal can't be resolved at the moment")
        slow = KnownNames(later=True)
        named = target("http://orders.internal:1", {"timeout": "20ms"})
        found = await self.probe(named, names=slow)
        assert found == Unjudged("orders.internal could not be resolved in time")
        assert slow.waiting == []

    def context(self, authority: Authority, *names: str) -> ssl.SSLContext:
        paths = authority.issue(*names).write(self.directory, "instance")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(paths["chain"], paths["key"])
        return context


class full_backlog:  # noqa: N801 - reads like a function
    """A listener on 127.0.0.2 that accepts nobody: who connects waits."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> None:
        self._sockets.append(socket.create_server(("127.0.0.2", self._port), backlog=0))
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.2", self._port))
            self._sockets.append(one)

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            one.close()


class Connector:
    state = "connecting"

    def __init__(self, factory: Any) -> None:
        self.factory = factory

    def stopConnecting(self) -> None:
        self.state = "disconnected"


class FakeReactor(Clock):
    """A clock, and connections that never come."""

    def __init__(self) -> None:
        super().__init__()
        self.connectors: list[Connector] = []

    def connectTCP(self, host: str, port: int, factory: Any, timeout: object) -> Connector:
        self.connectors.append(Connector(factory))
        return self.connectors[-1]


class TimeTests:
    def probe(self) -> tuple[FakeReactor, list[Outcome], Any]:
        reactor = FakeReactor()
        probing = Probing(
            reactor=reactor, networks=ALLOWED, names=KnownNames(), certificates=no_certificate
        )
        found: list[Outcome] = []
        probe = probing.new(target("http://10.0.0.5"), found.append)
        probe.start()
        return reactor, found, probe

    def test_nobody_answers(self) -> None:
        """It is told once, and nothing is left."""
        reactor, found, _ = self.probe()
        reactor.advance(2.0)
        assert found == [Failed("no connection within 2 s", 2.0)]
        assert reactor.connectors[0].state == "disconnected"
        assert reactor.getDelayedCalls() == []

    def test_timeout_that_comes_late_says_nothing(self) -> None:
        """This process was stopped, or starved: the instance may have answered long ago."""
        reactor, found, _ = self.probe()
        reactor.advance(10.0)
        assert found == [Unjudged("this console was too busy: 8.0 s late")]

    def test_cancelled_probe_tells_nobody(self) -> None:
        """And leaves nothing."""
        reactor, found, probe = self.probe()
        probe.cancel()
        reactor.advance(10.0)
        assert found == []
        assert reactor.connectors[0].state == "disconnected"
        assert reactor.getDelayedCalls() == []

    @pytest.mark.parametrize("number", [24, 99, 101])
    def test_what_this_host_lacks_is_not_held_against_an_instance(self, number: int) -> None:
        """Descriptors, ports, a network."""
        reactor, found, _ = self.probe()
        reactor.connectors[0].factory.clientConnectionFailed(
            reactor.connectors[0], Failure(ConnectError(number))
        )
        [outcome] = found
        assert isinstance(outcome, Unjudged)
        assert outcome.why.startswith("this console can't connect: ")
