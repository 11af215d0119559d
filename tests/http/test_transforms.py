"""Edits of headers, paths and locations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.http.transforms import (
    NO_EDITS,
    HeaderEdits,
    LocationTemplate,
    PathEdit,
    compile_path,
)

HEADERS = [(b"Accept", b"*/*"), (b"X-Debug", b"1"), (b"x-debug", b"2"), (b"Server", b"a")]

segments = st.lists(st.sampled_from(["api", "apix", "v2", "x", "%2F", ""]), max_size=4)
prefixes = st.sampled_from([None, "", "/", "/api", "/api/", "/api/v2", "/v2"])


class HeaderEditsTests:
    def test_no_policy_changes_nothing(self) -> None:
        """All that change nothing are one object, which appends an empty block."""
        assert HeaderEdits.compile(None) is NO_EDITS
        assert HeaderEdits.compile({}) is NO_EDITS
        assert NO_EDITS.apply(HEADERS) == HEADERS
        assert NO_EDITS.block == b""

    def test_set_replaces_whatever_the_case(self) -> None:
        """A header that is set is there once, with that value."""
        edits = HeaderEdits.compile({"set": {"X-DEBUG": "3"}})
        assert edits.apply(HEADERS) == [
            (b"Accept", b"*/*"),
            (b"Server", b"a"),
            (b"X-DEBUG", b"3"),
        ]

    def test_add_leaves_what_is_there(self) -> None:
        """A header that is added is there beside those of its name."""
        edits = HeaderEdits.compile({"add": {"X-Debug": "3"}})
        assert edits.apply(HEADERS) == [*HEADERS, (b"X-Debug", b"3")]

    def test_remove_takes_every_case_and_every_line(self) -> None:
        """Nothing of a removed name is left."""
        edits = HeaderEdits.compile({"set": {}, "add": {}, "remove": ["X-Debug", "server"]})
        assert edits.apply(HEADERS) == [(b"Accept", b"*/*")]

    def test_removed_and_set_name_is_set(self) -> None:
        """Removals come first."""
        edits = HeaderEdits.compile({"set": {"Server": "b"}, "add": {}, "remove": ["server"]})
        assert edits.apply(HEADERS)[-1] == (b"Server", b"b")

    def test_block_is_finished_lines(self) -> None:
        """What is appended goes on the wire as it is, without blanks around values."""
        edits = HeaderEdits.compile({"set": {"X-A": " 1 "}, "add": {"X-B": "käse"}})
        assert edits.block == "X-A: 1\r\nX-B: käse\r\n".encode()
        assert edits.drop == {b"x-a"}
        assert repr(edits) == "<HeaderEdits drop=1 append=2>"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("X-A", "1\r\nX-Evil: 2"),
            ("X-A", "nul\0"),
            ("X-A\r\nX-Evil", "1"),
            ("X A", "1"),
            ("", "1"),
            ("Größe", "1"),
            ("Content-Length", "0"),
            ("transfer-encoding", "chunked"),
            ("Host", "elsewhere"),
            ("Connection", "close"),
        ],
    )
    def test_what_could_break_framing_is_skipped(self, name: str, value: str) -> None:
        """No configuration, however it got here, can smuggle a line or move a message's end."""
        edits = HeaderEdits.compile({"set": {name: value}, "add": {name: value}, "remove": []})
        assert (edits.block, edits.drop) == (b"", frozenset())

    def test_framing_headers_cannot_be_removed(self) -> None:
        """Where a message ends is not a matter of configuration."""
        edits = HeaderEdits.compile({"remove": ["Content-Length", "Host", "X-A"]})
        assert edits.drop == {b"x-a"}


class PathEditTests:
    @pytest.mark.parametrize(
        ("strip", "prefix", "target", "expected"),
        [
            ("/api", None, b"/api", b"/"),
            ("/api", None, b"/api/", b"/"),
            ("/api", None, b"/api/x", b"/x"),
            ("/api", None, b"/api/x?a=/api&b", b"/x?a=/api&b"),
            ("/api", None, b"/api?a=1", b"/?a=1"),
            ("/api", None, b"/api?", b"/?"),
            ("/api", None, b"/apix", b"/apix"),
            ("/api", None, b"/other/api", b"/other/api"),
            ("/api/", None, b"/api/x", b"/x"),
            ("/api", "/v2", b"/api", b"/v2"),
            ("/api", "/v2", b"/api/", b"/v2/"),
            ("/api", "/v2", b"/api/x", b"/v2/x"),
            ("/api", "/v2", b"/api?a=1", b"/v2?a=1"),
            ("/api", "/v2", b"/apix", b"/v2/apix"),
            (None, "/v2", b"/x", b"/v2/x"),
            (None, "/v2/", b"/", b"/v2/"),
            (None, "v2", b"/x", b"/v2/x"),
            (None, "/v2", b"?a=1", b"/v2?a=1"),
            ("/api", None, b"*", b"/*"),
            ("/public", None, b"/%70ublic/x", b"/x"),
            ("/public", None, b"/publi%63", b"/"),
            ("/public", None, b"/publi%63?a=%63", b"/?a=%63"),
            ("/public", None, b"/%70ublicx/y", b"/%70ublicx/y"),
            ("/a/b", "/v2", b"/%61/%62/%63", b"/v2/%63"),
            ("/a/b", None, b"/%61/c?/a/b", b"/%61/c?/a/b"),
            ("/a/b", None, b"/%61", b"/%61"),
            ("/caf\u00e9", None, b"/caf%c3%a9/x", b"/x"),
            ("/caf%C3%A9", None, "/caf\u00e9/x".encode(), b"/x"),
            ("/%7Euser", None, b"/~user/x", b"/x"),
        ],
    )
    def test_prefix_is_replaced_on_segment_borders(
        self, strip: str | None, prefix: str | None, target: bytes, expected: bytes
    ) -> None:
        """Stripped only where a whole segment ends, put before in any case."""
        edit = PathEdit.compile({"strip": strip, "prefix": prefix})
        assert edit is not None
        assert edit.apply(target) == expected

    @pytest.mark.parametrize(
        "policy", [None, {}, {"strip": "/"}, {"prefix": "/"}, {"strip": None, "prefix": ""}]
    )
    def test_policy_that_changes_nothing_is_none(self, policy: dict[str, str] | None) -> None:
        """The request path need not call what does nothing."""
        assert PathEdit.compile(policy) is None

    @given(prefixes, prefixes, segments, st.sampled_from(["", "?", "?a=%20/b?c", "?/api/"]))
    def test_query_passes_and_result_begins_with_a_slash(
        self, strip: str | None, prefix: str | None, parts: list[str], query: str
    ) -> None:
        """Whatever the edit: the query is byte for byte what it was, the rest is a path."""
        edit = PathEdit.compile({"strip": strip, "prefix": prefix})
        path = "/" + "/".join(parts)
        if edit is None:
            return
        edited = edit.apply((path + query).encode()).decode()
        assert edited.startswith("/")
        assert edited[len(edited.partition("?")[0]) :] == query
        assert edit.apply(path.encode()).decode() == edited.partition("?")[0]

    def test_repr_names_both(self) -> None:
        """What an edit does can be read."""
        edit = PathEdit.compile({"strip": "/api", "prefix": "/v2"})
        assert repr(edit) == "<PathEdit strip=b'/api' prefix=b'/v2'>"


class PathReplacementTests:
    @pytest.mark.parametrize(
        ("target", "expected"),
        [(b"/a/b", b"/x/"), (b"/", b"/x/"), (b"/a?b=/c?d", b"/x/?b=/c?d"), (b"/a?", b"/x/?")],
    )
    def test_path_is_replaced_and_the_query_stays(self, target: bytes, expected: bytes) -> None:
        """All of the path, byte for byte the query."""
        edit = compile_path({"replace": "/x/", "strip": None, "prefix": None})
        assert edit is not None
        assert edit.apply(target) == expected
        assert repr(edit) == "<PathReplacement b'/x/'>"

    def test_without_a_replacement_prefixes_are_edited(self) -> None:
        """As before there was one."""
        assert isinstance(compile_path({"strip": "/a", "prefix": None}), PathEdit)
        assert compile_path({"replace": None}) is None


class LocationTemplateTests:
    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            ("https://new.example{path}{query}", b"https://new.example/a/b?x=1"),
            ("https://{host}{path}", b"https://old.example:8080/a/b"),
            ("https://new.example/fixed", b"https://new.example/fixed"),
            ("/moved{path}?was={host}", b"/moved/a/b?was=old.example:8080"),
            ("https://{hostname}:8443{path}", b"https://old.example:8443/a/b"),
            ("{path}{unknown}", b"/a/b{unknown}"),
        ],
    )
    def test_places_are_filled(self, template: str, expected: bytes) -> None:
        """The request's path, query and host stand where the template names them."""
        location = LocationTemplate(template)
        assert location.fill(b"old.example:8080", b"/a/b", b"x=1", b"old.example") == expected

    def test_address_of_ipv6_has_brackets(self) -> None:
        """A colon in it is none before a port."""
        location = LocationTemplate("https://{hostname}{path}")
        assert location.fill(b"[::1]:80", b"/a", b"", b"::1") == b"https://[::1]/a"

    def test_no_query_leaves_no_question_mark(self) -> None:
        """A request without a query is redirected without one."""
        assert LocationTemplate("https://n{path}{query}").fill(b"h", b"/", b"") == b"https://n/"

    @pytest.mark.parametrize(
        "path",
        [b"/evil.example/x", b"//evil.example/x", b"/\\evil.example/x", b"\\/evil.example/x"],
    )
    def test_leading_path_is_no_way_out(self, path: bytes) -> None:
        """A path at the start of a Location cannot name another host."""
        for template in ("{path}", "/{path}"):
            assert LocationTemplate(template).fill(b"h", path, b"") == b"/evil.example/x"
        assert LocationTemplate("//n{path}").fill(b"h", b"/x", b"") == b"//n/x"
