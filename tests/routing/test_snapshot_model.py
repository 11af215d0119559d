"""Snapshots built delta by delta against snapshots built from nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.balancing.choices import POLICIES
from fengling_gateway.balancing.instance import InstanceState
from fengling_gateway.balancing.overrides import Overrides
from fengling_gateway.model.delta import Change
from fengling_gateway.model.ejection import DEFAULT_EJECTION
from fengling_gateway.routing.overriding import override
from fengling_gateway.routing.snapshot import CompileContext, HashMismatch, Snapshot
from tests.balancing.builders import make_instance_body, make_service_body
from tests.routing.builders import Body, make_body
from tests.routing.deltas import (
    ROUTES,
    TENANTS,
    all_bodies,
    change,
    cold,
    make_context,
    make_delta,
    served,
)
from tests.routing.strategies import requests

SERVICES = ["s1", "s2", "s3"]
INSTANCES = [f"i{number}" for number in range(5)]
some_tenant = st.sampled_from([None, *TENANTS])
some_service = st.sampled_from([*SERVICES, "dangling"])

edits = st.sampled_from(
    [None, {"set": {"X-A": "1"}, "add": {}, "remove": ["X-B"]}, {"set": {"X_Who": "2"}}]
)
policies = st.fixed_dictionaries(
    {},
    optional={
        "path": st.sampled_from([None, {"strip": "/a", "prefix": None}, {"prefix": "/b"}]),
        "request_headers": edits,
        "response_headers": edits,
        "timeouts": st.sampled_from([None, {"total": 5.0}, {"idle": 9.0}]),
        "retry": st.sampled_from([None, {"attempts": 2}]),
        "limits": st.sampled_from([None, {"max_request_body": 9}]),
        "ejection": st.sampled_from([None, DEFAULT_EJECTION]),
    },
)


def actions() -> st.SearchStrategy[Body]:
    """What a route does: exactly one of four."""
    nothing = {"service_id": None, "split": None, "redirect": None, "respond": None}
    return st.one_of(
        st.builds(lambda service: {**nothing, "service_id": service}, some_service),
        st.builds(lambda service: {**nothing, "service_id": service}, some_service),
        st.dictionaries(some_service, st.integers(0, 3), min_size=1, max_size=3).map(
            lambda split: {**nothing, "split": split}
        ),
        st.just({**nothing, "redirect": {"status": 302, "location": "https://n{path}"}}),
        st.just({**nothing, "respond": {"status": 200, "headers": {}, "body": "ok"}}),
    )


routes = st.builds(
    lambda route_id, path, action, given: make_body(route_id, path, **action, **given),
    st.sampled_from(ROUTES),
    st.sampled_from(["/{**rest}", "/a/{**rest}", "/a", "/b/{x}"]),
    actions(),
    st.fixed_dictionaries(
        {"policies": policies, "tenant_id": some_tenant, "enabled": st.booleans()}
    ),
)
services = st.builds(
    make_service_body,
    st.sampled_from(SERVICES),
    enabled=st.sampled_from([True, True, False]),
    balancing=st.sampled_from(sorted(POLICIES)),
    tenant_spill=st.booleans(),
    policies=policies,
)
instances = st.builds(
    make_instance_body,
    st.sampled_from(INSTANCES),
    service_id=some_service,
    tenant_id=some_tenant,
    address=st.sampled_from(["http://192.0.2.1:8080", "http://192.0.2.2:8080"]),
    weight=st.integers(0, 2),
    state=st.sampled_from(["ready", "ready", "drain"]),
)
reports = st.builds(
    lambda instance_id, health: {"id": instance_id, "health": health, "reason": None},
    st.sampled_from(INSTANCES),
    st.sampled_from(["healthy", "unhealthy"]),
)
tenants = st.builds(
    lambda tenant_id, enabled, hosts: {
        "id": tenant_id,
        "name": None,
        "enabled": enabled,
        "hosts": hosts,
        "path_prefix": None,
        "limits": {},
    },
    st.sampled_from(TENANTS),
    st.booleans(),
    st.lists(st.sampled_from(["example.com", "*.example.com", "other.org"]), max_size=2),
)
live = st.one_of(
    st.builds(lambda value: {"key": "defaults", "value": value}, policies),
    st.sampled_from(
        [
            {"key": "trusted_proxies", "value": ["10.0.0.0/8", "2001:db8::/32"]},
            {"key": "identity_headers", "value": {"user": "X-Who"}},
            {"key": "hold", "value": {"max_removed_share": 0.1}},
        ]
    ),
)
changes = st.one_of(
    st.builds(lambda body: change("route", body), routes),
    st.builds(lambda body: change("service", body), services),
    st.builds(lambda body: change("instance", body), instances),
    st.builds(lambda body: change("instance_health", body), reports),
    st.builds(lambda body: change("tenant", body), tenants),
    st.builds(lambda body: change("setting", body, body["key"]), live),
)
keys = changes.map(lambda drawn: drawn.key)
deltas = st.lists(
    st.one_of(changes, changes, changes, keys.map(lambda key: Change(key, None))), max_size=12
)


overrides = st.builds(
    Overrides,
    st.frozensets(st.sampled_from(ROUTES)),
    st.frozensets(st.sampled_from(INSTANCES), max_size=3),
    st.booleans(),
)


def apply(
    snapshot: Snapshot, drawn: list[Change], context: CompileContext, *, full: bool = False
) -> Snapshot:
    """Apply a delta in three parts and in steps, as a worker does."""
    delta = make_delta(snapshot, *drawn, full=full)
    builder = snapshot.applying(delta, context)
    third = len(drawn) // 3 + 1
    for start in range(0, len(drawn), third):
        builder.add(iter(drawn[start : start + third]))
    while builder.step(1):
        pass
    return builder.finish()


def states_of(snapshot: Snapshot) -> dict[str, InstanceState]:
    return {state.id: state for service in snapshot.services.values() for state in service.states}


class SnapshotModelTests:
    @given(st.lists(deltas, min_size=1, max_size=6), st.lists(requests(), max_size=5))
    def test_incremental_equals_rebuilt(self, drawn: list[list[Change]], asked: list[Any]) -> None:
        """However a configuration came about, it serves what its bodies say."""
        context = make_context()
        snapshot = Snapshot.empty()
        for one in drawn:
            snapshot = apply(snapshot, one, context)
            assert served(snapshot, asked) == served(cold(snapshot), asked)
        assert not context.failed

    @given(st.lists(st.one_of(deltas, overrides), min_size=2, max_size=8), st.lists(requests()))
    def test_overrides_hold_whenever_they_come(
        self, drawn: list[list[Change] | Overrides], asked: list[Any]
    ) -> None:
        """Before or after what they are about, as if they had been there from the beginning."""
        context = make_context()
        snapshot = Snapshot.empty()
        for one in drawn:
            if isinstance(one, Overrides):
                snapshot = override(snapshot, one, context)
            else:
                snapshot = apply(snapshot, one, context)
            assert snapshot.overrides == context.overrides
            assert served(snapshot, asked) == served(cold(snapshot), asked)

    @given(st.lists(deltas, min_size=1, max_size=4), st.lists(deltas, max_size=4))
    def test_full_delta_replaces_everything(
        self, before: list[list[Change]], after: list[list[Change]]
    ) -> None:
        """A full delta leads to the same from anywhere, and keeps the states of who stays."""
        context = make_context()
        snapshot, wanted = Snapshot.empty(), Snapshot.empty()
        for one in before:
            snapshot = apply(snapshot, one, context)
        for one in after:
            wanted = apply(wanted, one, make_context())
        bodies = [Change(key, body) for key, body in all_bodies(wanted).items()]
        states = states_of(snapshot)
        replaced = apply(snapshot, bodies, context, full=True)
        assert served(replaced) == served(wanted)
        for state in states_of(replaced).values():
            was = states.get(state.id)
            if was is not None and was.instance.has_address_of(state.instance):
                assert state is was

    @given(st.lists(deltas, min_size=2, max_size=8))
    def test_states_survive_and_retire(self, drawn: list[list[Change]]) -> None:
        """A state is kept while id and address are, and retired exactly when it leaves."""
        context = make_context()
        snapshot = Snapshot.empty()
        for one in drawn:
            before, was = states_of(snapshot), snapshot
            addresses = {name: state.instance for name, state in before.items()}
            snapshot = apply(was, one, context)
            after = states_of(snapshot)
            assert set(snapshot.retired) == set(before.values()) - set(after.values())
            assert all(state.retired for state in snapshot.retired)
            assert not any(state.retired for state in after.values())
            for name, state in after.items():
                if name in before and addresses[name].has_address_of(state.instance):
                    assert state is before[name]

    @given(deltas, deltas)
    def test_delta_that_misleads_changes_nothing(
        self, first: list[Change], second: list[Change]
    ) -> None:
        """A delta that does not lead where it said leaves snapshot and states as they were."""
        context = make_context()
        snapshot = apply(Snapshot.empty(), first, context)
        before = served(snapshot)
        builder = snapshot.applying(make_delta(snapshot), context)
        builder.add([*second, change("setting", {"key": "hold", "value": 1}, "hold")])
        with pytest.raises(HashMismatch, match="announced"):
            builder.finish()
        assert served(snapshot) == before
        assert served(snapshot) == served(cold(snapshot))
