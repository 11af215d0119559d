"""Which worker accepts connections from which slot's sockets. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def assign(slots: int, serving: Iterable[int]) -> dict[int, frozenset[int]]:
    """
    Spread all slots over the workers that serve.

    Each worker reads its own slot; the slot of one that doesn't serve goes to
    the sibling that reads the fewest, the next one behind it among equals.

    Args:
        slots: how many there are.
        serving: the slots whose own worker serves.

    Returns:
        For each serving slot, the slots that its worker reads.
    """
    own = sorted({slot for slot in serving if slot < slots})
    reads = {slot: {slot} for slot in own}
    if own:
        for missing in [slot for slot in range(slots) if slot not in reads]:
            behind = sorted(own, key=lambda one: (one - missing) % slots)
            reads[min(behind, key=lambda one: len(reads[one]))].add(missing)
    return {slot: frozenset(read) for slot, read in reads.items()}
