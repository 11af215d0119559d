"""
Keys are changed while everything runs: put in second, then first, then alone, with a HUP each.

Two real gateways of two workers. The second one neither listens nor polls, and
no worker is pushed anything: what they serve, they have heard of on Redis, by a
message that was signed by the key of the day.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.gateway import SYNC_KEY, TOKEN_KEY, GatewayProcess, Load
from tests.integration.test_bad_input_bus import RawRedis
from tests.integration.world import World, lines_with, wait_for_line, world_with_database
from tests.support.wait import wait_until

NEW_SYNC_KEY = f"s2:{secrets.token_hex(32)}"
NEW_TOKEN_KEY = f"k2:{secrets.token_hex(32)}"


@pytest.fixture
def world(postgres: PostgresServer, _migrated_template: str, tmp_path: Path) -> Iterator[World]:
    with world_with_database(postgres, _migrated_template, tmp_path) as world:
        world.sql.add_service("v1", world.upstream("v1").address)
        world.sql.add_route("hello", "/hello", "v1")
        yield world


def rotate(gateway: GatewayProcess, **settings: dict[str, Any]) -> str:
    """Write other settings, send HUP, and return the line that says what has come of it."""
    before = len(lines_with(gateway, "settings:"))
    for section, values in settings.items():
        gateway.settings.setdefault(section, {}).update(values)
    (gateway.directory / "gateway.toml").write_text(gateway._toml())
    gateway.signal(signal.SIGHUP)
    look: Callable[[], list[str]] = lambda: lines_with(gateway, "settings:")[before:]  # noqa: E731
    return wait_until(look)[-1]


def signed_by(spy: RawRedis) -> str:
    """Return the id of the key that the newest announcement is signed by."""
    newest = b""
    for message in spy.waiting():
        newest = message
    return newest.split()[2].decode()


def drops(gateway: GatewayProcess) -> dict[str, int]:
    counters = gateway.manage("status")["redis"]["counters"]
    return {name: count for name, count in counters.items() if name.startswith("messages_dropped:")}


class BusKeyTests:
    """What signs messages on Redis."""

    def test_no_message_and_no_request_is_lost(self, world: World, valkey: ValkeyServer) -> None:
        """Each change is served by all four workers, whichever keys there are."""
        one = world.gateway(redis=valkey.url, settings={"sync": {"push": False}})
        deaf = {"listen": False, "poll_interval": "1h"}
        two = world.gateway(redis=valkey.url, settings={"sync": {"push": False}, "database": deaf})
        gateways = (one, two)
        spy = RawRedis(valkey.url)
        spy.ask("SUBSCRIBE", f"fengling:test-{os.getpid()}:announce")
        for gateway in gateways:
            wait_until(lambda gateway=gateway: gateway.manage("status")["redis"]["connected"])
        pids = [gateway.worker_pids() for gateway in gateways]
        with Load(two.port, "/hello", threads=2).running() as load:
            self._change_is_served(world, gateways)
            for keys in (
                [SYNC_KEY, NEW_SYNC_KEY],
                [NEW_SYNC_KEY, SYNC_KEY],
                [NEW_SYNC_KEY],
            ):
                for gateway in gateways:
                    said = rotate(gateway, sync={"keys": keys})
                    assert "sync.keys changed; it is in use at once" in said
                    self._change_is_served(world, gateways)
            load.wait_for(20)
        assert (load.refused, load.failed) == ([], [])
        assert [gateway.worker_pids() for gateway in gateways] == pids
        assert [drops(gateway) for gateway in gateways] == [{}, {}]
        assert signed_by(spy) == "s2"
        spy.close()
        answer = one.manage("workers")
        assert {(w["node"], w.get("live", True)) for w in answer["workers"]} == {
            ("n1", True),
            ("n2", True),
        }

    def test_a_new_worker_and_one_in_the_only_process_have_the_new_keys(
        self, world: World, valkey: ValkeyServer
    ) -> None:
        """A worker that is replaced later is told of what there is now."""
        one = world.gateway(redis=valkey.url, settings={"sync": {"push": False}})
        alone = world.gateway(redis=valkey.url, worker_count=1, settings={"sync": {"push": False}})
        for gateway in (one, alone):
            rotate(gateway, sync={"keys": [NEW_SYNC_KEY]})
        pids = set(one.worker_pids())
        one.signal(signal.SIGUSR2)
        wait_until(lambda: len(one.worker_pids()) == 2 and not pids & set(one.worker_pids()))
        self._change_is_served(world, (one, alone))

    def _change_is_served(self, world: World, gateways: tuple[GatewayProcess, ...]) -> None:
        world.sql.run("UPDATE fengling.route SET priority = priority + 1 WHERE id = 'hello'")
        for gateway in gateways:
            wait_until(lambda gateway=gateway: gateway.served_by_every_worker(world.sql.revision))


class TokenKeyTests:
    """What signs the tokens of the management API."""

    def test_old_tokens_are_good_until_their_key_goes(self, world: World) -> None:
        """New ones from the moment that their key is there; nobody is turned away in between."""
        gateway = world.gateway()
        old, new = self._token(TOKEN_KEY), self._token(NEW_TOKEN_KEY)
        assert self._answers(gateway, old, new) == [200, 401]
        rotate(gateway, management={"token_keys": [TOKEN_KEY, NEW_TOKEN_KEY]})
        assert self._answers(gateway, old, new) == [200, 200]
        rotate(gateway, management={"token_keys": [NEW_TOKEN_KEY, TOKEN_KEY]})
        assert self._answers(gateway, old, new) == [200, 200]
        said = rotate(gateway, management={"token_keys": [NEW_TOKEN_KEY]})
        assert "management.token_keys changed; it is in use at once" in said
        assert self._answers(gateway, old, new) == [401, 200]

    def test_keys_that_cannot_be_used_change_nothing(self, world: World) -> None:
        """The line says which and why, and not what."""
        gateway = world.gateway()
        old = self._token(TOKEN_KEY)
        weak = "k3:" + "5a" * 32
        for keys in ([], [weak], [NEW_TOKEN_KEY, NEW_TOKEN_KEY]):
            said = rotate(gateway, management={"token_keys": keys})
            assert "management.token_keys" in said
            assert "the old ones stay" in said
        assert self._answers(gateway, old) == [200]
        wait_for_line(gateway, "ERROR", "the old ones stay")
        for secret in (weak, NEW_TOKEN_KEY, TOKEN_KEY):
            assert secret.partition(":")[2] not in gateway.log

    def _token(self, key: str) -> str:
        return TokenRing([key]).issue(
            subject="test",
            scopes=["gateway:read"],
            now=time.time(),
            lifetime_seconds=3600,
            token_id=secrets.token_hex(8),
        )

    def _answers(self, gateway: GatewayProcess, *tokens: str) -> list[int]:
        return [
            gateway.get(
                "/api/gateway/status",
                port=gateway.management_port,
                headers={"Authorization": f"Bearer {token}"},
            )[0]
            for token in tokens
        ]
