"""The problems of the management API, and their documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fengling_gateway.access.problems import TITLES
from tests.management.fake_gateway import FakeGateway, json_of, resource
from tests.management.raw_http import ask_raw

_DOCUMENT = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
_ROWS = re.findall(r"^\| `(\w+)` \| (\d+) \|", _DOCUMENT, re.MULTILINE)


def test_every_problem_is_documented_with_its_status() -> None:
    """And no other."""
    assert sorted(_ROWS) == sorted((code, str(status)) for code, (status, _) in TITLES.items())


def answered(*headers: bytes, target: bytes = b"/api/gateway/status") -> tuple[str, str]:
    """Return the id in the header of an answer, and the one in its problem document."""
    answer = ask_raw(resource(FakeGateway()), target, headers=headers)
    return answer.headers[b"x-request-id"].decode(), json_of(answer.body).get("request_id")


def test_every_problem_carries_the_id_of_its_request() -> None:
    """The caller's own, so that it is found in both logs."""
    assert answered(b"X-Request-Id: 0af7-65.16") == ("0af7-65.16", "0af7-65.16")


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (b"X-Request-Id: ",),
        (b"X-Request-Id: a b",),
        (b'X-Request-Id: a"b',),
        (b"X-Request-Id: \xff",),
        (b"X-Request-Id: " + b"a" * 129,),
        (b"X-Request-Id: a", b"X-Request-Id: b"),
    ],
)
def test_a_request_without_an_id_that_can_be_one_gets_ours(headers: tuple[bytes, ...]) -> None:
    """What stands in a log line must be no text of strangers; and no two are alike."""
    in_header, in_problem = answered(*headers)
    assert re.fullmatch("[0-9a-f]{16}", in_header)
    assert in_problem == in_header != answered(*headers)[0]


def test_an_answer_without_a_problem_carries_an_id_too() -> None:
    """Which log lines to look for is asked of successes as well."""
    assert answered(b"X-Request-Id: probe", target=b"/livez") == ("probe", None)
