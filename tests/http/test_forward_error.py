"""The enum of failures, and its documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fengling_gateway.http.forward_error import ForwardError, Retry, Side
from fengling_gateway.http.problem import REASONS, problem_body

DOCUMENT = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
SECTIONS = dict(re.findall(r"^### (\w+)\n(.+)$", DOCUMENT, re.MULTILINE))


def test_every_failure_is_documented_and_nothing_else() -> None:
    """The document names exactly the members."""
    assert set(SECTIONS) == {error.code for error in ForwardError}


@pytest.mark.parametrize("error", ForwardError, ids=lambda error: error.code)
def test_documentation_says_what_the_enum_says(error: ForwardError) -> None:
    """Status, blame and rule for another attempt are documented as they are."""
    text = SECTIONS[error.code]
    assert text.startswith(str(error.status))
    assert ("blames the instance" in text) is error.blames_instance
    for rule, words in [
        (Retry.OTHER_INSTANCE, "other instance"),
        (Retry.FRESH_CONNECTION, "fresh connection"),
    ]:
        assert (words in text) is (error.retry is rule)


@pytest.mark.parametrize("error", ForwardError, ids=lambda error: error.code)
def test_failure_makes_sense(error: ForwardError) -> None:
    """Its status has a reason, fits whose doing it is, and its problem is one."""
    assert error.status == 499 or error.status in REASONS
    assert (error.side is Side.UPSTREAM) is error.blames_instance
    if error.side is Side.DOWNSTREAM:
        assert error.status < 500 or error is ForwardError.METHOD_UNKNOWN
    document = json.loads(problem_body(error, b"id"))
    assert document["code"] == error.code
    assert document["title"] == error.title
    assert document["request_id"] == "id"
