"""Whatever happens in whatever order: every exchange ends once, and nothing is left."""

from __future__ import annotations

import pytest

from tests.dataplane.interleaving import World

MANY = 50_000
FEW = 300


@pytest.mark.parametrize("block", range(4))
def test_random_orders_of_events_leave_nothing(block: int) -> None:
    """Pauses, early answers, ends and resets of either side, retries, tunnels, drains, at any time."""
    for seed in range(block * FEW, (block + 1) * FEW):
        _run(seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(10))
def test_fifty_thousand_random_orders_of_events_leave_nothing(block: int) -> None:
    """The same, with orders that come up once in ten thousand."""
    for seed in range(block * MANY // 10, (block + 1) * MANY // 10):
        _run(seed + 1_000_000)


def _run(seed: int) -> None:
    try:
        World(seed).run()
    except BaseException as error:
        error.add_note(f"with the seed {seed}")
        raise
