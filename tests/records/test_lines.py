"""Lines of an access log."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.redacting import MAX_PAIRS, names_to_redact, redacted_query
from fengling_gateway.records import line_source
from fengling_gateway.records.ended import Attempt, Ended
from fengling_gateway.records.fields import FIELDS
from fengling_gateway.records.filters import Filter
from fengling_gateway.records.line_source import DEFAULT_FIELDS, TEMPLATES, LineError
from fengling_gateway.records.lines import make_line
from fengling_gateway.records.redaction import Redaction

NOTHING_HIDDEN = Redaction((), ())
FIRST = Attempt("o-1", "http://10.0.0.1:80", ForwardError.CONNECT_FAILED, 0.0, None, 0.0021)
SECOND = Attempt("o-2", "http://10.0.0.2:80", None, 0.0022, 0.0005, 0.004)


class Head:
    """What lines need of a request's head."""

    def __init__(self, target: bytes = b"/orders?id=7", **headers: bytes) -> None:
        self.method, self.minor = b"GET", 1
        self.host_header: bytes | None = b"shop.example"
        self.target = target
        self.headers = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]


def ended(**different: Any) -> Ended:
    usual: dict[str, Any] = {
        "at": 1_795_356_306.789,
        "seconds": 0.01234,
        "head": Head(user_agent=b"curl/8"),
        "request_id": b"8f3a-1",
        "listener": "http",
        "scheme": b"http",
        "client": "198.51.100.7",
        "peer": "10.1.1.1",
        "status": 200,
        "error": None,
        "route": "orders",
        "service": "shop",
        "tenant": None,
        "subject": None,
        "revision": 412,
        "attempts": (FIRST, SECOND),
        "received": 0,
        "sent": 512,
        "tls": (None, "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
    }
    return Ended(**{**usual, **different})


def written(form: str = "json", names: Any = DEFAULT_FIELDS, **different: Any) -> str:
    line = make_line(form, names, NOTHING_HIDDEN)(ended(**different)).decode()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    return line[:-1]


def test_json_has_all_of_an_exchange() -> None:
    """In the order of the fields."""
    assert json.loads(written()) == {
        "time": "2026-11-22T14:05:06.789Z",
        "request_id": "8f3a-1",
        "trace_id": None,
        "client": "198.51.100.7",
        "method": "GET",
        "host": "shop.example",
        "target": "/orders?id=7",
        "protocol": "HTTP/1.1",
        "tls_version": "TLSv1.3",
        "status": 200,
        "error": None,
        "route": "orders",
        "service": "shop",
        "tenant": None,
        "subject": None,
        "instance": "o-2",
        "address": "http://10.0.0.2:80",
        "attempts": 2,
        "tried": [
            {
                "instance": "o-1",
                "address": "http://10.0.0.1:80",
                "error": "connect_failed",
                "began_ms": 0.0,
                "connect_ms": None,
                "ms": 2.1,
            }
        ],
        "received": 0,
        "sent": 512,
        "duration_ms": 12.34,
        "connect_ms": 0.5,
        "first_byte_ms": 4.0,
        "user_agent": "curl/8",
        "revision": 412,
    }
    assert list(json.loads(written())) == list(DEFAULT_FIELDS)


def test_what_came_to_no_request_has_a_line_too() -> None:
    """As a head that is malformed."""
    one = json.loads(
        written(
            names=tuple(FIELDS),
            head=None,
            attempts=(),
            status=400,
            error=ForwardError.MALFORMED_REQUEST,
            route="",
            service="",
            revision=None,
            tls=None,
        )
    )
    assert (one["status"], one["error"]) == (400, "malformed_request")
    assert [name for name, value in one.items() if value is None] == [
        *(
            "trace_id",
            "protocol",
            "tls_version",
            "tls_cipher",
            "method",
            "host",
            "target",
            "path",
            "query",
            "route",
            "service",
            "tenant",
        ),
        *("subject", "revision", "instance", "address", "tried", "connect_ms", "first_byte_ms"),
        *("user_agent", "referer"),
    ]


@pytest.mark.parametrize(
    ("form", "line"),
    [
        (
            "common",
            '198.51.100.7 - - [22/Nov/2026:14:05:06 +0000] "GET /orders?id=7 HTTP/1.1" 200 512',
        ),
        (
            "combined",
            (
                '198.51.100.7 - - [22/Nov/2026:14:05:06 +0000] "GET /orders?id=7 HTTP/1.1" 200 512'
                ' "-" "curl/8"'
            ),
        ),
        ("{status} 100 % {path} {query} {header:User-Agent}", "200 100 % /orders id=7 curl/8"),
        ("{tenant}{error}", "--"),
        ("static", "static"),
    ],
)
def test_lines_are_by_the_template(form: str, line: str) -> None:
    assert written(form) == line


@pytest.mark.parametrize(
    ("form", "names", "why"),
    [
        ("json", ["status", "stauts"], "there is no field 'stauts'"),
        ("json", ["header:"], "there is no field 'header:'"),
        ("json", ["header:ü"], "there is no field"),
        ("{stauts}", [], "there is no field 'stauts'"),
        ("{status", [], "a brace that begins or ends no field"),
        ("status}", [], "a brace that begins or ends no field"),
        ("{status}\n{host}", [], "on one line"),
    ],
)
def test_lines_that_can_not_be_are_refused(form: str, names: list[str], why: str) -> None:
    with pytest.raises(LineError, match=re.escape(why)):
        make_line(form, names, NOTHING_HIDDEN)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_nothing_sent_ends_a_line_or_a_quoted_field(target: bytes, agent: bytes) -> None:
    """Whatever it is: JSON is read back, and a template has as many quotes as ever."""
    head = Head(b"/" + target, user_agent=agent)
    one = json.loads(written(head=head))
    assert one["target"] == (b"/" + target).decode("utf-8", "backslashreplace")
    line = written("combined", head=head)
    assert line.isascii()
    assert line.isprintable()
    assert line.count('"') == 6


@given(st.text(min_size=1, max_size=20))
def test_names_of_headers_never_become_code(name: str) -> None:
    """Settings say them: whatever they are, they are names or refused."""
    try:
        line = make_line("json", [f"header:{name}"], NOTHING_HIDDEN)
    except LineError:
        return
    assert json.loads(line(ended())) == {f"header:{name}": None}


class KnownLinesTests:
    def test_they_are_up_to_date(self) -> None:
        """Made by python -m fengling_gateway.records.line_source."""
        path = Path(line_source.__file__).with_name("known_lines.py")
        assert path.read_text() == line_source.known_source()

    @pytest.mark.parametrize("form", ["json", *TEMPLATES])
    def test_they_are_used(self, form: str) -> None:
        """Of any other line the function is made when it is asked for."""
        line: Any = make_line(form, DEFAULT_FIELDS, NOTHING_HIDDEN)
        assert line.__module__ == "fengling_gateway.records.known_lines"
        line = make_line("json", ("status",), NOTHING_HIDDEN)
        assert line.__module__ != "fengling_gateway.records.known_lines"


def test_what_a_proxy_says_of_the_scheme_is_written_as_text() -> None:
    """It is trusted, but what it passes on may be anybody's."""
    for scheme, read in ((b'h"ttp', 'h"ttp'), (b"\xff", "\\xff")):
        assert json.loads(written(names=["scheme"], scheme=scheme)) == {"scheme": read}


class RedactionTests:
    @pytest.mark.parametrize(
        ("target", "told"),
        [
            (b"/a?token=x", b"/a?token=REDACTED"),
            (b"/a?b=c&TOKEN=x&d", b"/a?b=c&TOKEN=REDACTED&d"),
            (b"/a?%74oken=x", b"/a?%74oken=REDACTED"),
            (b"/a?+token=x", b"/a?+token=REDACTED"),
            (b"/a?tokens=x", b"/a?tokens=x"),
            (b"/a?x=token=y", b"/a?x=token=y"),
            (b"/token=x", b"/token=x"),
            (b"/a?token", b"/a?token"),
            (b"/a?", b"/a?"),
            (b"/%61", b"/%61"),
        ],
    )
    def test_values_of_some_parameters_are_not_told(self, target: bytes, told: bytes) -> None:
        """However the name is written; the path is never changed."""
        assert Redaction(["Token"], ()).target(target) == told
        line = make_line("{target}", (), Redaction(["Token"], ()))
        assert line(ended(head=Head(target))) == told + b"\n"

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([b"", b"t", b"Token", b"%74oken", b"+token", b"page", b"to%6ben+"]),
                st.sampled_from([b"=", b"", b"=="]),
                st.sampled_from([b"", b"x", b"token=y", b"%26"]),
                st.sampled_from([b"&", b";", b"&&", b"?"]),
            ),
            max_size=4,
        )
    )
    def test_short_way_changes_nothing(
        self, parts: list[tuple[bytes, bytes, bytes, bytes]]
    ) -> None:
        """Most targets are told as they are without a closer look."""
        query = b"".join(map(b"".join, parts))
        told = redacted_query(query, names_to_redact(["token"]))
        assert Redaction(["Token"], ()).target(b"/a?" + query) == b"/a?" + told

    def test_some_headers_are_not_told(self) -> None:
        """Credentials never."""
        line = make_line(
            "{header:Authorization} {header:X-Key} {header:X-Other} {header:X-None}",
            (),
            Redaction((), ["x-key"]),
        )
        head = Head(authorization=b"Basic x", x_key=b"y", x_other=b"z")
        assert line(ended(head=head)) == b"REDACTED REDACTED z -\n"

    def test_header_with_a_field_of_its_own_is_not_told_either(self) -> None:
        """Whatever the field is called."""
        redaction = Redaction((), ["User-Agent", "Referer"])
        head = Head(user_agent=b"x", referer=b"/y")
        line = make_line("{user_agent} {referer} {header:Referer}", (), redaction)
        assert line(ended(head=head)) == b"REDACTED REDACTED REDACTED\n"
        one = json.loads(make_line("json", DEFAULT_FIELDS, redaction)(ended(head=head)))
        assert one["user_agent"] == "REDACTED"

    def test_address_of_a_page_is_told_without_secrets(self) -> None:
        """Credentials in it are as good as those of the request."""
        line = make_line("{referer} {header:Referer}", (), Redaction(["token"], ()))
        head = Head(referer=b"https://h.example/p?a=1&token=x")
        told = b"https://h.example/p?a=1&token=REDACTED"
        assert line(ended(head=head)) == told + b" " + told + b"\n"
        blank = line(ended(head=Head(referer=b"x? token=x&b c")))
        assert blank == b"x? token=REDACTED&b c x? token=REDACTED&b c\n"

    @pytest.mark.parametrize("name", ["X-Api-Key", "X-Gateway-Debug", "Cookie"])
    def test_credentials_for_the_gateway_are_never_told(self, name: str) -> None:
        """Nor whoever asks for them by name."""
        line = make_line(f"{{header:{name}}}", (), NOTHING_HIDDEN)
        assert line(ended(head=Head(**{name: b"x"}))) == b"REDACTED\n"

    @pytest.mark.parametrize("pairs", [b";", b"%&", b"token&"])
    def test_query_of_very_many_parameters_is_not_looked_at(self, pairs: bytes) -> None:
        """It is not told: looking would take as long as a hundred requests."""
        redaction = Redaction(["token"], ())
        assert redaction.target(b"/a?" + pairs * 1999) == b"/a?REDACTED"
        few = b"/a?" + pairs * (MAX_PAIRS - 1)
        assert redaction.target(few) == few


def test_what_is_not_plain_is_escaped_by_its_bytes() -> None:
    """Each of them."""
    agent = 'a"\\ü\x7f€'.encode()
    line = written("{user_agent}", head=Head(user_agent=agent))
    assert line == r"a\x22\x5C\xC3\xBC\x7F\xE2\x82\xAC"


class FilterTests:
    def test_all_have_lines_unless_something_is_said(self) -> None:
        assert Filter().takes(ended())

    @pytest.mark.parametrize(
        ("different", "takes"),
        [
            ({}, False),
            ({"status": 404}, False),
            ({"status": 500}, True),
            ({"status": 599}, True),
            ({"status": 0}, False),
            ({"seconds": 1.0}, True),
            ({"error": ForwardError.CLIENT_GONE, "status": 499}, True),
            ({"status": 500, "route": "other"}, False),
        ],
    )
    def test_what_matters_always_has_one(self, different: Any, takes: bool) -> None:
        """Failures, some statuses, slow ones; of the routes that are asked for."""
        filters = Filter(statuses=[(500, 599)], slower_than=1.0, sample=0.0, routes=["orders", "x"])
        assert filters.takes(ended(**different)) is takes

    @given(st.integers(0, 100), st.integers(0, 300))
    def test_of_the_rest_the_share_that_is_asked_for(self, percent: int, number: int) -> None:
        """To within one."""
        filters = Filter(sample=percent / 100)
        taken = sum(filters.takes(ended()) for _ in range(number))
        assert abs(taken - number * percent / 100) <= 1
