"""Path templates."""

from __future__ import annotations

import pytest

from fengling_gateway.routing.template import (
    EXACT,
    PREFIX,
    REGEX,
    TEMPLATE,
    TemplateError,
    covers,
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

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("api", "a path starts with '/' or '~', not 'a'"),
            ("/{*x}/b", "'{*x}' is not a parameter; '{**rest}' goes last"),
            ("/{**rest}/b", "'{**rest}' is not a parameter; '{**rest}' goes last"),
            ("/{a{b}", "'{a{b}' is not a parameter; '{**rest}' goes last"),
            ("/{a}b}", "'{a}b}' is not a parameter; '{**rest}' goes last"),
            ("/b{x}/c", "in 'b{x}' a parameter is not a whole segment"),
            ("/b{/c", "in 'b{' a parameter is not a whole segment"),
            ("/b}/c", "in 'b}' a parameter is not a whole segment"),
            ("/**/c", "in '**' a parameter is not a whole segment"),
        ],
    )
    def test_refusal_says_which_part_is_wrong(self, text: str, reason: str) -> None:
        """An operator reads it beside the route."""
        with pytest.raises(TemplateError) as refused:
            parse_template(text)
        assert str(refused.value) == reason

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


class CoversTests:
    @pytest.mark.parametrize(
        ("wide", "narrow"),
        [
            ("/a", "/a"),
            ("/a/{x}", "/a/{y}"),
            ("/a/{x}", "/a/b"),
            ("/{**rest}", "/"),
            ("/{**rest}", "/a/{x}"),
            ("/a/{**rest}", "/a"),
            ("/a/{**rest}", "/a/{**r}"),
            ("/a/{**rest}", "/a/b/{**rest}"),
            ("/{x}/{**rest}", "/a/{**rest}"),
            ("/{**rest}", "~/a"),
            ("~/a", "~/a"),
        ],
    )
    def test_template_covers_whatever_can_only_match_where_it_does(
        self, wide: str, narrow: str
    ) -> None:
        """Each path of the second is one of the first."""
        assert covers(parse_template(wide), parse_template(narrow))

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("/a", "/b"),
            ("/a", "/a/b"),
            ("/a/b", "/a"),
            ("/a/b", "/a/{x}"),
            ("/{x}", "/"),
            ("/a", "/a/{**rest}"),
            ("/{x}", "/{x}/{**rest}"),
            ("/a/b/{**rest}", "/a/{**rest}"),
            ("/a/{**rest}", "/b/c"),
            ("/{x}/{**rest}", "/{**rest}"),
            ("/{x}/{**rest}", "//a"),
            ("/a", "~/a"),
            ("~/a", "/a"),
            ("~.*", "/a"),
            ("~.*", "~/a"),
        ],
    )
    def test_template_does_not_cover_what_it_may_miss(self, one: str, other: str) -> None:
        """Some path is only the second's, or it is not known."""
        assert not covers(parse_template(one), parse_template(other))
