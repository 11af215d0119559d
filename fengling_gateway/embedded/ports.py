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

_given: deque[int] = deque(maxlen=1000)
_lock = threading.Lock()


def free_port(host: str = "127.0.0.1") -> int:
    """
    Return a port on which nothing listens now, and that was not given to you lately.

    So two servers of one process never get the same, though neither has started yet.
    Somebody else may still take it before you do: start, and try another on failure.
    """
    for _ in range(200):
        port = random.randint(_FIRST, _LAST)
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
    raise OSError(f"no free port from {_FIRST} to {_LAST} on {host}")
