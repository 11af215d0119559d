"""States of nodes of another version, or of none."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.console.fleet import FleetWatch
from fengling_gateway.console.node_states import is_unknown, readable
from fengling_gateway.model.delta import Position

WORKER = {
    "worker": "w1",
    "pid": 4711,
    "slot": 0,
    "state": "serving",
    "reads_slots": [0],
    "epoch": "e",
    "revision": 8,
    "propagation_ms": 3.5,
    "lag_ms": 0.1,
    "uptime_s": 60.0,
    "traffic": {"requests_per_s": 10.0, "p99_ms": None},
}
STATE = {
    "node": "n1",
    "version": "1.0",
    "started_at": 1_700_000_000.0,
    "state": "serving",
    "draining": False,
    "pinned": None,
    "health": "fresh",
    "switches": ["route/r1"],
    "position": {"epoch": "e", "revision": 8, "token": "t"},
    "rejected": 0,
    "held": None,
    "held_position": None,
    "served_from": "database",
    "applied_ms": 3.5,
    "host": "10.0.0.1",
    "listeners": [{"name": "web", "address": "0.0.0.0:80", "tls": False}],
    "traffic": {"requests_per_s": 10.0, "p99_ms": None},
    "workers": [WORKER],
    "live": True,
    "seen_seconds_ago": 0.2,
}


def read(**different: Any) -> dict[str, Any]:
    return readable({"n1": {**STATE, **different}})["n1"]


def test_what_gateways_say_is_told_as_they_say_it() -> None:
    """With all that this version knows nothing of."""
    assert read() == STATE
    assert read(weather="fine")["weather"] == "fine"
    assert "unread" not in read(weather="fine")


def test_gateway_before_there_were_consoles_is_read() -> None:
    """It says less, and nothing wrong."""
    told = ("node", "version", "state", "position", "rejected", "held", "workers", "live")
    state = {name: STATE[name] for name in told}
    assert readable({"n1": state}) == {"n1": state}
    assert not is_unknown(readable({"n1": state})["n1"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 2),
        ("started_at", "yesterday"),
        ("started_at", math.nan),
        ("state", None),
        ("draining", "no"),
        ("pinned", {"revision": "7", "message": "pinned at 7"}),
        ("switches", {"route/r1": True}),
        ("switches", ["route/r1", 7]),
        ("position", 8),
        ("position", {"epoch": "e", "revision": "8"}),
        ("rejected", ["route r1"]),
        ("listeners", [{"name": "web"}]),
        ("listeners", ["0.0.0.0:80"]),
        ("host", ["10.0.0.1"]),
        ("traffic", None),
        ("traffic", {"requests_per_s": "10"}),
        ("traffic", {"requests_per_s": math.inf}),
    ],
)
def test_field_of_another_kind_is_left_out(name: str, value: Any) -> None:
    """And named; the others are told."""
    found = read(**{name: value})
    assert found == {**{key: said for key, said in STATE.items() if key != name}, "unread": [name]}
    assert not is_unknown(found)


@pytest.mark.parametrize("name", ["epoch", "revision", "lag_ms", "traffic", "uptime_s", "pid"])
def test_field_of_a_worker_is_left_out(name: str) -> None:
    found = read(workers=[{**WORKER, name: ["x"]}])
    assert found["workers"] == [{key: said for key, said in WORKER.items() if key != name}]
    assert not is_unknown(found)


@pytest.mark.parametrize(
    "workers",
    [
        None,
        {"w1": WORKER},
        [WORKER, None],
        [WORKER, {**WORKER, "worker": None}],
        [WORKER, {**WORKER, "state": 1}],
        [WORKER, {"worker": "w2"}],
    ],
)
def test_node_with_workers_that_can_not_be_read_is_not_known(workers: Any) -> None:
    """Those that can be are told; of one that is gone nobody asks."""
    found = read(workers=workers)
    assert found["workers"] == ([WORKER] if isinstance(workers, list) else [])
    assert found["unread"] == ["workers"]
    assert is_unknown(found)
    assert not is_unknown({**found, "live": False})


def test_name_is_that_under_which_a_node_is_known() -> None:
    """What is asked of it goes there."""
    assert read(node="another")["node"] == "n1"
    assert readable({"n1": {"live": True, "workers": []}})["n1"]["node"] == "n1"
    assert readable({"n1": None, "n2": [STATE]}) == {}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("worker", "state", "revision", "epoch", "p99_ms", "address")),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(STATE)), ANYTHING), ANYTHING)
def test_whatever_a_node_says_nobody_is_taken_for_served(
    different: dict[str, Any], worker: Any
) -> None:
    """Nor is another node overlooked."""
    states = {"n1": {**STATE, "workers": [WORKER, worker], **different}, "n2": STATE}
    fleet = FleetWatch(clock=None, nodes=_NODES)  # type: ignore[arg-type]  # which is not started
    fleet.states = readable(json.loads(json.dumps(states)))
    found = fleet.convergence(Position("e", 9, ""))
    assert not found.is_reached
    assert "n2/w1" in found.behind


_NODES: Any = object()
