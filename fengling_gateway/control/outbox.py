"""What is still to be sent over a control channel."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from typing import Any

from fengling_gateway.control.encoding import delta_frames
from fengling_gateway.control.frames import Message, encode_frame
from fengling_gateway.model.delta import MAX_PART_BYTES, Delta


class Outbox:
    """Messages and deltas in order; deltas are encoded only as fast as they are taken."""

    def __init__(self) -> None:
        self._queue: deque[Iterator[bytes]] = deque()

    def __len__(self) -> int:
        """How many messages and deltas have not been taken, or not all of them."""
        return len(self._queue)

    def put(self, message: Message, values: dict[str, Any] | None = None) -> None:
        self._queue.append(iter((encode_frame(message, json.dumps(values or {}).encode()),)))

    def put_delta(self, delta: Delta) -> None:
        self._queue.append(delta_frames(delta))

    def take(self) -> bytes:
        """Return the next frames, a part's worth of them: `MAX_PART_BYTES` and less than twice."""
        frames: list[bytes] = []
        size = 0
        while self._queue and size < MAX_PART_BYTES:
            frame = next(self._queue[0], None)
            if frame is None:
                self._queue.popleft()
            else:
                frames.append(frame)
                size += len(frame)
        return b"".join(frames)

    def clear(self) -> None:
        self._queue.clear()
