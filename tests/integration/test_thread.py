"""
The thread through everything.

SQL UPDATE → trigger → LISTEN → delta → announcement on Redis → worker
processes → proxied answers.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

import pytest

from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.conftest import Sql
from tests.integration.gateway import GatewayProcess, Load, Upstream
from tests.support.wait import wait_until


@pytest.mark.parametrize("with_redis", [False, True], ids=["redis-off", "redis-on"])
class ThreadTests:
    """A change in SQL is served by every worker process."""

    def test_sql_update_is_served_by_every_worker_and_survives_a_killed_one(
        self,
        with_redis: bool,
        sql: Sql,
        valkey: ValkeyServer,
        gateways: Callable[..., GatewayProcess],
        upstreams: Callable[[str], Upstream],
    ) -> None:
        """An UPDATE moves a route to another service, in every worker, also in one that is new."""
        sql.add_service("v1", upstreams("v1").address)
        sql.add_service("v2", upstreams("v2").address)
        sql.add_route("hello", "/hello/{**rest}", "v1")
        gateway = gateways(database=sql.dsn, redis=valkey.url if with_redis else None)
        gateway.wait_ready()
        assert _answers(gateway) == {"v1"}

        with Load(gateway.port, "/hello/load").running() as load:
            sql.run("UPDATE fengling.route SET service_id = 'v2' WHERE id = 'hello'")
            revision = sql.revision
            wait_until(lambda: gateway.served_by_every_worker(revision))
            assert _answers(gateway) == {"v2"}

            killed = gateway.worker_pids()[0]
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda: killed not in gateway.worker_pids())
            wait_until(lambda: gateway.served_by_every_worker(revision))
            load.wait_for(100)
            sql.run("UPDATE fengling.route SET service_id = 'v1' WHERE id = 'hello'")
            wait_until(lambda: gateway.served_by_every_worker(sql.revision))
            assert _answers(gateway) == {"v1"}

        assert load.refused == []
        # The one in flight on each of the killed worker's connections may fail.
        assert len(load.failed) <= load.threads, load.failed
        assert gateway.stop() == 0


def _answers(gateway: GatewayProcess) -> set[str]:
    """Return who answers, over enough connections to have met both workers."""
    workers: set[str] = set()
    names: set[str] = set()
    for _ in range(200):
        status, headers, body = gateway.fetch("/hello/x")
        assert status == 200, (status, body, gateway.log)
        names.add(json.loads(body)["name"])
        workers.add(headers["x-gateway-worker"])
        if len(workers) == gateway.worker_count:
            break
    assert len(workers) == gateway.worker_count
    return names
