"""Names of instances: whoever resolves them, and however that fails, nobody else waits."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import Any

from tests.conformance.client import Client, request
from tests.conformance.instance import RecordingInstance
from tests.conformance.scene import Scene
from tests.dataplane.dns_server import Zone, dns_process
from tests.dataplane.processes import forwarding, running_gateway, running_instance
from tests.dataplane.snapshots import Entity, instance, route, service
from tests.support.wait import wait_until

NAMES = 20
PATIENT = 60.0
"""Seconds: longer than anything takes here."""


def named_services(port: int) -> Iterator[Entity]:
    """Services with one instance each, which has a name; ``/n0/…`` leads to the first one."""
    for number in range(NAMES):
        name = f"n{number}"
        yield service(name, connect_timeout=PATIENT)
        yield instance(name, service_id=name, address=f"http://{name}.example:{port}")
        yield route(name, f"/{name}/{{**rest}}", service_id=name)


@contextmanager
def resolving(**settings: Any) -> Iterator[tuple[Scene, subprocess.Popen[str]]]:
    """
    A scene with names beside an IP address, and the DNS server in its process.

    Each request has a connection of its own, so that each has to find its instance.
    """
    recording = RecordingInstance()
    zone: Zone = {f"n{number}.example": {"A": ["127.0.0.1"], "ttl": 1} for number in range(NAMES)}
    settings = {"dns_hosts": "/dev/null", "upstream_max_idle": 0, **settings}
    with running_instance(recording.serve) as address, dns_process(zone) as (process, server):
        entities = forwarding(address, *named_services(int(address.rpartition(":")[2])))
        with running_gateway(*entities, dns_servers=[server], **settings) as gateway:
            yield Scene(gateway, recording), process


@contextmanager
def stopped(process: subprocess.Popen[str]) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: b") T " in Path(f"/proc/{process.pid}/stat").read_bytes())
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def ask(scene: Scene, name: str) -> tuple[int, str]:
    answer = scene.ask(request(target=f"/{name}/x".encode()))
    return answer.status, "" if answer.status == 200 else answer.code


def test_stopped_dns_server_delays_only_who_waits_for_it() -> None:
    """Twenty names are being resolved; instances with IP addresses are connected to as ever."""
    with resolving(dns_timeout=PATIENT) as (scene, process):
        with stopped(process):
            waiting = [scene.gateway.connect() for _ in range(NAMES)]
            for number, one in enumerate(waiting):
                one.sendall(request(target=b"/n%d/x" % number))
            wait_until(lambda: scene.counter("dns_lookups") == NAMES)
            connects = scene.counter("upstream_connects")
            for _ in range(100):
                scene.serves_others()
            assert scene.counter("upstream_connects") == connects + 100
            assert select(waiting, [], [], 0)[0] == []
        for one in waiting:
            with Client(one) as client:
                assert client.answer().status == 200


def test_name_that_nobody_resolves_fails_and_heals() -> None:
    """After two seconds, or what is set; when somebody does, it serves again."""
    with resolving(dns_timeout=0.3) as (scene, process):
        with stopped(process):
            assert ask(scene, "n0") == (502, "resolve_failed")
            assert ask(scene, "n0") == (502, "resolve_failed")
        wait_until(lambda: ask(scene, "n0")[0] == 200, timeout=5)


def test_last_good_address_goes_on_while_nobody_resolves() -> None:
    """A name that has been resolved serves on when its TTL has ended, and nobody waits for it."""
    with resolving(dns_timeout=0.3) as (scene, process):
        assert ask(scene, "n0")[0] == 200
        with stopped(process):

            def is_stale() -> bool:
                assert ask(scene, "n0")[0] == 200
                return (
                    scene.counter("dns_stale_uses") > 3 and scene.counter("dns_lookups_failed") > 1
                )

            wait_until(is_stale)

        def is_fresh() -> bool:
            before = scene.counter("dns_stale_uses")
            assert ask(scene, "n0")[0] == 200
            return scene.counter("dns_stale_uses") == before

        wait_until(is_fresh, timeout=5)
