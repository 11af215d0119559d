"""``fenglingctl pin``, ``freeze`` and ``unpin``."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.stub_gateway import StubGateway

POSITION = {"epoch": "e", "revision": 7}
PINNED = {"pinned": {"message": "pinned at 7"}, "position": POSITION, "problem": None}
UNPINNED = {"pinned": None, "position": POSITION, "problem": None}


@pytest.mark.parametrize(
    ("words", "path", "body", "said"),
    [
        (("pin", "7", "-m", "it burns"), "pin", {"comment": "it burns", "revision": 7}, "pinned"),
        (("pin", "--here"), "pin", {"comment": ""}, "pinned at 7"),
        (("freeze",), "pin", {"comment": ""}, "pinned at 7"),
        (("unpin",), "unpin", {}, "not pinned: serves 7"),
    ],
)
def test_gateway_is_asked(
    run: Run,
    gateway: StubGateway,
    words: tuple[str, ...],
    path: str,
    body: dict[str, Any],
    said: str,
) -> None:
    gateway.answers["POST", path] = 200, UNPINNED if path == "unpin" else PINNED
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    assert said in result.stdout
    assert gateway.asked == [("POST", f"/api/gateway/{path}", body)]


@pytest.mark.parametrize("words", [("pin", "7"), ("freeze",), ("unpin",)])
def test_all_that_are_not_told_is_a_no(
    run: Run, gateway: StubGateway, words: tuple[str, ...]
) -> None:
    """A script must not take it for done everywhere."""
    reason = {"complete": False, "reason": "only this node is told: Redis is away"}
    gateway.answers["POST", words[0].replace("freeze", "pin")] = 200, PINNED | reason
    result = run(*words, "--all")
    assert result.exit_code == 1
    assert "only this node is told" in result.stderr
    assert gateway.asked[0][2]["all"] is True


@pytest.mark.parametrize("words", [(), ("7", "--here")])
def test_pin_wants_one_of_two(run: Run, gateway: StubGateway, words: tuple[str, ...]) -> None:
    result = run("pin", *words)
    assert result.exit_code == 2
    assert "name a REVISION, or --here" in result.stderr
    assert gateway.asked == []
