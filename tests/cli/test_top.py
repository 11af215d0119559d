"""``fenglingctl top``."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from rich.console import Console

from fengling_gateway.cli import top, top_routes
from fengling_gateway.cli.api import ConsoleApi
from fengling_gateway.cli.target import NamedConsole
from tests.cli.conftest import Run, document
from tests.cli.stub_gateway import StubGateway

SUMMARY = ("GET", "/api/console/summary")
FLEET = ("GET", "/api/console/fleet")

TRAFFIC = {
    "requests_per_s": 12345.6,
    "errors_per_s": 0.5,
    "p50_ms": 0.64,
    "p99_ms": 118.2,
    "connections": 1,
    "in_flight": 17,
}


def summary(mood: str = "good", text: str = "All 2 workers serve revision 412") -> dict[str, Any]:
    counts = {"route": 10_000, "service": 1, "instance": 0}
    said = [{"mood": mood, "text": text, "about": "", "target": ""}]
    return {"sentences": said, "traffic": TRAFFIC, "counts": counts}


def fleet(**node: Any) -> dict[str, Any]:
    workers = [
        {
            "worker": "w0",
            "state": "serving",
            "revision": 412,
            "lag_ms": 1.26,
            "uptime_s": 7200.0,
            "traffic": TRAFFIC,
        },
        {"worker": "w1", "state": "starting", "revision": None, "lag_ms": None},
    ]
    usual = {
        "node": "gateway-7d9f8c-x2x4q",
        "state": "serving",
        "live": True,
        "draining": False,
        "position": {"revision": 411},
        "started_at": time.time() - 3.2 * 86400,
        "workers": workers,
    }
    return {"position": {"revision": 412}, "nodes": [{**usual, **node}]}


@pytest.fixture
def console(gateway: StubGateway, monkeypatch: pytest.MonkeyPatch) -> StubGateway:
    """Return a stub of a console with one gateway, which the environment names."""
    monkeypatch.setenv("FENGLING_CONSOLE", gateway.url)
    gateway.answers[SUMMARY] = (200, summary())
    gateway.answers[FLEET] = (200, fleet())
    return gateway


def screen(width: int, seen: dict[str, Any], lost: str | None = None) -> list[str]:
    out = Console(file=io.StringIO(), width=width)
    out.print(top._screen(seen, width, lost))
    assert isinstance(out.file, io.StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


def test_all_of_it_fits_into_80_columns() -> None:
    """Nothing is cut: a long name is folded, numbers and headings are whole."""
    long = "gateway-7d9f8c-x2x4q.eu-central-1.example"
    lines = screen(80, {"summary": summary(), "fleet": fleet(node=long)})
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    words = [line.split() for line in lines]
    assert [
        "w0",
        "serving",
        "412",
        "1.3",
        "12,346",
        "0.5",
        "0.6",
        "118",
        "1",
        "17",
        "2",
        "h",
    ] in words
    [first] = [at for at, line in enumerate(lines) if line.startswith("gateway")]
    [end] = [at for at, line in enumerate(lines) if line.startswith("  w0")]
    assert "".join(line.split()[0] for line in lines[first:end]) == long
    assert {"REVISION", "REQ/S", "FLIGHT"} <= {word for line in words for word in line}


def test_where_there_is_room_names_are_on_one_line() -> None:
    """With what is wrong or fine above, and how much there is."""
    lines = screen(140, {"summary": summary(), "fleet": fleet()})
    assert lines[0] == "All 2 workers serve revision 412"
    assert lines[1] == (
        "12,346 requests/s · 0.5 errors/s · 1 connection · 10,000 routes · 1 service · 0 instances"
    )
    [node] = [line for line in lines if line.startswith("gateway")]
    assert node.split()[:3] == ["gateway-7d9f8c-x2x4q", "serving", "411"]
    assert node.split()[-2:] == ["3", "d"]
    [starting] = [line for line in lines if line.startswith("  w1")]
    assert set(starting.split()[2:]) == {"–"}


@pytest.mark.parametrize(
    ("node", "state"), [({"live": False}, "gone"), ({"draining": True}, "draining")]
)
def test_state_says_who_is_not_for_use(node: dict[str, Any], state: str) -> None:
    """A gateway that tells nothing any more, and one that drains."""
    lines = screen(140, {"summary": summary(), "fleet": fleet(**node)})
    assert any(line.split()[1:2] == [state] for line in lines)


def test_what_gateways_say_is_no_escape() -> None:
    """Their names are whatever somebody has called them."""
    seen = {"summary": summary(text="\x1b[31m"), "fleet": fleet(node="\x1b]0;x")}
    assert "\x1b" not in "".join(screen(140, seen))


def test_once_is_a_table_and_its_status_says_if_something_is_wrong(
    run: Run, console: StubGateway
) -> None:
    """1 for what is bad; what is only odd is 0. Without a terminal it is once, too."""
    for mood, status in {"good": 0, "wait": 0, "warn": 1, "bad": 1}.items():
        console.answers[SUMMARY] = (200, summary(mood, "a sentence"))
        for words in (("top", "--once"), ("top",)):
            result = run(*words)
            assert (result.exit_code, result.stdout.splitlines()[0]) == (status, "a sentence")
            assert "gateway-7d9f8c-x2x4q" in result.stdout
    assert console.tokens[0] == "Bearer abc"


def test_programs_get_all_of_it(run: Run, console: StubGateway) -> None:
    """Both answers as they are."""
    console.answers[FLEET] = (200, {"position": None, "nodes": []})
    found = {"summary": summary(), "fleet": {"position": None, "nodes": []}}
    assert document(run("top", "-o", "json")) == found


def test_without_gateways_nothing_is_said_of_traffic(run: Run, console: StubGateway) -> None:
    """That nobody tells is not that there is none."""
    console.answers[FLEET] = (200, {"position": None, "nodes": []})
    result = run("top", "--once")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:] == [
        "10,000 routes · 1 service · 0 instances",
        "",
        "no gateway tells of itself",
    ]


@pytest.mark.parametrize(
    "arguments", [("--every", "0.1"), ("--every", "soon"), ("all",), ("--console", "console:8002")]
)
def test_odd_arguments_are_status_2(
    run: Run, console: StubGateway, arguments: tuple[str, ...]
) -> None:
    """And nothing is asked."""
    result = run("top", *arguments)
    assert (result.exit_code, bool(result.stderr), console.asked) == (2, True, [])


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "does not accept the token"),
        (403, "limited to tenants"),
        (503, "(its log has more under request r1)"),
    ],
)
def test_refusal_is_one_line(run: Run, console: StubGateway, status: int, said: str) -> None:
    """In the console's words."""
    problem = {"title": "No", "detail": "limited to tenants", "request_id": "r1"}
    console.answers[SUMMARY] = (status, problem)
    result = run("top", "--once")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert said in result.stderr


def test_console_that_is_away_is_one_line(run: Run, console: StubGateway) -> None:
    """With how to name another."""
    result = run("top", "--console", "http://127.0.0.1:1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "fenglingctl: no console answers at http://127.0.0.1:1 (Connection refused); "
        "name one with --console URL\n"
    )


class _EnoughError(Exception):
    """Somebody has seen enough."""


def watched(console: StubGateway, monkeypatch: pytest.MonkeyPatch, looks: int) -> str:
    """Return all that a terminal shows of some looks."""
    left = iter(range(looks))

    def sleep(_: float) -> None:
        if next(left, None) is None:
            raise _EnoughError

    monkeypatch.setattr(top.time, "sleep", sleep)
    out = Console(file=io.StringIO(), width=80, force_terminal=True)
    named = NamedConsole(console.url, ConsoleApi(console.url, lambda: "abc"))
    with pytest.raises(_EnoughError):
        top._watch(top._All(named), out, 1.0)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_watching_survives_a_console_that_is_away(
    console: StubGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was last seen stays, and how old it is."""
    away = (503, {"title": "Redis does not answer"})
    console.answers[SUMMARY] = [(200, summary()), away, (200, summary(text="it is back"))]
    told = watched(console, monkeypatch, looks=2)
    lost = told.index("the console does not answer")
    assert "Redis does not answer" in told[lost:]
    assert "gateway-" in told[lost:]
    assert "it is back" in told[lost:]


def test_watching_ends_with_the_token(
    console: StubGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which will not become good again."""
    console.answers[SUMMARY] = [(200, summary()), (401, {"detail": "it has expired"})]
    with pytest.raises(Exception, match="it has expired"):
        watched(console, monkeypatch, looks=9)


WINDOW = {
    "requests_per_s": 1234.5,
    "errors_per_s": 61.7,
    "error_ratio": 0.05,
    "by_class": {**dict.fromkeys(("none", "1xx", "2xx", "3xx"), 0), "4xx": 3, "5xx": 617},
    "p50_ms": 1.25,
    "p95_ms": 42.0,
    "p99_ms": 1250.0,
}
QUIET = {
    **WINDOW,
    "requests_per_s": 0.02,
    "error_ratio": None,
    "p50_ms": None,
    "p95_ms": None,
    "p99_ms": None,
}


def routes(**different: Any) -> dict[str, Any]:
    items = [
        {"route": "orders", "service": "shop", "last_10s": WINDOW, "last_60s": WINDOW},
        {"route": None, "service": None, "last_10s": QUIET, "last_60s": QUIET},
    ]
    windows = {"last_10s": 10.0, "last_60s": 60.0}
    return {"node": "n1", "windows": windows, "routes": 7, "items": items, **different}


def screen_of(seen: dict[str, Any], width: int, sort: str = "rate") -> list[str]:
    out = Console(file=io.StringIO(), width=width)
    out.print(top_routes.screen_of_routes(seen, sort, width))
    assert isinstance(out.file, io.StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


def test_routes_are_a_table() -> None:
    """What of it is of which window, and what comes first, is above."""
    lines = screen_of(routes(), 120)
    assert lines[0] == "n1: 7 rows with requests in the last minute"
    assert lines[1].startswith("the first 2, by requests a second; ")
    words = [line.split() for line in lines]
    assert [
        *("orders", "shop", "1,234", "1,234", "5.0", "5.0", "3", "617", "1.2", "42", "1,250"),
    ] in words
    assert [*("–", "–", "0.02", "0.02", "–", "–", "3", "617", "–", "–", "–")] in words


def test_routes_fit_into_80_columns() -> None:
    """Long names are folded, and numbers whole."""
    long = "a-route-with-quite-a-long-name.example"
    seen = routes()
    seen["items"][0].update(route=long, service=long)
    lines = screen_of(seen, 80)
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert "".join(line.split()[0] for line in lines[6:] if line[:1] not in " –─").startswith("a-")


def test_no_requests_are_no_table() -> None:
    assert screen_of(routes(items=[], routes=0), 80) == [
        "n1: 0 rows with requests in the last minute"
    ]


def test_routes_are_asked_of_a_gateway(run: Run, gateway: StubGateway) -> None:
    """By what is to come first; for programs it is as it was told."""
    gateway.answers["GET", "traffic/routes"] = (200, routes())
    result = run("top", "--routes", "--once")
    assert (result.exit_code, "orders" in result.stdout) == (0, True)
    assert document(run("top", "--routes", "--sort", "errors", "-n", "5", "--json")) == routes()
    assert document(run("top", "--routes", "-o", "json")) == routes()
    assert [path.partition("?")[2] for _, path, _ in gateway.asked] == [
        "sort=rate&limit=20",
        "sort=errors&limit=5",
        "sort=rate&limit=20",
    ]


@pytest.mark.parametrize("arguments", [("--sort", "rate"), ("-n", "5"), ("--routes", "-n", "0")])
def test_what_is_for_routes_is_only_for_them(
    run: Run, gateway: StubGateway, arguments: Any
) -> None:
    result = run("top", *arguments)
    assert (result.exit_code, gateway.asked) == (2, [])
