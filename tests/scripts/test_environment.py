"""What scripts/environment.py does beside calling pip."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the script, for a checkout in a scratch directory."""
    module = load("environment")
    for name in module.SETUP_FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "python").touch()
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(module, "PYTHON", tmp_path / "python")
    return module


class IsInstalledTests:
    """Whether there is something to do."""

    def test_stamp_of_a_higher_level_is_enough(self, environment: ModuleType) -> None:
        """Who has the tools for development can run the tests."""
        environment.STAMP.write_text(json.dumps(environment.wanted_stamp("dev")))
        assert environment.is_installed("embedded")
        assert environment.is_installed("dev")

    def test_stamp_of_a_lower_level_is_not(self, environment: ModuleType) -> None:
        """The quickstart's packages are not all that the tests need."""
        environment.STAMP.write_text(json.dumps(environment.wanted_stamp("embedded")))
        assert not environment.is_installed("test")

    @pytest.mark.parametrize("stamp", ["", "{}", "[]", '{"level": "none"}'])
    def test_odd_stamp_counts_as_none(self, environment: ModuleType, stamp: str) -> None:
        """It is installed again, which is always right."""
        environment.STAMP.write_text(stamp)
        assert not environment.is_installed("embedded")

    def test_changed_setup_file_asks_for_an_installation(self, environment: ModuleType) -> None:
        """And so does a checkout that has moved."""
        environment.STAMP.write_text(json.dumps(environment.wanted_stamp("dev")))
        (environment.ROOT / "setup.cfg").write_text("changed")
        assert not environment.is_installed("embedded")


class ProgressTests:
    """What pip says, in a few words."""

    def test_steps_are_named_and_everything_is_kept(self, environment: ModuleType) -> None:
        """One step for each line that means progress."""
        lines = [
            "Obtaining file:///x\n",
            "Collecting twisted[tls]>=26\n",
            "  Downloading twisted-26.whl (3.2 MB)\n",
            "Installing collected packages: a, b\n",
        ]
        kept: list[str] = []
        steps = list(environment.progress(iter(lines), kept))
        assert kept == lines
        assert steps == [
            "1 found, twisted",
            "1 found, downloading 3.2 MB",
            "unpacking 2 packages",
        ]

    def test_long_step_is_said_again(self, environment: ModuleType) -> None:
        """A reader sees that it has not hung."""
        go_on = threading.Event()

        def steps() -> Iterator[str]:
            yield "unpacking"
            go_on.wait(10)

        said = environment.ticking(steps(), interval=0.01)
        assert [next(said) for _ in range(4)][2:] == ["unpacking", "unpacking"]
        go_on.set()
        assert set(said) <= {"unpacking"}


class ChangelogTests:
    """Fragments of the changelog."""

    def test_names_and_full_stops_are_checked(self, tmp_path: Path) -> None:
        """Each broken rule is a line."""
        check = load("changelog_check")
        (tmp_path / "2.feature").write_text("It works.\n")
        (tmp_path / "+words.misc").write_text("")
        (tmp_path / "README.md").write_text("how")
        assert check.problems(tmp_path) == []
        (tmp_path / "3.bugfix").write_text("no stop")
        (tmp_path / "feature.4").write_text("It.")
        assert len(check.problems(tmp_path)) == 2
