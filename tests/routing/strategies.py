"""Routes and requests from small vocabularies, so that they meet one another often."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.routing.builders import Body, Request, make_body, make_match, make_test

LITERALS = ["a", "b", "api", "caf%C3%A9", "x%2Dy", "a.b"]
PARAMETERS = ["{x}", "{y}"]
HOSTS = ["example.com", "a.example.com", "b.a.example.com", "other.org"]
PATTERNS = [*HOSTS, "*.example.com", "*.a.example.com", "*.org", "*.com"]
REGEXES = ["~^/a/.*$", "~/(a|b)/[0-9]+", "~^/api(/[a-z]+)*$", "~/b/?", "~.*"]
TENANTS = [None, None, "t1", "t2"]


@st.composite
def paths(draw: st.DrawFn) -> str:
    """The ``path`` of a route."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(REGEXES))
    segments = draw(st.lists(st.sampled_from([*LITERALS, *PARAMETERS]), max_size=4))
    ends = ["{**rest}", "{**rest}", "{x}", "", *LITERALS]
    return "/" + "/".join([*segments, draw(st.sampled_from(ends))])


def tests_of(names: list[str]) -> st.SearchStrategy[list[Body]]:
    op = st.sampled_from(["equals", "prefix", "contains", "exists", "absent"])
    return st.lists(
        st.builds(
            make_test,
            st.sampled_from(names),
            op,
            st.sampled_from(["1", "beta", "Be", "t"]),
            ignore_case=st.booleans(),
        ),
        max_size=2,
    )


matches: st.SearchStrategy[Body] = st.one_of(
    st.just(make_match()),
    st.builds(
        make_match,
        headers=tests_of(["x-canary", "accept"]),
        query=tests_of(["v", "flag"]),
        cookies=tests_of(["session"]),
        client_ip=st.sampled_from([[], [], ["192.0.2.0/24"], ["2001:db8::/32", "10.0.0.0/8"]]),
        listeners=st.sampled_from([[], [], ["http"], ["internal", "http"]]),
        counts_as=st.sampled_from([None, None, 0, 2, 2**40]),
    ),
)


def bodies(route_id: st.SearchStrategy[str]) -> st.SearchStrategy[Body]:
    return st.builds(
        make_body,
        route_id,
        paths(),
        tenant_id=st.sampled_from(TENANTS),
        enabled=st.sampled_from([True, True, True, False]),
        priority=st.sampled_from([0, 0, 0, 0, 1, -1, 50]),
        hosts=st.lists(st.sampled_from(PATTERNS), max_size=3),
        methods=st.sampled_from([[], [], ["GET"], ["POST", "PUT"], ["GET", "HEAD"]]),
        match=matches,
        valid_from=st.sampled_from([None, None, 100.0]),
        valid_to=st.sampled_from([None, None, 200.0]),
    )


def equal(names: list[str]) -> st.SearchStrategy[list[Body]]:
    """Tests like those that tell many routes of one path apart."""
    values = st.sampled_from(["1", "beta", "BETA 1", "t", ""])
    test = st.builds(
        make_test,
        st.sampled_from(names),
        st.sampled_from(["equals"] * 5 + ["prefix"]),
        values,
        ignore_case=st.sampled_from([False, False, True]),
    )
    return st.lists(test, max_size=2)


def bodies_of_one_path(route_id: st.SearchStrategy[str]) -> st.SearchStrategy[Body]:
    return st.builds(
        make_body,
        route_id,
        st.sampled_from(["/{**rest}"] * 9 + ["/a/{**rest}"]),
        priority=st.sampled_from([0] * 9 + [1]),
        hosts=st.sampled_from([[]] * 5 + [["example.com"]]),
        methods=st.sampled_from([[], [], ["GET"], ["POST", "PUT"], ["GET", "HEAD"]]),
        match=st.builds(
            make_match,
            headers=equal(["x-canary", "accept"]),
            query=equal(["v", "flag"]),
            cookies=equal(["session"]),
            listeners=st.sampled_from([[]] * 5 + [["http"]]),
        ),
        valid_to=st.sampled_from([None] * 5 + [200.0]),
    )


request_segments = st.sampled_from(
    ["a", "b", "api", "caf%c3%a9", "x-y", "x%2dy", "%61", "a.b", "7", "z", "", "a%2fb"]
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    headers: dict[bytes, bytes] = {}
    values = st.sampled_from(["1", "beta", "BETA 1", ""])
    for name in ("x-canary", "accept"):
        if draw(st.booleans()):
            headers[name.encode()] = draw(values).encode()
    if draw(st.booleans()):
        headers[b"cookie"] = b"theme=dark; session=" + draw(values).encode()
    return Request(
        path=("/" + "/".join(draw(st.lists(request_segments, max_size=6)))).encode(),
        host=draw(st.sampled_from([*HOSTS, "x.b.a.example.com", "com", ""])).encode(),
        method=draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"BREW"])),
        query=draw(st.sampled_from([b"", b"v=1", b"v=beta&v=1", b"flag&v=%31", b"%66lag=Be+t"])),
        peer=draw(st.sampled_from(["192.0.2.1", "10.1.1.1", "2001:db8::7", "198.51.100.1"])),
        listener=draw(st.sampled_from(["http", "internal"])),
        headers=headers,
    )


def change_lists(ids: list[str]) -> st.SearchStrategy[list[tuple[str, Any]]]:
    """Sequences of (id, body or None)."""
    some_id = st.sampled_from(ids)
    change = some_id.flatmap(
        lambda one: st.tuples(st.just(one), st.one_of(st.none(), bodies(st.just(one))))
    )
    added = some_id.flatmap(lambda one: st.tuples(st.just(one), bodies(st.just(one))))
    return st.lists(st.one_of(added, added, change), max_size=40)
