"""Encrypting secrets, and opening nothing that is not as it was."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.auth.keys import SecretKey, WeakKeyError
from fengling_gateway.auth.sealing import (
    MAX_SECRET_BYTES,
    Sealer,
    SealError,
    parse_sealing_keys,
    sealed_with,
)
from fengling_gateway.model.certificates import MAX_VALUE, is_sealed

OLD = SecretKey("2025-01", bytes(range(32)))
NEW = SecretKey("2026-11", bytes(range(32, 64)))

slugs = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
contents = st.binary(max_size=300)


def sealer(*keys: SecretKey) -> Sealer:
    return Sealer(keys, random_bytes=os.urandom)


class RoundTripTests:
    @given(slugs, contents)
    def test_what_is_sealed_is_opened(self, name: str, content: bytes) -> None:
        """By whoever has the key, in a form that the database and validation take."""
        value = sealer(NEW, OLD).seal(name, content)
        assert sealer(OLD, NEW).open(name, value) == content
        assert sealed_with(value) == "2026-11"
        assert is_sealed(value)

    def test_largest_secret_fits_where_it_is_kept(self) -> None:
        """And a byte more is refused."""
        key = SecretKey("k" * 64, NEW.secret)
        assert len(sealer(key).seal("s", b"x" * MAX_SECRET_BYTES)) <= MAX_VALUE
        with pytest.raises(SealError, match="at most 32768 bytes, not 32769"):
            sealer(key).seal("s", b"x" * (MAX_SECRET_BYTES + 1))

    def test_same_content_is_sealed_differently_each_time(self) -> None:
        """Else one could see which secrets are equal; and no nonce may come twice."""
        asked: list[int] = []
        nonces: Iterator[bytes] = (bytes([i]) * 12 for i in range(256))

        def random_bytes(count: int) -> bytes:
            asked.append(count)
            return next(nonces)

        once = Sealer([NEW], random_bytes=random_bytes)
        assert once.seal("s", b"content") != once.seal("s", b"content")
        assert asked == [12, 12]

    def test_without_a_key_nothing_is_sealed(self) -> None:
        """It says which setting is missing."""
        with pytest.raises(SealError, match="key_file"):
            sealer().seal("s", b"content")


class TamperingTests:
    @given(contents, st.integers(0), st.integers(1, 255))
    def test_changed_byte_is_noticed(self, content: bytes, at: int, by: int) -> None:
        """Wherever it is: in the nonce, the content or the tag."""
        value = sealer(NEW).seal("s", content)
        head, _, encoded = value.rpartition(":")
        sealed = bytearray(base64.b64decode(encoded))
        sealed[at % len(sealed)] ^= by
        with pytest.raises(SealError, match="can't be opened"):
            sealer(NEW).open("s", f"{head}:{base64.b64encode(sealed).decode()}")

    @given(contents, st.integers(1, 60))
    def test_shortened_value_is_noticed(self, content: bytes, less: int) -> None:
        """Down to nothing."""
        head, _, encoded = sealer(NEW).seal("s", content).rpartition(":")
        sealed = base64.b64decode(encoded)[:-less]
        with pytest.raises(SealError):
            sealer(NEW).open("s", f"{head}:{base64.b64encode(sealed).decode()}")

    @given(st.text(max_size=100))
    def test_garbage_is_no_value(self, garbage: str) -> None:
        """Whatever it is; and no message repeats it."""
        with pytest.raises(SealError) as caught:
            sealer(NEW).open("s", f"aes256gcm:2026-11:{garbage}zzzzzzzz")
        assert "zzzz" not in str(caught.value)

    def test_value_of_another_secret_is_not_opened(self) -> None:
        """Who may write the table must not have a key sent where he can see it."""
        value = sealer(NEW).seal("shop", b"content")
        with pytest.raises(SealError, match="for another secret"):
            sealer(NEW).open("other", value)

    def test_key_of_the_same_name_is_not_the_same_key(self) -> None:
        """Nor is one that is not here."""
        value = sealer(NEW).seal("s", b"content")
        with pytest.raises(SealError, match="another of that name"):
            sealer(SecretKey(NEW.id, OLD.secret)).open("s", value)
        with pytest.raises(SealError, match='key "2026-11", which is not here'):
            sealer(OLD).open("s", value)
        with pytest.raises(SealError, match="there is none"):
            sealer().open("s", value)

    def test_relabelled_value_is_not_opened(self) -> None:
        """Also with a key that is the same under another name."""
        value = sealer(NEW).seal("s", b"content").replace("2026-11", "other")
        with pytest.raises(SealError, match="can't be opened"):
            sealer(SecretKey("other", NEW.secret)).open("s", value)


class KeyTests:
    def test_keys_have_the_length_of_the_cipher(self) -> None:
        """No more and no less: AES-256."""
        good = "2026:" + os.urandom(32).hex()
        assert [key.id for key in parse_sealing_keys([good])] == ["2026"]
        for bad in (os.urandom(31).hex(), os.urandom(33).hex(), "00" * 32, ""):
            with pytest.raises(WeakKeyError) as caught:
                parse_sealing_keys([f"k:{bad}"])
            assert not bad or bad not in str(caught.value)

    def test_nothing_is_in_a_representation(self) -> None:
        """They end in tracebacks."""
        assert repr(sealer(NEW, OLD)) == "<Sealer with keys 2026-11, 2025-01>"
