"""The policies rate_limit and concurrency: what is taken, and as what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.model.limits import KEYS, concurrency, parse_rate, rate_limit
from fengling_gateway.model.policies import policies
from fengling_gateway.model.problems import Report

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()


def judged(check: Any, value: Any) -> tuple[Any, list[tuple[str, str]]]:
    report = Report()
    checked = check(value, report)
    return checked, [(path, code) for path, code, _ in report.found]


def accepted(check: Any, value: Any) -> Any:
    checked, problems = judged(check, value)
    assert problems == []
    return checked


class RateLimitTests:
    def test_one_limit_is_a_list_with_all_that_holds(self) -> None:
        """Equal configuration has equal bytes."""
        whole = {
            "rate": "100/s",
            "burst": 100,
            "algorithm": "token_bucket",
            "key": "client_ip",
            "where": "local",
            "on_redis_failure": "local",
            "headers": True,
        }
        assert accepted(rate_limit, {"rate": "100/s"}) == [whole]
        assert accepted(rate_limit, [{"rate": "100/1s"}]) == [whole]
        assert accepted(rate_limit, [whole]) == [whole]

    @pytest.mark.parametrize(
        ("given", "kept", "parsed"),
        [
            ("5/10s", "5/10s", (5, 10)),
            ("600/60s", "600/m", (600, 60)),
            ("600/120m", "600/2h", (600, 7200)),
            ("1/24h", "1/d", (1, 86400)),
            ("007/s", "7/s", (7, 1)),
        ],
    )
    def test_a_rate_has_one_spelling(self, given: str, kept: str, parsed: Any) -> None:
        """The shortest one."""
        assert accepted(rate_limit, {"rate": given})[0]["rate"] == kept
        assert parse_rate(kept) == parsed

    def test_a_window_has_no_burst(self) -> None:
        """Its rate may come at once."""
        window = {"rate": "100/s", "algorithm": "sliding_window"}
        assert accepted(rate_limit, window)[0]["burst"] is None
        assert judged(rate_limit, {**window, "burst": 5})[1] == [("burst", "conflict")]

    def test_a_header_has_no_case(self) -> None:
        """As in requests."""
        assert accepted(rate_limit, {"rate": "1/s", "key": "header:X-App"})[0]["key"] == (
            "header:x-app"
        )

    @pytest.mark.parametrize(
        ("value", "problems"),
        [
            ({}, [("rate", "required")]),
            ({"rate": 100}, [("rate", "wrong_type")]),
            ({"rate": "100"}, [("rate", "bad_rate")]),
            ({"rate": "100/w"}, [("rate", "bad_rate")]),
            ({"rate": "1.5/s"}, [("rate", "bad_rate")]),
            ({"rate": "-1/s"}, [("rate", "bad_rate")]),
            ({"rate": "٣/s"}, [("rate", "bad_rate")]),
            ({"rate": "0/s"}, [("rate", "out_of_range")]),
            ({"rate": "1/0s"}, [("rate", "out_of_range")]),
            ({"rate": "1/2d"}, [("rate", "out_of_range")]),
            ({"rate": "1000001/s"}, [("rate", "out_of_range")]),
            ({"rate": "1/s", "burst": 0}, [("burst", "out_of_range")]),
            ({"rate": "1/s", "key": "ip"}, [("key", "not_allowed")]),
            ({"rate": "1/s", "key": "header:"}, [("key", "bad_header_name")]),
            ({"rate": "1/s", "key": "header:a b"}, [("key", "bad_header_name")]),
            ({"rate": "1/s", "key": ["ip"]}, [("key", "wrong_type")]),
            ({"rate": "1/s", "on_redis_failure": "deny"}, [("on_redis_failure", "conflict")]),
            ([], [("", "empty")]),
            ([{"rate": "1/s"}] * 6, [("", "too_long")]),
            ([{"rate": "1/s"}, {"rate": ""}], [("[1].rate", "bad_rate")]),
            ("100/s", [("", "wrong_type")]),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, value: Any, problems: Any) -> None:
        """By what is wrong with it, and where."""
        assert judged(rate_limit, value)[1] == problems

    @given(st.integers(1, 1000), st.integers(1, 86400))
    def test_what_was_accepted_is_accepted_as_it_is(self, count: int, seconds: int) -> None:
        """And means the same."""
        once = accepted(rate_limit, {"rate": f"{count}/{seconds}s"})
        assert accepted(rate_limit, once) == once
        assert parse_rate(once[0]["rate"]) == (count, seconds)


class ConcurrencyTests:
    def test_a_limit_has_a_key(self) -> None:
        """The address unless another is named."""
        assert accepted(concurrency, {"limit": 5}) == {"limit": 5, "key": "client_ip"}
        assert accepted(concurrency, {"limit": 5, "key": "all"}) == {"limit": 5, "key": "all"}

    @pytest.mark.parametrize("limit", [0, -1, 1.5, True, "5", 1_000_001])
    def test_it_is_a_number_of_requests(self, limit: Any) -> None:
        """At least one: for none there are other means."""
        assert [path for path, _ in judged(concurrency, {"limit": limit})[1]] == ["limit"]


class DocumentationTests:
    def test_examples_are_accepted(self) -> None:
        """What one copies from a page should work."""
        blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
        assert len(blocks) == 2
        for block in blocks:
            report = Report()
            policies(yaml.safe_load(block)["policies"], report)
            assert report.found == []

    def test_every_term_is_explained(self) -> None:
        """In its table, with its default; so is every key."""
        (whole,) = accepted(rate_limit, {"rate": "1/s"})
        for name, default in whole.items():
            shown = {"rate": "", "burst": "the rate's number", "headers": "true"}.get(name, default)
            assert f"| `{name}` | {shown} |".replace("  ", " ") in PAGE
        for name in KEYS:
            assert f"| `{name}` | " in PAGE
