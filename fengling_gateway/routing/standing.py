"""How instances stand with a worker: what speaks for or against sending to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from fengling_gateway.balancing.instance import InstanceState
from fengling_gateway.routing.snapshot import Snapshot

EjectedFor = Callable[[InstanceState], float | None]

SHOWN: Final = 1000
"""Instances in one answer."""


def standing(state: InstanceState, snapshot: Snapshot, ejected_for: EjectedFor) -> dict[str, Any]:
    """
    Return what speaks for or against sending to an instance.

    ``reason`` says in words why it gets nothing new; null where it does, or would but
    for the others' health.
    """
    instance, seconds = state.instance, ejected_for(state)
    is_off = instance.id in snapshot.overrides.instances
    reason = None
    if is_off:
        reason = "switched off"
    elif instance.refused is not None:
        reason = instance.refused
    elif not instance.is_ready:
        reason = instance.state if instance.state != "ready" else "weight 0"
    elif seconds is not None:
        reason = f"ejected for {seconds:.0f} s"
    elif not instance.is_healthy:
        stale = snapshot.overrides.health_is_stale
        reason = None if stale else "unhealthy"
    return {
        "instance": instance.id,
        "address": instance.address,
        "health": instance.health,
        "switched_off": is_off,
        "ejected_for": seconds,
        "failures": state.failures,
        "reason": reason,
    }


def show_instances(
    snapshot: Snapshot, ids: Iterable[str] | None, ejected_for: EjectedFor
) -> list[dict[str, Any]]:
    """
    Return how instances stand with this worker: at most `SHOWN` of them.

    Args:
        ids: of which; None: of those that are switched off, ejected or have failed since
            they last answered.
    """
    found = _marked(snapshot) if ids is None else _named(snapshot, ids)
    return [
        {
            **standing(state, snapshot, ejected_for),
            "service": state.instance.service_id,
            "in_flight": state.in_flight,
            "requests": state.picked,
        }
        for state in islice(found, SHOWN)
    ]


def _named(snapshot: Snapshot, ids: Iterable[str]) -> Iterator[InstanceState]:
    for instance_id in ids:
        body = snapshot.bodies["instance"].get(instance_id)
        service = snapshot.services.get(json.loads(body)["service_id"]) if body else None
        for state in () if service is None else service.states:
            if state.id == instance_id:
                yield state


def _marked(snapshot: Snapshot) -> Iterator[InstanceState]:
    off = snapshot.overrides.instances
    for service in snapshot.services.values():
        for state in service.states:
            if state.failures or state.ejected_until or state.id in off:
                yield state
