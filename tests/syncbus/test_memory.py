"""The bus in memory keeps the promises of its twin."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.memory import MemoryBus, MemoryHub
from fengling_gateway.syncbus.messages import ProberBeat
from tests.syncbus.builders import OTHER_KEY, Heard, command, evidence, keyring, position


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.hub = MemoryHub()

    def bus(self, node: str, key: str | None = None) -> tuple[MemoryBus, Heard]:
        heard = Heard()
        bus = MemoryBus(
            reactor=self.clock,
            hub=self.hub,
            cluster="test",
            node=node,
            keyring=keyring(*([key] if key else [])),
            wall_clock=lambda: 1_700_000_000.0,
            **heard.receivers(),
        )
        bus.start()
        return bus, heard


def test_everybody_hears_an_announcement_once() -> None:
    """A turn later, whoever announced it."""
    bench = Bench()
    one, heard_one = bench.bus("n1")
    two, heard_two = bench.bus("n2")
    one.announce(position())
    two.announce(position())
    assert heard_one.positions == []
    bench.clock.advance(0)
    assert heard_one.positions == heard_two.positions == [position()]


def test_a_command_reaches_everybody_and_a_stranger_nobody() -> None:
    """Signatures count here, too."""
    bench = Bench()
    one, heard = bench.bus("n1")
    stranger, _ = bench.bus("evil", OTHER_KEY)
    sent = one.send_command(command())
    stranger.send_command(command("c2"))
    bench.clock.advance(0)
    assert (sent.result, heard.commands) == (2, [command()])
    assert one.counters["messages_dropped"] == 1


def test_states_age_and_leave() -> None:
    """Live for five seconds, listed for a minute."""
    bench = Bench()
    one, _ = bench.bus("n1")
    two, _ = bench.bus("n2")
    two.publish_node({"revision": 2})
    bench.clock.advance(6)
    assert one.nodes().result["n2"]["live"] is False
    two.publish_node({"revision": 2})
    assert one.nodes().result["n2"]["live"] is True
    two.stop()
    assert one.nodes().result == {}


def test_a_console_asks_switches_and_hears() -> None:
    """It is no node; what it asks of one names the start that it is meant for."""
    bench = Bench()
    node, heard = bench.bus("n1")
    console, heard_there = bench.bus("console/c1")
    node.publish_node({"started_at": 7.5, "position": position()._asdict()})
    console.ask_node("n1", "drain", on=True)
    console.switch("route", "all", off=True, by="ada")
    console.publish_prober(4, "c1")
    node.publish_evidence(evidence())
    bench.clock.advance(0)
    drain, switches = heard.commands
    assert (drain.name, drain.sender, drain.position) == ("drain", "console/c1", position())
    assert drain.args == {"node": "n1", "started_at": 7.5, "on": True}
    assert (switches.name, [one.off for one in node.switches().result.values()]) == (
        "switches",
        [True],
    )
    assert (heard.beats, heard_there.evidence) == ([ProberBeat(4, "c1")], [("n1", evidence())])
    assert list(console.nodes().result) == ["n1"]


def test_of_a_node_that_is_not_live_nothing_is_asked() -> None:
    """It has never been, or not been seen for five seconds."""
    bench = Bench()
    node, heard = bench.bus("n1")
    node.publish_node({})
    bench.clock.advance(6)
    for name in ("n1", "n2"):
        asked = node.ask_node(name, "restart")
        with pytest.raises(LookupError, match=f"{name} is live"):
            asked.result.raiseException()
        asked.addErrback(lambda _: None)  # (else the log has it, whenever it is collected)
    bench.clock.advance(0)
    assert heard.commands == []


def test_a_hub_that_is_down_fails_as_redis_does() -> None:
    """Announcing never raises, asking fails."""
    bench = Bench()
    bus, heard = bench.bus("n1")
    bench.hub.up = False
    assert (bus.connected, bus.last_error) == (False, "the hub is down")
    bus.announce(position())
    bus.publish_evidence(evidence())
    for asked in (bus.nodes(), bus.send_command(command()), bus.switches()):
        with pytest.raises(BusError):
            asked.result.raiseException()
        asked.addErrback(lambda _: None)
    bench.clock.advance(0)
    assert heard.positions == []
