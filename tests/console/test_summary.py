"""How everything is: what is summed up of the configuration, the gateways and the instances."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.configsource.reading import Held
from fengling_gateway.console.fleet import FleetWatch
from fengling_gateway.console.node_states import readable
from fengling_gateway.console.summary import NAMED, Summary
from fengling_gateway.model.delta import Position
from fengling_gateway.model.entity import Key
from tests.console.asking import Asked
from tests.console.test_fleet import Nodes
from tests.console.test_node_states import ANYTHING, STATE, WORKER
from tests.signin.requests import person

PROBER = {"term": 1, "holder": "c1", "since": None, "heartbeat_age_s": 0.0, "problem": None}


class Config:
    def __init__(self) -> None:
        self.rejected: dict[Key, Any] = {}
        self.counts = {"route": 2, "service": 1}


class Mirror:
    """What this console knows of what gateways serve."""

    def __init__(self) -> None:
        self.position: Position | None = Position("e", 8, "t")
        self.problem = ""
        self.settled: Position | None = Position("e", 7, "s")
        self.listening = True
        self.is_held: Held | None = None
        self.config = Config()
        self.snapshot = self
        self.bodies: dict[str, dict[str, bytes]] = {"instance": {}, "instance_health": {}}
        self.dependents: dict[str, Any] = {}


class Health:
    """Who probes."""

    def prober_status(self) -> dict[str, Any]:
        return PROBER


class Everything:
    """All that is summed up, as a test says it is; without more, all is well."""

    def __init__(self, health: Any = None) -> None:
        self.mirror = Mirror()
        self.nodes = Nodes()
        self.nodes.states = {"n1": STATE | {"switches": []}}
        self.fleet = FleetWatch(clock=Clock(), nodes=self.nodes)
        mirror: Any = self.mirror
        self.summary = Summary(mirror=mirror, fleet=self.fleet, health=health, wall=lambda: 0.0)

    def value(self) -> dict[str, Any]:
        self.fleet.start()
        self.fleet.stop()
        return self.summary.value()

    def gateways(self, **states: dict[str, Any]) -> dict[str, Any]:
        self.nodes.states = {
            name: {**STATE, "switches": [], **state} for name, state in states.items()
        }
        return self.value()

    def instances(self, **healths: str | None) -> Any:
        for name, health in healths.items():
            self.mirror.bodies["instance"][name] = b"{}"
            if health is not None:
                body = b'{"health":"%s","instance_id":"x"}' % health.encode()
                self.mirror.bodies["instance_health"][name] = body
        return self.value()["health"]


@pytest.fixture
def everything() -> Everything:
    return Everything()


def test_all_is_well(everything: Everything) -> None:
    everything.instances(a="healthy")
    value = everything.value()
    assert value["sentences"] == [
        {
            "mood": "good",
            "text": "The only worker serves revision 8; 1 of 1 instance healthy; nothing rejected",
            "about": "",
            "target": "",
        }
    ]
    assert value["position"] == {"epoch": "e", "revision": 8, "token": "t"}
    assert value["counts"] == {"route": 2, "service": 1}
    assert value["nodes"] == {"live": 1, "known": 1}
    assert value["convergence"]["served"] == 1
    assert (value["held"], value["problem"], value["fleet_problem"]) == (None, "", "")
    json.dumps(value)


def test_nothing_is_known_yet(everything: Everything) -> None:
    """As just after the start."""
    everything.mirror.position = None
    value = everything.value()
    assert (value["position"], value["convergence"]) == (None, None)
    assert value["sentences"][0]["text"] == "The configuration has not been read yet"


def test_database_that_is_away_is_said_with_what_is_known(everything: Everything) -> None:
    """What is known is shown on."""
    everything.mirror.problem = "no answer"
    value = everything.value()
    assert "no answer" in value["sentences"][0]["text"]
    assert value["convergence"]["served"] == 1


def test_what_is_held_is_said(everything: Everything) -> None:
    everything.mirror.is_held = Held(9, 3, 0)
    value = everything.value()
    assert value["held"] == "held: revision 9 removes 3 of 3 routes"
    assert value["sentences"][0]["about"] == "history"


def test_some_of_what_is_rejected_is_named(everything: Everything) -> None:
    for number in range(NAMED + 2):
        everything.mirror.config.rejected[Key("route", f"r{9 - number}")] = None
    rejected = everything.value()["rejected"]
    assert rejected["count"] == NAMED + 2
    assert rejected["named"] == [f"route r{number}" for number in range(3, 3 + NAMED)]


def test_instances_are_counted_by_their_health(everything: Everything) -> None:
    """What nobody has judged is unknown; and what has been judged, and is there no more, is none."""
    everything.mirror.bodies["instance_health"]["gone"] = b'{"health":"unhealthy"}'
    found = everything.instances(
        a="healthy", b="unhealthy", c="unknown", d=None, e="unhealthy", f="healthy"
    )
    assert found == {"healthy": 2, "unhealthy": 2, "unknown": 2, "named": ["b", "e"]}


def test_health_is_not_taken_for_what_is_said_about_it(everything: Everything) -> None:
    """A reason may have the words in it."""
    everything.instances(a="healthy")
    reason = json.dumps('it said {"health":"unhealthy"}').encode()
    everything.mirror.bodies["instance_health"]["a"] = b'{"health":"healthy","reason":%s}' % reason
    assert everything.value()["health"]["healthy"] == 1


def test_some_of_what_is_unhealthy_is_named(everything: Everything) -> None:
    found = everything.instances(**{f"i{number}": "unhealthy" for number in range(NAMED + 3)})
    assert found["unhealthy"] == NAMED + 3
    assert found["named"] == [f"i{number}" for number in range(NAMED)]


def test_traffic_of_gateways_is_added_up(everything: Everything) -> None:
    """Of latencies it is the worst; of gateways that are gone it counts no more."""
    one = {"requests_per_s": 10.25, "errors_per_s": 0.5, "connections": 3, "in_flight": 1}
    value = everything.gateways(
        a={"traffic": {**one, "p50_ms": 1.0, "p99_ms": 20.0}},
        b={"traffic": {**one, "p50_ms": 2.0, "p99_ms": None}},
        gone={"traffic": {**one, "p50_ms": 9.0, "p99_ms": 90.0}, "live": False},
        old={"traffic": {"requests_per_s": None, "connections": 0}},
    )
    assert value["traffic"] == {
        "requests_per_s": 20.5,
        "errors_per_s": 1.0,
        "connections": 6,
        "in_flight": 2,
        "p50_ms": 2.0,
        "p99_ms": 20.0,
    }
    assert value["nodes"] == {"live": 3, "known": 4}


def test_where_nobody_serves_there_is_no_traffic(everything: Everything) -> None:
    value = everything.gateways()
    assert value["traffic"]["requests_per_s"] == 0
    assert value["traffic"]["p99_ms"] is None
    assert "No gateway has told" in value["sentences"][0]["text"]


def test_what_gateways_do_otherwise_is_told(everything: Everything) -> None:
    """Each switch once; nothing of gateways that are gone."""
    odd = {"draining": True, "health": "stale"}
    value = everything.gateways(
        b={"switches": ["route/r", "instance/i", "route/q", "instance/h"], **odd},
        a={"switches": ["route/r"], "draining": True},
        gone={"switches": ["route/x"], **odd, "live": False},
    )
    assert value["switches"] == ["instance/h", "instance/i", "route/q", "route/r"]
    assert value["draining"] == ["a", "b"]
    assert value["stale"] == ["b"]


def test_pinned_gateway_is_named_and_not_behind(everything: Everything) -> None:
    """One that is gone is not named."""
    pinned = {"pinned": {"revision": 7, "message": "pinned at 7"}}
    old = {"workers": [{**WORKER, "revision": 7}], **pinned}
    value = everything.gateways(a={}, b=old, gone={**old, "live": False})
    assert value["pinned"] == ["b (pinned at 7)"]
    assert value["convergence"]["behind"] == []
    assert "Pinned: b (pinned at 7)" in [one["text"] for one in value["sentences"]]


def test_gateway_of_another_version_is_summed_up_as_far_as_it_can_be_read(
    everything: Everything,
) -> None:
    """It does not keep anybody from seeing how the others are."""
    value = everything.gateways(
        a={},
        b={
            "switches": "route/r",
            "draining": "yes",
            "traffic": [1],
            "health": None,
            "workers": [{"id": 1, "phase": "serving"}],
        },
    )
    assert value["convergence"]["behind"] == ["b"]
    assert value["traffic"]["requests_per_s"] == 10.0
    assert (value["switches"], value["draining"]) == ([], [])
    assert value["sentences"][0]["text"] == "1 of 2 workers does not serve revision 8: b"


@given(st.dictionaries(st.sampled_from(sorted(STATE)), ANYTHING), ANYTHING)
def test_whatever_a_gateway_says_there_is_a_summary(different: Any, worker: Any) -> None:
    everything = Everything()
    everything.fleet.states = readable({"n1": {**STATE, "workers": [WORKER, worker], **different}})
    json.dumps(everything.summary.value())


def test_redis_that_is_away_is_said(everything: Everything) -> None:
    everything.nodes.error = OSError("gone")
    value = everything.value()
    assert "gone" in value["fleet_problem"]
    assert value["convergence"]["complete"] is False
    assert value["sentences"][0]["about"] == "fleet"


def test_who_probes_is_told() -> None:
    """Unless this console does not: then it is none of its business."""
    assert Everything(Health()).value()["prober"] == PROBER
    assert Everything().value()["prober"] is None


def test_who_is_limited_to_tenants_is_told_nothing(everything: Everything) -> None:
    """It is about everybody's; others get what is told with each change."""
    everything.fleet.start()
    everything.fleet.stop()
    limited = person(tenants=frozenset(("acme",)))
    with pytest.raises(ProblemError) as caught:
        everything.summary.summary(Asked("GET", "/", operator=limited).call())
    assert caught.value.code == "forbidden"
    with pytest.raises(ProblemError):
        everything.summary.summary(Asked("GET", "/?full=1").call())
    told = everything.summary.summary(Asked("GET", "/").call())
    assert told.value == everything.summary.value()
