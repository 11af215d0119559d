"""Finding claims, whatever an issuer calls them."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.auth.claims import ClaimPath, as_text, as_texts

CLAIMS: dict[str, Any] = {
    "email": "ada@example.com",
    "https://example.com/roles": ["a", "b"],
    "realm": {"roles": ["x"], "a/b": 1, "m~n": 2, "": 3},
    "list": [{"roles": 1}],
    "null": None,
}


class ClaimPathTests:
    @pytest.mark.parametrize(
        ("path", "found"),
        [
            ("email", "ada@example.com"),
            ("https://example.com/roles", ["a", "b"]),
            ("/realm/roles", ["x"]),
            ("/email", "ada@example.com"),
            ("/realm/a~1b", 1),
            ("/realm/m~0n", 2),
            ("/realm/", 3),
            ("/realm/roles/0", None),
            ("/list/0/roles", None),
            ("/email/roles", None),
            ("realm/roles", None),
            ("/realm/m~01n", None),
            ("none", None),
            ("/realm/none/roles", None),
            ("null", None),
        ],
    )
    def test_claim_is_found_by_name_or_by_pointer(self, path: str, found: Any) -> None:
        """A pointer goes through objects only; what is not there is None."""
        assert ClaimPath(path).find(CLAIMS) == found

    def test_escapes_of_a_pointer_are_undone_in_their_order(self) -> None:
        """``~01`` is ``~1``, and no slash (RFC 6901, section 4)."""
        assert ClaimPath("/~01").find({"~1": 7, "/": 8}) == 7

    def test_path_tells_its_text(self) -> None:
        """As it is configured."""
        path = ClaimPath("/realm/roles")
        assert (path.text, repr(path)) == ("/realm/roles", "<ClaimPath /realm/roles>")


class AsTextTests:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("ada", "ada"),
            ("", ""),
            (True, "true"),
            (False, "false"),
            (7, "7"),
            (1.5, None),
            (None, None),
            (["a"], None),
            ({"a": 1}, None),
        ],
    )
    def test_texts_whole_numbers_and_truths_are_texts(self, value: Any, text: str | None) -> None:
        """What has several ways of being written is none."""
        assert as_text(value) == text


class AsTextsTests:
    @pytest.mark.parametrize(
        ("value", "texts"),
        [
            ("read write", {"read", "write"}),
            ("  read  ", {"read"}),
            (["read", "read write"], {"read", "read write"}),
            (["a", "", 1, None, ["b"]], {"a"}),
            ("", set()),
            (7, set()),
            (None, set()),
            ({"a": 1}, set()),
        ],
    )
    def test_words_and_lists_are_sets_of_texts(self, value: Any, texts: set[str]) -> None:
        """Members of a list that are no texts are left out."""
        assert as_texts(value) == texts
