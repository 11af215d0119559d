"""What is signed and yet not understood is dropped, not acted upon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.model.delta import Position
from fengling_gateway.syncbus.messages import (
    MAX_REVISION,
    Command,
    MessageError,
    decode_command,
    decode_node,
    decode_position,
    encode_command,
    encode_node,
    encode_position,
)


@given(st.builds(Position, st.text(), st.integers(0, MAX_REVISION), st.text()))
def test_a_position_comes_back(position: Position) -> None:
    """Whatever texts epoch and token are."""
    assert decode_position(encode_position(position)) == position


def test_a_command_and_a_state_come_back() -> None:
    """With everything in them."""
    command = Command("c1", "reload", "n1", Position("e", 7, "t"), {"comment": "ü"})
    assert decode_command(encode_command(command)) == command
    assert decode_node(encode_node("n1", {"a": [1]}), node="n1") == {"a": [1]}


@pytest.mark.parametrize(
    ("decode", "payload"),
    [
        (decode_position, b""),
        (decode_position, b"[" * 100_000),
        (decode_position, b"[]"),
        (decode_position, b'{"epoch": "e", "revision": 1}'),
        (decode_position, b'{"epoch": "e", "revision": true, "token": "t"}'),
        (decode_position, b'{"epoch": "e", "revision": "1", "token": "t"}'),
        (decode_position, b'{"epoch": "e", "revision": -1, "token": "t"}'),
        (decode_position, b'{"epoch": "e", "revision": 9223372036854775808, "token": "t"}'),
        (decode_position, b'{"epoch": 1, "revision": 1, "token": "t"}'),
        (decode_command, b'{"id": 1, "name": "reload", "from": "n", "args": {}}'),
        (decode_command, b'{"id": "1", "name": "reload", "from": "n", "args": []}'),
        (decode_command, b'{"id": "1", "name": "reload"}'),
        (decode_command, b'{"id": "1", "name": "reload", "from": "n", "args": {}}'),
        (
            decode_command,
            b'{"id": "1", "name": "reload", "from": "n", "args": {}, "epoch": "e", "token": "t"}',
        ),
        (lambda payload: decode_node(payload, node="n1"), encode_node("n2", {})),
        (lambda payload: decode_node(payload, node="n1"), b'{"node": "n1", "state": 1}'),
    ],
)
def test_what_is_not_understood_is_an_error(decode: Callable[[bytes], Any], payload: bytes) -> None:
    """A sender of another version, or a mistake: never an exception of another kind."""
    with pytest.raises(MessageError):
        decode(payload)
