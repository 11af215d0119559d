"""Good traffic of one worker beside a flood of tokens that are no good.

The flood keeps to its rate, and every token of it is another one: well-formed and
of a known key with a wrong signature, malformed, of a key that nobody knows (its
issuer publishes its keys, so that they are asked for), expired. Good traffic comes
at a pace and on connections of its own, with tokens that have been seen. It is
measured alone and beside the flood in turn; the ratio is of the medians of p99.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import report
from benchmarks.harness.children import Child, Children, StartError, free_port, run_with_children
from benchmarks.harness.cores import Cores, divide_available
from benchmarks.harness.flood_python import NOTHING
from benchmarks.harness.flooding import Flooding, FloodOutcome, Terms
from benchmarks.harness.forge import AUDIENCE, FORGERIES, Signer, rsa_signer
from benchmarks.harness.guarded import Guarded, route, service, start_guarded
from benchmarks.harness.load import LoadGenerator, LoadOutcome
from benchmarks.harness.proc import process_cpu_seconds, waited_seconds
from benchmarks.harness.quantiles import median
from benchmarks.harness.traffic import heads, wrk_script
from benchmarks.harness.upstream import start_upstream

_LIMIT_RATIO: Final = 2.0
"""How much a flood may add to the p99 of good traffic."""

_LEAST_SHARE: Final = 0.95
"""Of the rate that is asked for, else there was no such flood."""

_GOOD_CONNECTIONS: Final = 8
_PAUSE_MS: Final = 5
_FLOOD_CONNECTIONS: Final = 64
_KEYS_SECONDS: Final = 15
_MIXED: Final = "mixed"
KINDS: Final = {_MIXED: FORGERIES, **{kind: (kind,) for kind in (*FORGERIES, NOTHING)}}


@dataclass(slots=True)
class Seen:
    """
    One measurement.

    Attributes:
        busy: the share of its core that the worker used.
        waited: the share of the time in which it had work and somebody else the core.
    """

    good: LoadOutcome
    busy: float
    waited: float


@dataclass(slots=True)
class Windows:
    """What was seen of one kind of flood, and between."""

    quiet: list[Seen] = field(default_factory=list)
    flooded: list[Seen] = field(default_factory=list)
    floods: list[FloodOutcome] = field(default_factory=list)

    def row(self, kind: str) -> dict[str, Any]:
        quiet, flooded = _figures(self.quiet), _figures(self.flooded)
        return {
            "name": "fengling",
            "flood": kind,
            "requests": sum(seen.good.requests for seen in self.flooded),
            "failed_requests": sum(seen.good.failed for seen in (*self.quiet, *self.flooded)),
            "p99_ratio": round(flooded["p99_ms"] / quiet["p99_ms"], 3),
            "refused_per_second": round(median([flood.rate for flood in self.floods]), 1),
            "not_refused": sum(flood.others for flood in self.floods),
            **flooded,
            **{f"quiet_{name}": value for name, value in quiet.items()},
            "p99_ms_of_windows": [round(seen.good.p99_ms, 3) for seen in self.flooded],
            "quiet_p99_ms_of_windows": [round(seen.good.p99_ms, 3) for seen in self.quiet],
        }


def _figures(windows: Sequence[Seen]) -> dict[str, float]:
    """The medians."""
    return {
        "p50_ms": round(median([seen.good.p50_ms for seen in windows]), 3),
        "p99_ms": round(median([seen.good.p99_ms for seen in windows]), 3),
        "core_busy_share": round(median([seen.busy for seen in windows]), 3),
        "core_waited_share": round(median([seen.waited for seen in windows]), 3),
    }


class Bench:
    """Floods one gateway."""

    def __init__(
        self,
        options: argparse.Namespace,
        children: Children,
        cores: Cores,
        gateway: Guarded,
        signer: Signer,
    ) -> None:
        self._options = options
        self._children = children
        self._cores = cores
        self._gateway = gateway
        self._load = LoadGenerator(children, cpus=cores.others)
        self._terms = Terms(signer.issuer, signer.key_id, options.rate, _FLOOD_CONNECTIONS)
        self._script = children.directory / "good.lua"
        good = heads(header=lambda number: f"Authorization: Bearer {signer.token(number)}")
        self._script.write_text(wrk_script(good, pause_ms=_PAUSE_MS))

    def warm_up(self) -> None:
        """
        Let all good tokens have been seen.

        Raises:
            StartError: they are not believed.
        """
        deadline = time.monotonic() + _KEYS_SECONDS
        while self._good(1).good.failed:  # until the issuer's keys have been fetched
            if time.monotonic() > deadline:
                raise StartError(f"good tokens are refused: {self._gateway.child.log_tail()}")

    def rows(self) -> list[dict[str, Any]]:
        """One for each kind that was asked for."""
        found = []
        for kind in self._options.kinds:
            windows = Windows([self._good(self._options.seconds)])
            for _ in range(self._options.windows):
                seen, flood = self._flooded(KINDS[kind])
                windows.flooded.append(seen)
                windows.floods.append(flood)
                windows.quiet.append(self._good(self._options.seconds))
            row = windows.row(kind)
            found.append(row)
            print(f"{kind}: p99 {report.ratio(row['p99_ratio'], 1)}", flush=True)
        return found

    def _flooded(self, kinds: Sequence[str]) -> tuple[Seen, FloodOutcome]:
        flooding = Flooding(
            self._children, self._gateway.port, kinds, self._terms, cpus=self._cores.others
        )
        flooding.wait_until_on()
        seen = self._good(self._options.seconds)
        return seen, flooding.end()

    def _good(self, seconds: int) -> Seen:
        """Good traffic for a while."""
        pid = self._gateway.worker_pid
        used, waited = process_cpu_seconds(pid), waited_seconds(pid)
        load = self._load.start_script(
            self._gateway.port, self._script, seconds=seconds, connections=_GOOD_CONNECTIONS
        )
        outcome = load.outcome(within_seconds=seconds + 30)
        return Seen(
            outcome,
            busy=(process_cpu_seconds(pid) - used) / outcome.seconds,
            waited=(waited_seconds(pid) - waited) / outcome.seconds,
        )


def format_rows(rows: Iterable[report.Row]) -> str:
    """The table, a line for each kind of flood."""
    lines = [
        [
            row["flood"],
            report.number(row["requests"], 0),
            str(row["failed_requests"]),
            report.number(row["quiet_p50_ms"], 2),
            report.number(row["p50_ms"], 2),
            report.number(row["quiet_p99_ms"], 2),
            report.number(row["p99_ms"], 2),
            report.ratio(row["p99_ratio"], 1),
            report.number(row["refused_per_second"], 0),
            str(row["not_refused"]),
            f"{row['quiet_core_busy_share']:.0%}",
            f"{row['core_busy_share']:.0%}",
            f"{row['quiet_core_waited_share']:.0%}",
            f"{row['core_waited_share']:.0%}",
        ]
        for row in rows
    ]
    headings = [
        "", "good requests", "failed", "p50 ms alone", "flooded", "p99 ms alone", "flooded",
        "ratio", "refused/s", "not refused", "core busy alone", "flooded",
        "waited for it alone", "flooded",
    ]  # fmt: skip
    return report.table(headings, lines)


def verdict(rows: Iterable[report.Row], rate: float) -> list[str]:
    """What makes the run a failure."""
    problems = []
    for row in rows:
        kind, refused = row["flood"], row["refused_per_second"]
        if row["failed_requests"]:
            problems.append(f"{kind}: {row['failed_requests']} good requests failed")
        if row["not_refused"]:
            problems.append(f"{kind}: {row['not_refused']} of the flood were not refused")
        if refused < _LEAST_SHARE * rate:
            problems.append(f"{kind}: there were {refused:.0f}/s, and should have been {rate:g}")
        if row["p99_ratio"] > _LIMIT_RATIO:
            problems.append(f"{kind}: p99 is {row['p99_ratio']:.2f} times what it was")
    return problems


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench flood", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two floods of 3 s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    parser.add_argument(
        *("--kind", "-k"),
        dest="kinds",
        action="append",
        choices=[*KINDS, "each"],
        help="of tokens, by default all mixed; may be repeated",
    )
    parser.add_argument("--rate", type=float, default=2000.0, help="requests of a flood a second")
    parser.add_argument("--seconds", type=int, help="length of each measurement")
    parser.add_argument("--windows", type=int, help="measurements beside a flood")
    options = parser.parse_args(arguments)
    kinds = options.kinds or [_MIXED]
    options.kinds = list(KINDS) if "each" in kinds else kinds
    options.seconds = options.seconds or (3 if options.quick else 5)
    options.windows = options.windows or (2 if options.quick else 5)
    return options


def _publish(children: Children, signer: Signer, cores: Cores) -> str:
    """Have the keys published on this machine; the URL."""
    directory = children.directory / "published"
    directory.mkdir()
    (directory / "keys.json").write_text(json.dumps({"keys": [signer.public]}))
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    child: Child = children.start(
        "published", [*command, "--directory", str(directory)], cpus=cores.others
    )
    child.wait_for_port(port)
    return f"http://127.0.0.1:{port}/keys.json"


def run(options: argparse.Namespace, children: Children) -> list[dict[str, Any]]:
    """
    Flood a gateway with all kinds that were asked for.

    Raises:
        StartError: something that is needed is not installed, or did not start.
    """
    cores = divide_available()
    signer = rsa_signer("https://id.example")
    url = _publish(children, signer, cores)
    issuer = {"id": "corp", "issuer": signer.issuer, "audiences": [AUDIENCE], "jwks_url": url}
    required = {"auth": {"mode": "required", "methods": ["jwt"]}}
    upstream = start_upstream(children, ("one", "two"), cpus=cores.others)
    gateway = start_guarded(
        children,
        {
            "issuers": [issuer],
            "services": [service(upstream.ports.values())],
            "routes": [route("v1", required)],
        },
        cpus=cores.proxy,
    )
    print(f"{report.machine()}\n{cores.describe()}")
    print(
        f"{options.rate:g} tokens a second over {_FLOOD_CONNECTIONS} connections; "
        f"{_GOOD_CONNECTIONS} of good traffic, {options.windows} x {options.seconds} s\n"
    )
    bench = Bench(options, children, cores, gateway, signer)
    bench.warm_up()
    return bench.rows()


def main() -> None:
    options = parse()
    rows = run_with_children(run, options)
    print(f"\n{format_rows(rows)}")
    conditions = {key: getattr(options, key) for key in ("rate", "seconds", "windows")}
    report.write(options.json, "flood", rows, conditions)
    problems = verdict(rows, options.rate)
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
