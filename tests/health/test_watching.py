"""What whoever probes does during its term: with a clock, probes and a writer of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from twisted.internet.task import Clock

from fengling_gateway.health.outcomes import Failed, Outcome, Passed, Unjudged
from fengling_gateway.health.table import Fall, Known, Term
from fengling_gateway.health.targets import Target
from fengling_gateway.health.verdicts import HEALTHY, UNHEALTHY, UNKNOWN, Report
from fengling_gateway.health.watched import World
from fengling_gateway.health.watching import ECHO_SECONDS, IDLE_AFTER_SECONDS, Watch
from fengling_gateway.health.writing import Finding
from tests.health.builders import Configuration, probed

FIRST = Term(1, (), ())
PASSED = Passed("HTTP 200", 0.001)
REFUSED = Failed("connection refused", 0.001)


class Probe:
    def __init__(self, target: Target, done: Callable[[Outcome], None]) -> None:
        self.target = target
        self.done = done
        self.is_over = False

    def start(self) -> None: ...

    def cancel(self) -> None:
        self.is_over = True

    def end(self, outcome: Outcome) -> None:
        assert not self.is_over
        self.is_over = True
        self.done(outcome)


class Prober:
    def __init__(self) -> None:
        self.probes: list[Probe] = []
        self.released: list[str] = []

    def new(self, target: Target, done: Callable[[Outcome], None]) -> Probe:
        self.probes.append(Probe(target, done))
        return self.probes[-1]

    def release(self, target: Target) -> None:
        self.released.append(target.address)

    @property
    def running(self) -> list[Probe]:
        return [probe for probe in self.probes if not probe.is_over]


class Verdicts:
    """What was put; nothing waits for long, unless a test says so."""

    def __init__(self) -> None:
        self.put_in: list[Finding] = []
        self.waiting: set[str] = set()

    def put(self, finding: Finding) -> None:
        self.put_in.append(finding)

    def __contains__(self, instance_id: str) -> bool:
        return instance_id in self.waiting

    @property
    def said(self) -> list[tuple[str, str | None, str]]:
        return [(one.instance_id, one.health, one.reason) for one in self.put_in]


class WatchTests:
    @pytest.fixture(autouse=True)
    def _world(self) -> None:
        self.clock, self.prober, self.verdicts = Clock(), Prober(), Verdicts()
        self.may_judge = True

    def watch(self, configuration: Configuration) -> Watch:
        self.configuration = configuration
        watch = Watch(
            World(self.clock, lambda: 1e9 + self.clock.seconds(), Random(1)),
            configuration=configuration,
            prober=self.prober,
            verdicts=self.verdicts,
            may_judge=lambda: self.may_judge,
            limit=100,
        )
        configuration.when_changed(watch.follow)
        return watch

    def started(self, term: Term = FIRST, check: dict[str, Any] | None = None) -> Watch:
        """Return a watch of one instance, `i0`, in a term."""
        watch = self.watch(probed(check, "http://10.0.0.1:80"))
        watch.begin(term, goes_on=False)
        return watch

    def see(self, *outcomes: Outcome, seconds: float = 5.0) -> None:
        """End one probe of `i0` after the other."""
        for outcome in outcomes:
            while not self.prober.running:
                self.clock.advance(0.1)
            self.prober.running[0].end(outcome)

    # Verdicts

    def test_flips_are_said_and_nothing_else(self) -> None:
        """A verdict that stays is no news."""
        watch = self.started()
        self.see(PASSED, PASSED, PASSED, REFUSED, REFUSED, REFUSED, REFUSED, PASSED, PASSED)
        assert self.verdicts.said == [
            ("i0", HEALTHY, "its first probe passed"),
            ("i0", UNHEALTHY, "connection refused (3 failures in a row)"),
            ("i0", HEALTHY, "2 probes passed in a row"),
        ]
        assert (watch.counts.passed, watch.counts.failed, watch.counts.flips) == (5, 4, 3)
        assert self.verdicts.put_in[0].address == "http://10.0.0.1:80"

    def test_what_can_not_be_judged_changes_nothing(self) -> None:
        """Neither failures nor passes in a row are interrupted."""
        self.started()
        nothing = Unjudged("no descriptors")
        self.see(PASSED, REFUSED, nothing, REFUSED, nothing)
        assert len(self.verdicts.said) == 1
        self.see(REFUSED)
        assert self.verdicts.said[-1][1] == UNHEALTHY

    def test_nothing_is_judged_after_the_lease(self) -> None:
        """A process that was stopped sees all its probes fail when it goes on."""
        self.started()
        self.see(PASSED, REFUSED, REFUSED)
        self.clock.advance(5)
        self.may_judge = False
        self.see(REFUSED)
        assert len(self.verdicts.said) == 1

    def test_probe_that_ends_in_a_moment_of_doubt_is_not_the_last(self) -> None:
        """A late heartbeat may arrive before anybody has seen that it was late."""
        watch = self.started()
        self.see(PASSED)
        self.may_judge = False
        self.see(REFUSED)
        self.may_judge = True
        self.see(REFUSED, REFUSED, REFUSED)
        assert self.verdicts.said[-1][1] == UNHEALTHY
        assert (watch.counts.failed, watch.counts.unjudged) == (3, 1)

    def test_probes_go_on_in_their_interval(self) -> None:
        """From beginning to beginning, a little less by chance."""
        self.started(check={"interval": "10s", "jitter": 0})
        self.see(PASSED)
        self.clock.advance(9.5)
        assert self.prober.running == []
        self.clock.advance(0.5)
        assert len(self.prober.running) == 1

    def test_idle_instance_is_probed_more_slowly_until_it_has_traffic(self) -> None:
        """It is healthy, and nobody has told of requests for a minute."""
        watch = self.started(check={"idle_interval": "10m", "jitter": 0})
        while self.clock.seconds() <= IDLE_AFTER_SECONDS:
            self.see(PASSED)
        self.see(PASSED)
        assert (watch.next_probe("i0") or 0) > 500
        watch.hear("n1", {"i0": Report(0, 5)})
        assert watch.next_probe("i0") == 5.0

    # Terms

    def test_term_begins_from_what_is_known(self) -> None:
        """Also with why, since when, and how often it came and went."""
        known = Known("i0", UNHEALTHY, "refused", 60.0, 3, "http://10.0.0.1:80")
        falls = tuple(Fall("i0", age) for age in (100.0, 80.0, 60.0, 40.0, 5.0))
        watch = self.started(Term(4, (known,), falls))
        found = watch.watched["i0"]
        assert (found.standing.health, found.standing.reason) == (UNHEALTHY, "refused")
        assert found.since == 1e9 - 60.0
        assert found.standing.held_until == 5.0, "ten seconds from the fifth fall on"
        self.see(PASSED, PASSED)
        assert self.verdicts.said == [], "it is held down"
        self.clock.advance(5.0)
        self.see(PASSED)
        assert [one[1] for one in self.verdicts.said] == [HEALTHY]

    def test_row_of_another_address_says_nothing(self) -> None:
        """And is taken back: nobody probed while the address changed."""
        known = Known("i0", UNHEALTHY, "refused", 60.0, 3, "http://10.0.0.9:80")
        watch = self.started(Term(4, (known,), ()))
        assert watch.watched["i0"].standing.health == UNKNOWN
        assert self.verdicts.said == [("i0", UNKNOWN, "its address has changed")]

    def test_row_of_an_unprobed_instance_is_taken_back_if_a_prober_wrote_it(self) -> None:
        """It would stand for good. What others wrote is theirs."""
        configuration = probed({}, "http://10.0.0.1:80")
        configuration.put("service", "plain")
        for name in ("p", "q"):
            configuration.put("instance", name, service_id="plain", address=f"http://{name}")
        configuration.change("instance", "i0", state="maintenance")
        watch = self.watch(configuration)
        rows = [
            Known("i0", UNHEALTHY, "refused", 1.0, 3, "http://10.0.0.1:80"),
            Known("p", UNHEALTHY, "refused", 1.0, 3, "http://p:80"),
            Known("q", UNHEALTHY, "by hand", 1.0, None, None),
            Known("gone", UNHEALTHY, "refused", 1.0, 3, None),
        ]
        watch.begin(Term(4, tuple(rows), ()), goes_on=False)
        assert self.verdicts.said == [("p", None, "its service has no health check any more")]
        configuration.change("instance", "i0", state="ready")
        assert watch.watched["i0"].standing.health == UNHEALTHY

    def test_configuration_may_come_after_the_term(self) -> None:
        """What the table said is remembered until then."""
        watch = self.watch(Configuration())
        rows = (
            Known("i0", UNHEALTHY, "refused", 1.0, 3, "http://10.0.0.1:80"),
            Known("p", UNHEALTHY, "refused", 1.0, 3, "http://p:80"),
        )
        watch.begin(Term(4, rows, ()), goes_on=False)
        self.configuration.put("service", "s", health_check={})
        self.configuration.put("service", "plain")
        self.configuration.put("instance", "i0", service_id="s", address="http://10.0.0.1")
        self.configuration.put("instance", "p", service_id="plain", address="http://p")
        assert watch.watched["i0"].standing.reason == "refused"
        assert self.verdicts.said == [("p", None, "its service has no health check any more")]

    def test_end_of_a_term_stops_everything_at_once(self) -> None:
        """And nothing is left that would go on."""
        watch = self.started()
        self.clock.advance(0)
        asked = watch.probe_now("i0")
        found: list[Outcome] = []
        asked.addCallback(found.append)
        watch.end()
        assert self.prober.running == []
        assert self.clock.getDelayedCalls() == []
        assert [type(one) for one in found] == [Unjudged]

    def test_next_term_of_the_same_console_goes_on(self) -> None:
        """The database was away: what was counted counts, unless the table says otherwise."""
        watch = self.started()
        self.see(PASSED, REFUSED, REFUSED)
        watch.end()
        row = Known("i0", HEALTHY, "its first probe passed", 1.0, 1, "http://10.0.0.1:80")
        watch.begin(Term(2, (row,), ()), goes_on=True)
        self.see(REFUSED)
        assert self.verdicts.said[-1][1] == UNHEALTHY
        watch.end()
        watch.begin(Term(3, (row,), ()), goes_on=True)
        assert watch.watched["i0"].standing.health == HEALTHY
        self.verdicts.waiting.add("i0")
        self.see(REFUSED, REFUSED, REFUSED)
        watch.end()
        watch.begin(Term(4, (row,), ()), goes_on=True)
        assert watch.watched["i0"].standing.health == UNHEALTHY, "it is only not written yet"
        watch.begin(Term(9, (row,), ()), goes_on=False)
        assert watch.watched["i0"].standing.health == HEALTHY

    def test_defect_of_a_probe_stops_nobody(self) -> None:
        """Neither the others, nor that one's next."""
        watch = self.watch(probed({}, "http://10.0.0.1:80", "http://10.0.0.2:80"))
        surprises = ["http://10.0.0.1:80"]

        def surprise(probe: Probe) -> None:
            if probe.target.address in surprises:
                surprises.remove(probe.target.address)
                probe.is_over = True
                raise RuntimeError("of ours")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Probe, "start", surprise)
            watch.begin(FIRST, goes_on=False)
            self.clock.advance(1)
            assert [probe.target.id for probe in self.prober.running] == ["i1"]
            assert watch.watched["i0"].outcome == Unjudged("a defect of ours: RuntimeError")
            self.clock.advance(5)
            assert sorted(probe.target.id for probe in self.prober.running) == ["i0", "i1"]

    # The configuration

    def test_new_instance_is_probed_at_once(self) -> None:
        """And healthy after one pass."""
        watch = self.started()
        self.see(PASSED)
        self.configuration.put("instance", "new", service_id="s", address="http://10.0.0.2")
        self.clock.advance(0)
        assert [probe.target.id for probe in self.prober.running] == ["new"]
        self.prober.running[0].end(PASSED)
        assert watch.watched["new"].standing.health == HEALTHY

    def test_edits_keep_what_is_known(self) -> None:
        """Of the instance, its service or the check itself."""
        watch = self.started()
        self.see(PASSED, REFUSED, REFUSED)
        self.configuration.change("service", "s", health_check={"path": "/x", "interval": "1s"})
        self.configuration.change("instance", "i0", weight=5)
        assert watch.watched["i0"].standing.failures == 2
        assert (watch.next_probe("i0") or 0) <= 1.0
        self.see(REFUSED)
        assert self.prober.probes[-1].target.check.interval == 1.0
        assert self.verdicts.said[-1][1] == UNHEALTHY

    def test_another_address_is_unknown(self) -> None:
        """The probe of the old one is given up."""
        watch = self.started()
        self.see(PASSED)
        self.clock.advance(5)
        [old] = self.prober.running
        self.configuration.change("instance", "i0", address="http://10.0.0.2")
        assert old.is_over
        assert self.prober.released == ["http://10.0.0.1:80"]
        assert self.verdicts.said[-1] == ("i0", UNKNOWN, "its address has changed")
        self.clock.advance(0)
        [new] = self.prober.running
        assert new.target.address == "http://10.0.0.2:80"
        new.end(PASSED)
        assert self.verdicts.said[-1][1] == HEALTHY
        assert watch.watched["i0"].target.address == "http://10.0.0.2:80"

    def test_deleted_instance_is_forgotten(self) -> None:
        """Its row goes with it."""
        watch = self.started()
        self.see(PASSED)
        self.configuration.drop("instance", "i0")
        self.clock.advance(60)
        assert (len(self.verdicts.said), watch.watched, self.prober.running) == (1, {}, [])

    def test_check_that_is_switched_off_takes_its_verdicts_along(self) -> None:
        """Or they would stand for good."""
        self.started()
        self.see(PASSED)
        self.configuration.change("service", "s", health_check=None)
        assert self.verdicts.said[-1] == ("i0", None, "its service has no health check any more")

    def test_maintenance_keeps_what_is_known(self) -> None:
        """Nobody probes meanwhile."""
        watch = self.started()
        self.see(REFUSED, REFUSED, REFUSED)
        self.configuration.change("instance", "i0", state="maintenance")
        self.clock.advance(60)
        assert self.prober.running == []
        self.configuration.change("instance", "i0", state="ready")
        assert watch.watched["i0"].standing.health == UNHEALTHY
        assert len(self.verdicts.said) == 1
        self.configuration.change("instance", "i0", state="maintenance")
        self.configuration.change("instance", "i0", state="ready", address="http://10.0.0.3")
        assert watch.watched["i0"].standing.health == UNKNOWN
        assert self.verdicts.said[-1] == ("i0", UNKNOWN, "its address has changed")

    def test_check_that_is_switched_off_in_maintenance_takes_its_verdicts_along(self) -> None:
        """Whether they are of this term or of an older one."""
        gone = ("i0", None, "its service has no health check any more")
        self.started()
        self.see(PASSED)
        self.configuration.change("instance", "i0", state="maintenance")
        self.configuration.change("service", "s", health_check=None)
        assert self.verdicts.said[-1] == gone
        configuration = probed({}, "http://10.0.0.1:80")
        configuration.change("instance", "i0", state="maintenance")
        known = Known("i0", UNHEALTHY, "refused", 1.0, 3, "http://10.0.0.1:80")
        self.watch(configuration).begin(Term(4, (known,), ()), goes_on=False)
        said = len(self.verdicts.said)
        configuration.change("service", "s", health_check=None)
        assert self.verdicts.said[said:] == [gone]

    # Others' words

    def test_what_somebody_else_writes_is_taken_over(self) -> None:
        """And probes go on from there."""
        watch = self.started()
        self.see(PASSED)
        self.clock.advance(ECHO_SECONDS)
        self.configuration.put("instance_health", "i0", health="unhealthy", reason="by hand")
        assert watch.watched["i0"].standing.reason == "by hand"
        self.see(PASSED, PASSED)
        assert self.verdicts.said[-1][1] == HEALTHY
        assert watch.counts.adopted == 1

    def test_echo_of_an_older_word_is_not_taken_for_somebody_else_s(self) -> None:
        """It is ours, and on its way; if it stays it is not."""
        watch = self.started()
        self.clock.advance(ECHO_SECONDS)
        self.see(PASSED)
        self.configuration.put("instance_health", "i0", health="unhealthy", reason="older")
        self.see(PASSED, seconds=0.1)
        assert watch.watched["i0"].standing.health == HEALTHY
        self.configuration.put("instance_health", "i0", health="healthy", reason="echo")
        self.clock.advance(ECHO_SECONDS)
        self.see(PASSED)
        assert watch.counts.adopted == 0
        self.see(REFUSED, REFUSED, REFUSED)
        self.configuration.put("instance_health", "i0", health="healthy", reason="a human")
        assert watch.watched["i0"].standing.health == UNHEALTHY
        self.clock.advance(ECHO_SECONDS)
        self.see(REFUSED)
        assert watch.counts.adopted == 1
        assert watch.watched["i0"].standing.health == HEALTHY

    def test_verdict_that_waits_to_be_written_is_not_given_up(self) -> None:
        """The database is away, and what it said last is older."""
        watch = self.started()
        self.see(PASSED)
        self.verdicts.waiting.add("i0")
        self.clock.advance(60)
        self.configuration.put("instance_health", "i0", health="unhealthy", reason="older")
        self.see(PASSED)
        assert watch.watched["i0"].standing.health == HEALTHY

    # Evidence

    def test_evidence_brings_the_verdict_forward(self) -> None:
        """One probe that fails suffices after an ejection, and it comes at once."""
        watch = self.started()
        self.see(PASSED)
        self.clock.advance(1)
        watch.hear("n1", {"i0": Report(5, 0, "connect_failed", is_ejected=True)})
        self.clock.advance(0)
        self.prober.running[0].end(REFUSED)
        assert self.verdicts.said[-1][1] == UNHEALTHY
        assert watch.watched["i0"].report == ("n1", Report(5, 0, "connect_failed", True))

    def test_evidence_of_strangers_is_ignored(self) -> None:
        """Of instances that are not probed."""
        watch = self.started()
        watch.hear("n1", {"else": Report(5, 0)})
        assert (watch.counts.reports, watch.counts.reports_ignored) == (0, 1)

    def test_storm_of_evidence_is_two_probes_a_second(self) -> None:
        """However many workers tell the same."""
        watch = self.started()
        self.see(PASSED)
        before = len(self.prober.probes)
        for _ in range(100):
            watch.hear("n1", {"i0": Report(1, 9, "timeout")})
            self.clock.advance(0.02)
            for probe in self.prober.running:
                probe.end(PASSED)
        assert len(self.prober.probes) - before in (3, 4)

    def test_probe_on_demand_is_told_what_came_of_it(self) -> None:
        """It is one like the others, only sooner."""
        watch = self.started()
        self.see(PASSED)
        self.clock.advance(1)
        found: list[Outcome] = []
        watch.probe_now("i0").addCallback(found.append)
        self.clock.advance(0)
        self.prober.running[0].end(REFUSED)
        assert found == [REFUSED]
        assert watch.watched["i0"].standing.failures == 1
