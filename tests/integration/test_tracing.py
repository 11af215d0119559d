"""Traces of a running gateway, as a collector gets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway import GatewayProcess
from tests.support import otlp_receiver as receivers
from tests.support.otlp_receiver import OtlpReceiver, Received
from tests.support.wait import wait_until


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """Return a collector that takes everything."""
    receiver = OtlpReceiver()
    yield receiver
    receiver.stop()


def traced(file_settings: dict[str, Any], receiver: OtlpReceiver, **tracing: Any) -> dict[str, Any]:
    """Return the settings of a gateway that sends its traces there."""
    values = {"endpoint": receiver.address, "batch_interval": "100ms", "timeout": "2s", **tracing}
    return {**file_settings, "settings": {**file_settings["settings"], "tracing": values}}


def revisions(receiver: OtlpReceiver) -> list[Received]:
    return receiver.named("config revision")


@pytest.mark.parametrize("workers", [1, 2])
def test_revision_is_followed_into_every_worker(
    workers: int,
    gateways: Callable[..., GatewayProcess],
    file_settings: dict[str, Any],
    receiver: OtlpReceiver,
) -> None:
    """One trace: found, published, applied."""
    settings = traced(file_settings, receiver, headers="x-key=a%20b", service_name="edge")
    gateway = gateways(**settings, worker_count=workers)
    gateway.wait_ready()
    wait_until(lambda: len(receiver.named("config apply")) >= workers)
    before = len(revisions(receiver))
    path = Path(file_settings["settings"]["file"]["path"])
    path.write_text(path.read_text().replace("/hello", "/hallo"))
    wait_until(lambda: len(revisions(receiver)) > before)
    root = revisions(receiver)[-1]
    wait_until(lambda: len(_applied(receiver, root)) == workers)
    steps = [one for one in receiver.spans if one.parent_id == root.span_id]
    assert {one.trace_id for one in steps} == {root.trace_id}
    names = sorted(one.name for one in steps)
    assert names == ["config apply"] * workers + ["config load", "config publish"]
    assert root.attributes["fengling.workers"] == workers
    assert root.attributes["fengling.changes"] == 1
    assert root.resource["service.name"] == "edge"
    assert root.resource["service.instance.id"] == gateway.node
    assert len({one.resource["service.instance.id"] for one in _applied(receiver, root)}) == workers
    assert root.start <= min(one.start for one in steps)
    assert root.end >= max(one.end for one in steps)
    assert all(one["x-key"] == "a b" for one in receiver.requests)


def _applied(receiver: OtlpReceiver, root: Received) -> list[Received]:
    return [one for one in receiver.named("config apply") if one.parent_id == root.span_id]


def test_collector_that_is_away_is_no_trouble(
    gateways: Callable[..., GatewayProcess], file_settings: dict[str, Any], receiver: OtlpReceiver
) -> None:
    """It is told once, requests are served, and what waits is sent when it is back."""
    receiver.answers = [receivers.says(503), receivers.breaks_off]
    gateway = gateways(**traced(file_settings, receiver))
    gateway.wait_ready()
    assert gateway.get("/hello")[0] == 200
    wait_until(lambda: len(revisions(receiver)) == 1)
    assert "answers 503; it is tried again" in gateway.log
    assert gateway.stop() == 0


def test_silent_collector_does_not_hold_up_a_stop(
    gateways: Callable[..., GatewayProcess], file_settings: dict[str, Any], receiver: OtlpReceiver
) -> None:
    """What it was not told in time is lost."""
    receiver.answer = receivers.says_nothing
    gateway = gateways(**traced(file_settings, receiver))
    gateway.wait_ready()
    wait_until(lambda: bool(receiver.requests))
    assert gateway.get("/hello")[0] == 200
    assert gateway.stop() == 0
    assert receiver.spans == []


def test_rest_is_sent_at_a_stop(
    gateways: Callable[..., GatewayProcess], file_settings: dict[str, Any], receiver: OtlpReceiver
) -> None:
    """Before the process ends."""
    gateway = gateways(**traced(file_settings, receiver, batch_interval="60s"))
    gateway.wait_ready()
    assert receiver.requests == []
    assert gateway.stop() == 0
    assert len(revisions(receiver)) == 1
