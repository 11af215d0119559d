"""The sentence that says how everything is."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.console.sentence import SILENT_SECONDS, Sentence, sentences

PROBER = {"term": 1, "holder": "c1", "since": None, "heartbeat_age_s": 0.4, "problem": None}


def sentence(summary: dict[str, Any]) -> Sentence:
    """What is said first."""
    return sentences(summary)[0]


def summary(**different: Any) -> dict[str, Any]:
    return {
        "position": {"revision": 8},
        "late": [],
        "problem": "",
        "fleet_problem": "",
        "nodes": {"live": 1, "known": 1},
        "held": None,
        "convergence": {"served": 2, "workers": 2, "behind": []},
        "health": {"healthy": 3, "unhealthy": 0, "unknown": 0, "named": []},
        "rejected": {"count": 0, "named": []},
        "switches": [],
        "deserted": {"count": 0, "named": []},
        "draining": [],
        "pinned": [],
        "stale": [],
        "prober": PROBER,
        **different,
    }


def test_all_is_well() -> None:
    found = sentence(summary())
    assert found.mood == "good"
    assert found.text == (
        "All 2 workers serve revision 8; 3 of 3 instances healthy; nothing rejected"
    )


def test_one_worker_and_nobody_who_probes() -> None:
    found = sentence(
        summary(
            convergence={"served": 1, "workers": 1, "behind": []},
            health={"healthy": 0, "unhealthy": 0, "unknown": 1, "named": []},
        )
    )
    assert found.text == (
        "The only worker serves revision 8; 1 instance, which nobody probes; nothing rejected"
    )


def test_nothing_is_configured() -> None:
    found = sentence(summary(health={"healthy": 0, "unhealthy": 0, "unknown": 0, "named": []}))
    assert "no instance;" in found.text


BEHIND = {"served": 1, "workers": 2, "behind": ["n1/w1"]}
UNHEALTHY = {"healthy": 2, "unhealthy": 1, "unknown": 0, "named": ["orders-1"]}


@pytest.mark.parametrize(
    ("different", "mood", "text", "about"),
    [
        ({"problem": "no answer"}, "bad", "The configuration can't be read: no answer", ""),
        ({"position": None}, "warn", "The configuration has not been read yet", ""),
        ({"fleet_problem": "down"}, "warn", "Nobody knows who serves what: down", "fleet"),
        (
            {"nodes": {"live": 0, "known": 1}},
            "bad",
            "No gateway has told of itself in the last seconds",
            "fleet",
        ),
        (
            {"held": "held: revision 9 removes 3 of 3 routes"},
            "bad",
            "Held: revision 9 removes 3 of 3 routes; revision 8 is served",
            "history",
        ),
        (
            {"convergence": BEHIND, "late": ["n1/w1"]},
            "bad",
            "1 of 2 workers does not serve revision 8: n1/w1",
            "fleet",
        ),
        (
            {"deserted": {"count": 1, "named": ["orders"]}, "health": UNHEALTHY},
            "bad",
            "1 service gets requests and has no instance for them: orders",
            "deserted",
        ),
        (
            {"deserted": {"count": 2, "named": ["a", "b"]}},
            "bad",
            "2 services get requests and have no instance for them: a, b",
            "deserted",
        ),
        ({"health": UNHEALTHY}, "bad", "1 of 3 instances is unhealthy: orders-1", "health"),
        (
            {"rejected": {"count": 5, "named": ["route a", "route b", "route c"]}},
            "bad",
            "5 entities are rejected: route a, route b, route c and 2 more",
            "rejected",
        ),
        ({"switches": ["route/a"]}, "warn", "Switched off: route/a", "switches"),
        ({"draining": ["n1"]}, "warn", "Draining: n1", "fleet"),
        ({"pinned": ["n1 (pinned at 7)"]}, "warn", "Pinned: n1 (pinned at 7)", "fleet"),
    ],
)
def test_what_is_wrong_is_said(different: dict[str, Any], mood: str, text: str, about: str) -> None:
    assert sentence(summary(**different))[:3] == (mood, text, about)


@pytest.mark.parametrize(
    ("different", "target"),
    [
        ({"deserted": {"count": 2, "named": ["a", "b"]}}, "service a"),
        ({"rejected": {"count": 1, "named": ["route a"]}}, "route a"),
        ({"switches": ["instance/a/b", "route/c"]}, "instance a/b"),
        ({"health": UNHEALTHY}, ""),
    ],
)
def test_first_of_them_is_where_to_look(different: dict[str, Any], target: str) -> None:
    assert sentence(summary(**different)).target == target


def test_change_is_on_its_way_for_a_moment() -> None:
    """Which is nothing to be alarmed by; and what is wrong beside it comes first."""
    found = sentences(summary(convergence=BEHIND))
    assert found == [("wait", "Revision 8 is on its way: 1 of 2 workers serve it", "", "")]
    found = sentences(summary(convergence=BEHIND, draining=["n1"]))
    assert [one.mood for one in found] == ["warn", "wait"]


def test_who_is_late_is_not_hidden_by_newer_changes() -> None:
    """Those are on their way to others, too."""
    both = {"served": 0, "workers": 2, "behind": ["n1/w1", "n1/w2"]}
    found = sentence(summary(convergence=both, late=["n1/w1"]))
    assert (found.mood, found.text) == ("bad", "1 of 2 workers does not serve revision 8: n1/w1")


def test_nothing_is_said_of_probes_where_this_console_does_not_probe() -> None:
    """Others may; what gateways make of it is known of them."""
    assert sentence(summary(prober=None)).mood == "good"


@pytest.mark.parametrize(
    ("prober", "text"),
    [
        ({"holder": None, "heartbeat_age_s": None}, "Nobody probes instances"),
        ({"heartbeat_age_s": SILENT_SECONDS + 1}, "Nobody probes instances"),
        ({"problem": "no answer"}, "Instances can't be probed: no answer"),
        ({"problem": "no answer", "holder": None}, "Instances can't be probed: no answer"),
        ({"heartbeat_age_s": SILENT_SECONDS - 1}, ""),
        ({"heartbeat_age_s": None}, ""),
    ],
)
def test_that_nobody_probes_is_said(prober: dict[str, Any], text: str) -> None:
    """Also where somebody is named who does no more."""
    found = sentence(summary(prober={**PROBER, **prober}))
    assert (found.text if text else found.mood) == (text or "good")


WORST_FIRST: list[tuple[dict[str, Any], str]] = [
    ({"problem": "no answer"}, "can't be read"),
    ({"nodes": {"live": 0, "known": 0}}, "No gateway has told"),
    ({"held": "held: revision 9 removes 3 of 3 routes"}, "Held: revision 9"),
    ({"convergence": BEHIND, "late": ["n1/w1"]}, "does not serve revision 8"),
    ({"convergence": {"served": 0, "workers": 0, "behind": []}}, "No worker serves"),
    ({"health": UNHEALTHY}, "is unhealthy"),
    ({"rejected": {"count": 1, "named": ["route a"]}}, "1 entity is rejected"),
    ({"switches": ["route/a"]}, "Switched off"),
    ({"draining": ["n1"]}, "Draining"),
    ({"stale": ["n1", "n2"]}, "n1, n2 take what is unhealthy for unknown"),
    ({"prober": {**PROBER, "problem": "no answer"}}, "can't be probed"),
]


@pytest.mark.parametrize("number", range(len(WORST_FIRST)))
def test_the_worst_comes_first(number: int) -> None:
    """Whatever else is wrong, too: what is said first is what has to be mended first."""
    together: dict[str, Any] = {}
    for different, _ in reversed(WORST_FIRST[number:]):
        together.update(different)
    assert WORST_FIRST[number][1] in sentence(summary(**together)).text


def test_all_that_is_wrong_is_said() -> None:
    """What is bad before what is odd."""
    together: dict[str, Any] = {}
    for different, _ in reversed(WORST_FIRST):
        together.update(different)
    moods = [one.mood for one in sentences(summary(**together))]
    assert len(moods) > 5
    assert moods == sorted(moods)


def test_of_many_some_are_named() -> None:
    """And how many there are besides: also of those that are not named in what is summed up."""
    found = sentence(summary(draining=["a", "b", "c", "d", "e"]))
    assert found.text == "Draining: a, b, c and 2 more"
    many = {"healthy": 0, "unhealthy": 500, "unknown": 1, "named": ["a", "b", "c", "d", "e"]}
    assert sentence(summary(health=many)).text == (
        "500 of 501 instances are unhealthy: a, b, c and 497 more"
    )
    behind = {"served": 1, "workers": 3, "behind": ["n1/w1", "n2"]}
    assert sentence(summary(convergence=behind, late=behind["behind"])).text == (
        "2 of 3 workers do not serve revision 8: n1/w1, n2"
    )


def test_workers_that_are_pinned_serve() -> None:
    """What they serve is not waited for; and theirs is not what others have to serve."""
    nobody = {"served": 0, "workers": 0, "behind": []}
    pinned = summary(convergence=nobody, nodes={"live": 1, "known": 2}, pinned=["n1 (pinned at 7)"])
    [only] = sentences(pinned)
    assert (only.mood, only.text) == ("warn", "Pinned: n1 (pinned at 7)")
    one_of_two = {**pinned, "nodes": {"live": 2, "known": 2}}
    assert sentence(one_of_two).text == "No worker serves but those that are pinned"
