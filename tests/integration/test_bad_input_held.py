"""
A revision that removes all routes is held until somebody means it.

The database decides that when it is committed; every gateway serves what was
before, also one that is started only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from tests.integration.gateway import GatewayProcess, Load, admin_token
from tests.integration.world import (
    World,
    fenglingctl,
    lines_with,
    metrics,
    wait_for_line,
    world_with_database,
)
from tests.support.wait import wait_until

NAMES = ("a", "b", "c")

REMOVALS = {
    "delete": "DELETE FROM fengling.route",
    "truncate": "TRUNCATE fengling.route",
    "disable": "UPDATE fengling.route SET enabled = false",
}


class HeldWorld:
    """Three routes, one gateway, and what can be asked of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sql = world.sql
        self.sql.add_service("v1", world.upstream("v1").address)
        self.put_back()
        self.gateway = world.gateway()

    def put_back(self) -> None:
        """Make the three routes as they were, whatever is held."""
        routes = ", ".join(f"('{name}', '/{name}', 'v1')" for name in NAMES)
        self.sql.run(
            "BEGIN; SET LOCAL fengling.force = 'on'; DELETE FROM fengling.route;"
            f"INSERT INTO fengling.route (id, path, service_id) VALUES {routes}; COMMIT"
        )

    def remove(self, statement: str) -> int:
        """Remove routes; returns the revision."""
        self.sql.run(statement)
        return self.sql.revision

    def held(self, gateway: GatewayProcess | None = None) -> dict[str, Any] | None:
        found: dict[str, Any] | None = (gateway or self.gateway).manage("status")["held"]
        return found

    def wait_held(self, revision: int, removed: int = 3) -> None:
        expected = {
            "revision": revision,
            "message": f"held: revision {revision} removes {removed} of 3 routes",
        }
        wait_until(lambda: self.held() == expected)

    def answers(self, gateway: GatewayProcess | None = None) -> set[int]:
        """Ask for each route often enough to have met every worker."""
        gateway = gateway or self.gateway
        return {gateway.get(f"/{name}")[0] for name in NAMES for _ in range(8)}


@pytest.fixture(scope="module")
def _held_world(
    postgres: PostgresServer, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HeldWorld]:
    directory = tmp_path_factory.mktemp("held")
    with world_with_database(postgres, _migrated_template, directory) as world:
        yield HeldWorld(world)


@pytest.fixture
def held_world(_held_world: HeldWorld) -> HeldWorld:
    """Lend the module's gateway with its three routes served and nothing held."""
    _held_world.put_back()
    wait_until(lambda: _held_world.gateway.served_by_every_worker(_held_world.sql.revision))
    assert _held_world.held() is None
    return _held_world


def confirm_by_api(here: HeldWorld, revision: int) -> None:
    answer = here.gateway.manage("confirm", method="POST", body={"revision": revision})
    assert answer == {"confirmed": revision, "held": None}


def confirm_by_command(here: HeldWorld, revision: int) -> None:
    ran = fenglingctl("confirm", str(revision), gateway=here.gateway)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"revision {revision} is confirmed, and served\n"


def confirm_by_force(here: HeldWorld, revision: int) -> None:
    """Force a later revision: what it follows is meant, too."""
    here.sql.run(
        "BEGIN; SET LOCAL fengling.force = 'on';"
        "UPDATE fengling.service SET name = 'meant' WHERE id = 'v1'; COMMIT"
    )


class HeldTests:
    """Held, and released."""

    @pytest.mark.parametrize(
        ("removal", "release"),
        [
            ("delete", confirm_by_api),
            ("truncate", confirm_by_command),
            ("disable", confirm_by_force),
        ],
    )
    def test_revision_that_removes_all_routes_is_held_until_confirmed(
        self, held_world: HeldWorld, removal: str, release: Callable[[HeldWorld, int], None]
    ) -> None:
        """Nothing fails meanwhile; status, log and metric tell; then it is served."""
        gateway, sql = held_world.gateway, held_world.sql
        before = gateway.manage("status")
        with Load(gateway.port, "/a").running() as load:
            revision = held_world.remove(REMOVALS[removal])
            held_world.wait_held(revision)
            load.wait_for(50)
            assert held_world.answers() == {200}
        assert (load.refused, load.failed) == ([], [])
        status = gateway.manage("status")
        for name in ("position", "content_hash", "rejected", "entities"):
            assert status[name] == before[name]
        assert metrics(gateway)["fengling_config_held"] == 1
        said = f"held: revision {revision} removes 3 of 3 routes"
        assert f"fenglingctl confirm {revision}" in wait_for_line(gateway, " ERROR ", said)

        release(held_world, revision)
        wait_until(lambda: gateway.served_by_every_worker(sql.revision))
        assert held_world.held() is None
        assert held_world.answers() == {404}
        assert metrics(gateway)["fengling_config_held"] == 0
        assert lines_with(gateway, "nothing is held any more")
        if release is not confirm_by_force:  # committed long before it was served
            said = wait_for_line(gateway, f"revision {revision} is served by 2/2 workers")
            assert "after its commit" not in said

    def test_later_revision_that_restores_releases(self, held_world: HeldWorld) -> None:
        """Nobody has to confirm what no longer removes anything."""
        gateway, sql = held_world.gateway, held_world.sql
        with Load(gateway.port, "/a").running() as load:
            held_world.wait_held(held_world.remove(REMOVALS["disable"]))
            sql.run("UPDATE fengling.route SET enabled = true, priority = 1")
            wait_until(lambda: gateway.served_by_every_worker(sql.revision))
            load.wait_for(50)
        assert (load.refused, load.failed) == ([], [])
        assert held_world.held() is None
        assert gateway.manage("routes/a")["priority"] == 1

    def test_forced_revision_is_not_held(self, held_world: HeldWorld) -> None:
        """SET LOCAL fengling.force in the very transaction."""
        sql = held_world.sql
        sql.run(f"BEGIN; SET LOCAL fengling.force = 'on'; {REMOVALS['delete']}; COMMIT")
        wait_until(lambda: held_world.gateway.served_by_every_worker(sql.revision))
        assert held_world.answers() == {404}
        assert held_world.held() is None

    def test_more_than_half_is_held_and_half_is_not(self, held_world: HeldWorld) -> None:
        """Two of three wait; one of three does not."""
        sql = held_world.sql
        revision = held_world.remove("DELETE FROM fengling.route WHERE id <> 'a'")
        held_world.wait_held(revision, removed=2)
        assert held_world.answers() == {200}
        held_world.put_back()
        held_world.remove("DELETE FROM fengling.route WHERE id = 'a'")
        wait_until(lambda: held_world.gateway.served_by_every_worker(sql.revision))
        assert held_world.answers() == {200, 404}
        assert held_world.held() is None

    def test_cold_start_serves_what_was_before_and_can_confirm(self, held_world: HeldWorld) -> None:
        """A host with nothing on its disk, and the same one again with its file."""
        gateway, sql = held_world.gateway, held_world.sql
        revision = held_world.remove(REMOVALS["delete"])
        sql.run("UPDATE fengling.service SET name = 'waits, too' WHERE id = 'v1'")
        held_world.wait_held(revision)
        cold = held_world.world.gateway(worker_count=1)
        for _ in range(2):
            assert held_world.answers(cold) == {200}
            wait_until(lambda: held_world.held(cold) == held_world.held(gateway))
            status = cold.manage("status")
            assert status["content_hash"] == gateway.manage("status")["content_hash"]
            assert status["position"] == gateway.manage("status")["position"]
            assert cold.stop() == 0
            cold.start()
            cold.wait_ready()
        answer = cold.manage("confirm", method="POST", body={"revision": revision})
        assert answer["held"] is None
        for one in (gateway, cold):
            wait_until(lambda one=one: one.served_by_every_worker(sql.revision))
            assert held_world.answers(one) == {404}
            assert one.manage("services/v1")["name"] == "waits, too"


class ConfirmTests:
    """What there is no reason to confirm."""

    def test_unknown_revision_is_refused_in_one_line(self, held_world: HeldWorld) -> None:
        """It could not be done: exit status 2, and nothing on stdout."""
        gateway = held_world.gateway
        ran = fenglingctl("confirm", "999999", gateway=gateway)
        url = f"http://127.0.0.1:{gateway.management_port}"
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr == f"fenglingctl: {url}: there is no revision 999999\n"
        status, _, _ = gateway.fetch(
            "/api/gateway/confirm",
            port=gateway.management_port,
            method="POST",
            headers={
                "Authorization": f"Bearer {admin_token()}",
                "Content-Type": "application/json",
            },
            body=b'{"revision": 999999}',
        )
        assert status == 409

    def test_revision_that_is_not_held_changes_nothing(self, held_world: HeldWorld) -> None:
        """The second of two operators is told what is served."""
        gateway, revision = held_world.gateway, held_world.sql.revision
        before = gateway.manage("status")["position"]
        ran = fenglingctl("confirm", str(revision), gateway=gateway)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert f"revision {revision} is not held; revision {revision} is served" in ran.stderr
        assert gateway.manage("status")["position"] == before
        assert held_world.answers() == {200}

    def test_status_command_names_what_is_held(self, held_world: HeldWorld) -> None:
        """And how many routes that is."""
        revision = held_world.remove(REMOVALS["delete"])
        held_world.wait_held(revision)
        ran = fenglingctl("status", gateway=held_world.gateway)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert f"revision {revision} removes 3 of 3 routes" in ran.stdout
