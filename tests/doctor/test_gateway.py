"""A gateway's status, put into words."""

from __future__ import annotations

import re
import shlex
from typing import Any

import click
import pytest

from fengling_gateway.cli.main import cli
from fengling_gateway.doctor.finding import Finding
from fengling_gateway.doctor.gateway import gateway

POSITION = {"epoch": "e", "revision": 7, "token": "t"}


def worker(**values: Any) -> dict[str, Any]:
    served = {"epoch": "e", "revision": 7, "content_hash": "00"}
    return {"node": "n1", "worker": "w0", "pid": 11, "state": "serving", **served, **values}


def status(**values: Any) -> dict[str, Any]:
    """Return the status of a gateway that has nothing wrong."""
    return {
        "node": "n1",
        "version": "1",
        "state": "serving",
        "position": POSITION,
        "content_hash": "00",
        "config_age_s": 1.0,
        "served_from": "database",
        "source": {"kind": "database", "connected": True, "listening": True, "last_read_at": 99.0},
        "workers": [worker(), worker(worker="w1", pid=12)],
        "redis": {"configured": True, "connected": True, "counters": {}},
        "rejected": [],
        "warnings": [],
        **values,
    }


def look(fleet: dict[str, Any] | None = None, **values: Any) -> dict[str, Finding]:
    known = {"complete": True, "workers": []} if fleet is None else fleet
    found = gateway(status(**values), known, before=100.0, after=100.1)
    return {one.about: one for one in found}


class GatewayTests:
    """Each thing that may be wrong, alone."""

    def test_nothing_wrong_is_found_where_nothing_is(self) -> None:
        assert {one.state for one in look().values()} == {"ok"}

    @pytest.mark.parametrize(
        ("about", "state", "said", "values"),
        [
            ("state", "note", "drained", {"drained": True}),
            ("state", "wrong", "starting", {"state": "starting"}),
            ("workers", "wrong", "silent: w0 (pid 11)", {"workers": [worker(state="stalled")]}),
            ("workers", "wrong", "no worker", {"workers": [worker(state="starting")]}),
            ("workers", "note", "2 deaths", {"deaths": 2}),
            ("positions", "wrong", "w0 at 6", {"workers": [worker(revision=6)]}),
            ("positions", "wrong", "w0 at 7", {"workers": [worker(content_hash="ff")]}),
            ("positions", "wrong", "no configuration", {"position": None}),
            (
                *("pinned", "note", "pinned at 5, by ada"),
                {"pinned": {"message": "pinned at 5", "by": "ada"}},
            ),
            ("pinned", "wrong", "no room", {"pin_problem": "no room"}),
            ("served_from", "wrong", "last-known-good", {"served_from": "last-known-good"}),
            ("held", "wrong", "revision 8", {"held": {"revision": 8, "message": "revision 8 …"}}),
            ("redis", "wrong", "lost", {"redis": {"configured": True, "connected": False}}),
            ("redis", "ok", "no Redis", {"redis": {"configured": False}}),
            (
                *("redis", "note", "3 messages"),
                {
                    "redis": {
                        "configured": True,
                        "connected": True,
                        "counters": {"messages_dropped": 3},
                    }
                },
            ),
            ("last_known_good", "wrong", "can't write", {"last_known_good": {"failing": True}}),
            ("log", "note", "4 lines", {"log": {"dropped_lines": 4}}),
            (
                *("certificate", "wrong", "expires in 3 days"),
                {"warnings": [{"kind": "certificate", "message": "c expires in 3 days"}]},
            ),
            (
                *("issuer", "wrong", "can't be fetched"),
                {"warnings": [{"kind": "issuer", "message": "its keys can't be fetched"}]},
            ),
        ],
    )
    def test_situation_is_told(
        self, about: str, state: str, said: str, values: dict[str, Any]
    ) -> None:
        one = look(**values)[f"gateway.{about}"]
        assert (one.state, said in one.said) == (state, True), one
        assert bool(one.cure) == (state != "ok")

    @pytest.mark.parametrize(
        ("values", "command"),
        [
            ({"drained": True}, "fenglingctl drain n1 --off"),
            ({"workers": [worker(revision=6)]}, "fenglingctl restart n1"),
            ({"pinned": {"message": "pinned at 5", "by": "ada"}}, "fenglingctl unpin"),
            ({"held": {"revision": 8, "message": "x"}}, "fenglingctl confirm 8"),
        ],
    )
    def test_commands_of_cures_can_be_run_as_they_stand(
        self, values: dict[str, Any], command: str
    ) -> None:
        """Nobody has to look up what is missing."""
        assert any(command in one.cure for one in look(**values).values())
        for one in look(**values).values():
            for said in re.findall("`fenglingctl ([^`]+)`", one.cure):
                name, *words = shlex.split(said)
                found = cli.get_command(click.Context(cli), name)
                assert found is not None
                if name != "rollback":  # (of what, is for whoever reads its --help)
                    found.make_context(name, words)

    def test_clock_of_the_gateway_is_compared(self) -> None:
        """By when it read last and how long ago that was."""
        source = {"kind": "database", "connected": True, "listening": True, "last_read_at": 10.0}
        assert look(source=source)["clock.management"].state == "wrong"

    def test_node_elsewhere_is_noted(self) -> None:
        others = [
            worker(node="n2", live=True, revision=5),
            worker(node="n3", live=False, revision=1),
        ]
        one = look({"complete": True, "workers": others})["gateway.fleet"]
        assert (one.state, one.said) == ("note", "serving something else: n2/w0 at 5")

    def test_unknown_fleet_is_noted(self) -> None:
        one = look({"complete": False, "reason": "Redis is away"})["gateway.fleet"]
        assert one.state == "note"
        assert "Redis is away" in one.said
