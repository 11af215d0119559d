"""The quickstart's directory."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fengling_gateway.quickstart.place import Place, PlaceTakenError


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / ".quickstart")
    place.take()
    yield place
    if place.directory.exists():
        place.leave()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class PlaceTests:
    """Taking, filling and leaving it."""

    def test_secrets_and_state_are_for_their_owner_only(self, place: Place) -> None:
        """Also where the umask would allow more."""
        secret = place.new_secret("key")
        place.write_state({"token": secret})
        place.write_env({"TOKEN": secret}, [])
        assert mode(place.directory) == mode(place.secrets) == 0o700
        for path in (place.secrets / "key", place.state_file, place.env_file, place.control):
            assert mode(path) == 0o600
        assert (place.secrets / "key").read_text() == secret + "\n"
        assert len(secret) >= 32
        assert json.loads(place.state_file.read_text()) == {"token": secret}

    def test_environment_file_survives_any_value(self, place: Place) -> None:
        """A shell reads back exactly what was written."""
        value = 'it\'s "odd" $HOME `id`\\'
        place.write_env({"ODD": value}, [Path("/a b/bin")])
        printed = subprocess.run(
            ["/bin/sh", "-c", f'. "{place.env_file}"; printf "%s|%s" "$ODD" "${{PATH%%:*}}"'],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert printed == f"{value}|/a b/bin"

    def test_second_quickstart_is_refused(self, place: Place) -> None:
        """One at a time, and the first one keeps what it has."""
        place.new_secret("key")
        with pytest.raises(PlaceTakenError, match="already"):
            Place(place.directory).take()
        assert (place.secrets / "key").exists()

    def test_directory_of_somebody_else_is_left_alone(self, tmp_path: Path) -> None:
        """What is not ours is not emptied."""
        (tmp_path / "thesis.tex").write_text("years of work")
        with pytest.raises(PlaceTakenError, match=r"thesis\.tex"):
            Place(tmp_path).take()
        assert (tmp_path / "thesis.tex").exists()

    def test_what_somebody_put_among_ours_stays(self, place: Place) -> None:
        """The next one says so, and leaves it alone too."""
        (place.directory / "notes").write_text("of what was seen")
        place.leave(keep_logs=True)
        with pytest.raises(PlaceTakenError, match=r"other things: notes$"):
            place.take()
        place.leave()
        assert [path.name for path in place.directory.iterdir()] == ["notes"]

    def test_file_is_no_place(self, tmp_path: Path) -> None:
        """It is left alone."""
        (tmp_path / "file").write_text("x")
        with pytest.raises(PlaceTakenError, match="file is not a directory"):
            Place(tmp_path / "file").take()

    def test_left_place_is_gone(self, place: Place) -> None:
        """And can be taken again."""
        place.new_secret("key")
        place.leave()
        assert not place.directory.exists()

    def test_after_a_failure_the_logs_stay_and_the_secrets_go(self, place: Place) -> None:
        """What explains, and nothing else."""
        place.new_secret("key")
        (place.logs / "gateway.log").write_text("why")
        place.leave(keep_logs=True)
        assert sorted(path.name for path in place.directory.iterdir()) == ["lock", "logs"]
        place.take()
        assert not (place.logs / "gateway.log").exists()

    def test_what_a_killed_one_left_is_removed(self, tmp_path: Path) -> None:
        """A lock goes with its process; the next one clears the files."""
        directory = tmp_path / "quickstart"
        killed = (
            "import os, pathlib; from fengling_gateway.quickstart.place import Place;"
            f"place = Place(pathlib.Path({str(directory)!r})); place.take();"
            "place.new_secret('old'); os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", killed], check=False)
        assert (directory / "secrets" / "old").exists()
        place = Place(directory)
        place.take()
        assert not place.secrets.exists()
        place.leave()
        assert not directory.exists()

    @pytest.mark.parametrize("lock", [None, "", "12345"])
    def test_names_like_ours_do_not_make_a_directory_ours(
        self, tmp_path: Path, lock: str | None
    ) -> None:
        """Others have ``logs`` and ``secrets``, and lock files, too."""
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "precious").touch()
        if lock is not None:
            (tmp_path / "lock").write_text(lock)
        with pytest.raises(PlaceTakenError, match=r"holds other things: .*logs"):
            Place(tmp_path).take()
        assert (tmp_path / "logs" / "precious").exists()
        assert lock is None or (tmp_path / "lock").read_text() == lock

    def test_empty_directory_is_used_and_stays(self, tmp_path: Path) -> None:
        """It is not we who made it."""
        place = Place(tmp_path)
        place.take()
        place.new_secret("key")
        place.leave()
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("path", ["", ".", "/"])
    def test_place_where_one_stands_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        """An empty path is the current directory."""
        monkeypatch.chdir(tmp_path)
        with pytest.raises(PlaceTakenError, match="no directory of the quickstart's own"):
            Place(Path(path))
        assert tmp_path.exists()
