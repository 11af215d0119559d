"""What the other nodes say of themselves, read by one that waits for them or asks them."""

from __future__ import annotations

from typing import Any

from fengling_gateway import __version__
from fengling_gateway.model.delta import Position

States = dict[str, dict[str, Any]]
"""By node, as `fengling_gateway.supervisor.telling` makes them; ``live`` if seen of late."""


def holding(states: States, revision: int, own: str) -> list[str]:
    """Return the other live nodes that hold a revision."""
    return [
        name
        for name, state in sorted(states.items())
        if name != own and state.get("live") and state.get("held") == revision
    ]


def held_positions(states: States, revision: int, *own: Position | None) -> list[Position]:
    """
    Return what to confirm in order that every node releases a revision that it holds for itself.

    Args:
        own: where this node is, and what it holds. A node that has not told yet
            what it holds may hold that number of the same epoch.
    """
    found = {one for one in own if one is not None and one.revision == revision}
    for state in states.values():
        told = state.get("held_position") if state.get("live") else None
        if told is not None and told["revision"] == revision:
            found.add(Position(**told))
    epochs = {one.epoch for one in own if one is not None} - {one.epoch for one in found}
    return sorted({*found, *(Position(epoch, revision, "") for epoch in epochs)})


def behind(states: States, position: Position, content_hash: str, own: str) -> list[str]:
    """
    Return the workers of other live nodes that serve neither the position nor a later one.

    Those of `pinned` nodes are not among them: they are told not to.
    """
    found = []
    for name, state in sorted(states.items()):
        if name == own or not state.get("live") or state.get("pinned"):
            continue
        # Another version may write canonical bodies in another way: it is held to its own.
        same = state.get("version") == __version__
        wanted = content_hash if same else state.get("content_hash")
        for worker in state["workers"]:
            counted = worker["state"] in ("serving", "starting", "stalled")
            if counted and not _serves(worker, position, wanted):
                found.append(f"{name}/{worker['worker']}")
    return found


def pinned(states: States) -> list[str]:
    """Return the live nodes that somebody has pinned."""
    return [
        name for name, state in sorted(states.items()) if state.get("live") and state.get("pinned")
    ]


def _serves(worker: dict[str, Any], position: Position, content_hash: str | None) -> bool:
    if worker["epoch"] != position.epoch or worker["revision"] is None:
        return False
    if worker["revision"] == position.revision:
        return bool(worker["content_hash"] == content_hash)
    return bool(worker["revision"] > position.revision)
