"""What a console tells of health: as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fengling_gateway.health.outcomes import Failed, Outcome, Passed
from fengling_gateway.health.watched import Watched


def instant(at: float | None) -> str | None:
    """Write a time as ISO 8601 does, in UTC."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """Say what a probe came to: passed, failed, or not_probed (which is not held against it)."""
    if isinstance(outcome, Passed):
        return {"outcome": "passed", "seen": outcome.seen, "ms": _ms(outcome.seconds)}
    if isinstance(outcome, Failed):
        return {"outcome": "failed", "seen": outcome.why, "ms": _ms(outcome.seconds)}
    return {"outcome": "not_probed", "seen": outcome.why, "ms": None}


def watched_document(watched: Watched, next_probe: float | None, now: float) -> dict[str, Any]:
    """Return what is known of an instance that is probed; `now` on the clock of probing."""
    standing = watched.standing
    last = None
    if watched.outcome is not None:
        last = {"at": instant(watched.seen_at), **outcome_document(watched.outcome)}
    held_for = standing.held_until - now
    return {
        "service_id": watched.target.service_id,
        "address": watched.target.address,
        "health": standing.health,
        "reason": standing.reason,
        "since": instant(watched.since),
        "passes": standing.passes,
        "failures": standing.failures,
        "failures_reported": standing.reported,
        "rise": watched.target.check.thresholds.rise,
        "fall": watched.target.check.thresholds.fall,
        "held_down_s": round(held_for, 1) if held_for > 0 else None,
        "last_probe": last,
        "next_probe_s": None if next_probe is None else round(next_probe, 2),
        "evidence": _evidence(watched, now),
        "not_probed": None,
    }


def _evidence(watched: Watched, now: float) -> dict[str, Any] | None:
    if watched.report is None:
        return None
    node, report = watched.report
    return {
        "node": node,
        "failures": report.failures,
        "successes": report.successes,
        "error": report.error,
        "is_ejected": report.is_ejected,
        "age_s": round(now - watched.heard_at, 1),
    }


def unwatched_document(service_id: str, health: tuple[str, str | None], why: str) -> dict[str, Any]:
    """Return what is known of an instance that this console does not probe, and why not."""
    return {
        "service_id": service_id,
        "health": health[0],
        "reason": health[1],
        "last_probe": None,
        "not_probed": why,
    }


def counts_document(*counts: Mapping[str, int]) -> dict[str, int]:
    joined: dict[str, int] = {}
    for one in counts:
        joined.update(one)
    return joined


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
