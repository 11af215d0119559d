"""The configuration in a YAML file: changed, broken, held, confirmed, repaired."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from fengling_gateway.configsource.file_entities import parse_entities
from fengling_gateway.model.effective import hash_of
from fengling_gateway.model.validation import Accepted, validate
from tests.integration.gateway import Load
from tests.integration.world import (
    World,
    fenglingctl,
    lines_with,
    metrics,
    rejected,
    wait_for_line,
)
from tests.support.wait import wait_until

CANNOT: Final = "the config source can't be read: "


class FileWorld:
    """A gateway on a file, and the file."""

    def __init__(self, world: World, path: Path, name: str, **settings: Any) -> None:
        self.world = world
        self.path = path
        self.good = f"""\
services:
  - id: v1
    instances: [{{id: v1-1, address: "{world.upstream("v1").address}"}}]
  - id: v2
    instances: [{{id: v2-1, address: "{world.upstream("v2").address}"}}]
routes:
  - {{id: a, path: /a, service_id: v1}}
  - {{id: b, path: /b, service_id: v1}}
  - {{id: c, path: /c, service_id: v1}}
"""
        self.write(self.good)
        self._good_hash = ""
        self.gateway = world.starting(
            node=name, source="file", settings={"file": {"path": str(path)}, **settings}
        )

    @property
    def good_hash(self) -> str:
        """The content hash of the good file; computed as the gateway does."""
        if not self._good_hash:
            rows = parse_entities(self.good.encode()).rows
            bodies = {}
            for key, values in rows.items():
                verdict = validate(key, values)
                assert isinstance(verdict, Accepted)
                bodies[key] = verdict.body
            self._good_hash = f"{hash_of(bodies):032x}"
        return self._good_hash

    def write(self, text: str | bytes) -> None:
        """Replace the file in one step, as editors and tools do."""
        beside = self.path.with_suffix(".new")
        if self.path.is_dir():
            self.path.rmdir()
        beside.write_bytes(text.encode() if isinstance(text, str) else text)
        beside.rename(self.path)

    def add(self, *lines: str) -> int:
        """Append to the good file; returns the number of the first line."""
        self.write(self.good + "".join(f"{line}\n" for line in lines))
        return self.good.count("\n") + 1

    def names(self, path: str = "/a") -> set[str]:
        """Return who answers, asked often enough to have met every worker."""
        return {json.loads(self.gateway.get(path)[1])["name"] for _ in range(8)}

    def statuses(self) -> set[int]:
        return {self.gateway.get(path)[0] for path in ("/a", "/b", "/c") for _ in range(8)}

    def error(self) -> str:
        return self.gateway.manage("status")["source"]["last_error"] or ""

    def held(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.gateway.manage("status")["held"]
        return found

    def settle(self) -> None:
        """Write the good file and wait until it is served and nothing is wrong."""
        self.write(self.good)

        def good() -> bool:
            status = self.gateway.manage("status")
            if status["held"] is not None:  # it had more routes, if only rejected ones
                held = {"revision": status["held"]["revision"]}
                self.gateway.manage("confirm", method="POST", body=held)
            return (
                status["content_hash"] == self.good_hash
                and status["held"] is None
                and status["rejected"] == []
                and status["source"]["last_error"] is None
            )

        wait_until(good)
        revision = self.gateway.manage("status")["position"]["revision"]
        wait_until(lambda: self.gateway.served_by_every_worker(revision))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("file"))
    yield world
    world.close()


@pytest.fixture(scope="module")
def _shared(world: World) -> FileWorld:
    shared = FileWorld(world, world.directory / "routes.yaml", "n1")
    shared.gateway.wait_ready()
    return shared


@pytest.fixture
def here(_shared: FileWorld) -> FileWorld:
    """Lend the module's gateway with the good file served."""
    _shared.settle()
    return _shared


@pytest.fixture
def alone(world: World, tmp_path: Path) -> Callable[..., FileWorld]:
    """Return a function that starts a gateway of one process on a file of its own."""

    def start(text: str | bytes | None = None) -> FileWorld:
        path = tmp_path / "routes.yaml"
        return FileWorld(world, path, f"alone-{tmp_path.name}")

    return start


class ChangeTests:
    """A file that is good."""

    def test_change_is_served_by_every_worker(self, here: FileWorld) -> None:
        """At once and without a failure; status says where it comes from."""
        before = here.gateway.manage("status")
        with Load(here.gateway.port, "/a").running() as load:
            here.write(here.good.replace("path: /a, service_id: v1", "path: /a, service_id: v2"))
            wait_until(
                lambda: here.gateway.served_by_every_worker(before["position"]["revision"] + 1)
            )
            load.wait_for(20)
        assert (load.refused, load.failed) == ([], [])
        assert here.names() == {"v2"}
        status = here.gateway.manage("status")
        assert (status["served_from"], status["source"]["kind"]) == ("file", "file")
        assert wait_for_line(here.gateway, f"revision {status['position']['revision']} by ")

    def test_file_written_in_place_is_served(self, here: FileWorld) -> None:
        """Not every editor renames."""
        here.path.write_text(here.good.replace("/c", "/d"))
        wait_until(lambda: here.gateway.get("/d")[0] == 200)
        assert here.gateway.get("/c")[0] == 404

    def test_hangup_looks(self, here: FileWorld) -> None:
        """HUP, as for every daemon with a file."""
        looks = here.gateway.manage("status")["looks"]
        here.gateway.signal(signal.SIGHUP)
        wait_until(lambda: here.gateway.manage("status")["looks"] > looks)


BROKEN: Final = {
    "unclosed": ('routes: [{id: a\nservices: "', "line 2: "),
    "tab": ("routes:\n\t- id: a\n", "line 2: "),
    "section": ("routes: []\nrout: []\n", "line 2: rout is not a known section"),
    "section-twice": (
        "routes: []\nservices: []\nroutes: []\n",
        "line 3: section routes is already",
    ),
    "text": ("hello\n", "must have sections"),
    "bomb": (
        "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{f'*{chr(97 + n)}, ' * 9}]\n" for n in range(9)),
        "aliases make more than",
    ),
    "bytes": (b"routes: \xff\xfe\n", "line 1: "),
    "nul": (b"routes: \0\n", "line 1: "),
}


class BrokenTests:
    """A file that can't be used at all."""

    @pytest.mark.parametrize("name", BROKEN)
    def test_broken_file_is_named_with_its_line_and_changes_nothing(
        self, here: FileWorld, name: str
    ) -> None:
        """In status, log and metric; served again once it is repaired."""
        text, said = BROKEN[name]
        gateway = here.gateway
        before = gateway.manage("status")
        with Load(gateway.port, "/a", threads=2).running() as load:
            here.write(text)
            wait_until(here.error)
            load.wait_for(10)
        assert (load.refused, load.failed) == ([], [])
        assert here.error().startswith(f"{here.path}: ")
        assert said in here.error()
        assert "\n" not in here.error()
        wait_for_line(gateway, " WARN ", CANNOT, said, "what is served stays")
        assert metrics(gateway)["fengling_config_source_connected"] == 0
        after = gateway.manage("status")
        assert after["position"] == before["position"]
        assert here.statuses() == {200}
        if name == "unclosed":
            ran = fenglingctl("validate", str(here.path))
            assert (ran.returncode, ran.stdout) == (2, "")
            assert said in ran.stderr
        again = len(lines_with(gateway, "the config source can be read again"))
        here.settle()
        assert len(lines_with(gateway, "the config source can be read again")) == again + 1
        assert "Traceback" not in gateway.log

    def test_file_that_is_gone_is_named(self, here: FileWorld) -> None:
        """Deleted, or a directory in its place; then back."""
        for away in (lambda: None, here.path.mkdir):
            here.path.unlink()
            away()
            wait_until(lambda: f"{here.path} can't be read: " in here.error())
            assert here.statuses() == {200}
            here.settle()


class RejectedTests:
    """Entities that are bad by themselves."""

    def test_bad_entities_reject_themselves_only(self, here: FileWorld) -> None:
        """Each is named with its reason, and with its line where it is the file's fault."""
        gateway = here.gateway
        with Load(gateway.port, "/a").running() as load:
            text = here.good.replace("path: /b, service_id: v1", "path: '~^/(', service_id: v1")
            text = text.replace("path: /c, service_id: v1", "path: /c, service_id: nowhere")
            first = text.count("\n") + 1
            split = '{response_headers: {set: {X-A: "a\\r\\nb"}}}'
            lines = (
                "  - {id: field, path: /n, service_id: v1, colour: blue}",
                "  - {id: twice, path: /n, service_id: v1}",
                "  - {id: twice, path: /n, service_id: v2}",
                '  - {id: "bad id", path: /n, service_id: v1}',
                f"  - {{id: split, path: /n, service_id: v1, policies: {split}}}",
                "  - {path: /n, service_id: v1}",
                "  - {id: number, path: /n, service_id: v1, priority: .nan}",
                "  - just text",
                "instances:",
                "  - {id: weight, service_id: v1, address: 'http://127.0.0.1:1', weight: -1}",
                "  - {id: infinite, service_id: v1, address: 'http://127.0.0.1:1', weight: .inf}",
                "  - {id: ftp, service_id: v1, address: 'ftp://127.0.0.1:1'}",
                "settings: {trusted_proxies: [10.0.0.0/99]}",
            )
            here.write(text + "".join(f"{line}\n" for line in lines))
            expected = {
                "route b": ("previous version", "bad_regex", ""),
                "route c": ("previous version", "missing_reference", "service nowhere"),
                "route field": ("nothing", "source", f"line {first}: colour is not a known field"),
                "route twice": ("nothing", "source", f"line {first + 2}: is defined again"),
                "route bad id": ("nothing", "bad_id", ""),
                "route split": ("nothing", "bad_header_value", ""),
                f"route line-{first + 5}": ("nothing", "source", f"line {first + 5}: must have"),
                # (What has no fields has no line either: it is named by the one before.)
                f"route line-{first + 6}": ("nothing", "source", f"line {first + 6}: must have"),
                "route number": ("nothing", "wrong_type", "nan"),
                "instance weight": ("nothing", "out_of_range", ""),
                "instance infinite": ("nothing", "wrong_type", "inf"),
                "instance ftp": ("nothing", "bad_address", ""),
                "setting trusted_proxies": ("nothing", "bad_network", ""),
            }
            wait_until(lambda: rejected(gateway))
            found = rejected(gateway)
            load.wait_for(20)
        assert (load.refused, load.failed) == ([], [])
        assert set(found) == set(expected)
        for key, (serving, code, said) in expected.items():
            problems = found[key]["problems"]
            assert found[key]["serving"] == serving, key
            assert [one for one in problems if one["code"] == code and said in one["message"]], (
                key,
                problems,
            )
        assert here.statuses() == {200}
        assert gateway.get("/n")[0] == 404
        assert len(lines_with(gateway, " ERROR ", " rejected ")) >= len(expected)
        counted = {
            name: value for name, value in metrics(gateway).items() if "rejected_entities" in name
        }
        assert sum(counted.values()) == len(expected)
        ran = fenglingctl("validate", str(here.path))
        assert (ran.returncode, ran.stderr) == (1, "")
        assert f"{here.path}:{first}" in ran.stdout
        here.settle()
        assert lines_with(gateway, "no longer rejected: route field")
        assert "Traceback" not in gateway.log

    def test_rejected_entity_serves_its_previous_version_after_a_restart(
        self, alone: Callable[..., FileWorld]
    ) -> None:
        """What was good before is kept beside the last-known-good file."""
        here = alone()
        here.gateway.wait_ready()
        here.write(here.good.replace("path: /a, service_id: v1", "path: '~(', service_id: v1"))
        wait_until(lambda: "route a" in rejected(here.gateway))
        before = here.gateway.manage("status")
        for stop in (here.gateway.stop, here.gateway.kill):
            stop()
            here.gateway.start()
            here.gateway.wait_ready()
            wait_until(lambda: here.gateway.manage("status")["served_from"] == "file")
            after = here.gateway.manage("status")
            assert after["rejected"] == before["rejected"]
            assert after["content_hash"] == before["content_hash"]
            assert here.statuses() == {200}


REMOVALS: Final = {
    "no-routes": lambda good: good[: good.index("routes:")],
    "empty-list": lambda good: good[: good.index("routes:")] + "routes: []\n",
    "empty-file": lambda good: "",
    "disabled": lambda good: good.replace("path: /", "enabled: false, path: /"),
}


class HeldTests:
    """A file without routes."""

    @pytest.mark.parametrize("removal", REMOVALS)
    def test_file_that_removes_all_routes_is_held_until_confirmed(
        self, here: FileWorld, removal: str
    ) -> None:
        """By the API or the command."""
        gateway = here.gateway
        before = gateway.manage("status")
        with Load(gateway.port, "/a").running() as load:
            here.write(REMOVALS[removal](here.good))
            wait_until(here.held)
            load.wait_for(20)
        assert (load.refused, load.failed) == ([], [])
        held = here.held()
        assert held is not None
        revision = held["revision"]
        said = f"held: revision {revision} removes 3 of 3 routes"
        assert held["message"] == said
        assert gateway.manage("status")["position"] == before["position"]
        assert metrics(gateway)["fengling_config_held"] == 1
        wait_for_line(gateway, " ERROR ", said)
        if removal == "empty-file":
            gateway.manage("confirm", method="POST", body={"revision": revision})
        else:
            ran = fenglingctl("confirm", str(revision), gateway=gateway)
            assert (ran.returncode, ran.stderr) == (0, "")
        wait_until(lambda: gateway.served_by_every_worker(revision))
        assert here.statuses() == {404}
        assert here.held() is None

    def test_file_that_is_restored_needs_no_confirmation(self, here: FileWorld) -> None:
        """The hold ends with its reason."""
        here.write("")
        wait_until(here.held)
        here.settle()
        assert here.statuses() == {200}

    def test_what_is_not_held_cannot_be_confirmed(self, here: FileWorld) -> None:
        """One line, exit status 2."""
        ran = fenglingctl("confirm", "99999", gateway=here.gateway)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr.endswith(": revision 99999 is not held\n")

    def test_restart_does_not_release(self, alone: Callable[..., FileWorld]) -> None:
        """Neither an orderly one nor kill -9; afterwards it can be confirmed."""
        here = alone()
        here.gateway.wait_ready()
        here.write("")
        wait_until(here.held)
        before = here.held()
        for stop in (here.gateway.stop, here.gateway.kill):
            stop()
            here.gateway.start()
            here.gateway.wait_ready()
            wait_until(lambda: here.held() == before)
            assert here.statuses() == {200}
        assert before is not None
        here.gateway.manage("confirm", method="POST", body={"revision": before["revision"]})
        wait_until(lambda: here.statuses() == {404})


class ColdStartTests:
    """With a file that is broken from the start."""

    def test_last_known_good_serves_while_the_file_is_broken(
        self, alone: Callable[..., FileWorld]
    ) -> None:
        """A host that is restarted by somebody who has just broken the file."""
        here = alone()
        here.gateway.wait_ready()
        here.gateway.stop()
        here.write("routes: [\n")
        here.gateway.start()
        here.gateway.wait_ready()
        assert here.gateway.manage("status")["served_from"] == "last-known-good"
        assert "line 2" in here.error()
        assert here.statuses() == {200}
        here.write(here.good.replace("service_id: v1", "service_id: v2"))
        wait_until(lambda: here.gateway.manage("status")["served_from"] == "file")
        wait_until(lambda: here.names() == {"v2"})

    def test_broken_file_on_a_new_host_is_one_line_until_it_is_repaired(
        self, alone: Callable[..., FileWorld], tmp_path: Path
    ) -> None:
        """It waits, and serves without a restart."""
        here = alone()
        here.gateway.kill()
        for path in sorted(here.gateway.directory.rglob("*"), reverse=True):
            if path.name != "gateway.toml":
                path.unlink() if not path.is_dir() else path.rmdir()
        here.write("routes: [\n")
        here.gateway.start()
        wait_for_line(here.gateway, " WARN ", CANNOT, "line 2", "nothing is served yet")
        assert here.gateway.get("/readyz", port=here.gateway.management_port)[0] == 503
        here.settle()
        here.gateway.wait_ready()
        assert here.statuses() == {200}
        assert len(lines_with(here.gateway, CANNOT)) == 1
