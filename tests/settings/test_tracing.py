"""Where spans go, and what goes along."""

from __future__ import annotations

from pathlib import Path

import pytest

from fengling_gateway.settings.otlp import endpoint, parse_headers
from tests.settings.test_settings import load, problems


class TracingSettingsTests:
    def test_nothing_is_traced_by_default(self, tmp_path: Path) -> None:
        """Whoever wants traces says where they go."""
        tracing = load("", tmp_path).tracing
        assert tracing.endpoint is None
        assert tracing.sample_ratio == 0.0
        assert tracing.trust == "all"

    def test_everything_can_come_from_the_environment(self, tmp_path: Path) -> None:
        """Headers, which may be secret, also from a file."""
        (tmp_path / "headers").write_text("authorization=Bearer%20abc, x-org = 7\n")
        settings = load(
            "",
            tmp_path,
            FENGLING_TRACING__ENDPOINT="http://otel:4318",
            FENGLING_TRACING__SAMPLE_RATIO="0.25",
            FENGLING_TRACING__TRUST="trusted_proxies",
            FENGLING_TRACING__HEADERS_FILE=str(tmp_path / "headers"),
            FENGLING_TRACING__REDACT_QUERY="token,sid",
        )
        tracing = settings.tracing
        assert tracing.sample_ratio == 0.25
        assert tracing.trust == "trusted_proxies"
        assert tracing.header_pairs() == [("authorization", "Bearer abc"), ("x-org", "7")]
        assert tracing.redact_query == ["token", "sid"]
        assert tmp_path / "headers" in settings.secret_files

    def test_file_with_headers_in_it_is_one_with_secrets(self, tmp_path: Path) -> None:
        """Somebody looks who else may read it."""
        settings = load('[tracing]\nheaders = "x-key=short"\n', tmp_path)
        assert tmp_path / "gateway.toml" in settings.secret_files
        assert "short" not in repr(settings)

    def test_problems_are_told_together(self, tmp_path: Path) -> None:
        """Each by its key, and nothing of headers is repeated."""
        found = problems(
            """
            [tracing]
            endpoint = "otel:4318"
            sample_ratio = 1.5
            headers = "hunter2"
            timeout = "soon"
            queue_spans = 1
            batch_interval = "2m"
            colour = 1
            """,
            tmp_path,
        )
        assert found["tracing.endpoint"].startswith("must be a URL like http://127.0.0.1:4318")
        assert found["tracing.sample_ratio"] == "must be at most 1.0, not 1.5"
        assert found["tracing.headers"] == (
            "must be name=value,name=value with %2C for a comma, and number 1 is not"
        )
        assert set(found) == {
            *("tracing.endpoint", "tracing.sample_ratio", "tracing.headers", "tracing.timeout"),
            *("tracing.queue_spans", "tracing.batch_interval", "tracing.colour"),
        }

    @pytest.mark.parametrize("ratio", ["nan", "inf", '"much"', "-0.1"])
    def test_ratio_is_a_number_from_0_to_1(self, ratio: str, tmp_path: Path) -> None:
        """And no other."""
        assert "tracing.sample_ratio" in problems(f"[tracing]\nsample_ratio = {ratio}\n", tmp_path)


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("https://otel.example/", "https://otel.example/v1/traces"),
        ("https://otel.example:443/otlp/x?t=1", "https://otel.example:443/otlp/x?t=1"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
    ],
)
def test_endpoint_without_a_path_has_that_of_otlp(given: str, whole: str) -> None:
    """Any other is taken as it is."""
    assert endpoint(given) == whole


@pytest.mark.parametrize(
    "given",
    [
        *("", "otel:4318", "grpc://h:4317", "http://", "http://u:p@h", "http://h:0"),
        *("http://h:99999", "http://h/#x", "http://h h", "http://[::1", "http://é", 7),
    ],
)
def test_endpoint_that_is_none_is_refused(given: object) -> None:
    """Credentials belong into headers."""
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        endpoint(given)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("a=1", [("a", "1")]),
        ("a=1%2C2,,b=x=y ", [("a", "1,2"), ("b", "x=y")]),
    ],
)
def test_headers_are_read_as_opentelemetry_does(text: str, pairs: list[tuple[str, str]]) -> None:
    """As its environment variable has them."""
    assert parse_headers(text) == pairs


@pytest.mark.parametrize("text", ["a", "=1", "a=", "a b=1", "a=1%0D%0Ab:2", "a=é", "Host=x", "a:1"])
def test_headers_that_can_not_be_sent_are_refused(text: str) -> None:
    """Nor those of which the gateway itself says what they are."""
    with pytest.raises(ValueError, match="number 1"):
        parse_headers(text)
