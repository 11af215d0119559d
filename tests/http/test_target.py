"""Targets and hosts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.http.target import check_path, normal_host


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/a",
        b"/a/",
        b"/a/b.c",
        b"/.well-known/x",
        b"/..a/b..",
        b"/a;b=c",
        b"/a;b=c/d",
        b"/a/;jsessionid=1",
        b"/%20",
        b"/%e2%82%ac",
        b"/%E9",
        b"/100%25",
        b"/a%25zz",
        b"/a%2ejpg",
        b"/a:b@c,d=e+f$g!h*i'(j)",
    ],
)
def test_plain_paths_pass(path: bytes) -> None:
    """What has one reading passes."""
    check_path(path)


@pytest.mark.parametrize(
    "path",
    [
        b"/pub/../admin",
        b"/pub/%2e%2e/admin",
        b"/pub/%2E./admin",
        b"//admin",
        b"/a//b",
        b"/./admin",
        b"/admin/.",
        b"/admin/..",
        b"/pub/..;/admin",
        b"/pub/..;x=y/admin",
        b"/;/admin",
        b"/pub/;x=y/admin",
        b"/pub\\..\\admin",
        b"/a%2f..%2fb",
        b"/a%2F%2e%2E/b",
        b"/a/%2fb",
        b"/a%2f%2Fb",
        b"/%2f",
        b"/a%5cb",
        b"/a%00",
        b"/a%0d",
        b"/a%7f",
        b"/a%3bb",
        b"/a%3fb",
        b"/a%23b",
        b"/%252e%252e/a",
        b"/%25%32%65",
        b"/%c0%af",
        b"/%e0%80%af",
        b"/%f8%80",
        b"/%",
        b"/%2",
        b"/%zz",
        b"/%+1",
    ],
)
def test_paths_with_two_readings_are_refused(path: bytes) -> None:
    """Dots, empty segments, encoded delimiters, double and overlong encodings."""
    with pytest.raises(ValueError, match=r"\w"):
        check_path(path)


@given(st.lists(st.sampled_from([b"a", b".", b"%2e", b";", b"%41", b"b"]), max_size=6))
def test_no_reading_of_an_accepted_path_has_a_dot_segment(parts: list[bytes]) -> None:
    """Decoded, with parameters cut off, an accepted path has no dot segment."""
    path = b"/" + b"".join(parts)
    try:
        check_path(path)
    except ValueError:
        return
    decoded = path.replace(b"%2e", b".").replace(b"%41", b"A")
    assert not {segment.partition(b";")[0] for segment in decoded.split(b"/")} & {b".", b".."}


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (b"Example.COM", b"example.com"),
        (b"example.com.", b"example.com"),
        (b"example.com:8080", b"example.com"),
        (b"example.com.:80", b"example.com"),
        (b"example.com:", b"example.com"),
        (b"192.0.2.1", b"192.0.2.1"),
        (b"[2001:DB8::1]:80", b"2001:db8::1"),
        (b"[::1]", b"::1"),
        (b"a_b", b"a_b"),
    ],
)
def test_host_is_normalised(value: bytes, host: bytes) -> None:
    """Case, port and the final dot do not matter to routes."""
    assert normal_host(value) == host


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b".", b":80", b"a b", b"a,b", b"u@a", b"a/b", b"a:b", b"a:1:2", b"a:123456"),
        *(b"[::1", b"::1", b"[x]", b"[::1]x", b"\xff", b"a%41", b"<b>", 256 * b"a", b"a\\b"),
    ],
)
def test_what_is_no_host_is_refused(value: bytes) -> None:
    """User names, paths, lists and the like are no hosts."""
    with pytest.raises(ValueError, match="malformed"):
        normal_host(value)


@pytest.mark.parametrize(
    ("path", "has"),
    [(b"/a%2fb", True), (b"/@scope%2Fname", True), (b"/a/b", False), (b"/%41", False)],
)
def test_encoded_slashes_are_told(path: bytes, has: bool) -> None:
    """A route decides of them."""
    assert check_path(path) is has
