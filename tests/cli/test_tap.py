"""``fenglingctl tap``."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from fengling_gateway.cli.tap_lines import TapLines
from tests.cli.conftest import Run
from tests.cli.stub_gateway import StubGateway

ATTEMPT = {"instance": "o-1", "address": "http://10.0.0.1:80", "error": None}


def request(**different: Any) -> dict[str, Any]:
    usual = {
        "at": 1_795_356_306.789,
        "duration_ms": 12.34,
        "method": "GET",
        "target": "/orders?id=7",
        "status": 200,
        "error": None,
        "route": "orders",
        "asked": 1,
        "attempts": [ATTEMPT],
    }
    return {**usual, **different}


def stream(*events: dict[str, Any]) -> tuple[int, bytes]:
    """Return an answer of the API with these events, after its beginning."""
    began = {"event": "began", "seconds": 600.0}
    return 200, b"".join(json.dumps(one).encode() + b"\n" for one in (began, *events))


def told(**different: Any) -> dict[str, Any]:
    return {"event": "request", "request": request(**different)}


END = {"event": "ended", "why": "time", "told": 1, "left_out": 0}


def lines(*requests: dict[str, Any], width: int | None = None, **more: Any) -> list[str]:
    """Return what is printed on a terminal of a width, or else where there is none."""
    out = Console(file=io.StringIO(), width=width or 80, force_terminal=width is not None, **more)
    shown = TapLines(out)
    return [shown.line(one).plain for one in requests]


def test_lines_are_aligned() -> None:
    """Columns grow with what is in them."""
    first, second, third = lines(
        request(),
        request(route="a-longer-route", status=503, error="first_byte_timeout", asked=2),
        request(route=None, attempts=[], status=0, method=None, target=None, duration_ms=61_234.5),
    )
    assert first == "14:05:06.789  200  GET   /orders?id=7          orders → o-1   12.3 ms"
    assert second.endswith("a-longer-route → o-1 ×2   12.3 ms  first_byte_timeout")
    assert third.split() == ["14:05:06.789", "–", "–", "–", "–", "61.23", "s"]
    assert second.index(" ms") + 3 == third.index(" s") + 2 == len(third)


def test_terminal_is_not_exceeded() -> None:
    """A long target is cut there, and nowhere else."""
    long = request(target="/orders/" + "x" * 500, error="connect_failed")
    [cut] = lines(long, width=100)
    assert len(cut) <= 100
    assert "…" in cut
    [whole] = lines(long)
    assert "x" * 500 in whole


def test_what_terminals_obey_is_escaped() -> None:
    """Clients choose targets and methods."""
    [line] = lines(request(target="/\x1b[2J", method="\x1b"), width=100)
    assert "\x1b" not in line


@pytest.mark.parametrize(("terminal", "coloured"), [({}, True), ({"no_color": True}, False)])
def test_statuses_have_colours_on_a_terminal_only(terminal: Any, coloured: bool) -> None:
    """And where nobody has said NO_COLOR."""
    file = io.StringIO()
    out = Console(file=file, width=100, force_terminal=True, color_system="standard", **terminal)
    TapLines(out).print(request(status=503))
    assert ("\x1b[1;31m503" in file.getvalue()) is coloured


def test_no_terminal_gets_no_colours(run: Run, gateway: StubGateway) -> None:
    """Requests on stdout, what is said about them on stderr."""
    gateway.answers["POST", "tap"] = stream(told(), {"event": "alive"}, told(status=404), END)
    result = run("tap")
    assert result.exit_code == 0
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["200", "404"]
    assert "\x1b" not in result.stdout
    assert result.stderr.splitlines()[-1] == "2 requests, 0 left out"


def test_what_is_wanted_is_asked_for(run: Run, gateway: StubGateway) -> None:
    gateway.answers["POST", "tap"] = stream(END)
    run("tap", "--for", "90s")
    run(
        *("tap", "--route", "a", "--route", "b", "--service", "s", "--status", "5xx"),
        *("--status", "404", "--min-duration", "200ms", "--client", "10.0.0.0/8"),
        *("--method", "post", "--path-prefix", "/x", "--limit", "7"),
    )
    assert [body for _, _, body in gateway.asked] == [
        {"seconds": 90.0},
        {
            "seconds": 600.0,
            "routes": ["a", "b"],
            "services": ["s"],
            "statuses": ["5xx", "404"],
            "slower_than": 0.2,
            "clients": ["10.0.0.0/8"],
            "methods": ["POST"],
            "path_prefix": "/x",
            "limit": 7,
        },
    ]


def test_json_is_a_document_a_line(run: Run, gateway: StubGateway) -> None:
    """With everything that the gateway tells."""
    more = {"event": "left_out", "count": 3}
    gateway.answers["POST", "tap"] = stream(told(target="/ü\x1b"), more, told(), END)
    result = run("tap", "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert found == [request(target="/ü\x1b"), request()]
    assert "\x1b" not in result.stdout
    assert "(3 requests left out)" in result.stderr
    assert result.stderr.splitlines()[-1] == "2 requests, 3 left out"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--status", "5x"), "'5x' is not a status"),
        (("--client", "10.0.0"), "'10.0.0' is not an address"),
        (("--for", "11m"), "'11m' is not a duration"),
        (("--min-duration", "soon"), "'soon' is not a duration"),
        (("--path-prefix", "orders"), "'orders' is not a path"),
    ],
)
def test_what_makes_no_sense_is_not_asked_for(
    run: Run, gateway: StubGateway, arguments: Any, why: str
) -> None:
    result = run("tap", *arguments)
    assert result.exit_code == 2
    assert why in result.stderr
    assert gateway.asked == []


def test_gateway_that_stops_is_said(run: Run, gateway: StubGateway) -> None:
    """Nobody asked for that end: status 1."""
    gateway.answers["POST", "tap"] = stream(told(), {**END, "why": "stopped"})
    result = run("tap")
    assert result.exit_code == 1
    assert "the gateway has stopped" in result.stderr


def test_refusal_is_said(run: Run, gateway: StubGateway) -> None:
    """By what the API says; and there is nothing to sum up."""
    problem = {"code": "conflict", "title": "No", "detail": "8 taps are on already"}
    gateway.answers["POST", "tap"] = (409, problem)
    result = run("tap")
    assert result.exit_code == 2
    assert "8 taps are on already" in result.stderr
    assert "left out" not in result.stderr


def test_stream_that_breaks_is_said(run: Run, gateway: StubGateway) -> None:
    """After what has been seen until then."""
    gateway.answers["POST", "tap"] = (200, stream(told())[1] + b'{"event": "requ')
    result = run("tap")
    assert result.exit_code == 2
    assert "1 request, 0 left out" in result.stderr
    assert "says nothing more" in result.stderr
