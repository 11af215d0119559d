"""Frames survive any cutting of the byte stream."""

from __future__ import annotations

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
