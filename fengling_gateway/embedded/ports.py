"""Free TCP ports for servers that want a number in their configuration."""

from __future__ import annotations

import random
import socket
import threading
from collections import deque

_FIRST, _LAST = 20_000, 32_000
"""Below the ports that Linux gives to outgoing connections (32768 and up): such
a connection, also a closed one, would take the port between our look and the
server's bind."""

_MAX_SHARES = 8
"""Of whoever runs beside others; each share is larger than what is remembered of `_given`."""

_given: deque[int] = deque(maxlen=1000)
_lock = threading.Lock()
_range = [_FIRST, _LAST]


def keep_to_share(number: int, shares: int) -> None:
    """
    Give ports of one share only from now on, where several processes do the same side by side.

    Between our look and the server's bind, another of them may else give the same port,
    and gateways share ports (SO_REUSEPORT) instead of failing.

    Args:
        number: of the share, from 0.
        shares: how many there are.
    """
    shares = min(shares, _MAX_SHARES)
    size = (_LAST - _FIRST) // shares
    first = _FIRST + number % shares * size
    _range[:] = first, first + size - 1


def free_port(host: str = "127.0.0.1") -> int:
    """
    Return a port on which nothing listens now, and that was not given to you lately.

    So two servers of one process never get the same, though neither has started yet.
    Somebody else may still take it before you do: start, and try another on failure.
    """
    for _ in range(200):
        port = random.randint(*_range)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
        with _lock:
            if port not in _given:
                _given.append(port)
                return port
    raise OSError(f"no free port from {_range[0]} to {_range[1]} on {host}")
