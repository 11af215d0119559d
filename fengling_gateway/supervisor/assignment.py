"""Which worker accepts connections from which slot's sockets. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def assign(slots: int, serving: Iterable[int]) -> dict[int, frozenset[int]]:
    """
    Spread all slots over the workers that serve.

    Each worker reads its own slot; the slots of those that don't serve are
    dealt out one by one, beginning behind the missing worker, so that several
    missing ones don't burden one sibling.

    Args:
        slots: how many there are.
        serving: the slots whose own worker serves.

    Returns:
        For each serving slot, the slots that its worker reads.
    """
    own = sorted({slot for slot in serving if slot < slots})
    reads = {slot: {slot} for slot in own}
    if own:
        uncovered = [slot for slot in range(slots) if slot not in reads]
        for turn, slot in enumerate(uncovered):
            after = next((i for i, one in enumerate(own) if one > slot), 0)
            reads[own[(after + turn) % len(own)]].add(slot)
    return {slot: frozenset(read) for slot, read in reads.items()}
