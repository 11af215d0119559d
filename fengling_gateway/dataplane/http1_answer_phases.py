"""What a connection to an instance waits for; integers, since each piece of data asks."""

from __future__ import annotations

from typing import Final

IDLE: Final = 0
"""Nothing: it is lent to no exchange, and what it says is said unasked."""
HEAD: Final = 1
LENGTH: Final = 2
"""A body of known length, or none; `CHUNKS` and `UNTIL_CLOSE` are the other framings."""
CHUNKS: Final = 3
UNTIL_CLOSE: Final = 4
TUNNEL: Final = 5
"""It has said 101: what it says now goes to the tunnel."""
CLOSED: Final = 6
"""Nothing ever again."""
