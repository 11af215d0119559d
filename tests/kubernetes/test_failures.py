"""What follows from failures; versions."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.errors import ApiError
from fengling_gateway.kubernetes.failures import Failures, Verdict
from fengling_gateway.kubernetes.versions import is_older
from tests.kubernetes.scripted import Certain

BROKEN = ApiError(0, "Broken", "it broke")


class FailuresTests(SynchronousTestCase):
    """`Failures`"""

    def test_each_status_has_its_consequence(self) -> None:
        """The first time."""
        cases = {
            0: Verdict("waiting", 0.2, False, False),
            400: Verdict("waiting", 0.2, False, True),
            401: Verdict("waiting", 0.2, False, True),
            403: Verdict("forbidden", 30.0, False, True),
            404: Verdict("absent", 60.0, True, True),
            410: Verdict("waiting", 0.0, True, False),
            429: Verdict("waiting", 0.2, False, False),
            500: Verdict("waiting", 0.2, False, False),
        }
        for status, verdict in cases.items():
            found = Failures(Certain()).judge(ApiError(status, "", "why"))
            self.assertEqual(found, verdict, status)

    def test_failures_are_warned_of_when_they_stay(self) -> None:
        """The third in a row is, and a success begins the row anew."""
        failures = Failures(Certain())
        warned = [failures.judge(BROKEN).is_warned_of for _ in range(4)]
        failures.reset()
        self.assertEqual(warned, [False, False, True, True])
        self.assertEqual(failures.judge(BROKEN), Verdict("waiting", 0.2, False, False))

    @given(st.integers(), st.integers(0, 100), st.none() | st.floats(1, 300))
    def test_waits_are_bounded(self, seed: int, before: int, asked: float | None) -> None:
        """From below by what the server asks for, from above by that and half a minute."""
        failures = Failures(Random(seed))
        for _ in range(before):
            failures.judge(BROKEN)
        seconds = failures.judge(ApiError(503, "", "", asked)).seconds
        self.assertGreaterEqual(seconds, max(0.1, asked or 0))
        self.assertLessEqual(seconds, max(30.0, (asked or 0) * 1.1))


class VersionTests(SynchronousTestCase):
    """`is_older`"""

    def test_numbers_are_compared_and_nothing_else(self) -> None:
        """By their size, not as texts."""
        older = (("9", "10"), ("1", "18446744073709551616"))
        others = (
            ("10", "9"),
            ("9", "9"),
            ("", "9"),
            ("9", ""),
            ("a", "b"),
            ("-1", "9"),
            ("٣", "9"),
        )
        self.assertTrue(all(is_older(*pair) for pair in older))
        self.assertFalse(any(is_older(*pair) for pair in others))
