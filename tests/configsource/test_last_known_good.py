"""What is read back after crashes, torn writes and flipped bits."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.configsource import last_known_good
from fengling_gateway.configsource.checked_file import MARK
from fengling_gateway.configsource.last_known_good import (
    KEPT_DAMAGED,
    KEPT_GENERATIONS,
    MOST_GENERATIONS,
    LastKnownGood,
    OutOfStepError,
)
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.effective import hash_of
from fengling_gateway.model.entity import Key

Bodies = dict[Key, bytes]


def position(revision: int) -> Position:
    return Position("epoch", revision, f"token-{revision}")


def route(name: str) -> Key:
    return Key("route", name)


def delta(revision: int, before: Bodies, *changes: tuple[str, bytes | None]) -> Delta:
    """A delta from revision - 1, and `before` brought up to it."""
    hash_before = hash_of(before)
    for name, body in changes:
        if body is None:
            before.pop(route(name), None)
        else:
            before[route(name)] = body
    return Delta(
        before=position(revision - 1),
        after=position(revision),
        hash_before=hash_before,
        hash_after=hash_of(before),
        changes=tuple(Change(route(name), body) for name, body in changes),
    )


def history() -> tuple[Bodies, list[Delta], list[Bodies]]:
    """A base, three deltas after it, and the bodies at each of the four points."""
    now: Bodies = {route("a"): b'{"a":1}', route("b"): b'{"b":1}'}
    base, states = dict(now), [dict(now)]
    deltas = []
    for revision, change in ((2, ("a", b'{"a":2}')), (3, ("b", None)), (4, ("c", b"{}"))):
        deltas.append(delta(revision, now, change))
        states.append(dict(now))
    return base, deltas, states


def written(directory: Path) -> tuple[Path, Path, list[Bodies]]:
    """One generation in a directory: its base, its journal, and the states it goes through."""
    base, deltas, states = history()
    file = LastKnownGood(directory)
    file.rebase(position(1), base)
    for one in deltas:
        file.append(one)
    return directory / "base-00000001.lkg", directory / "journal-00000001.lkg", states


def loaded(directory: Path) -> tuple[int, Bodies] | None:
    file = LastKnownGood(directory)
    found = file.load()
    if found is None:
        return None
    assert file.content_hash == hash_of(found[1])
    return found[0].revision, found[1]


class FindTests:
    """What was served once."""

    def test_every_state_between_is_found(self, tmp_path: Path) -> None:
        """That of the base, and after each delta; of this epoch only."""
        *_, states = written(tmp_path)
        file = LastKnownGood(tmp_path)
        for revision, bodies in enumerate(states, 1):
            assert file.find("epoch", revision) == (position(revision), bodies)
        assert file.find("epoch", 5) is None
        assert file.find("other", 2) is None

    def test_damaged_part_is_left_out(self, tmp_path: Path) -> None:
        """What was before it is still there, and nothing is set aside."""
        base, journal, states = written(tmp_path)
        content = journal.read_bytes()
        journal.write_bytes(content[:-3])
        file = LastKnownGood(tmp_path)
        assert file.find("epoch", 4) is None
        assert file.find("epoch", 3) == (position(3), states[2])
        base.write_bytes(base.read_bytes()[:-3])
        assert file.find("epoch", 3) is None
        assert base.exists()


class LoadTests:
    def test_empty_directory_gives_nothing(self, tmp_path: Path) -> None:
        """Where nothing was written there is nothing to start from."""
        assert LastKnownGood(tmp_path).load() is None
        assert LastKnownGood(tmp_path / "none").load() is None

    def test_base_and_journal_give_the_newest_state(self, tmp_path: Path) -> None:
        """What was appended last is what is loaded."""
        _, _, states = written(tmp_path)
        assert loaded(tmp_path) == (4, states[3])

    def test_configuration_larger_than_a_part_comes_back(self, tmp_path: Path) -> None:
        """Bodies that don't fit one block are spread over several."""
        bodies = {route(f"r{n}"): b"x" * 50_000 for n in range(40)}
        LastKnownGood(tmp_path).rebase(position(1), bodies)
        assert loaded(tmp_path) == (1, bodies)

    def test_empty_configuration_comes_back(self, tmp_path: Path) -> None:
        """No entities is a configuration too."""
        LastKnownGood(tmp_path).rebase(position(1), {})
        assert loaded(tmp_path) == (1, {})

    def test_bodies_of_another_form_are_judged_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A new version of the gateway gives old bodies its form, and drops what it refuses."""
        good = (Key("tenant", "t"), b'{"id":"t"}')
        LastKnownGood(tmp_path).rebase(position(1), dict([good, (Key("route", "r"), b"{}")]))
        monkeypatch.setattr(last_known_good, "CANONICAL_FORM", 99)
        found = loaded(tmp_path)
        assert found is not None
        assert list(found[1]) == [good[0]]
        assert b'"enabled":true' in found[1][good[0]]


class DamageTests:
    def test_journal_cut_anywhere_gives_a_state_it_went_through(self, tmp_path: Path) -> None:
        """A torn tail costs the deltas that are not whole, and nothing else."""
        _, journal, states = written(tmp_path)
        content = journal.read_bytes()
        reached = set()
        for end in range(len(content)):
            journal.write_bytes(content[:end])
            found = loaded(tmp_path)
            assert found is not None
            assert found[1] == states[found[0] - 1]
            reached.add(found[0])
        assert reached == {1, 2, 3}

    def test_journal_flipped_anywhere_gives_a_state_it_went_through(self, tmp_path: Path) -> None:
        """A flipped bit is never taken for configuration."""
        _, journal, states = written(tmp_path)
        content = journal.read_bytes()
        for offset in range(len(content)):
            journal.write_bytes(_flipped(content, offset))
            found = loaded(tmp_path)
            assert found is not None
            assert found[1] == states[found[0] - 1]
            assert found[0] < 4

    @pytest.mark.parametrize("damage", ["cut", "flip"])
    def test_base_damaged_anywhere_gives_the_generation_before(
        self, tmp_path: Path, damage: str
    ) -> None:
        """A base counts as a whole or not at all."""
        base, _, states = written(tmp_path)
        second = base.with_name("base-00000002.lkg")
        LastKnownGood(tmp_path).rebase(position(9), {route("z"): b"{}"})
        content = second.read_bytes()
        for offset in range(len(content)):
            second.write_bytes(content[:offset] if damage == "cut" else _flipped(content, offset))
            assert loaded(tmp_path) == (4, states[3])
            assert second.with_name("base-00000002.lkg.damaged").exists()

    def test_every_generation_damaged_gives_nothing(self, tmp_path: Path) -> None:
        """With nothing whole there is nothing to start from, and no error either."""
        base, _, _ = written(tmp_path)
        base.write_bytes(b"garbage")
        assert loaded(tmp_path) is None

    def test_journal_of_another_generation_is_not_applied(self, tmp_path: Path) -> None:
        """A delta whose result has another hash than it should is refused."""
        _base, journal, _ = written(tmp_path)
        LastKnownGood(tmp_path).rebase(position(9), {route("z"): b"{}"})
        journal.rename(journal.with_name("journal-00000002.lkg"))
        assert loaded(tmp_path) == (9, {route("z"): b"{}"})

    def test_unreadable_entry_is_passed_over(self, tmp_path: Path) -> None:
        """Something else under the name of a base does not stop a start."""
        _, _, states = written(tmp_path)
        (tmp_path / "base-00000007.lkg").mkdir()
        assert loaded(tmp_path) == (4, states[3])

    def test_file_of_another_user_is_not_trusted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who can plant a file must not route our traffic."""
        base, _, _ = written(tmp_path)
        try:
            os.chown(base, 12345, -1)
        except PermissionError:
            pytest.skip("takes root")
        assert loaded(tmp_path) is None

    def test_base_without_a_journal_counts_alone(self, tmp_path: Path) -> None:
        """Nothing has been appended yet, or it is gone."""
        _, journal, states = written(tmp_path)
        journal.unlink()
        assert loaded(tmp_path) == (1, states[0])

    def test_journal_without_a_base_is_passed_over(self, tmp_path: Path) -> None:
        """Deltas alone are no configuration."""
        base, _, _ = written(tmp_path)
        base.unlink()
        assert loaded(tmp_path) is None

    def test_damaged_file_that_stays_is_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a read-only disk it can't be set aside, and is skipped all the same."""
        _, _, states = written(tmp_path)
        (tmp_path / "base-00000002.lkg").write_bytes(MARK)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", _failing_at(os.replace, 0))
            assert loaded(tmp_path) == (4, states[3])

    def test_old_file_that_stays_is_no_failure(self, tmp_path: Path) -> None:
        """What can't be removed today can be tomorrow."""
        (tmp_path / "base-00000001.lkg.tmp").mkdir()
        LastKnownGood(tmp_path).rebase(position(2), {})
        assert loaded(tmp_path) == (2, {})

    def test_generation_after_damage_has_a_new_number(self, tmp_path: Path) -> None:
        """The journal of a damaged base is never continued by another base."""
        base, _journal, _ = written(tmp_path)
        base.write_bytes(b"garbage")
        file = LastKnownGood(tmp_path)
        assert file.load() is None
        assert file.quarantined == 1
        file.rebase(position(9), {})
        assert loaded(tmp_path) == (9, {})
        assert (tmp_path / "base-00000002.lkg").exists()


class WriteTests:
    def test_append_before_a_base_is_refused(self, tmp_path: Path) -> None:
        """A delta needs something to follow from."""
        file = LastKnownGood(tmp_path)
        file.load()
        assert file.wants_rebase
        with pytest.raises(OutOfStepError):
            file.append(delta(2, {}))

    def test_delta_that_does_not_follow_is_refused(self, tmp_path: Path) -> None:
        """A gap would make everything after it wrong; a new base is asked for instead."""
        file = LastKnownGood(tmp_path)
        file.rebase(position(1), {})
        assert not file.wants_rebase
        with pytest.raises(OutOfStepError):
            file.append(delta(3, {}, ("a", b"{}")))
        assert file.wants_rebase
        assert loaded(tmp_path) == (1, {})

    def test_long_journal_asks_for_a_base(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A journal does not grow without bound."""
        monkeypatch.setattr(last_known_good, "MIN_JOURNAL_BYTES", 100)
        file = LastKnownGood(tmp_path)
        now: Bodies = {}
        file.rebase(position(1), now)
        revision = 1
        while not file.wants_rebase:
            revision += 1
            file.append(delta(revision, now, ("a", b"%d" % revision)))
        file.rebase(position(revision), now)
        assert not file.wants_rebase
        assert loaded(tmp_path) == (revision, now)

    def test_small_generations_stay_longer(self, tmp_path: Path) -> None:
        """What was served once can be had again; not for ever."""
        file = LastKnownGood(tmp_path)
        for revision in range(1, 31):
            file.rebase(position(revision), {route("a"): b"%d" % revision})
        assert len(list(tmp_path.glob("base-*.lkg"))) == MOST_GENERATIONS
        found = file.find("epoch", 11)
        assert found == (position(11), {route("a"): b"11"})
        assert file.find("epoch", 10) is None

    def test_old_generations_are_removed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A few older generations stay, however large, and no stale or many damaged files."""
        monkeypatch.setattr(last_known_good, "OLDER_BYTES", 0)
        (tmp_path / "base-00000001.lkg.tmp").touch()
        for number in range(10):
            (tmp_path / f"base-{number + 100:08}.lkg.damaged").touch()
        file = LastKnownGood(tmp_path)
        now: Bodies = {}
        for revision in range(1, 8):
            file.rebase(position(revision), now)
        names = sorted(path.name for path in tmp_path.iterdir())
        assert sum(name.startswith("base-") and name.endswith(".lkg") for name in names) == (
            KEPT_GENERATIONS
        )
        assert sum(name.endswith(".damaged") for name in names) == KEPT_DAMAGED
        assert not any(name.endswith(".tmp") for name in names)

    def test_files_are_for_their_owner_only(self, tmp_path: Path) -> None:
        """Addresses of instances are nobody else's business."""
        base, journal, _ = written(tmp_path)
        assert base.stat().st_mode & 0o077 == 0
        assert journal.stat().st_mode & 0o077 == 0


class FailingSystemTests:
    @pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
    def test_failure_of_any_call_leaves_a_whole_state(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        """A full disk at any point leaves what was there or what was to come, and heals."""
        base, deltas, states = history()
        for failing in range(12):
            directory = tmp_path / f"{call}-{failing}"
            file = LastKnownGood(directory)
            file.rebase(position(1), base)
            file.append(deltas[0])
            with monkeypatch.context() as patch:
                patch.setattr(os, call, _failing_at(getattr(os, call), failing))
                _write_on(file, deltas[1], deltas[2], dict(states[3]))
            found = loaded(directory)
            assert found is not None
            assert found[1] == states[found[0] - 1]
            file.rebase(position(4), states[3])
            assert loaded(directory) == (4, states[3])

    def test_killed_writer_leaves_a_whole_state(self, tmp_path: Path) -> None:
        """kill -9 at any moment of continuous writing leaves a state it went through."""
        for _ in range(5):
            writer = subprocess.Popen(
                [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE
            )
            assert writer.stdout is not None
            # The moment is random enough: the writer does not wait for us.
            acknowledged = 0
            for _ in range(25):
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
            found = loaded(tmp_path)
            assert found is not None
            revision, bodies = found
            assert revision >= acknowledged
            assert bodies == {route("counter"): b"%d" % revision}


_WRITER = """
import sys
from fengling_gateway.configsource import last_known_good
from fengling_gateway.model.delta import *
from fengling_gateway.model.effective import hash_of
from fengling_gateway.model.entity import Key
last_known_good.MIN_JOURNAL_BYTES = 700
file = last_known_good.LastKnownGood(sys.argv[1])
found = file.load()
revision = found[0].revision if found else 0
key = Key("route", "counter")
at = lambda revision: Position("epoch", revision, f"token-{revision}")
hash_at = lambda revision: hash_of({key: b"%d" % revision})
while True:
    revision += 1
    if file.wants_rebase:
        file.rebase(at(revision), {key: b"%d" % revision})
    else:
        file.append(Delta(at(revision - 1), at(revision), hash_at(revision - 1),
                          hash_at(revision), (Change(key, b"%d" % revision),)))
    print(revision, flush=True)
"""


def _write_on(file: LastKnownGood, first: Delta, second: Delta, after: Bodies) -> None:
    """Append, and begin a generation: as a journal's user does, going on after failures."""
    try:
        file.append(first)
        file.append(second)
    except OSError:
        pass
    try:
        file.rebase(second.after, after)
    except OSError:
        pass


def _failing_at(call: Callable[..., Any], failing: int) -> Callable[..., Any]:
    calls = iter(range(1_000_000))

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == failing:
            if call is os.write:
                call(args[0], bytes(args[1])[: len(args[1]) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return call(*args, **kwargs)

    return wrapped


def _flipped(content: bytes, offset: int) -> bytes:
    return content[:offset] + bytes([content[offset] ^ (1 << offset % 8)]) + content[offset + 1 :]
