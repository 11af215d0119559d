"""A log that nobody reads: a pipe that is full, a container's log driver that stands still."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.conftest import Sql
from tests.integration.gateway import GatewayProcess, Upstream
from tests.integration.world import metrics
from tests.support.wait import wait_until

MISSING = b"lines of the log are missing here"


class StuckPipe:
    """A small pipe, already full, that is read only when the test says so."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(self.writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.writing, b"." * 4096)
        os.set_blocking(self.writing, True)
        self.read = b""
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start_reading(self) -> None:
        """Read until nobody has the other end any more."""
        self._thread.start()

    def _run(self) -> None:
        while part := os.read(self._reading, 65536):
            self.read += part

    def close(self) -> None:
        os.close(self.writing)
        if self._thread.ident is not None:
            self._thread.join(15)
        os.close(self._reading)


@pytest.fixture
def pipe() -> Iterator[StuckPipe]:
    pipe = StuckPipe()
    yield pipe
    pipe.close()


@pytest.fixture
def gateway(
    pipe: StuckPipe, tmp_path: Path, sql: Sql, upstreams: Callable[[str], Upstream]
) -> Iterator[GatewayProcess]:
    """Return a gateway of two workers that logs into the pipe."""
    sql.add_service("v1", upstreams("v1").address)
    sql.add_route("hello", "/hello", "v1")
    gateway = GatewayProcess(
        directory=tmp_path / "n1", database=sql.dsn, settings={"log": {"level": "debug"}}
    )
    gateway.start(stdout=pipe.writing)
    yield gateway
    gateway.stop()


def provoke_lines(gateway: GatewayProcess, sql: Sql) -> None:
    """Spoil a hundred routes and mend them, over and over: 200 lines each time."""
    sql.run(
        "INSERT INTO fengling.route (id, path, service_id)"
        " SELECT 'spoilt-' || i, '/' || i, 'v1' FROM generate_series(1, 100) i"
    )
    dropped = 0.0
    while dropped < 100:
        for path in ("/{a}/{a}", ""):
            sql.run(
                "UPDATE fengling.route SET path = '/' || substr(id, 8) || %s"
                " WHERE id LIKE 'spoilt-%%'",
                path,
            )
            revision = sql.revision
            wait_until(lambda at_least=revision: gateway.served_by_every_worker(at_least))  # type: ignore[misc]
        dropped = metrics(gateway)["fengling_log_dropped_lines_total"]


class StuckLogTests:
    """Nobody reads stdout."""

    def test_it_serves_and_applies_and_tells_what_is_missing(
        self, gateway: GatewayProcess, pipe: StuckPipe, sql: Sql
    ) -> None:
        """Requests and configuration first, the log when somebody reads it again."""
        gateway.wait_ready()
        provoke_lines(gateway, sql)
        sql.add_route("late", "/late", "v1")
        wait_until(lambda: gateway.get("/late")[0] == 200)
        assert gateway.get("/hello")[0] == 200
        assert gateway.manage("status")["log"]["dropped_lines"] >= 100
        pipe.start_reading()
        wait_until(lambda: MISSING in pipe.read)
        sql.run("DELETE FROM fengling.route WHERE id = 'late'")
        wait_until(lambda: b"removes route late" in pipe.read)
        assert pipe.read.index(b"serving with 2 workers") < pipe.read.index(MISSING)
        assert pipe.read.index(MISSING) < pipe.read.index(b"removes route late")

    def test_it_stops_all_the_same(self, gateway: GatewayProcess, sql: Sql) -> None:
        """What is queued may be lost then, and the exit status is that of a clean stop."""
        gateway.wait_ready()
        provoke_lines(gateway, sql)
        assert gateway.stop() == 0
