"""Gigabytes pass byte for byte through little memory, and peers that stall hold little of it."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.bulk import Bulk, Check, Peer, running_bulk
from tests.dataplane.snapshots import Entity, route, service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MIB = 1 << 20
GIB = 1 << 30
UNLIMITED = route(policies={"limits": {"max_request_body": None}})

FAST = {"transports": "fast", "reactor": "lean"}
STOCK = {"transports": "stock", "reactor": "stock"}
KINDS = pytest.mark.parametrize(
    ("kinds", "has_tls"),
    [(FAST, False), (STOCK, False), (FAST, True)],
    ids=["fast", "stock", "TLS"],
)


@contextmanager
def scene(directory: Path | None, *more: Entity, **settings: Any) -> Iterator[Bulk]:
    """A gateway that has what it needs for bodies of any size, and afterwards nothing else."""
    with running_bulk(
        UNLIMITED, *more, directory=directory, upstream_idle_timeout=1.0, **settings
    ) as bulk:
        for way in ("down", "up"):
            for framing in ("length", "chunked"):
                assert bulk.exchange(way, framing, 64 * MIB) == 64 * MIB
        nothing_is_left(bulk)
        descriptors = bulk.gateway.descriptors()
        yield bulk
        nothing_is_left(bulk)
        assert bulk.gateway.descriptors() == descriptors


def nothing_is_left(bulk: Bulk) -> None:
    for name in ("in_flight_now", "connections_now", "upstream_connections_now"):
        bulk.when(name, 0)


@KINDS
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("way", ["down", "up"])
def test_five_gigabytes_arrive_byte_for_byte(
    tmp_path: Path, way: str, framing: str, kinds: dict[str, Any], has_tls: bool
) -> None:
    """Either way, and all the while the gateway takes no more memory than for much less."""
    with scene(tmp_path if has_tls else None, **kinds) as bulk:
        before = bulk.gateway.ask()["peak_rss"]
        assert bulk.exchange(way, framing, 5 * GIB) == 5 * GIB
        assert bulk.gateway.ask()["peak_rss"] - before <= MIB


@KINDS
def test_client_that_stalls_in_a_gigabyte_gets_every_byte(
    tmp_path: Path, kinds: dict[str, Any], has_tls: bool
) -> None:
    """At its beginning, in the middle and near its end; what is held for it is within the bounds."""
    bound = 256 * 1024
    with scene(tmp_path if has_tls else None, service(idle_timeout=600), **kinds) as bulk:
        before = bulk.gateway.ask()["peak_rss"]
        client, check = bulk.connect(), Check()
        client.download(GIB)
        client.answered()
        for length in (GIB // 2, GIB // 2 - MIB, MIB):
            bulk.when_still("upstream_bytes_received")
            state = bulk.gateway.ask()
            assert state["buffered"] <= bound
            assert state["counters"]["in_flight_now"] == 1 or length == MIB
            client.part(length, check)
        assert check.right == GIB
        # Bodies have passed before; what is new is a connection, and what the heap makes of it.
        assert bulk.gateway.ask()["peak_rss"] - before <= bound + MIB
        client.close()


# A thousand at once

EACH = 500
LARGE = 8 * MIB
PATIENT = service(idle_timeout=600, first_byte_timeout=600, connect_timeout=60)
IMPATIENT = service(idle_timeout=5, first_byte_timeout=5, connect_timeout=60)
MANY: dict[str, Any] = {"upstream_max_connections": 3 * EACH, "header_deadline": 120.0}
TLS = pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "TLS"])


@pytest.fixture
def room() -> Iterator[None]:
    """Descriptors for both ends of all connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10 * EACH
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"{hard} descriptors are too few")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Stalled:
    """Readers that have asked and read nothing, and uploaders whom the instance does not read."""

    def __init__(self, bulk: Bulk) -> None:
        bulk.instance.may_read.clear()
        self.readers = [bulk.connect() for _ in range(EACH)]
        for reader in self.readers:
            reader.download(LARGE)
        self.uploaders = [bulk.connect() for _ in range(EACH)]
        self._threads = [
            threading.Thread(target=self._upload, args=(one,), daemon=True)
            for one in self.uploaders
        ]
        for thread in self._threads:
            thread.start()

    def _upload(self, uploader: Peer) -> None:
        try:
            uploader.upload(LARGE)
        except OSError:
            pass  # cut off

    def go_on(self, bulk: Bulk) -> None:
        """Let all be read."""
        bulk.instance.may_read.set()
        assert [one.uploaded() for one in self.uploaders] == [LARGE] * EACH
        assert [one.downloaded() for one in self.readers] == [LARGE] * EACH

    def close(self) -> None:
        for thread in self._threads:
            thread.join(60)
        for one in (*self.readers, *self.uploaders):
            one.close()


def serves_others(bulk: Bulk) -> None:
    """Check that clients beside them are served, each on a connection of its own, and on one."""
    for _ in range(20):
        assert bulk.exchange("down", "length", 10_000) == 10_000
    client = bulk.connect()
    for _ in range(200):
        client.download(10_000)
        assert client.downloaded() == 10_000
    client.close()


@TLS
def test_thousand_peers_that_stall_hold_little_and_go_on(
    tmp_path: Path, room: None, has_tls: bool
) -> None:
    """
    500 readers and 500 uploaders at once hold at most 150 MB, and nobody else waits for them.

    When they go on, every byte arrives, and nothing is left.
    """
    with scene(tmp_path if has_tls else None, PATIENT, **MANY) as bulk:
        before = bulk.gateway.ask()["rss"]
        stalled = Stalled(bulk)
        bulk.when("in_flight_now", 2 * EACH)
        assert bulk.when_still("upstream_bytes_received") < EACH * LARGE / 2
        assert bulk.when_still("bytes_received") < EACH * LARGE / 2
        serves_others(bulk)
        assert bulk.counter("in_flight_now") == 2 * EACH
        assert bulk.gateway.ask()["rss"] - before <= 150_000_000
        stalled.go_on(bulk)
        assert bulk.failures() == {}
        stalled.close()


@TLS
def test_thousand_peers_that_stall_are_ended_in_time(
    tmp_path: Path, room: None, has_tls: bool
) -> None:
    """The same, who stall for longer than they may: nothing is left of them while they stall on."""
    with scene(tmp_path if has_tls else None, IMPATIENT, **MANY) as bulk:
        before = bulk.gateway.ask()["peak_rss"]
        stalled = Stalled(bulk)
        serves_others(bulk)
        bulk.when("in_flight_now", 0)
        bulk.when("connections_now", 0)
        assert bulk.failures() == {"response_send_timeout": EACH, "request_send_timeout": EACH}
        assert bulk.gateway.ask()["peak_rss"] - before <= 150_000_000
        bulk.instance.may_read.set()
        serves_others(bulk)
        stalled.close()
