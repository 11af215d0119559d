"""docs/metrics.md says what the code does."""

from __future__ import annotations

from math import ceil
from pathlib import Path

from fengling_gateway.control.histogram import SECONDS
from fengling_gateway.dataplane.counters import (
    LATENCY_BOUNDS,
    SIZE_BOUNDS,
)
from fengling_gateway.observability import connection_metrics, places
from fengling_gateway.observability.catalogue import (
    GROUPS,
    PAGE,
    declarations,
    page,
    subsystem,
    type_of,
)
from fengling_gateway.observability.metrics import HISTOGRAMS

TEXT = (Path(__file__).parents[2] / PAGE).read_text()


class DocumentationTests:
    def test_tables_are_as_they_would_be_written_now(self) -> None:
        """python -m fengling_gateway.observability.catalogue"""
        assert page(TEXT) == TEXT

    def test_what_is_written_by_hand_stays(self) -> None:
        """Before the tables and after them."""
        before = TEXT.partition("### ")[0]
        assert page(f"{before}old\n<!-- until here -->\nafter\n").endswith("here -->\nafter\n")
        assert page(TEXT).startswith(before)

    def test_every_metric_is_in_one_group(self) -> None:
        """A subsystem that no group knows would be left out."""
        known = [name for _, names in GROUPS for name in names]
        assert len(set(known)) == len(known)
        assert {subsystem(one) for one in declarations()} == set(known)

    def test_types_are_told_apart(self) -> None:
        """By what each is; of each there is one."""
        kinds = {one.name: type_of(one) for one in declarations()}
        assert kinds["fengling_http_requests_total"] == "counter"
        assert kinds["fengling_config_revision"] == "gauge"
        assert {type_of(one) for one in HISTOGRAMS.values()} == {"histogram"}

    def test_bounds_are_those_that_are_counted_by(self) -> None:
        """Of times there is one list, whoever counts them."""
        assert SECONDS == LATENCY_BOUNDS
        assert f"| times, in seconds | {', '.join(f'{one:g}' for one in SECONDS)} |" in TEXT
        assert f"| sizes, in bytes | {', '.join(f'{one:.0f}' for one in SIZE_BOUNDS)} |" in TEXT

    def test_bounds_of_series_are_those_of_the_code(self) -> None:
        """The default, and how it is shared out."""
        assert f"`[limits] max_metric_pairs` ({places.MAX_PAIRS})" in TEXT
        assert places.PAIRS_PER_SERVICE == 12
        assert f"a twelfth as many ({ceil(places.MAX_PAIRS / 12)})" in TEXT
        assert f"{round(places.MAX_PAIRS * places.SERIES_PER_PAIR):,} of requests" in TEXT
        assert f"{places.MAX_PAIRS // places.PAIRS_PER_ERROR} of errors" in TEXT
        assert f"at most {connection_metrics.MAX_SERVICES} have gauges" in TEXT
