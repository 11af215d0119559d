"""Commands that talk to a running gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fengling_gateway.cli.serving import LISTS
from tests.cli.conftest import Run, document
from tests.cli.stub_gateway import StubGateway

STATUS = {
    "node": "n1",
    "cluster": "default",
    "version": "0.1.0",
    "state": "serving",
    "position": {"epoch": "e", "revision": 412, "token": "t"},
    "source": {"kind": "database", "connected": True, "listening": True, "last_read_at": 0},
    "redis": {"connected": False, "last_error": "Connection refused"},
    "served_from": "database",
    "held": {"revision": 413, "message": "held: revision 413 removes 37 of 37 routes"},
    "entities": {"route": 2, "service": 1, "tenant": 0},
    "workers": [{"worker": "w0", "pid": 7, "state": "serving", "revision": 412, "lag_ms": 1.25}],
    "rejected": [
        {
            "kind": "route",
            "id": "bad",
            "serving": "nothing",
            "problems": [
                {"path": "route bad: path", "code": "bad_path", "message": "is no template"},
                {"path": "route bad", "code": "one_target", "message": "needs one target"},
            ],
        }
    ],
}
ROUTES = [
    {"id": "a", "priority": 0, "hosts": ["a.example"], "path": "/x", "service_id": "orders"},
    {"id": "b", "split": {"v1": 90, "v2": 10}},
    {"id": "c", "redirect": {"status": 301, "location": "https://new.example{path}"}},
    {"id": "d", "respond": {"status": 204}, "enabled": False},
]


def test_status_names_what_needs_attention(run: Run, gateway: StubGateway) -> None:
    """Revision, held, rejected, Redis, workers: on one screen."""
    gateway.answers["GET", "status"] = (200, STATUS)
    result = run("status")
    assert result.exit_code == 0
    assert "held: " not in result.stdout
    for words in (
        "n1 (cluster default)",
        "412",
        " revision 413 removes 37 of 37 routes (to serve it: fenglingctl confirm 413)",
        "away (Connection refused)",
        "notified of changes",
        "nothing   path: is no template",
        "nothing   needs one target",
        "route bad",
        "2 routes, 1 service",
        "w0",
    ):
        assert words in result.stdout, words


def test_status_says_what_decides_beside_the_configuration(run: Run, gateway: StubGateway) -> None:
    """That nobody probes, that the node is drained, and what somebody has switched off."""
    beside = {
        "health": {"state": "stale", "term": 3, "holder": "c1", "age_s": 75.2},
        "drained": True,
        "switched_off": [
            {"kind": "route", "id": "orders", "off": True, "by": "jane", "at": 1, "comment": "fire"}
        ],
    }
    gateway.answers["GET", "status"] = (200, {**STATUS, **beside})
    shown = run("status").stdout
    assert "stale: nobody has probed for 75 s" in shown
    assert "says that it is not ready" in shown
    assert "route orders, by jane: fire" in shown
    calm = {"health": {"state": "fresh"}, "drained": False, "switched_off": []}
    gateway.answers["GET", "status"] = (200, {**STATUS, **calm})
    shown = run("status").stdout
    assert not [word for word in ("health", "drained", "switched off") if word in shown]


def test_status_says_how_much_is_rejected_beyond_what_it_names(
    run: Run, gateway: StubGateway
) -> None:
    """And how to see the rest."""
    one = {"kind": "route", "serving": "nothing", "problems": [{"message": "is wrong"}]}
    rejected = [{**one, "id": f"r{number:02}"} for number in range(100)]
    counts = {"rejected_total": 10_000, "rejected_by_kind": {"route": 9_999, "service": 1}}
    gateway.answers["GET", "status"] = (200, {**STATUS, "rejected": rejected, **counts})
    result = run("status")
    assert "9999 routes, 1 service" in result.stdout
    assert ("r19" in result.stdout, "r20" in result.stdout) == (True, False)
    assert "and 9980 more rejected: fenglingctl get rejected" in result.stdout


def test_everything_rejected_can_be_listed(run: Run, gateway: StubGateway) -> None:
    """With every problem of each."""
    gateway.answers["GET", "rejected"] = (200, {"items": STATUS["rejected"], "next": None})
    result = run("get", "rejected")
    assert "path: is no template" in result.stdout
    assert "needs one target" in result.stdout
    assert document(run("get", "rejected", "-o", "json")) == STATUS["rejected"]
    gateway.answers["GET", "rejected"] = (200, {"items": [], "next": None})
    assert run("get", "rejected").stdout == "nothing is rejected\n"
    assert run("get", "rejected", "bad").exit_code == 2


def test_status_shows_a_source_that_is_away(run: Run, gateway: StubGateway) -> None:
    """With its last error."""
    source: dict[str, Any] = {"kind": "database", "connected": False, "last_error": "timeout"}
    redis = {"configured": False, "connected": False}
    gateway.answers["GET", "status"] = (200, {**STATUS, "source": source, "redis": redis})
    result = run("status")
    assert "database: away (timeout)" in result.stdout
    assert "not used" in result.stdout
    source = {"kind": "file", "connected": True, "listening": True, "last_read_at": 0}
    gateway.answers["GET", "status"] = (200, {**STATUS, "source": source})
    assert "file: watched" in run("status").stdout


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_documents_come_as_they_are(run: Run, gateway: StubGateway, output: str) -> None:
    """For programs, in either format."""
    gateway.answers["GET", "status"] = (200, STATUS)
    assert yaml.safe_load(run("status", "-o", output).stdout) == STATUS


def test_get_lists_all_pages(run: Run, gateway: StubGateway) -> None:
    """Until there is no next one."""
    pages = [{"items": ROUTES[:2], "next": "b"}, {"items": ROUTES[2:], "next": None}]

    def answer(method: str, path: str) -> tuple[int, Any]:
        return 200, pages[1] if "after=b" in path else pages[0]

    gateway.answer = answer  # type: ignore[method-assign]
    result = run("get", "routes")
    assert result.exit_code == 0
    for words in ("service orders", "v1 90, v2 10", "301 https://new.example{path}", "answer 204"):
        assert words in result.stdout
    assert document(run("get", "routes", "-o", "json")) == ROUTES


@pytest.mark.parametrize(
    ("what", "item", "words"),
    [
        ("services", {"id": "orders", "balancing": "random", "policies": {"retry": {}}}, "retry"),
        (
            "instances",
            {"id": "i1", "address": "http://a:1", "health": {"health": "unhealthy"}},
            "unhealthy",
        ),
        ("tenants", {"id": "acme", "hosts": ["acme.example"]}, "acme.example"),
        ("settings", {"key": "hold", "value": {"max_removed_share": 0.5}}, "max_removed_share"),
    ],
)
def test_each_kind_has_a_table(
    run: Run, gateway: StubGateway, what: str, item: dict[str, Any], words: str
) -> None:
    """With the columns that matter for it."""
    gateway.answers["GET", what] = (200, {"items": [item], "next": None})
    assert words in run("get", what).stdout


def test_a_long_list_is_a_table_too(run: Run, gateway: StubGateway) -> None:
    """With the same columns, whatever their width."""
    items = [{"id": f"r{number}", "path": "/ü" * (number % 3)} for number in range(2000)]
    gateway.answers["GET", "routes"] = (200, {"items": items, "next": None})
    lines = run("get", "routes").stdout.splitlines()
    assert (len(lines), lines[0].split()[:3]) == (2002, ["ID", "PRIORITY", "HOSTS"])
    assert {line.index("answer None") for line in lines[2:]} == {lines[0].index("TARGET")}


def test_an_empty_list_says_so(run: Run, gateway: StubGateway) -> None:
    """Not only headings."""
    gateway.answers["GET", "routes"] = (200, {"items": [], "next": None})
    assert run("get", "routes").stdout == "no routes\n"


def test_get_shows_one(run: Run, gateway: StubGateway) -> None:
    """Field by field."""
    gateway.answers["GET", "routes/a"] = (200, ROUTES[0])
    assert "a.example" in run("get", "routes", "a").stdout
    assert document(run("get", "routes", "a", "-o", "json")) == ROUTES[0]


def test_what_is_not_served_is_one_line(run: Run, gateway: StubGateway) -> None:
    """And status 2."""
    problem: dict[str, Any] = {
        "title": "It is not served here",
        "detail": "it is rejected",
        "code": "not_served",
    }
    gateway.answers["GET", "routes/x"] = (404, problem)
    result = run("get", "routes", "x")
    assert (result.exit_code, result.stderr) == (2, f"fenglingctl: {gateway.url}: it is rejected\n")
    problem["problems"] = [{"path": "route x: path", "message": "is no template"}]
    gateway.answers["GET", "routes/x"] = (404, problem)
    assert "it is rejected: route x: path: is no template\n" in run("get", "routes", "x").stderr


def test_workers_of_the_fleet_are_listed(run: Run, gateway: StubGateway) -> None:
    """And it says when that is not all of them."""
    workers = [
        {"node": "n1", "worker": "w0", "state": "serving", "revision": 4, "applied_at": 0},
        {"node": "n2", "worker": "w0", "state": "serving", "revision": 3, "live": False},
    ]
    fleet = {"complete": False, "reason": "Redis is not connected", "workers": workers}
    gateway.answers["GET", "workers"] = (200, fleet)
    result = run("get", "workers")
    assert "gone" in result.stdout
    assert "Redis is not connected" in result.stderr
    assert run("get", "workers", "w0").exit_code == 2


def test_reload_waits_as_told(run: Run, gateway: StubGateway) -> None:
    """Wait, timeout and comment go along."""
    answer = {"position": {"revision": 7}, "behind": [], "complete": True, "took_ms": 12.5}
    gateway.answers["POST", "reload"] = (200, answer)
    result = run("reload", "--wait", "all", "--timeout", "500ms", "-m", "canary")
    assert (result.exit_code, result.stdout) == (0, "revision 7 is served (12.5 ms)\n")
    path = "/api/gateway/reload?wait=all&timeout=500ms"
    assert gateway.asked == [("POST", path, {"comment": "canary"})]


def test_a_reload_tells_what_is_held(run: Run, gateway: StubGateway) -> None:
    """Or one would look for what is read and not served."""
    held = "held: revision 8 removes 37 of 37 routes"
    answer = {"position": {"revision": 7}, "behind": [], "complete": True, "held": held}
    gateway.answers["POST", "reload"] = (200, answer)
    assert run("reload").stdout == f"revision 7 is served; {held}\n"


def test_a_reload_that_does_not_converge_is_status_1(run: Run, gateway: StubGateway) -> None:
    """The workers that are behind are named."""
    answer = {"position": {"revision": 7}, "behind": ["n2/w1"], "complete": True}
    gateway.answers["POST", "reload"] = (504, answer)
    result = run("reload", "--wait", "all")
    assert (result.exit_code, result.stdout) == (1, "revision 7 is not served yet by n2/w1\n")


def test_a_reload_without_redis_speaks_for_its_node(run: Run, gateway: StubGateway) -> None:
    """Done, with a word on stderr."""
    answer = {"position": {"revision": 7}, "behind": [], "complete": False, "reason": "no Redis"}
    gateway.answers["POST", "reload"] = (200, answer)
    result = run("reload", "--wait", "all", "-o", "json")
    assert (result.exit_code, result.stderr) == (0, "no Redis\n")
    gateway.answers["POST", "reload"] = (202, {"looking": True})
    assert run("reload", "--wait", "none").stdout == "the gateway looks\n"


def test_confirm_sends_the_revision(run: Run, gateway: StubGateway) -> None:
    """And says when something is held still."""
    gateway.answers["POST", "confirm"] = (200, {"confirmed": 412, "held": None})
    assert run("confirm", "412").stdout == "revision 412 is confirmed, and served\n"
    assert gateway.asked[0][2] == {"revision": 412}
    gateway.answers["POST", "confirm"] = (200, {"confirmed": 412, "held": "held: revision 413"})
    assert "held: revision 413" in run("confirm", "412").stdout
    assert document(run("confirm", "412", "-o", "json"))["confirmed"] == 412
    told = {"confirmed": 412, "held": None, "told": ["n2", "n3"]}
    gateway.answers["POST", "confirm"] = (200, told)
    line = "revision 412 is confirmed; n2, n3, which held it, have been told\n"
    assert run("confirm", "412").stdout == line
    gateway.answers["POST", "confirm"] = (200, told | {"told": ["n2"]})
    assert "; n2, which held it, has been told\n" in run("confirm", "412").stdout


EXPLANATION = {
    "tenant": None,
    "route": "orders",
    "candidates": [
        {"route": "admin", "chosen": False, "reason": "method GET is not among POST"},
        {"route": "orders", "chosen": True, "reason": "first that takes the request"},
    ],
    "action": {
        "kind": "forward",
        "services": [{"service": "orders", "candidates": [{"address": "http://10.0.0.5:80"}]}],
    },
}


def test_explain_shows_the_route_and_why(run: Run, gateway: StubGateway) -> None:
    """The request is taken apart as a client would send it."""
    gateway.answers["POST", "explain"] = (200, EXPLANATION)
    result = run(
        *("explain", "https://shop.example:8443/orders?x=1", "-X", "post"),
        *("-H", "X-Beta: yes", "--peer", "10.1.2.3", "--listener", "public"),
    )
    assert result.exit_code == 0
    assert "forward to orders (http://10.0.0.5:80)" in result.stdout
    assert "method GET is not among POST" in result.stdout
    assert gateway.asked[0][2] == {
        "method": "POST",
        "host": "shop.example:8443",
        "path": "/orders",
        "query": "x=1",
        "headers": {"x-beta": "yes"},
        "peer": "10.1.2.3",
        "listener": "public",
    }


def test_explain_says_which_instances_are_sent_nothing(run: Run, gateway: StubGateway) -> None:
    """And why."""
    refused = [{"instance": "i9", "address": "http://[::1]:80", "reason": "::1 is loopback"}]
    service = {"service": "s", "more_candidates": 0, "candidates": [], "refused": refused}
    action = {"kind": "forward", "services": [service]}
    gateway.answers["POST", "explain"] = (200, {**EXPLANATION, "action": action})
    result = run("explain", "https://shop.example/orders")
    assert "forward to s (nobody)" in result.stdout
    assert "instance i9 is sent nothing: ::1 is loopback" in result.stdout


def test_explain_says_how_many_it_does_not_list(run: Run, gateway: StubGateway) -> None:
    """Routes beyond the first, and instances of a large service."""
    instances = [{"address": f"http://10.0.0.{number}:80"} for number in range(12)]
    service = {"service": "orders", "candidates": instances, "more_candidates": 300}
    others = [{"route": f"r{number}", "chosen": False, "reason": "-"} for number in range(50)]
    answer = {
        **EXPLANATION,
        "candidates": [*others, EXPLANATION["candidates"][1]],
        "more_candidates": 4900,
        "action": {"kind": "forward", "services": [service]},
    }
    gateway.answers["POST", "explain"] = (200, answer)
    result = run("explain", "https://shop.example/orders")
    assert "10.0.0.9:80 and 302 more)" in result.stdout
    assert ("r19" in result.stdout, "r20" in result.stdout) == (True, False)
    assert "first that takes the request" in result.stdout
    assert "and 4930 more with this host and path" in result.stdout


def test_explain_tells_of_the_route_asked_for(run: Run, gateway: StubGateway) -> None:
    """Status 1 if the request goes elsewhere."""
    reason = "host shop.example is not among b.example"
    asked = {"route": "b", "chosen": False, "reason": reason}
    gateway.answers["POST", "explain"] = (200, {**EXPLANATION, "asked": asked})
    result = run("explain", "https://shop.example/orders", "--route", "b")
    assert (result.exit_code, f"b: {reason}" in result.stdout) == (1, True)
    assert gateway.asked[0][2]["route"] == "b"
    gateway.answers["POST", "explain"] = (200, EXPLANATION)
    assert run("explain", "https://shop.example/orders", "--route", "orders").exit_code == 0


def test_explain_without_a_route_is_status_1(run: Run, gateway: StubGateway) -> None:
    """A path alone, with a Host header."""
    gateway.answers["POST", "explain"] = (200, {"route": None, "candidates": []})
    result = run("explain", "/nothing", "-H", "Host: a.example")
    assert result.exit_code == 1
    assert "none: 404" in result.stdout
    assert "no route has this host and path" in result.stdout
    assert gateway.asked[0][2]["host"] == "a.example"


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "nothing"),
        ("reload", "--timeout", "soon"),
        ("reload", "--wait", "some"),
        ("confirm", "latest"),
        ("confirm", "-1"),
        ("explain", "/", "-H", "no colon"),
        ("explain", "http://[::1"),
        ("unknown",),
    ],
)
def test_a_wrong_command_line_is_status_2(
    run: Run, gateway: StubGateway, arguments: tuple[str, ...]
) -> None:
    """Nothing is asked of the gateway."""
    assert run(*arguments).exit_code == 2
    assert gateway.asked == []


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (401, {"code": "unauthorized", "detail": "the token has expired"}, "has expired"),
        (401, {"code": "unauthorized"}, "fenglingctl token create"),
        (403, {"detail": "this needs the scope gateway:write"}, "gateway:write"),
        (503, {"title": "The config source does not answer"}, "config source"),
        (
            500,
            {"title": "A mistake", "request_id": "ab12"},
            "A mistake (its log has more under req",
        ),
        (200, b"<html>", "not as a management API"),
        (302, {}, "302"),
    ],
)
def test_an_error_is_one_line_with_what_to_do(
    run: Run, gateway: StubGateway, status: int, answer: Any, words: str
) -> None:
    """Status 2, nothing on stdout; a redirect is not followed with the token."""
    gateway.answers["GET", "status"] = (status, answer)
    result = run("status")
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_gateway_that_is_away_is_named(run: Run) -> None:
    """With the option that names another one."""
    result = run("status", "--management", "http://127.0.0.1:1", "--token-file", "/dev/null")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "--management" in result.stderr


def test_without_a_token_nothing_is_asked(run: Run, gateway: StubGateway, monkeypatch: Any) -> None:
    """It says where one would come from."""
    monkeypatch.delenv("FENGLING_TOKEN")
    result = run("status")
    assert "fenglingctl token create" in result.stderr
    assert gateway.asked == []


def test_the_token_comes_from_a_file(
    run: Run, gateway: StubGateway, tmp_path: Path, monkeypatch: Any
) -> None:
    """The option wins over the environment, the file's line break is dropped."""
    gateway.answers["GET", "status"] = (200, STATUS)
    (tmp_path / "token").write_text("from-file\n")
    run("status", "--token-file", str(tmp_path / "token"))
    monkeypatch.delenv("FENGLING_TOKEN")
    monkeypatch.setenv("FENGLING_TOKEN_FILE", str(tmp_path / "token"))
    run("status")
    assert gateway.tokens == ["Bearer from-file"] * 2
    assert run("status", "--token-file", str(tmp_path / "none")).exit_code == 2


def test_a_token_with_line_breaks_is_refused(
    run: Run, gateway: StubGateway, monkeypatch: Any
) -> None:
    """It would end the header."""
    monkeypatch.setenv("FENGLING_TOKEN", "a\r\nX-Evil: 1")
    assert run("status").exit_code == 2
    assert gateway.asked == []


def test_a_proxy_of_the_environment_is_not_asked(
    run: Run, gateway: StubGateway, monkeypatch: Any
) -> None:
    """The token goes to the gateway and nowhere else."""
    gateway.answers["GET", "status"] = (200, STATUS)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert run("status").exit_code == 0


def test_help_names_all_that_there_is_to_get(run: Run) -> None:
    """In words, since a list of them in the usage is cut."""
    text = " ".join(run("get", "--help").stdout.split())
    said = set(
        text.partition("WHAT is")[2]
        .partition(" Options:")[0]
        .replace(",", " ")
        .replace(";", " ")
        .replace(".", " ")
        .split()
    )
    assert said.issuperset(LISTS)


def test_lists_without_anything_say_so(run: Run, gateway: StubGateway) -> None:
    """In a sentence."""
    for what, sentence in {
        "audit": "nothing has been asked for",
        "api_keys": "no api keys",
    }.items():
        gateway.answers["GET", what] = (200, {"items": [], "next": None})
        assert run("get", what).stdout == f"{sentence}\n"
