"""A control channel, as the two who talk over it see it.

There are two of them: `fengling_gateway.control.socket_channel` between
processes, `fengling_gateway.control.local_channel` within one. Messages are
delivered in order, and in one reactor turn only as many as fit into a part of
a delta, so that a large delta never holds up the requests that the same reactor
serves, and a small one takes a single turn.
"""

from __future__ import annotations

from typing import Any, Protocol

from fengling_gateway.control.frames import Message
from fengling_gateway.model.delta import Delta


class ChannelUser(Protocol):
    """Who talks over one end of a channel."""

    def message_received(self, message: Message, payload: bytes) -> None:
        """Handle one message."""

    def channel_lost(self) -> None:
        """The other end is gone; nothing more arrives, nothing more is delivered."""


class Channel(Protocol):
    """One end, as its user sees it."""

    def send(self, message: Message, values: dict[str, Any] | None = None) -> None:
        """Queue one message behind all that were queued before it."""

    def send_delta(self, delta: Delta) -> None:
        """Queue a delta as its frames, encoded only as fast as the other end reads."""

    def close(self) -> None:
        """Stop; the other end sees `channel_lost`."""

    def pause(self) -> None:
        """Deliver nothing to the user until `resume`; for work that takes several turns."""

    def resume(self) -> None:
        """Deliver again what has arrived and what arrives."""

    bytes_sent: int
    """Payload and framing, since the start."""

    @property
    def queued(self) -> int:
        """How many messages and deltas wait to be sent."""

    @property
    def has_sent_all(self) -> bool:
        """Whether the other end gets all of it, even if this process ends now; or none of it."""
