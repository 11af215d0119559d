"""Keys as operators write them."""

from __future__ import annotations

import base64

import pytest

from fengling_gateway.auth.keys import SecretKey, WeakKeyError, parse_key, parse_keys

SECRET = bytes(range(32))


@pytest.mark.parametrize(
    "encoded",
    [
        SECRET.hex(),
        SECRET.hex().upper(),
        base64.b64encode(SECRET).decode(),
        base64.b64encode(SECRET).decode().rstrip("="),
        base64.urlsafe_b64encode(bytes(range(224, 256))).decode(),
    ],
)
def test_hex_and_base64_are_read(encoded: str) -> None:
    """In the spellings that common tools print."""
    key = parse_key(f" k1:{encoded}\n")
    assert (key.id, len(key.secret)) == ("k1", 32)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is written"),
        ("k1", "is written"),
        (":" + SECRET.hex(), "is written"),
        ("a b:" + SECRET.hex(), "is written"),
        ("k" * 65 + ":" + SECRET.hex(), "is written"),
        ("k1:", "0 bytes"),
        ("k1:" + SECRET[:31].hex(), "31 bytes"),
        ("k1:" + "changeme", "6 bytes"),
        ("k1:" + "ä" * 64, "neither"),
        ("k1:" + "!" * 64, "neither"),
        ("k1:" + "00" * 32, "placeholder"),
        ("k1:" + (b"default-secret-0123456789abcdefgh").hex(), "placeholder"),
        ("k1:" + (b"abcd" * 8).hex(), "placeholder"),
    ],
)
def test_a_weak_key_is_refused_without_being_shown(text: str, why: str) -> None:
    """The message names the rule and how to do better, and never the secret."""
    with pytest.raises(WeakKeyError, match=why) as caught:
        parse_key(text)
    secret = text.partition(":")[2]
    assert not secret or secret not in str(caught.value)


def test_a_ring_needs_keys_with_different_ids() -> None:
    """None, or one id for two keys: refused."""
    with pytest.raises(WeakKeyError, match="no key"):
        parse_keys([])
    with pytest.raises(WeakKeyError, match="share an id"):
        parse_keys([f"a:{SECRET.hex()}", f"a:{SECRET[::-1].hex()}"])


def test_a_key_does_not_show_its_secret() -> None:
    """Not in a log line, a traceback or a debugger."""
    assert "secret" not in repr(SecretKey("a", SECRET))
