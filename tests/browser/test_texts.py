"""What pages write as text: SQL that does what saving does, YAML that is read again, and more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

from fengling_gateway.configsource.file_entities import parse_entities
from fengling_gateway.configsource.file_yaml import read_yaml
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from tests.browser.conftest import Call
from tests.browser.console import Place

TEXTS = [
    *("plain", "", " ", "yes", "No", "null", "~", "08", "1e5", "0x1f", "1:30", "2026-11-22"),
    *("a: b", "a #b", "- a", "{a}", "[a]", "'quoted'", '"quoted"', "back\\slash", "tab\there"),
    *("two\nlines", "two\nlines\n", "end\n\n", " lead\nmore\n", "a \nb\n", "é ü 漢 🚀", "\u2028"),
    *("/orders/{**rest}", "*.shop.example", "@a", "`a`", "%a", "!a", "&a", "*a", "?", "|", ">"),
    *("-", "=", "<<", ".", "...", "---", "\x7f", "\u0085", "\ufeff", "O'Hara", "$1", "a,b"),
]
VALUES: list[Any] = [
    *TEXTS,
    *(0, 1.5, -3, True, False, None, [], {}, [[]], [{}], [[1, [2]], {"a": [{"b": None}]}]),
    {text: text for text in TEXTS},
    TEXTS,
    {"deep": {"list": [{"name": "a", "value": None}, {"name": "b", "more": {"x": TEXTS}}]}},
]


def test_yaml_is_read_again(call: Call) -> None:
    """As the same values, by the reader of files."""
    for value in VALUES:
        text = call("text/yaml.js", "yaml", {"value": value})
        assert read_yaml(text.encode())[0] == {"value": value}, text


def test_change_as_yaml_is_a_file(call: Call) -> None:
    after = {
        "path": "/a/{**rest}",
        "service_id": "s",
        "hosts": ["*.shop.example"],
        "policies": {"request_headers": {"set": {"X-A": "1, 2"}}},
        "priority": 0,
    }
    text = call("text/change.js", "changeAsYaml", {"kind": "route", "id": "a", "after": after})
    read = parse_entities(text.encode())
    del after["priority"]
    assert read.rows == {Key("route", "a"): {"id": "a", **after}}


@pytest.fixture(scope="module")
def run_sql(place: Place) -> Iterator[Callable[[str], None]]:
    """Run a script as psql does."""
    connection = psycopg2.connect(place.console.database)
    connection.autocommit = True

    def run(text: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(text)

    yield run
    connection.close()


BOOKKEEPING = ("id", "version", "created_at", "updated_at", "access", "health")


def own(entity: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entity.items() if name not in BOOKKEEPING}


def meaning(entity: dict[str, Any]) -> bytes:
    """What gateways make of a route: the API writes out defaults within JSON, SQL does not."""
    verdict = validate(Key("route", "same"), own(entity))
    assert isinstance(verdict, Accepted)
    return verdict.body


ROUTE = {
    "path": "/it's/{**rest}",
    "hosts": ["shop.example", "*.shop.example"],
    "methods": ["GET", "M-SEARCH"],
    "match": {"headers": [{"name": "X-A", "op": "equals", "value": "a\\b'c\"d"}]},
    "respond": {"status": 200, "headers": {}, "body": "O'Hara\nis \\ here é"},
    "policies": {"timeouts": {"total": "1m30s"}, "retry": None},
    "labels": {"a": "b, 'c'"},
    "managed_by": "git",
    "valid_to": "2030-01-01T00:00:00Z",
    "priority": 3,
    "enabled": False,
}


def test_sql_does_what_saving_does(call: Call, place: Place, run_sql: Callable[..., None]) -> None:
    """Of a new route, of one that changes, and of one that goes."""
    made = {"kind": "route", "id": "by-sql", "before": None, "after": ROUTE, "comment": "it's new"}
    run_sql(call("text/sql.js", "sql", {**made, "author": "jane"}))
    place.console.api("POST", "/routes", {"id": "by-api", **ROUTE})
    by_sql, by_api = (place.console.api("GET", f"/routes/{one}") for one in ("by-sql", "by-api"))
    assert meaning(by_sql) == meaning(by_api)
    assert (by_sql["labels"], by_sql["managed_by"]) == (ROUTE["labels"], "git")
    [entry] = place.console.api("GET", "/routes/by-sql/history")["items"]
    assert (entry["author"], entry["comment"]) == ("jane", "it's new")

    after = {
        **own(by_sql),
        "methods": [],
        "managed_by": None,
        "policies": {"timeouts": {"total": "2s"}, "path": {"strip": "/x"}},
        "respond": None,
        "service_id": "hello",
    }
    changed = {"kind": "route", "id": "by-sql", "before": own(by_sql), "after": after}
    text = call("text/sql.js", "sql", changed)
    assert "policies = policies - 'retry' ||" in text
    run_sql(text)
    now = place.console.api("GET", "/routes/by-sql")
    assert own(now)["policies"] == after["policies"]
    assert {name: own(now)[name] for name in after} == after

    gone = {"kind": "route", "id": "by-sql", "before": own(now), "after": None}
    run_sql(call("text/sql.js", "sql", gone))
    assert place.console.ask("GET", "/api/console/routes/by-sql")[0] == 404


def test_sql_of_services_and_settings(
    call: Call, place: Place, run_sql: Callable[..., None]
) -> None:
    """Durations and JSON values are as the database wants them."""
    service = {"name": "x", "connect_timeout": "1m30s", "idle_timeout": "250ms", "tls": {}}
    run_sql(call("text/sql.js", "sql", {"kind": "service", "id": "by-sql", "after": service}))
    assert place.console.api("GET", "/services/by-sql")["connect_timeout"] == "1m30s"
    setting = {"value": ["10.0.0.0/8"]}
    run_sql(
        call("text/sql.js", "sql", {"kind": "setting", "id": "trusted_proxies", "after": setting})
    )
    assert place.console.api("GET", "/settings/trusted_proxies")["value"] == ["10.0.0.0/8"]


def test_curl_says_what_changes(call: Call) -> None:
    """By a merge patch, of the version that was read, quoted for a shell."""
    before = {"path": "/a", "policies": {"retry": {"attempts": 1}}, "priority": 1}
    after = {"path": "/it's", "policies": {}, "priority": 1}
    change = {"kind": "route", "id": "a b", "before": before, "after": after, "version": 7}
    text = call("text/change.js", "changeAsCurl", {**change, "origin": "http://c"})
    assert text.startswith("curl -X PATCH 'http://c/api/console/routes/a%20b?wait=all'")
    assert "-H 'If-Match: \"7\"'" in text
    data = text.split("--data ")[1].strip().removeprefix("'").removesuffix("'")
    patch = json.loads(data.replace("'\\''", "'"))
    assert patch == {"path": "/it's", "policies": {"retry": None}}


def test_differences_are_lines(call: Call) -> None:
    found = call("text/diff.js", "diffLines", "a\nb\nc\n", "a\nx\nc\nd\n")
    assert "".join(one["sign"] + one["text"] for one in found) == " a-b+x c+d"
    assert call("text/diff.js", "diffLines", "", "") == []


def test_sparkline_ends_at_the_right(call: Call) -> None:
    """The newest value is there; what is not known is a gap; the top is the largest value."""
    size = {"width": 100, "height": 10, "slots": 11, "most": 1}
    found = call("text/sparkline.js", "sparkline", [0, None, 5, 10], size)
    assert found == {"line": "M70,10M90,5L100,0", "area": "M90,10L90,5L100,0L100,10Z", "top": 10}
    assert call("text/sparkline.js", "sparkline", [], size)["line"] == ""


def said(about: str, target: str = "", text: str = "It is so") -> dict[str, Any]:
    return {"mood": "bad", "text": text, "about": about, "target": target}


@pytest.mark.parametrize(
    ("sentence", "href"),
    [
        (said(""), None),
        (said("fleet"), "/fleet"),
        (said("health"), "/services?health=unhealthy"),
        (said("history", text="Held: revision 9 removes 3 of 3 routes"), "/history/9"),
        (said("rejected", "route a b"), "/routes/a"),
        (said("rejected", "setting defaults"), "/settings"),
        (said("rejected", "issuer corp"), None),
        (said("deserted", "service orders"), "/services/orders"),
        (said("switches", "instance orders-1"), "/services"),
    ],
)
def test_headline_leads_to_where_to_look(call: Call, sentence: Any, href: str | None) -> None:
    [found] = call("text/headline.js", "headlines", {"sentences": [sentence]})
    assert (found["tone"], found["text"]) == ("bad", sentence["text"])
    assert (found["action"] and found["action"]["href"]) == href


def test_headline_says_that_the_console_can_not_tell(call: Call) -> None:
    problem = {"message": "it is away"}
    [found] = call("text/headline.js", "headlines", {"sentences": [said("fleet")]}, problem)
    assert found["text"] == "The console can't tell: it is away"
    assert call("text/headline.js", "headlines", None) == []


def test_merge_keeps_what_only_one_has_changed(call: Call) -> None:
    base = {"path": "/a", "priority": 0, "methods": []}
    theirs = {"path": "/a", "priority": 3, "methods": ["GET"]}
    mine = {"path": "/b", "priority": 5, "methods": []}
    found = call("text/merge.js", "compare", "route", base, theirs, mine)
    assert found == {"theirs": ["methods"], "both": ["priority"]}
    merged = call("text/merge.js", "merged", "route", base, theirs, mine)
    assert merged == {"path": "/b", "priority": 5, "methods": ["GET"]}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://shop.example:8443/a/b?c=1#d", ("shop.example:8443", "/a/b?c=1")),
        ("http://u:p@shop.example", ("shop.example", "/")),
        ("/a/../b%2F?x", (None, "/a/../b%2F?x")),
        ("shop.example/a", ("shop.example", "/a")),
        ("//shop.example?x=1", ("shop.example", "/?x=1")),
    ],
)
def test_pasted_urls_are_taken_as_they_are(call: Call, url: str, expected: Any) -> None:
    wanted = {"url": url, "method": "GET", "headers": "X-A: 1\nbad", "route": "", "peer": ""}
    found = call("views/explain.js", "request", wanted)
    assert (found.get("host"), found["path"]) == expected
    assert found["headers"] == {"X-A": "1"}
