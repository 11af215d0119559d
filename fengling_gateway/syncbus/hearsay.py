"""What an announcement is worth: a look, or not yet another one."""

from __future__ import annotations

from typing import Final

from fengling_gateway.model.delta import Position

OTHER_EPOCH_SECONDS: Final = 1.0
"""Between two looks for another epoch. Its first announcement is told at once."""


class Hearsay:
    """
    Judges positions that others say they serve.

    A position of our own epoch that is newer than ours is one that a look
    leads to, and so there is one look for each. A position of another epoch
    need not be: hosts that read a database which has been replaced, or a
    standby that was not promoted, hear such ones for ever. Pure: the time is
    passed in.
    """

    def __init__(self) -> None:
        self._looked_at = float("-inf")

    def is_worth_a_look(self, heard: Position, own: Position | None, *, now: float) -> bool:
        """Whether to look now; ``now`` is monotonic. What is passed over, the poll finds."""
        if not heard.is_after(own):
            return False
        if own is None or heard.epoch == own.epoch:
            return True
        if now - self._looked_at < OTHER_EPOCH_SECONDS:
            return False
        self._looked_at = now
        return True
