"""What each feature before a route adds to the CPU of a plain route's request.

One gateway of one worker, compiled as installed, has a plain route and one with
each feature. Rounds visit a feature's route and the plain one in turn, with the
same requests but for the first segment of the path, over kept connections. What
a feature adds is the median of the differences within pairs of rounds: CPU of the
worker's process, user and system, by its own clock, over the requests answered.
Where other workers are told later, the time until they have been is in it.

What is written down of requests is a whole gateway's: there are two of them then, with
it and without it, which get the very same requests, and the CPU is that of a gateway's
worker and of its supervisor, which sends spans.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.harness import report
from benchmarks.harness.children import (
    Children,
    StartError,
    run_with_children,
    undisturbed,
)
from benchmarks.harness.collector import start_collector
from benchmarks.harness.cores import divide_available
from benchmarks.harness.features import PLAIN, Credentials, Feature, features, is_on
from benchmarks.harness.guarded import Guarded, route, service, start_guarded
from benchmarks.harness.load import LoadGenerator
from benchmarks.harness.proc import process_cpu_seconds
from benchmarks.harness.quantiles import median, percentile
from benchmarks.harness.traffic import wrk_script
from benchmarks.harness.upstream import start_upstream
from fengling_gateway.embedded.valkey import ValkeyServer

_ROUND_SECONDS: Final = 0.3
"""Short, so that some are disturbed by nobody."""

_WARM_UP_SECONDS: Final = 1.5
"""For all that is sent in turn, however slow the machine is."""

_LONGEST_SECONDS: Final = 2
"""Of a round in which every token is sent once."""

_WITHIN: Final = "\nwhat has a limit is within it"
_COUNTED_SECONDS: Final = 20.0
"""Within which what was seen of the first requests has to be counted, and sent where it is to go."""

_FIRST_ROUNDS: Final = 5
"""Of those where every token is new: signing them takes longer than verifying."""


class Pair(NamedTuple):
    """CPU per request in microseconds, of the plain route and of one with the feature."""

    plain: float
    guarded: float

    @property
    def added(self) -> float:
        return self.guarded - self.plain


class Gateways(NamedTuple):
    """That of the plain rounds, and that of the feature's; often the same."""

    plain: Guarded
    guarded: Guarded


@dataclass(slots=True)
class Measured:
    """A feature, its route, and what was seen."""

    feature: Feature
    prefix: str
    gateways: Gateways
    pairs: list[Pair] = field(default_factory=list)
    requests: int = 0
    failed: int = 0

    def row(self) -> dict[str, Any]:
        added = [pair.added for pair in self.pairs]
        limit = self.feature.limit_us
        plain = median([pair.plain for pair in self.pairs])
        return {
            "name": self.feature.name,
            "added_cpu_us_per_request": round(median(added), 2),
            "added_cpu_us_per_request_p25": round(percentile(added, 25), 2),
            "added_cpu_us_per_request_p75": round(percentile(added, 75), 2),
            "plain_cpu_us_per_request": round(plain, 2),
            "added_share": round(median(added) / plain, 4),
            "rounds": len(self.pairs),
            "requests": self.requests,
            "failed_requests": self.failed,
            **({} if limit is None else {"limit_us": limit}),
        }


class Bench:
    """Measures features of gateways."""

    def __init__(
        self, options: argparse.Namespace, children: Children, load: LoadGenerator
    ) -> None:
        self._options = options
        self._directory = children.directory
        self._load = load
        self._tokens = 0

    def warm_up(self, measured: Measured) -> None:
        """See that it is on, and let all there is to remember be remembered."""
        feature, gateway = measured.feature, measured.gateways.guarded
        if not is_on(feature, measured.prefix, gateway.port):
            raise StartError(f"{feature.name} is not on: {gateway.child.log_tail()}")
        if not feature.is_new_each_time:
            for is_plain in (True, False):
                self._run(measured, 0, is_plain, _WARM_UP_SECONDS)
        measured.requests = 0
        if feature.counted:
            self._wait_until_counted(feature.counted, measured.gateways)

    def _wait_until_counted(self, name: str, gateways: Gateways) -> None:
        """
        See that the gateway with the feature counts, and the other does not.

        Raises:
            StartError: that is not so.
        """
        if gateways.plain.metrics().get(name):
            raise StartError(f"{name} is not 0 where it should be")
        gateways.guarded.child.wait_until(
            lambda: gateways.guarded.metrics().get(name, 0) > 0, _COUNTED_SECONDS
        )

    def measure(self, measured: Measured, number: int) -> None:
        """One pair of rounds; which of the two comes first alternates."""
        first = self._tokens
        costs = {}
        for is_plain in (True, False) if number % 2 else (False, True):
            costs[is_plain] = self._run(measured, first, is_plain)
        self._tokens += self._options.tokens
        measured.pairs.append(Pair(costs[True], costs[False]))

    def _run(
        self, measured: Measured, first: int, is_plain: bool, seconds: float = _ROUND_SECONDS
    ) -> float:
        """CPU per request of one round."""
        prefix = PLAIN if is_plain else measured.prefix
        gateway = measured.gateways.plain if is_plain else measured.gateways.guarded
        script = self._script(measured.feature, prefix, first)
        before = _cpu_seconds(measured.feature, gateway)
        load = self._load.start_script(
            gateway.port,
            script,
            seconds=_LONGEST_SECONDS,
            connections=self._options.connections,
        )
        if not measured.feature.is_new_each_time:
            time.sleep(seconds)
            load.interrupt()
        outcome = load.outcome(within_seconds=30)
        time.sleep(measured.feature.settles_seconds)
        used = _cpu_seconds(measured.feature, gateway) - before
        measured.failed += outcome.failed
        measured.requests += outcome.requests
        return used * 1e6 / max(1, outcome.requests)

    def _script(self, feature: Feature, prefix: str, first: int) -> Path:
        is_new = feature.is_new_each_time
        path = self._directory / f"{feature.name}-{prefix}.lua"
        if is_new or not path.exists():
            count = self._options.tokens if is_new else feature.different
            heads = feature.heads(prefix, first if is_new else 0, count)
            path.write_text(wrk_script(heads, is_once=is_new, flags=feature.flags))
        return path


def _cpu_seconds(feature: Feature, gateway: Guarded) -> float:
    """What the processes have used that the feature has work for."""
    pids = (
        {gateway.worker_pid, gateway.child.pid} if feature.is_of_gateway else {gateway.worker_pid}
    )
    return sum(map(process_cpu_seconds, pids))


def format_rows(rows: Iterable[report.Row]) -> str:
    """The table, in the order of the features."""
    lines = [
        [
            row["name"],
            report.number(row["added_cpu_us_per_request"], 2),
            _range(row),
            f"{row['limit_us']:g}" if "limit_us" in row else "-",
            report.number(row["plain_cpu_us_per_request"], 1),
            f"{row['added_share']:.1%}",
            str(row["rounds"]),
            report.number(row["requests"], 0),
            str(row["failed_requests"]),
        ]
        for row in rows
    ]
    headings = [
        "", "added CPU µs/request", "half of the rounds", "at most", "plain route", "of which",
        "pairs of rounds", "requests", "failed",
    ]  # fmt: skip
    return report.table(headings, lines)


def _range(row: report.Row) -> str:
    low, high = (row[f"added_cpu_us_per_request_{quarter}"] for quarter in ("p25", "p75"))
    return f"{low:.2f} to {high:.2f}"


def verdict(rows: Iterable[report.Row], *, is_quick: bool) -> list[str]:
    """What makes the run a failure; so short a one says nothing of microseconds."""
    problems = []
    for row in rows:
        added, limit = row["added_cpu_us_per_request"], row.get("limit_us")
        if row["failed_requests"]:
            problems.append(f"{row['name']}: {row['failed_requests']} requests failed")
        if limit is not None and added > limit and not is_quick:
            problems.append(f"{row['name']}: adds {added:.2f} µs, and may add {limit:g}")
    return problems


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench policy", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two pairs of rounds each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    parser.add_argument("--only", metavar="NAMES", help="for example jwt_cached,cors")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, help="pairs of them")
    parser.add_argument("--tokens", type=int, help="in a round where every one is new")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (2 if options.quick else 20)
    options.tokens = options.tokens or (1000 if options.quick else 3000)
    return options


def choose(names: str | None, among: Sequence[Feature]) -> list[Feature]:
    """
    Those named in `names` (separated by commas); all if that is None.

    Raises:
        StartError: a name is unknown.
    """
    if names is None:
        return list(among)
    wanted = names.split(",")
    unknown = set(wanted) - {feature.name for feature in among}
    if unknown:
        known = ", ".join(feature.name for feature in among)
        raise StartError(f"unknown: {', '.join(sorted(unknown))}; there are {known}")
    return [feature for feature in among if feature.name in wanted]


def run(options: argparse.Namespace, children: Children) -> list[dict[str, Any]]:
    """
    Measure them all.

    Raises:
        StartError: something that is needed is not installed, or did not start.
    """
    cores = divide_available()
    load = LoadGenerator(children, cpus=cores.others)
    print(f"{report.machine()}\n{cores.describe()}; load by {load.describe()}")
    known = Credentials.make()
    chosen = choose(options.only, features(known))
    prefixes = {
        feature.name: PLAIN if feature.is_of_gateway else f"v{number:02d}"
        for number, feature in enumerate(chosen, 1)
    }
    secret = children.directory / "shared"
    secret.write_text(known.secret)
    routes = [route(prefixes[one.name], one.policies) for one in chosen if not one.is_of_gateway]
    entities = {**known.entities(str(secret)), "routes": [route(PLAIN, {}), *routes]}
    with _valkey(children) as redis:
        upstream = start_upstream(children, ("one", "two"), cpus=cores.others)
        collector = start_collector(children, cpus=cores.others)
        gateways: dict[str, Guarded] = {}

        def gateway(settings: str) -> Guarded:
            """The one with these settings, of those that have been started."""
            if settings not in gateways:
                gateways[settings] = start_guarded(
                    children,
                    {**entities, "services": [service(upstream.ports.values())]},
                    redis=redis,
                    cpus=cores.proxy,
                    name=f"gateway-{len(gateways)}",
                    more=settings.replace("{collector}", collector),
                )
            return gateways[settings]

        found = [
            Measured(one, prefixes[one.name], Gateways(gateway(one.beside), gateway(one.settings)))
            for one in chosen
        ]
        print(
            f"{options.connections} keep-alive connections, {options.rounds} pairs of rounds of "
            f"{_ROUND_SECONDS:g} s, {options.tokens} tokens a round where each is new\n"
        )
        _measure(Bench(options, children, load), found, options.rounds)
        for one in gateways.values():
            children.stop(one.child)
    return [measured.row() for measured in found]


@contextmanager
def _valkey(children: Children) -> Iterator[str]:
    """The URL of a server of our own."""
    server = ValkeyServer(children.directory / "valkey")
    server.start()
    try:
        yield server.url
    finally:
        with undisturbed():
            server.stop()


def _measure(bench: Bench, found: Sequence[Measured], rounds: int) -> None:
    for measured in found:
        bench.warm_up(measured)
    for number in range(1, rounds + 1):
        for measured in found:
            if not measured.feature.is_new_each_time or number <= _FIRST_ROUNDS:
                bench.measure(measured, number)
            if measured.feature.limit_us is not None:  # what is judged is measured twice as often
                bench.measure(measured, number + 1)
        print(f"round {number}/{rounds}", flush=True)


def main() -> None:
    options = parse()
    rows = run_with_children(run, options)
    print(f"\n{format_rows(rows)}")
    conditions = {key: getattr(options, key) for key in ("connections", "rounds", "tokens")}
    report.write(options.json, "policy", rows, conditions)
    problems = verdict(rows, is_quick=options.quick)
    if problems:
        sys.exit("\n".join(problems))
    print("\nin so short a run no microseconds are judged" if options.quick else _WITHIN)


if __name__ == "__main__":
    main()
