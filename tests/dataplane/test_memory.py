"""How much memory there is, and how much is used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fengling_gateway.dataplane.memory import (
    ResidentMemory,
    share_of_worker,
    trimmer,
    whole_memory,
)

MIB = 1 << 20
PHYSICAL = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "50000000", "a/memory.max": "60000000"}, 50_000_000),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "60000000"}, 60_000_000),
        ("0::/\n", {"memory.max": "70000000\n"}, 70_000_000),
        # The path is the host's, of which a container sees its own part only.
        ("0::/docker/abc\n", {"memory.max": "70000000"}, 70_000_000),
        (
            "5:cpu:/x\n4:memory:/a\n0::/\n",
            {"memory/a/memory.limit_in_bytes": "80000000", "memory.max": "max"},
            80_000_000,
        ),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, PHYSICAL),
        ("0::/a\n", {"a/memory.max": "nonsense"}, PHYSICAL),
        ("", {}, PHYSICAL),
    ],
)
def test_smallest_limit_around_us_counts(
    tmp_path: Path, own: str, files: dict[str, str], limit: int
) -> None:
    """Of our control group, those around it, and the machine."""
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert whole_memory(tmp_path / "cgroup", tmp_path / "own") == limit


def test_without_control_groups_the_machine_counts(tmp_path: Path) -> None:
    """There need be no such files."""
    assert whole_memory(tmp_path / "none", tmp_path / "none") == PHYSICAL


@pytest.mark.parametrize(
    ("workers", "whole", "share"),
    [
        (1, 1000 * MIB, 1000 * MIB),
        (2, 1000 * MIB, 375 * MIB),
        (4, 8704 * MIB, 2048 * MIB),
        (8, 512 * MIB, 128 * MIB),
        (2, 100 * MIB, 100 * MIB),
        (2, None, None),
    ],
)
def test_workers_and_supervisor_share(workers: int, whole: int | None, share: int | None) -> None:
    """
    The supervisor has a quarter, but no more than 512 MiB; a single worker is in it.

    What a worker can't start with is no share.
    """
    assert share_of_worker(workers, whole) == share


GROWS_AND_SHRINKS = """
from fengling_gateway.dataplane.memory import ResidentMemory, trimmer
resident, trim = ResidentMemory(), trimmer()
assert trim is not None, "nothing"
before = resident()
held = [bytearray(b"x" * 4096) for _ in range(20_000)]
grown = resident()
del held[:-1]
trim()
print(grown - before, resident() - before)
"""


def test_resident_memory_grows_and_is_given_back() -> None:
    """What is freed in the midst of the heap is the system's again after a trim."""
    if trimmer() is None:
        pytest.skip("this C library gives nothing back on demand")
    # In a process of its own: of one that has done much, the heap has room that is free already.
    ran = subprocess.run(
        [sys.executable, "-c", GROWS_AND_SHRINKS], capture_output=True, text=True, check=True
    )
    grown, left = map(int, ran.stdout.split())
    assert grown > 60 * MIB
    assert left < 30 * MIB


def test_where_nobody_knows_it_is_nothing(tmp_path: Path) -> None:
    """Without the file of Linux there is no number."""
    assert ResidentMemory(str(tmp_path / "none"))() is None
    (tmp_path / "odd").write_text("odd")
    odd = ResidentMemory(str(tmp_path / "odd"))
    assert odd() is None
    odd.close()
    assert odd() is None
