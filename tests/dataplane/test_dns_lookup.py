"""Lookups that ask real servers over real sockets."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from select import select
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor

from fengling_gateway.dataplane.dns_configuration import ResolverConfiguration, Server
from fengling_gateway.dataplane.dns_lookup import Lookup
from fengling_gateway.dataplane.dns_outcome import Found, Missing, Outcome, Unknown
from fengling_gateway.dataplane.dns_query import RESEND_SECONDS, Servers
from fengling_gateway.dataplane.lean_epoll import LeanEpollReactor
from tests.dataplane.dns_server import DnsServer
from tests.support.wait import wait_until

ORDERS = {"A": ["10.0.0.1", "10.0.0.2"], "AAAA": ["fd00::1"], "ttl": 30}


class Host:
    """A host that looks names up, with a reactor of its own."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.own = {*reactor.getReaders()}
        self.servers = Servers(reactor.seconds)

    def lookup(
        self, name: str, *servers: Server, **configured: Any
    ) -> tuple[Lookup, list[Outcome]]:
        outcomes: list[Outcome] = []
        lookup = Lookup(
            reactor=self.reactor,
            servers=self.servers,
            configuration=ResolverConfiguration(servers, **configured),
            name=name,
            done=outcomes.append,
        )
        lookup.start()
        return lookup, outcomes

    def resolve(self, name: str, *servers: Any, **configured: Any) -> Outcome:
        """What comes of looking a name up."""
        addresses = (getattr(one, "address", one) for one in servers)
        _, outcomes = self.lookup(name, *addresses, **configured)
        self.run_until(lambda: outcomes)
        assert len(outcomes) == 1
        self.is_idle()
        return outcomes[0]

    def run_until(self, condition: Any) -> None:
        def turn() -> Any:
            self.reactor.iterate(0.01)
            return condition()

        wait_until(turn)

    def is_idle(self) -> None:
        """Check that nothing is left of lookups: no socket, no timer."""
        self.run_until(lambda: not self.reactor.getDelayedCalls())
        assert set(self.reactor.getReaders()) <= self.own
        assert not self.reactor.getWriters()


@pytest.fixture(params=[LeanEpollReactor, EPollReactor])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    host = Host(request.param())
    yield host
    for reader in host.reactor.removeAll():
        reader.connectionLost(None)
    host.reactor._poller.close()


def dead_address() -> Server:
    """Where nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        host, port = one.getsockname()
        return host, port


class LookupTests:
    def test_both_kinds_of_addresses_are_found(self, host: Host) -> None:
        """By one question for each."""
        with DnsServer({"orders.example": ORDERS}) as server:
            found = host.resolve("orders.example", server)
            assert found == Found(("10.0.0.1", "10.0.0.2", "fd00::1"), 30.0)
            assert sorted(server.asked) == [("orders.example", "A"), ("orders.example", "AAAA")]

    def test_server_may_have_an_ipv6_address(self, host: Host) -> None:
        """As any other."""
        with DnsServer({"orders": ORDERS}, host="::1") as server:
            assert isinstance(host.resolve("orders", server), Found)

    def test_alias_is_followed(self, host: Host) -> None:
        """Recursive servers answer with all of it."""
        with DnsServer({"orders": {"CNAME": "real.example"}, "real.example": ORDERS}) as server:
            assert isinstance(host.resolve("orders", server), Found)

    def test_search_list_is_tried_in_order(self, host: Host) -> None:
        """Until a name is there; those after it are not asked for."""
        zone = {"orders.b.example": ORDERS, "orders": {"A": ["10.9.9.9"]}}
        with DnsServer(zone) as server:
            search = ("a.example", "b.example", "c.example")
            found = host.resolve("orders", server, search=search)
            assert isinstance(found, Found)
            assert "10.0.0.1" in found.addresses
            assert {name for name, _ in server.asked} == {"orders.a.example", "orders.b.example"}

    def test_name_without_addresses_ends_no_search(self, host: Host) -> None:
        """It is as missing as one that isn't there."""
        with DnsServer({"orders.a": {"ttl": 5}, "orders": ORDERS}) as server:
            assert isinstance(host.resolve("orders", server, search=("a",)), Found)

    def test_error_ends_the_search(self, host: Host) -> None:
        """The next name may be somebody else's host."""
        with DnsServer({"orders.a": {"rcode": "SERVFAIL"}, "orders": ORDERS}) as server:
            outcome = host.resolve("orders", server, search=("a",))
            assert outcome == Unknown("the DNS server answers SERVFAIL")

    def test_missing_name_is_missing(self, host: Host) -> None:
        """When all that it may stand for are."""
        with DnsServer() as server:
            assert host.resolve("orders", server, search=("a", "b")) == Missing(0.0)
            assert len(server.asked) == 6

    def test_name_that_nobody_can_be_asked_for_fails(self, host: Host) -> None:
        """Without asking."""
        with DnsServer() as server:
            assert isinstance(host.resolve("a" * 64, server), Unknown)
            assert server.asked == []

    def test_long_answer_comes_by_tcp(self, host: Host) -> None:
        """When the datagram says that it does not fit."""
        many = [f"10.0.{number // 250}.{number % 250}" for number in range(1000)]
        with DnsServer({"orders": {"A": many}}) as server:
            found = host.resolve("orders", server)
            assert isinstance(found, Found)
            assert list(found.addresses) == many
            assert server.by_stream == ["orders"]

    def test_server_without_tcp_can_not_tell(self, host: Host) -> None:
        """Part of an answer is none."""
        with DnsServer({"orders": {**ORDERS, "long": True}}) as server:
            server.refuse_streams()
            outcome = host.resolve("orders", server)
            assert outcome == Unknown("the DNS server does not answer by TCP")

    def test_other_kind_is_not_waited_for(self, host: Host) -> None:
        """A server that keeps silent about one of them is none the worse for it."""
        with Deaf("AAAA", {"orders": ORDERS}) as server:
            found = Found(("10.0.0.1", "10.0.0.2"), 30.0, is_whole=False)
            assert host.resolve("orders", server) == found
            assert len(server.asked) == 2

    def test_ipv4_is_asked_for_once_more(self, host: Host) -> None:
        """When the question was lost: there may be no way to the IPv6 addresses."""
        with Deaf("A", {"orders": ORDERS}, times=1) as server:
            found = host.resolve("orders", server)
            assert found == Found(("10.0.0.1", "10.0.0.2", "fd00::1"), 30.0)
        with Deaf("A", {"orders": ORDERS}) as server:
            assert host.resolve("orders", server) == Found(("fd00::1",), 30.0, is_whole=False)

    @pytest.mark.parametrize("kind", ["A", "AAAA"])
    def test_missing_name_is_missing_for_both_kinds(self, host: Host, kind: str) -> None:
        """The search goes on although nobody can tell about the other."""
        with Deaf(kind, {"orders.b": ORDERS}) as server:
            assert isinstance(host.resolve("orders", server, search=("a", "b")), Found)


class Deaf(DnsServer):
    """One that says nothing about one kind of addresses, so many times."""

    def __init__(self, kind: str, zone: Any, times: int = 1000) -> None:
        self._kind = kind
        self._times = times
        super().__init__(zone)

    def _answer(self, data: bytes) -> bytes | None:
        answer = super()._answer(data)
        if self.asked[-1][1] != self._kind or not self._times:
            return answer
        self._times -= 1
        return None


class ServersTests:
    def test_dead_server_is_passed_over_at_once(self, host: Host) -> None:
        """The kernel says that nobody is there; a second one of it as well."""
        with DnsServer({"orders": ORDERS}) as server:
            began = host.reactor.seconds()
            assert isinstance(host.resolve("orders", dead_address(), server), Found)
            assert host.reactor.seconds() - began < RESEND_SECONDS

    def test_dead_servers_can_not_tell(self, host: Host) -> None:
        """With the reason."""
        dead = dead_address()
        expected = Unknown("the DNS server 127.0.0.1 can't be asked: Connection refused")
        assert host.resolve("orders", dead) == expected

    @pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "FORMERR"])
    def test_server_that_fails_is_passed_over(self, host: Host, rcode: str) -> None:
        """One of them that knows is enough."""
        with (
            DnsServer({"orders": {"rcode": rcode}}) as failing,
            DnsServer({"orders": ORDERS}) as server,
        ):
            assert isinstance(host.resolve("orders", failing, server), Found)
            assert host.resolve("orders", failing) == Unknown(f"the DNS server answers {rcode}")

    def test_silent_server_is_asked_last_next_time(self, host: Host) -> None:
        """Not every name waits for it."""
        with (
            DnsServer({"orders": {"silent": True}}) as silent,
            DnsServer({"orders": ORDERS, "others": ORDERS}) as server,
        ):
            assert isinstance(host.resolve("orders", silent, server), Found)
            assert isinstance(host.resolve("others", silent, server), Found)
            assert {name for name, _ in silent.asked} == {"orders"}

    def test_lost_question_is_asked_again(self, host: Host) -> None:
        """The one server there is may have had a bad moment."""
        with DnsServer({"orders": {"silent": True}}) as server:
            _, outcomes = host.lookup("orders", server.address)
            host.run_until(lambda: len(server.asked) == 2)
            server.zone["orders"] = ORDERS
            host.run_until(lambda: outcomes)
            assert isinstance(outcomes[0], Found)
            host.is_idle()

    def test_late_answer_counts(self, host: Host) -> None:
        """The first server may be slow and the second dead."""
        with DnsServer({"orders": {"silent": True}}) as first:
            _, outcomes = host.lookup("orders", first.address, dead_address())
            host.run_until(lambda: len(first.asked) >= 4)
            first.zone["orders"] = ORDERS
            host.run_until(lambda: outcomes)
            assert isinstance(outcomes[0], Found)

    def test_answers_to_other_questions_are_passed_over(self, host: Host) -> None:
        """Whoever guesses has one chance in 65,536 and must be the server."""

        class Confused(DnsServer):
            def _answer(self, data: bytes) -> bytes | None:
                answer = super()._answer(data)
                if answer is None or len(self.asked) > 2:
                    return answer
                return bytes([answer[0] ^ 1]) + answer[1:]

        with Confused({"orders": ORDERS}) as server:
            assert isinstance(host.resolve("orders", server), Found)
            assert len(server.asked) > 2

    def test_only_the_server_is_believed(self, host: Host) -> None:
        """Not whoever knows what was asked, and from where."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            _, outcomes = host.lookup("orders", server.getsockname())
            host.run_until(lambda: select([server], [], [], 0)[0])
            with (
                DnsServer({"orders": {"A": ["10.6.6.6"]}}) as liar,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere,
            ):
                for _ in range(2):
                    data, peer = server.recvfrom(512)
                    lie = liar._answer(data)
                    assert lie is not None
                    elsewhere.sendto(lie, peer)
            for _ in range(10):
                host.reactor.iterate(0.01)
            assert outcomes == []
            with DnsServer({"orders": ORDERS}) as honest:
                server.settimeout(5)

                def is_told() -> bool:
                    while select([server], [], [], 0)[0]:
                        data, peer = server.recvfrom(512)
                        server.sendto(honest._answer(data) or b"", peer)
                    return bool(outcomes)

                host.run_until(is_told)
            assert isinstance(outcomes[0], Found)
            assert "10.0.0.1" in outcomes[0].addresses

    def test_numbers_of_questions_are_unforeseeable(self, host: Host) -> None:
        """No two questions in a row have the same, or the next one."""
        numbers: list[int] = []

        class Noting(DnsServer):
            def _answer(self, data: bytes) -> bytes | None:
                numbers.append(int.from_bytes(data[:2], "big"))
                return super()._answer(data)

        with Noting({"orders": ORDERS}) as server:
            for _ in range(10):
                host.resolve("orders", server)
        steps = {after - before for before, after in itertools.pairwise(numbers)}
        assert len(steps) > 15


class CancelTests:
    @pytest.mark.parametrize(
        "record", [{"silent": True}, {**ORDERS, "long": True}, {"rcode": "SERVFAIL"}]
    )
    def test_nothing_is_left_of_a_cancelled_lookup(
        self, host: Host, record: dict[str, Any]
    ) -> None:
        """No socket, no timer, no outcome, whenever it is."""
        with DnsServer({"orders": record}) as server:
            for turns in range(12):
                lookup, outcomes = host.lookup("orders", server.address)
                for _ in range(turns):
                    host.reactor.iterate(0)
                lookup.cancel()
                told = len(outcomes)
                host.is_idle()
                assert len(outcomes) == told

    def test_no_descriptors_is_a_reason(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        """It costs this lookup, and nothing else."""

        def full(*_: Any) -> Any:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr("fengling_gateway.dataplane.dns_query.socket.socket", full)
        outcome = host.resolve("orders", ("127.0.0.1", 53))
        assert outcome == Unknown("the DNS server 127.0.0.1 can't be asked: Too many open files")
