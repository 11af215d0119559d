"""What a scrape of a host with many routes and workers takes, and what it takes of a worker.

A gateway has served requests of every route by every worker; some have failed. Then it
is scraped, and gathers its workers' counters for that. "worker CPU ms" is all that a scrape
takes of the busiest worker, in several turns of its reactor; "blocked ms" the longest
turn of any worker while it is scraped, without what it waited for a processor, "quiet ms"
the same while it is not.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import report
from benchmarks.harness.children import Children, StartError, run_with_children
from benchmarks.harness.guarded import Guarded, route, start_guarded
from benchmarks.harness.proc import process_cpu_seconds
from benchmarks.harness.quantiles import median
from benchmarks.harness.upstream import start_upstream

SERIES: Final = 20_000
SCRAPE_MS: Final = 250.0
WORKER_MS: Final = 5.0

_SERVICES: Final = 500
_SETTINGS: Final = "[limits]\nkeepalive_requests = 1000000\n[debug]\nworker_header = true\n"
_WORKER: Final = b"x-gateway-worker: "
_BATCH: Final = 50
"""Requests that are sent before their answers are read."""

_MOST_TRIES: Final = 2000
_IO_SECONDS: Final = 20.0

_HEARTBEAT_SECONDS: Final = 1.1
"""A worker says each second how long its turns were."""

_QUIET_SECONDS: Final = 8


def entities(routes: int, ports: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
    """So many routes, of each tenth service one without instances."""
    instances = [f"http://127.0.0.1:{port}" for port in ports]
    services = [
        {
            "id": f"service-{number:03d}",
            "instances": [
                {"id": f"i-{number:03d}-{one}", "address": address}
                for one, address in enumerate(instances if number % 10 else ())
            ],
        }
        for number in range(_SERVICES)
    ]
    found = [
        {**route(f"route-{number:05d}", {}), "service_id": f"service-{number % _SERVICES:03d}"}
        for number in range(routes)
    ]
    return {"services": services, "routes": found}


class Client:
    """A connection that asks for routes in turn."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_IO_SECONDS)
        self._rest = b""

    def close(self) -> None:
        self._socket.close()

    def ask(self, numbers: Iterable[int]) -> bytes:
        """Ask for some routes, and return the head of the last answer."""
        lines = [
            f"GET /route-{number:05d}/x HTTP/1.1\r\nHost: h.example\r\n\r\n" for number in numbers
        ]
        self._socket.sendall("".join(lines).encode())
        head = b""
        for _ in lines:
            head = self._answer()
        return head

    def _answer(self) -> bytes:
        while b"\r\n\r\n" not in self._rest:
            self._receive()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        lower = head.lower()
        length = int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(self._rest) < length:
            self._receive()
        self._rest = self._rest[length:]
        return lower

    def _receive(self) -> None:
        more = self._socket.recv(65536)
        if not more:
            raise StartError("the gateway closes connections")
        self._rest += more


@contextmanager
def clients(gateway: Guarded, workers: int) -> Iterator[list[Client]]:
    """
    One of each worker: connections are made until each has accepted one.

    Raises:
        StartError: some do not accept any.
    """
    found: dict[bytes, Client] = {}
    try:
        for _ in range(_MOST_TRIES):
            client = Client(gateway.port)
            worker = client.ask([0]).partition(_WORKER)[2].partition(b"\r\n")[0]
            if worker in found:
                client.close()
            else:
                found[worker] = client
            if len(found) == workers:
                break
        else:
            raise StartError(f"only {len(found)} of {workers} workers accept connections")
        yield list(found.values())
    finally:
        for client in found.values():
            client.close()


def serve_all(gateway: Guarded, routes: int, workers: int) -> None:
    """Have every worker serve every route twice, each in an order of its own."""
    with clients(gateway, workers) as found:
        for turn in range(2):
            for first in range(0, routes, _BATCH):
                for number, client in enumerate(found):
                    start = first + number * routes // workers
                    client.ask((start + one) % routes for one in range(_BATCH))
            print(f"served all: {turn + 1}/2", flush=True)


def longest_turn(gateway: Guarded) -> float:
    """Milliseconds of the longest turn in any worker's last second, as it says itself."""
    return max(worker["blocked_ms"] for worker in gateway.node.workers())


def quiet_turn(gateway: Guarded) -> float:
    """The same, while nothing happens, at the median of some seconds."""
    found = []
    for _ in range(_QUIET_SECONDS):
        time.sleep(1)
        found.append(longest_turn(gateway))
    return median(found)


def scrape(gateway: Guarded, pids: Sequence[int], number: int) -> dict[str, Any]:
    """Scrape so many times, and return what it took."""
    times, sizes, turns = [], [], []
    url = f"http://127.0.0.1:{gateway.management_port}/metrics"
    processes = (gateway.child.pid, *pids)
    used = [0.0] * len(processes)
    for _ in range(number):
        before = [process_cpu_seconds(pid) for pid in processes]
        began = time.perf_counter()
        with urllib.request.urlopen(url, timeout=_IO_SECONDS) as answer:
            text = answer.read()
        times.append((time.perf_counter() - began) * 1000)
        sizes.append(len(text))
        after = [process_cpu_seconds(pid) for pid in processes]
        used = [a + b - c for a, b, c in zip(used, after, before, strict=True)]
        time.sleep(_HEARTBEAT_SECONDS)
        turns.append(longest_turn(gateway))
    own, *workers = used
    return {
        "series": sum(not line.startswith(b"#") for line in text.splitlines()),
        "bytes": sizes[-1],
        "scrape_ms": round(median(times), 1),
        "scrape_ms_fastest": round(min(times), 1),
        "supervisor_cpu_ms": round(own * 1000 / number, 1),
        "worker_cpu_ms": round(max(workers) * 1000 / number, 2),
        "worker_blocked_ms": round(median(turns), 2),
        "worker_blocked_ms_worst": round(max(turns), 2),
        "scrapes": number,
    }


def format_row(row: report.Row) -> str:
    headings = ["routes", "workers", "series", "KB", "ms", "fastest", "supervisor CPU ms", "worker CPU ms", "blocked ms", "worst", "quiet ms"]  # fmt: skip
    line = [
        f"{row['routes']:,}",
        str(row["workers"]),
        f"{row['series']:,}",
        f"{row['bytes'] / 1000:,.0f}",
        report.number(row["scrape_ms"], 1),
        report.number(row["scrape_ms_fastest"], 1),
        report.number(row["supervisor_cpu_ms"], 1),
        report.number(row["worker_cpu_ms"], 2),
        report.number(row["worker_blocked_ms"], 2),
        report.number(row["worker_blocked_ms_worst"], 2),
        report.number(row["quiet_blocked_ms"], 2),
    ]
    return report.table(headings, [line])


def verdict(row: report.Row, *, is_quick: bool) -> list[str]:
    """What makes the run a failure; a quick one judges no times."""
    problems = []
    if row["series"] > SERIES:
        problems.append(f"{row['series']:,} series, and there may be {SERIES:,}")
    if row["scrape_ms"] > SCRAPE_MS and not is_quick:
        problems.append(f"a scrape takes {row['scrape_ms']:g} ms, and may take {SCRAPE_MS:g}")
    blocked = row["worker_blocked_ms"]
    if blocked > WORKER_MS and not is_quick:
        problems.append(f"a worker is kept for {blocked:g} ms at a time, at most {WORKER_MS:g}")
    return problems


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench scrape", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 routes and 2 workers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the row there, too")
    parser.add_argument("--routes", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--scrapes", type=int, default=20)
    options = parser.parse_args(arguments)
    options.routes = options.routes or (1000 if options.quick else 10_000)
    options.workers = options.workers or (2 if options.quick else 8)
    return options


def run(options: argparse.Namespace, children: Children) -> dict[str, Any]:
    """
    Measure it.

    Raises:
        StartError: something that is needed did not start.
    """
    print(report.machine())
    upstream = start_upstream(children, ("one", "two"), cpus=None)
    gateway = start_guarded(
        children,
        entities(options.routes, tuple(upstream.ports.values())),
        workers=options.workers,
        more=_SETTINGS,
    )
    serve_all(gateway, options.routes, options.workers)
    pids = [worker["pid"] for worker in gateway.node.workers()]
    scrape(gateway, pids, 2)
    quiet = quiet_turn(gateway)
    found = {**scrape(gateway, pids, options.scrapes), "quiet_blocked_ms": round(quiet, 2)}
    children.stop(gateway.child)
    return {"name": "scrape", "routes": options.routes, "workers": options.workers, **found}


def main() -> None:
    options = parse()
    row = run_with_children(run, options)
    print(f"\n{format_row(row)}")
    report.write(options.json, "scrape", [row], {"scrapes": options.scrapes})
    problems = verdict(row, is_quick=options.quick)
    if problems:
        sys.exit("\n".join(problems))
    print("\nso quick a run judges no times" if options.quick else "\nwithin its limits")


if __name__ == "__main__":
    main()
