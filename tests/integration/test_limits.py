"""Limits in real gateways of two workers, with a Redis that dies, hangs and comes back."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.gateway import GatewayProcess, Upstream
from tests.integration.world import metrics, wait_for_line
from tests.support.wait import wait_until

Answer = tuple[int, dict[str, str], bytes]


class Client:
    """A connection that is kept, hence to one worker."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
        self.worker = self.get("/free")[1]["x-gateway-worker"]

    def get(self, path: str) -> Answer:
        self._connection.request("GET", path, headers={"Host": "test"})
        return self.answer()

    def begin_upload(self, path: str) -> None:
        self._connection.putrequest("POST", path)
        self._connection.putheader("Content-Length", "4")
        self._connection.endheaders(b"ab")

    def end_upload(self) -> Answer:
        self._connection.send(b"cd")
        return self.answer()

    def answer(self) -> Answer:
        response = self._connection.getresponse()
        body = response.read()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, body

    def allowed(self, path: str, count: int) -> int:
        """Ask so many times; return how many were let in, the others being denied."""
        statuses = [self.get(path)[0] for _ in range(count)]
        assert set(statuses) <= {200, 429}, statuses
        return statuses.count(200)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def one_for_each_worker(gateway: GatewayProcess) -> Iterator[tuple[Client, Client]]:
    with ExitStack() as stack:
        found: dict[str, Client] = {}
        while len(found) < 2:
            client = Client(gateway)
            stack.callback(client.close)
            found.setdefault(client.worker, client)
        yield found["w0"], found["w1"]


def route(name: str, **policies: Any) -> dict[str, Any]:
    respond = {"status": 200, "body": "hi"}
    return {"id": name, "path": f"/{name}", "respond": respond, "policies": policies}


def start(
    gateways: Callable[..., GatewayProcess], path: Path, *routes: Any, **settings: Any
) -> GatewayProcess:
    """Start a gateway of two workers with these routes, and one that is free for all."""
    path.write_text(json.dumps({"routes": [route("free"), *routes]}))
    gateway = gateways(source="file", settings={"file": {"path": str(path)}}, **settings)
    gateway.wait_ready()
    return gateway


def global_limit(**terms: Any) -> dict[str, Any]:
    return {"rate": "40/h", "where": "global", **terms}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "routes.yaml"


def test_a_local_limit_is_shared_out_to_the_workers(
    gateways: Callable[..., GatewayProcess], config: Path
) -> None:
    """One connection gets half of it, and is told so."""
    gateway = start(gateways, config, route("few", rate_limit={"rate": "10/h"}))
    with one_for_each_worker(gateway) as (one, two):
        assert one.allowed("/few", 20) == 5
        assert two.allowed("/few", 20) == 5
        status, headers, body = one.get("/few")
    assert (status, json.loads(body)["code"]) == (429, "rate_limited")
    assert headers["ratelimit-policy"] == '"client_ip";q=10;w=3600'
    assert headers["ratelimit"].startswith('"client_ip";r=0;t=')
    assert 600 < int(headers["retry-after"]) <= 720


def test_workers_of_two_gateways_share_a_global_limit(
    gateways: Callable[..., GatewayProcess], config: Path, valkey: ValkeyServer
) -> None:
    """What one has let in, all others know a moment later."""
    few = route("few", rate_limit=global_limit())
    first = start(gateways, config, few, redis=valkey.url)
    second = start(gateways, config, few, redis=valkey.url)
    with one_for_each_worker(first) as (one, two), one_for_each_worker(second) as (three, four):
        others = (two, three, four)
        assert one.allowed("/few", 60) == 40
        # Each learns of it when it tells of what it has let in itself.
        late = [client.allowed("/few", 1) for client in others]
        wait_until(lambda: all(client.get("/few")[0] == 429 for client in others))
        assert late == [1, 1, 1]
        assert int(two.get("/few")[1]["retry-after"]) > 90
        counters = metrics(first)
    assert counters["fengling_limit_told_requests_total"] >= 41
    assert counters['fengling_limit_alone{worker="w0"}'] == 0


def test_redis_that_dies_leaves_what_the_policies_say(
    gateways: Callable[..., GatewayProcess], config: Path, own_valkey: ValkeyServer
) -> None:
    """The share of a worker, everybody, or nobody; and all together again when it is back."""
    gateway = start(
        gateways,
        config,
        route("share", rate_limit=global_limit()),
        route("all", rate_limit=global_limit(on_redis_failure="allow")),
        route("none", rate_limit=global_limit(on_redis_failure="deny")),
        redis=own_valkey.url,
    )
    with one_for_each_worker(gateway) as (one, two):
        paths = ("/share", "/all", "/none")
        assert [one.allowed(path, 41) for path in paths] == [40, 40, 40]
        own_valkey.kill()
        # It is noticed when there is something to tell.
        wait_until(lambda: two.get("/none")[0] == 503)
        status, _, body = two.get("/none")
        assert (status, json.loads(body)["code"]) == (503, "limit_unavailable")
        assert two.allowed("/all", 100) == 100
        assert two.allowed("/share", 100) <= 20
        assert two.allowed("/share", 1) == 0
        wait_for_line(gateway, "limits: Redis has not answered for 1 s")
        assert metrics(gateway)['fengling_limit_alone{worker="w1"}'] == 1
        own_valkey.start()
        wait_until(lambda: two.get("/none")[0] != 503)
        wait_for_line(gateway, "limits: all workers count together again")


def test_redis_that_hangs_holds_up_no_request(
    gateways: Callable[..., GatewayProcess], config: Path, own_valkey: ValkeyServer
) -> None:
    """Answers come as fast as ever: no request waits for it."""
    gateway = start(
        gateways, config, route("few", rate_limit=global_limit(rate="1000/s")), redis=own_valkey.url
    )
    with one_for_each_worker(gateway) as (one, two):
        one.get("/few")
        wait_until(lambda: metrics(gateway)["fengling_limit_told_requests_total"] >= 1)
        assert own_valkey.pid is not None
        os.kill(own_valkey.pid, signal.SIGSTOP)
        try:
            # The client's own time-out is 10 s, the connection's to Redis 2 s.
            wait_until(lambda: one.get("/few") and "has not answered for 1 s" in gateway.log)
            statuses = {client.get("/few")[0] for client in (one, two) for _ in range(50)}
        finally:
            os.kill(own_valkey.pid, signal.SIGCONT)
        assert statuses == {200}
        wait_for_line(gateway, "limits: all workers count together again")


def test_a_global_limit_without_redis_does_what_it_does_on_failure(
    gateways: Callable[..., GatewayProcess], config: Path
) -> None:
    """From the first request on."""
    gateway = start(
        gateways,
        config,
        route("share", rate_limit=global_limit()),
        route("none", rate_limit=global_limit(on_redis_failure="deny")),
    )
    with one_for_each_worker(gateway) as (one, _):
        assert one.allowed("/share", 50) == 20
        assert one.get("/none")[0] == 503


def test_requests_at_a_time_are_counted_until_they_are_over(
    gateways: Callable[..., GatewayProcess],
    config: Path,
    upstreams: Callable[[str], Upstream],
) -> None:
    """However they end; then others may come."""
    upstream = upstreams("v1")

    def begin_upload(client: Client) -> None:
        """Have one under way, before others can be."""
        before = upstream.begun["/busy"]
        client.begin_upload("/busy")
        wait_until(lambda: upstream.begun["/busy"] > before)

    config.write_text(
        json.dumps(
            {
                "services": [{"id": "v1", "instances": [{"id": "a", "address": upstream.address}]}],
                "routes": [
                    route("free"),
                    {
                        "id": "busy",
                        "path": "/busy",
                        "service_id": "v1",
                        "policies": {"concurrency": {"limit": 2, "key": "all"}},
                    },
                ],
            }
        )
    )
    gateway = gateways(source="file", settings={"file": {"path": str(config)}})
    gateway.wait_ready()
    with one_for_each_worker(gateway) as (one, two), one_for_each_worker(gateway) as (again, _):
        for _ in range(3):
            begin_upload(one)
            wait_until(lambda: again.get("/busy")[0] == 429)
            _, headers, body = again.get("/busy")
            assert json.loads(body)["code"] == "too_many_at_once"
            assert int(headers["retry-after"]) >= 1
            assert two.get("/busy")[0] == 200
            assert one.end_upload()[0] == 200
            assert again.get("/busy")[0] == 200
        begin_upload(one)
        wait_until(lambda: again.get("/busy")[0] == 429)
        one.close()
        wait_until(lambda: again.get("/busy")[0] == 200)
