"""
Somebody who can read, publish and write on Redis, and has no key.

On a real server: everything that nodes say is recorded, and said again in every
way that may do harm. Nothing is looked at, done or shown that would not be.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.syncbus.connection import RedisConnection, Subscription
from fengling_gateway.syncbus.messages import (
    ANNOUNCE,
    COMMAND,
    Command,
    encode_command,
    encode_position,
)
from fengling_gateway.syncbus.names import Names
from fengling_gateway.syncbus.redis import SyncBus
from fengling_gateway.syncbus.url import parse_redis_url
from tests.syncbus import test_redis
from tests.syncbus.builders import Heard, command, keyring, position, rng


class AttackerTests(test_redis.BusCase):
    """Two nodes, and a stranger between them."""

    @pytest.fixture(autouse=True)
    def _server(self, valkey: ValkeyServer) -> None:
        self.valkey = valkey

    async def scene(self) -> tuple[SyncBus, Heard, SyncBus, Heard]:
        one, heard_one = self.bus("n1")
        two, heard_two = self.bus("n2")
        self.names = Names(self.cluster)
        self.recorded: list[tuple[str, bytes]] = []
        spy = RedisConnection(
            reactor=self.reactor,
            address=parse_redis_url(self.valkey.url),
            rng=rng(),
            subscription=Subscription(
                (self.names.announcements, self.names.commands), self.overheard
            ),
        )
        self.redis = RedisConnection(
            reactor=self.reactor, address=parse_redis_url(self.valkey.url), rng=rng()
        )
        for connection in (spy, self.redis):
            connection.start()
            self.started.append(connection)
        await self.until(lambda: one.connected and two.connected and spy.ready and self.redis.ready)
        return one, heard_one, two, heard_two

    def overheard(self, channel: bytes, message: bytes) -> None:
        self.recorded.append((channel.decode(), message))

    def dropped(self, bus: SyncBus) -> int:
        return bus.counters.get("messages_dropped", 0)

    async def test_everything_said_again_is_worth_nothing(self) -> None:
        """In order, in reverse, on the other channel, a hundred times."""
        one, heard_one, two, heard_two = await self.scene()
        for revision in (1, 2, 3):
            one.announce(position(revision))
            await self.until(lambda revision=revision: position(revision) in heard_two.positions)
        await two.send_command(Command("c1", "reload", "n2", position(3)))
        await self.until(lambda: heard_one.commands and len(self.recorded) >= 4)
        said = list(self.recorded)
        heard = [list(one) for one in (heard_one.positions, heard_two.positions)]
        before = self.dropped(one)
        for channel, message in (said + said[::-1]) * 50:
            await self.redis.call("PUBLISH", channel, message)
        for channel, message in said:
            other = (
                self.names.commands if channel.endswith("announce") else self.names.announcements
            )
            await self.redis.call("PUBLISH", other, message)
        await self.until(lambda: self.dropped(one) == before + 100 * len(said) + len(said))
        self.assertEqual([heard_one.positions, heard_two.positions], heard)
        self.assertEqual([len(one.commands) for one in (heard_one, heard_two)], [1, 1])

    async def test_a_recording_of_another_cluster_is_not_believed(self) -> None:
        """With the same keys: its name is in every signature."""
        one, heard_one, _, _ = await self.scene()
        for channel, message in self.of_another_cluster():
            await self.redis.call("PUBLISH", channel, message)
        await self.until(lambda: one.counters.get("messages_dropped:wrong signature") == 2)
        self.assertEqual((heard_one.positions, heard_one.commands), ([], []))

    def of_another_cluster(self) -> list[tuple[str, bytes]]:
        ring = keyring(cluster="another")
        return [
            (
                self.names.announcements,
                ring.sign(ANNOUNCE, encode_position(position()), now=time.time()),
            ),
            (self.names.commands, ring.sign(COMMAND, encode_command(command()), now=time.time())),
        ]

    async def test_taken_announcement_keys_only_delay(self) -> None:
        """Whoever takes the right to announce and stays silent: then it is said without."""
        one, _, _two, heard_two = await self.scene()
        await self.redis.call("SET", self.names.announced(position(5)), "mine", "EX", 60)
        one.announce(position(5))
        await self.until(lambda: heard_two.positions)
        self.assertEqual(heard_two.positions, [position(5)])
        self.assertEqual(one.counters["announcements_repeated"], 1)
        await self.redis.call("DEL", self.names.announced(position(5)))

    async def test_an_old_state_of_a_node_is_not_shown_in_place_of_its_newest(self) -> None:
        """It can be hidden, and is not shown as it was."""
        one, _, two, _ = await self.scene()
        key = self.names.node("n2")
        two.publish_node({"revision": 1})
        old = await self.state_of(key, lambda message: b'"revision":1' in message)
        two.publish_node({"revision": 2})
        await self.state_of(key, lambda message: b'"revision":2' in message)
        await self.until_seen(one, "n2", 2)
        shown: list[Any] = []
        for _ in range(50):
            await self.redis.call("HSET", key, "state", old)
            states = await one.nodes()
            shown += [state["revision"] for name, state in states.items() if name == "n2"]
        self.assertEqual([revision for revision in shown if revision != 2], [])
        self.assertGreater(one.counters["messages_dropped:state of a node"], 0)

    async def test_a_state_is_not_kept_alive_by_its_expiry(self) -> None:
        """Whoever lengthens it shows a node as live for a minute at most, by the signed time."""
        one, _, _two, _ = await self.scene()
        ahead, _ = self.bus("n3", ahead=-120)
        ahead.publish_node({"revision": 1})
        await self.until_seen(one, "n3", 1)
        await self.redis.call("PEXPIRE", self.names.node("n3"), 10**9)
        self.assertFalse((await one.nodes())["n3"]["live"])

    async def test_keys_filled_with_rubbish_harm_nobody(self) -> None:
        """Of other types, huge, and a thousand names of nodes."""
        one, _, _two, heard_two = await self.scene()
        names = [f"x{number}" for number in range(1000)]
        await self.redis.call("SADD", self.names.nodes, *names)
        await self.redis.call("SET", self.names.node("x1"), "text")
        await self.redis.call("HSET", self.names.node("x2"), "state", b"F1 " + b"a" * 300_000)
        await self.redis.call("PEXPIRE", self.names.node("x2"), 60_000)
        one.nodes().addErrback(lambda _: None)
        one.announce(position(9))
        await self.until(lambda: position(9) in heard_two.positions)
        self.assertTrue(one.connected)
        await self.redis.call("DEL", self.names.nodes, self.names.node("x1"), self.names.node("x2"))

    def state_of(self, key: str, wanted: Any) -> Deferred[bytes]:
        """Wait for a signed state under a key, as an attacker reads it."""
        found: list[bytes] = []

        def take(message: Any) -> None:
            if isinstance(message, bytes) and wanted(message):
                found.append(message)

        def look() -> bool:
            self.redis.call("HGET", key, "state").addCallbacks(take, lambda _: None)
            return bool(found)

        return self.until(look).addCallback(lambda _: found[0])

    async def until_seen(self, bus: SyncBus, node: str, revision: int) -> None:
        seen: list[bool] = []

        def take(states: dict[str, Any]) -> None:
            if states.get(node, {}).get("revision") == revision:
                seen.append(True)

        def look() -> bool:
            bus.nodes().addCallbacks(take, lambda _: None)
            return bool(seen)

        await self.until(look)
