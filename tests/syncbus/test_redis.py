"""The bus over a real server: hosts that hear each other, and outages that heal."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.messages import NODE, encode_node
from fengling_gateway.syncbus.redis import AnnouncementSubscriber, SyncBus
from tests.support.wait import eventually
from tests.syncbus.builders import (
    NEXT_KEY,
    OTHER_KEY,
    Heard,
    command,
    evidence,
    keyring,
    position,
    rng,
)


class BusCase(TestCase):
    """Nodes on one server."""

    valkey: ValkeyServer
    timeout = 60

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251

        self.reactor: Any = reactor
        self.cluster = self.id().rpartition(".")[2]
        self.started: list[Any] = []

    def tearDown(self) -> Deferred[Any]:
        return gatherResults([one.stop() for one in self.started])

    def bus(
        self, node: str = "n1", key: str | None = None, *, ahead: float = 0
    ) -> tuple[SyncBus, Heard]:
        """Start a node, whose clock may be ahead by some seconds."""
        heard = Heard()
        bus = SyncBus(
            reactor=self.reactor,
            url=self.valkey.url,
            cluster=self.cluster,
            node=node,
            keyring=keyring(*([key] if key else []), cluster=self.cluster),
            rng=rng(),
            on_subscribed=heard.on_subscribed,
            wall_clock=lambda: time.time() + ahead,
            **heard.receivers(),
        )
        bus.start()
        self.started.append(bus)
        return bus, heard

    def subscriber(self) -> tuple[AnnouncementSubscriber, Heard]:
        heard = Heard()
        subscriber = AnnouncementSubscriber(
            reactor=self.reactor,
            url=self.valkey.url,
            cluster=self.cluster,
            keyring=keyring(cluster=self.cluster),
            on_announcement=heard.positions.append,
            on_subscribed=heard.on_subscribed,
            rng=rng(),
        )
        subscriber.start()
        self.started.append(subscriber)
        return subscriber, heard

    def until(self, condition: Any, timeout: float = 15) -> Deferred[Any]:
        return eventually(self.reactor, condition, timeout=timeout)


class SharedServerTests(BusCase):
    """With a server that works."""

    @pytest.fixture(autouse=True)
    def _server(self, valkey: ValkeyServer) -> None:
        self.valkey = valkey

    async def test_an_announcement_reaches_every_node_and_worker(self) -> None:
        """Also the one that announces; of two that announce the same, one does."""
        one, heard_one = self.bus("n1")
        two, heard_two = self.bus("n2")
        worker, heard_worker = self.subscriber()
        await self.until(lambda: one.connected and two.connected and worker.connected)
        one.announce(position())
        two.announce(position())
        everybody = (heard_one, heard_two, heard_worker)
        await self.until(lambda: all(heard.positions for heard in everybody))
        await one.send_command(command())
        await self.until(lambda: heard_one.commands and heard_two.commands)
        self.assertEqual([heard.positions for heard in everybody], [[position()]] * 3)
        sent = [bus.counters.get("announcements_sent", 0) for bus in (one, two)]
        self.assertEqual(sum(sent), 1)

    async def test_a_command_reaches_every_node(self) -> None:
        """And tells how many supervisors listened."""
        one, heard_one = self.bus("n1")
        two, heard_two = self.bus("n2")
        await self.until(lambda: one.connected and two.connected)
        self.assertEqual(await one.send_command(command()), 2)
        await self.until(lambda: heard_one.commands and heard_two.commands)
        self.assertEqual(heard_one.commands + heard_two.commands, [command()] * 2)

    async def test_a_console_sees_asks_and_switches_and_is_no_node(self) -> None:
        """Nor does one that ends take a node of its name out of the fleet."""
        node, heard = self.bus("n1")
        console, heard_there = self.bus("console/c1")
        await self.until(lambda: node.connected and console.connected)
        node.publish_node({"started_at": 7.5, "position": None})
        await self.until(lambda: node.counters.get("reports_sent"))
        self.assertEqual(await console.ask_node("n1", "drain", on=True), 2)
        with self.assertRaises(LookupError):
            await console.ask_node("n2", "drain", on=True)
        await console.switch("route", "all", off=True, by="ada", comment="why")
        await console.switch("route", "all", off=False, by="ada")
        await console.switch("instance", "i1", off=True, by="ada")
        node.publish_evidence(evidence())
        console.publish_prober(4, "c1")
        await self.until(lambda: heard_there.evidence and heard.beats and len(heard.commands) == 4)
        self.assertEqual(
            [(one.name, one.args) for one in heard.commands],
            [("drain", {"node": "n1", "started_at": 7.5, "on": True}), *[("switches", {})] * 3],
        )
        words = await node.switches()
        self.assertEqual(
            {name: one.off for name, one in words.items()},
            {"route/all": False, "instance/i1": True},
        )
        self.assertEqual(heard_there.evidence, [("n1", evidence())])
        impostor, _ = self.bus("n1")
        await self.until(lambda: impostor.connected)
        self.started.remove(impostor)
        await impostor.stop()
        self.assertEqual(list(await console.nodes()), ["n1"])

    async def test_many_who_switch_at_once_are_all_heard(self) -> None:
        """On the same thing, too: each word is later than the one before."""
        buses = [self.bus(f"console/c{number}")[0] for number in range(3)]
        await self.until(lambda: all(one.connected for one in buses))
        written = await gatherResults(
            [bus.switch("route", "all", off=bool(i % 2), by="a") for i, bus in enumerate(buses)]
        )
        self.assertEqual(len({one.at for one in written}), 3)
        found = await buses[0].switches()
        self.assertEqual(found["route/all"], max(written, key=lambda one: one.at))

    async def test_a_stranger_with_access_to_redis_changes_nothing(self) -> None:
        """No key, another key: dropped and counted."""
        bus, heard = self.bus("n1")
        stranger, _ = self.bus("evil", key=OTHER_KEY)
        await self.until(lambda: bus.connected and stranger.connected)
        stranger.announce(position(9999))
        await stranger.send_command(command())
        await self.until(lambda: bus.counters.get("messages_dropped") == 2)
        self.assertEqual((heard.positions, heard.commands), ([], []))

    async def test_keys_are_changed_without_a_connection_lost(self) -> None:
        """What is signed by the new one is heard by whoever has it, and the old one is forgotten."""
        bus, heard = self.bus("n1")
        worker, heard_worker = self.subscriber()
        stale, _ = self.bus("n2")
        await self.until(lambda: bus.connected and worker.connected and stale.connected)
        for one in (bus, worker):
            one.replace_keys([NEXT_KEY])
        bus.announce(position(1))
        await self.until(lambda: heard.positions and heard_worker.positions)
        stale.announce(position(2))
        for one in (bus, worker):
            await self.until(lambda one=one: one.counters.get("messages_dropped:unknown key"))
            self.assertEqual(one.counters["subscription_connects"], 1)
        self.assertEqual((heard.positions, heard_worker.positions), ([position(1)], [position(1)]))

    async def test_a_host_with_a_wrong_clock_keeps_nobody_from_hearing(self) -> None:
        """It wins the right to announce, and is not believed; the others wait, and say it again."""
        wrong, heard_wrong = self.bus("n1", ahead=-600)
        one, heard_one = self.bus("n2")
        two, heard_two = self.bus("n3")
        await self.until(lambda: wrong.connected and one.connected and two.connected)
        wrong.announce(position())
        await self.until(lambda: heard_wrong.positions)
        one.announce(position())
        two.announce(position())
        await self.until(lambda: heard_one.positions and heard_two.positions)
        reason = "messages_dropped:too old, or a clock is wrong"
        self.assertEqual([bus.counters.get(reason) for bus in (one, two)], [1, 1])

    async def test_every_node_sees_the_state_of_every_node(self) -> None:
        """With how fresh it is; a node that stops leaves at once."""
        one, _ = self.bus("n1")
        two, _ = self.bus("n2")
        one.publish_node({"revision": 1})
        two.publish_node({"revision": 2})
        await self.until(lambda: one.connected and two.connected)
        states = await self._nodes(one, lambda states: len(states) == 2)
        self.assertEqual({n: s["revision"] for n, s in states.items()}, {"n1": 1, "n2": 2})
        self.assertTrue(all(state["live"] for state in states.values()))
        self.started.remove(two)
        await two.stop()
        self.assertEqual(list(await one.nodes()), ["n1"])

    async def test_a_changed_state_is_seen_soon(self) -> None:
        """Not only with the next report of the second."""
        bus, _ = self.bus("n1")
        await self.until(lambda: bus.connected)
        for revision in range(50):
            bus.publish_node({"revision": revision})
        states = await self._nodes(bus, lambda states: states["n1"]["revision"] == 49)
        self.assertLess(states["n1"]["seen_seconds_ago"], 0.9)
        self.assertLess(bus.counters["reports_sent"], 10)

    async def test_a_forged_state_is_not_shown(self) -> None:
        """Signed by another key, or for another node."""
        bus, _ = self.bus("n1")
        stranger, _ = self.bus("evil", key=OTHER_KEY)
        await self.until(lambda: bus.connected and stranger.connected)
        bus.publish_node({"revision": 1})
        stranger.publish_node({"revision": 9999})
        await self._nodes(bus, lambda states: "n1" in states)
        await self.until(lambda: stranger.counters.get("reports_sent"))
        for state in (b"nonsense", encode_node("n1", {}), self._state_of("n1")):
            await bus._commands.call("HSET", f"fengling:{self.cluster}:node:n3", "state", state)
            await bus._commands.call("PEXPIRE", f"fengling:{self.cluster}:node:n3", 60000)
            await bus._commands.call("SADD", f"fengling:{self.cluster}:nodes", "n3")
            self.assertEqual(list(await bus.nodes()), ["n1"])
        await bus._commands.call(
            "DEL", f"fengling:{self.cluster}:node:n3", f"fengling:{self.cluster}:nodes"
        )

    def _state_of(self, node: str) -> bytes:
        return keyring(cluster=self.cluster).sign(
            NODE, encode_node(node, {"revision": 1}), now=self.reactor.seconds()
        )

    async def test_keys_of_another_type_break_nothing(self) -> None:
        """Somebody else's application in the same database."""
        bus, heard = self.bus("n1")
        await self.until(lambda: bus.connected)
        for key in (f"fengling:{self.cluster}:nodes", f"fengling:{self.cluster}:node:n1"):
            await bus._commands.call("SET", key, "mine", "EX", 60)
        bus.publish_node({"revision": 1})
        with self.assertRaises(BusError):
            await bus.nodes()
        bus.announce(position())
        await self.until(lambda: heard.positions)
        await self.until(lambda: bus.counters.get("reports_failed"))

    async def test_two_clusters_on_one_server_do_not_meet(self) -> None:
        """Other keys, other channels, another name in every signature."""
        one, heard_one = self.bus("n1")
        self.cluster += "-other"
        two, heard_two = self.bus("n2")
        await self.until(lambda: one.connected and two.connected)
        one.announce(position())
        await self.until(lambda: heard_one.positions)
        await two.send_command(command())
        await self.until(lambda: heard_two.commands)
        self.assertEqual((heard_two.positions, heard_one.commands), ([], []))

    async def _nodes(self, bus: SyncBus, wanted: Any) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def take(states: dict[str, Any]) -> None:
            seen.clear()
            seen.update(states)

        def look() -> bool:
            bus.nodes().addCallbacks(take, lambda _: None)
            return bool(seen) and bool(wanted(seen))

        await self.until(look)
        return dict(seen)


class OutageTests(BusCase):
    """With a server of its own that dies, hangs and comes back."""

    @pytest.fixture(autouse=True)
    def _server(self, own_valkey: ValkeyServer) -> None:
        self.valkey = own_valkey

    async def test_a_restart_is_survived(self) -> None:
        """Subscribed again within five seconds, with a word to look."""
        bus, heard = self.bus("n1")
        worker, heard_worker = self.subscriber()
        await self.until(lambda: bus.connected and worker.connected)
        self.valkey.kill()
        await self.until(lambda: not bus.connected and not worker.connected)
        bus.announce(position(1))
        bus.announce(position(2))
        with self.assertRaises(BusError):
            await bus.nodes()
        self.valkey.start()
        await self.until(lambda: bus.connected and worker.connected, timeout=5)
        # Kept while Redis was away: the newest only.
        await self.until(lambda: heard.positions)
        self.assertEqual(heard.positions, [position(2)])
        self.assertEqual((heard.subscribed, heard_worker.subscribed), (2, 2))

    async def test_a_server_that_hangs_is_noticed_and_taken_back(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        bus, heard = self.bus("n1")
        worker, _ = self.subscriber()
        await self.until(lambda: bus.connected and worker.connected)
        assert self.valkey.pid is not None
        os.kill(self.valkey.pid, signal.SIGSTOP)
        try:
            began = self.reactor.seconds()
            with self.assertRaises(BusError):
                await bus.nodes()
            self.assertLess(self.reactor.seconds() - began, 2.5)
            await self.until(lambda: not bus.connected and not worker.connected, timeout=6)
        finally:
            os.kill(self.valkey.pid, signal.SIGCONT)
        await self.until(lambda: bus.connected and worker.connected, timeout=5)
        bus.announce(position())
        await self.until(lambda: heard.positions)

    async def test_nothing_waits_for_a_server_that_never_was(self) -> None:
        """Announcing, reporting and stopping are as quick as ever."""
        self.valkey.kill()
        bus, _ = self.bus("n1")
        bus.announce(position())
        bus.publish_node({"revision": 1})
        began = self.reactor.seconds()
        with self.assertRaises(BusError):
            await bus.send_command(command())
        self.started.remove(bus)
        await bus.stop()
        self.assertLess(self.reactor.seconds() - began, 2)

    async def test_a_full_server_still_carries_announcements(self) -> None:
        """Out of memory for keys; PUBLISH needs none."""
        bus, heard = self.bus("n1")
        await self.until(lambda: bus.connected)
        await bus._commands.call("CONFIG", "SET", "maxmemory", "1")
        bus.publish_node({"revision": 1})
        bus.announce(position())
        await self.until(lambda: heard.positions)
        await self.until(lambda: bus.counters.get("reports_failed"))
        self.assertTrue(bus.connected)
