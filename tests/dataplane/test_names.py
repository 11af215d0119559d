"""Instances that have names: from the DNS server to the connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest

from fengling_gateway.dataplane.dialing import MAX_TRIES
from fengling_gateway.http.forward_error import ForwardError
from tests.dataplane.dns_server import DnsServer
from tests.dataplane.kinds import TLS_TRANSPORTS
from tests.dataplane.processes import (
    Gateway,
    read_head,
    running_gateway,
    running_instance,
    silent_address,
)
from tests.dataplane.rig import GET, OK, Rig, status_of
from tests.dataplane.snapshots import Entity, instance, plain, service
from tests.dataplane.test_tls_instances import TRUSTING, Secure
from tests.support.wait import wait_until

ONE, TWO, THREE = "127.0.0.1", "127.0.0.2", "127.0.0.3"


class Instances:
    """One port at several addresses of this host; each answers with its address."""

    def __init__(self) -> None:
        self.port = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *given: object) -> None:
        self._stack.close()

    def listen(self, address: str, serve: Callable[[Any], None] | None = None) -> None:
        serve = serve or serving(address.encode())
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listening = socket.create_server((address, self.port), family=family)
        self.port = listening.getsockname()[1]
        self._stack.callback(listening.close)
        self._stack.callback(listening.shutdown, socket.SHUT_RDWR)
        threading.Thread(target=_accept, args=(listening, serve), daemon=True).start()


def serving(name: bytes) -> Callable[[Any], None]:
    return partial(_serve, name=name)


def _accept(listening: socket.socket, serve: Callable[[Any], None]) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket, name: bytes) -> None:
    with connection:
        try:
            while True:
                read_head(connection)
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
                connection.sendall(head % len(name) + name)
        except OSError:
            pass


@contextmanager
def named(
    dns: DnsServer, port: int, *more: Entity, host: str = "orders.example", **settings: Any
) -> Iterator[Gateway]:
    """A gateway with one instance that has a name."""
    entities = plain(*more, address=f"http://{host}:{port}")
    settings = {"dns_servers": [dns.address], "dns_hosts": "/dev/null", **settings}
    with running_gateway(*entities, **settings) as gateway:
        yield gateway


def ask(gateway: Gateway) -> tuple[int, str, str]:
    """Status, body and error of one request."""
    with gateway.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    error = head.partition(b"X-Gateway-Error: ")[2].partition(b"\r\n")[0]
    return int(answer.split(b" ")[1]), body.decode(), error.decode()


ONCE = {"upstream_max_idle": 0}
"""Settings with which each request has a connection of its own."""


class DialingTests:
    def test_connections_spread_over_addresses(self) -> None:
        """Each begins with another one; no thread helps."""
        with Instances() as instances:
            for address in (ONE, TWO, THREE):
                instances.listen(address)
            zone = {"orders.example": {"A": [ONE, TWO, THREE]}}
            with DnsServer(zone) as dns, named(dns, instances.port, **ONCE) as gateway:
                threads = gateway.ask()["threads"]
                answers = [ask(gateway)[1] for _ in range(9)]
                assert {answers.count(one) for one in (ONE, TWO, THREE)} == {3}
                assert len(dns.asked) == 2
                asked = gateway.ask()
                assert asked["threads"] == threads
                assert asked["names"][0]["addresses"] == [ONE, TWO, THREE]
                assert asked["counters"]["dns_lookups"] == 1

    def test_address_that_refuses_is_passed_over(self) -> None:
        """Within the attempt; and for a while it is tried last."""
        with Instances() as instances:
            instances.listen(TWO)
            zone = {"orders.example": {"A": [ONE, TWO], "AAAA": ["::1"]}}
            with DnsServer(zone) as dns, named(dns, instances.port, **ONCE) as gateway:
                assert [ask(gateway)[:2] for _ in range(4)] == [(200, TWO)] * 4
                assert gateway.ask()["counters"]["upstream_connects_failed"] == 0

    def test_address_that_is_silent_is_passed_over(self) -> None:
        """It has its share of the connect timeout."""
        with Instances() as instances, silent_address() as address:
            instances.port = int(address.rpartition(":")[2])
            instances.listen(TWO)
            zone = {"orders.example": {"A": [ONE, TWO]}}
            slow = service(connect_timeout=1.0)
            with DnsServer(zone) as dns, named(dns, instances.port, slow, **ONCE) as gateway:
                assert [ask(gateway)[:2] for _ in range(3)] == [(200, TWO)] * 3

    def test_addresses_that_all_refuse_fail(self) -> None:
        """As one that does."""
        with Instances() as instances:
            instances.listen(THREE)
            zone = {"orders.example": {"A": [ONE, TWO]}}
            with DnsServer(zone) as dns, named(dns, instances.port) as gateway:
                assert ask(gateway)[0::2] == (502, "connect_failed")
                assert gateway.ask()["counters"]["upstream_connects_failed"] == 1

    def test_ipv6_is_used_where_there_is_nothing_else(self) -> None:
        """An instance need not have an IPv4 address."""
        with Instances() as instances:
            instances.listen("::1")
            zone = {"orders.example": {"AAAA": ["::1"]}}
            with DnsServer(zone) as dns, named(dns, instances.port) as gateway:
                assert ask(gateway)[:2] == (200, "::1")

    def test_name_of_the_hosts_file_needs_no_server(self, tmp_path: Path) -> None:
        """Short names as well."""
        (tmp_path / "hosts").write_text("127.0.0.2 orders\n")
        with Instances() as instances, DnsServer() as dns:
            instances.listen(TWO)
            hosts = str(tmp_path / "hosts")
            with named(dns, instances.port, host="orders", dns_hosts=hosts) as gateway:
                assert ask(gateway)[:2] == (200, TWO)
            assert dns.asked == []

    def test_stock_transports_resolve_too(self) -> None:
        """Twisted's own, should the others be switched off."""
        with Instances() as instances:
            instances.listen(ONE)
            zone = {"orders.example": {"A": [ONE]}}
            with (
                DnsServer(zone) as dns,
                named(dns, instances.port, transports="stock") as gateway,
            ):
                assert ask(gateway)[:2] == (200, ONE)


class FailureTests:
    def test_name_that_is_missing_fails(self) -> None:
        """With an error of its own."""
        with DnsServer() as dns, named(dns, 80) as gateway:
            assert ask(gateway)[0::2] == (502, "resolve_failed")
            values = gateway.ask()
            assert values["counters"]["dns_lookups_failed"] == 1
            assert values["names"][0]["last_error"] is not None
            wait_until(lambda: any("can't be resolved" in line for line in gateway.logged))

    def test_silent_server_fails_after_the_timeout(self) -> None:
        """If the connect timeout has not ended before."""
        zone = {"orders.example": {"silent": True}}
        slow = service(connect_timeout=10.0)
        with DnsServer(zone) as dns, named(dns, 80, slow, dns_timeout=0.3) as gateway:
            assert ask(gateway)[0::2] == (502, "resolve_failed")

    def test_connect_timeout_holds_for_resolving(self) -> None:
        """The client does not wait any longer."""
        zone = {"orders.example": {"silent": True}}
        fast = service(connect_timeout=0.2)
        with DnsServer(zone) as dns, named(dns, 80, fast, dns_timeout=1.0) as gateway:
            assert ask(gateway)[0::2] == (504, "connect_timeout")
            assert gateway.ask()["counters"]["upstream_connections_now"] == 0

    def test_another_instance_is_tried(self) -> None:
        """Nothing has been sent."""
        with Instances() as instances, DnsServer() as dns:
            instances.listen(ONE)
            other = instance("j", address=f"http://{ONE}:{instances.port}")
            with named(dns, instances.port, other, **ONCE) as gateway:
                assert {ask(gateway)[0] for _ in range(4)} == {200}

    def test_last_good_address_goes_on(self) -> None:
        """When the name is gone; then the change is followed."""
        with Instances() as instances:
            instances.listen(ONE)
            instances.listen(TWO)
            zone: Any = {"orders.example": {"A": [ONE], "ttl": 1}}
            with DnsServer(zone) as dns, named(dns, instances.port, **ONCE) as gateway:
                assert ask(gateway)[:2] == (200, ONE)
                dns.zone = {}

                def is_stale() -> bool:
                    assert ask(gateway)[:2] == (200, ONE)
                    return bool(gateway.ask()["counters"]["dns_stale_uses"])

                wait_until(is_stale)
                dns.zone = {"orders.example": {"A": [TWO], "ttl": 1}}
                wait_until(lambda: ask(gateway)[:2] == (200, TWO))
                wait_until(lambda: any("resolved again" in line for line in gateway.logged))

    def test_kept_connection_follows_a_change(self) -> None:
        """One that is used all the time would else lead to the old address for ever."""
        with Instances() as instances:
            instances.listen(ONE)
            instances.listen(TWO)
            zone: Any = {"orders.example": {"A": [ONE], "ttl": 1}}
            with DnsServer(zone) as dns, named(dns, instances.port) as gateway:
                assert ask(gateway)[:2] == (200, ONE)
                dns.zone = {"orders.example": {"A": [TWO], "ttl": 1}}
                wait_until(lambda: ask(gateway)[:2] == (200, TWO))
                assert gateway.ask()["counters"]["upstream_connects"] == 2


class TlsTests:
    @TLS_TRANSPORTS
    def test_certificate_is_verified_for_the_name(
        self, kinds: dict[str, Any], tmp_path: Path
    ) -> None:
        """Whatever address it is at; a change of that is followed here, too."""
        secure = Secure(tmp_path, serving(b"TLS"))
        tls = service(tls=TRUSTING)
        zone: Any = {"i.example": {"A": [TWO, ONE], "ttl": 1}}
        with running_instance(secure.serve) as address, DnsServer(zone) as dns:
            named_address = address.replace("http://127.0.0.1", "https://i.example")
            entities = plain(tls, address=named_address)
            settings = {"dns_servers": [dns.address], "dns_hosts": "/dev/null", **kinds}
            with running_gateway(*entities, **settings) as gateway:
                assert ask(gateway)[:2] == (200, "TLS")
                assert ask(gateway)[:2] == (200, "TLS")
                assert secure.names == ["i.example"]
                dns.zone = {"i.example": {"A": [TWO], "ttl": 1}}
                wait_until(lambda: ask(gateway)[0::2] == (502, "connect_failed"))
                assert secure.connections == 1

    @TLS_TRANSPORTS
    def test_handshake_that_stalls_leaves_no_connection(self, kinds: dict[str, Any]) -> None:
        """An instance that is silent after it has accepted takes no place of the pool for good."""
        zone: Any = {"i.example": {"A": [ONE], "ttl": 60}}
        with (
            running_instance(lambda connection: read_head(connection) and None) as address,
            DnsServer(zone) as dns,
            running_gateway(
                *plain(
                    service(tls=TRUSTING, connect_timeout=0.3),
                    address=address.replace("http://127.0.0.1", "https://i.example"),
                ),
                **{"dns_servers": [dns.address], "dns_hosts": "/dev/null", **kinds},
                upstream_max_connections=1,
            ) as gateway,
        ):
            for _ in range(2):
                assert ask(gateway)[0::2] == (504, "connect_timeout")
            wait_until(lambda: gateway.ask()["counters"]["upstream_connections_now"] == 0)

    @TLS_TRANSPORTS
    def test_address_whose_handshake_never_ends_is_tried_last(
        self, kinds: dict[str, Any], tmp_path: Path
    ) -> None:
        """For a while, as one that can't be connected to."""
        closed = threading.Event()

        def mute(connection: socket.socket) -> None:
            with connection:
                while connection.recv(65536):
                    pass
            closed.set()

        secure = Secure(tmp_path, serving(b"TLS"))
        tls = service(tls=TRUSTING, connect_timeout=0.5)
        zone = {"i.example": {"A": [ONE, TWO]}}
        with Instances() as instances, DnsServer(zone) as dns:
            instances.listen(ONE, mute)
            instances.listen(TWO, secure.serve)
            entities = plain(tls, address=f"https://i.example:{instances.port}")
            settings = {"dns_servers": [dns.address], "dns_hosts": "/dev/null", **ONCE, **kinds}
            with running_gateway(*entities, **settings) as gateway:
                assert ask(gateway)[0::2] == (504, "connect_timeout")
                assert closed.wait(10)
                wait_until(lambda: not gateway.ask()["counters"]["upstream_connections_now"])
                assert [ask(gateway)[:2] for _ in range(3)] == [(200, "TLS")] * 3


class DrainTests:
    def test_nothing_is_left_after_a_drain(self) -> None:
        """No refresh keeps a socket open."""
        with Instances() as instances:
            instances.listen(ONE)
            zone = {"orders.example": {"A": [ONE], "ttl": 1}}
            with DnsServer(zone) as dns, named(dns, instances.port) as gateway:
                assert ask(gateway)[0] == 200
                assert gateway.drain() == "drained"
                asked = len(dns.asked)
                assert gateway.ask()["names"] == []
                assert len(dns.asked) == asked


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """In memory; the file hosts knows ``orders``."""
    (tmp_path / "hosts").write_text("10.0.0.1 orders\n10.0.0.2 orders\n")
    files = {"dns_hosts": str(tmp_path / "hosts"), "dns_resolv_conf": str(tmp_path / "none")}
    rig = Rig(*plain(address="http://orders:8080"), **files)
    yield rig
    rig.close()


class RigTests:
    def test_client_that_leaves_ends_the_attempt(self, rig: Rig) -> None:
        """And the address is none the worse for it."""
        client = rig.ask()
        assert rig.dials == [("10.0.0.1", 8080)]
        client.lose()
        rig.settle()
        assert rig.counters()["upstream_connections_now"] == 0
        rig.ask()
        rig.ask()
        assert rig.dials[1:] == [("10.0.0.2", 8080), ("10.0.0.1", 8080)]

    def test_address_that_was_silent_for_long_is_tried_last(self, rig: Rig) -> None:
        """Whoever gave it up: a client or a deadline."""
        client = rig.ask()
        rig.advance(1)
        client.lose()
        rig.settle()
        rig.ask()
        rig.ask()
        assert rig.dials == [("10.0.0.1", 8080), ("10.0.0.2", 8080), ("10.0.0.2", 8080)]

    def test_connection_in_use_is_not_used_again_when_its_address_is_gone(
        self, rig: Rig, tmp_path: Path
    ) -> None:
        """The exchange on it goes on; the next one goes elsewhere."""
        client = rig.ask()
        upstream = rig.accept()
        (tmp_path / "hosts").write_text("10.0.0.3 orders\n")
        rig.advance(10)
        upstream.deliver(OK)
        assert status_of(client.sent) == 200
        rig.ask()
        assert rig.dials[1:] == [("10.0.0.3", 8080)]

    def test_idle_connection_is_closed_when_its_address_is_gone(
        self, rig: Rig, tmp_path: Path
    ) -> None:
        """Nobody will need it."""
        (tmp_path / "hosts").write_text("10.0.0.3 orders\n")
        rig.ask()
        upstream = rig.accept()
        (tmp_path / "hosts").write_text("10.0.0.4 orders\n")
        rig.advance(5)
        upstream.deliver(OK)
        rig.advance(3)
        assert upstream.ended is None
        rig.advance(2)
        assert upstream.ended == "closed"

    def test_name_is_looked_up_no_more_when_its_connections_are_closed(self, rig: Rig) -> None:
        """A minute later."""
        rig.ask()
        upstream = rig.accept()
        upstream.deliver(OK)
        rig.advance(20)
        assert upstream.is_lost
        rig.reactor.tcpClients[0][2].clientConnectionLost(None, None)
        rig.advance(50)
        lookups = rig.counters()["dns_lookups"]
        assert lookups > 10
        rig.advance(20)
        assert rig.counters()["dns_lookups"] == lookups

    def test_second_address_is_tried(self, rig: Rig) -> None:
        """When the first one refuses; the answer is as ever."""
        client = rig.ask()
        rig.refuse()
        assert rig.dials == [("10.0.0.1", 8080), ("10.0.0.2", 8080)]
        rig.advance(2)  # more than the share of the first one
        rig.accept().deliver(OK)
        assert status_of(client.sent) == 200
        assert rig.counters()["upstream_connects_failed"] == 0

    def test_so_many_addresses_are_tried(self, rig: Rig, tmp_path: Path) -> None:
        """Then the attempt fails, although there are others; the next one begins with those."""
        lines = (f"10.0.1.{number} orders\n" for number in range(2 * MAX_TRIES))
        (tmp_path / "hosts").write_text("".join(lines))
        client = rig.ask()
        for _ in range(MAX_TRIES):
            rig.refuse()
        assert status_of(client.sent) == ForwardError.CONNECT_FAILED.status
        rig.ask()
        assert [host for host, _ in rig.dials] == [f"10.0.1.{n}" for n in range(MAX_TRIES + 1)]

    def test_attempt_that_takes_too_long_fails(self, rig: Rig) -> None:
        """Each address had its share, and all together the connect timeout."""
        client = rig.ask()
        rig.advance(20)
        assert rig.dials == [("10.0.0.1", 8080), ("10.0.0.2", 8080)]
        assert status_of(client.sent) == ForwardError.CONNECT_TIMEOUT.status
        assert rig.counters()["upstream_connections_now"] == 0

    def test_name_of_an_instance_that_goes_is_forgotten(self, rig: Rig) -> None:
        """A revision later."""
        rig.ask()
        assert [one["name"] for one in rig.plane.resolved_names()] == ["orders"]
        state = rig.plane.snapshot.services["s"].states[0]  # type: ignore[union-attr]
        rig.plane.apply(rig.plane.snapshot._replace(retired=(state,)))  # type: ignore[union-attr]
        assert rig.plane.resolved_names() == []

    def test_name_stays_forgotten_when_somebody_was_queued(self, tmp_path: Path) -> None:
        """The last requests to an instance that has gone are served; then nobody knows of it."""
        (tmp_path / "hosts").write_text("10.0.0.1 orders\n")
        hosts = str(tmp_path / "hosts")
        entities = plain(address="http://orders:8080")
        narrow = Rig(*entities, upstream_max_connections=1, dns_hosts=hosts)
        first, second = narrow.ask(), narrow.ask()
        assert len(narrow.dials) == 1
        state = narrow.plane.snapshot.services["s"].states[0]  # type: ignore[union-attr]
        state.retired = True
        narrow.plane.apply(narrow.plane.snapshot._replace(retired=(state,)))  # type: ignore[union-attr]
        narrow.accept().deliver(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        narrow.settle()
        narrow.accept().deliver(OK)
        assert status_of(first.sent) == status_of(second.sent) == 200
        assert narrow.plane.resolved_names() == []
        narrow.settle()
        narrow.close()

    def test_refused_address_of_a_name_is_passed_over(self, tmp_path: Path) -> None:
        """Each address is judged, whoever named it; the others are used, and the log says so."""
        lines = ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fe80::1")
        (tmp_path / "hosts").write_text("".join(f"{one} orders\n" for one in lines))
        hosts = str(tmp_path / "hosts")
        rig = Rig(*plain(address="http://orders:8080"), dns_hosts=hosts, upstream_allow=())
        for _ in range(6):
            rig.ask()
        assert set(rig.dials) == {("10.0.0.1", 8080)}
        assert rig.counters()["upstream_addresses_refused"] == 24
        [known] = rig.plane.resolved_names()
        assert sorted(known["refused"]) == sorted({*lines} - {"10.0.0.1"})
        assert known["refused"]["127.0.0.1"].startswith("127.0.0.1 is loopback")
        rig.close()

    def test_so_many_refused_addresses_hide_no_other(self, tmp_path: Path) -> None:
        """They are no tries."""
        lines = [f"127.0.0.{number} orders\n" for number in range(1, 2 * MAX_TRIES)]
        (tmp_path / "hosts").write_text("".join([*lines, "10.0.0.1 orders\n"]))
        hosts = str(tmp_path / "hosts")
        rig = Rig(*plain(address="http://orders:8080"), dns_hosts=hosts, upstream_allow=())
        rig.ask()
        assert rig.dials == [("10.0.0.1", 8080)]
        rig.close()

    def test_name_that_has_refused_addresses_only_is_502(self, tmp_path: Path) -> None:
        """Not its fault, for its health; another instance may have the request."""
        (tmp_path / "hosts").write_text("127.0.0.1 orders\n10.0.0.1 others\n")
        hosts = str(tmp_path / "hosts")
        rig = Rig(*plain(address="http://orders:8080"), dns_hosts=hosts, upstream_allow=())
        client = rig.ask()
        rig.settle()
        assert status_of(client.sent) == ForwardError.ADDRESS_REFUSED.status == 502
        assert b"X-Gateway-Error: address_refused" in client.sent
        assert b"127.0.0.1" not in client.sent
        assert (rig.dials, rig.counters()["upstream_connections_now"]) == ([], 0)
        rig.apply(*plain(instance("j", address="http://others:8080"), address="http://orders:8080"))
        for _ in range(2):
            rig.ask()
            rig.settle()
        assert rig.dials == [("10.0.0.1", 8080)] * 2
        rig.close()

    def test_loop_by_a_name_is_refused(self, tmp_path: Path) -> None:
        """Whatever is allowed; another port of this host is no loop."""
        (tmp_path / "hosts").write_text("127.0.0.1 me\n")
        settings = {"dns_hosts": str(tmp_path / "hosts"), "upstream_own": (("0.0.0.0", 8000),)}
        rig = Rig(*plain(address="http://me:8000"), **settings)
        client = rig.ask()
        rig.settle()
        assert b"X-Gateway-Error: address_refused" in client.sent
        rig.apply(*plain(address="http://me:8001"))
        rig.ask()
        assert rig.dials == [("127.0.0.1", 8001)]
        rig.close()

    def test_address_that_changes_to_a_refused_one_is_not_connected_to(
        self, tmp_path: Path
    ) -> None:
        """Who answers for a name may say another thing each time (DNS rebinding)."""
        (tmp_path / "hosts").write_text("10.0.0.1 orders\n")
        hosts = str(tmp_path / "hosts")
        rig = Rig(*plain(address="http://orders:8080"), dns_hosts=hosts, upstream_allow=())
        rig.ask()
        (tmp_path / "hosts").write_text("169.254.169.254 orders\n")
        rig.advance(10)
        client = rig.ask()
        rig.settle()
        assert rig.dials == [("10.0.0.1", 8080)]
        assert b"X-Gateway-Error: address_refused" in client.sent
        rig.close()

    def test_refused_literal_is_picked_by_nobody(self) -> None:
        """It is no candidate, as if it was in maintenance; alone, it leaves nobody."""
        refused = plain(instance("j", address="http://127.0.0.1:80"), address="http://10.0.0.1:80")
        rig = Rig(*refused, upstream_allow=())
        for _ in range(4):
            rig.ask()
        assert set(rig.dials) == {("10.0.0.1", 80)}
        rig.apply(*plain(address="http://[::ffff:127.0.0.1]:80"))
        client = rig.ask()
        assert status_of(client.sent) == ForwardError.NO_INSTANCE.status == 503
        assert b"X-Gateway-Error: no_instance" in client.sent
        rig.close()

    def test_refused_literal_is_not_dialled_whoever_picks_it(self) -> None:
        """If balancing ever gives it away, the connection is where that ends."""
        rig = Rig(*plain(address="http://10.0.0.1:80"))
        state = rig.plane.snapshot.services["s"].states[0]  # type: ignore[union-attr]
        state.instance = state.instance._replace(refused="somebody says so")
        client = rig.ask()
        rig.settle()
        assert b"X-Gateway-Error: address_refused" in client.sent
        assert (rig.dials, rig.counters()["upstream_connections_now"]) == ([], 0)
        rig.close()

    def test_ip_address_is_not_looked_up(self, rig: Rig) -> None:
        """Nor remembered."""
        rig.apply(*plain(address="http://192.0.2.1:8080"))
        rig.client().deliver(GET)
        assert rig.dials == [("192.0.2.1", 8080)]
        assert rig.plane.resolved_names() == []
        assert rig.counters()["dns_lookups"] == 0
