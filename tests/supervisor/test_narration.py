"""What the log says of changes, of what is held, and of whether notifications arrive."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.configsource.reading import Held, Reading, RevisionInfo
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.effective import StagedResult
from fengling_gateway.model.entity import Key
from fengling_gateway.supervisor.narration import Narration

TROUBLE = "server closed the connection"


class NarrationCase(SynchronousTestCase):
    """A narration, and its lines."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.narration = Narration(clock=self.clock)
        self.events: list[LogEvent] = []
        globalLogPublisher.addObserver(self.events.append)  # type: ignore[arg-type]
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def said(self) -> list[str]:
        """Return the lines since the last call, each with its level."""
        lines = [f"{event['log_level'].name} {formatEvent(event)}" for event in self.events]
        self.events.clear()
        return lines


class RecoveredTests(NarrationCase):
    """`Narration.read`, of what is no longer rejected"""

    def test_many_that_recover_are_named_in_part_and_counted(self) -> None:
        """A hundred lines say enough, and the rest is not passed over in silence."""
        at, after = Position("e", 1, "a"), Position("e", 2, "b")
        recovered = tuple(Key("route", f"r{number}") for number in range(103))
        self.narration.read(
            Delta(at, after, 0, 0, ()),
            Reading(after, at, (), [], None, 0),
            StagedResult((), 0, 0, (), recovered),
            {},
        )
        said = [line for line in self.said() if "no longer rejected" in line]
        self.assertEqual(len(said), 101)
        self.assertEqual(said[99], "info no longer rejected: route r99")
        self.assertEqual(said[100], "info 3 more entities are no longer rejected")


class HeldTests(NarrationCase):
    """`Narration.held`"""

    def test_what_to_do_is_said_with_the_number(self) -> None:
        """Which is a command where there is a management API."""
        self.narration.held(Held(3, 4, 0))
        [line] = self.said()
        self.assertTrue(line.endswith("; release it with: fenglingctl confirm 3"))

    def test_command_that_can_not_work_is_not_named(self) -> None:
        """Without a management API."""
        narration = Narration(clock=self.clock, release="release {revision} by hand")
        narration.held(Held(3, 4, 0))
        [line] = self.said()
        self.assertTrue(line.endswith("; release 3 by hand"))

    def test_end_names_what_was_held(self) -> None:
        """Also on a node where nobody has confirmed anything."""
        self.narration.held(Held(6, 4, 0))
        self.narration.held(None)
        held, released = self.said()
        self.assertIn("held: revision 6 removes 4 of 4 routes; what was before keeps", held)
        self.assertEqual(released, "info nothing is held any more; until now it was revision 6")

    def test_change_without_a_revision_is_not_blamed_on_one(self) -> None:
        """Its number is what confirms it, and no more."""
        self.narration.held(Held(6, 4, 0, unseen=True))
        (held,) = self.said()
        what = "a change without a revision (after revision 6)"
        self.assertIn(f"held: {what} removes 4 of 4 routes", held)
        self.assertIn("release it with: fenglingctl confirm 6", held)


class HeardTests(NarrationCase):
    """`Narration.heard`"""

    def test_loss_is_a_warning_once_and_the_return_a_line(self) -> None:
        """However often it is told."""
        for trouble in (None, TROUBLE, TROUBLE, "another trouble", None, None):
            self.narration.heard(trouble)
        lost, back = self.said()
        self.assertIn(LogLevel.warn.name, lost)
        self.assertIn(TROUBLE, lost)
        self.assertIn("by polling", lost)
        self.assertEqual(back, "info notifications arrive again")

    def test_flapping_is_told_once_a_minute(self) -> None:
        """A server that ends connections every few seconds must not fill the log."""
        for _ in range(29):
            self.narration.heard(TROUBLE)
            self.clock.advance(1)
            self.narration.heard(None)
            self.clock.advance(1)
        self.assertEqual(len(self.said()), 2)

    def test_loss_that_lasts_is_told_when_the_minute_is_over(self) -> None:
        """The last line must not say for hours that all is well."""
        for trouble in (TROUBLE, None, TROUBLE):
            self.narration.heard(trouble)
        self.assertEqual(len(self.said()), 2)
        self.clock.advance(60)
        self.narration.heard(TROUBLE)
        self.assertEqual(len(self.said()), 1)


class ReadTests(NarrationCase):
    """`Narration.read`"""

    def read(self, *, before: int) -> list[str]:
        """Tell that a route has gone, and that ops has made revision 573; the lines."""
        ops = RevisionInfo(
            revision=573,
            token="t",
            kind="change",
            committed_at=0.0,
            author="ops",
            author_verified=False,
            db_user="ops",
            application="psql",
            client_addr=None,
            comment="the demo",
            forced=False,
            held=False,
            changes=1,
        )
        was, target = Position("e", before, "t"), Position("e", 573, "t")
        changes = (Change(Key("route", "r"), None),)
        self.narration.read(
            Delta(was, target, 1, 2, changes),
            Reading(target, None, [], [ops], None, 4),
            StagedResult(changes, 1, 2, (), ()),
            {},
        )
        return self.said()

    def test_author_of_a_revision_is_named(self) -> None:
        """Who, with what, why."""
        (line,) = self.read(before=572)
        self.assertIn("info revision 573 by ops via psql", line)
        self.assertIn(': removes route r "the demo" (4 rows read)', line)

    def test_change_without_a_revision_is_nobody_s(self) -> None:
        """Who made the newest revision has not made what comparing has found since."""
        self.assertEqual(
            self.read(before=573),
            [
                "warn changed without a revision, after revision 573: removes route r (4 rows read)",
            ],
        )
