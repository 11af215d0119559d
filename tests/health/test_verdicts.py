"""When what is seen of an instance changes its verdict."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.health.verdicts import (
    FIRST_HOLD_SECONDS,
    FLAP_WINDOW_SECONDS,
    FREE_FALLS,
    HEALTHY,
    MAX_HOLD_SECONDS,
    UNHEALTHY,
    UNKNOWN,
    Flip,
    Report,
    Standing,
    Thresholds,
    hold_of,
)

USUAL = Thresholds(rise=2, fall=3)


def probe(standing: Standing, outcomes: str, now: float = 0.0) -> list[str]:
    """Return the verdict after each outcome: `+` passed, `-` failed."""
    found = []
    for outcome in outcomes:
        if outcome == "+":
            standing.passed(USUAL, now)
        else:
            standing.failed(USUAL, now, "refused")
        found.append(standing.health)
    return found


class VerdictTests:
    def test_first_pass_makes_an_unknown_instance_healthy(self) -> None:
        """Nobody waits for two of them."""
        standing = Standing()
        assert standing.health == UNKNOWN
        assert standing.passed(USUAL, 0.0) == Flip(HEALTHY, "its first probe passed")
        assert standing.passed(USUAL, 0.0) is None

    def test_failures_in_a_row_make_it_unhealthy(self) -> None:
        """And a pass between them begins anew."""
        standing = Standing()
        assert probe(standing, "+--+--") == [HEALTHY] * 6
        assert standing.failed(USUAL, 0.0, "refused") == Flip(
            UNHEALTHY, "refused (3 failures in a row)"
        )

    def test_unknown_instance_becomes_unhealthy_as_slowly(self) -> None:
        """It is routable until it is known better."""
        assert probe(Standing(), "---") == [UNKNOWN, UNKNOWN, UNHEALTHY]

    def test_passes_in_a_row_make_it_healthy_again(self) -> None:
        """With a word of how many."""
        standing = Standing(UNHEALTHY)
        assert probe(standing, "+-+") == [UNHEALTHY] * 3
        assert standing.passed(USUAL, 0.0) == Flip(HEALTHY, "2 probes passed in a row")

    def test_adopted_verdict_begins_anew(self) -> None:
        """Somebody has written it; what was counted before led to something else."""
        standing = Standing(HEALTHY, failures=2)
        standing.adopt(HEALTHY, "by hand")
        assert probe(standing, "--") == [HEALTHY, HEALTHY]
        standing.adopt(UNHEALTHY, "by hand")
        assert probe(standing, "++") == [UNHEALTHY, HEALTHY]


class ReportTests:
    def test_reports_alone_never_change_a_verdict(self) -> None:
        """However many, and whatever they say."""
        for health in (UNKNOWN, HEALTHY, UNHEALTHY):
            standing = Standing(health)
            for _ in range(10):
                standing.reported_by(Report(5, 0, "connect_failed", is_ejected=True), USUAL)
                standing.reported_by(Report(0, 1000), USUAL)
            assert standing.health == health

    def test_failing_report_is_a_failure_and_asks_for_a_probe(self) -> None:
        """After two of them one probe that fails suffices, and says so."""
        standing = Standing(HEALTHY)
        assert standing.reported_by(Report(3, 1, "connect_failed"), USUAL)
        assert standing.reported_by(Report(1, 0, "connect_failed"), USUAL)
        assert standing.failed(USUAL, 0.0, "refused") == Flip(
            UNHEALTHY,
            "refused (3 failures in a row, 2 of them by what gateways report: connect_failed)",
        )

    def test_ejection_leaves_only_one_failure_to_go(self) -> None:
        """A worker ejects after several failures in a row: that is as good as two probes."""
        standing = Standing(HEALTHY)
        standing.reported_by(Report(5, 0, "connect_failed", is_ejected=True), USUAL)
        assert probe(standing, "-") == [UNHEALTHY]

    def test_probe_that_passes_ends_what_was_reported(self) -> None:
        """They are failures in a row, or none."""
        standing = Standing(HEALTHY)
        standing.reported_by(Report(5, 0, is_ejected=True), USUAL)
        assert probe(standing, "+--") == [HEALTHY] * 3

    def test_few_failures_among_successes_count_nothing(self) -> None:
        """They are a reason to look, and no more."""
        standing = Standing(HEALTHY)
        assert standing.reported_by(Report(1, 99, "timeout"), USUAL)
        assert (standing.failures, standing.is_settled) == (0, True)

    def test_traffic_that_succeeds_is_no_reason_to_look(self) -> None:
        """It says nothing that a probe would not."""
        assert not Standing(HEALTHY).reported_by(Report(0, 5), USUAL)

    def test_reports_do_not_delay_the_return_of_an_unhealthy_instance(self) -> None:
        """Requests that began long ago fail late; and one gateway may be alone in not reaching it."""
        standing = Standing(UNHEALTHY)
        probe(standing, "+")
        assert not standing.reported_by(Report(1, 0, is_ejected=True), USUAL)
        assert probe(standing, "+") == [HEALTHY]

    def test_where_one_failure_suffices_it_is_a_probe_s(self) -> None:
        """With fall 1, reports only make the probe come at once."""
        once = Thresholds(1, 1)
        standing = Standing(HEALTHY)
        assert standing.reported_by(Report(1, 0, "refused", is_ejected=True), once)
        assert standing.health == HEALTHY
        flip = standing.failed(once, 0.0, "refused")
        assert flip == Flip(UNHEALTHY, "refused (1 failure in a row)")


class FlapTests:
    def test_instance_that_comes_and_goes_is_held_down(self) -> None:
        """The fifth time within five minutes, for ten seconds."""
        standing = Standing(HEALTHY)
        for now in (0.0, 5.0, 10.0, 20.0):
            probe(standing, "---++", now)
            assert standing.health == HEALTHY
        flip = [standing.failed(USUAL, 40.0, "refused") for _ in range(3)][-1]
        assert flip is not None
        assert flip.reason.endswith("; held down for 10 s at least, for it comes and goes")
        assert probe(standing, "+++", 49.9) == [UNHEALTHY] * 3
        assert standing.passed(USUAL, 50.0) == Flip(HEALTHY, "4 probes passed in a row")

    def test_hold_doubles_and_ends_somewhere(self) -> None:
        """10, 20, 40 … and at most five minutes; who was quiet for long begins anew."""
        assert [hold_of([0.0] * count, 0.0) for count in range(11)] == [
            *(0.0, 0.0, 0.0, 0.0, 0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
        ]
        assert hold_of([0.0] * 11, FLAP_WINDOW_SECONDS) == 0.0


class Step(NamedTuple):
    """One thing that is seen, after so many seconds."""

    after: float
    what: str


steps = st.lists(
    st.builds(
        Step, st.sampled_from([0.0, 1.0, 5.0, 120.0]), st.sampled_from(["pass", "fail", "report"])
    ),
    max_size=60,
)


class ModelTests:
    @given(steps, st.integers(1, 4), st.integers(1, 4))
    def test_verdict_is_that_of_the_whole_history(
        self, history: list[Step], rise: int, fall: int
    ) -> None:
        """A model that looks at everything again after each step says the same."""
        standing = Standing()
        thresholds = Thresholds(rise, fall)
        model = Model(rise, fall)
        now = 0.0
        for step in history:
            now += step.after
            if step.what == "pass":
                standing.passed(thresholds, now)
            elif step.what == "fail":
                standing.failed(thresholds, now, "x")
            else:
                standing.reported_by(Report(1, 0, "y"), thresholds)
            model.see(step.what, now)
            assert standing.health == model.health
            assert standing.passes == 0 or standing.failures == 0


class Model:
    """Keeps all that was seen since the last flip, and when it flipped; nothing is counted up."""

    def __init__(self, rise: int, fall: int) -> None:
        self.rise, self.fall = rise, fall
        self.health = UNKNOWN
        self.seen: list[str] = []
        self.fell: list[float] = []

    def see(self, what: str, now: float) -> None:
        self.seen.append(what)
        if what == "pass":
            enough = 1 if self.health == UNKNOWN else self.rise
            if self.health != HEALTHY and self.run({"pass"}) >= enough and not self.is_held(now):
                self.health, self.seen = HEALTHY, []
        elif what == "fail" and self.health != UNHEALTHY:
            in_a_row = self.seen[len(self.seen) - self.run({"fail", "report"}) :]
            # Reports fill up to one less than is needed.
            counted = 0
            for one in in_a_row:
                if one == "fail" or counted < self.fall - 1:
                    counted += 1
            if counted >= self.fall:
                self.health, self.seen = UNHEALTHY, []
                self.fell.append(now)

    def run(self, kinds: set[str]) -> int:
        length = 0
        for one in reversed(self.seen):
            if one not in kinds:
                break
            length += 1
        return length

    def is_held(self, now: float) -> bool:
        if self.health != UNHEALTHY:
            return False
        last = self.fell[-1]
        times = len([at for at in self.fell if last - FLAP_WINDOW_SECONDS < at <= last])
        seconds = 0.0
        for nth in range(1, times + 1):
            if nth == FREE_FALLS + 1:
                seconds = FIRST_HOLD_SECONDS
            elif nth > FREE_FALLS + 1:
                seconds = min(seconds * 2, MAX_HOLD_SECONDS)
        return now < last + seconds
