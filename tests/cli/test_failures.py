"""``fenglingctl errors`` and ``why``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from fengling_gateway.cli.failure_views import print_story
from fengling_gateway.cli.main import cli
from fengling_gateway.cli.next_steps import next_steps
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.records.blame import verdict
from fengling_gateway.records.notable import ANSWERED, FAILED, KINDS, SLOW
from tests.cli.conftest import Run, document
from tests.cli.stub_gateway import StubGateway, stub_gateway

AT = 1_795_356_306.789
"""2026-11-22 14:05:06.789 UTC"""

REFUSED = {
    "instance": "o-1",
    "address": "http://10.0.0.1:80",
    "error": "connect_failed",
    "began_ms": 0.1,
    "connect_ms": None,
    "ms": 2.1,
}
SECOND = {
    "instance": "o-2",
    "address": "http://10.0.0.2:80",
    "error": "first_byte_timeout",
    "began_ms": 2.3,
    "connect_ms": 1.0,
    "ms": 30_001.0,
}
RING = {"kept": 3, "pushed_out": 0, "oldest_at": AT - 60}


def exchange(**different: Any) -> dict[str, Any]:
    """Return one as the management API tells it: of two instances, the second was too slow."""
    one: dict[str, Any] = {
        "number": 7,
        "kind": FAILED,
        "at": AT,
        "request_id": "r-1",
        "duration_ms": 30_004.0,
        "waited_ms": 30_003.3,
        "method": "GET",
        "scheme": "https",
        "host": "shop.example",
        "target": "/orders?id=7",
        "protocol": "HTTP/1.1",
        "user_agent": "curl/8",
        "listener": "https",
        "client": "198.51.100.7",
        "peer": "10.1.1.1",
        "status": 504,
        "error": "first_byte_timeout",
        "route": "orders",
        "service": "shop",
        "tenant": "acme",
        "subject": "alice",
        "revision": 412,
        "asked": 2,
        "attempts": [REFUSED, SECOND],
        "received": 10,
        "sent": 160,
        "trace_id": None,
        "worker": "w1",
        **different,
    }
    fault, means = verdict(one["kind"], one["error"], was_asked=bool(one["attempts"]))
    return {**one, "fault": fault, "means": means}


def group(**different: Any) -> dict[str, Any]:
    return {
        "kind": FAILED,
        "error": "first_byte_timeout",
        "status": None,
        "service": "shop",
        "instance": "o-2",
        "fault": "instance",
        "means": "The instance did not answer in time.",
        "count": 3,
        "first_at": AT - 60,
        "last_at": AT,
        "newest": "r-1",
        "routes": ["orders"],
        **different,
    }


def answer(*items: dict[str, Any], **different: Any) -> tuple[int, dict[str, Any]]:
    usual = {"items": items, "next": None, "count": len(items), "summary": [group()], "groups": 1}
    return 200, {**usual, "now": AT, "ring": RING, "left_out": {}, **different}


def test_errors_sums_up_and_shows_the_newest(run: Run, gateway: StubGateway) -> None:
    """First how often what failed, and whose fault it was; then lines; then what to do."""
    gateway.answers["GET", "errors"] = answer(exchange())
    result = run("errors")
    assert result.exit_code == 0
    summary, lines, hint = result.stdout.split("\n\n")
    for word in ("3", "first_byte_timeout", "instance", "shop", "o-2", "did not answer in time."):
        assert word in summary
    for word in ("504", "GET /orders?id=7", "198.51.100.7", "30.00 s", "r-1"):
        assert word in lines
    assert hint.startswith("fenglingctl why r-1")
    [(_, asked, _)] = gateway.asked
    assert asked == "/api/gateway/errors?since=600.000s&limit=20"


def test_filters_are_the_gateways(run: Run, gateway: StubGateway) -> None:
    """Each as the management API calls it; a point in time as seconds since the epoch."""
    gateway.answers["GET", "errors"] = answer(summary=[])
    result = run(
        *("errors", "--since", "2026-11-22T14:05Z", "--until", "90s", "--route", "r"),
        *("--service", "s", "--instance", "i", "--error", "no_route", "--status", "5xx"),
        *("--fault", "client", "--slow", "-n", "0"),
    )
    assert result.stdout == "nothing of that is kept\n"
    query = gateway.asked[0][1].partition("?")[2]
    assert sorted(query.split("&")) == sorted(
        (
            *("since=1795356300.000", "until=90.000s", "route=r", "service=s", "instance=i"),
            *("error=no_route", "status=5xx", "fault=client", "kind=slow", "limit=1"),
        )
    )


def test_errors_says_what_it_does_not_show(run: Run, gateway: StubGateway) -> None:
    """More pages, floods, and how far back what is kept goes."""
    gateway.answers["GET", "errors"] = answer(
        exchange(),
        count=2000,
        left_out={"no_route": 500, "slow": 3},
        ring={**RING, "pushed_out": 9},
    )
    result = run("errors")
    assert "shown are 1 of 2000; -n shows more" in result.stderr
    assert "500 no_route, 3 slow" in result.stderr
    assert "keeps what is newer than 2026-11-22 14:04:06.789Z" in result.stderr


def test_several_gateways_are_one_answer(run: Run, gateway: StubGateway) -> None:
    """Their groups add up, and lines say whose they are; who does not answer is named."""
    gateway.answers["GET", "errors"] = answer(exchange())
    with stub_gateway() as other:
        newer = exchange(at=AT + 5, request_id="r-2")
        mine = group(count=4, last_at=AT + 5, newest="r-2", routes=["more"])
        other.answers["GET", "errors"] = answer(newer, summary=[mine])
        named = [word for url in (gateway.url, other.url) for word in ("--management", url)]
        away = ("--management", "http://127.0.0.1:9")
        found = document(run("errors", "--json", *named, *away))
        table = run("errors", *named, *away)
    assert [one["request_id"] for one in found["items"]] == ["r-2", "r-1"]
    [summed] = found["summary"]
    assert (summed["count"], summed["newest"], summed["routes"]) == (7, "r-2", ["orders", "more"])
    assert (summed["first_at"], summed["last_at"]) == (AT - 60, AT + 5)
    assert "no gateway answers at http://127.0.0.1:9" in table.stderr
    for url in (gateway.url, other.url):
        assert url.removeprefix("http://") in table.stdout
    assert run("errors", *away).exit_code == 2


def test_why_tells_the_story(run: Run, gateway: StubGateway) -> None:
    """What was asked, each attempt, what failed, whose fault, and what to do next."""
    gateway.answers["GET", "exchanges/r-1"] = 200, {"items": [exchange()]}
    result = run("why", "r-1")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "GET /orders?id=7 of shop.example failed: first_byte_timeout (504)"
    assert lines[1] == ("The instance did not answer in time. Most likely the instance's fault.")
    for words in (
        "2026-11-22 14:05:06.789Z",
        "30.00 s: 2.3 ms before the last attempt, 1.0 ms until it was connected, 30.00 s until",
        "198.51.100.7, by 10.1.1.1, as alice, of tenant acme",
        "listener https, worker w1, revision 412",
        "orders → service shop",
        "connect_failed after 2.1 ms",
        "first_byte_timeout after 30.00 s",
        "fenglingctl get instances o-2",
        "docs/errors.md#first_byte_timeout",
    ):
        assert words in result.stdout


def test_why_of_a_request_that_is_not_kept_says_what_that_may_mean(
    run: Run, gateway: StubGateway
) -> None:
    """And the answer is no."""
    said = {"code": "not_kept", "ring": {**RING, "pushed_out": 1}, "left_out": {"no_route": 8}}
    gateway.answers["GET", "exchanges/r-9"] = 404, said
    result = run("why", "r-9")
    assert result.exit_code == 1
    assert result.stdout == ""
    for words in ("it went well", "14:04:06.789Z", "8 no_route", "another gateway's"):
        assert words in result.stderr


def test_why_asks_for_odd_ids_in_the_query(run: Run, gateway: StubGateway) -> None:
    """A path would mean something else; what can be none is refused."""
    gateway.answers["GET", "errors"] = answer(exchange(request_id="a/b?c"))
    assert run("why", "a/b?c").exit_code == 0
    assert gateway.asked[0][1] == "/api/gateway/errors?request_id=a%2Fb%3Fc"
    assert run("why", "a b").exit_code == 2


def test_why_fails_where_nobody_can_tell(run: Run, gateway: StubGateway) -> None:
    """An older gateway has no such operation: that is no answer to the question."""
    assert run("why", "r-1").exit_code == 2


def test_why_as_json_has_all(run: Run, gateway: StubGateway) -> None:
    """Of every request that had the id, newest first."""
    gateway.answers["GET", "exchanges/r-1"] = (
        200,
        {"items": [exchange(at=AT), exchange(at=AT + 1)]},
    )
    assert [one["at"] for one in document(run("why", "r-1", "-o", "json"))] == [AT + 1, AT]
    assert "2 requests had this id" in run("why", "r-1").stderr
    assert len(document(run("why", "r-1", "--json"))) == 2  # as `errors` has it


def test_commands_ask_the_gateway_that_was_asked() -> None:
    """doctor looks at what is named, and routes are a gateway's; `top` alone asks a console."""
    commands = [
        one.command for one in next_steps(exchange(error="no_configuration", gateway="h:1"))
    ]
    assert "doctor --management http://h:1" in commands
    commands = [one.command for one in next_steps(exchange(error="overloaded"))]
    assert "top --routes" in commands


def test_commands_ask_whom_was_asked(run: Run, gateway: StubGateway, tmp_path: Path) -> None:
    """With the options that were given; of several gateways the one that has told."""
    token = tmp_path / "a token"
    token.write_text("xyz")
    failed = exchange(request_id="$(reboot)", error="no_instance", instance=None)
    gateway.answers["GET", "errors"] = answer(failed)
    with stub_gateway() as other:
        other.answers["GET", "errors"] = answer()
        named = [word for url in (other.url, gateway.url) for word in ("--management", url)]
        options = (*named, "--token-file", str(token))
        errors = run("errors", *options).stdout.splitlines()
        story = run("why", "$(reboot)", *options).stdout
    given = f"--management {gateway.url} --token-file '{token}'"
    assert f"fenglingctl why '$(reboot)' {given}  # tells the story of one" in errors
    assert f"fenglingctl get services shop {given}  # " in story
    assert f"fenglingctl switch list --token-file '{token}'" in story
    assert f"https://shop.example/orders?id=7' {given}  # " in story


def test_commands_are_bare_where_nothing_was_named(run: Run, gateway: StubGateway) -> None:
    """What the environment names, it names for the next command, too."""
    gateway.answers["GET", "errors"] = answer(exchange())
    gateway.answers["GET", "exchanges/r-1"] = 200, {"items": [exchange(error="no_instance")]}
    assert "fenglingctl why r-1  # tells" in run("errors").stdout
    story = run("why", "r-1").stdout
    assert "--management" not in story
    assert "--token-file" not in story


def everything() -> list[dict[str, Any]]:
    """Return an exchange of every error, of every other kind, and one of which little is known."""
    nothing = dict.fromkeys(
        (
            *("method", "host", "target", "protocol", "user_agent", "route", "service", "tenant"),
            *("subject", "revision", "listener", "worker", "peer", "client"),
        )
    )
    found = [exchange(error=error.code) for error in ForwardError]
    found += [exchange(error=error.code, attempts=[], asked=0, **nothing) for error in ForwardError]
    found += [exchange(kind=kind, error=None) for kind in (ANSWERED, SLOW)]
    hidden = [{**REFUSED, "instance": None, "address": None}]
    found += [exchange(kind=kind, error=None, attempts=hidden) for kind in KINDS[1:]]
    return [*found, exchange(error="of_tomorrow")]


@pytest.mark.parametrize("one", everything(), ids=lambda one: one["error"] or one["kind"])
def test_every_failure_has_a_story_and_commands_that_there_are(
    one: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever of it is known; each command is one that can be run as it stands."""
    print_story(one, AT + 1)
    story = capsys.readouterr().out
    assert one["means"] in story
    assert "None" not in story
    for step in next_steps(one):
        if not step.command:
            continue
        assert f"fenglingctl {step.command}" in story
        name, *words = shlex.split(step.command)
        command = cli.get_command(click.Context(cli), name)
        assert command is not None, name
        command.make_context(name, words)


def test_commands_hold_nothing_that_a_shell_would_run() -> None:
    """The target is the client's."""
    one = exchange(error="no_route", route=None, target="/$(reboot);`x`'\"")
    [step, *_] = next_steps(one)
    assert shlex.split(step.command)[-1] == "https://shop.example/$(reboot);`x`'\""
