"""What workers have counted when they are replaced."""

from __future__ import annotations

import http.client
import signal
from collections.abc import Callable

from tests.integration.conftest import Sql
from tests.integration.gateway import GatewayProcess
from tests.integration.world import lines_with, metrics
from tests.support.wait import wait_until

ROUTES = 1900
"""Fewer than have series of their own; with names as long as these, more than a socket takes at once."""


def test_worker_takes_no_count_along_however_many_there_are(
    gateways: Callable[..., GatewayProcess], sql: Sql
) -> None:
    """It ends when its supervisor has all of them, and not before."""
    sql.run(
        "INSERT INTO fengling.route (id, path, respond)"
        " SELECT 'r' || lpad(i::text, 99, '0'), '/' || i, '{\"status\": 204}'"
        " FROM generate_series(1, %s) i",
        ROUTES,
    )
    gateway = gateways(database=sql.dsn)
    gateway.wait_ready()
    wait_until(lambda: gateway.served_by_every_worker(sql.revision))
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    for number in range(1, ROUTES + 1):
        connection.request("GET", f"/{number}")
        assert connection.getresponse().read() == b""
    connection.close()
    gateway.signal(signal.SIGUSR2)
    wait_until(lambda: len(lines_with(gateway, "has drained: exit status 0")) == 2, timeout=60)
    counted = metrics(gateway)
    requests = "fengling_http_requests_total{"
    assert sum(value for name, value in counted.items() if name.startswith(requests)) == ROUTES
