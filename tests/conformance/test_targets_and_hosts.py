"""What is matched is what is forwarded: paths, queries, hosts, methods."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.client import request
from tests.conformance.instance import CLOSE, RESET, Step, head
from tests.conformance.scene import Scene, staged
from tests.dataplane.snapshots import Entity, answering_route, instance, route, service

ENTITIES = [
    answering_route("admin", "/admin/{**rest}", respond={"status": 403, "headers": {}, "body": ""}),
    answering_route("shop", "/{**rest}", hosts=["shop.example.com"], respond=(
        {"status": 418, "headers": {}, "body": ""}
    )),
    route("stripped", "/api/{**rest}", policies={"path": {"strip": "/api", "prefix": None}}),
    route("prefixed", "/v1/{**rest}", policies={"path": {"strip": "/v1", "prefix": "/inner/v1/"}}),
    answering_route("by-query", "/by-query", respond={"status": 418, "headers": {}, "body": ""},
        match={"headers": [], "cookies": [], "client_ip": [], "listeners": [], "query": [
            {"name": "role", "op": "equals", "value": "admin", "ignore_case": False}]}),
    answering_route("moved", "/moved/{**rest}",
        redirect={"status": 308, "location": "{path}{query}"}),
    service("gone"), route("gone", "/gone", service_id="gone"),
    route("slashes", "/slashes/{**rest}", policies={"path": {"encoded_slashes": True}}),
    route("absent", "/absent", service_id="absent"),
    service("dead"), instance("dead", service_id="dead", address="http://127.0.0.1:1"),
    route("dead", "/dead/{**rest}", service_id="dead"),
]  # fmt: skip


# Paths


@pytest.mark.parametrize(
    "path",
    [
        *(b"/pub/../admin", b"/pub/%2e%2e/admin", b"/pub/%2E./admin", b"/pub/.%2e/admin"),
        *(
            b"//admin",
            b"/./admin",
            b"/admin/.",
            b"/admin/..",
            b"/pub/..;/admin",
            b"/pub/..;x=y/admin",
        ),
        *(b"/pub/;/../admin", b"/pub\\..\\admin", b"/\\admin", b"/pub//admin", b"/admin//", b"/.."),
        *(b"/.", b"/..", b"/pub/%2e", b"/pub/..%3b/admin", b"/.;/admin", b"///", b"/pub/.%2e;/x"),
        *(b"/;/admin", b"/;x=y/admin", b"/pub/;a;b/admin", b"/a%20b/;/x"),
    ],
)
def test_path_with_two_readings_is_refused(scene: Scene, path: bytes) -> None:
    """Dot segments, empty segments and back-slashes are refused, encoded or not."""
    scene.refuses(request(target=path), code="invalid_target")


@pytest.mark.parametrize(
    "path",
    [
        *(b"/a%2fb", b"/a%2Fb", b"/a%5cb", b"/a%5Cb", b"/a%00", b"/a%3bb", b"/a%3fb", b"/a%23b"),
        *(b"/%252e%252e/admin", b"/a%252fb", b"/%25%32%66", b"/a%c0%afb", b"/%c0%ae%c0%ae/admin"),
        *(b"/a%e0%80%afb", b"/a%f0%80%80%afb", b"/a%c1%9cb", b"/a%0d%0aX:y", b"/a%0a", b"/a%7f"),
        *(b"/a%", b"/a%2", b"/a%zz", b"/a%u002f", b"/a%%32%66", b"/a%1fb", b"/a%f5%80", b"/a%ff"),
    ],
)
def test_ambiguous_encoding_is_refused(scene: Scene, path: bytes) -> None:
    """Encoded delimiters, double, overlong and broken encodings are refused."""
    scene.refuses(request(target=path), code="invalid_target")


def test_encoded_slash_passes_where_the_route_says_so(scene: Scene) -> None:
    """It is part of a segment; what it would hide from those who decode it is still refused."""
    for path in (b"/slashes/@scope%2Fname", b"/slashes/a%2fb/c"):
        assert scene.forwards(request(target=path)).target == path
    for path in (b"/slashes/..%2fadmin", b"/slashes/a%2f..%2f..%2fadmin", b"/slashes%2f%2fadmin"):
        scene.refuses(request(target=path), code="invalid_target")
    scene.refuses(request(target=b"/slashes%2Fa"), code="invalid_target")


@pytest.mark.parametrize("target", [b"/x#/admin", b"/x#", b"/x?y#z", b"/#", b"#/admin"])
def test_fragment_is_refused(scene: Scene, target: bytes) -> None:
    """A target has no fragment: one program would cut it off, the next would not."""
    scene.refuses(request(target=target))


@pytest.mark.parametrize("path", [b"/admin", b"/%61dmin", b"/admi%6E/x", b"/admin/"])
def test_every_spelling_of_a_path_is_matched(scene: Scene, path: bytes) -> None:
    """Who protects /admin protects /%61dmin."""
    assert scene.ask(request(target=path)).status == 403


@pytest.mark.parametrize("path", [b"/Admin", b"/administration", b"/x/admin", b"/admin;x", b"/;x"])
def test_other_paths_are_matched_as_they_are(scene: Scene, path: bytes) -> None:
    """Paths are compared with case and by whole segments."""
    assert scene.forwards(request(target=path)).target == path


@pytest.mark.parametrize(
    "path",
    [
        *(
            b"/a%20b",
            b"/%7Euser",
            b"/~user",
            b"/a;b=c",
            b"/a:b@c!$&'()*+,=",
            b"/%e4%b8%ad",
            b"/a%25b",
        ),
        *(b"/a.b/.c/...", b"/%E4%b8%AD", b"/a/b/", b"/a|b", b'/a"b', b"/a{b}^`"),
    ],
)
def test_path_is_forwarded_as_it_is(scene: Scene, path: bytes) -> None:
    """Nothing in a path is decoded, encoded or cleaned up on its way."""
    assert scene.forwards(request(target=path)).target == path


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [
        *((b"/api/x", b"/x"), (b"/api", b"/"), (b"/api/", b"/"), (b"/api?q=1", b"/?q=1")),
        *((b"/api/a%20b?c", b"/a%20b?c"), (b"/%61pi/x", b"/x"), (b"/v1/x", b"/inner/v1/x")),
        *((b"/v1", b"/inner/v1"), (b"/v1/", b"/inner/v1/"), (b"/v1/%7Ex?", b"/inner/v1/%7Ex?")),
    ],
)
def test_rewritten_path_has_one_slash_at_the_joint(
    scene: Scene, target: bytes, forwarded: bytes
) -> None:
    """A prefix is taken off or put before with one slash between, and what follows stays as it is."""
    assert scene.forwards(request(target=target)).target == forwarded


@pytest.mark.parametrize(
    "target", [b"/\xe4\xb8\xad", b"/q?\xe4\xb8\xad", b"/\xff", b"/a\x7fb", b"/\x01"]
)
def test_target_beyond_printable_ascii_is_refused(scene: Scene, target: bytes) -> None:
    """A URI has printable ASCII only; the rest comes encoded or not at all."""
    scene.refuses(request(target=target))


# Queries


@pytest.mark.parametrize(
    "query",
    [
        *(
            b"",
            b"a=1&a=2",
            b"a=%zz",
            b"a=1;b=2",
            b"a=%2f..%2f",
            b"%00",
            b"a+b=c%20d",
            b"&&",
            b"=",
            b"?",
        ),
        *(b"a=../..//", b"a=\\", b"%c0%af", b"a[]=1&b={}|^`", b"u=http://x//y?z"),
    ],
)
def test_query_is_forwarded_byte_for_byte(scene: Scene, query: bytes) -> None:
    """Nobody but the instance judges a query."""
    assert scene.forwards(request(target=b"/q?" + query)).target == b"/q?" + query
    assert scene.forwards(request(target=b"/api/q?" + query)).target == b"/q?" + query


@pytest.mark.parametrize("query", [b"role=admin", b"role=admin&role=user", b"r%6Fle=%61dmin"])
def test_first_parameter_is_the_one_that_is_matched(scene: Scene, query: bytes) -> None:
    """Of parameters with the same name the first counts, as documented."""
    assert scene.ask(request(target=b"/by-query?" + query)).status == 418


@pytest.mark.parametrize("query", [b"role=user&role=admin", b"a;role=admin", b"role=%zz"])
def test_other_parameters_are_not_matched(scene: Scene, query: bytes) -> None:
    """A semicolon separates nothing, and a later parameter is not the first."""
    target = b"/by-query?" + query
    assert scene.forwards(request(target=target)).target == target


def test_query_of_ten_thousand_parameters_is_too_long(scene: Scene) -> None:
    """A flood of parameters ends at the limit of the target."""
    query = b"&".join(b"p%d=1" % number for number in range(10_000))
    scene.refuses(request(target=b"/?" + query), 414, "target_too_long")


# Forms of targets


@pytest.mark.parametrize(
    "target",
    [
        *(b"*", b"example.com", b"example.com:80", b"admin", b"?x", b"ftp://example.com/"),
        *(
            b"http:/example.com/",
            b"http:example.com",
            b"http://",
            b"http:///x",
            b"://x",
            b"\\admin",
        ),
        *(b"http://user@example.com/", b"http://user:pass@example.com/", b"http://example.com:x/"),
        *(b"http://exa mple.com/", b"http://example.com\\@evil/", b"http://example.com/../admin"),
        *(b"http://example.com//admin", b"javascript:alert(1)", b"file:///etc/passwd"),
    ],
)
def test_target_of_another_form_is_refused(scene: Scene, target: bytes) -> None:
    """Targets have origin-form, or absolute-form with a plain authority."""
    scene.refuses(request(target=target))


@pytest.mark.parametrize("target", [b"*", b"/"])
def test_options_is_forwarded_for_a_path_only(scene: Scene, target: bytes) -> None:
    """OPTIONS * asks about the gateway, of which there is nothing to tell."""
    raw = request(target=target, method=b"OPTIONS")
    if target == b"*":
        scene.refuses(raw)
    else:
        assert scene.forwards(raw).method == b"OPTIONS"


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [
        (b"http://example.com/x?y", b"/x?y"),
        (b"http://EXAMPLE.com:80", b"/"),
        (b"HTTP://example.com?q", b"/?q"),
        (b"https://example.com./x", b"/x"),
    ],
)
def test_absolute_form_is_forwarded_in_origin_form(
    scene: Scene, target: bytes, forwarded: bytes
) -> None:
    """An absolute target is accepted where its host is the Host, and forwarded without it."""
    got = scene.forwards(request(target=target))
    assert got.target == forwarded
    assert got.one("Host") == b"example.com"


@pytest.mark.parametrize("host", [b"other.example.com", b"shop.example.com", b""])
def test_absolute_form_with_another_host_is_refused(scene: Scene, host: bytes) -> None:
    """Target and Host name the same host."""
    scene.refuses(request(target=b"http://example.com/", host=host), code="invalid_host")


def test_absolute_form_is_matched_like_any_other(scene: Scene) -> None:
    """A protected path is protected in absolute-form."""
    assert scene.ask(request(target=b"http://example.com/admin")).status == 403


# Hosts


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        (b"Host:",),
        (b"Host: example.com", b"Host: example.com"),
        (b"Host: example.com", b"host: evil.example.com"),
        *((b"Host: " + value,) for value in (
            b"user@example.com", b"user:pass@example.com", b"example.com/admin", b"example.com, other",
            b"example.com other", b"example.com,", b"exa\tmple.com", b"example.com:80:80", b"[::1",
            b"example.com:x", b"example.com:-1", b"example.com:808080", b"example.com?x", b"[::1]x",
            b"example.com#x", b"http://example.com", b"<script>", b"exam%70le.com", b".", b":80",
            b"example..com\\x", b"\xe4\xb8\xad.example", b"a" * 256, b"[fe80::1%25eth0]", b"[x]",
        )),
    ],
)  # fmt: skip
def test_request_without_exactly_one_plain_host_is_refused(
    scene: Scene, hosts: tuple[bytes, ...]
) -> None:
    """A request names one host: no userinfo, path, list or space."""
    scene.refuses(request(*hosts, host=None), code="invalid_host")


@pytest.mark.parametrize(
    "host",
    [
        *(b"shop.example.com", b"SHOP.Example.COM", b"shop.example.com.", b"shop.example.com:8080"),
        *(b"shop.example.com.:80", b"Shop.example.com:"),
    ],
)
def test_host_is_matched_without_case_dot_and_port(scene: Scene, host: bytes) -> None:
    """One host has one meaning, however it is written."""
    assert scene.ask(request(host=host)).status == 418


@pytest.mark.parametrize(
    "host",
    [b"Example.COM:8080", b"192.0.2.1:80", b"[2001:DB8::1]:80", b"example.com.", b"a_b.test"],
)
def test_host_is_forwarded_as_it_is(scene: Scene, host: bytes) -> None:
    """The instance sees the Host that the client wrote, as the service's default says."""
    assert scene.forwards(request(host=host)).one("Host") == host


@pytest.mark.parametrize("mode", ["instance", "literal.example:8080"])
def test_service_may_choose_the_host(mode: str) -> None:
    """A service may want its instances' addresses for Host, or a literal; the client's is told beside it."""
    with staged(service(host_header=mode)) as scene:
        got = scene.forwards(request(host=b"shop.example"))
        host = got.one("Host") or b""
        assert host == mode.encode() or (mode == "instance" and host.startswith(b"127.0.0.1:"))
        assert got.one("X-Forwarded-Host") == b"shop.example"


def test_request_of_http_1_0_may_name_no_host(scene: Scene) -> None:
    """HTTP/1.0 has no Host; the instance then sees its own address."""
    got = scene.forwards(request(host=None, version=b"HTTP/1.0"))
    assert (got.one("Host") or b"").startswith(b"127.0.0.1:")


# Methods


@pytest.mark.parametrize(
    "method",
    [
        *(b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"PROPFIND", b"MKCOL", b"COPY"),
        *(b"REPORT", b"SEARCH", b"PURGE", b"LINK", b"UNLOCK", b"M-SEARCH", b"QUERY"),
    ],
)
def test_known_methods_are_forwarded(scene: Scene, method: bytes) -> None:
    """Methods of HTTP, WebDAV and others that the parser knows pass as they are."""
    got = scene.forwards(request(method=method))
    assert got.method == method


@pytest.mark.parametrize("method", [b"FOO", b"GETS", b"G", b"X" * 32, b"BREW"])
def test_unknown_methods_are_not_implemented(scene: Scene, method: bytes) -> None:
    """A well-formed method that nobody knows is answered with 501."""
    scene.refuses(request(method=method), 501, "method_unknown")


@pytest.mark.parametrize(
    "method", [b"get", b"Get", b"X" * 1024, b"GE(T", b"GE\x00T", b"1GET", b'"GET"']
)
def test_method_in_another_spelling_is_refused(scene: Scene, method: bytes) -> None:
    """Methods have upper case and a bounded length."""
    scene.refuses(request(method=method))


@pytest.mark.parametrize(
    "raw",
    [
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        request(method=b"CONNECT"),
        request(method=b"CONNECT", target=b"http://example.com/"),
        b"CONNECT example.com:443 HTTP/1.0\r\n\r\n" + request(target=b"/smuggled"),
    ],
)
def test_connect_is_refused(scene: Scene, raw: bytes) -> None:
    """No tunnels to wherever a client wants, and nothing after a CONNECT is a request."""
    scene.refuses(raw, 405, "method_refused")


def test_trace_is_refused(scene: Scene) -> None:
    """TRACE would show the client what the gateway adds."""
    scene.refuses(request(method=b"TRACE"), 405, "method_refused")


@pytest.mark.parametrize(
    "name", [b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override"]
)
def test_method_override_is_not_honoured(scene: Scene, name: bytes) -> None:
    """The method is the one of the first line; other claims are the instance's affair."""
    got = scene.forwards(request(name + b": DELETE", target=b"/x"))
    assert got.method == b"GET"
    assert got.one(name.decode()) == b"DELETE"


# Where it goes


def test_request_without_an_instance_is_unavailable(scene: Scene) -> None:
    """A service without instances is 503, and says when to come again."""
    answer = scene.ask(request(target=b"/gone"))
    assert (answer.status, answer.code) == (503, "no_instance")
    assert answer.one("Retry-After") == b"1"


def test_request_without_a_service_is_unavailable(scene: Scene) -> None:
    """A route to a service that isn't there is 503."""
    answer = scene.ask(request(target=b"/absent"))
    assert (answer.status, answer.code) == (503, "no_service")


def test_request_without_a_route_is_not_found() -> None:
    """What nobody configured is 404, and reflects nothing."""
    with staged(route("r", "/only")) as scene, scene.client() as client:
        answer = client.send(request(target=b"/<script>", host=b"other.example")).answer()
        assert (answer.status, answer.code) == (404, "no_route")
        assert b"script" not in answer.body
        assert client.send(request(target=b"/only")).answer().status == 200


def test_instance_that_refuses_connections_is_a_bad_gateway(scene: Scene) -> None:
    """An instance that can't be reached is 502, without its address."""
    answer = scene.ask(request(target=b"/dead/x"))
    assert (answer.status, answer.code) == (502, "connect_failed")
    assert b"127.0.0.1" not in answer.body


UNREACHABLE = {
    "connect_failed": "http://127.0.0.1:1",
    "resolve_failed": "http://orders.internal:4711",
    "address_refused": "http://hosts-file:4711",
    "no_instance": "http://169.254.169.254:4711",
}
"""What goes wrong, and with an instance at which address."""


@pytest.fixture(scope="module")
def unreachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    hosts = tmp_path_factory.mktemp("hosts") / "hosts"
    hosts.write_text("169.254.169.254 hosts-file\n")
    entities: list[Entity] = []
    for code, address in UNREACHABLE.items():
        entities += [
            service(code, connect_timeout=0.3),
            instance(code, service_id=code, address=address),
            route(code, f"/{code}", service_id=code),
        ]
    settings = {"dns_servers": [("127.0.0.1", 1)], "dns_timeout": 0.3, "dns_hosts": str(hosts)}
    with staged(*entities, **settings) as scene:
        yield scene


@pytest.mark.parametrize("code", UNREACHABLE)
def test_errors_name_no_instance(unreachable: Scene, code: str) -> None:
    """Whatever keeps it from being reached: clients hear that, and not where it is."""
    answer = unreachable.ask(request(target=f"/{code}".encode()))
    assert answer.code == code
    whole = answer.body + b"".join(name + value for name, value in answer.headers)
    for secret in (b"127.0.0", b"169.254", b"internal:", b"hosts-file", b"4711"):
        assert secret not in whole


@pytest.mark.parametrize(
    "steps",
    [
        (CLOSE,),
        (RESET,),
        (b"HTTP/1.1 200 127.0.0.1:4711\r\nX: orders.internal\r\n broken\r\n\r\n",),
        (b"orders.internal 127.0.0.1:4711\r\n\r\n",),
        (head(b"X-Internal: orders.internal", b"Content-Length: x"),),
        (head(b"X-Internal: " + b"orders.internal " * 4000),),
        (head(b"Location: http://orders.internal:4711", status=b"99 x"),),
    ],
)
def test_errors_say_nothing_that_a_broken_answer_said(
    scene: Scene, steps: tuple[Step, ...]
) -> None:
    """What can't be relayed is left out whole."""
    scene.instance.responds(lambda _: steps)  # each time: a reset is tried again
    answer = scene.ask(request())
    assert answer.status == 502
    assert answer.code
    whole = answer.body + b"".join(name + value for name, value in answer.headers)
    for secret in (b"127.0.0.1", b"internal", b"4711"):
        assert secret not in whole


@pytest.mark.parametrize("target", [b"/dead/<script>", b"/gone?<script>", b"/moved/<script>"])
def test_errors_reflect_nothing_of_the_target(scene: Scene, target: bytes) -> None:
    """What a client wrote is not in the body that it gets back."""
    answer = scene.ask(request(target=target))
    assert b"<script>" not in answer.body
    if answer.body:
        assert answer.one("X-Content-Type-Options") == b"nosniff"


def test_errors_reflect_nothing_of_the_host(scene: Scene) -> None:
    """What a client wrote for a host is not in the body that it gets back."""
    answer = scene.ask(request(host=b"<script>alert(1)</script>"))
    assert answer.status == 400
    assert b"script" not in answer.body
    assert answer.one("X-Content-Type-Options") == b"nosniff"


def test_redirect_stays_on_its_host(scene: Scene) -> None:
    """A redirect by a client's path leads to a path, never to another host."""
    answer = scene.ask(request(target=b"/moved/x?y=//evil"))
    assert answer.status == 308
    assert answer.one("Location") == b"/moved/x?y=//evil"
