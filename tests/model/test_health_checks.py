"""What a service's health check may say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.model.entity import Key
from fengling_gateway.model.health_checks import health_check
from fengling_gateway.model.problems import Report
from fengling_gateway.model.validation import Accepted, Rejected, validate

PACE: dict[str, Any] = {
    "interval": 5.0,
    "timeout": 2.0,
    "rise": 2,
    "fall": 3,
    "jitter": 0.2,
    "unhealthy_interval": None,
    "idle_interval": None,
}


def canonical(check: Any) -> Any:
    verdict = validate(Key("service", "s"), {"health_check": check})
    assert isinstance(verdict, Accepted), verdict
    return json.loads(verdict.body)["health_check"]


def problems(check: Any) -> list[tuple[str, str]]:
    verdict = validate(Key("service", "s"), {"health_check": check})
    assert isinstance(verdict, Rejected), verdict
    prefix = "service s: health_check"
    return [(one.path.removeprefix(prefix).strip("."), one.code) for one in verdict.problems]


class HealthCheckTests:
    def test_empty_one_has_all_defaults(self) -> None:
        """`{}` switches probing on: GET / every five seconds."""
        assert canonical({}) == {
            "type": "http",
            "path": "/",
            "method": "GET",
            "host": None,
            "headers": {},
            "expected": ["200-399"],
            "body": None,
            **PACE,
        }

    def test_tcp_has_no_more_than_a_pace(self) -> None:
        """What there is to ask by HTTP is no part of it."""
        assert canonical({"type": "tcp", "interval": "1s", "timeout": "500ms"}) == {
            "type": "tcp",
            **PACE,
            "interval": 1.0,
            "timeout": 0.5,
        }

    def test_null_is_off(self) -> None:
        """As it is where nothing is said."""
        assert canonical(None) is None

    def test_timeout_is_no_longer_than_a_short_interval(self) -> None:
        """Who wants to know each second need not think of the timeout."""
        assert canonical({"interval": "1s"})["timeout"] == 1.0

    def test_values_have_one_spelling(self) -> None:
        """Hosts, durations and statuses."""
        found = canonical(
            {
                "host": "Shop.Example:0443",
                "interval": "PT10S",
                "unhealthy_interval": "1m",
                "headers": {"X-Probe": " yes "},
                "expected": [204, "200", "201-203", "302-303", 302],
            }
        )
        assert found["host"] == "shop.example:443"
        assert (found["interval"], found["unhealthy_interval"]) == (10.0, 60.0)
        assert found["headers"] == {"X-Probe": "yes"}
        assert found["expected"] == ["200-204", "302-303"]

    @pytest.mark.parametrize(
        ("check", "found"),
        [
            ([], [("", "wrong_type")]),
            ({"type": "grpc"}, [("type", "not_allowed")]),
            ({"typ": "tcp"}, [("typ", "unknown_field")]),
            ({"type": "tcp", "path": "/", "bdy": 1}, [
                ("bdy", "unknown_field"), ("path", "conflict"),
            ]),
            ({"path": "health"}, [("path", "bad_path")]),
            ({"path": "/a b"}, [("path", "bad_path")]),
            ({"path": "/a\r\nX: y"}, [("path", "bad_path")]),
            ({"path": "/é"}, [("path", "bad_path")]),
            ({"path": 5}, [("path", "wrong_type")]),
            ({"method": "POST"}, [("method", "not_allowed")]),
            ({"host": "a b"}, [("host", "bad_host")]),
            ({"host": 5}, [("host", "wrong_type")]),
            ({"headers": {"Host": "a"}}, [("headers.Host", "protected_header")]),
            ({"headers": {"a b": "a"}}, [('headers."a b"', "bad_header_name")]),
            ({"headers": {"A": "a\nb"}}, [("headers.A", "bad_header_value")]),
            ({"headers": {"A": "1", "a": "2"}}, [("headers", "duplicate")]),
            ({"headers": []}, [("headers", "wrong_type")]),
            ({"expected": []}, [("expected", "empty")]),
            ({"expected": 200}, [("expected", "wrong_type")]),
            ({"expected": [100, "200-", "399-200", True, 600, -1, "2xx"]}, [
                ("expected[0]", "not_allowed"), ("expected[1]", "not_allowed"),
                ("expected[2]", "out_of_range"), ("expected[3]", "wrong_type"),
                ("expected[4]", "not_allowed"), ("expected[5]", "wrong_type"),
                ("expected[6]", "not_allowed"),
            ]),
            ({"body": ""}, [("body", "empty")]),
            ({"body": "x" * 1001}, [("body", "too_long")]),
            ({"body": "a\0"}, [("body", "bad_text")]),
            ({"body": "ok", "method": "HEAD"}, [("body", "conflict")]),
            ({"interval": "0s"}, [("interval", "out_of_range")]),
            ({"interval": "soon"}, [("interval", "bad_duration")]),
            ({"interval": "1s", "timeout": "1.5s"}, [("timeout", "conflict")]),
            ({"idle_interval": "1s"}, [("idle_interval", "conflict")]),
            ({"rise": 0, "fall": 101}, [("rise", "out_of_range"), ("fall", "out_of_range")]),
            ({"jitter": 0.6}, [("jitter", "out_of_range")]),
            ({"jitter": "20%"}, [("jitter", "wrong_type")]),
        ],
    )  # fmt: skip
    def test_mistakes_are_named(self, check: Any, found: list[tuple[str, str]]) -> None:
        """All of them at once, each where it is."""
        assert problems(check) == found

    @given(st.lists(st.tuples(st.integers(200, 599), st.integers(0, 99)), min_size=1, max_size=20))
    def test_statuses_mean_what_was_written(self, ranges: list[tuple[int, int]]) -> None:
        """However they overlap; and what is canonical is canonical."""
        entries = [f"{low}-{min(low + more, 599)}" for low, more in ranges]
        expected = canonical({"expected": entries})["expected"]
        assert statuses(expected) == statuses(entries)
        assert canonical({"expected": expected})["expected"] == expected

    @given(st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "path", "interval", "expected", "headers"]), inner),
    ))  # fmt: skip
    def test_anything_is_judged(self, value: Any) -> None:
        """Nothing is raised."""
        health_check(value, Report())


def statuses(entries: list[str]) -> set[int]:
    found: set[int] = set()
    for entry in entries:
        low, _, high = entry.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return found
