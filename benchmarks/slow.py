"""Good traffic of one worker beside attacks by slowhttptest, against the peers.

Four attacks, one after the other: heads that never end (slowloris), bodies that
trickle in, long lists of ranges, readers that hardly read. Each is kept up while
good traffic is measured, at a pace and on connections of its own; before it and
after it the same traffic is measured alone. The ratio is of its p99 in the attack
to the mean of those two.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import idle, proxy
from benchmarks.harness import report
from benchmarks.harness.attacks import ATTACKS, Attack, start_instances
from benchmarks.harness.children import (
    Child,
    Children,
    StartError,
    exit_on_signals,
    free_port,
    scratch_directory,
)
from benchmarks.harness.cores import Cores, divide_available
from benchmarks.harness.load import LoadGenerator, LoadOutcome, RunningLoad
from benchmarks.harness.proc import established, whole_resident_bytes
from benchmarks.harness.programs import on_path
from benchmarks.peers import Peer
from benchmarks.peers.peer import Site

_PEERS: Final = "fengling,nginx"
_OURS: Final = "fengling"
_LIMIT_RATIO: Final = 2.0
"""How much an attack may add to our p99."""

_GOOD_CONNECTIONS: Final = 8
_PAUSE_MS: Final = 5
_LOOK_SECONDS: Final = 0.1
_GONE_SECONDS: Final = 20.0
"""Within which a proxy has nothing left of an attack that has ended."""


@dataclass(slots=True)
class Watched:
    """What a proxy needed while good traffic was measured: the most that was seen."""

    connections: int = 0
    resident_bytes: int = 0
    busy: float = 0.0
    """The share of its core that it used, on average."""

    def look(self, child: Child, port: int) -> None:
        resident = sum(whole_resident_bytes(process.pid) for process in child.processes())
        self.resident_bytes = max(self.resident_bytes, resident)
        self.connections = max(self.connections, established(port))


class Bench:
    """Attacks one proxy after the other."""

    def __init__(self, options: argparse.Namespace, children: Children, cores: Cores) -> None:
        self._options = options
        self._children = children
        self._cores = cores
        self._load = LoadGenerator(children, cpus=cores.others)

    def describe(self) -> str:
        """What the good traffic comes from."""
        return self._load.describe()

    def rows(self, peer: Peer, upstream_ports: tuple[int, ...]) -> list[report.Row]:
        """What became of the good traffic, a row for each attack."""
        directory = self._children.directory / f"{peer.name}.d"
        directory.mkdir()
        room_needed = 2 * self._options.connections + 1000
        site = Site(directory, free_port(), upstream_ports, connections=room_needed)
        child = peer.start(self._children, site, self._cores)
        self._good(site.port).outcome(within_seconds=self._options.seconds + 30)  # to warm up
        rows = [self._attacked(peer.name, attack, child, site.port) for attack in ATTACKS]
        self._children.stop(child)
        return rows

    def _attacked(self, name: str, attack: Attack, child: Child, port: int) -> report.Row:
        before, quiet = self._measure(child, port)
        options = self._options
        attacker = self._children.start(
            f"{name}-{attack.path.strip('/')}",
            attack.command(port, options.connections, options.rate),
            cpus=self._cores.others,
        )
        attacker.wait_until(lambda: established(port) > 0, 10)
        during, watched = self._measure(child, port)
        if watched.connections <= _GOOD_CONNECTIONS:
            raise StartError(f"no attack by {attack.name} took place: {attacker.log_tail()}")
        self._children.stop(attacker)
        child.wait_until(lambda: established(port) == 0, _GONE_SECONDS)
        after, _ = self._measure(child, port)
        row = row_of(name, attack.name, (before, during, after), quiet, watched)
        print(f"{name}, {attack.name}: p99 {report.ratio(row['p99_ratio'], 1)}", flush=True)
        return row

    def _good(self, port: int) -> RunningLoad:
        return self._load.start(
            port,
            seconds=self._options.seconds,
            connections=_GOOD_CONNECTIONS,
            traffic="realistic",
            pause_ms=_PAUSE_MS,
        )

    def _measure(self, child: Child, port: int) -> tuple[LoadOutcome, Watched]:
        """Good traffic for a while, and what the proxy holds meanwhile."""
        used = child.cpu_seconds()
        load, watched = self._good(port), Watched()
        while load.running:
            watched.look(child, port)
            time.sleep(_LOOK_SECONDS)
        outcome = load.outcome(within_seconds=30)
        watched.busy = (child.cpu_seconds() - used) / outcome.seconds
        return outcome, watched


def row_of(
    name: str,
    attack: str,
    outcomes: tuple[LoadOutcome, LoadOutcome, LoadOutcome],
    quiet: Watched,
    watched: Watched,
) -> dict[str, Any]:
    """Of good traffic before, in and after an attack."""
    before, during, after = outcomes
    quiet_p99 = (before.p99_ms + after.p99_ms) / 2
    return {
        "name": name,
        "attack": attack,
        "requests": during.requests,
        "failed_requests": during.failed,
        "failed_before_or_after": before.failed + after.failed,
        "p50_ms": round(during.p50_ms, 3),
        "p99_ms": round(during.p99_ms, 3),
        "quiet_p50_ms": round((before.p50_ms + after.p50_ms) / 2, 3),
        "quiet_p99_ms": round(quiet_p99, 3),
        "p99_ratio": round(during.p99_ms / quiet_p99, 3),
        "attack_connections": max(0, watched.connections - _GOOD_CONNECTIONS),
        "core_busy_share": round(watched.busy, 3),
        "quiet_core_busy_share": round(quiet.busy, 3),
        "mb": round(watched.resident_bytes / 1e6, 1),
        "quiet_mb": round(quiet.resident_bytes / 1e6, 1),
    }


def format_rows(rows: Iterable[report.Row]) -> str:
    """The table, in the order of the attacks."""
    order = [attack.name for attack in ATTACKS]
    lines = [
        [
            f"{row['attack']}, {row['name']}",
            report.number(row["requests"], 0),
            str(row["failed_requests"]),
            report.number(row["quiet_p50_ms"], 2),
            report.number(row["p50_ms"], 2),
            report.number(row["quiet_p99_ms"], 2),
            report.number(row["p99_ms"], 2),
            report.ratio(row["p99_ratio"], 1),
            report.number(row["attack_connections"], 0),
            f"{row['quiet_core_busy_share']:.0%}",
            f"{row['core_busy_share']:.0%}",
            report.number(row["quiet_mb"]),
            report.number(row["mb"]),
        ]
        for row in sorted(rows, key=lambda row: order.index(row["attack"]))
    ]
    headings = [
        "", "good requests", "failed", "p50 ms alone", "attacked", "p99 ms alone", "attacked",
        "ratio", "its connections", "core busy alone", "attacked", "MB alone", "attacked",
    ]  # fmt: skip
    return report.table(headings, lines)


def verdict(rows: Iterable[report.Row]) -> list[str]:
    """What makes the run a failure."""
    problems = []
    for row in rows:
        if row["name"] != _OURS:
            continue
        if row["failed_requests"]:
            problems.append(f"{row['attack']}: {row['failed_requests']} good requests failed")
        if row["p99_ratio"] > _LIMIT_RATIO:
            problems.append(f"{row['attack']}: p99 is {row['p99_ratio']:.2f} times what it was")
    return problems


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench slow", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="4 s each, 200 connections")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    parser.add_argument("--only", metavar="NAMES", default=_PEERS, help="for example fengling")
    parser.add_argument("--connections", type=int, help="of an attack, at a time")
    parser.add_argument("--rate", type=int, default=300, help="how many of them in a second")
    parser.add_argument("--seconds", type=float, help="length of each measurement")
    options = parser.parse_args(arguments)
    options.connections = options.connections or (200 if options.quick else 1000)
    options.seconds = options.seconds or (4.0 if options.quick else 15.0)
    try:
        options.peers = proxy.choose(options.only)
    except ValueError as error:
        parser.error(f"argument --only: {error}")
    return options


def run(options: argparse.Namespace, children: Children) -> list[report.Row]:
    """
    Attack them all.

    Raises:
        StartError: something that is needed is not installed, or did not start.
    """
    if on_path("slowhttptest") is None:
        raise StartError("slowhttptest is needed (apt install slowhttptest)")
    cores = divide_available()
    options.connections = idle.room(options.connections)
    bench = Bench(options, children, cores)
    print(f"{report.machine()}\n{cores.describe()}; good traffic by {bench.describe()}")
    print(
        f"{options.connections} connections of an attack, {options.rate} new ones a second; "
        f"{_GOOD_CONNECTIONS} of good traffic, {options.seconds:g} s each\n"
    )
    ports = start_instances(children, cores)
    rows: list[report.Row] = []
    for peer in options.peers:
        if peer.find() is None:
            print(f"{peer.name}: skipped, not installed ({peer.install})")
            continue
        rows += bench.rows(peer, ports)
    return rows


def main() -> None:
    options = parse()
    exit_on_signals()
    try:
        with Children(scratch_directory("bench-")) as children:
            rows = run(options, children)
    except StartError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"\n{format_rows(rows)}")
    conditions = {key: getattr(options, key) for key in ("connections", "rate", "seconds")}
    report.write(options.json, "slow", rows, conditions)
    problems = verdict(rows)
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
