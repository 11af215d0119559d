"""The pure parts of ``scripts/bench slow``: the attacks, what a row holds, what counts as a miss."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import slow
from benchmarks.harness import proc
from benchmarks.harness.load import LoadOutcome

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:1F40 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0100007F:C350 0100007F:1F40 01 00000000:00000000 00:00000000 00000000     0        0 3 1
   3: 0100007F:1F40 0100007F:C351 08 00000000:00000000 00:00000000 00000000     0        0 4 1
"""


def outcome(p99_ms: float, failed: int = 0) -> LoadOutcome:
    return LoadOutcome(1000, 5.0, 0.5, p99_ms, failed)


def row(name: str = "fengling", p99_ms: float = 4.0, failed: int = 0, **given: Any) -> Any:
    quiet, attacked = slow.Watched(8, 50_000_000, 0.1), slow.Watched(1008, 70_000_000, 0.2)
    outcomes = (outcome(1.0, 1), outcome(p99_ms, failed), outcome(3.0))
    return {**slow.row_of(name, "slow heads", outcomes, quiet, attacked), **given}


def test_only_the_listening_side_of_open_connections_counts() -> None:
    """Not who listens, nor the client's side, nor what a client has closed."""
    assert proc.count_established(TCP, 8000) == 1
    assert proc.count_established(TCP, 0xC350) == 1
    assert proc.count_established(TCP, 8001) == 0


def test_attack_is_compared_with_before_and_after() -> None:
    """By the mean of both; good traffic's own connections are not the attack's."""
    made = row()
    assert (made["quiet_p99_ms"], made["p99_ms"], made["p99_ratio"]) == (2.0, 4.0, 2.0)
    assert (made["failed_requests"], made["failed_before_or_after"]) == (0, 1)
    assert made["attack_connections"] == 1000
    assert (made["quiet_mb"], made["mb"]) == (50.0, 70.0)


def test_our_misses_fail_the_run() -> None:
    """A failed request, or more than twice the time; a peer's are shown only."""
    assert slow.verdict([row(), row("nginx", 9.0, failed=3)]) == []
    assert slow.verdict([row(p99_ms=4.1, failed=3)]) == [
        "slow heads: 3 good requests failed",
        "slow heads: p99 is 2.05 times what it was",
    ]


def test_table_has_the_peers_of_an_attack_together() -> None:
    """In the order of the attacks."""
    rows = [
        {**row(name), "attack": attack.name}
        for name in ("fengling", "nginx")
        for attack in slow.ATTACKS
    ]
    lines = slow.format_rows(rows).splitlines()[2:]
    expected = [f"{one.name}, {name}" for one in slow.ATTACKS for name in ("fengling", "nginx")]
    assert [line[: len(start)] for line, start in zip(lines, expected, strict=True)] == expected


def test_attacks_are_kept_up() -> None:
    """All four modes, begun anew when slowhttptest has ended."""
    commands = [attack.command(8000, 1000, 300)[-1] for attack in slow.ATTACKS]
    assert [command.split()[4] for command in commands] == ["-H", "-B", "-R", "-X"]
    assert all(command.startswith("while :; do slowhttptest ") for command in commands)
    assert all("-u http://127.0.0.1:8000/" in command for command in commands)
    assert all("-c 1000 -r 300" in command for command in commands)


def test_quick_run_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    """And beside nginx, unless told otherwise."""
    quick, whole = slow.parse(["--quick"]), slow.parse([])
    assert quick.seconds < whole.seconds
    assert quick.connections < whole.connections
    assert [peer.name for peer in whole.peers] == ["fengling", "nginx"]
    with pytest.raises(SystemExit):
        slow.parse(["--only", "nginks"])
    assert "unknown: nginks" in capsys.readouterr().err
