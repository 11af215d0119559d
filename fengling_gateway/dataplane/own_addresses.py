"""Which addresses are this host's own."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Final

_ANY_PORT: Final = 9
"""Nothing is sent: the system is asked for the way only."""


def is_here(address: str) -> bool:
    """
    Whether an address is one of this host's, as of now.

    What leads to oneself comes from where it goes. (Binding to it would not tell: a host may
    be told to let programs bind to addresses that are its neighbour's at present.)
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((address, _ANY_PORT))
            return ip_address(asking.getsockname()[0]) == ip_address(address)
    except (OSError, ValueError):
        return False
