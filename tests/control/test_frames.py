"""Frames survive any cutting of the byte stream."""

from __future__ import annotations

import json
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.control.frames import (
    MAX_PAYLOAD_BYTES,
    FrameDecoder,
    FrameError,
    Message,
    encode_frame,
)

frames = st.lists(st.tuples(st.sampled_from(Message), st.binary(max_size=300)), max_size=20)


class FrameDecoderTests(TestCase):
    """`FrameDecoder`"""

    @given(frames, st.lists(st.integers(1, 50), min_size=1, max_size=30))
    def test_any_cutting_gives_the_frames_that_were_encoded(
        self, sent: list[tuple[Message, bytes]], cuts: list[int]
    ) -> None:
        """However the stream is cut, the same frames come out in order."""
        stream = b"".join(encode_frame(message, payload) for message, payload in sent)
        decoder = FrameDecoder()
        received = []
        turn = 0
        while stream:
            size = cuts[turn % len(cuts)]
            decoder.feed(stream[:size])
            stream = stream[size:]
            received += list(decoder.frames())
            turn += 1
        self.assertEqual(received, sent)

    def test_unknown_message_is_an_error(self) -> None:
        """A code that no message has ends the conversation."""
        decoder = FrameDecoder()
        decoder.feed(b"\0\0\0\0\xff")
        with self.assertRaisesRegex(FrameError, "unknown message 255"):
            list(decoder.frames())

    def test_impossible_length_is_an_error_before_anything_is_buffered(self) -> None:
        """A length beyond the limit is refused by its head alone."""
        decoder = FrameDecoder()
        decoder.feed((MAX_PAYLOAD_BYTES + 1).to_bytes(4, "big") + b"\1")
        with self.assertRaisesRegex(FrameError, "a frame of"):
            list(decoder.frames())

    def test_frame_that_would_be_refused_is_not_sent(self) -> None:
        """Its sender learns that, rather than lose its supervisor over it."""
        with self.assertRaisesRegex(FrameError, "ANSWER of .* bytes"):
            encode_frame(Message.ANSWER, bytes(MAX_PAYLOAD_BYTES + 1))

    def test_counters_of_100000_routes_fit(self) -> None:
        """Also where their ids are as long as ids may be: a scrape must not end a worker."""
        row = ["r" * 100, "s" * 100, [10**9] * 6, {"upstream_connection_failed": 10**9}]
        decoder = FrameDecoder()
        decoder.feed(encode_frame(Message.ANSWER, json.dumps(row).encode() * 100_000))
        self.assertEqual([message for message, _ in decoder.frames()], [Message.ANSWER])
