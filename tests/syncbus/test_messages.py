"""What is signed and yet not understood is dropped, not acted upon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.model.delta import Position
from fengling_gateway.syncbus.messages import (
    MAX_EVIDENCE_BYTES,
    MAX_EVIDENCE_INSTANCES,
    MAX_REVISION,
    Command,
    MessageError,
    ProberBeat,
    decode_command,
    decode_evidence,
    decode_node,
    decode_position,
    decode_prober,
    encode_command,
    encode_evidence,
    encode_node,
    encode_position,
    encode_prober,
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


def seen(**changes: Any) -> dict[str, Any]:
    """Return what requests have shown of one instance."""
    return {
        "failures": 3,
        "successes": 0,
        "error": "connect_refused",
        "ejected_for": 10.0,
        **changes,
    }


def test_evidence_and_a_heartbeat_come_back() -> None:
    """With everything in them, and nothing else."""
    evidence = {"i1": seen(), "i2": seen(error=None, ejected_for=None)}
    assert decode_evidence(encode_evidence("n1", evidence)) == ("n1", evidence)
    more = encode_evidence("n1", {"i1": seen(more=1)})
    assert decode_evidence(more) == ("n1", {"i1": seen()})
    assert decode_prober(encode_prober(ProberBeat(4, "c1"))) == ProberBeat(4, "c1")


def test_the_largest_evidence_is_not_too_large() -> None:
    """Of more instances it names the first."""
    evidence = {f"{number:0100}": seen() for number in range(MAX_EVIDENCE_INSTANCES + 1)}
    payload = encode_evidence("n" * 100, evidence)
    assert len(payload) < MAX_EVIDENCE_BYTES - 200
    assert list(decode_evidence(payload)[1]) == list(evidence)[:-1]


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
        (decode_evidence, b'{"node": 1, "instances": {}}'),
        (decode_evidence, b'{"node": "n1", "instances": []}'),
        (decode_evidence, encode_evidence("n1", {"i1": seen(failures=-1)})),
        (decode_evidence, encode_evidence("n1", {"i1": seen(successes="1")})),
        (decode_evidence, encode_evidence("n1", {"i1": seen(error=1)})),
        (decode_evidence, encode_evidence("n1", {"i1": seen(ejected_for=True)})),
        (decode_evidence, b'{"node": "n1", "instances": {"i1": 7}}'),
        (decode_evidence, b'{"node": "n1", "instances": {%s"i": 7}}' % (b'"i": 7, ' * 7)),
        (decode_prober, b'{"term": "4", "holder": "c1"}'),
        (decode_prober, b'{"term": -1, "holder": "c1"}'),
        (decode_prober, b'{"term": 4}'),
        (lambda payload: decode_node(payload, node="n1"), encode_node("n2", {})),
        (lambda payload: decode_node(payload, node="n1"), b'{"node": "n1", "state": 1}'),
    ],
)
def test_what_is_not_understood_is_an_error(decode: Callable[[bytes], Any], payload: bytes) -> None:
    """A sender of another version, or a mistake: never an exception of another kind."""
    with pytest.raises(MessageError):
        decode(payload)
