"""Positions and workers as JSON values, for the management API and for other nodes."""

from __future__ import annotations

from typing import Any

from fengling_gateway.model.delta import Position
from fengling_gateway.model.effective import Rejection
from fengling_gateway.model.entity import Key
from fengling_gateway.supervisor.link import WorkerLink


def position_values(position: Position | None) -> dict[str, Any] | None:
    return None if position is None else position._asdict()


def rejection_values(key: Key, rejection: Rejection) -> dict[str, Any]:
    """Return one rejected entity: what is wrong with it, and what it serves instead."""
    return {
        "kind": key.kind,
        "id": key.id,
        "serving": rejection.serving,
        "problems": [
            {"path": one.path, "code": one.code, "message": one.message}
            for one in rejection.problems
        ],
    }


def worker_values(link: WorkerLink, *, now: float) -> dict[str, Any]:
    """Return one worker as the management API and other nodes show it; ``now`` is monotonic."""
    served = link.served
    propagation = served.propagation_seconds
    return {
        "worker": link.name,
        "pid": link.pid,
        "slot": link.slot,
        "state": link.state.value,
        "reads_slots": sorted(link.read_slots),
        "epoch": served.position.epoch if served.position else None,
        "revision": served.position.revision if served.position else None,
        "content_hash": f"{served.content_hash:032x}",
        "applied_at": served.applied_at,
        "propagation_ms": None if propagation is None else round(propagation * 1000, 3),
        "lag_ms": link.lag_ms,
        "longest_lag_ms": link.longest_lag_ms,
        "blocked_ms": link.blocked_ms,
        "longest_blocked_ms": link.longest_blocked_ms,
        "overload": link.overload,
        "uptime_s": round(now - link.started_at, 1),
        "traffic": link.traffic.values(now=now),
        "deltas": served.deltas,
        "failed": served.failed,
        "refused_instances": served.refused_total,
        "last_delta": {
            "received_bytes": served.last_received_bytes,
            "compiled": served.last_compiled,
        },
    }
