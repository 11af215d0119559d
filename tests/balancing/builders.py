"""Service and instance bodies, valid unless a test says otherwise, and what is compiled of them."""

from __future__ import annotations

from random import Random
from typing import Any

from fengling_gateway.balancing.instance import Instance, InstanceState, compile_instance
from fengling_gateway.balancing.service import Service, compile_service

Body = dict[str, Any]


def make_service_body(service_id: str = "s", **given: Any) -> Body:
    """A canonical service body."""
    body: Body = {
        "id": service_id,
        "name": None,
        "enabled": True,
        "balancing": "power_of_two",
        "protocol": "http1",
        "host_header": "client",
        "connect_timeout": 3.0,
        "first_byte_timeout": 30.0,
        "idle_timeout": 60.0,
        "tenant_spill": False,
        "health_check": None,
        "affinity": None,
        "tls": None,
        "policies": {},
    }
    return {**body, **given}


def make_instance_body(instance_id: str = "i", **given: Any) -> Body:
    """A canonical instance body."""
    body: Body = {
        "id": instance_id,
        "service_id": "s",
        "tenant_id": None,
        "address": "http://192.0.2.1:8080",
        "weight": 1,
        "state": "ready",
        "zone": None,
    }
    return {**body, **given}


def make_instance(instance_id: str = "i", health: str = "healthy", **given: Any) -> Instance:
    return compile_instance(make_instance_body(instance_id, **given), health)


def make_states(*weights: int) -> list[tuple[InstanceState, int]]:
    """States of instances i0, i1, … with their weights: what a choice is made among."""
    return [
        (InstanceState(make_instance(f"i{number}", weight=weight)), weight)
        for number, weight in enumerate(weights)
    ]


def make_service(
    *instances: Instance, previous: Service | None = None, seed: int = 1, **given: Any
) -> Service:
    """A service of these instances; those which `previous` has keep their state."""
    known = {state.id: state for state in previous.states} if previous is not None else {}
    states = tuple(known.get(one.id) or InstanceState(one) for one in instances)
    return compile_service(make_service_body(**given), instances, states, Random(seed), previous)
