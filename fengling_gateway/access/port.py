"""The socket of an API, taken before the API itself is there.

On its own, for what serves it takes a quarter of a second to import.
"""

from __future__ import annotations

import os
import socket
from typing import Final

BACKLOG: Final = 50


def bind(address: tuple[str, int], setting: str) -> socket.socket:
    """
    Listen at a host and port; whoever connects waits until the socket is served.

    Args:
        setting: where the address is set, for the message.

    Raises:
        OSError: the address can't be had; the message is one line for operators.
    """
    host, port = address
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(f"{setting} {host}:{port}: {reason}") from error
    return opened
