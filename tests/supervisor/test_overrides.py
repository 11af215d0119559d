"""What holds beside the configuration reaches every worker, and those that start later."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.configsource.reading import ProberRow, SourceError
from fengling_gateway.supervisor.overrides import Overrides
from fengling_gateway.supervisor.probing import READ_GAP_SECONDS
from fengling_gateway.supervisor.switch_board import READ_SECONDS
from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.messages import ProberBeat
from fengling_gateway.syncbus.switches import Switch

NOTHING = {"routes": [], "instances": [], "health_is_stale": False, "is_draining": False}


class Link:
    """A worker that remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def override(self, values: dict[str, Any]) -> None:
        self.told.append(values)


class OverridesTests(SynchronousTestCase):
    """`Overrides`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.links = [Link(), Link()]
        self.words: dict[str, Switch] = {}
        self.row: ProberRow | None = ProberRow(4, "c1", 0.0)
        self.asked: Deferred[Any] | None = None
        self.reads = self.row_reads = self.changes = 0
        self.is_away = False
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)
        self.overrides = self.made(self._read_prober)

    def made(self, read_prober: Any) -> Overrides:
        overrides = Overrides(
            clock=self.clock,
            links=lambda: self.links,  # type: ignore[arg-type, return-value]
            read_switches=self._read,
            read_prober=read_prober,
            stale_after=60.0,
            changed=self._changed,
        )
        overrides.start()
        return overrides

    def _observe(self, event: LogEvent) -> None:
        self.lines.append(formatEvent(event))

    def _changed(self) -> None:
        self.changes += 1

    def _read(self) -> Deferred[dict[str, Switch]]:
        self.reads += 1
        if self.is_away:
            return fail(BusError("Redis is not connected"))
        return self.asked or succeed(dict(self.words))

    def _read_prober(self) -> Deferred[ProberRow | None]:
        self.row_reads += 1
        return fail(SourceError("away")) if self.is_away else succeed(self.row)

    def word(self, kind: str, name: str, *, off: bool = True, at: float = 1e12) -> None:
        switch = Switch(kind, name, off, "ada", at, "it burns")
        self.words[switch.field] = switch

    def told(self) -> dict[str, Any]:
        """Return what both workers were told last."""
        one, two = (link.told[-1] for link in self.links)
        self.assertEqual(one, two)
        return one

    # What is switched off

    def test_what_is_switched_off_reaches_every_worker(self) -> None:
        """And is named in the log, the status, and what other nodes are told of."""
        self.word("route", "all")
        self.word("instance", "i1")
        self.overrides.switches.look()
        self.assertEqual(self.told(), {**NOTHING, "routes": ["all"], "instances": ["i1"]})
        self.assertIn('route all is switched off by ada "it burns"', self.lines)
        shown = self.overrides.status()["switched_off"]
        self.assertEqual([one["id"] for one in shown], ["i1", "all"])
        self.assertEqual((shown[0]["by"], self.changes), ("ada", 1))

    def test_the_same_again_is_told_to_nobody(self) -> None:
        """It is read every ten seconds."""
        self.word("route", "all")
        self.clock.advance(READ_SECONDS)
        self.assertEqual([len(link.told) for link in self.links], [1, 1])
        self.clock.advance(READ_SECONDS)
        self.assertEqual([len(link.told) for link in self.links], [1, 1])
        self.assertEqual(self.reads, 2)

    def test_what_vanishes_is_still_off_until_a_word_says_otherwise(self) -> None:
        """A Redis that was emptied switches nothing on."""
        self.word("route", "all")
        self.overrides.switches.look()
        self.words.clear()
        self.overrides.switches.look()
        self.assertEqual(self.told()["routes"], ["all"])
        self.word("route", "all", off=False, at=2e12)
        self.overrides.switches.look()
        self.assertEqual(self.told(), NOTHING)
        self.assertIn('route all is switched on again by ada "it burns"', self.lines)

    def test_an_older_word_put_back_counts_for_nothing(self) -> None:
        """Whoever can write to Redis may have kept one."""
        self.word("route", "all", at=2e12)
        self.overrides.switches.look()
        self.word("route", "all", off=False, at=1e12)
        self.overrides.switches.look()
        self.assertEqual(self.told()["routes"], ["all"])

    def test_without_redis_what_was_known_stays(self) -> None:
        """And is asked for again."""
        self.word("route", "all")
        self.overrides.switches.look()
        self.is_away = True
        self.clock.advance(READ_SECONDS)
        self.assertEqual((self.told()["routes"], self.reads), (["all"], 2))

    def test_who_asks_during_a_reading_gets_another(self) -> None:
        """What was written since may not be in it; one for all of them."""
        self.asked = Deferred()
        for _ in range(3):
            self.overrides.switches.look()
        self.assertEqual(self.reads, 1)
        self.word("route", "all")
        asked, self.asked = self.asked, None
        asked.callback({})
        self.assertEqual((self.reads, self.told()["routes"]), (2, ["all"]))

    # Freshness

    def test_stale_verdicts_are_told_and_told_to_be_over(self) -> None:
        """With a line of the log for each."""
        self.overrides.probing.look()
        self.assertEqual(self.overrides.status()["health"]["state"], "fresh")
        self.assertEqual(self.links[0].told, [])
        self.clock.pump([1.0] * 62)
        self.assertEqual(self.told(), {**NOTHING, "health_is_stale": True})
        self.assertEqual(
            self.overrides.status()["health"],
            {"state": "stale", "term": 4, "holder": "c1", "age_s": 62.0, "failed_reads": 0},
        )
        self.overrides.probing.heard(ProberBeat(5, "c2"))
        self.assertEqual(self.told(), NOTHING)
        said = [line for line in self.lines if line.startswith("health")]
        self.assertEqual(len(said), 3)
        self.assertIn("for 61 s", said[1])
        self.assertIn("c2 probes instances (term 5)", said[2])

    def test_the_row_is_read_when_the_source_answers_and_not_all_the_time(self) -> None:
        """Fifty revisions a second are no reason."""
        for _ in range(50):
            self.overrides.probing.look()
        self.assertEqual(self.row_reads, 1)
        self.clock.advance(READ_GAP_SECONDS)
        self.overrides.probing.look()
        self.assertEqual(self.row_reads, 2)

    def test_a_reading_that_fails_is_counted_and_changes_nothing(self) -> None:
        """The heartbeats on Redis go on."""
        self.is_away = True
        self.overrides.probing.look()
        self.assertEqual(self.overrides.probing.failures, 1)
        for _ in range(90):
            self.overrides.probing.heard(ProberBeat(4, "c1"))
            self.clock.advance(1.0)
        self.assertEqual(self.links[0].told, [])

    def test_a_host_that_was_asleep_waits_for_the_next_sign(self) -> None:
        """It could hear none meanwhile."""
        self.overrides.probing.look()
        self.clock.advance(1000.0)
        self.assertFalse(self.overrides.probing.is_stale)

    def test_with_a_file_nobody_probes(self) -> None:
        """Whatever is heard on Redis; what the file says of instances is believed for ever."""
        self.overrides.stop()
        overrides = self.made(None)
        overrides.probing.heard(ProberBeat(4, "c1"))
        overrides.probing.look()
        self.clock.pump([1.0] * 100)
        self.assertEqual(overrides.status()["health"]["state"], "none")
        self.assertEqual(self.links[0].told, [])

    # Drains

    def test_a_drain_is_told_once_each_way(self) -> None:
        """By whom it was asked for is in the log."""
        for on in (True, True, False, False):
            self.overrides.drain(on, by="ada")
        told = [one["is_draining"] for one in self.links[0].told]
        self.assertEqual((told, self.changes), ([True, False], 2))
        self.assertEqual(len([line for line in self.lines if "as ada asks" in line]), 2)

    def test_a_worker_that_starts_is_told_all_of_it(self) -> None:
        """Also where that is nothing."""
        late = Link()
        self.overrides.tell(late)  # type: ignore[arg-type]
        self.word("route", "all")
        self.overrides.switches.look()
        self.overrides.drain(True, by="ada")
        self.overrides.tell(late)  # type: ignore[arg-type]
        self.assertEqual(late.told, [NOTHING, {**NOTHING, "routes": ["all"], "is_draining": True}])

    def test_stop_leaves_no_timer_and_no_question(self) -> None:
        """Whatever was under way."""
        self.asked = Deferred()
        self.overrides.switches.look()
        self.overrides.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
