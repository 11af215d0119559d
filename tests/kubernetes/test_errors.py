"""What an API server refuses, in words."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.errors import ApiError, of_answer, of_status

STATUS: dict[str, Any] = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": 'services is forbidden: User "x" cannot list resource "services"',
    "reason": "Forbidden",
    "code": 403,
}


class ErrorTests(SynchronousTestCase):
    """`of_answer` and `of_status`"""

    def test_status_says_what_is_refused_and_we_say_what_to_do(self) -> None:
        """With the place where it is described."""
        error = of_answer(403, json.dumps(STATUS).encode(), None)
        self.assertEqual((error.status, error.reason), (403, "Forbidden"))
        self.assertEqual(
            str(error),
            '403: services is forbidden: User "x" cannot list resource "services": '
            "the console's ServiceAccount has not this right (docs/kubernetes.md, settings and rights)",
        )
        self.assertIn("needs watch of x (docs", error.needing("watch of x"))

    def test_other_answers_are_shown_in_a_line(self) -> None:
        """Whatever comes from a proxy in between."""
        cases = {
            b"404 page not found\n": "404: 404 page not found",
            b"<html>\r\n<b>Bad\x1b[31m Gateway</b>": "404: <html> <b>Bad [31m Gateway</b>",
            b"": "404: it does not say why",
            b"[1]": "404: [1]",
            b"\xff": "404: �",
        }
        for content, words in cases.items():
            self.assertEqual(str(of_answer(404, content, None)), words)
        self.assertEqual(len(of_answer(500, b"x" * 5000, None).message), 501)

    def test_failures_without_an_answer_are_just_told(self) -> None:
        """There is no status."""
        error = ApiError(0, "Unreachable", "it can't be connected to")
        self.assertEqual(str(error), "it can't be connected to")
        self.assertEqual(error.needing("list"), "it can't be connected to")

    def test_refused_token_is_told(self) -> None:
        """The API's own word for it is the same as its reason."""
        error = of_answer(401, b'{"message": "Unauthorized", "reason": "Unauthorized"}', None)
        self.assertIn("the token of the console's ServiceAccount is not accepted", str(error))

    def test_server_says_when_to_come_back(self) -> None:
        """In a header, or in the status; what makes no sense says nothing."""
        cases = {
            "7": 7.0,
            "86400": 300.0,
            "0": None,
            "-1": None,
            "soon": None,
            "٣": None,
            None: None,
        }
        for said, seconds in cases.items():
            self.assertEqual(of_answer(429, b"{}", said).retry_after, seconds)
        self.assertEqual(of_status({"details": {"retryAfterSeconds": 3}}).retry_after, 3.0)

    def test_events_have_their_status_in_them(self) -> None:
        """Or none, which is an error of the server."""
        self.assertEqual(of_status({"code": 410}).status, 410)
        self.assertEqual(of_status({"code": "410"}).status, 500)

    @given(st.integers(100, 599), st.binary(), st.none() | st.text())
    def test_every_answer_can_be_told(self, status: int, content: bytes, after: str | None) -> None:
        """Whatever it is."""
        words = str(of_answer(status, content, after))
        self.assertTrue(words.isprintable())

    @given(
        st.dictionaries(
            st.sampled_from((*STATUS, "details")),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(),
                lambda one: st.lists(one) | st.dictionaries(st.just("retryAfterSeconds"), one),
            ),
        )
    )
    def test_every_status_can_be_told(self, said: dict[str, Any]) -> None:
        """Even one that the API would never send."""
        self.assertTrue(str(of_status(said)).isprintable())
