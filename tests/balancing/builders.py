"""Service and instance bodies, valid unless a test says otherwise, and what is compiled of them."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from fengling_gateway.balancing.instance import Instance, InstanceState, compile_instance
from fengling_gateway.balancing.service import Service, compile_service
from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate

Body = dict[str, Any]


def make_service_body(service_id: str = "s", **given: Any) -> Body:
    """A canonical service body: what validation makes of an id, and what is given."""
    return {**_canonical("service", service_id), **given}


def make_instance_body(instance_id: str = "i", **given: Any) -> Body:
    """A canonical instance body."""
    row = {"service_id": "s", "address": "http://192.0.2.1:8080"}
    return {**_canonical("instance", instance_id, **row), **given}


def _canonical(kind: str, entity_id: str, **row: Any) -> Body:
    verdict = validate(Key(kind, entity_id), row)
    assert isinstance(verdict, Accepted), verdict
    body: Body = json.loads(verdict.body)
    return body


def make_instance(
    instance_id: str = "i",
    health: str = "healthy",
    networks: UpstreamNetworks | None = None,
    **given: Any,
) -> Instance:
    body = make_instance_body(instance_id, **given)
    return compile_instance(body, health, networks or UpstreamNetworks())


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
