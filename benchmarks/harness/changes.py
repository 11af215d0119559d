"""Measuring changes of configuration on a running scene: single ones, their cost, and bursts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.harness.configuration import Writer, Writers, connected, newest_revision
from benchmarks.harness.lateness import idling
from benchmarks.harness.node import LagSampler
from benchmarks.harness.prober import Prober
from benchmarks.harness.quantiles import median, percentile
from benchmarks.harness.scene import Scene

_POLL_SECONDS: Final = 0.0005
_BURST_POLL_SECONDS: Final = 0.002
_CHANGE_SECONDS: Final = 10.0
_BURST_SECONDS: Final = 60.0
_QUIET_SECONDS: Final = 2.5
"""After it, a heartbeat tells of nothing older."""

_WRITERS: Final = 4


@dataclass(frozen=True, slots=True)
class ChangeSample:
    """One change, in seconds: until every worker served it, and what COMMIT took of that."""

    served: float
    after_commit: float
    commit: float


def measure_change(writer: Writer, prober: Prober) -> ChangeSample:
    """
    Switch the probe route, and watch every worker.

    Raises:
        ProbeError: a worker did not serve it in time.
    """
    prober.prepare()
    side = writer.flip_probe()
    commit = writer.commit()
    try:
        seen = prober.watch(
            lambda answer: answer.instance == side,
            pause_seconds=_POLL_SECONDS,
            within_seconds=_CHANGE_SECONDS,
        )
    finally:
        commit.wait()
    last = max(seen.values())
    return ChangeSample(
        served=last - commit.sent_at,
        after_commit=last - commit.returned_at,
        commit=commit.returned_at - commit.sent_at,
    )


def measure_changes(play: Scene, count: int) -> list[ChangeSample]:
    """So many changes, with pauses of random length between them."""
    rng = random.Random(17)
    samples = []
    with connected(play.cluster.database) as connection:
        writer = Writer(connection)
        measure_change(writer, play.prober)  # connections and plans are warm after it
        play.prober.slowest_seconds()
        for _ in range(count):
            time.sleep(rng.uniform(0.02, 0.06))
            samples.append(measure_change(writer, play.prober))
    return samples


def change_metrics(samples: Sequence[ChangeSample]) -> dict[str, Any]:
    """Their percentiles, in milliseconds."""
    served = [sample.served * 1000 for sample in samples]
    return {
        "p50_ms": round(percentile(served, 50), 2),
        "p99_ms": round(percentile(served, 99), 2),
        "max_ms": round(max(served), 2),
        "p50_after_commit_ms": round(median([s.after_commit * 1000 for s in samples]), 2),
        "commit_p50_ms": round(median([s.commit * 1000 for s in samples]), 2),
        "samples": len(samples),
    }


def measure_cost(play: Scene) -> dict[str, int]:
    """What one changed route costs: rows read, bytes to a worker, objects compiled in it."""
    rows_before = play.node.status()["source"]["rows_read"]
    with connected(play.cluster.database) as connection:
        measure_change(Writer(connection), play.prober)
    status = play.node.status()
    deltas = [worker["last_delta"] for worker in status["workers"]]
    return {
        "rows_read_per_change": status["source"]["rows_read"] - rows_before,
        "bytes_to_a_worker_per_change": max(delta["received_bytes"] for delta in deltas),
        "objects_compiled_per_change": max(_count(delta["compiled"]) for delta in deltas),
    }


def _count(compiled: Any) -> int:
    """Counters come by kind or summed up."""
    return sum(compiled.values()) if isinstance(compiled, dict) else int(compiled)


def one_transaction(dsn: str, changes: int) -> float:
    """Change so many routes in one transaction; returns when COMMIT was answered."""
    with connected(dsn) as connection:
        writer = Writer(connection)
        if writer.change_routes(1, changes, "burst-1") != changes:
            raise ValueError(f"there are no {changes} routes to change")
        commit = writer.commit()
        commit.wait()
        return commit.returned_at


def many_transactions(dsn: str, changes: int) -> float:
    """The same, each in a transaction of its own, through several connections."""
    return Writers(dsn, changes=changes, connections=_WRITERS, mark="burst-n").run()


def measure_burst(play: Scene, changes: int, write: Callable[[str, int], float]) -> dict[str, Any]:
    """
    Have `write` make so many changes, and watch every worker reach the last of them.

    Raises:
        ProbeError: a worker did not in time.
    """
    dsn = play.cluster.database
    time.sleep(_QUIET_SECONDS)
    before = newest_revision(dsn)
    with idling(play.children) as idle, LagSampler(play.node).sampling() as lag:
        began = time.perf_counter()
        committed_at = write(dsn, changes)
        head = newest_revision(dsn)
        play.prober.prepare()
        seen = play.prober.watch(
            lambda answer: answer.revision >= head,
            pause_seconds=_BURST_POLL_SECONDS,
            within_seconds=_BURST_SECONDS,
        )
        time.sleep(_QUIET_SECONDS)
    return {
        "changes": changes,
        "transactions": head - before,
        "writing_s": round(committed_at - began, 2),
        "converged_ms": round((max(seen.values()) - committed_at) * 1000, 1),
        "reactor_blocked_max_ms": round(lag.blocked_ms, 1),
        "reactor_late_max_ms": round(lag.longest_ms, 1),
        "idle_process_late_max_ms": round(idle.longest_ms, 1),
    }
