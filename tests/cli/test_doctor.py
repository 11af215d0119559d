"""``fenglingctl doctor`` and ``support-bundle``, where a gateway can't be asked, or need not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run, document
from tests.cli.stub_gateway import StubGateway


@pytest.mark.parametrize(
    ("token", "answer", "said", "cure"),
    [
        ("", (200, {}), "no token", "fenglingctl token create"),
        ("a b", (200, {}), "characters that no token has", "--token-file"),
        ("abc", (200, b"<html>"), "not as a management API does", "--management"),
        ("abc", (401, {"code": "unauthorized"}), "does not accept", "fenglingctl token create"),
        ("abc", (500, {"code": "failed", "title": "It failed"}), "It failed", "its log"),
        ("abc", (0, {}), "no gateway answers", "--management"),
    ],
)
def test_gateway_that_can_not_be_asked_is_a_finding_among_others(
    run: Run,
    gateway: StubGateway,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    answer: tuple[int, object],
    said: str,
    cure: str,
) -> None:
    """Whoever has no token at hand is told of the rest: here of this host."""
    monkeypatch.setenv("FENGLING_TOKEN", token)
    gateway.answers["GET", "status"] = answer
    result = run("doctor", "-o", "json")
    assert result.exit_code == 1, result.stderr
    found = {one["about"]: one for one in document(result)["findings"]}
    assert found.keys() == {"gateway.reach", "host.descriptors"}
    assert said in found["gateway.reach"]["said"]
    assert cure in found["gateway.reach"]["cure"]


def test_bundle_asks_nobody_where_its_file_is_there(
    run: Run, gateway: StubGateway, tmp_path: Path
) -> None:
    """It may take a minute to gather what is then thrown away."""
    file = tmp_path / "help.tar.gz"
    file.write_text("mine")
    result = run("support-bundle", str(file))
    assert result.exit_code == 2
    assert "is there already" in result.stderr
    assert gateway.asked == []


@pytest.mark.parametrize("command", ["doctor", "support-bundle"])
def test_help_says_that_no_gateway_is_asked_unless_it_is_named(run: Run, command: str) -> None:
    """Other commands ask the one on this host."""
    said = " ".join(run(command, "--help").stdout.split())
    assert "without them no gateway is asked" in said
