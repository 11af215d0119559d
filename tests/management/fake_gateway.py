"""A gateway for the management API to show, whose answers a test sets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from fengling_gateway.access.gate import Gate
from fengling_gateway.access.verifiers import LocalTokens, Verifier
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.management.listener import management_resource
from fengling_gateway.model.effective import hash_of
from fengling_gateway.model.entity import Key, canonical
from fengling_gateway.model.management_tokens import READ
from fengling_gateway.observability.sums import NOTHING
from fengling_gateway.records.ring import Ring

NOW = 1_700_000_000.0
KEY = "k1:" + bytes(range(32)).hex()
OTHER_KEY = "k1:" + bytes(range(32, 64)).hex()


def token(
    *scopes: str,
    key: str = KEY,
    subject: str = "ops",
    seconds: float = 600,
    now: float = NOW,
    token_id: str = "t-1",
    tenants: Iterable[str] | None = None,
) -> str:
    """Return a token, valid and for reading unless said otherwise."""
    return TokenRing([key]).issue(
        subject=subject,
        scopes=scopes or (READ,),
        now=now,
        lifetime_seconds=seconds,
        token_id=token_id,
        tenants=tenants,
    )


ROUTE = {"policies": {}, "service_id": None, "split": None}


def some_bodies(routes: int = 3) -> dict[Key, bytes]:
    """Return a few entities of each kind."""
    keys = [Key("route", f"r{number}") for number in range(routes)]
    keys += [Key("service", "orders"), Key("instance", "i1"), Key("tenant", "acme")]
    bodies = {key: canonical({**ROUTE, "id": key.id}) for key in keys}
    bodies[Key("instance", "i1")] = canonical({"id": "i1", "address": "http://10.0.0.5:80"})
    bodies[Key("setting", "defaults")] = canonical({"key": "defaults", "value": {}})
    return bodies


class FakeGateway:
    """Implements `ManagedGateway`; what it was asked for is in ``asked``."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.served = some_bodies()
        self.is_ready = True
        self.rejections: list[dict[str, Any]] = []
        self.reload_answer: dict[str, Any] = {"behind": [], "complete": True}
        self.fleet_answer: dict[str, Any] = {"complete": True, "workers": [{"worker": "w0"}]}
        self.worker_counters: dict[str, dict[str, Any]] = {}
        self.worker_names: dict[str, list[dict[str, Any]]] = {}
        self.taps: list[tuple[Mapping[str, Any], float, Any]] = []
        """Of those who look on: the filter, seconds, and whom to tell."""
        self.untapped: list[Any] = []
        self.failure: Exception | None = None
        self.ring = Ring(most=1000, most_bytes=1 << 20)

    def status(self) -> dict[str, Any]:
        self._fail()
        return {
            "node": "n1",
            "version": "1.2.3",
            "state": "serving",
            "position": {"epoch": "e", "revision": 412, "token": "t"},
            "held": None,
            "rejected": self.rejections,
            "entities": {"route": 3},
            "workers": [{"worker": "w0", "state": "serving", "revision": 412, "lag_ms": 2.0}],
            "source": {"connected": True, "listening": True, "reads": 7},
            "redis": {"connected": True, "counters": {"messages_dropped:unsigned": 2}},
            "config_age_s": 1.5,
        }

    def exchanges(self) -> Ring:
        return self.ring

    def workers(self) -> list[dict[str, Any]]:
        return [{"worker": "w0"}]

    def refusal(self, address: str) -> str | None:
        return "no" if "127.0.0.1" in address else None

    def rejected(self, *, after: Key | None, limit: int) -> list[dict[str, Any]]:
        following = [
            one for one in self.rejections if after is None or (one["kind"], one["id"]) > after
        ]
        return following[:limit]

    def rejection(self, key: Key) -> dict[str, Any] | None:
        return next((one for one in self.rejections if (one["kind"], one["id"]) == key), None)

    def fleet(self) -> Deferred[dict[str, Any]]:
        return succeed(self.fleet_answer)

    def bodies(self) -> Mapping[Key, bytes]:
        return self.served

    def management_token(self, token_id: str) -> Mapping[str, Any] | None:
        body = self.served.get(Key("management_token", token_id))
        return None if body is None else json.loads(body)

    def position(self) -> dict[str, Any] | None:
        return {"epoch": "e", "revision": 412, "token": "t"}

    def content_hash(self) -> int:
        return hash_of(dict(self.served))

    def reload(self, *, comment: str | None, wait: str, timeout: float) -> Deferred[dict[str, Any]]:
        self.asked.append(("reload", comment, wait, timeout))
        self._fail()
        return succeed(self.reload_answer)

    def confirm(self, revision: int, author: str) -> Deferred[dict[str, Any]]:
        self.asked.append(("confirm", revision, author))
        self._fail()
        return succeed({"confirmed": revision})

    def drain(self, on: bool, by: str) -> dict[str, Any]:
        self.asked.append(("drain", on, by))
        self._fail()
        return {"drained": on}

    def restart(self) -> dict[str, Any]:
        self.asked.append(("restart",))
        self._fail()
        return {"restarting": True, "restarts": 1}

    def pin(
        self, *, revision: int | None, everywhere: bool, by: str, comment: str
    ) -> Deferred[dict[str, Any]]:
        self.asked.append(("pin", revision, everywhere, by, comment))
        self._fail()
        return succeed({"pinned": {"revision": revision}, "position": None, "problem": None})

    def unpin(self, *, everywhere: bool, by: str) -> Deferred[dict[str, Any]]:
        self.asked.append(("unpin", everywhere, by))
        self._fail()
        return succeed({"pinned": None, "position": None, "problem": None})

    def explain(self, request: dict[str, Any]) -> Deferred[dict[str, Any]]:
        self.asked.append(("explain", request))
        self._fail()
        return succeed({"route": "r1"})

    def counters(self) -> Deferred[dict[str, dict[str, Any]]]:
        return succeed(self.worker_counters)

    def past_counters(self) -> dict[str, Any]:
        return dict(NOTHING)

    places = None

    def own_counters(self) -> dict[str, Any]:
        return dict(NOTHING)

    def debug(self) -> Deferred[dict[str, Any]]:
        process = {
            "pid": 7,
            "threads": [{"name": "MainThread", "daemon": False, "stack": ["x:1 f"]}],
        }
        return succeed(
            {"node": "n1", "supervisor": process, "workers": [{"worker": "w0", **process}]}
        )

    def names(self) -> Deferred[dict[str, list[dict[str, Any]]]]:
        return succeed(self.worker_names)

    def route_traffic(self, sort: str, limit: int) -> Deferred[dict[str, Any]]:
        self.asked.append(("route_traffic", sort, limit))
        return succeed({"node": "n1", "windows": {}, "routes": 0, "items": []})

    def tap(
        self, tap_filter: Mapping[str, Any], *, seconds: float, audience: Any
    ) -> Callable[[], None]:
        self._fail()
        self.taps.append((tap_filter, seconds, audience))
        return lambda: self.untapped.append(audience)

    def ready(self) -> tuple[bool, dict[str, Any]]:
        return self.is_ready, {"state": "serving"}

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


def resource(
    gateway: FakeGateway, clock: Clock | None = None, *more: Verifier, refusals: Any = None
) -> Gate:
    """Return the management API over a gateway, at the time `NOW`."""
    return management_resource(
        gateway=gateway,
        verifiers=(LocalTokens(TokenRing([KEY]), gateway.management_token), *more),
        clock=clock or Clock(),
        wall_clock=lambda: NOW,
        refusals=Counter() if refusals is None else refusals,
    )


def json_of(body: bytes) -> Any:
    return json.loads(body)
