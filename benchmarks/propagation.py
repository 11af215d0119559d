"""From COMMIT in PostgreSQL to proxied answers by the new route from every worker, under load.

A route is switched between two services, one transaction each time. One
connection per worker asks again and again until it is answered by the other
service; a change counts as served when the last worker has answered so. The
clock starts *before* COMMIT is sent, so the database's own time is in the
figure ("commit ms" is how much of it, "p50 after it" what is left). Bursts are
counted from the answer to the last COMMIT. Every COMMIT is durable. How late
an idle process was woken meanwhile tells how busy the machine was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import report
from benchmarks.harness.changes import (
    change_metrics,
    many_transactions,
    measure_burst,
    measure_changes,
    measure_cost,
    one_transaction,
)
from benchmarks.harness.children import Children, StartError, exit_on_signals, scratch_directory
from benchmarks.harness.node import NodeSettings
from benchmarks.harness.prober import ProbeError
from benchmarks.harness.proc import resident_bytes
from benchmarks.harness.scene import LOAD_CONNECTIONS, Servers, scene

ROUTES: Final = (10, 10_000, 100_000)
MAIN: Final = NodeSettings("main")
VARIANTS: Final[dict[str, tuple[NodeSettings, ...]]] = {
    "push-only": (NodeSettings("push-only", redis=False),),
    "redis-only": (NodeSettings("redis-only", push=False),),
    "second-node": (NodeSettings("first"), NodeSettings("second", listen=False)),
}
"""
Ways of learning on their own: the control channel's push, Redis inside a node,
and Redis between nodes, where the second one does not listen to PostgreSQL.
"""


def measure_size(
    servers: Servers, dsn: str, routes: int, options: argparse.Namespace
) -> dict[str, Any]:
    """The row of one number of routes."""
    with scene(servers, dsn, [MAIN], pause_ms=options.load_pause_ms) as play:
        samples = measure_changes(play, options.changes)
        slowest = play.prober.slowest_seconds()
        cost = measure_cost(play)
        memory = max(resident_bytes(worker["pid"]) for worker in play.node.workers())
        outcome = play.stop_load()
    return {
        "name": "fengling",
        "routes": routes,
        **change_metrics(samples),
        **cost,
        "worker_memory_mb": round(memory / 1e6, 1),
        "slowest_probe_ms": round(slowest * 1000, 2),
        "load_requests_per_second": round(outcome.requests / outcome.seconds, 1),
        "failed_requests": outcome.failed,
    }


def measure_variant(
    servers: Servers, dsn: str, name: str, routes: int, options: argparse.Namespace
) -> dict[str, Any]:
    """The row of one way of learning on its own."""
    with scene(servers, dsn, VARIANTS[name], pause_ms=options.load_pause_ms) as play:
        samples = measure_changes(play, options.changes)
        outcome = play.stop_load()
    return {
        "name": f"fengling-{name}",
        "routes": routes,
        **change_metrics(samples),
        "failed_requests": outcome.failed,
    }


def measure_one_burst(
    servers: Servers, dsn: str, write: Callable[[str, int], float], options: argparse.Namespace
) -> dict[str, Any]:
    """The row of one burst, on a node of its own."""
    with scene(servers, dsn, [MAIN], pause_ms=options.load_pause_ms) as play:
        burst = measure_burst(play, options.burst, write)
        outcome = play.stop_load()
    return {"name": "fengling", **burst, "failed_requests": outcome.failed}


def table_of(rows: Sequence[report.Row], columns: dict[str, Callable[[report.Row], str]]) -> str:
    lines = [[cell(row) for cell in columns.values()] for row in rows]
    return report.table(list(columns), lines)


def _cell(metric: str, digits: int = 1) -> Callable[[report.Row], str]:
    return lambda row: report.number(row.get(metric), digits)


_CHANGE_COLUMNS: Final[dict[str, Callable[[report.Row], str]]] = {
    "one change": lambda row: str(row["name"]),
    "routes": _cell("routes", 0),
    "p50 ms": _cell("p50_ms"),
    "p99 ms": _cell("p99_ms"),
    "max ms": _cell("max_ms"),
    "commit ms": _cell("commit_p50_ms"),
    "p50 after it": _cell("p50_after_commit_ms"),
    "rows read": _cell("rows_read_per_change", 0),
    "bytes to a worker": _cell("bytes_to_a_worker_per_change", 0),
    "compiled": _cell("objects_compiled_per_change", 0),
    "worker MB": _cell("worker_memory_mb"),
    "load/s": _cell("load_requests_per_second", 0),
    "failed": _cell("failed_requests", 0),
}
_BURST_COLUMNS: Final[dict[str, Callable[[report.Row], str]]] = {
    "burst": lambda row: str(row["name"]),
    "changes": _cell("changes", 0),
    "transactions": _cell("transactions", 0),
    "writing s": _cell("writing_s", 2),
    "converged ms": _cell("converged_ms"),
    "reactor blocked max ms": _cell("reactor_blocked_max_ms"),
    "idle process late max ms": _cell("idle_process_late_max_ms"),
    "failed": _cell("failed_requests", 0),
}


def format_rows(rows: Sequence[report.Row]) -> str:
    """One table of single changes, one of bursts."""
    changes = [row for row in rows if "routes" in row]
    bursts = [row for row in rows if "changes" in row]
    tables = [(changes, _CHANGE_COLUMNS), (bursts, _BURST_COLUMNS)]
    return "\n\n".join(table_of(part, columns) for part, columns in tables if part)


def verdict(rows: Sequence[report.Row]) -> list[str]:
    """What makes the run a failure: requests that did."""
    return [
        f"{row['failed_requests']} requests failed: {row}" for row in rows if row["failed_requests"]
    ]


def rows_of(servers: Servers, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure one row after the other."""
    for routes in options.routes:
        print(f"{routes:,} routes", flush=True)
        dsn = servers.filled_database(routes)
        yield measure_size(servers, dsn, routes, options)
        if routes == options.burst_routes:
            for write in (one_transaction, many_transactions):
                print(f"a burst of {options.burst:,} changes: {write.__name__}", flush=True)
                yield measure_one_burst(servers, dsn, write, options)
        if routes == options.variant_routes:
            for name in options.variants:
                print(f"learning by {name}", flush=True)
                yield measure_variant(servers, dsn, name, routes, options)


def run(options: argparse.Namespace, directory: Path) -> list[dict[str, Any]]:
    rows = []
    with Children(directory) as children, Servers(children) as servers:
        for row in rows_of(servers, options):
            rows.append(row)
            print(", ".join(f"{metric} {value}" for metric, value in row.items()), flush=True)
    return rows


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench propagation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few changes, at most 10,000 routes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    parser.add_argument("--routes", type=_numbers, help=f"for example {ROUTES[0]},{ROUTES[1]}")
    parser.add_argument("--changes", type=int, help="how many are measured at each size")
    parser.add_argument("--burst", type=int, help="changes in a burst; 0 for none")
    parser.add_argument(
        "--variants",
        type=_variants,
        default=list(VARIANTS),
        help=f"of {','.join(VARIANTS)}; an empty word for none",
    )
    parser.add_argument(
        "--load-pause-ms", type=int, default=8, help="what each connection of the load rests"
    )
    options = parser.parse_args(arguments)
    options.routes = options.routes or (ROUTES[:2] if options.quick else ROUTES)
    options.changes = options.changes or (30 if options.quick else 300)
    options.burst = (1_000 if options.quick else 10_000) if options.burst is None else options.burst
    big_enough = [routes for routes in options.routes if routes >= options.burst]
    options.variant_routes = min(ROUTES[1], max(options.routes))
    options.burst_routes = min(big_enough, default=None) if options.burst else None
    return options


def _numbers(text: str) -> list[int]:
    return [int(word.replace("_", "")) for word in text.split(",")]


def _variants(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in VARIANTS:
            raise argparse.ArgumentTypeError(f"unknown: {name}")
    return names


def main() -> None:
    options = parse()
    exit_on_signals()
    print(
        f"{report.machine()}\n{MAIN.workers} workers, nothing pinned; {options.changes} changes, "
        f"{LOAD_CONNECTIONS} connections of load that rest {options.load_pause_ms} ms\n"
    )
    try:
        rows = run(options, scratch_directory("bench-"))
    except (StartError, ProbeError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"\n{format_rows(rows)}")
    conditions = {"workers": MAIN.workers, "load_pause_ms": options.load_pause_ms}
    report.write(options.json, "propagation", rows, conditions)
    problems = verdict(rows)
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
