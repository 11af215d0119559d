"""The sentence that says how everything is."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.console.sentence import sentence


def summary(**different: Any) -> dict[str, Any]:
    return {
        "position": {"revision": 8},
        "problem": "",
        "fleet_problem": "",
        "nodes": {"live": 1, "known": 1},
        "held": None,
        "convergence": {"served": 2, "workers": 2, "behind": []},
        "health": {"healthy": 3, "unhealthy": 0, "unknown": 0, "named": []},
        "rejected": {"count": 0, "named": []},
        "switches": [],
        "draining": [],
        "prober": {"holder": "c1"},
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
        ({"fleet_problem": "down"}, "bad", "Nobody knows who serves what: down", "fleet"),
        (
            {"nodes": {"live": 0, "known": 1}},
            "bad",
            "No gateway has told of itself in the last seconds",
            "fleet",
        ),
        (
            {"held": "held: revision 9 removes 3 of 3 routes"},
            "bad",
            "Held: revision 9 removes 3 of 3 routes",
            "history",
        ),
        (
            {"convergence": BEHIND},
            "bad",
            "1 of 2 workers does not serve revision 8: n1/w1",
            "fleet",
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
    ],
)
def test_what_is_wrong_is_said(different: dict[str, Any], mood: str, text: str, about: str) -> None:
    assert sentence(summary(**different)) == (mood, text, about)


def test_the_worst_comes_first() -> None:
    found = sentence(summary(convergence=BEHIND, health=UNHEALTHY, draining=["n1"]))
    assert "do not serve" in found.text or "does not serve" in found.text
