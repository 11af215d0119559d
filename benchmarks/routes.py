"""What a match costs, and memory, build, change and start-up, as routes grow.

In process and without a network: a snapshot is built from canonical bodies as
a worker builds it, and its RouteCache is asked. Each row is measured in a
process of its own; "process MB" is that process, with what a worker's routing
imports and without its data plane.

"match" asks for 256 requests in rotation, which stay in the processor's caches;
"cold match" asks for requests to any of the routes, most of which do not: at
100,000 routes that is the price of memory, not of the algorithm.

With real processes: a gateway with the mixed table in PostgreSQL, as many
workers as cores and Redis. "start s" is from exec to a proxied answer by every
worker, "from file s" the same with the database down, "worker MB" the
proportional set size of the largest worker. The fastest of some starts counts:
the others tell more about what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import report, startup
from benchmarks.harness.children import Children, exit_on_signals, scratch_directory
from benchmarks.harness.scene import Servers
from benchmarks.harness.startup import START_SECONDS, TARGET_ROUTES
from benchmarks.route_shapes import SHAPES, Table
from fengling_gateway.settings.cpus import available_cpus

ROUTES: Final = (10, 1_000, 10_000, 100_000)
LIMIT: Final = 1.5
"""How many times a match at the fewest routes one at the most may cost."""

STARTS: Final = (10, 10_000, 100_000)
WORKER_MB: Final = 120.0
"""What a worker may take at `TARGET_ROUTES`."""

PASSES: Final = 5
"""
Turns of measuring that the sizes of a shape take: a machine that is now faster,
now slower is so for all of them.
"""

MOST_PASSES: Final = 25
"""With the limit missed there are more: what else the machine does only ever adds time."""


class Size:
    """One table in a process of its own: what another left behind is no part of it."""

    def __init__(self, shape: str, routes: int) -> None:
        command = [sys.executable, "-m", "benchmarks.routes", "--one", shape, str(routes)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.row = self._answer()

    def measure(self, rounds: int) -> None:
        """Measure once more and keep the best."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{rounds}\n")
        self._process.stdin.flush()
        for metric, value in self._answer().items():
            self.row[metric] = min(value, self.row.get(metric, value))

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline() or "null")
        if answer is None:
            raise SystemExit("a measuring process failed; see above")
        return answer


def serve(shape: str, routes: int) -> None:
    """Be the process of a `Size`: build, then measure for each number of rounds asked for."""
    table = Table(shape, routes)
    print(json.dumps(table.facts), flush=True)
    for line in sys.stdin:
        print(json.dumps(table.times(int(line))), flush=True)


def rows_of(shape: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure one shape at every size."""
    with ExitStack() as stack:
        sizes = []
        for routes in options.routes:
            sizes.append(Size(shape, routes))
            stack.callback(sizes[-1].stop)
        for done in range(MOST_PASSES):
            if done >= PASSES and not over_limit([size.row for size in sizes]):
                break
            for size in sizes:
                size.measure(options.rounds)
        return [size.row for size in sizes]


def fewest(rows: Sequence[report.Row], row: report.Row) -> report.Row:
    """The row of the same shape with the fewest routes."""
    return min((one for one in rows if one["shape"] == row["shape"]), key=_routes)


def _routes(row: report.Row) -> int:
    routes: int = row["routes"]
    return routes


_COLUMNS: Final[dict[str, tuple[str, int]]] = {
    "routes": ("routes", 0),
    "match µs": ("match_us", 2),
    "cold match µs": ("cold_match_us", 2),
    "miss µs": ("miss_us", 2),
    "change µs": ("change_us", 0),
    "build CPU s": ("build_seconds", 2),
    "memory MB": ("memory_mb", 1),
    "process MB": ("process_memory_mb", 1),
}
_START_COLUMNS: Final[dict[str, tuple[str, int]]] = {
    "start s": ("start_seconds", 2),
    "slowest s": ("start_slowest_seconds", 2),
    "CPU s": ("start_cpu_seconds", 2),
    "from file s": ("start_from_file_seconds", 2),
    "worker MB": ("worker_memory_mb", 1),
    "resident MB": ("worker_resident_mb", 1),
    "supervisor MB": ("supervisor_memory_mb", 1),
}


def format_rows(rows: Sequence[report.Row]) -> str:
    """One table, the ratio of matches beside them."""
    lines = [
        [
            str(row["shape"]),
            *(report.number(row[metric], digits) for metric, digits in _COLUMNS.values()),
            report.ratio(row["match_us"], fewest(rows, row)["match_us"]),
        ]
        for row in rows
    ]
    return report.table(["shape", *_COLUMNS, "match, to fewest"], lines)


def format_starts(rows: Sequence[report.Row]) -> str:
    """The table of the real gateways; empty if none was started."""
    lines = [
        [
            report.number(row["routes"], 0),
            *(report.number(row[metric], digits) for metric, digits in _START_COLUMNS.values()),
        ]
        for row in rows
        if "start_seconds" in row
    ]
    return report.table(["routes", *_START_COLUMNS], lines) if lines else ""


def verdict(rows: Sequence[report.Row]) -> list[str]:
    """What makes the run a failure: a target that is missed."""
    failures = over_limit(rows)
    for row in rows:
        if row["routes"] == TARGET_ROUTES and "start_seconds" in row:
            failures += _misses_at_target(row)
    return failures


def over_limit(rows: Sequence[report.Row]) -> list[str]:
    """What to say of matches whose cost grows with the routes."""
    failures = []
    for row in rows:
        least = fewest(rows, row)
        if row["match_us"] > LIMIT * least["match_us"]:
            failures.append(
                f"{row['shape']}: a match at {row['routes']:,} routes costs over {LIMIT} x "
                f"that at {least['routes']:,}"
            )
    return failures


def _misses_at_target(row: report.Row) -> list[str]:
    failures = [
        f"at {TARGET_ROUTES:,} routes a start takes {row[metric]} s{how}: over {START_SECONDS} s"
        for metric, how in (("start_seconds", ""), ("start_from_file_seconds", " from the file"))
        if row[metric] > START_SECONDS
    ]
    if row["worker_memory_mb"] > WORKER_MB:
        failures.append(
            f"at {TARGET_ROUTES:,} routes a worker takes {row['worker_memory_mb']} MB: "
            f"over {WORKER_MB:g} MB"
        )
    return failures


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench routes", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="at most 10,000 routes, fewer rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    parser.add_argument("--routes", type=_numbers, help="for example 10,100000")
    parser.add_argument("--shapes", type=_shapes, default=list(SHAPES), help=", ".join(SHAPES))
    parser.add_argument("--workers", type=int, default=available_cpus(), help="of the real gateway")
    parser.add_argument("--no-gateway", action="store_true", help="start no real gateway")
    options = parser.parse_args(arguments)
    options.starts = options.routes or (STARTS[:2] if options.quick else STARTS)
    if options.no_gateway or startup.SHAPE not in options.shapes:
        options.starts = ()
    options.routes = options.routes or (ROUTES[:3] if options.quick else ROUTES)
    options.rounds = 20 if options.quick else 80
    options.times = 2 if options.quick else 3
    return options


def _numbers(text: str) -> list[int]:
    return [int(word.replace("_", "")) for word in text.split(",")]


def _shapes(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in SHAPES:
            raise argparse.ArgumentTypeError(f"unknown: {name}")
    return names


def add_starts(rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> None:
    """Start real gateways; add what that tells to the rows of the shape that they serve."""
    if not options.starts:
        return
    directory = scratch_directory("bench-routes-")
    with Children(directory) as children, Servers(children) as servers:
        measured = startup.measure_starts(
            servers,
            options.starts,
            workers=options.workers,
            times=options.times,
            done=lambda what: print(f"measured: {what}", flush=True),
        )
    for row in rows:
        if row["shape"] == startup.SHAPE:
            row.update(measured.get(row["routes"], {}))


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    exit_on_signals()
    print(report.machine(), flush=True)
    rows: list[dict[str, Any]] = []
    for shape in options.shapes:
        rows += rows_of(shape, options)
        print(f"measured: {shape}", flush=True)
    add_starts(rows, options)
    print(f"\n{format_rows(rows)}")
    if starts := format_starts(rows):
        print(f"\nA gateway with {options.workers} workers:\n{starts}")
    conditions = {
        "passes": PASSES,
        "rounds": options.rounds,
        "workers": options.workers,
        "starts": options.times,
    }
    report.write(options.json, "routes", rows, conditions)
    failures = verdict(rows)
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main())
