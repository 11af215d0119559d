"""Path templates and the spelling in which paths are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.routing.template import (
    EXACT,
    PREFIX,
    REGEX,
    TEMPLATE,
    TemplateError,
    canonical_path,
    parse_template,
)


class ParseTemplateTests:
    @pytest.mark.parametrize(
        ("text", "kind", "segments"),
        [
            ("/", EXACT, (b"",)),
            ("/a/b", EXACT, (b"a", b"b")),
            ("/a/", EXACT, (b"a", b"")),
            ("/a/{x}", TEMPLATE, (b"a", None)),
            ("/{x}/b/{y}", TEMPLATE, (None, b"b", None)),
            ("/{**rest}", PREFIX, ()),
            ("/a/{**rest}", PREFIX, (b"a",)),
            ("/a/**", PREFIX, (b"a",)),
            ("/{x}/{**rest}", PREFIX, (None,)),
            ("/caf%c3%a9/%7Euser", EXACT, (b"caf%C3%A9", b"~user")),
            ("/café", EXACT, (b"caf%C3%A9",)),
        ],
    )
    def test_each_kind_has_its_segments(
        self, text: str, kind: int, segments: tuple[bytes | None, ...]
    ) -> None:
        """A template is parsed into its kind and canonical segments."""
        template = parse_template(text)
        assert (template.kind, template.segments, template.pattern) == (kind, segments, "")

    def test_a_tilde_introduces_a_regex(self) -> None:
        """What follows the tilde is the regex, untouched."""
        assert parse_template("~^/a/[0-9]+$") == (REGEX, (), "^/a/[0-9]+$")

    @pytest.mark.parametrize(
        "text", ["", "a", "/a{x}", "/{x}y", "/{}", "/{**rest}/a", "/**/a", "/{*x}", "/}{"]
    )
    def test_what_is_no_template_is_refused(self, text: str) -> None:
        """A broken template raises rather than matching something unforeseen."""
        with pytest.raises(TemplateError):
            parse_template(text)

    def test_ranks_follow_the_documented_order(self) -> None:
        """Exact, templates, prefixes from long to short, literals first, regexes last."""
        in_order = [
            "/a/b/c",
            "/a/b/{x}",
            "/a/{x}/c",
            "/a/{x}/{y}",
            "/{x}/b/c",
            "/a/b/{**rest}",
            "/a/{x}/{**rest}",
            "/{x}/b/{**rest}",
            "/a/{**rest}",
            "/{x}/{**rest}",
            "/{**rest}",
            "~.*",
        ]
        backwards = in_order[::-1]
        assert sorted(backwards, key=lambda text: parse_template(text).rank) == in_order


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
