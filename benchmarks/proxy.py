"""CPU per request, requests/s and latency of one worker, against the peers.

Everything runs at once, the proxies pinned to one core, load and upstream
instances to the others; the rounds visit one proxy after the other, so that a
disturbance of the machine hits all of them. A figure is the median of its
rounds. CPU is user and system time of all processes of the proxy, over the
requests answered meanwhile; latency is that of a closed loop at full load.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import malformed, report
from benchmarks.harness.children import (
    Child,
    Children,
    free_port,
    run_with_children,
)
from benchmarks.harness.cores import Cores, divide_available
from benchmarks.harness.load import LoadGenerator, LoadOutcome
from benchmarks.harness.quantiles import median
from benchmarks.harness.traffic import HOST, TRAFFICS
from benchmarks.harness.upstream import BODY_BYTES, Upstream, start_upstream
from benchmarks.peers import EXTRAS, PEERS, Peer
from benchmarks.peers.peer import Site

_OURS = "fengling"
_WARM_UP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one proxy."""

    outcome: LoadOutcome
    cpu_seconds: float

    @property
    def cpu_us_per_request(self) -> float:
        return self.cpu_seconds * 1e6 / max(1, self.outcome.requests)

    @property
    def busy(self) -> float:
        """The share of the proxy's core that it used: below 1, something else set the pace."""
        return self.cpu_seconds / self.outcome.seconds


@dataclass(slots=True)
class Contestant:
    """A started proxy and what was measured of it."""

    name: str
    child: Child
    port: int
    passes: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        outcomes = [sample.outcome for sample in self.samples]
        costs = [sample.cpu_us_per_request for sample in self.samples]
        return {
            "name": self.name,
            "cpu_us_per_request": round(median(costs), 2),
            "cpu_us_per_request_min": round(min(costs), 2),
            "cpu_us_per_request_max": round(max(costs), 2),
            "requests_per_second": round(median([o.requests / o.seconds for o in outcomes]), 1),
            "p50_ms": round(median([o.p50_ms for o in outcomes]), 3),
            "p99_ms": round(median([o.p99_ms for o in outcomes]), 3),
            "core_busy_share": round(median([sample.busy for sample in self.samples]), 3),
            "failed_requests": sum(o.failed for o in outcomes),
            "malformed_passed": len(self.passes),
        }


def start_contestant(
    peer: Peer,
    children: Children,
    upstream: Upstream,
    cores: Cores,
    *,
    certificate: str | None = None,
    forwards: Callable[[int], bool] | None = None,
) -> Contestant:
    """
    Start one proxy and see that it forwards.

    Args:
        certificate: path of the one that it is to have for TLS.
        forwards: whether what listens on a port does; None: asks over plain HTTP.

    Raises:
        StartError: it did not start, or does not forward.
    """
    directory = children.directory / f"{peer.name}.d"
    directory.mkdir()
    site = Site(directory, free_port(), tuple(upstream.ports.values()), certificate)
    child = peer.start(children, site, cores)
    child.wait_until(lambda: (forwards or _forwards)(site.port), 15)
    return Contestant(peer.name, child, site.port)


def _forwards(port: int) -> bool:
    """Whether an ordinary request comes back with 200 and the upstream's body."""
    request = f"GET /hello?a=1 HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    answer = malformed.send(port, request.encode())
    return malformed.succeeded(answer)


def start_all(chosen: Sequence[Peer], start: Callable[[Peer], Contestant]) -> list[Contestant]:
    """Start those that are installed."""
    contestants = []
    for peer in installed(chosen):
        contestants.append(start(peer))
        print(f"{peer.name}: started", flush=True)
    return contestants


def installed(chosen: Sequence[Peer]) -> Iterator[Peer]:
    """Those that are; prints a line for each that is not."""
    for peer in chosen:
        if peer.find() is None:
            print(f"{peer.name}: skipped, not installed ({peer.install})")
        else:
            yield peer


def measure(contestant: Contestant, load: LoadGenerator, options: argparse.Namespace) -> Sample:
    before = contestant.child.cpu_seconds()
    outcome = load.run(
        contestant.port,
        seconds=options.seconds,
        connections=options.connections,
        traffic=options.traffic,
    )
    return Sample(outcome, contestant.child.cpu_seconds() - before)


def run_rounds(
    contestants: Sequence[Contestant], load: LoadGenerator, options: argparse.Namespace
) -> None:
    """Warm each up, then measure them in turn."""
    for contestant in contestants:
        load.run(
            contestant.port,
            seconds=_WARM_UP_SECONDS,
            connections=options.connections,
            traffic=options.traffic,
        )
    for number in range(1, options.rounds + 1):
        for contestant in contestants:
            sample = measure(contestant, load, options)
            contestant.samples.append(sample)
            print(
                f"round {number}/{options.rounds} {contestant.name}: "
                f"{sample.cpu_us_per_request:.1f} µs, "
                f"{sample.outcome.requests / sample.outcome.seconds:,.0f}/s",
                flush=True,
            )


def format_rows(rows: Sequence[report.Row], passes: Mapping[str, Sequence[str]]) -> str:
    """The table, cheapest first; `passes` names the malformed requests that each let through."""
    by_name = {row["name"]: row for row in rows}
    nginx = by_name.get("nginx", {}).get("cpu_us_per_request")
    baseline = by_name.get("baseline", {}).get("requests_per_second")
    lines = [
        [
            row["name"],
            report.number(row["cpu_us_per_request"]),
            f"{row['cpu_us_per_request_min']:.1f}-{row['cpu_us_per_request_max']:.1f}",
            report.ratio(row["cpu_us_per_request"], nginx),
            report.number(row["requests_per_second"], 0),
            report.ratio(row["requests_per_second"], baseline),
            report.number(row["p50_ms"], 2),
            report.number(row["p99_ms"], 2),
            f"{row['core_busy_share']:.0%}",
            str(row["failed_requests"]),
            ", ".join(passes.get(row["name"], ())) or "none",
        ]
        for row in sorted(rows, key=lambda row: row["cpu_us_per_request"])
    ]
    headings = [
        "", "CPU µs/request", "min-max", "to nginx", "requests/s", "to baseline", "p50 ms",
        "p99 ms", "core busy", "failed", "malformed passed",
    ]  # fmt: skip
    return report.table(headings, lines)


def verdict(rows: Sequence[report.Row], passes: Mapping[str, Sequence[str]]) -> list[str]:
    """What makes the run a failure."""
    ours = [row for row in rows if row["name"] == _OURS]
    problems = [f"{_OURS} passed a malformed request on: {name}" for name in passes.get(_OURS, ())]
    return problems + [
        f"{row['failed_requests']} requests through {_OURS} failed"
        for row in ours
        if row["failed_requests"]
    ]


def choose(names: str | None) -> list[Peer]:
    """
    The peers named in `names` (separated by commas); all if that is None.

    Raises:
        ValueError: a name is unknown.
    """
    if names is None:
        return list(PEERS)
    wanted = names.split(",")
    known = (*PEERS, *EXTRAS)
    unknown = set(wanted) - {peer.name for peer in known}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    return [peer for peer in known if peer.name in wanted]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench proxy", description=__doc__)
    parser.add_argument("--only", metavar="NAMES", help="for example fengling,fengling-plain,nginx")
    parser.add_argument("--traffic", choices=TRAFFICS, default=TRAFFICS[0])
    options = parse_with_rounds(parser, arguments)
    try:
        options.peers = choose(options.only)
    except ValueError as error:
        parser.error(f"argument --only: {error}")
    return options


def parse_with_rounds(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> argparse.Namespace:
    """Parse, with the options of what measures in rounds."""
    parser.add_argument("--quick", action="store_true", help="one round of 2 s each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="length of a round")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (2.0 if options.quick else 5.0)
    return options


def run(options: argparse.Namespace, children: Children) -> list[Contestant]:
    cores = divide_available()
    load = LoadGenerator(children, cpus=cores.others)
    print(f"{report.machine()}\n{cores.describe()}; load by {load.describe()}")
    upstream = start_upstream(children, ("one", "two"), cpus=cores.others)
    print(
        f"{options.traffic} requests, {options.connections} keep-alive connections, answers of "
        f"{BODY_BYTES} bytes from {upstream.kind}, {options.rounds} x {options.seconds:g} s each\n"
    )
    contestants = start_all(
        options.peers, lambda peer: start_contestant(peer, children, upstream, cores)
    )
    for contestant in contestants:
        contestant.passes = malformed.names_that_get_through(contestant.port, upstream)
    run_rounds(contestants, load, options)
    return contestants


def main() -> None:
    options = parse()
    contestants = run_with_children(run, options)
    rows = [contestant.row() for contestant in contestants]
    passes = {contestant.name: contestant.passes for contestant in contestants}
    print(f"\n{format_rows(rows, passes)}")
    conditions = {
        key: getattr(options, key) for key in ("traffic", "connections", "rounds", "seconds")
    } | {"malformed_passed": passes}
    report.write(options.json, "proxy", rows, conditions)
    problems = verdict(rows, passes)
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
