"""Only who holds a key is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.auth.keys import WeakKeyError
from fengling_gateway.syncbus.signing import (
    MAX_MESSAGE_BYTES,
    Keyring,
    ReplayWindow,
    SignatureError,
)
from tests.syncbus.builders import KEY, OTHER_KEY, keyring

NOW = 1_700_000_000.25
KINDS = st.from_regex(rb"[a-z_]{1,32}", fullmatch=True)


@given(kind=KINDS, payload=st.binary(max_size=200))
def test_a_signed_message_comes_back(kind: bytes, payload: bytes) -> None:
    """Kind, payload and time, whatever bytes the payload has."""
    signed = keyring().verify(keyring().sign(kind, payload, now=NOW), now=NOW)
    assert (signed.kind, signed.payload, signed.sent_at) == (kind, payload, NOW)


def test_messages_are_told_apart_by_their_signatures() -> None:
    """By their content and by when they were sent, not by who receives them."""
    ring = keyring()
    messages = [ring.sign(b"announce", b"x", now=NOW + one) for one in (0, 0.001)]
    messages.append(ring.sign(b"announce", b"y", now=NOW))
    seen = {ring.verify(message, now=NOW).mac for message in messages * 2}
    assert len(seen) == len(messages)


@given(payload=st.binary(max_size=50), data=st.data())
def test_a_message_with_one_byte_changed_is_refused(payload: bytes, data: st.DataObject) -> None:
    """Anywhere: header, time, signature or payload."""
    message = bytearray(keyring().sign(b"announce", payload, now=NOW))
    place = data.draw(st.integers(0, len(message) - 1))
    message[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SignatureError):
        keyring().verify(bytes(message), now=NOW)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "unsigned"),
        (b'{"revision": 412}', "unsigned"),
        (b"x" * (MAX_MESSAGE_BYTES + 1), "too large"),
        (keyring(OTHER_KEY).sign(b"announce", b"x", now=NOW), "wrong signature"),
        (keyring(cluster="other").sign(b"announce", b"x", now=NOW), "wrong signature"),
        (keyring("k2" + KEY[2:]).sign(b"announce", b"x", now=NOW), "unknown key"),
    ],
)
def test_a_foreign_message_is_refused(message: bytes, reason: str) -> None:
    """Without signature, by another key, of another cluster."""
    with pytest.raises(SignatureError, match=reason):
        keyring().verify(message, now=NOW)


def test_a_kind_is_part_of_what_is_signed() -> None:
    """An announcement can't be passed off as a command."""
    message = keyring().sign(b"announce", b"{}", now=NOW).replace(b"announce", b"command", 1)
    with pytest.raises(SignatureError, match="wrong signature"):
        keyring().verify(message, now=NOW)


def test_a_key_is_rotated_without_a_gap() -> None:
    """Both verify while the new one signs."""
    new = "k2" + OTHER_KEY[2:]
    old_message = keyring(KEY).sign(b"announce", b"x", now=NOW)
    both = keyring(new, KEY)
    assert both.verify(old_message, now=NOW).payload == b"x"
    assert keyring(KEY, new).verify(both.sign(b"announce", b"y", now=NOW), now=NOW)


@pytest.mark.parametrize(("age", "accepted"), [(59, True), (-59, True), (61, False), (-61, False)])
def test_the_age_of_a_message_is_bounded_both_ways(age: float, accepted: bool) -> None:
    """Clocks of hosts differ; a recording is older."""
    message = keyring().sign(b"command", b"x", now=NOW - age)
    if accepted:
        assert keyring().verify(message, now=NOW, max_age=60)
    else:
        with pytest.raises(SignatureError, match="old"):
            keyring().verify(message, now=NOW, max_age=60)


def test_a_ring_needs_a_good_key_and_shows_ids_only() -> None:
    """No key, a weak one: refused."""
    assert repr(keyring()) == "<Keyring test: k1>"
    for keys in ([], ["k1:00"]):
        with pytest.raises(WeakKeyError):
            Keyring(keys, cluster="test")


def test_an_id_is_admitted_once() -> None:
    """Until it is so old that its message would be refused for its age."""
    window = ReplayWindow(seconds=60)
    assert window.admit("a", now=0)
    assert not window.admit("a", now=119)
    assert window.admit("a", now=121)


def test_a_full_window_refuses_rather_than_forgets() -> None:
    """What it has seen can't be pushed out."""
    window = ReplayWindow(seconds=60, capacity=2)
    assert [window.admit(name, now=0) for name in "abc"] == [True, True, False]
    assert not window.admit("a", now=1)
    assert window.admit("c", now=121)
