"""How soon workers serve what changes in a cluster, and what following a busy one costs a console.

A pretended API server, a console, PostgreSQL and a gateway, as processes. First single changes of an
EndpointSlice, after quiet moments: until every worker serves them. Then so many endpoints of which
some change state all the time: the console's CPU time, revisions a second, and whether the database
says in the end exactly what the cluster says.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import psycopg2

from benchmarks.harness import report
from benchmarks.harness.proc import process_cpu_seconds
from benchmarks.harness.quantiles import median, percentile
from fengling_gateway import schema
from fengling_gateway.embedded.postgres import PostgresServer
from tests.integration.console import ConsoleProcess
from tests.integration.gateway import GatewayProcess
from tests.support import kubernetes_objects as objects
from tests.support.kubernetes_api import KubernetesApi

SERVED_MS: Final = 200.0
CPU_PERCENT: Final = 50.0
REVISIONS_PER_SECOND: Final = 5.0

_PER_SLICE: Final = 100
_QUIET_SECONDS: Final = 0.6
_LOOK_SECONDS: Final = 0.004
_PATIENCE_SECONDS: Final = 60.0


class Busy:
    """A Service with many endpoints, in slices of a hundred."""

    def __init__(self, api: KubernetesApi, endpoints: int, rng: Random) -> None:
        self._api = api
        self._rng = rng
        self._is_ready = [True] * endpoints
        api.apply(objects.service("busy", annotations={"path": "/busy/{**rest}"}))
        for first in range(0, endpoints, _PER_SLICE):
            self._tell(first // _PER_SLICE)

    def change(self, number: int | None = None) -> None:
        """Have an endpoint become ready, or not ready any more."""
        chosen = self._rng.randrange(len(self._is_ready)) if number is None else number
        self._is_ready[chosen] = not self._is_ready[chosen]
        self._tell(chosen // _PER_SLICE)

    def expected(self) -> dict[str, str]:
        return {
            f"http://{_address(number)}:8080": "ready" if is_ready else "drain"
            for number, is_ready in enumerate(self._is_ready)
        }

    def _tell(self, number: int) -> None:
        first = number * _PER_SLICE
        some = self._is_ready[first : first + _PER_SLICE]
        endpoints = [
            objects.endpoint(_address(first + one), ready=is_ready, pod=f"busy-{first + one}")
            for one, is_ready in enumerate(some)
        ]
        self._api.apply(
            objects.slice_("busy", endpoints, suffix=f"{number:03d}", labels=objects.MANAGED)
        )


def _address(number: int) -> str:
    return f"10.{1 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


class Scene:
    """All that runs."""

    def __init__(self, directory: Path, options: argparse.Namespace) -> None:
        self._postgres = PostgresServer(directory / "postgres")
        self._postgres.start()
        dsn = self._postgres.create_database("bench")
        schema.upgrade(dsn)
        self.database = psycopg2.connect(dsn)
        self.database.autocommit = True
        self.api = KubernetesApi()
        self.busy = Busy(self.api, options.endpoints, Random(1))
        self.gateway = GatewayProcess(directory=directory / "gateway", database=dsn)
        token, authority = self.api.write_credentials(directory)
        self.console = ConsoleProcess(
            directory=directory / "console",
            database=dsn,
            settings={
                "kubernetes": {
                    "enabled": True,
                    "api_url": self.api.url,
                    "token_file": str(token),
                    "ca_file": str(authority),
                    "approve": ["shop/*"],
                }
            },
        )

    def start(self) -> None:
        self.gateway.start()
        self.gateway.wait_ready()
        self.console.start()
        self.console.wait_ready()
        self.wait_until_exact()
        self.wait_served()

    def stop(self) -> None:
        self.console.stop()
        self.gateway.stop()
        self.api.stop()
        self.database.close()
        self._postgres.stop("immediate")

    def value(self, query: str) -> Any:
        with self.database.cursor() as cursor:
            cursor.execute(query)
            [(found,)] = cursor.fetchall()
            return found

    @property
    def revision(self) -> int:
        return int(self.value("SELECT coalesce(max(id), 0) FROM fengling.revision"))

    def wait_until_exact(self) -> float:
        """Wait until the database says what the cluster says; return how long it took."""
        began = time.monotonic()
        expected = self.busy.expected()
        query = "SELECT coalesce(jsonb_object_agg(address, state), '{}') FROM fengling.instance"
        while self.value(query) != expected:
            if time.monotonic() - began > _PATIENCE_SECONDS:
                sys.exit(f"the database does not say what the cluster says\n{self.console.log}")
            time.sleep(0.05)
        return time.monotonic() - began

    def wait_served(self, revision: int | None = None) -> None:
        """Wait until every worker serves a revision, the newest unless it is said."""
        wanted = self.revision if revision is None else revision
        until = time.monotonic() + _PATIENCE_SECONDS
        while not self.gateway.served_by_every_worker(wanted):
            if time.monotonic() > until:
                sys.exit(f"revision {wanted} is not served by all workers")
            time.sleep(_LOOK_SECONDS)


def measure_changes(scene: Scene, number: int) -> dict[str, Any]:
    """Change one endpoint at a time, after a quiet moment, until it is served."""
    took = []
    for one in range(number):
        time.sleep(_QUIET_SECONDS)
        wanted = scene.revision + 1
        began = time.perf_counter()
        scene.busy.change(one)
        scene.wait_served(wanted)
        took.append((time.perf_counter() - began) * 1000)
    return {
        "changes": number,
        "p50_ms": round(median(took), 1),
        "p99_ms": round(percentile(sorted(took), 99), 1),
    }


def measure_churn(scene: Scene, per_second: float, seconds: float) -> dict[str, Any]:
    """Change endpoints all the time."""
    process = scene.console.process
    assert process is not None
    time.sleep(_QUIET_SECONDS)
    revision, cpu = scene.revision, process_cpu_seconds(process.pid)
    began = time.monotonic()
    changes = 0
    while (now := time.monotonic() - began) < seconds:
        if changes < now * per_second:
            scene.busy.change()
            changes += 1
        else:
            time.sleep(0.001)
    cpu = process_cpu_seconds(process.pid) - cpu
    revisions = scene.revision - revision
    settled = scene.wait_until_exact()
    scene.wait_served()
    return {
        "changes_per_second": round(changes / seconds, 1),
        "console_cpu_percent": round(100 * cpu / seconds, 1),
        "revisions_per_second": round(revisions / seconds, 2),
        "exact_after_ms": round(settled * 1000),
    }


def run(options: argparse.Namespace, directory: Path) -> report.Row:
    print(f"{report.machine()}\n{options.endpoints:,} endpoints")
    scene = Scene(directory, options)
    try:
        scene.start()
        found = measure_changes(scene, options.changes)
        found |= measure_churn(scene, options.rate, options.seconds)
    finally:
        scene.stop()
    return {"name": "fengling", "endpoints": options.endpoints, **found}


def verdict(row: report.Row, *, is_quick: bool) -> list[str]:
    """What makes the run a failure; a quick one judges no times."""
    problems = []
    if row["revisions_per_second"] > REVISIONS_PER_SECOND:
        problems.append(f"{row['revisions_per_second']} revisions a second")
    if row["p50_ms"] > SERVED_MS and not is_quick:
        problems.append(f"served after {row['p50_ms']} ms, at most {SERVED_MS:g}")
    if row["console_cpu_percent"] > CPU_PERCENT and not is_quick:
        problems.append(f"the console takes {row['console_cpu_percent']} % of a core")
    return problems


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench kubernetes", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 endpoints, 5 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the row there, too")
    parser.add_argument("--endpoints", type=int)
    parser.add_argument("--changes", type=int)
    parser.add_argument("--rate", type=float, default=100.0, metavar="PER_SECOND")
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args(arguments)
    options.endpoints = options.endpoints or (500 if options.quick else 5000)
    options.changes = options.changes or (5 if options.quick else 50)
    options.seconds = options.seconds or (5.0 if options.quick else 30.0)
    return options


def main() -> None:
    options = parse()
    with TemporaryDirectory(prefix="bench-kubernetes-") as directory:
        row = run(options, Path(directory))
    lines = [[name, str(value)] for name, value in row.items()]
    print(f"\n{report.table(['', 'value'], lines)}")
    report.write(options.json, "kubernetes", [row], {"seconds": options.seconds})
    problems = verdict(row, is_quick=options.quick)
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
