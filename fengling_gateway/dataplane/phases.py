"""What an exchange is doing: plain integers, because they are compared for every piece."""

from __future__ import annotations

from typing import Final

ROUTING: Final = 0
QUEUED: Final = 1
CONNECTING: Final = 2
SENDING: Final = 3
"""The request is on its way."""
WAITING: Final = 4
"""The request has been sent, and its answer has not begun."""
ANSWERING: Final = 5
TUNNEL: Final = 6
"""The answer was a 101, and what follows is no HTTP."""
OVER: Final = 7
ADMITTING: Final = 8
"""A key that may verify the request's token is on its way."""
