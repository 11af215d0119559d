"""Length-prefixed frames, and the kinds of message that travel in them.

A frame is a 4-byte big-endian payload length, one byte of `Message` and the
payload: JSON, except for `Message.CHANGES`, which carries a part of an encoded
delta (`fengling_gateway.model.delta`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum, unique
from typing import Final

from fengling_gateway.model.delta import MAX_PART_BYTES

_HEAD: Final = struct.Struct(">IB")

MAX_PAYLOAD_BYTES: Final = 1024 * MAX_PART_BYTES
"""
A longer frame is a broken peer.

The largest honest ones are answers about 100,000 routes: counters of some 60
bytes each, or 250 where ids are as long as they may be.
"""

MAX_BACKLOG: Final = 16
"""
Messages that the supervisor has not taken: with more, a worker does not tell what may be left out.

It counts that instead.
"""

MAX_SPANS: Final = 64
"""In one message: some 32 KiB, so that the reactor of a supervisor reads one in a moment."""

MAX_TAPPED: Final = 64
"""In one message: mostly 45 KiB."""

MAX_RECORDS: Final = 32
"""In one message: some 24 KiB, and never more than 200 KiB."""


@unique
class Message(IntEnum):
    """The kinds of message, with their direction (S supervisor, W worker) and duty."""

    CONFIGURE = 1
    """S→W, first and once: `worker`, `slot`, `listeners`, and the settings of the worker."""
    DELTA = 2
    """S→W: `before`, `after`, `hash_before`, `hash_after`, `committed_at`; `CHANGES` follow."""
    CHANGES = 3
    """S→W: one part of the delta under way. Not JSON."""
    DELTA_END = 4
    """S→W: the delta under way is whole; apply it, or ask to catch up."""
    READ_SLOTS = 5
    """S→W: `slots`: accept connections from exactly these, for every listener."""
    DRAIN = 6
    """
    S→W: `deadline` in seconds, `last`: whether nobody reads the sockets after it.

    Take nothing new, finish, say `DRAINED`, exit. The last one first takes what
    is queued on the sockets, and says `CLOSED`.
    """
    REQUEST = 7
    """
    S→W: `id`, `ask` and its arguments; the worker answers with `ANSWER`.

    `counters` are told in parts (`dataplane.counters_in_parts`): `is_more` asks for the next one.
    """
    READY = 8
    """W→S, once: a configuration is being served."""
    APPLIED = 9
    """W→S: `position` and `content_hash` now served, `applied_at`, what it cost."""
    CATCH_UP = 10
    """W→S: `position` and `content_hash` served; `wanted`, a position heard of, or null."""
    HEARTBEAT = 11
    """
    W→S, each second: the longest `lag_ms` and `blocked_ms` of the reactor since the last one,
    and the `totals` of what has been served (`dataplane.counters.Counters.totals`).
    """
    ANSWER = 12
    """W→S: `id` and `answer`, or `error`."""
    DRAINED = 13
    """W→S: the last exchange has ended; `counters`, as in the answer to that question."""
    CLOSED = 14
    """W→S: the sockets' queues are empty, and nothing is accepted any more."""
    RENEW = 15
    """
    S→W: `secrets`, as in `CONFIGURE`; `tls` of listeners, by name; `bus_keys`, null without Redis.

    Take them, and read again the files that they name.
    """
    RENEWED = 16
    """W→S: `failed`, as in `APPLIED`, after `RENEW`, and when `KEY_SETS` have changed it."""
    KEY_SETS = 17
    """
    S→W: what there is to say of issuers that publish their keys, by id; of all of them
    after `CONFIGURE`, then of those of which it has changed. Null: none is known by that id.

    `source` and `document`, as `auth.issuer_store.Published` has them, the document left
    out where it is as before; `is_fetching`; `again_in`: seconds for which asking would not
    lead to a fetch. An issuer that was asked for is always answered for.
    """
    KEY_WANTED = 18
    """W→S: `issuer`: a token names a key that this issuer, by its id, is not known to have."""
    OVERRIDES = 19
    """
    S→W: what holds beside the configuration, all of it each time.

    `routes`, `instances`: ids that somebody has switched off; `health_is_stale`: whether nobody
    has probed for so long that what is reported of instances counts no more; `is_draining`:
    whether clients are to go elsewhere, so that connections end with their next answer.
    """
    EVIDENCE = 20
    """
    W→S, at most once a second and only where there is any: what requests have shown of instances.

    `instances`, by id: `failures` and `successes` since the last one, `error`: the newest of them
    (a `ForwardError` in snake_case), `ejected_for`: seconds, or null. Those that have failed,
    the 1,000 with most failures, and once those that answer again: `failures` 0, `error` null.
    `others`: how many more have failed.
    """
    SPANS = 21
    """
    W→S, only where traces are sent: what recorded requests have left.

    `spans`: rows of `tracing.spans.Span`, at most `MAX_SPANS`, of which each is some 500 bytes
    and at most 20 KiB; `dropped`: how many more there were since the last one. Sent when there
    are so many, or after a second; a worker drops what its supervisor does not take in time.
    """
    TAP = 22
    """
    S→W: tell of requests as they end.

    `id`, by which they are told; `seconds`, after which there is no more of it in any case; `filter`,
    as of `records.tap_filter.TapFilter`. One whose `id` is known begins anew.
    """
    UNTAP = 23
    """S→W: `id`: nobody looks on any more."""
    TAPPED = 24
    """
    W→S, while somebody looks on: requests that have ended, some 100 ms later.

    `id`; `requests`: documents as of `records.plain.to_json`, at most `MAX_TAPPED`;
    `left_out`: how many more there were since the last one, by the bounds of `worker.taps`.
    """
    RECORDS = 25
    """
    W→S: exchanges that failed, or were slow, and how many more there were since the last one.

    `records`: of `records.plain.to_json`, with `kind` (`records.notable`) and `worker`, at most
    `MAX_RECORDS`; `left_out`: the others, by error or kind. Within a second, and never more than
    a worker's budget of them; it leaves out, too, what its supervisor does not take in time.
    """


class FrameError(Exception):
    """What was received, or is to be sent, cannot be a frame."""


def encode_frame(message: Message, payload: bytes = b"{}") -> bytes:
    """
    Return the bytes of one frame.

    Raises:
        FrameError: the peer would refuse it, and end the conversation.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise FrameError(f"{message.name} of {len(payload)} bytes is more than a frame can carry")
    return _HEAD.pack(len(payload), message) + payload


class FrameDecoder:
    """Bytes in, frames out. Without I/O."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, received: bytes) -> None:
        self._buffer += received

    def frames(self) -> Iterator[tuple[Message, bytes]]:
        """
        Yield the frames that have arrived whole.

        Raises:
            FrameError: an unknown message or an impossible length.
        """
        while len(self._buffer) >= _HEAD.size:
            length, code = _HEAD.unpack_from(self._buffer)
            if length > MAX_PAYLOAD_BYTES:
                raise FrameError(f"a frame of {length} bytes")
            end = _HEAD.size + length
            if len(self._buffer) < end:
                return
            try:
                message = Message(code)
            except ValueError:
                raise FrameError(f"unknown message {code}") from None
            payload = bytes(self._buffer[_HEAD.size : end])
            del self._buffer[:end]
            yield message, payload
