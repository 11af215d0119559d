"""What probing costs the console that does it: CPU of a core, and how late probes are.

A health checker as a console runs it, with a database, probes so many instances by HTTP, each on
an address of its own; a part of them refuses connections. Once all verdicts are written, its CPU
time is counted, that of all its threads. It fails above the share of a core that is promised
for 500 instances every five seconds.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from twisted.internet.defer import Deferred

from benchmarks.harness import report
from benchmarks.harness.children import Children, free_port, run_with_children
from benchmarks.harness.cores import divide_available
from benchmarks.harness.health_instances import address
from benchmarks.harness.quantiles import percentile
from fengling_gateway import schema
from fengling_gateway.balancing.upstream_networks import LOOPBACK, UpstreamNetworks
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.health.live import KeyedConfiguration
from fengling_gateway.health.probing import Probing
from fengling_gateway.health.service import HealthService, HealthSettings
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate

_LIMIT_PERCENT: Final = 20.0
_DEAD_SHARE: Final = 0.02
_SETTLED_SECONDS: Final = 15.0
"""Three rounds: then whoever is dead is known to be."""


class _NoNames:
    """There are none: all instances have addresses."""

    def ask(self, name: str, user: object, told: object) -> list[str]:
        return []

    def forget(self, name: str, told: object) -> None: ...

    def release(self, name: str, user: object) -> None: ...


@dataclass
class _Configuration:
    """A service with a health check, and its instances."""

    bodies: dict[Key, bytes] = field(default_factory=dict)
    rows: list[tuple[str, str]] = field(default_factory=list)

    def put(self, kind: str, entity_id: str, **values: Any) -> None:
        verdict = validate(Key(kind, entity_id), values)
        assert isinstance(verdict, Accepted), verdict
        self.bodies[Key(kind, entity_id)] = verdict.body

    def add(self, number: int, port: int) -> None:
        name = f"i{number}"
        whole = f"http://{address(number)}:{port}"
        self.put("instance", name, service_id="s", address=whole)
        self.rows.append((name, whole))


def configuration(instances: int, interval: float, port: int, dead_port: int) -> _Configuration:
    made = _Configuration()
    made.put("service", "s", health_check={"path": "/health", "interval": interval, "body": "up"})
    for number in range(instances):
        made.add(number, dead_port if number < instances * _DEAD_SHARE else port)
    return made


def write_rows(dsn: str, made: _Configuration) -> None:
    import psycopg2

    connection = psycopg2.connect(dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO fengling.service (id) VALUES ('s')")
        cursor.executemany(
            "INSERT INTO fengling.instance (id, service_id, address) VALUES (%s, 's', %s)",
            made.rows,
        )
    connection.close()


async def measure(reactor: Any, dsn: str, options: argparse.Namespace, ports: Any) -> report.Row:
    made = configuration(options.instances, options.interval, *ports)
    write_rows(dsn, made)
    health = HealthService(
        reactor=reactor,
        rng=Random(1),
        settings=HealthSettings(dsn=dsn, session_dsn=dsn, name="bench"),
        configuration=KeyedConfiguration(lambda: made.bodies),
        prober=Probing(
            reactor=reactor,
            networks=UpstreamNetworks(LOOPBACK),
            names=_NoNames(),
            certificates=lambda _: None,
        ),
        on_heartbeat=lambda *_: None,
    )
    health.start()
    await _pause(reactor, _SETTLED_SECONDS + 3 * options.interval)
    gc.collect()
    before = health.counts()
    cpu, began = time.process_time(), time.monotonic()
    await _pause(reactor, options.seconds)
    cpu, took = time.process_time() - cpu, time.monotonic() - began
    after = health.counts()
    status = health.status()["instances"].values()
    answered = sorted(
        one["last_probe"]["ms"] for one in status if one["last_probe"]["outcome"] == "passed"
    )
    probes = sum(after[name] - before[name] for name in ("probes_passed", "probes_failed"))
    await health.stop()
    return {
        "name": "fengling",
        "instances": options.instances,
        "interval_s": options.interval,
        "probes_per_second": round(probes / took, 1),
        "cpu_percent": round(100 * cpu / took, 2),
        "cpu_us_per_probe": round(1e6 * cpu / max(1, probes)),
        "p50_ms": percentile(answered, 50),
        "p99_ms": percentile(answered, 99),
        "unhealthy": sum(one["health"] == "unhealthy" for one in status),
        "flips_meanwhile": after["probes_flips"] - before["probes_flips"],
        "unjudged": after["probes_unjudged"],
    }


def _pause(reactor: Any, seconds: float) -> Deferred[None]:
    done: Deferred[None] = Deferred()
    reactor.callLater(seconds, done.callback, None)
    return done


def verdict(row: report.Row) -> list[str]:
    """What makes the run a failure."""
    problems = []
    expected = row["instances"] / row["interval_s"]
    if row["cpu_percent"] > _LIMIT_PERCENT * expected / 100:
        problems.append(f"{row['cpu_percent']} % of a core")
    if row["probes_per_second"] < 0.95 * expected:
        problems.append(f"{row['probes_per_second']} probes a second, not {expected:g}")
    if row["unhealthy"] != round(row["instances"] * _DEAD_SHARE) or row["flips_meanwhile"]:
        problems.append(f"{row['unhealthy']} unhealthy, {row['flips_meanwhile']} flips meanwhile")
    return problems


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench probes", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the row there, too")
    parser.add_argument("--instances", type=int, default=500)
    parser.add_argument("--interval", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args(arguments)
    options.seconds = options.seconds or (10.0 if options.quick else 60.0)
    return options


def run(options: argparse.Namespace, children: Children) -> list[report.Row]:
    from twisted.internet import reactor

    cores = divide_available()
    print(f"{report.machine()}\n{options.instances} instances every {options.interval:g} s")
    port, dead_port = free_port(), free_port()
    module = "benchmarks.harness.health_instances"
    command = [sys.executable, "-m", module, str(port), str(options.instances)]
    children.start("instances", command, cpus=cores.others).wait_for_port(port)
    server = PostgresServer(children.directory / "postgres")
    server.start()
    rows: list[report.Row] = []
    try:
        dsn = server.create_database("bench")
        schema.upgrade(dsn)
        measuring = Deferred.fromCoroutine(measure(reactor, dsn, options, (port, dead_port)))
        measuring.addCallbacks(rows.append, lambda failure: failure.printTraceback())
        measuring.addBoth(lambda _: reactor.stop())  # type: ignore[attr-defined]
        reactor.run()  # type: ignore[attr-defined]
    finally:
        server.stop("immediate")
    return rows


def format_row(row: report.Row) -> str:
    return report.table(["", "value"], [[name, str(value)] for name, value in row.items()])


def main() -> None:
    options = parse()
    rows = run_with_children(run, options)
    if not rows:
        sys.exit("nothing was measured")
    print(f"\n{format_row(rows[0])}")
    report.write(options.json, "probes", rows, {"seconds": options.seconds})
    problems = verdict(rows[0])
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
