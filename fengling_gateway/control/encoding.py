"""What positions and deltas look like on a control channel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fengling_gateway.control.frames import Message, encode_frame
from fengling_gateway.model.delta import Delta, Position, encode_changes


def position_to_json(position: Position | None) -> list[Any] | None:
    return None if position is None else list(position)


def position_from_json(value: list[Any] | None) -> Position | None:
    return None if value is None else Position(*value)


def delta_frames(delta: Delta) -> Iterator[bytes]:
    """Yield the frames of one delta: its head, its parts, its end."""
    head = {
        "before": position_to_json(delta.before),
        "after": position_to_json(delta.after),
        "hash_before": f"{delta.hash_before:032x}",
        "hash_after": f"{delta.hash_after:032x}",
        "committed_at": delta.committed_at,
    }
    yield encode_frame(Message.DELTA, json.dumps(head).encode())
    for part in encode_changes(delta.changes):
        yield encode_frame(Message.CHANGES, part)
    yield encode_frame(Message.DELTA_END)


def delta_head(payload: bytes) -> Delta:
    """Read the payload of a `Message.DELTA`: the delta without its changes."""
    head = json.loads(payload)
    after = position_from_json(head["after"])
    assert after is not None
    return Delta(
        before=position_from_json(head["before"]),
        after=after,
        hash_before=int(head["hash_before"], 16),
        hash_after=int(head["hash_after"], 16),
        changes=(),
        committed_at=head["committed_at"],
    )
