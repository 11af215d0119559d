"""Which route takes a request, against what the Gateway API's text says, told naively."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.cluster import canonical_row
from tests.dataplane.snapshots import make_snapshot, service
from tests.kubernetes.gateway_api.builders import (
    Obj,
    make_gateway,
    make_listener,
    make_route,
    make_rule,
    parent,
    translated,
)
from tests.routing.builders import Request

LISTENERS = {"any": None, "wide": "*.test", "narrow": "*.a.test", "exact": "x.a.test"}
CREATED = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")


class Asked(NamedTuple):
    host: str
    path: str
    method: str
    headers: frozenset[str]
    query: frozenset[str]


def matches(paths: list[str], methods: list[str | None], most: int = 3) -> st.SearchStrategy[Obj]:
    names = st.lists(st.sampled_from("abc"), unique=True, max_size=most)
    return st.builds(
        _match,
        st.sampled_from(["Exact", "PathPrefix", "PathPrefix"]),
        st.sampled_from(paths),
        st.sampled_from(methods),
        names,
        names,
    )


def _match(kind: str, path: str, method: str | None, headers: list[str], query: list[str]) -> Obj:
    match: Obj = {
        "path": {"type": kind, "value": path},
        "headers": [{"name": name, "value": "1"} for name in headers],
        "queryParams": [{"name": name, "value": "1"} for name in query],
    }
    return match if method is None else {**match, "method": method}


def routes(
    matches: st.SearchStrategy[Obj], hostnames: list[str], sections: list[str | None]
) -> st.SearchStrategy[list[Any]]:
    rules = st.lists(st.lists(matches, min_size=1, max_size=2), min_size=1, max_size=2)
    route = st.tuples(
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from(CREATED),
        st.lists(st.sampled_from(hostnames), unique=True) if hostnames else st.just([]),
        st.sampled_from(sections),
        rules,
    )
    return st.lists(route, min_size=2, max_size=4, unique_by=lambda one: one[0])


anywhere = routes(
    matches(["/", "/p", "/p/", "/p/q", "/p/q/r"], [None, None, "GET", "PUT"]),
    ["*.test", "*.a.test", "x.a.test", "y.test"],
    [None, *LISTENERS],
)
of_one_path = routes(matches(["/"], [None], most=1), [], [None])
listeners = st.sets(st.sampled_from(sorted(LISTENERS)), min_size=1)
asked = st.builds(
    Asked,
    st.sampled_from(["x.a.test", "z.a.test", "y.test", "other.example", "test"]),
    st.sampled_from(["/", "/p", "/p/", "/p/q", "/p/q/r/s", "/px"]),
    st.sampled_from(["GET", "PUT", "POST"]),
    st.frozensets(st.sampled_from("abc")),
    st.frozensets(st.sampled_from("abc")),
)


def _has(hostname: str | None, host: str) -> bool:
    if hostname is None:
        return True
    return host.endswith(hostname[1:]) if hostname.startswith("*.") else host == hostname


def _specific(hostname: str | None) -> tuple[int, int]:
    """Characters in a hostname without a wildcard, then characters in a hostname."""
    if hostname is None:
        return (0, 0)
    return (0 if hostname.startswith("*") else len(hostname), len(hostname))


def _takes(match: Obj, request: Asked) -> bool:
    path, value = match["path"], match["path"]["value"]
    if path["type"] == "Exact":
        fits = request.path == value
    else:
        prefix = value.rstrip("/")
        fits = request.path == prefix or request.path.startswith(prefix + "/")
    return (
        fits
        and match.get("method") in (None, request.method)
        and {one["name"] for one in match["headers"]} <= request.headers
        and {one["name"] for one in match["queryParams"]} <= request.query
    )


def _rank(match: Obj) -> tuple[Any, ...]:
    path = match["path"]
    is_exact = path["type"] == "Exact"
    return (
        not is_exact,
        0 if is_exact else -len(path["value"].rstrip("/")),
        "method" not in match,
        -len(match["headers"]),
        -len(match["queryParams"]),
    )


def _candidates(found: list[Any], listener: str, request: Asked) -> Iterator[tuple[Any, ...]]:
    for name, created, hostnames, section, its_rules in found:
        if section not in (None, listener):
            continue
        its_hosts = [host for host in hostnames or [None] if _has(host, request.host)]
        if not its_hosts:
            continue
        # (What both say is the narrower one of the two.)
        narrowest = max(_specific(host) for host in (*its_hosts, LISTENERS[listener]))
        host_rank = tuple(-part for part in narrowest)
        for at, its_matches in enumerate(its_rules):
            for position, match in enumerate(its_matches):
                if _takes(match, request):
                    yield (host_rank, _rank(match), created, name, at, position)


def expected(found: list[Any], names: set[str], request: Asked) -> str | None:
    """Return the route and rule that take a request."""
    having = [name for name in names if _has(LISTENERS[name], request.host)]
    if not having:
        return None
    listener = max(having, key=lambda name: _specific(LISTENERS[name]))
    best = min(_candidates(found, listener, request), default=None)
    return None if best is None else f"shop.{best[3]}.{best[4]:02d}.{best[5]:02d}"


def served(objects: list[Obj], request: Asked) -> str | None:
    """Return the route of the gateway that takes a request, without what tells its rows apart."""
    result = translated(*objects)
    rows = [("route", canonical_row(name, row)) for name, row in result.routes.items()]
    snapshot = make_snapshot(service("shop.orders.8080"), *rows)
    taken = snapshot.routes.match(
        Request(
            path=request.path.encode(),
            host=request.host.encode(),
            method=request.method.encode(),
            query="&".join(f"{name}=1" for name in sorted(request.query)).encode(),
            headers={name.encode(): b"1" for name in request.headers},
        ),
        None,
        0.0,
    )
    if taken is None or taken.id.endswith("_else"):
        return None
    return taken.id.partition("_")[0]


@given(anywhere, listeners, st.lists(asked, min_size=1, max_size=5))
def test_request_goes_where_the_text_says(
    found: list[Any], names: set[str], requests: list[Asked]
) -> None:
    """Listener, host, path, method, headers, parameters, age, name, place: in this order."""
    objects = objects_of(found, names)
    for request in requests:
        assert served(objects, request) == expected(found, names, request)


@given(of_one_path)
def test_of_one_path_headers_parameters_and_age_decide(found: list[Any]) -> None:
    """For a request that all of them take."""
    everything = frozenset("abc")
    request = Asked("y.test", "/", "GET", everything, everything)
    assert served(objects_of(found, {"any"}), request) == expected(found, {"any"}, request)


def objects_of(found: list[Any], names: set[str]) -> list[Obj]:
    gateway = make_gateway(
        *(
            make_listener(name, **({"hostname": LISTENERS[name]} if LISTENERS[name] else {}))
            for name in sorted(names)
        )
    )
    return [
        gateway,
        *(
            make_route(
                *(make_rule(*its_matches) for its_matches in its_rules),
                name=name,
                created=created,
                hostnames=hostnames,
                parents=[parent(sectionName=section) if section else parent()],
            )
            for name, created, hostnames, section, its_rules in found
        ),
    ]
