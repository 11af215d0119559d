"""When statuses are written: as they are wanted, and again where somebody overwrites them."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef
from fengling_gateway.kubernetes.gateway_api.world import Translation
from fengling_gateway.kubernetes.overwriting import FIRST_SECONDS
from fengling_gateway.kubernetes.resources import GATEWAYS
from fengling_gateway.kubernetes.status_upkeep import StatusUpkeep
from fengling_gateway.kubernetes.statuses import Statuses
from fengling_gateway.model.entity import Key
from tests.kubernetes.test_statuses import Objects

CONTROLLER = "gateway.fengling/controller"
EDGE, INNER = (ObjectRef(GATEWAYS, "shop", name) for name in ("edge", "inner"))
QUIET = 120


def status(reason: str) -> dict[str, Any]:
    about = {"status": "True", "message": "", "observedGeneration": 1}
    return {"conditions": [{"type": "Accepted", "reason": reason, **about}]}


def translation(*refs: ObjectRef, reason: str = "Accepted") -> Translation:
    return Translation({}, {}, dict.fromkeys(refs, status(reason)), {}, {})


THEIRS = status("Theirs")


class StatusUpkeepCase(SynchronousTestCase):
    """Of two Gateways, whose statuses are written once"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.objects = Objects()
        self.now = translation(EDGE, INNER)
        self.upkeep = StatusUpkeep(
            clock=self.clock,
            controller=CONTROLLER,
            statuses=Statuses(
                clock=self.clock,
                objects=self.objects,
                rng=Random(1),
                controller=CONTROLLER,
                wall=lambda: 1_700_000_000.0,
            ),
            due=self.want,
        )
        self.upkeep.listed(GATEWAYS, {EDGE: None, INNER: None})
        self.want()
        for ref in (EDGE, INNER):
            self.hear(ref, self.ours())
        self.written = len(self.objects.put_)

    def tearDown(self) -> None:
        self.upkeep.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def want(self, refused: dict[Key, str] | None = None) -> None:
        self.upkeep.want(self.now, refused or {})

    def hear(self, ref: ObjectRef, found: dict[str, Any], *, is_all: bool = True) -> None:
        self.upkeep.heard(ref, found, is_all=is_all)

    def ours(self) -> dict[str, Any]:
        return dict(self.objects.put_[-1]["status"])

    def overwrite(self, ref: ObjectRef = EDGE) -> int:
        """Have somebody overwrite what we have written; return how many seconds it stays so."""
        before = len(self.objects.put_)
        self.objects.there.clear()
        self.hear(ref, THEIRS)
        for seconds in range(100):
            if len(self.objects.put_) > before:
                self.hear(ref, self.ours())
                return seconds
            self.clock.advance(1)
        raise AssertionError("it is never written again")


class WantingTests(StatusUpkeepCase):
    """What is wanted"""

    def test_statuses_are_written_that_are_not_so(self) -> None:
        """Each once."""
        self.assertEqual(self.written, 2)
        self.upkeep.outdate()
        self.want()
        self.assertEqual(len(self.objects.put_), 2)

    def test_all_are_looked_at_when_something_else_is_refused_or_translated(self) -> None:
        """Not each time that something was written, of which there is much."""
        self.now = translation(EDGE, INNER, reason="Other")
        self.want()
        self.assertEqual(len(self.objects.put_), 2)
        self.want({Key("service", "a"): "because"})
        self.assertEqual(len(self.objects.put_), 4)
        self.now = translation(EDGE, INNER, reason="Another")
        self.upkeep.outdate()
        self.want({Key("service", "a"): "because"})
        self.assertEqual(len(self.objects.put_), 6)

    def test_status_of_an_object_that_changes_waits_for_its_translation(self) -> None:
        """It is outdated then, whoever has written it."""
        self.hear(EDGE, THEIRS, is_all=False)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_object_that_is_gone_has_no_status(self) -> None:
        """Whatever was wanted of it."""
        self.upkeep.gone(EDGE)
        self.upkeep.outdate()
        self.now = translation(EDGE, INNER, reason="Other")
        self.want()
        self.assertEqual(len(self.objects.put_), 3)


class OverwrittenTests(StatusUpkeepCase):
    """What somebody else overwrites"""

    def warned(self, times: int, *refs: ObjectRef) -> list[str]:
        """Return of which objects the log warns while their statuses are overwritten so often."""
        with capturedLogs() as logged:
            for _ in range(times):
                for ref in refs:
                    self.overwrite(ref)
        found = [one for one in logged if one.get("log_id") == "kubernetes.status_overwritten"]
        return [one["object"] for one in found]

    def test_overwritten_status_is_written_ever_later(self) -> None:
        """From a second up to a minute."""
        pauses = [self.overwrite() for _ in range(8)]
        self.assertEqual(pauses, [1, 2, 4, 8, 16, 32, 60, 60])

    def test_war_is_warned_of_once(self) -> None:
        """When the longest pause has come, not before; and with the name of the object."""
        self.assertEqual(self.warned(6, EDGE), [])
        self.assertEqual(self.warned(1, EDGE), [str(EDGE)])
        self.assertEqual(self.warned(10, EDGE), [])

    def test_next_war_is_warned_of_again(self) -> None:
        """After some minutes without one."""
        self.warned(10, EDGE)
        self.clock.advance(QUIET + 1)
        self.assertEqual(self.overwrite(), FIRST_SECONDS)
        self.assertEqual(self.warned(10, EDGE), [str(EDGE)])

    def test_each_object_has_a_war_of_its_own(self) -> None:
        """Where two installations have the same controller it is all of them."""
        self.assertEqual(self.warned(10, EDGE), [str(EDGE)])
        self.assertEqual(self.warned(10, INNER), [str(INNER)])

    def test_what_comes_back_late_is_no_war(self) -> None:
        """We may have wanted it ourselves, before something changed."""
        with capturedLogs() as logged:
            for n in range(20):
                self.now = translation(EDGE, INNER, reason=f"Newer{n}")
                self.upkeep.outdate()
                self.want()
                self.hear(EDGE, status(f"Older{n}"))
                self.clock.advance(FIRST_SECONDS)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual([one for one in logged if one.get("log_id")], [])

    def test_what_is_left_alone_is_not_written_with_others(self) -> None:
        """Of which some change all the time."""
        self.hear(EDGE, THEIRS)
        self.now = translation(EDGE, INNER, reason="Other")
        self.upkeep.outdate()
        self.want()
        self.assertEqual(len(self.objects.put_), self.written + 1)
        self.clock.advance(FIRST_SECONDS)
        self.assertEqual(len(self.objects.put_), self.written + 2)

    def test_nothing_is_written_after_it_has_stopped(self) -> None:
        """Neither what was left alone nor what is overwritten then."""
        self.hear(EDGE, THEIRS)
        self.upkeep.stop()
        self.hear(INNER, THEIRS)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.objects.put_), self.written)
