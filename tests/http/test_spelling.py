"""The spelling in which paths are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.http.spelling import canonical_path


class CanonicalPathTests:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            (b"/a/b", b"/a/b"),
            (b"/%61dmin", b"/admin"),
            (b"/%7Euser/%7euser", b"/~user/~user"),
            (b"/a%2fb/%5c/%3b/%3f/%23/%00", b"/a%2Fb/%5C/%3B/%3F/%23/%00"),
            (b"/a;v=1", b"/a;v=1"),
            (b"/caf%c3%a9", b"/caf%C3%A9"),
            ("/café".encode(), b"/caf%C3%A9"),
            (b"/%20/%7c/|", b"/%20/|/|"),
            (b"/100%", b"/100%"),
            (b"/%zz/%4", b"/%zz/%4"),
            (b"/%2561", b"/%2561"),
            (b"*", b"*"),
        ],
    )
    def test_equal_paths_have_one_spelling(self, path: bytes, expected: bytes) -> None:
        """Decoding what means the same bare leaves one spelling."""
        assert canonical_path(path) == expected

    @given(st.lists(st.sampled_from([b"a", b"/", b"%41", b"%2f", b"%c3%a9", b"\xe9", b"%25"])))
    def test_a_canonical_path_stays_as_it_is(self, parts: list[bytes]) -> None:
        """Canonical paths are ASCII and canonical."""
        once = canonical_path(b"/" + b"".join(parts))
        assert once.isascii()
        assert canonical_path(once) == once
