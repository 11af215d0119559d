"""Tables of routes of several shapes, requests to them, and the measuring of one table."""

from __future__ import annotations

import gc
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from benchmarks.harness.proc import resident_bytes
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.entity import Key, add_hash, canonical, entity_hash, subtract_hash
from fengling_gateway.routing.cache import RouteCache
from fengling_gateway.routing.snapshot import CompileContext, Snapshot

HOT: Final = 256
"""Requests asked in rotation for a match: several kinds of route, within the caches."""

COLD: Final = 20_000
SERVICES: Final = 100
SLICE: Final = 200
CHANGES: Final = 200

Body = dict[str, Any]
Call = Callable[..., object]


class Request:
    """What the data plane shows of a request: slots, and bytes as they came."""

    __slots__ = ("headers", "host", "listener", "method", "path", "peer", "query")

    def __init__(self, host: str, path: str, method: str = "GET", **headers: str) -> None:
        self.listener = "http"
        self.host = host.encode()
        self.path = path.encode()
        self.query = b""
        self.method = method.encode()
        self.peer = "127.0.0.1"
        self.headers = {name.encode(): value.encode() for name, value in headers.items()}

    def header(self, lower_name: bytes) -> bytes | None:
        return self.headers.get(lower_name)


def make_body(number: int, host: str, path: str, **given: Any) -> Body:
    empty: Body = {"headers": [], "query": [], "cookies": [], "client_ip": [], "listeners": []}
    match = {**empty, **given.pop("match", {})}
    body: Body = {
        "id": f"route-{number}",
        "tenant_id": None,
        "enabled": True,
        "priority": 0,
        "hosts": [host],
        "path": path,
        "methods": [],
        "match": match,
        "service_id": f"service-{number % SERVICES}",
        "split": None,
        "redirect": None,
        "respond": None,
        "policies": {},
        "valid_from": None,
        "valid_to": None,
    }
    return {**body, **given}


class Prefixes:
    """All prefixes of one host, side by side."""

    def body(self, number: int) -> Body:
        return make_body(number, "api.example.com", f"/api/service-{number}/{{**rest}}")

    def request(self, number: int) -> Request:
        return Request("api.example.com", f"/api/service-{number}/orders/42")


class Hosts:
    """A host for each route."""

    def body(self, number: int) -> Body:
        return make_body(number, f"customer-{number}.example.com", "/{**rest}")

    def request(self, number: int) -> Request:
        return Request(f"customer-{number}.example.com", "/api/orders/42")


_CANARY: Final = {"name": "x-canary", "op": "equals", "value": "1", "ignore_case": False}


class Mixed:
    """Ten routes for each host: methods, a header, parameters, prefixes within one another."""

    def _host(self, number: int) -> str:
        return f"customer-{number // 10}.example.com"

    def body(self, number: int) -> Body:
        given: tuple[str, Body] = (
            ("/{**rest}", {}),
            ("/api/{**rest}", {}),
            ("/api/orders/{**rest}", {}),
            ("/api/orders/{**rest}", {"match": {"headers": [_CANARY]}}),
            ("/api/users", {"methods": ["GET"]}),
            ("/api/users", {"methods": ["POST"]}),
            ("/api/users/{id}", {"methods": ["GET", "PUT"]}),
            ("/api/users/{id}/orders", {}),
            ("/login", {"methods": ["GET", "POST"]}),
            ("/static/{**rest}", {"methods": ["GET", "HEAD"]}),
        )[number % 10]
        path, extra = given
        return make_body(number, self._host(number), path, **extra)

    def request(self, number: int) -> Request:
        path, method, headers = (
            ("/about/us", "GET", {}),
            ("/api/carts/7", "GET", {}),
            ("/api/orders/42/lines", "GET", {}),
            ("/api/orders/42/lines", "GET", {"x-canary": "1"}),
            ("/api/users", "GET", {}),
            ("/api/users", "POST", {}),
            ("/api/users/42", "PUT", {}),
            ("/api/users/42/orders", "GET", {}),
            ("/login", "POST", {}),
            ("/static/css/main.css", "GET", {}),
        )[number % 10]
        return Request(self._host(number), path, method, **headers)


SHAPES: Final[dict[str, Prefixes | Hosts | Mixed]] = {
    "mixed": Mixed(),
    "prefixes of one host": Prefixes(),
    "a host for each": Hosts(),
}


class Table:
    """A snapshot of routes, built in this process, which should be new."""

    def __init__(self, shape_name: str, routes: int) -> None:
        shape = SHAPES[shape_name]
        context = CompileContext(random.Random(1))
        gc.disable()  # as a worker during a load
        before = resident_bytes(os.getpid())
        snapshot, built = _build(shape, routes, context)
        gc.collect()
        gc.freeze()
        resident = resident_bytes(os.getpid())
        _check(snapshot.routes, shape, min(routes, 50))
        rng = random.Random(2)
        self._cache = snapshot.routes
        self._cold = [shape.request(rng.randrange(routes)) for _ in range(COLD)]
        self._misses = [Request("nowhere.example.com", "/api/service-1/orders")] * HOT
        self.facts = {
            "name": "fengling",
            "shape": shape_name,
            "routes": routes,
            "change_us": _change(snapshot, shape, context, rng),
            "build_seconds": round(built, 3),
            "memory_mb": round((resident - before) / 1e6, 1),
            "process_memory_mb": round(resident / 1e6, 1),
        }

    def times(self, rounds: int) -> dict[str, float]:
        """Microseconds of one match of each kind, the best of some rounds."""
        return {
            "match_us": _match(self._cache, self._cold[:HOT] * 4, rounds),
            "cold_match_us": _match(self._cache, self._cold, max(rounds // 20, 3)),
            "miss_us": _match(self._cache, self._misses, rounds),
        }


def _check(cache: RouteCache, shape: Prefixes | Hosts | Mixed, routes: int) -> None:
    """What is measured must be right."""
    for number in range(routes):
        route = cache.match(shape.request(number), None, 0.0)
        assert route is not None
        assert route.id == f"route-{number}"


def _build(
    shape: Prefixes | Hosts | Mixed, routes: int, context: CompileContext
) -> tuple[Snapshot, float]:
    """Build in slices, from bodies that are the snapshot's alone; return it and the CPU seconds."""
    content_hash = 0
    for change in _changes(shape, routes):
        assert change.body is not None
        content_hash = add_hash(content_hash, entity_hash(change.key, change.body))
    delta = Delta(None, Position("bench", 1, "t1"), 0, content_hash, ())
    builder = Snapshot.empty().applying(delta, context)
    changes = _changes(shape, routes)
    taken = 0.0
    while part := list(islice(changes, SLICE)):
        started = time.process_time()
        builder.add(part)
        taken += time.process_time() - started
    started = time.process_time()
    while builder.step(SLICE):
        pass
    snapshot = builder.finish()
    return snapshot, taken + time.process_time() - started


def _changes(shape: Prefixes | Hosts | Mixed, routes: int) -> Iterator[Change]:
    for number in range(routes):
        yield _change_of(shape.body(number))


def _change_of(body: Body) -> Change:
    return Change(Key("route", body["id"]), canonical(body))


def _match(cache: RouteCache, requests: Sequence[Request], rounds: int) -> float:
    """Microseconds of one match, the best of several rounds, without what the loop costs."""
    match = min(_round(cache.match, requests) for _ in range(rounds))
    empty = min(_round(_nothing, requests) for _ in range(rounds))
    return round((match - empty) / len(requests) * 1e6, 3)


def _nothing(request: Request, tenant: None, now: float) -> None:
    """What calling costs in itself."""


def _round(call: Call, requests: Sequence[Request]) -> float:
    started = time.perf_counter()
    for request in requests:
        call(request, None, 0.0)
    return time.perf_counter() - started


def _change(
    snapshot: Snapshot,
    shape: Prefixes | Hosts | Mixed,
    context: CompileContext,
    rng: random.Random,
) -> float:
    """Microseconds from the delta of one changed route to the new snapshot, the median."""
    taken = []
    for revision in range(2, 2 + CHANGES):
        body = shape.body(rng.randrange(snapshot.routes.size))
        change = _change_of({**body, "service_id": f"changed-{revision}"})
        delta = _delta(snapshot, change, revision)
        started = time.perf_counter()
        snapshot = snapshot.apply(delta, context)
        taken.append(time.perf_counter() - started)
    return round(statistics.median(taken) * 1e6, 1)


def _delta(snapshot: Snapshot, change: Change, revision: int) -> Delta:
    key, body = change
    old = snapshot.bodies["route"].get(key.id)
    assert old is not None
    assert body is not None
    left = subtract_hash(snapshot.content_hash, entity_hash(key, old))
    after = add_hash(left, entity_hash(key, body))
    position = Position("bench", revision, f"t{revision}")
    return Delta(snapshot.position, position, snapshot.content_hash, after, (change,))
