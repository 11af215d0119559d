"""Where the gateway connects to for instances, whatever configuration and DNS servers say."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, Rejected, validate
from tests.conformance.client import Answer, request
from tests.conformance.instance import RecordingInstance
from tests.conformance.scene import Scene
from tests.dataplane.dns_server import DnsServer
from tests.dataplane.processes import forwarding, running_gateway, running_instance
from tests.dataplane.snapshots import Entity, instance, route, service
from tests.support.wait import wait_until

ALLOWED = "127.0.0.1"
PRIVATE = "127.0.0.2"
"""Where something listens that is nobody's business, as it would on loopback."""

LITERALS = {
    "plain": "127.0.0.2",
    "mapped": "[::ffff:127.0.0.2]",
    "hexadecimal": "[::ffff:7f00:2]",
    "compatible": "[::7f00:2]",
    "six-to-four": "[2002:7f00:2::1]",
    "nat64": "[64:ff9b::127.0.0.2]",
    "metadata": "169.254.169.254",
    "metadata-six": "[fd00:ec2::254]",
    "link-local": "[fe80::1]",
    "loopback-six": "[::1]",
    "unspecified": "0.0.0.0",
    "unspecified-six": "[::]",
    "multicast": "224.0.0.1",
}
NAMES = {
    "loopback.example": {"A": [PRIVATE]},
    "mapped.example": {"AAAA": ["::ffff:127.0.0.2"]},
    "metadata.example": {"A": ["169.254.169.254"], "AAAA": ["fd00:ec2::254"]},
    "alias.example": {"CNAME": "loopback.example"},
    "host.example": {"A": ["0.0.0.0"], "AAAA": ["::"]},
}
"""What anybody may have his own name servers answer."""


@dataclass
class Guarded:
    """A scene that allows one address, a listener at another, and a DNS server."""

    scene: Scene
    private: socket.socket
    dns: DnsServer

    def ask(self, target: str) -> Answer:
        return self.scene.ask(request(target=target.encode()))

    def nobody_was_reached(self) -> None:
        """Check that what listens in private, and the instance itself, have heard nothing."""
        with pytest.raises(BlockingIOError):
            self.private.accept()
        assert self.scene.instance.requests == []


def leading_to(name: str, address: str) -> Iterator[Entity]:
    yield service(name)
    yield instance(name, service_id=name, address=address)
    yield route(name, f"/{name}/{{**rest}}", service_id=name)


@pytest.fixture(scope="module")
def _guarded() -> Iterator[Guarded]:
    recording = RecordingInstance()
    with (
        socket.create_server((PRIVATE, 0)) as private,
        DnsServer({**NAMES, "moves.example": {"A": [ALLOWED], "ttl": 1}}) as dns,
        running_instance(recording.serve) as own,
    ):
        private.setblocking(False)
        port, own_port = private.getsockname()[1], int(own.rpartition(":")[2])
        ports = {"unspecified": own_port, "unspecified-six": own_port}
        entities = [
            entity
            for name, host in LITERALS.items()
            for entity in leading_to(name, f"http://{host}:{ports.get(name, port)}")
        ]
        for name in NAMES:
            entities += leading_to(name, f"http://{name}:{port}")
        entities += leading_to("moves", f"http://moves.example:{own_port}")
        entities += leading_to("mixed", f"http://127.0.0.2:{port}")
        entities.append(instance("good", service_id="mixed", address=own))
        settings = {"dns_servers": [dns.address], "dns_hosts": "/dev/null", "upstream_max_idle": 0}
        with running_gateway(
            *forwarding(own, *entities), upstream_allow=[ALLOWED], **settings
        ) as gateway:
            yield Guarded(Scene(gateway, recording), private, dns)


@pytest.fixture
def guarded(_guarded: Guarded) -> Iterator[Guarded]:
    _guarded.scene.instance.begin()
    yield _guarded
    _guarded.scene.is_clean()


@pytest.mark.parametrize("name", LITERALS)
def test_refused_address_is_no_instance(guarded: Guarded, name: str) -> None:
    """However it is written: nothing is sent there, and the answer names nothing."""
    answer = guarded.ask(f"/{name}/x")
    assert (answer.status, answer.code) == (503, "no_instance")
    guarded.nobody_was_reached()


def test_service_goes_on_without_refused_instances(guarded: Guarded) -> None:
    """They are left out, and cost no request."""
    assert {guarded.ask("/mixed/x").status for _ in range(8)} == {200}
    with pytest.raises(BlockingIOError):
        guarded.private.accept()


@pytest.mark.parametrize("name", NAMES)
def test_name_is_judged_by_its_addresses(guarded: Guarded, name: str) -> None:
    """After it is resolved, each; who answers for a name decides nothing."""
    answer = guarded.ask(f"/{name}/x")
    assert (answer.status, answer.code) == (502, "address_refused")
    assert b"127.0" not in answer.body
    assert b"example" not in answer.body
    guarded.nobody_was_reached()


def test_name_is_judged_each_time(guarded: Guarded) -> None:
    """What was harmless when it was looked up first may be another address later (DNS rebinding)."""
    assert guarded.ask("/moves/x").status == 200
    guarded.dns.zone["moves.example"] = {"A": [PRIVATE], "ttl": 1}

    def is_refused() -> bool:
        return guarded.ask("/moves/x").status == 502

    wait_until(is_refused)
    assert guarded.ask("/moves/x").code == "address_refused"
    with pytest.raises(BlockingIOError):
        guarded.private.accept()


def test_refusals_are_counted_and_logged(guarded: Guarded) -> None:
    """The log has the address, which no client gets."""
    guarded.ask("/loopback.example/x")
    assert guarded.scene.counter("upstream_addresses_refused") > 0
    assert guarded.scene.failures("address_refused") > 0
    said = "loopback.example has an address that is not connected to: 127.0.0.2 is loopback"
    wait_until(lambda: any(said in line for line in guarded.scene.gateway.logged))


@pytest.mark.parametrize(
    "address",
    [
        *("file:///etc/passwd", "unix:/run/docker.sock", "unix:///run/docker.sock", "gopher://a:1"),
        *("ftp://a", "http://", "http:///x", "//169.254.169.254", "http+unix://%2Frun%2Fx"),
        *("http://0x7f.1", "http://2130706433", "http://127.1", "http://0177.0.0.1", "http://0"),
        *("http://0x7f000001:80", "http://[::ffff:127.1]", "http://[fe80::1%25eth0]"),
        *("http://a@169.254.169.254", "http://10.0.0.1#@169.254.169.254", "http://a\\@b"),
        *("http://10.0.0.1:80:80", "http://10.0.0.1/../x", "http://10.0.0.1?x", "http://a b"),
    ],
)
def test_address_is_http_to_one_host(address: str) -> None:
    """Other schemes, odd spellings of addresses, and more than a host and a port are rejected."""
    verdict = validate(Key("instance", "i"), {"service_id": "s", "address": address})
    assert isinstance(verdict, Rejected)
    assert {one.code for one in verdict.problems} <= {"bad_address", "bad_host"}


@pytest.mark.parametrize(
    ("address", "canonical"),
    [
        ("http://[::FFFF:127.0.0.1]", "http://[::ffff:7f00:1]:80"),
        ("http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080"),
        ("http://\uff11\uff12\uff17.0.0.1", None),
        ("HTTP://LOCALHOST.:80", "http://localhost:80"),
    ],
)
def test_address_has_one_spelling(address: str, canonical: str | None) -> None:
    """That is what is judged, and what is connected to."""
    verdict = validate(Key("instance", "i"), {"service_id": "s", "address": address})
    found = json.loads(verdict.body)["address"] if isinstance(verdict, Accepted) else None
    assert found == canonical
