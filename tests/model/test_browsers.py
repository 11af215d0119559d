"""The policies cors, security_headers and access: what is taken, and as what."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.model.access import access
from fengling_gateway.model.browsers import cors, security_headers
from fengling_gateway.model.problems import Report


def judged(check: Any, value: Any) -> tuple[Any, list[tuple[str, str]]]:
    report = Report()
    checked = check(value, report)
    return checked, [(path, code) for path, code, _ in report.found]


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://app.example", "https://app.example"),
        ("HTTPS://App.Example:443", "https://app.example"),
        ("http://app.example:8080", "http://app.example:8080"),
        ("https://*.app.example", "https://*.app.example"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("app://desktop", "app://desktop"),
        ("*", "*"),
        ("null", "null"),
    ],
)
def test_origin_is_kept_as_browsers_say_it(given: str, origin: str) -> None:
    """RFC 6454, section 6.2: else it would equal none."""
    policy, problems = judged(cors, {"origins": [given]})
    assert (policy["origins"], problems) == ([origin], [])


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example/",
        "https://app.example/path",
        "https://u@app.example",
        "app.example",
        "https://",
        "https://*",
        "https://*.*.example",
        "https://a.*.example",
        "https://*.127.0.0.1",
        "https://*.[::1]",
        "https://a b",
        "https://a\n",
        "https://" + "a" * 300,
        "",
        7,
        None,
    ],
)
def test_what_is_no_origin_is_refused(origin: Any) -> None:
    assert judged(cors, {"origins": [origin]})[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("origins", ["*"]),
        ("origins", ["https://a.example", "null"]),
        ("methods", ["*"]),
        ("headers", ["*"]),
        ("expose", ["*"]),
    ],
)
def test_credentials_are_for_pages_that_are_named(name: str, value: list[str]) -> None:
    """Any page would else ask in its user's name; one in a frame without an origin, too."""
    policy = {"origins": ["https://a.example"], name: value}
    assert judged(cors, policy)[1] == []
    assert judged(cors, {**policy, "credentials": True})[1] == [(name, "conflict")]


def test_somebody_has_to_be_named() -> None:
    """A policy that lets nobody in, or everybody, is null."""
    assert judged(cors, {"origins": []})[1] == [("origins", "empty")]
    assert judged(access, {})[1] == [("", "empty")]


def test_header_is_changed_once() -> None:
    """Whatever the case it is written in."""
    twice = {"headers": {"X-Frame-Options": "DENY", "x-frame-options": None}}
    assert judged(security_headers, twice)[1]
    assert judged(security_headers, {"headers": {"Connection": "close"}})[1]
    assert judged(security_headers, {"preset": "strict"})[1] == [("preset", "not_allowed")]


@pytest.mark.parametrize(
    "network", ["10.0.0.1/8", "10.0.0.0/33", "example.com", "fe80::1%eth0", 10]
)
def test_what_is_no_network_is_refused(network: Any) -> None:
    for name in ("allow", "deny"):
        assert judged(access, {name: [network]})[1]
    assert judged(access, {"allow": ["10.0.0.1"], "deny": ["::/0"]})[1] == []
