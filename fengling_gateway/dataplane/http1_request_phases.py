"""Phases of a client's connection; integers, since each is looked at for every piece of data."""

from __future__ import annotations

from typing import Final

READING_HEAD: Final = 0
"""Between requests, or in the middle of a head. The deadline is that of keep-alive or, from a
head's first byte on, that of the head."""

READING_BODY: Final = 1
"""An exchange runs, and its request is still arriving."""

ANSWERING: Final = 2
"""An exchange runs, and its request is complete. What the client sends now is the next request:
it stays raw, and reading stops when there is too much."""

TUNNEL: Final = 3
"""The answer was a 101: what the client says is no HTTP, and goes to the tunnel."""

LINGERING: Final = 4
"""The last answer has been given. What still arrives is read and dropped for a moment, because
closing on unread bytes makes the client's system throw the answer away."""

CLOSED: Final = 5
"""Nothing more happens."""
