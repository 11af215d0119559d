"""Which headers pass, in both directions, and how."""

from __future__ import annotations

import gzip

import pytest

from tests.conformance.client import post, request
from tests.conformance.instance import CLOSE, head, ok
from tests.conformance.scene import Scene
from tests.dataplane.snapshots import answering_route, route, setting, tenant

EDITS = {
    "set": {"X-Set": "by the route", "X-Tenant-Id": "route's"},
    "add": {"X-Added": "2"},
    "remove": ["x-removed", "server"],
}
INJECTING = {
    "set": {"X-Set": "a\r\nX-Injected: y", "X-Y": "a\nX-Injected: y", "X-Z": "a\0", "X-Kept": "y"},
    "add": {"X-Injected: y\r\nX": "z", "X Injected": "y", "Content-Length": "5", "": "X-Injected"},
    "remove": ["host", "connection"],
}
ENTITIES = [
    route(
        "unchecked",
        "/unchecked",
        policies={"request_headers": INJECTING, "response_headers": INJECTING},
    ),
    route("dated", "/dated", policies={"response_headers": {"set": {"Date": "never"}}}),
    route("edited", "/edited", policies={"request_headers": EDITS, "response_headers": EDITS}),
    answering_route("fixed", "/fixed", respond={"status": 200, "headers": {}, "body": "fixed"}),
    route("plain", "/plain", policies={"request_headers": {"remove": ["x-forwarded-for"]}}),
    setting("identity_headers", {"roles": "X-Internal-Role"}),
    tenant("acme", hosts=["acme.example"]),
]

HOP_BY_HOP = (
    *(b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive", b"Proxy-Authenticate: Basic"),
    *(b"Proxy-Authorization: Basic eDp5", b"TE: gzip", b"Trailer: X", b"Alt-Svc: h2", b"Close: x"),
    *(b"Proxy-Authentication-Info: x", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
)


def name_of(line: bytes) -> str:
    return line.partition(b":")[0].decode()


# Hop by hop


@pytest.mark.parametrize("line", HOP_BY_HOP)
def test_hop_by_hop_header_is_not_forwarded(scene: Scene, line: bytes) -> None:
    """What concerns the client's connection ends at the gateway."""
    assert scene.forwards(request(line, b"X-Kept: y")).one(name_of(line)) is None
    assert scene.instance.request().one("X-Kept") == b"y"


@pytest.mark.parametrize("line", HOP_BY_HOP)
def test_hop_by_hop_header_of_an_answer_is_not_forwarded(scene: Scene, line: bytes) -> None:
    """What concerns the instance's connection ends at the gateway."""
    scene.instance.answers(ok(b"", line, b"X-Kept: y"))
    answer = scene.ask(request())
    assert answer.all(name_of(line)) == []
    assert answer.one("X-Kept") == b"y"


@pytest.mark.parametrize(
    "lines",
    [
        (b"Connection: x-hop, X-Hop-2",),
        (b"Connection: X-Hop", b"Connection: close, x-HOP-2"),
        (b"Connection: ,, x-hop ,\t, X-Hop-2,",),
        (b"Connection: keep-alive, X-Hop, close, X-Hop-2",),
    ],
)
def test_headers_that_connection_names_are_not_forwarded(
    scene: Scene, lines: tuple[bytes, ...]
) -> None:
    """Whatever Connection names is hop-by-hop, however often and untidily it says so."""
    got = scene.forwards(request(*lines, b"X-Hop: 1", b"x-hop-2: 2", b"X-Hop: 3", b"X-Kept: y"))
    assert got.one("X-Hop") is got.one("X-Hop-2") is None
    assert got.one("X-Kept") == b"y"


@pytest.mark.parametrize(
    "lines",
    [
        (b"Connection: x-hop, X-Hop-2",),
        (b"Connection: X-Hop", b"Connection: x-HOP-2"),
        (b"Connection: ,, x-hop ,\t, X-Hop-2,",),
    ],
)
def test_headers_that_an_answers_connection_names_are_not_forwarded(
    scene: Scene, lines: tuple[bytes, ...]
) -> None:
    """The same holds for answers."""
    scene.instance.answers(ok(b"", *lines, b"X-Hop: 1", b"X-Hop-2: 2", b"X-Kept: y"))
    answer = scene.ask(request())
    assert answer.all("X-Hop") == answer.all("X-Hop-2") == []
    assert answer.one("X-Kept") == b"y"


@pytest.mark.parametrize(
    "name", ["Authorization", "Cookie", "Content-Type", "Host", "X-Forwarded-For", "X-Request-Id"]
)
def test_connection_takes_no_protected_header_away(scene: Scene, name: str) -> None:
    """A client can't have removed what authenticates it or what the gateway sets."""
    lines = [b"Connection: close, " + name.lower().encode()]
    if name in ("Authorization", "Cookie", "Content-Type"):
        lines.append(name.encode() + b": kept")
    assert scene.forwards(request(*lines)).one(name)


def test_connection_takes_nothing_away_that_the_gateway_says(scene: Scene) -> None:
    """Neither who was verified, nor what a route sets, nor the way that the request has come."""
    names = b"close, x-tenant-id, x-set, x-added, via"
    lines = (b"Connection: " + names, b"X-Set: 1", b"X-Added: 1", b"X_Tenant_Id: evil")
    got = scene.forwards(request(*lines, target=b"/edited", host=b"acme.example"))
    assert got.one("X-Tenant-Id") == b"acme"
    assert got.one("X-Set") == b"by the route"
    assert got.all("X-Added") == [b"2"]
    assert got.one("Via") == b"1.1 fengling"


def test_connection_takes_no_framing_away(scene: Scene) -> None:
    """A client can't have removed the length of its body."""
    got = scene.forwards(post(b"hello", b"Connection: content-length, transfer-encoding"))
    assert got.body == b"hello"


def test_connection_takes_no_framing_of_an_answer_away(scene: Scene) -> None:
    """An instance can't have removed the length of its answer."""
    scene.instance.answers(ok(b"hello", b"Connection: content-length, set-cookie", b"X: y"))
    answer = scene.ask(request())
    assert (answer.body, answer.one("X")) == (b"hello", b"y")


@pytest.mark.parametrize("value", [b"keep-alive", b"Keep-Alive", b"keep-alive, x", b"x"])
def test_connection_itself_is_not_forwarded(scene: Scene, value: bytes) -> None:
    """Each connection has its own Connection header."""
    assert scene.forwards(request(b"Connection: " + value)).one("Connection") is None


def test_header_called_trailers_is_an_ordinary_one(scene: Scene) -> None:
    """Trailers, in the plural, is nothing of HTTP's."""
    assert scene.forwards(request(b"Trailers: x")).one("Trailers") == b"x"


# Identity


@pytest.mark.parametrize(
    "name",
    [
        *(
            b"X-Tenant-Id",
            b"x-tenant-id",
            b"X-TENANT-ID",
            b"X_Tenant_Id",
            b"x_tenant-id",
            b"X-tenant_ID",
        ),
        *(b"X-User-Id", b"X_USER_ID", b"X-Internal-Role", b"x_internal_role"),
    ],
)
def test_clients_identity_header_is_dropped_in_every_spelling(scene: Scene, name: bytes) -> None:
    """Who somebody is, only the gateway says; an underscore is a dash to some servers."""
    got = scene.forwards(request(name + b": admin", name + b": root", b"X-Kept: y"))
    assert not {b"x-tenant-id", b"x-user-id", b"x-internal-role"} & {
        one.replace(b"_", b"-") for one in got.names
    }
    assert got.one("X-Kept") == b"y"


@pytest.mark.parametrize(
    "lines",
    [
        (b"X_Tenant_Id: evil", b"X_Tenant_Id: root"),
        (b"x-TENANT_id: evil",),
        (b"X-Tenant-Id: acme", b"X_Tenant_Id: evil"),
        (b"X-TENANT-ID: acme", b"Connection: close, X-Tenant-Id"),
        (b"X-User-Id: root", b"X_User_Name: admin"),
        (),
    ],
)
def test_identity_header_is_rebuilt(scene: Scene, lines: tuple[bytes, ...]) -> None:
    """Whatever a client says, the instance is told once, by the gateway."""
    got = scene.forwards(request(*lines, host=b"acme.example"))
    said = [(key.lower().replace(b"_", b"-"), value) for key, value in got.headers]
    identity = {b"x-tenant-id", b"x-user-id", b"x-user-name", b"x-roles"}
    assert [one for one in said if one[0] in identity] == [(b"x-tenant-id", b"acme")]


@pytest.mark.parametrize(
    "lines",
    [
        (b"X-Tenant-Id: evil",),
        (b"x-tenant-id: ACME",),
        (b"X-Tenant-Id:",),
        (b"X-Tenant-Id: acme", b"X-Tenant-Id: evil"),
        (b"X-Tenant-Id: acme, evil",),
        (b"X-Tenant-Id: evil", b"Connection: close, X-Tenant-Id"),
    ],
)
def test_client_of_another_tenant_is_refused(scene: Scene, lines: tuple[bytes, ...]) -> None:
    """One that says so itself, where host or path say otherwise; it hears neither's name."""
    answer = scene.ask(request(*lines, host=b"acme.example"))
    assert (answer.status, answer.code) == (403, "tenant_mismatch")
    assert b"acme" not in answer.body
    assert b"evil" not in answer.body
    assert scene.instance.requests == []


def test_identity_header_stays_dropped_when_connection_names_it(scene: Scene) -> None:
    """Naming it hop-by-hop changes nothing."""
    got = scene.forwards(request(b"Connection: close, X-Tenant-Id", b"X-Tenant-Id: admin"))
    assert got.one("X-Tenant-Id") is None


def test_route_sets_no_identity_header(scene: Scene) -> None:
    """A route's edits can't set what only the gateway may say."""
    assert scene.forwards(request(target=b"/edited")).one("X-Tenant-Id") is None


def test_other_header_with_an_underscore_passes(scene: Scene) -> None:
    """An underscore alone is no disguise."""
    assert scene.forwards(request(b"X_Kept: y")).one("X_Kept") == b"y"


# Unchanged


def test_empty_values_pass_both_ways(scene: Scene) -> None:
    """A header without a value is there."""
    scene.instance.answers(ok(b"", b"X-Empty:", b"X-Blank:  "))
    answer = scene.ask(request(b"X-Empty:", b"X-Blank: \t "))
    assert answer.one("X-Empty") == answer.one("X-Blank") == b""
    got = scene.instance.request()
    assert got.one("X-Empty") == got.one("X-Blank") == b""


@pytest.mark.parametrize(
    "value", ["中文 é".encode(), "é".encode("latin-1"), bytes(range(0x80, 0x100))]
)
def test_bytes_beyond_ascii_pass_both_ways(scene: Scene, value: bytes) -> None:
    """Values are bytes; whether they are UTF-8 or Latin-1 is none of the gateway's business."""
    scene.instance.answers(ok(b"", b"X-Name: " + value))
    assert scene.ask(request(b"X-Name: " + value)).one("X-Name") == value
    assert scene.instance.request().one("X-Name") == value


def test_repeated_lines_keep_number_and_order(scene: Scene) -> None:
    """Lines of one name are neither joined nor sorted."""
    lines = [b"Accept: a", b"X: 1", b"Accept: b, c", b"x: 2", b"Cookie: a=1", b"Cookie: b=2"]
    got = scene.forwards(request(*lines))
    forwarded = [name + b": " + value for name, value in got.headers]
    assert [line for line in forwarded if line in lines] == lines


def test_cookies_of_an_answer_stay_lines_of_their_own(scene: Scene) -> None:
    """Set-Cookie lines can't be joined: their dates have commas."""
    cookies = [b"a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT", b"b=2", b"a=3"]
    scene.instance.answers(
        ok(b"", *(b"Set-Cookie: " + one for one in cookies), b"Vary: x", b"Vary: y")
    )
    answer = scene.ask(request())
    assert answer.all("Set-Cookie") == cookies
    assert answer.all("Vary") == [b"x", b"y"]


def test_names_keep_their_case(scene: Scene) -> None:
    """Names are compared without case and forwarded with it."""
    scene.instance.answers(ok(b"", b"x-lOwEr: 1"))
    answer = scene.ask(request(b"x-lOwEr: 1"))
    assert (b"x-lOwEr", b"1") in answer.headers
    assert (b"x-lOwEr", b"1") in scene.instance.request().headers


def test_nothing_is_added_that_the_client_did_not_say(scene: Scene) -> None:
    """Absent User-Agent, Accept and Accept-Encoding stay absent."""
    got = scene.forwards(request())
    assert set(got.names) == {
        *(b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-request-id"),
        b"via",
    }  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        *(b"Origin: https://evil.example", b"Range: bytes=0-1", b"If-None-Match: x", b"Via: 1.1 a"),
        *(
            b"Accept-Encoding: br, gzip",
            b"Upgrade-Insecure-Requests: 1",
            b"Authorization: Bearer x",
        ),
        *(b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", b"DNT: 1"),
    ],
)
def test_end_to_end_header_passes_once(scene: Scene, line: bytes) -> None:
    """What is for the instance reaches it as it is, trace context among it."""
    if line.startswith(b"Via"):
        assert scene.forwards(request(line)).all("Via")[0].startswith(b"1.1 a")
    else:
        assert scene.forwards(request(line)).one(name_of(line)) == line.partition(b": ")[2]


@pytest.mark.parametrize(
    "line",
    [
        *(b"Location: http://internal.example:8080/x", b"Server: Kestrel", b"ETag: W/x", b"Age: 3"),
        *(b"Strict-Transport-Security: max-age=1", b"WWW-Authenticate: Basic realm=x", b"X_Y: z"),
        *(b"Link: </x>; rel=preload", b"Content-Disposition: attachment", b"X-Powered-By: y"),
    ],
)
def test_end_to_end_header_of_an_answer_passes_once(scene: Scene, line: bytes) -> None:
    """What is for the client reaches it as it is: no link is rewritten unasked."""
    scene.instance.answers(ok(b"", line))
    assert scene.ask(request()).one(name_of(line)) == line.partition(b": ")[2]


def test_coded_content_passes_as_it_is(scene: Scene) -> None:
    """Nothing is decompressed, neither what claims to be gzip nor what is."""
    bomb = gzip.compress(bytes(10 << 20))
    scene.instance.answers(ok(bomb, b"Content-Encoding: gzip"))
    answer = scene.ask(post(b"no gzip at all", b"Content-Encoding: gzip"))
    assert answer.body == bomb
    got = scene.instance.whole_request()
    assert (got.body, got.one("Content-Encoding")) == (b"no gzip at all", b"gzip")


# Via


@pytest.mark.parametrize(
    ("lines", "via"),
    [
        ((), b"1.1 fengling"),
        ((b"Via: 1.0 a",), b"1.0 a, 1.1 fengling"),
        ((b"Via: 1.0 a, 2 b (c)", b"Via: 1.1 d"), b"1.0 a, 2 b (c), 1.1 d, 1.1 fengling"),
        ((b"Via: 1.1 fengling",), b"1.1 fengling, 1.1 fengling"),
    ],
)
def test_gateway_adds_itself_to_via(scene: Scene, lines: tuple[bytes, ...], via: bytes) -> None:
    """Who has forwarded a request is told to the next, in one line."""
    assert scene.forwards(request(*lines)).one("Via") == via


def test_via_says_which_protocol_was_spoken(scene: Scene) -> None:
    """A client of HTTP/1.0 is told of as one."""
    assert scene.forwards(request(version=b"HTTP/1.0")).one("Via") == b"1.0 fengling"
    raw = request(b"Via: 1.1 a", version=b"HTTP/1.0")
    assert scene.forwards(raw).one("Via") == b"1.1 a, 1.0 fengling"


@pytest.mark.parametrize("times", [9, 10, 11])
@pytest.mark.parametrize("protocol", [b"1.1", b"1.0", b"HTTP/1.1"])
def test_loop_is_detected(scene: Scene, times: int, protocol: bytes) -> None:
    """A request that has been here ten times is 508, whoever has led it back."""
    raw = request(b"Via: " + b", ".join([protocol + b" fengling"] * times))
    if times < 10:
        assert (scene.forwards(raw).one("Via") or b"").count(b"fengling") == times + 1
    else:
        answer = scene.ask(raw)
        assert (answer.status, answer.code) == (508, "loop_detected")
        assert scene.instance.requests == []


# Edits of a route


def test_route_edits_requests(scene: Scene) -> None:
    """What a route sets replaces the client's, what it adds joins it, what it removes is gone."""
    lines = (b"X-Set: the client's", b"x-added: 1", b"X-Removed: x", b"Server: x")
    got = scene.forwards(request(*lines, target=b"/edited"))
    assert got.one("X-Set") == b"by the route"
    assert got.all("X-Added") == [b"1", b"2"]
    assert got.one("X-Removed") is None


def test_route_may_say_nothing_of_the_client(scene: Scene) -> None:
    """A route that removes X-Forwarded-For removes the gateway's, and what the client sent."""
    got = scene.forwards(request(b"X-Forwarded-For: 1.2.3.4", target=b"/plain"))
    assert got.one("X-Forwarded-For") is None


def test_route_edits_answers(scene: Scene) -> None:
    """The same in an answer: an instance's Server, for example, can be removed."""
    scene.instance.answers(ok(b"", b"X-Set: the instance's", b"X-Added: 1", b"Server: Kestrel"))
    answer = scene.ask(request(target=b"/edited"))
    assert answer.one("X-Set") == b"by the route"
    assert answer.all("X-Added") == [b"1", b"2"]
    assert answer.all("Server") == []


@pytest.mark.parametrize("lines", [(), (b"Date: Tue, 15 Nov 1994 08:12:31 GMT",)])
def test_route_dates_answers_once(scene: Scene, lines: tuple[bytes, ...]) -> None:
    """What a route says of an answer takes the place of what the gateway would."""
    scene.instance.answers(ok(b"", *lines))
    assert scene.ask(request(target=b"/dated")).all("Date") == [b"never"]


def test_failure_has_no_header_of_the_answer_that_failed(scene: Scene) -> None:
    """An answer that fails before it has begun leaves nothing in the problem that replaces it."""
    scene.instance.answers(
        head(b"Transfer-Encoding: chunked", b"Set-Cookie: a=1", b"X-Secret: y") + b"zz\r\n", CLOSE
    )
    answer = scene.ask(request())
    assert answer.status == 502
    assert answer.all("Set-Cookie") == answer.all("X-Secret") == []


# Injection


@pytest.mark.parametrize(
    "value", [b"a\tb", b"<script>", b"x" * 129, b"\xc3\xa9", b"", b"a b", b"good-id"]
)
def test_request_id_of_a_stranger_is_replaced(scene: Scene, value: bytes) -> None:
    """Whoever is not trusted gets a request id of the gateway's, also in its errors."""
    got = scene.forwards(request(b"X-Request-Id: " + value))
    assert got.one("X-Request-Id") not in (value, b"", None)


def test_edit_that_is_no_header_is_left_out(scene: Scene) -> None:
    """Validation refuses it; should that ever fail, it still makes no line on the wire."""
    scene.instance.answers(ok(b"", b"X-Name: z"))
    answer = scene.ask(request(target=b"/unchecked"))
    got = scene.instance.request()
    for headers in (answer.headers, got.headers):
        said = b" ".join(name + b": " + value for name, value in headers)
        assert b"injected" not in said.lower()
        assert (b"X-Kept", b"y") in headers
    assert got.one("Host") == b"example.com"
    assert (answer.one("X-Name"), answer.body) == (b"z", b"")


def test_client_cannot_name_a_gateway_header(scene: Scene) -> None:
    """What the gateway says of itself in answers, it never takes from a client."""
    lines = (b"X-Gateway-Error: x", b"X-Gateway-Worker: w", b"X_Gateway_Revision: 1")
    got = scene.forwards(request(*lines))
    assert not [name for name in got.names if b"gateway" in name]


def test_repeated_nominations_cost_little(scene: Scene) -> None:
    """A Connection header as long as a line may be is answered like any other."""
    names = b",".join(b"x%d" % number for number in range(1200))
    assert (
        scene.forwards(request(b"Connection: " + names, b"X7: y", b"X-Kept: z")).one("X7") is None
    )
