"""Metrics, access log, instances and clients count the same, whatever happens to requests."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fengling_gateway.model.clients import make_key
from tests.integration.gateway import GatewayProcess
from tests.integration.numbers.agreement import differences
from tests.integration.numbers.clients import Clients
from tests.integration.numbers.instance import Connection, Ledger
from tests.integration.numbers.kinds import LIMITED_BODY, Planned, planned
from tests.integration.numbers.said import FIELDS, Line, settled
from tests.integration.world import lines_with

CLIENTS = 48
"""At a time."""

RESTART_SECONDS = 600
"""For a third of the requests, and then for a rolling restart; both far more than they take."""

EXPECTED = {
    *("no_route", "connect_failed", "first_byte_timeout", "total_timeout", "no_response"),
    *("response_too_short", "response_idle_timeout", "malformed_response", "rate_limited"),
    *("unauthorized", "invalid_token", "client_gone", "client_gone_in_response", "no_instance"),
    *("malformed_request", "malformed_request_body", "body_too_large", "invalid_host"),
}
"""Errors that there are in the end, else the requests were not as mixed as they should be."""


@pytest.fixture
def dead() -> Iterator[str]:
    """Return an address at which connections are refused, and which nobody else gets."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def configuration(a: str, b: str, dead: str, digest: str) -> dict[str, Any]:
    def service(name: str, **instances: str) -> dict[str, Any]:
        listed = [{"id": key, "address": address} for key, address in instances.items()]
        return {"id": name, "policies": {"ejection": None}, "instances": listed}

    def route(name: str, path: str, service: str = "main", **policies: Any) -> dict[str, Any]:
        return {"id": name, "path": path, "service_id": service, "policies": policies}

    keyed = {"mode": "required", "methods": ["api_key"]}
    limited = {"rate_limit": {"rate": "5/s", "key": "all"}}
    slow = {"first_byte": "200ms", "idle": "200ms"}
    hello = {"respond": {"status": 200, "body": "hello"}}
    return {
        "clients": {"batch": {}},
        "api_keys": {"first": {"client_id": "batch", "digest": digest}},
        "services": [
            service("main", **{"main-a": a, "main-b": b}),
            service("other", **{"other-a": a}),
            service("half", **{"half-dead": dead, "half-b": b}),
            service("gone", **{"gone-dead": dead}),
            service("none"),
        ],
        "routes": [
            route("d", "/d/{**rest}", upgrade={"protocols": ["echo"]}),
            route("tunnel", "/tunnel", upgrade={"protocols": ["echo"]}),
            route("slow", "/slow", timeouts=slow),
            route("total", "/slow/total", timeouts={"total": "200ms"}),
            route("half", "/half", "half"),
            route("dead", "/dead", "gone"),
            route("none", "/none", "none"),
            route("small", "/small", limits={"max_request_body": LIMITED_BODY}),
            route("private", "/private", auth=keyed),
            route("limited", "/limited", **limited),
            {**hello, "id": "limited-own", "path": "/limited/own", "policies": limited},
            {"id": "hello", "path": "/hello", **hello},
            {"id": "empty", "path": "/empty", "respond": {"status": 204}},
            {"id": "old", "path": "/old", "redirect": {"status": 308, "location": "http://x/"}},
            {"id": "split", "path": "/split", "split": {"main": 50, "other": 50}},
        ],
    }


async def _load(
    gateway: GatewayProcess, clients: Clients, plans: Iterator[Planned], number: int
) -> None:
    """Make so many requests, or more, until workers have been replaced in the middle of it."""
    is_replaced = asyncio.Event()

    def wanted() -> Iterator[Planned]:
        while clients.done < number or not is_replaced.is_set():
            yield next(plans)

    async def replace() -> None:
        await _until(lambda: clients.done > number // 3)
        gateway.signal(signal.SIGUSR2)
        await _until(lambda: bool(lines_with(gateway, "rolling restart is complete")))
        await _until(lambda: len(lines_with(gateway, "has drained: exit status 0")) == 2)
        is_replaced.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(replace())
        requests = wanted()
        for _ in range(CLIENTS):
            tasks.create_task(clients.work_off(requests))


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(RESTART_SECONDS):
        while not condition():  # noqa: ASYNC110  (nobody tells of it)
            await asyncio.sleep(0.02)


async def _run(
    gateways: Callable[..., GatewayProcess], path: Path, dead: str, number: int
) -> list[str]:
    """Return what does not agree."""
    loop, ledger = asyncio.get_running_loop(), Ledger()
    key, digest = make_key("first", secrets.token_bytes)
    async with AsyncExitStack() as stack:

        async def instance() -> str:
            server = await loop.create_server(lambda: Connection(ledger), "127.0.0.1", 0)
            stack.callback(server.close)
            return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

        document = configuration(await instance(), await instance(), dead, digest)
        (path / "routes.json").write_text(json.dumps(document))
        log = {"path": str(path / "access.log"), "fields": list(FIELDS)}
        settings = {"file": {"path": str(path / "routes.json")}, "access_log": log}
        gateway = gateways(source="file", settings={**settings, "drain": {"deadline": "15s"}})
        await asyncio.to_thread(gateway.wait_ready)
        stack.push_async_callback(ledger.close)
        clients = Clients(gateway.port, ledger)
        await _load(gateway, clients, planned(Random(number), key), number)
        # (Some whom clients have left still wait for their instance.)
        metrics, lines = await asyncio.to_thread(settled, gateway, path / "access.log", clients)
    print(_summary(lines, clients))
    assert len(lines) >= number
    assert not EXPECTED - {one["error"] for one in lines}
    return differences(metrics, lines, ledger, clients)


@pytest.mark.parametrize(
    "number",
    [
        2000,
        pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
def test_all_who_count_count_the_same(
    gateways: Callable[..., GatewayProcess], tmp_path: Path, dead: str, number: int
) -> None:
    """By route, service, status and error; attempts, bytes, and what clients had in the end."""
    found = asyncio.run(_run(gateways, tmp_path, dead, number))
    assert not found, "\n".join([f"{len(found)} differences", *found[:40]])


def _summary(lines: list[Line], clients: Clients) -> str:
    by_error = Counter(one["error"] or str(one["status"]) for one in lines)
    again, connections = len(clients.unserved), clients.connections
    return f"{len(lines)} lines, {connections} connections, {again} sent again, {dict(by_error)}"
