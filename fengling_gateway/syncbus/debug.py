"""
The request header by which a console is told how a worker served one request.

Its value is a signed message (`signing`) in the letters of a URL: base64url
without padding, since a message has a line end and a header none. It is good
for `MAX_AGE_SECONDS` and for any number of requests meanwhile: all that can be
had by it is what the answer then says.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from typing import Final

from fengling_gateway.syncbus.signing import Keyring, SignatureError

KIND: Final = b"debug"

MAX_AGE_SECONDS: Final = 30.0
"""By which the clocks of console and gateway may differ, too."""

MAX_VALUE_BYTES: Final = 1024
"""Signed messages of a random id have 150 to 250."""


def debug_value(keyring: Keyring, random_id: bytes, *, now: float) -> str:
    """Return a value for the header; ``now`` is the wall clock in seconds."""
    return urlsafe_b64encode(keyring.sign(KIND, random_id, now=now)).rstrip(b"=").decode()


class DebugValues:
    """
    Knows good values of the header.

    Args:
        wall: returns the wall clock, in seconds.
    """

    def __init__(self, *, keyring: Keyring, wall: Callable[[], float]) -> None:
        self._keyring = keyring
        self._wall = wall

    def replace_keys(self, keys: Iterable[str]) -> None:
        """Verify by these keys from now on."""
        self._keyring.replace(keys)

    def id_in(self, value: bytes) -> str | None:
        """
        Return the random id in a value, for the answer to repeat.

        None where it is not signed by one of the keys, or not young enough.
        """
        if len(value) > MAX_VALUE_BYTES:
            return None
        try:
            message = b64decode(value + b"=" * (-len(value) % 4), b"-_", validate=True)
            signed = self._keyring.verify(message, now=self._wall(), max_age=MAX_AGE_SECONDS)
        except (binascii.Error, SignatureError):
            return None
        return signed.payload.decode("latin-1") if signed.kind == KIND else None
