"""Streams cut into lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.lines import Lines, LineTooLongError


def drained(lines: Lines) -> list[bytes]:
    found = []
    while (line := lines.next()) is not None:
        found.append(line)
    return found


class LinesTests(SynchronousTestCase):
    """`Lines`"""

    @given(st.lists(st.binary(max_size=6).map(lambda data: data.replace(b"x", b"\n"))))
    def test_lines_are_the_same_however_they_are_cut(self, portions: list[bytes]) -> None:
        """As if everything had come at once."""
        lines, found = Lines(1000), []
        for one in portions:
            lines.feed(one)
            self.assertEqual(lines.has_more, b"\n" in one)
            found += drained(lines)
            self.assertFalse(lines.has_more)
        *whole, rest = b"".join(portions).split(b"\n")
        self.assertEqual((found, lines.has_rest), (whole, bool(rest)))

    def test_line_may_be_as_long_as_the_limit(self) -> None:
        """And no longer, whether its end has come or not."""
        lines = Lines(4)
        lines.feed(b"1234\n1234")
        self.assertEqual(drained(lines), [b"1234"])
        lines.feed(b"\n12345")
        self.assertTrue(lines.has_more)
        self.assertEqual(lines.next(), b"1234")
        self.assertTrue(lines.has_more)
        self.assertRaises(LineTooLongError, lines.next)
        whole = Lines(4)
        whole.feed(b"12345\n")
        self.assertRaises(LineTooLongError, whole.next)
