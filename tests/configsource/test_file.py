"""The file source: what it reads, holds, remembers and hints."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.configsource.file import WATCH_SECONDS, FileError, FileSource
from fengling_gateway.configsource.reading import Reading, SourceError
from fengling_gateway.model.delta import Position
from fengling_gateway.model.effective import EffectiveConfig, Stage
from fengling_gateway.model.entity import Key

ROUTES = "routes: {a: {respond: {body: A}}, b: {respond: {body: B}}, c: {respond: {body: C}}}\n"


def at_once(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
    """The thread's twin: runs it now."""
    return maybeDeferred(function, *args)


class FileSourceTests(SynchronousTestCase):
    def setUp(self) -> None:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.path = self.directory / "routes.yaml"
        self.clock = Clock()
        self.hints: list[tuple[str, dict[str, Any]]] = []
        self.source = self.make()

    def make(self, state: str = "state") -> FileSource:
        return FileSource(
            reactor=self.clock,
            path=self.path,
            on_hint=lambda reason, details: self.hints.append((reason, details)),
            state_dir=self.directory / state,
            in_thread=at_once,
            wall=lambda: 1795334400.0,
        )

    def write(self, text: str) -> None:
        """Write as one should: beside, and renamed over."""
        beside = self.path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.path)

    def read(self, after: Position | None = None) -> Reading:
        return self.successResultOf(self.source.read(after))

    def names(self, reading: Reading) -> set[str]:
        return {row.key.id for row in reading.rows if row.values is not None}

    def test_first_reading_is_full(self) -> None:
        """From nowhere, everything is read."""
        self.write(ROUTES)
        reading = self.read()
        self.assertIsNone(reading.before)
        self.assertEqual(self.names(reading), {"a", "b", "c"})
        self.assertEqual(reading.target.revision, 1)
        self.assertEqual([one.revision for one in reading.revisions], [1])
        self.assertEqual(reading.revisions[0].changes, 3)
        self.assertTrue(self.source.state.connected)

    def test_times_of_its_state_are_those_of_the_calendar(self) -> None:
        """The clock of the reactor may have begun with the machine."""
        self.write(ROUTES)
        self.read()
        self.assertEqual(self.source.state.last_read_at, 1795334400.0)
        self.path.unlink()
        self.failureResultOf(self.source.read(None), SourceError)
        self.assertEqual(self.source.state.last_error_at, 1795334400.0)

    def test_unchanged_file_reads_nothing(self) -> None:
        """At the same position there is nothing to read."""
        self.write(ROUTES)
        first = self.read()
        again = self.read(first.target)
        self.assertEqual((again.before, again.target, again.rows), (first.target, first.target, []))
        self.assertEqual(again.revisions, [])

    def test_change_reads_what_changed(self) -> None:
        """From a known position only changed and removed entities are read."""
        self.write(ROUTES)
        first = self.read()
        self.write("routes: {a: {respond: {body: A}}, b: {respond: {body: new}}}\n")
        second = self.read(first.target)
        self.assertEqual(second.before, first.target)
        self.assertEqual(
            {row.key.id: row.values for row in second.rows},
            {"b": {"respond": {"body": "new"}}, "c": None},
        )
        self.assertTrue(second.target.is_after(first.target))

    def test_true_and_one_are_different(self) -> None:
        """What Python takes for equal is a change all the same: one of them is wrong."""
        self.write("routes: {a: {enabled: true, respond: {}}}")
        first = self.read()
        self.write("routes: {a: {enabled: 1, respond: {}}}")
        self.assertEqual(len(self.read(first.target).rows), 1)

    def test_unknown_position_reads_everything(self) -> None:
        """A position of another file, or from long ago, leads to a full reading."""
        self.write(ROUTES)
        reading = self.read(Position("elsewhere", 7, "token"))
        self.assertIsNone(reading.before)
        self.assertEqual(len(reading.rows), 3)

    def test_broken_file_fails_and_keeps_what_was(self) -> None:
        """A syntax error names its line, and the versions stay as they were."""
        self.write(ROUTES)
        first = self.read()
        self.write("routes:\n  - a: [\n")
        for _ in range(2):
            error = self.failureResultOf(self.source.read(first.target), FileError).value
            self.assertIn("line 3", str(error))
            self.assertIn(str(self.path), str(error))
        self.assertFalse(self.source.state.connected)
        self.assertIn("line 3", self.source.state.last_error or "")
        self.write(ROUTES)
        self.assertEqual(self.read(first.target).target, first.target)
        self.assertIsNone(self.source.state.last_error)

    def test_missing_file_fails(self) -> None:
        """A file that is not there is an error, and no empty configuration."""
        error = self.failureResultOf(self.source.read(None), SourceError).value
        self.assertIn("No such file", str(error))

    def test_emptied_file_is_held(self) -> None:
        """Removing all routes waits; what was before is the target."""
        self.write(ROUTES)
        first = self.read()
        self.write("")
        held = self.read(first.target)
        self.assertEqual(held.target, first.target)
        assert held.held is not None
        self.assertEqual(held.held.describe(), "held: revision 2 removes 3 of 3 routes")
        self.assertTrue(held.revisions[-1].held)

    def test_confirmed_revision_becomes_the_target(self) -> None:
        """A confirmation releases exactly the revision it names, and hints."""
        self.write(ROUTES)
        first = self.read()
        self.write("routes: {a: {respond: {body: A}}}\n")
        self.assertIsNotNone(self.read(first.target).held)
        self.failureResultOf(self.source.confirm(1, "me"), SourceError)
        self.assertTrue(self.source.state.connected, "a wrong number is no trouble of the file's")
        self.assertIsNone(self.source.state.last_error)
        self.successResultOf(self.source.confirm(2, "me"))
        self.assertEqual(self.hints[-1][0], "confirmed")
        reading = self.read(first.target)
        self.assertIsNone(reading.held)
        self.assertEqual(reading.target.revision, 2)
        self.failureResultOf(self.source.confirm(2, "me"), SourceError)

    def test_later_revision_releases_what_is_held(self) -> None:
        """Putting the routes back needs no confirmation."""
        self.write(ROUTES)
        first = self.read()
        self.write("")
        self.read(first.target)
        self.write(ROUTES + "# restored\n")
        reading = self.read(first.target)
        self.assertIsNone(reading.held)
        self.assertEqual((reading.target.revision, reading.rows), (3, []))

    def test_share_of_the_hold_setting_counts(self) -> None:
        """With a larger share more may be removed at once, from the next change on."""
        large = "settings: {hold: {max_removed_share: 0.9}}\n"
        self.write(ROUTES)
        first = self.read()
        self.write(f"{large}routes: {{a: {{respond: {{}}}}}}\n")
        self.assertIsNotNone(self.read(first.target).held)
        self.write(large + ROUTES)
        second = self.read(first.target)
        self.write(f"{large}routes: {{a: {{respond: {{}}}}}}\n")
        self.assertIsNone(self.read(second.target).held)

    def test_disabled_routes_do_not_count(self) -> None:
        """Disabling routes removes them as much as deleting does."""
        self.write(ROUTES)
        first = self.read()
        self.write(ROUTES.replace("{respond", "{enabled: false, respond"))
        self.assertIsNotNone(self.read(first.target).held)

    def test_restart_goes_on_where_it_was(self) -> None:
        """Position, held revision and confirmation survive a restart."""
        self.write(ROUTES)
        first = self.read()
        self.write("")
        self.read(first.target)
        self.source = self.make()
        reading = self.read(first.target)
        self.assertEqual((reading.before, reading.target), (first.target, first.target))
        self.assertIsNotNone(reading.held)
        self.assertEqual(self.names(self.read(None)), {"a", "b", "c"})
        self.successResultOf(self.source.confirm(2, "me"))
        self.source = self.make()
        self.assertEqual(self.read(None).rows, [])

    def test_damaged_state_begins_anew(self) -> None:
        """What can't be read back is forgotten, under a new epoch."""
        self.write(ROUTES)
        first = self.read()
        state = self.directory / "state" / "file-source.state"
        content = state.read_bytes()
        for cut in (b"", content[:40], content[:-1]):
            state.write_bytes(cut)
            self.source = self.make()
            reading = self.read(first.target)
            self.assertIsNone(reading.before)
            self.assertNotEqual(reading.target.epoch, first.target.epoch)

    def test_state_of_another_file_is_not_taken(self) -> None:
        """A settings file that names another path begins anew."""
        self.write(ROUTES)
        first = self.read()
        self.path = self.directory / "other.yaml"
        self.write(ROUTES)
        self.source = self.make()
        self.assertNotEqual(self.read().target.epoch, first.target.epoch)

    def test_unwritable_state_serves_on(self) -> None:
        """Where nothing can be kept, reading works all the same."""
        (self.directory / "blocked").write_text("a file, no directory")
        self.source = self.make("blocked/state")
        self.write(ROUTES)
        self.assertEqual(len(self.read().rows), 3)

    def test_history_has_earlier_images(self) -> None:
        """What an entity was before is there to fall back to, newest first, if it was right."""
        key = Key("route", "a")
        for body in ("1", "2", "[", "3"):
            self.write(f"routes: {{a: {{respond: {{body: '{body}'}}}}, b: {{respond: {{}}}}}}")
            self.read()
        self.write("routes: {a: {}, b: {respond: {}}}")
        self.read()
        self.write("routes: {a: {respond: 5}, b: {respond: {}}}")
        self.read()
        history = self.successResultOf(self.source.history([key, Key("route", "z")], 100))
        self.assertEqual([image["respond"]["body"] for image in history[key]], ["3", "[", "2", "1"])
        self.assertEqual(history[Key("route", "z")], [])
        early = self.successResultOf(self.source.history([key], 2))
        self.assertEqual([image["respond"]["body"] for image in early[key]], ["2", "1"])

    def test_bad_entity_serves_its_previous_version_after_a_restart(self) -> None:
        """What a rejected entity falls back to is kept with the versions."""
        self.write(ROUTES)
        self.read()
        self.write(ROUTES.replace("{respond: {body: B}}", "{respond: {status: 9}}"))
        self.read()
        self.source = self.make()
        config = EffectiveConfig()
        reading = self.read()
        stage = config.stage(reading.rows, full=True)
        self.settle(stage)
        stage.commit()
        key = Key("route", "b")
        self.assertEqual(config.rejected[key].serving, "previous version")
        self.assertIn(b'"B"', config.bodies[key])

    def settle(self, stage: Stage) -> None:
        while stage.step() or stage.wanted:
            if stage.wanted:
                stage.supply(self.successResultOf(self.source.history(stage.wanted, 100)))

    def test_changed_file_hints_within_half_a_second(self) -> None:
        """A new file under the name is noticed by its identity, once."""
        self.write(ROUTES)
        self.source.start()
        self.read()
        self.clock.advance(WATCH_SECONDS)
        self.assertEqual(self.hints, [])
        self.write(ROUTES + "# more\n")
        self.clock.pump([WATCH_SECONDS] * 3)
        self.assertEqual([reason for reason, _ in self.hints], ["changed"])
        self.path.unlink()
        self.clock.advance(WATCH_SECONDS)
        self.assertEqual(len(self.hints), 2)
        self.successResultOf(self.source.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_same_size_and_time_in_another_file_is_noticed(self) -> None:
        """A renamed-over file differs at least in its inode."""
        self.write(ROUTES)
        status = self.path.stat()
        self.source.start()
        self.read()
        self.write(ROUTES.replace("A", "Z"))
        os.utime(self.path, ns=(status.st_atime_ns, status.st_mtime_ns))
        self.clock.advance(WATCH_SECONDS)
        self.assertEqual(len(self.hints), 1)
        self.successResultOf(self.source.stop())
