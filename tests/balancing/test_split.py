"""Splits between services."""

from __future__ import annotations

from collections import Counter
from random import Random

from fengling_gateway.balancing.split import Split


class SplitTests:
    def test_a_cycle_has_exact_shares(self) -> None:
        """90 and 10 give nine and one of any ten requests."""
        split = Split({"v1": 90, "v2": 10}, Random(3))
        for _ in range(5):
            assert Counter(split.pick() for _ in range(10)) == {"v1": 9, "v2": 1}

    def test_service_with_weight_0_gets_nothing(self) -> None:
        """A service can be named in a split and get no request."""
        split = Split({"v1": 1, "v2": 0}, Random(3))
        assert {split.pick() for _ in range(10)} == {"v1"}

    def test_weights_all_0_share_evenly(self) -> None:
        """Requests must go somewhere: nobody is preferred."""
        split = Split({"v1": 0, "v2": 0}, Random(3))
        assert Counter(split.pick() for _ in range(10)) == {"v1": 5, "v2": 5}

    def test_weights_are_compared_whatever_their_order(self) -> None:
        """A split serves equal weights, whichever is named first."""
        split = Split({"v1": 90, "v2": 10}, Random(3))
        assert split.has_weights({"v2": 10, "v1": 90})
        assert not split.has_weights({"v1": 50, "v2": 50})
        assert repr(split) == "<Split v1=90 v2=10>"
