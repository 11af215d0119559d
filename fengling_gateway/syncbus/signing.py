r"""Signed messages: what makes access to Redis alone worth nothing.

A message is one line of header and the payload::

    F1 <kind> <key id> <milliseconds> <mac>\n<payload>

The mac is the hexadecimal HMAC-SHA256 over the cluster's name and everything
but itself. ``milliseconds`` is the sender's clock; a receiver bounds the age,
and remembers what it has seen for as long (see `ReplayWindow`). Pure: the time
is passed in.
"""

from __future__ import annotations

import hmac
import re
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, NamedTuple

from fengling_gateway.auth.keys import parse_keys

MAX_MESSAGE_BYTES: Final = 256 * 1024
"""Longer messages are refused unread. The largest ones are node states with many rejections."""

_HEADER: Final = re.compile(
    rb"F1 ([a-z_]{1,32}) ([A-Za-z0-9][A-Za-z0-9._-]{0,63}) ([0-9]{1,15}) ([0-9a-f]{64})\n"
)
_MAC_KEPT: Final = 16  # hexadecimal digits: 64 bits, which nobody chooses
_DOMAIN: Final = b"fengling bus 1"


class SignatureError(Exception):
    """A message is not signed by a key of this ring, or is too old. Says which, never a secret."""


class Signed(NamedTuple):
    """
    A verified message.

    ``sent_at`` is in seconds by the sender's clock. ``mac`` is part of its
    signature, enough to tell it from every other one.
    """

    kind: bytes
    payload: bytes
    sent_at: float
    mac: bytes


class Keyring:
    """The keys of one cluster: the first one signs, all of them verify."""

    def __init__(self, keys: Iterable[str], *, cluster: str) -> None:
        """
        Read keys written as ``id:secret``.

        Raises:
            WeakKeyError: there is none, or one of them is weak.
        """
        self._cluster = cluster.encode()
        self.replace(keys)

    def __repr__(self) -> str:
        ids = ", ".join(key.decode() for key in self._keys)
        return f"<Keyring {self._cluster.decode()}: {ids}>"

    def replace(self, keys: Iterable[str]) -> None:
        """
        Have other keys from now on: whoever holds this ring signs and verifies by them at once.

        Raises:
            WeakKeyError: as at first; then the old ones stay.
        """
        parsed = parse_keys(keys)
        self._keys = {key.id.encode(): key.secret for key in parsed}
        self._signing_id = parsed[0].id.encode()

    def sign(self, kind: bytes, payload: bytes, *, now: float) -> bytes:
        """Return the message; ``now`` is the wall clock in seconds."""
        sent = b"%d" % int(now * 1000)
        mac = self._mac(self._signing_id, kind, sent, payload)
        return b"F1 %s %s %s %s\n%s" % (kind, self._signing_id, sent, mac, payload)

    def is_signed_by_first(self, message: bytes) -> bool:
        """Whether a message that has been verified is signed by the key that signs now."""
        header = _HEADER.match(message)
        return header is not None and header[2] == self._signing_id

    def verify(self, message: bytes, *, now: float, max_age: float | None = None) -> Signed:
        """
        Return what a message holds.

        With ``max_age`` its time must be within that many seconds of ``now``,
        before or after: clocks of hosts differ.

        Raises:
            SignatureError: it is not ours to believe.
        """
        if len(message) > MAX_MESSAGE_BYTES:
            raise SignatureError("too large")
        header = _HEADER.match(message)
        if header is None:
            raise SignatureError("unsigned")
        kind, key_id, sent, mac = header.groups()
        payload = message[header.end() :]
        if key_id not in self._keys:
            raise SignatureError("unknown key")
        if not hmac.compare_digest(mac, self._mac(key_id, kind, sent, payload)):
            raise SignatureError("wrong signature")
        sent_at = int(sent) / 1000
        if max_age is not None and abs(now - sent_at) > max_age:
            raise SignatureError("too old, or a clock is wrong")
        return Signed(kind, payload, sent_at, mac[:_MAC_KEPT])

    def _mac(self, key_id: bytes, kind: bytes, sent: bytes, payload: bytes) -> bytes:
        # Lengths before contents: no two different messages give the same input.
        parts = (_DOMAIN, self._cluster, key_id, kind, sent, payload)
        signed = b"".join(b"%d:%s" % (len(part), part) for part in parts)
        return hmac.new(self._keys[key_id], signed, sha256).hexdigest().encode()


class ReplayWindow:
    """
    The ids of messages seen within the last ``seconds``: each counts once.

    Together with an age limit of the same length on the messages themselves, no
    recorded message works twice. A window that is full refuses what is new
    rather than forget what it has seen; ids arrive only in signed messages.
    """

    def __init__(self, *, seconds: float, capacity: int = 4096) -> None:
        self._seconds = seconds
        self._capacity = capacity
        self._seen: OrderedDict[str | bytes, float] = OrderedDict()

    def admit(self, message_id: str | bytes, *, now: float) -> bool:
        """Whether this id is new; ``now`` is monotonic."""
        # Twice the length: a sender whose clock is ahead by `seconds` stays
        # acceptable for that much longer.
        horizon = now - 2 * self._seconds
        while self._seen and next(iter(self._seen.values())) < horizon:
            self._seen.popitem(last=False)
        if message_id in self._seen or len(self._seen) >= self._capacity:
            return False
        self._seen[message_id] = now
        return True
