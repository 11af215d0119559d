"""The user with the least rights that docs/redis.md describes, on a real server."""

from __future__ import annotations

import json
import re
import shlex
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import gatherResults
from twisted.logger import globalLogPublisher

from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.limiting.table import LimitTable
from fengling_gateway.syncbus.connection import RedisConnection
from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.limits import LimitSync, SyncTimes
from fengling_gateway.syncbus.names import Names
from fengling_gateway.syncbus.redis import SyncBus
from fengling_gateway.syncbus.switches import TOMBSTONE_SECONDS, Switch
from fengling_gateway.syncbus.url import parse_redis_url
from tests.limiting.builders import limit
from tests.syncbus import test_redis
from tests.syncbus.builders import KEY, Heard, command, evidence, keyring, position, rng

DOCUMENT = Path(__file__).parents[2] / "docs" / "redis.md"
PASSWORD = "a-throw-away-one"


def documented(cluster: str) -> list[str]:
    """Return the arguments of ACL SETUSER in the document, for a cluster."""
    found = re.search(r"valkey-cli ACL SETUSER (.*?)\nvalkey-cli", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    told = shlex.split(found[1].replace("\\\n", " "))
    changed = {"PASSWORD": PASSWORD, ":default:": f":{cluster}:"}
    for old, new in changed.items():
        told = [one.replace(old, new) for one in told]
    return told


class AclTests(test_redis.BusCase):
    """Two nodes and a worker, as that user."""

    @pytest.fixture(autouse=True)
    def _server(self, own_valkey: ValkeyServer) -> None:
        self.valkey = own_valkey

    async def scene(self) -> RedisConnection:
        """Make the user, and return a connection of an administrator."""
        admin = self.connect(self.valkey.url)
        await self.until(lambda: admin.ready)
        await admin.call("ACL", "SETUSER", *documented(self.cluster))
        await admin.call("CONFIG", "RESETSTAT")
        return admin

    def connect(self, url: str) -> RedisConnection:
        connection = RedisConnection(reactor=self.reactor, address=parse_redis_url(url), rng=rng())
        connection.start()
        self.started.append(connection)
        return connection

    @property
    def url(self) -> str:
        return self.valkey.url.replace("redis://", f"redis://fengling:{PASSWORD}@")

    def node(self, name: str) -> tuple[SyncBus, Heard]:
        heard = Heard()
        bus = SyncBus(
            reactor=self.reactor,
            url=self.url,
            cluster=self.cluster,
            node=name,
            keyring=keyring(cluster=self.cluster),
            rng=rng(),
            **heard.receivers(),
        )
        bus.start()
        return bus, heard

    async def test_everything_works_and_every_right_is_used(self) -> None:
        """Nothing is refused, and no command stands there that nobody asks for."""
        admin = await self.scene()
        one, heard_one = self.node("n1")
        two, heard_two = self.node("n2")
        try:
            await self.until(lambda: one.connected and two.connected)
            one.announce(position())
            await two.send_command(command())
            for bus in (one, two):
                bus.publish_node({"revision": 1})
            await self.until(lambda: heard_two.positions and heard_one.commands)
            one.publish_evidence(evidence())
            one.publish_prober(1, "c1")
            await self.until(lambda: heard_two.evidence and heard_two.beats)
            await self._switch(one, admin)
            seen: list[Any] = []
            await self.until(lambda: self._both(one, seen))
            await self._count_limits()
            for bus in (one, two):
                self.assertEqual(bus.counters["commands_errors"], 0)
                self.assertEqual(bus.counters.get("reports_failed", 0), 0)
        finally:
            await gatherResults([one.stop(), two.stop()])
        self.assertEqual(await admin.call("ACL", "LOG"), [])
        self.assertEqual(await self._used(admin), self._granted())

    async def _switch(self, bus: SyncBus, admin: RedisConnection) -> None:
        """Switch something off, and clear away what has been on again for a day."""
        switch = Switch("route", "old", False, "ada", time.time() - TOMBSTONE_SECONDS - 1)
        payload = json.dumps(asdict(switch)).encode()
        message = keyring(cluster=self.cluster).sign(b"switch", payload, now=switch.at)
        await admin.call("HSET", Names(self.cluster).switches, switch.field, message)
        await bus.switch("route", "all", off=True, by="ada")
        self.assertEqual(list(await bus.switches()), ["route/all"])

    async def _count_limits(self) -> None:
        """Let in a request that others hear of, over a connection of its own."""
        table = LimitTable()
        sync = LimitSync(
            reactor=self.reactor,
            url=self.url,
            cluster=self.cluster,
            keys=[KEY],
            ledger=table.ledger,
            times=SyncTimes(interval=0.05),
            rng=rng(),
        )
        sync.start()
        self.started.append(sync)
        table.take(limit(where="global"), b"", self.reactor.seconds())
        await self.until(lambda: table.ledger.told)

    def _both(self, bus: SyncBus, seen: list[Any]) -> bool:
        bus.nodes().addCallbacks(seen.append, lambda _: None)
        return any(len(states) == 2 for states in seen)

    async def _used(self, admin: RedisConnection) -> set[str]:
        told = (await admin.call("INFO", "commandstats")).decode()
        used = set(re.findall(r"cmdstat_([a-z|]+)", told))
        # The administrator's own, and what needs no right.
        return used - {"acl|log", "acl|setuser", "config|resetstat", "info", "auth", "acl"}

    def _granted(self) -> set[str]:
        told = documented(self.cluster)
        return {one[1:] for one in told if one.startswith("+")}

    async def test_nothing_else_is_allowed(self) -> None:
        """Other keys, other channels, other commands; and another cluster's."""
        await self.scene()
        user = self.connect(self.url)
        await self.until(lambda: user.ready)
        other = Names(f"{self.cluster}-other")
        for refused in (
            ("GET", "mine"),
            ("SET", "mine", "1"),
            ("DEL", "mine"),
            ("EVAL", "return redis.call('SET', 'mine', '1')", 0),
            ("EVAL", "return redis.call('FLUSHALL')", 0),
            ("SET", other.announced(position()), "1"),
            ("SMEMBERS", other.nodes),
            ("PUBLISH", other.announcements, "x"),
            ("PUBLISH", "mine", "x"),
            ("KEYS", "*"),
            ("SCAN", 0),
            ("FLUSHALL",),
            ("CONFIG", "GET", "*"),
            ("ACL", "LIST"),
            ("CLIENT", "LIST"),
            ("MONITOR",),
            ("SHUTDOWN",),
        ):
            with self.assertRaises(BusError) as caught:
                await user.call(*refused)
            self.assertIn("permission", str(caught.exception).lower(), refused)

    async def test_rights_of_an_older_version_cost_what_is_new_and_nothing_else(self) -> None:
        """Without the channels of evidence and of the prober; the log says what is missing."""
        admin = await self.scene()
        names = Names(self.cluster)
        channels = (f"&{names.announcements}", f"&{names.commands}")
        await admin.call("ACL", "SETUSER", "fengling", "resetchannels", *channels)
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        bus, heard = self.node("n1")
        try:
            await self.until(lambda: bus.connected)
            bus.announce(position())
            await bus.send_command(command())
            await self.until(lambda: heard.positions and heard.commands)
            bus.publish_evidence(evidence())
            await self.until(lambda: bus.counters.get("evidence_failed"))
        finally:
            await bus.stop()
        missing = [event["channel"] for event in events if "channel" in event]
        self.assertEqual(missing, [names.evidence, names.prober])

    async def test_a_wrong_password_is_said_and_not_shown(self) -> None:
        """What a server repeats of it included; it may be put right without a restart."""
        admin = await self.scene()
        wrong = self.connect(self.url.replace(PASSWORD, "canary-of-a-password"))
        await self.until(lambda: wrong.last_error)
        self.assertIn("WRONGPASS", wrong.last_error)
        self.assertNotIn("canary", wrong.last_error)
        await admin.call("ACL", "SETUSER", "fengling", ">canary-of-a-password")
        await self.until(lambda: wrong.ready)

    async def test_a_right_that_is_missing_is_named(self) -> None:
        """For whoever has written the list of rights by hand."""
        admin = await self.scene()
        await admin.call("ACL", "SETUSER", "fengling", "-hset")
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        bus, _ = self.node("n1")
        try:
            await self.until(lambda: bus.connected)
            bus.publish_node({"revision": 1})
            await self.until(lambda: bus.counters.get("reports_failed", 0) > 1)
        finally:
            await bus.stop()
        said = [event["reason"] for event in events if "refuses" in event.get("log_format", "")]
        self.assertEqual(len(said), 1)
        self.assertIn("hset", said[0])
