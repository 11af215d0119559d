"""Claims become headers that can be nothing else."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.auth.jwt_transform import (
    JwtTransform,
    TooLargeError,
    header_value,
    list_value,
)
from fengling_gateway.model.names import IDENTITY_HEADERS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ada", b"ada"),
        ("Ada Lovelace", b"Ada Lovelace"),
        ("https://id.example/u/7?x=y&z", b"https://id.example/u/7?x=y&z"),
        ("100%", b"100%25"),
        (" ada ", b"%20ada%20"),
        ("a\r\nX-Admin: 1", b"a%0D%0AX-Admin: 1"),
        ("a\0b\x7f", b"a%00b%7F"),
        ("Zoë", b"Zo%C3%AB"),
        ("风铃", b"%E9%A3%8E%E9%93%83"),
        ("\ud800", b"%ED%A0%80"),
        ("", b""),
    ],
)
def test_text_becomes_one_value(text: str, value: bytes) -> None:
    """Visible ASCII as it is, and the rest as percent signs."""
    assert header_value(text) == value


def test_list_becomes_one_value() -> None:
    """In order, with commas between and none inside."""
    assert list_value({"b", "a,c", "d e"}) == b"a%2Cc,b,d%20e"
    assert list_value(()) == b""
    assert list_value({"\ud800"}) == b"%ED%A0%80"


@given(st.text(max_size=200))
def test_decoding_gives_the_text_again(text: str) -> None:
    """And nothing in it ends a line."""
    try:
        value = header_value(text)
    except UnicodeEncodeError:
        return
    assert all(0x20 <= byte < 0x7F for byte in value)
    assert value == value.strip()
    assert unquote(value.decode(), errors="surrogatepass") == text


@given(st.lists(st.text(min_size=1, max_size=20), max_size=8, unique=True))
def test_decoding_gives_the_list_again(texts: list[str]) -> None:
    parts = list_value(texts).decode().split(",") if texts else []
    assert [unquote(one, errors="surrogatepass") for one in parts] == sorted(texts)


def test_value_is_bounded() -> None:
    """A part of it would say something else."""
    assert len(header_value("x" * 4096)) == 4096
    with pytest.raises(TooLargeError, match="4097"):
        header_value("x" * 4097)


def test_headers_have_the_configured_names() -> None:
    """And those of the issuer's own come from any claim."""
    names = {**IDENTITY_HEADERS, "user": "X-Uid"}
    transform = JwtTransform(names, {"X-Plan": "/app/plan", "X-Email": "email", "X-Ids": "ids"})
    pairs = transform.pairs(
        subject="ada",
        name=None,
        roles=frozenset(),
        claims={"app": {"plan": 7}, "ids": [1, True, "x", {}], "email": {}},
    )
    assert pairs == [(b"X-Uid", b"ada"), (b"X-Ids", b"1,true,x"), (b"X-Plan", b"7")]


def test_header_of_an_issuers_own_is_none_of_identity() -> None:
    """However those are called: a claim that users choose would be a second tenant or user."""
    names = {**IDENTITY_HEADERS, "tenant": "X-Org", "user": "X-Uid"}
    extra = {"x_org": "nick", "X-UID": "nick", "X-User-Id": "nick", "X-Plan": "nick"}
    transform = JwtTransform(names, extra)
    pairs = transform.pairs(subject="ada", name=None, roles=frozenset(), claims={"nick": "root"})
    assert pairs == [(b"X-Uid", b"ada"), (b"X-Plan", b"root"), (b"X-User-Id", b"root")]
    assert transform.left_out == ("X-UID", "x_org")


def test_everything_known_of_a_client_is_told() -> None:
    """User, name and roles, in this order; what is empty gets no header."""
    transform = JwtTransform(IDENTITY_HEADERS)
    names = [IDENTITY_HEADERS[what].encode() for what in ("user", "name", "roles")]
    told = transform.pairs(
        subject="ada", name="Ada Lovelace", roles=frozenset({"b", "a"}), claims={}
    )
    assert told == [*zip(names, [b"ada", b"Ada Lovelace", b"a,b"], strict=True)]
    assert transform.pairs(subject="", name="", roles=frozenset(), claims={}) == []


def test_texts_of_a_list_that_are_empty_are_left_out() -> None:
    """A comma beside nothing would be a member for some and none for others."""
    transform = JwtTransform(IDENTITY_HEADERS, {"X-Ids": "ids", "X-None": "none"})
    claims = {"ids": ["", "b", None, "a"], "none": ["", {}]}
    told = transform.pairs(subject="", name=None, roles=frozenset(), claims=claims)
    assert told == [(b"X-Ids", b"a,b")]


def test_claim_that_does_not_fit_is_told() -> None:
    """With how long it is."""
    transform = JwtTransform(IDENTITY_HEADERS, {"X-Bio": "bio"})
    with pytest.raises(TooLargeError, match="a claim of 5000 bytes does not fit into a header"):
        transform.pairs(subject="", name=None, roles=frozenset(), claims={"bio": "x" * 5000})


def test_transform_tells_its_headers() -> None:
    """Those of the issuer's own by name, and how many there are in all."""
    transform = JwtTransform({**IDENTITY_HEADERS, "user": "X-Uid"}, {"X-B": "b", "X-A": "a"})
    assert transform.extra_names == ("X-A", "X-B")
    assert repr(transform) == "<JwtTransform X-Uid and 4 more>"
