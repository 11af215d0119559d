"""Verdicts are believed for as long as there is a sign of whoever makes them."""

from __future__ import annotations

import pytest

from fengling_gateway.configsource.reading import ProberRow
from fengling_gateway.supervisor.freshness import Freshness
from fengling_gateway.syncbus.messages import ProberBeat


def freshness() -> Freshness:
    return Freshness(stale_after=60.0, now=1000.0)


def test_a_row_and_a_heartbeat_are_each_enough() -> None:
    """The newer one counts."""
    for signs in ("row", "beat"):
        judged = freshness()
        if signs == "row":
            judged.read(ProberRow(4, "c1", 0.5), now=1010.0)
        else:
            judged.heard(ProberBeat(4, "c1"), now=1009.5)
        health = judged.health(now=1010.0)
        assert (health.state, health.term, health.holder, health.age_s) == ("fresh", 4, "c1", 0.5)
        assert judged.health(now=1069.4).state == "fresh"
        assert judged.health(now=1070.0).state == "stale"


def test_with_the_database_away_the_heartbeat_suffices() -> None:
    """And the other way round; with neither, it is over."""
    judged = freshness()
    judged.read(ProberRow(4, "c1", 0.0), now=1000.0)
    for second in range(0, 200, 20):
        judged.heard(ProberBeat(4, "c1"), now=1000.0 + second)
    assert judged.health(now=1200.0).state == "fresh"
    for second in range(200, 400, 20):
        judged.read(ProberRow(4, "c1", 1.0), now=1000.0 + second)
    assert judged.health(now=1400.0).state == "fresh"
    assert judged.health(now=1440.0).state == "stale"


def test_a_row_that_is_old_is_no_sign_of_life() -> None:
    """A console that died an hour ago left one."""
    judged = freshness()
    judged.read(ProberRow(4, "c1", 3600.0), now=1000.0)
    health = judged.health(now=1000.0)
    assert (health.state, health.age_s) == ("stale", 3600.0)
    judged.read(ProberRow(5, "c2", None), now=1001.0)
    assert judged.health(now=1001.0).state == "fresh"  # it has just taken over


def test_where_nobody_has_ever_probed_nothing_grows_stale() -> None:
    """The verdicts are somebody else's."""
    for row in (ProberRow(0, None, None), None):
        judged = freshness()
        judged.read(row, now=1000.0)
        assert judged.health(now=99_999.0).state == "none"


def test_while_nothing_is_known_time_counts_from_the_start() -> None:
    """A node that starts without its database has verdicts of who knows when."""
    judged = freshness()
    assert judged.health(now=1059.0).state == "none"
    assert judged.health(now=1061.0).state == "stale"
    judged.read(ProberRow(0, None, None), now=1062.0)
    assert judged.health(now=1062.0).state == "none"


def test_a_term_that_is_over_is_no_sign() -> None:
    """A console that was stopped goes on saying that it probes."""
    judged = freshness()
    judged.read(ProberRow(5, "c2", 0.0), now=1000.0)
    judged.heard(ProberBeat(4, "c1"), now=1050.0)
    judged.heard(ProberBeat(0, "nobody"), now=1050.0)
    assert judged.health(now=1061.0).state == "stale"


def test_a_standby_that_lags_takes_nothing_back() -> None:
    """It still tells of the term before; but a database that was set back is right in the end."""
    judged = freshness()
    judged.heard(ProberBeat(5, "c2"), now=1000.0)
    judged.read(ProberRow(4, "c1", 2.0), now=1001.0)
    assert (judged.health(now=1001.0).term, judged.health(now=1001.0).holder) == (5, "c2")
    judged.read(ProberRow(4, "c1", 0.0), now=1100.0)
    assert (judged.health(now=1100.0).state, judged.health(now=1100.0).term) == ("fresh", 4)


@pytest.mark.parametrize("excused", [0.0, 100.0])
def test_a_time_in_which_nobody_listened_does_not_count(excused: float) -> None:
    """The host was asleep."""
    judged = freshness()
    judged.heard(ProberBeat(4, "c1"), now=1000.0)
    judged.excuse(excused)
    assert judged.health(now=1110.0).state == ("fresh" if excused else "stale")
