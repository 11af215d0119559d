"""How often something took how long."""

from __future__ import annotations

from fengling_gateway.control.histogram import SECONDS, Histogram


class HistogramTests:
    def test_each_time_is_in_the_bucket_of_its_bound(self) -> None:
        """The bound included; what is beyond all bounds is in the last one."""
        histogram = Histogram((1.0, 2.0))
        for seconds in (0.5, 1.0, 1.5, 2.5, 3.0):
            histogram.add(seconds)
        assert histogram.to_json() == {"bounds": [1.0, 2.0], "values": [2, 1, 2, 8.5]}
        assert repr(histogram) == "<Histogram of 5>"

    def test_bounds_are_those_of_durations(self) -> None:
        """From a millisecond to a minute."""
        found = Histogram().to_json()
        assert (SECONDS[0], SECONDS[-1]) == (0.001, 60.0)
        assert found["bounds"] == sorted(SECONDS)
        assert len(found["values"]) == len(SECONDS) + 2
