"""
What is claimed of the Gateway API, through real sockets.

The cases are those of its conformance tests, with a host of its own for each HTTPRoute, so that one
gateway has them all.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.client import request
from tests.conformance.cluster import Cluster, clustered
from tests.conformance.instance import head, ok
from tests.kubernetes.gateway_api.builders import (
    Obj,
    make_gateway,
    make_grant,
    make_listener,
    make_route,
    make_rule,
    make_service,
    parent,
    path,
    ref,
)

V1, V2, V3 = (f"shop.v{number}.8080" for number in (1, 2, 3))


def v(number: int, **given: Any) -> list[Obj]:
    return [ref(f"v{number}", **given)]


def headers(*pairs: tuple[str, str], **more: Any) -> Obj:
    return {"headers": [{"name": name, "value": value} for name, value in pairs], **more}


def query(*pairs: tuple[str, str], **more: Any) -> Obj:
    return {"queryParams": [{"name": name, "value": value} for name, value in pairs], **more}


def rule(number: int, *matches: Obj, **given: Any) -> Obj:
    return make_rule(*matches, backends=v(number), **given)


def redirect(prefix: str, **given: Any) -> Obj:
    filters = [{"type": "RequestRedirect", "requestRedirect": given}]
    return make_rule(path(prefix), backends=[], filters=filters)


def rewrite(prefix: str, *more: Obj, **given: Any) -> Obj:
    filters = [{"type": "URLRewrite", "urlRewrite": given}, *more]
    return rule(1, path(prefix), filters=filters)


def full(value: str) -> Obj:
    return {"type": "ReplaceFullPath", "replaceFullPath": value}


def prefix(value: str) -> Obj:
    return {"type": "ReplacePrefixMatch", "replacePrefixMatch": value}


def modifier(kind: str, **given: Any) -> Obj:
    return {"type": kind, kind[0].lower() + kind[1:]: given}


def pairs(**given: str) -> list[Obj]:
    return [{"name": name.replace("_", "-"), "value": value} for name, value in given.items()]


def on(host: str, *rules: Obj, **given: Any) -> Obj:
    """An HTTPRoute for a host, named after it."""
    return make_route(*rules, name=host.partition(".")[0], hostnames=[host], **given)


EDITS = modifier(
    "RequestHeaderModifier",
    set=pairs(X_Set="new"),
    add=pairs(X_Add="added"),
    remove=["X-Remove"],
)

OBJECTS = [
    make_gateway(make_listener(allowedRoutes={"namespaces": {"from": "All"}})),
    make_gateway(make_listener(port=8080, hostname="*.alt.example"), name="alt"),
    make_gateway(
        make_listener("one", hostname="very.specific.com"),
        make_listener("two", hostname="*.wildcard.io"),
        make_listener("three", hostname="*.anotherwildcard.io"),
        name="hosts",
    ),
    make_gateway(
        make_listener("empty"),
        make_listener("wide", hostname="*.isolated.com"),
        make_listener("wider", hostname="*.foo.isolated.com"),
        make_listener("exact", hostname="abc.foo.isolated.com"),
        name="isolating",
    ),
    *(
        make_service(
            f"v{number}", ports=({"port": 8080}, {"port": 8082, "appProtocol": "kubernetes.io/ws"})
        )
        for number in (1, 2, 3)
    ),
    make_service("granted", namespace="apps"),
    make_service("kept", namespace="apps"),
    make_grant(to={"group": "", "kind": "Service", "name": "granted"}),
    on(
        "matching.test",
        rule(1, path("/"), headers(("version", "one"))),
        rule(2, path("/v2"), headers(("version", "two"))),
    ),
    on(
        "headers.test",
        rule(1, headers(("version", "one"))),
        rule(2, headers(("version", "two"))),
        rule(1, headers(("version", "two"), ("color", "orange"))),
        rule(1, headers(("color", "blue")), headers(("color", "green"))),
        rule(2, headers(("color", "red")), headers(("color", "yellow"))),
    ),
    make_route(
        rule(1, path("/"), headers(("version", "one"))),
        name="part1",
        hostnames=["across.test", "across.net"],
    ),
    make_route(
        rule(2, path("/v2"), headers(("version", "two"))), name="part2", hostnames=["across.test"]
    ),
    on(
        "order.test",
        rule(1, path("/match", "Exact")),
        rule(2, path("/match/exact", "Exact")),
        rule(3, path("/match/exact/one", "Exact")),
        rule(3, path("/match/")),
        rule(1, path("/match/prefix/")),
        rule(2, path("/match/prefix/one")),
    ),
    on(
        "query.test",
        rule(1, query(("animal", "whale"))),
        rule(2, query(("animal", "dolphin"))),
        rule(3, query(("animal", "dolphin"), ("color", "blue")), query(("ANIMAL", "Whale"))),
        rule(1, query(("animal", "whale"), **path("/path1"))),
        rule(2, query(("animal", "whale"), **headers(("version", "one")))),
        rule(1, path("/path5")),
        rule(2, query(("animal", "hydra"))),
        rule(3, headers(("version", "four"))),
        rule(2, query(("a", "1"), ("b", "2"), ("c", "3"))),
    ),
    on(
        "methods.test",
        rule(1, {"method": "POST"}),
        rule(2, {"method": "GET"}),
        rule(3, {"method": "GET", **path("/path1")}),
        rule(1, {"method": "PUT", **headers(("version", "one"))}),
        rule(1, path("/path5")),
        rule(2, {"method": "PATCH"}),
        rule(3, headers(("version", "four"))),
    ),
    on(
        "regex.test",
        rule(1, path("^/v[0-9]+/orders", "RegularExpression")),
        rule(2, path("/v1")),
        rule(3, path("/")),
    ),
    make_route(
        rule(1, headers(("a", "1"))),
        name="z-old",
        hostnames=["age.test"],
        created="2025-01-01T00:00:00Z",
    ),
    make_route(rule(2, headers(("b", "1"))), name="a-young", hostnames=["age.test"]),
    on(
        "redirect.test",
        redirect("/host", hostname="example.org", statusCode=301),
        redirect("/scheme", scheme="https"),
        redirect("/scheme-port", scheme="https", port=8443),
        redirect("/port", port=8083),
        redirect("/port-80", port=80, hostname="example.org"),
        redirect("/prefix", path=prefix("/new")),
        redirect("/stripped", path=prefix("/")),
        redirect("/full", path=full("/all"), hostname="example.org"),
        *(redirect(f"/status-{status}", statusCode=status) for status in (301, 302, 303, 307, 308)),
    ),
    make_route(
        redirect("/plain", path=full("/x")),
        redirect("/secure", scheme="https"),
        name="alt",
        hostnames=["one.alt.example"],
        parents=[parent("alt")],
    ),
    on(
        "rewrite.test",
        rewrite("/prefix/one", path=prefix("/one")),
        rewrite("/strip", path=prefix("/")),
        rewrite("/full/one", path=full("/one")),
        rewrite("/full/edited", EDITS, path=full("/test")),
        rewrite("/host", hostname="one.example.org"),
    ),
    on(
        "edits.test",
        rule(1, path("/request"), filters=[EDITS]),
        rule(
            1,
            path("/response"),
            filters=[
                modifier(
                    "ResponseHeaderModifier",
                    set=pairs(X_Set="new"),
                    add=pairs(X_Add="added"),
                    remove=["X-Remove"],
                )
            ],
        ),
    ),
    on(
        "weights.test",
        make_rule(backends=[ref("v1", weight=70), ref("v2", weight=30), ref("v3", weight=0)]),
    ),
    on(
        "backends.test",
        make_rule(path("/nowhere"), backends=[]),
        make_rule(path("/unknown"), backends=[ref("unknown")]),
        make_rule(path("/kind"), backends=[ref("v1", group="x.example", kind="Other")]),
        make_rule(path("/port"), backends=[ref("v1", 9)]),
        make_rule(path("/kept"), backends=[ref("kept", namespace="apps")]),
        make_rule(path("/granted"), backends=[ref("granted", namespace="apps")]),
        make_rule(path("/some"), backends=[ref("v1"), ref("kept", namespace="apps")]),
        make_rule(path("/socket"), backends=[ref("v1", 8082)]),
    ),
    on(
        "timeouts.test",
        rule(1, path("/request"), timeouts={"request": "500ms"}),
        rule(1, path("/backend"), timeouts={"backendRequest": "500ms"}),
        rule(1, path("/none"), timeouts={"request": "0s"}),
    ),
    on(
        "dropped.test",
        rule(1, path("/")),
        rule(2, path("/mirrored"), filters=[{"type": "RequestMirror", "requestMirror": {}}]),
    ),
    *(
        make_route(
            rule(number, path(f"/s{number}")),
            name=f"s{number}",
            hostnames=names,
            parents=[parent("hosts")],
        )
        for number, names in (
            (1, ["non.matching.com", "*.nonmatchingwildcard.io", "very.specific.com"]),
            (2, ["wildcard.io", "foo.wildcard.io", "foo.bar.wildcard.io"]),
            (3, ["non.matching.com", "*.specific.com"]),
        )
    ),
    make_route(
        rule(1, path("/s4")),
        name="s4",
        hostnames=["*.anotherwildcard.io"],
        parents=[parent("hosts")],
    ),
    *(
        make_route(
            rule(1, path(f"/{section}")),
            name=f"of-{section}",
            parents=[parent("isolating", sectionName=section)],
        )
        for section in ("empty", "wide", "wider", "exact")
    ),
]


@pytest.fixture(scope="module")
def _module_cluster() -> Iterator[Cluster]:
    with clustered(*OBJECTS) as cluster:
        yield cluster


@pytest.fixture
def cluster(_module_cluster: Cluster) -> Cluster:
    for one in _module_cluster.instances.values():
        one.begin()
    return _module_cluster


def test_everything_is_accepted(cluster: Cluster) -> None:
    """But for what is not meant to be."""
    found = {
        (ref.name, one["type"]): one["reason"]
        for ref, status in cluster.translation.statuses.items()
        for part in status.get("parents", ())
        for one in part["conditions"]
        if one["status"] == "False" or one["type"] == "PartiallyInvalid"
    }
    assert found == {
        ("backends", "ResolvedRefs"): "BackendNotFound",
        ("dropped", "PartiallyInvalid"): "UnsupportedValue",
    }


@pytest.mark.parametrize(
    ("host", "target", "lines", "service"),
    [
        ("matching.test", "/", (), V1),
        ("matching.test", "/example", (), V1),
        ("matching.test", "/", ("Version: one",), V1),
        ("matching.test", "/v2", (), V2),
        ("matching.test", "/v2example", (), V1),
        ("matching.test", "/foo/v2/example", (), V1),
        ("matching.test", "/", ("Version: two",), V2),
        ("matching.test", "/v2/", ("Version: two",), V2),
        ("headers.test", "/", ("Version: one",), V1),
        ("headers.test", "/", ("Version: two",), V2),
        ("headers.test", "/", ("Version: two", "Color: orange"), V1),
        ("headers.test", "/", ("Version: two", "Color: blue"), V2),
        ("headers.test", "/", ("Color: green",), V1),
        ("headers.test", "/", ("Color: yellow",), V2),
        ("headers.test", "/", ("Color: purple",), None),
        ("headers.test", "/", (), None),
        ("across.test", "/", (), V1),
        ("across.test", "/v2", (), V2),
        ("across.test", "/", ("Version: two",), V2),
        ("across.net", "/v2", (), V1),
        ("across.net:8080", "/", (), V1),
        ("across.org", "/", (), None),
        ("order.test", "/match/exact/one", (), V3),
        ("order.test", "/match/exact", (), V2),
        ("order.test", "/match", (), V1),
        ("order.test", "/match/prefix/one/any", (), V2),
        ("order.test", "/match/prefix/any", (), V1),
        ("order.test", "/match/any", (), V3),
        ("order.test", "/", (), None),
        ("query.test", "/?animal=whale", (), V1),
        ("query.test", "/?animal=dolphin", (), V2),
        ("query.test", "/?animal=dolphin&color=blue", (), V3),
        ("query.test", "/?ANIMAL=Whale", (), V3),
        ("query.test", "/?animal=whale&otherparam=irrelevant", (), V1),
        ("query.test", "/?animal=dolphin&color=yellow", (), V2),
        ("query.test", "/", (), None),
        ("query.test", "/path1?animal=whale", (), V1),
        ("query.test", "/?animal=whale", ("Version: one",), V2),
        ("query.test", "/path5?animal=hydra", (), V1),
        ("query.test", "/?animal=hydra", ("Version: four",), V3),
        ("query.test", "/?a=1&b=2&c=3", ("Version: four",), V3),
        ("query.test", "/?a=1&b=2&c=3", (), V2),
        ("regex.test", "/v12/orders", (), V1),
        ("regex.test", "/v1/orders", (), V2),
        ("regex.test", "/v12/orders/7", (), V3),
        ("regex.test", "/", (), V3),
        ("age.test", "/", ("A: 1", "B: 1"), V1),
        ("age.test", "/", ("B: 1",), V2),
    ],
)
def test_request_goes_where_its_match_says(
    cluster: Cluster, host: str, target: str, lines: tuple[str, ...], service: str | None
) -> None:
    """By path, headers, parameters; the more specific first, and 404 where there is none."""
    seen = cluster.ask(host, target, *lines)
    assert (seen.service, seen.status) == (service, 200 if service else 404)


@pytest.mark.parametrize(
    ("method", "target", "lines", "service"),
    [
        ("POST", "/", (), V1),
        ("GET", "/", (), V2),
        ("HEAD", "/", (), None),
        ("GET", "/path1", (), V3),
        ("PUT", "/", ("Version: one",), V1),
        ("PATCH", "/path5", (), V1),
        ("PATCH", "/", ("Version: four",), V2),
    ],
)
def test_request_goes_where_its_method_says(
    cluster: Cluster, method: str, target: str, lines: tuple[str, ...], service: str | None
) -> None:
    """After the path, before headers."""
    length = () if method in ("GET", "HEAD") else ("Content-Length: 0",)
    seen = cluster.ask("methods.test", target, *lines, *length, method=method)
    assert seen.service == service


@pytest.mark.parametrize(
    ("host", "target", "service"),
    [
        ("very.specific.com", "/s1", V1),
        ("very.specific.com:1234", "/s1", V1),
        ("non.matching.com", "/s1", None),
        ("foo.nonmatchingwildcard.io", "/s1", None),
        ("foo.wildcard.io", "/s1", None),
        ("very.specific.com", "/other", None),
        ("foo.wildcard.io", "/s2", V2),
        ("foo.bar.wildcard.io", "/s2", V2),
        ("baz.wildcard.io", "/s2", None),
        ("wildcard.io", "/s2", None),
        ("very.specific.com", "/s3", V3),
        ("foo.specific.com", "/s3", None),
        ("foo.anotherwildcard.io", "/s4", V1),
        ("foo.bar.anotherwildcard.io", "/s4", V1),
        ("anotherwildcard.io", "/s4", None),
        ("bar.com", "/empty", V1),
        ("bar.com", "/wide", None),
        ("bar.isolated.com", "/wide", V1),
        ("bar.isolated.com", "/empty", None),
        ("bar.foo.isolated.com", "/wider", V1),
        ("bar.foo.isolated.com", "/wide", None),
        ("bar.foo.isolated.com", "/empty", None),
        ("abc.foo.isolated.com", "/exact", V1),
        ("abc.foo.isolated.com", "/wider", None),
        ("abc.foo.isolated.com", "/empty", None),
    ],
)
def test_listener_and_route_have_a_host_in_common(
    cluster: Cluster, host: str, target: str, service: str | None
) -> None:
    """A route gets what both say, and a listener's hosts are its alone."""
    seen = cluster.ask(host, target)
    assert (seen.service, seen.status) == (service, 200 if service else 404)


@pytest.mark.parametrize(
    ("host", "target", "status", "location"),
    [
        ("redirect.test", "/host/a?b=c", 301, "http://example.org/host/a?b=c"),
        ("redirect.test:80", "/host", 301, "http://example.org/host"),
        ("redirect.test:1234", "/scheme/a", 302, "https://redirect.test/scheme/a"),
        ("redirect.test", "/scheme-port", 302, "https://redirect.test:8443/scheme-port"),
        ("redirect.test", "/port", 302, "http://redirect.test:8083/port"),
        ("redirect.test", "/port-80", 302, "http://example.org/port-80"),
        ("redirect.test", "/prefix/a/b?c", 302, "http://redirect.test/new/a/b?c"),
        ("redirect.test", "/prefix", 302, "http://redirect.test/new"),
        ("redirect.test", "/prefix/", 302, "http://redirect.test/new/"),
        ("redirect.test", "/stripped", 302, "http://redirect.test/"),
        ("redirect.test", "/stripped/a", 302, "http://redirect.test/a"),
        ("redirect.test", "/full/a?b", 302, "http://example.org/all?b"),
        *(
            ("redirect.test", f"/status-{one}", one, f"http://redirect.test/status-{one}")
            for one in (301, 302, 303, 307, 308)
        ),
        ("one.alt.example", "/plain", 302, "http://one.alt.example:8080/x"),
        ("one.alt.example", "/secure", 302, "https://one.alt.example/secure"),
    ],
)
def test_redirect_leads_where_it_says(
    cluster: Cluster, host: str, target: str, status: int, location: str
) -> None:
    """What it doesn't say is as the request, and the port that of the listener."""
    seen = cluster.ask(host, target)
    assert (seen.status, seen.location, seen.service) == (status, location, None)


@pytest.mark.parametrize(
    ("target", "got"),
    [
        ("/prefix/one/two?a=b", "/one/two?a=b"),
        ("/strip/three", "/three"),
        ("/strip", "/"),
        ("/full/one/two?a=b", "/one?a=b"),
        ("/full/edited/x", "/test"),
        ("/host/a", "/host/a"),
    ],
)
def test_path_is_rewritten(cluster: Cluster, target: str, got: str) -> None:
    """A prefix, or all of it; the query stays."""
    seen = cluster.ask("rewrite.test", target, "X-Set: old", "X-Remove: yes")
    assert seen.request is not None
    assert seen.request.target == got.encode()
    edited = "edited" in target
    assert seen.request.all("X-Set") == [b"new" if edited else b"old"]
    host = b"one.example.org" if target.startswith("/host") else b"rewrite.test"
    assert seen.request.one("Host") == host
    assert seen.request.one("X-Forwarded-Host") == b"rewrite.test"


def test_headers_of_requests_are_modified(cluster: Cluster) -> None:
    """Set, added to what is there, removed; whatever the case of their names."""
    lines = ("x-set: old", "X-Add: here", "X-REMOVE: yes", "X-Kept: yes")
    seen = cluster.ask("edits.test", "/request", *lines)
    assert seen.request is not None
    assert seen.request.all("X-Set") == [b"new"]
    assert seen.request.all("X-Add") == [b"here", b"added"]
    assert seen.request.all("X-Remove") == []
    assert seen.request.all("X-Kept") == [b"yes"]


def test_headers_of_responses_are_modified(cluster: Cluster) -> None:
    """The same, towards the client."""
    said = ok(b"", b"X-Set: old", b"X-Add: here", b"X-Remove: yes")
    cluster.instances[V1].responds(lambda _: (said,))
    answer = cluster.ask("edits.test", "/response").answer
    assert answer.all("X-Set") == [b"new"]
    assert answer.all("X-Add") == [b"here", b"added"]
    assert answer.all("X-Remove") == []


def test_weights_are_kept(cluster: Cluster) -> None:
    """Exactly, over every hundred requests of a worker."""
    picked = Counter(cluster.ask("weights.test", "/").service for _ in range(100))
    assert picked == {V1: 70, V2: 30}


@pytest.mark.parametrize("target", ["/nowhere", "/unknown", "/kind", "/port", "/kept"])
def test_rule_without_a_usable_backend_answers_500(cluster: Cluster, target: str) -> None:
    """Nobody gets what nobody may have."""
    seen = cluster.ask("backends.test", target)
    assert (seen.status, seen.service) == (500, None)


def test_reference_grant_lets_in(cluster: Cluster) -> None:
    """A Service of another namespace."""
    assert cluster.ask("backends.test", "/granted").service == "apps.granted.8080"


def test_share_of_what_can_not_be_referred_to_fails(cluster: Cluster) -> None:
    """And nothing else does."""
    seen = [cluster.ask("backends.test", "/some") for _ in range(10)]
    assert Counter((one.status, one.service) for one in seen) == {(200, V1): 5, (503, None): 5}


def test_websocket_passes(cluster: Cluster) -> None:
    """To a port of which the Service says so."""
    upgrade = (b"Upgrade: websocket", b"Connection: Upgrade")
    instance = cluster.instances["shop.v1.8082"]
    instance.answers(head(*upgrade, status=b"101 Switching Protocols"), b"hello")
    key = (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    with cluster.client() as client:
        client.send(request(*upgrade, *key, target=b"/socket", host=b"backends.test"))
        assert client.head().status == 101
        assert client.data(5) == b"hello"


@pytest.mark.parametrize("target", ["/request", "/backend"])
def test_answer_that_takes_too_long_is_504(cluster: Cluster, target: str) -> None:
    """Of the whole exchange, and of the instance."""
    allowed = threading.Event()
    cluster.instances[V1].responds(lambda _: (allowed, ok()))
    try:
        assert cluster.ask("timeouts.test", target).status == 504
    finally:
        allowed.set()


def test_timeout_of_zero_is_none(cluster: Cluster) -> None:
    """It waits for as long as it takes."""
    cluster.instances[V1].responds(lambda _: (lambda _: threading.Event().wait(0.7) or None, ok()))
    assert cluster.ask("timeouts.test", "/none").status == 200


def test_rule_that_is_dropped_hands_its_requests_to_nobody(cluster: Cluster) -> None:
    """Another rule may be there for others."""
    assert cluster.ask("dropped.test", "/mirrored").status == 500
    assert cluster.ask("dropped.test", "/other").service == V1
