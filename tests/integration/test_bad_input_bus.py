"""
What others write into Redis changes nothing.

Messages are published with a raw client into the channels that a real gateway
listens to. Access to Redis alone is not enough to be believed; and what is
believed is only a reason to look.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.model.delta import Position
from fengling_gateway.syncbus.messages import (
    ANNOUNCE,
    COMMAND,
    Command,
    encode_command,
    encode_position,
)
from fengling_gateway.syncbus.names import Names
from fengling_gateway.syncbus.signing import Keyring
from tests.integration.bus import CLUSTER, RawRedis
from tests.integration.gateway import SYNC_KEY, GatewayProcess, Load
from tests.integration.world import World, metrics, wait_for_line, world_with_database
from tests.support.wait import wait_until

NAMES: Final = Names(CLUSTER)
OURS: Final = Keyring([SYNC_KEY], cluster=CLUSTER)
SECRET: Final = secrets.token_hex(32)

A_POSITION: Final = encode_position(Position("an epoch", 10**6, "a token"))
A_COMMAND: Final = encode_command(Command("an id", "reload", "n9"))


@pytest.fixture(scope="module")
def world(
    postgres: PostgresServer, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("bus")
    with world_with_database(postgres, _migrated_template, directory) as world:
        for name in ("v1", "v2"):
            world.sql.add_service(name, world.upstream(name).address)
        world.sql.add_route("hello", "/hello", "v1")
        yield world


@pytest.fixture(scope="module")
def gateway(world: World, valkey: ValkeyServer) -> GatewayProcess:
    gateway = world.gateway(redis=valkey.url, settings={"database": {"poll_interval": "300s"}})
    wait_until(lambda: gateway.manage("status")["redis"]["connected"])
    return gateway


@pytest.fixture(scope="module")
def redis(valkey: ValkeyServer) -> Iterator[RawRedis]:
    client = RawRedis(valkey.url)
    yield client
    client.close()


def dropped(gateway: GatewayProcess, reason: str) -> int:
    """Return how many messages have been dropped for a reason, which status and metric agree on."""
    counters = gateway.manage("status")["redis"]["counters"]
    found: int = counters.get(f"messages_dropped:{reason}", 0)
    sample = f'fengling_bus_messages_dropped_total{{reason="{reason}"}}'
    assert metrics(gateway).get(sample, 0) == found
    return found


def served(gateway: GatewayProcess) -> dict[str, Any]:
    """Return what is served, by the supervisor and by each worker."""
    status = gateway.manage("status")
    return {
        "position": status["position"],
        "hash": status["content_hash"],
        "workers": [(one["worker"], one["revision"], one["pid"]) for one in status["workers"]],
        "rejected": status["rejected"],
        "held": status["held"],
        "restarts": (status["restarts"], status["deaths"]),
    }


@contextmanager
def nothing_changes(gateway: GatewayProcess) -> Iterator[None]:
    """Serve a load during the block, and be the same after it."""
    before = served(gateway)
    with Load(gateway.port, "/hello", threads=2).running() as load:
        yield
        load.wait_for(20)
    assert (load.refused, load.failed) == ([], [])
    assert served(gateway) == before


class Forged(NamedTuple):
    """A message that is not to be believed, and why."""

    name: str
    message: Callable[[], bytes]
    reason: str


def signed(
    payload: bytes,
    kind: bytes = ANNOUNCE,
    *,
    keyring: Keyring = OURS,
    age: float = 0.0,
) -> bytes:
    return keyring.sign(kind, payload, now=time.time() - age)


SEEN = "an announcement seen before"


def tampered(message: bytes) -> bytes:
    return message.replace(b"1000000", b"1000001")


ANNOUNCEMENTS: Final = [
    Forged("json", lambda: A_POSITION, "unsigned"),
    Forged("empty", lambda: b"", "unsigned"),
    Forged("bytes", lambda: bytes(range(256)), "unsigned"),
    Forged("huge", lambda: b"F1 " + b"a" * 300_000, "too large"),
    Forged(
        "another-secret",
        lambda: signed(A_POSITION, keyring=Keyring([f"s1:{SECRET}"], cluster=CLUSTER)),
        "wrong signature",
    ),
    Forged(
        "unknown-key",
        lambda: signed(A_POSITION, keyring=Keyring([f"s2:{SECRET}"], cluster=CLUSTER)),
        "unknown key",
    ),
    Forged(
        "another-cluster",
        lambda: signed(A_POSITION, keyring=Keyring([SYNC_KEY], cluster="another")),
        "wrong signature",
    ),
    Forged("tampered", lambda: tampered(signed(A_POSITION)), "wrong signature"),
    Forged("command", lambda: signed(A_COMMAND, COMMAND), "signed for another purpose"),
    Forged("no-json", lambda: signed(b"look!"), "no JSON"),
    Forged("no-object", lambda: signed(b"[1]"), "no object"),
    Forged("fields", lambda: signed(b'{"revision": 7}'), "an announcement without epoch or token"),
    Forged(
        "revision",
        lambda: signed(b'{"epoch": "a", "token": "b", "revision": 1e99}'),
        "an announcement without a revision",
    ),
]

COMMANDS: Final = [
    Forged("unsigned", lambda: A_COMMAND, "unsigned"),
    Forged("announcement", lambda: signed(A_POSITION), "signed for another purpose"),
    Forged(
        "old", lambda: signed(A_COMMAND, COMMAND, age=120), "too old, or a clock is wrong"
    ),
    Forged(
        "ahead", lambda: signed(A_COMMAND, COMMAND, age=-120), "too old, or a clock is wrong"
    ),
    Forged("no-name", lambda: signed(b'{"id": "a"}', COMMAND), "a command without id, name or sender"),
    Forged(
        "nowhere",
        lambda: signed(b'{"id": "a", "name": "reload", "from": "n", "args": {}}', COMMAND),
        "a command without epoch or token",
    ),
    Forged("huge", lambda: signed(b"{" * 20_000, COMMAND), "too large"),
]  # fmt: skip


class ForgedTests:
    """Messages of somebody who can reach Redis."""

    @pytest.mark.parametrize("forged", ANNOUNCEMENTS, ids=lambda one: one.name)
    def test_announcement_is_dropped_and_counted(
        self, gateway: GatewayProcess, redis: RawRedis, forged: Forged
    ) -> None:
        """By its reason; nobody even looks."""
        self._is_dropped(gateway, redis, NAMES.announcements, forged)

    @pytest.mark.parametrize("forged", COMMANDS, ids=lambda one: one.name)
    def test_command_is_dropped_and_counted(
        self, gateway: GatewayProcess, redis: RawRedis, forged: Forged
    ) -> None:
        """Likewise."""
        self._is_dropped(gateway, redis, NAMES.commands, forged)

    def test_recorded_command_does_nothing_a_second_time(
        self, gateway: GatewayProcess, redis: RawRedis, valkey: ValkeyServer
    ) -> None:
        """A real one, overheard on the channel and sent again."""
        spy = RawRedis(valkey.url)
        spy.ask("SUBSCRIBE", NAMES.commands)
        gateway.manage("reload?wait=all", method="POST")
        _, _, recorded = spy.receive()
        spy.close()
        forged = Forged("replayed", lambda: recorded, "a command seen before")
        self._is_dropped(gateway, redis, NAMES.commands, forged)

    def test_recorded_announcements_make_nobody_look_again(
        self, world: World, gateway: GatewayProcess, redis: RawRedis, valkey: ValkeyServer
    ) -> None:
        """A real one, and one of a database that is gone, each played back a hundred times."""
        spy = RawRedis(valkey.url)
        spy.ask("SUBSCRIBE", NAMES.announcements)
        world.sql.run("UPDATE fengling.route SET priority = priority + 1 WHERE id = 'hello'")
        _, _, recorded = spy.receive()
        spy.close()
        wait_until(lambda: gateway.served_by_every_worker(world.sql.revision))
        gone = signed(encode_position(Position("gone", 7, "t")))
        looks, before = gateway.manage("status")["looks"], dropped(gateway, SEEN)
        redis.ask("PUBLISH", NAMES.announcements, gone)
        wait_until(lambda: gateway.manage("status")["looks"] > looks)
        for message in (recorded, gone) * 100:
            redis.ask("PUBLISH", NAMES.announcements, message)
        wait_until(lambda: dropped(gateway, SEEN) == before + 200)
        # The worker heard of it, too, and asked while the supervisor looked, or later.
        assert gateway.manage("status")["looks"] <= looks + 2

    def test_state_of_a_node_that_is_not_one_is_not_shown(
        self, gateway: GatewayProcess, redis: RawRedis
    ) -> None:
        """Neither nonsense, nor the true state of one node under the name of another."""
        wait_until(lambda: redis.ask("HGET", NAMES.node("n1"), "state"))
        true = redis.ask("HGET", NAMES.node("n1"), "state")
        before = dropped(gateway, "state of a node")
        for name, state in (("evil", b'{"workers": []}'), ("twin", true)):
            redis.ask("HSET", NAMES.node(name), "state", state)
            redis.ask("PEXPIRE", NAMES.node(name), 60_000)
            redis.ask("SADD", NAMES.nodes, name)
        answer = gateway.manage("workers")
        assert answer["complete"]
        assert {one["node"] for one in answer["workers"]} == {"n1"}
        assert dropped(gateway, "state of a node") == before + 2
        for name in ("evil", "twin"):
            redis.ask("SREM", NAMES.nodes, name)
            redis.ask("DEL", NAMES.node(name))

    def test_log_says_so_without_saying_it_a_hundred_times(
        self, gateway: GatewayProcess, redis: RawRedis
    ) -> None:
        """Once in ten seconds, with a count."""
        before = dropped(gateway, "unsigned")
        for _ in range(100):
            redis.ask("PUBLISH", NAMES.announcements, b"flood")
        wait_until(lambda: dropped(gateway, "unsigned") == before + 100)
        wait_for_line(gateway, " WARN ", "a message on the bus is not believed")
        assert gateway.log.count("is not believed") < 20

    def _is_dropped(
        self, gateway: GatewayProcess, redis: RawRedis, channel: str, forged: Forged
    ) -> None:
        before = dropped(gateway, forged.reason)
        was, looks = served(gateway), gateway.manage("status")["looks"]
        # This supervisor, and for announcements each of its workers.
        assert redis.ask("PUBLISH", channel, forged.message()) >= 1
        wait_until(lambda: dropped(gateway, forged.reason) == before + 1)
        assert served(gateway) == was
        assert gateway.manage("status")["looks"] == looks


class LieTests:
    """Messages of somebody who has a key, or whose database is another one."""

    @pytest.mark.parametrize(
        "lie",
        [
            lambda position: position._replace(revision=position.revision + 1000),
            lambda position: position._replace(revision=2**63 - 1, token="x"),
            lambda position: position._replace(epoch="another", revision=1),
            lambda position: position._replace(token="another"),
            lambda position: position._replace(revision=0),
        ],
        ids=["later", "last", "other-epoch", "other-token", "earlier"],
    )
    def test_lying_announcement_changes_nothing(
        self, gateway: GatewayProcess, redis: RawRedis, lie: Callable[[Position], Position]
    ) -> None:
        """Whoever hears it looks, and finds what there is."""
        position = Position(**gateway.manage("status")["position"])
        announced = lie(position)
        status = gateway.manage("status")
        heard = status["redis"]["counters"].get("announcements_heard", 0)
        with nothing_changes(gateway):
            for age in range(10):  # the same twice would be a recording
                message = signed(encode_position(announced), age=age)
                redis.ask("PUBLISH", NAMES.announcements, message)
            wait_until(
                lambda: (
                    gateway.manage("status")["redis"]["counters"]["announcements_heard"]
                    == heard + 10
                )
            )
            if announced.is_after(position):

                def looked() -> bool:
                    # Again, since there is at most one look a second for another epoch.
                    redis.ask("PUBLISH", NAMES.announcements, signed(encode_position(announced)))
                    looks: int = gateway.manage("status")["looks"]
                    return looks > status["looks"]

                wait_until(looked)
        assert gateway.manage("status")["source"]["full_reads"] == status["source"]["full_reads"]

    def test_change_after_lies_is_served_at_once(
        self, world: World, gateway: GatewayProcess, redis: RawRedis
    ) -> None:
        """Nobody waits for what was only promised."""
        position = Position(**gateway.manage("status")["position"])
        future = position._replace(revision=position.revision + 1000)
        redis.ask("PUBLISH", NAMES.announcements, signed(encode_position(future)))
        world.sql.run("UPDATE fengling.route SET service_id = 'v2' WHERE id = 'hello'")
        wait_until(lambda: gateway.served_by_every_worker(world.sql.revision), timeout=5)
        assert json.loads(gateway.get("/hello")[1])["name"] == "v2"
        assert "Traceback" not in gateway.log
