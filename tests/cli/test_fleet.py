"""``fenglingctl drain``, ``restart`` and ``switch``."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.cli import fleet
from tests.cli.conftest import Run
from tests.cli.stub_gateway import StubGateway

FLEET = ("GET", "/api/console/fleet")
DRAIN = ("POST", "/api/console/fleet/n1/drain")
RESTART = ("POST", "/api/console/fleet/n1/restart")
OFF = ("PUT", "/api/console/switches/route/orders")
ON = ("DELETE", "/api/console/switches/route/orders")
NOT_FOUND = (404, {"title": "There is nothing here"})


def nodes(*, draining: bool = False) -> tuple[int, Any]:
    others = [{"node": "n2", "live": True}, {"node": "n0", "live": False}]
    return 200, {"nodes": [{"node": "n1", "live": True, "draining": draining}, *others]}


@pytest.fixture
def console(gateway: StubGateway, monkeypatch: pytest.MonkeyPatch) -> StubGateway:
    """Return a stub of a console with two gateways that live, which the environment names."""
    monkeypatch.setenv("FENGLING_CONSOLE", gateway.url)
    gateway.answers[FLEET] = nodes()
    for one in (DRAIN, RESTART):
        gateway.answers[one] = (202, {})
    for one in (OFF, ON):
        gateway.answers[one] = (200, {})
    gateway.answers["GET", "/api/console/routes/orders"] = (200, {"id": "orders"})
    return gateway


def test_drain_ends_when_the_gateway_has_done_it(run: Run, console: StubGateway) -> None:
    """It looks until the gateway says so."""
    console.answers[FLEET] = [nodes(), nodes(), nodes(draining=True)]
    result = run("drain", "n1")
    assert (result.exit_code, result.stdout) == (0, "n1 drains\n")
    assert console.asked[0] == (*DRAIN, {"on": True})
    assert [path for _, path, _ in console.asked[1:]] == ["/api/console/fleet"] * 3


def test_drain_is_taken_back(run: Run, console: StubGateway) -> None:
    """By the same command."""
    console.answers[FLEET] = [nodes(draining=True), nodes()]
    result = run("drain", "n1", "--off")
    assert (result.exit_code, result.stdout) == (0, "n1 is ready again\n")
    assert console.asked[0] == (*DRAIN, {"on": False})


def test_gateway_that_does_not_do_it_is_told(
    run: Run, console: StubGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has been asked, and may yet."""
    monkeypatch.setattr(fleet, "_WAIT_SECONDS", 0.01)
    result = run("drain", "n1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "fenglingctl: n1 has been asked, and has not done it within 0.01 s\n"


def test_restart_is_asked_for(run: Run, console: StubGateway) -> None:
    """And where one sees how far it is."""
    result = run("restart", "n1")
    assert (result.exit_code, "n1 replaces its workers" in result.stdout) == (0, True)
    assert console.asked == [(*RESTART, {})]


@pytest.mark.parametrize("command", ["drain", "restart"])
def test_gateways_that_there_are_are_named(run: Run, console: StubGateway, command: str) -> None:
    """Where there is none of that name: those that live, or that there is none."""
    result = run(command, "n7")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "fenglingctl: no gateway called n7 is there; there is n1, n2\n"
    console.answers[FLEET] = (200, {"nodes": []})
    assert run(command, "n7").stderr.endswith("; there is none\n")


def test_switch_says_what_is_off(run: Run, console: StubGateway) -> None:
    """With why."""
    result = run("switch", "off", "route/orders", "-m", "too hot")
    assert (result.exit_code, result.stdout, result.stderr) == (
        *(0, "route/orders is switched off\n"),
        "",
    )
    assert console.asked[0] == ("PUT", f"{OFF[1]}?comment=too+hot", None)
    result = run("switch", "on", "route/orders")
    assert (result.exit_code, result.stdout) == (0, "route/orders is switched on\n")
    assert console.asked[-1][0] == "DELETE"


def test_what_is_not_there_is_noted(run: Run, console: StubGateway) -> None:
    """It is off all the same. If nobody knows, nothing is said."""
    path = "/api/console/switches/instance/i"
    console.answers["PUT", path] = (200, {})
    result = run("switch", "off", "instance/i")
    assert (result.exit_code, result.stdout) == (0, "instance/i is switched off\n")
    assert "there is no instance i now" in result.stderr
    console.answers["GET", "/api/console/instances/i"] = (503, {"title": "no database"})
    assert run("switch", "off", "instance/i").stderr == ""


def test_switches_are_listed(run: Run, console: StubGateway) -> None:
    """The oldest first: what, since when, by whom and why."""
    console.answers["GET", "/api/console/switches"] = (200, {"items": []})
    assert run("switch", "list").stdout == "nothing is switched off\n"
    items = [
        {"kind": "route", "id": "b", "at": 86400.0, "by": "ada", "comment": ""},
        {"kind": "instance", "id": "a", "at": 0.0, "by": "\x1b[31m", "comment": "too hot"},
    ]
    console.answers["GET", "/api/console/switches"] = (200, {"items": items})
    result = run("switch", "list")
    first, second = result.stdout.splitlines()[2:]
    assert first.split() == ["instance/a", "1970-01-01", "00:00:00Z", r"\x1b[31m", "too", "hot"]
    assert second.split() == ["route/b", "1970-01-02", "00:00:00Z", "ada", "–"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("drain",), "NODE"),
        (("restart",), "NODE"),
        (("restart", "n1", "n2"), "n2"),
        (("switch",), "off"),
        (("switch", "of", "route/a"), "off"),
        (("switch", "off"), "route/orders"),
        (("switch", "off", "orders"), "route/orders"),
        (("switch", "off", "route/"), "route/orders"),
        (("switch", "off", "service/a"), "route/orders"),
        (("switch", "list", "route/a"), "nothing more"),
    ],
)
def test_odd_arguments_are_status_2(
    run: Run, console: StubGateway, arguments: tuple[str, ...], said: str
) -> None:
    """And nothing is asked."""
    result = run(*arguments)
    assert (result.exit_code, said in result.stderr, console.asked) == (2, True, [])


COMMANDS = {
    DRAIN: ("drain", "n1"),
    RESTART: ("restart", "n1"),
    OFF: ("switch", "off", "route/orders"),
    ON: ("switch", "on", "route/orders"),
    ("GET", "/api/console/switches"): ("switch", "list"),
}


@pytest.mark.parametrize("asked", COMMANDS, ids=lambda asked: " ".join(COMMANDS[asked][:2]))
def test_refusals_are_one_line(run: Run, console: StubGateway, asked: tuple[str, str]) -> None:
    """Of who may not, of a token that is none, of a console without Redis; in its words."""
    for status, detail in {
        403: "this needs the scope gateway:admin",
        401: "the token has expired",
        503: "Redis does not answer",
    }.items():
        console.answers[asked] = (status, {"title": "No", "detail": detail})
        result = run(*COMMANDS[asked])
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert result.stderr.startswith(f"fenglingctl: {console.url}")
        assert detail in result.stderr


@pytest.mark.parametrize("words", COMMANDS.values(), ids=" ".join)
def test_console_that_is_away_is_one_line(
    run: Run, console: StubGateway, words: tuple[str, ...]
) -> None:
    """With how to name another."""
    result = run(*words, "--console", "http://127.0.0.1:1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no console answers at http://127.0.0.1:1 (Connection refused)" in result.stderr
    assert "--console URL" in result.stderr
