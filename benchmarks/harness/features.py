"""What may stand before a route: its policies, what requests have to show, and how one sees that it is on."""

from __future__ import annotations

import hashlib
import http.client
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.harness.forge import AUDIENCE, Signer, b64, ec_signer, hmac_signer, rsa_signer
from benchmarks.harness.traffic import HOST, PATHS, heads, opaque_token

PLAIN: Final = "v00"
"""The route that has nothing before it."""

_ORIGIN: Final = "https://app.example.com"
_CLIENTS: Final = 1000
_MANY_TOKENS: Final = 5000
"""More than a worker knows without taking a digest."""

_NO_TRACE: Final = "x-benchmark"
"""A header that says nothing, as long as traceparent: the trace begins at the gateway."""

_PLENTY: Final = {"rate": "1000000/s"}
_NETWORKS: Final = ["127.0.0.0/8", *(f"10.{n}.0.0/16" for n in range(50)), "2001:db8::/32"]


@dataclass(frozen=True, slots=True)
class Feature:
    """
    One of them.

    Attributes:
        policies: of its route.
        header: the line of request n that tells who asks.
        different: how many different requests are sent in turn.
        is_new_each_time: whether each is sent once in all.
        shows: a header that an answer has by it.
        is_needed: whether a request without `header` is refused.
        refused_from: an address from which all are.
        limit_us: what it may add to a request; None: that is only shown.
        settles_seconds: for how long it goes on working after the last answer.
        settings: it is none of a route but of a whole gateway with these settings, which is
            compared with one that has those of `beside`.
        last: the header of requests that is new in each, in place of ``traceparent``; as long.
        flags: of that.
        counted: a metric that is above 0 by it and not without it, once there were requests.
    """

    name: str
    policies: Mapping[str, Any]
    header: Callable[[int], str] = opaque_token
    different: int = PATHS
    is_new_each_time: bool = False
    shows: str = ""
    is_needed: bool = False
    refused_from: str = ""
    limit_us: float | None = None
    settles_seconds: float = 0.0
    settings: str = ""
    beside: str = ""
    counted: str = ""
    last: str = "traceparent"
    flags: str = "01"

    @property
    def is_of_gateway(self) -> bool:
        """Whether all routes of a gateway have it, or none."""
        return self.settings != self.beside

    def heads(self, prefix: str, first: int, count: int) -> list[str]:
        """Beginnings of so many requests to the route `prefix`."""
        made = heads(count, lambda number: self.header(first + number))
        return [
            head.replace("GET /v1/", f"GET /{prefix}/", 1).replace("traceparent", self.last)
            for head in made
        ]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Those whom the gateway believes."""

    rsa: Signer
    ec: Signer
    shared: Signer
    secret: str
    api_keys: Sequence[str]

    @classmethod
    def make(cls) -> Credentials:
        shared, secret = hmac_signer("https://shared.example")
        keys = [f"fgk_key-{n}_{b64(secrets.token_bytes(32))}" for n in range(PATHS)]
        issuer = "https://id.example"
        return cls(rsa_signer(issuer), ec_signer(issuer), shared, secret, keys)

    def entities(self, secret_file: str) -> dict[str, list[dict[str, Any]]]:
        """What the gateway has to know of them."""
        keys = {"keys": [self.rsa.public, self.ec.public]}
        corp = {"id": "corp", "issuer": self.rsa.issuer, "audiences": [AUDIENCE], "keys": keys}
        shared = {"id": "shared", "issuer": self.shared.issuer, "audiences": [AUDIENCE]}
        return {
            "issuers": [corp, {**shared, "algorithms": ["HS256"], "key_secret": shared["id"]}],
            "secrets": [{"id": "shared", "value": f"file:{secret_file}"}],
            "clients": [{"id": "shop", "name": "A shop", "roles": ["reader"]}],
            "api_keys": [
                {
                    "id": f"key-{n}",
                    "client_id": "shop",
                    "digest": hashlib.sha256(key.encode()).hexdigest(),
                }
                for n, key in enumerate(self.api_keys)
            ],
        }


def _token(name: str, signer: Signer, **more: Any) -> Feature:
    policies = {"auth": {"mode": "required", "methods": ["jwt"]}}

    def header(number: int) -> str:
        return f"Authorization: Bearer {signer.token(number)}"

    return Feature(name, policies, header, is_needed=True, **more)


def features(known: Credentials) -> list[Feature]:
    """All that are measured, in the order of the table."""
    of_header = {"key": "header:X-Client"}

    def client(number: int) -> str:
        return f"{opaque_token(number)}\r\nX-Client: client-{number:04d}"

    def from_page(number: int) -> str:
        return f"{opaque_token(number)}\r\nOrigin: {_ORIGIN}"

    return [
        _token("jwt_cached", known.rsa, limit_us=3.0),
        _token("jwt_cached_many", known.rsa, different=_MANY_TOKENS),
        _token("jwt_first", known.rsa, is_new_each_time=True),
        _token("jwt_first_es256", known.ec, is_new_each_time=True),
        _token("jwt_first_hs256", known.shared, is_new_each_time=True),
        Feature(
            "api_key",
            {"auth": {"mode": "required", "methods": ["api_key"]}},
            lambda n: f"X-Api-Key: {known.api_keys[n % PATHS]}",
            is_needed=True,
        ),
        Feature("rate_limit_local", {"rate_limit": _PLENTY}, shows="RateLimit", limit_us=2.0),
        Feature(
            "rate_limit_redis",
            {"rate_limit": {**_PLENTY, "where": "global"}},
            shows="RateLimit",
            settles_seconds=0.5,
        ),
        Feature(
            "rate_limit_local_clients",
            {"rate_limit": {**_PLENTY, **of_header}},
            client,
            _CLIENTS,
            shows="RateLimit",
        ),
        Feature(
            "rate_limit_redis_clients",
            {"rate_limit": {**_PLENTY, **of_header, "where": "global"}},
            client,
            _CLIENTS,
            shows="RateLimit",
            settles_seconds=0.5,
        ),
        Feature("concurrency", {"concurrency": {"limit": 10_000}}),
        Feature(
            "cors",
            {"cors": {"origins": [_ORIGIN, "https://*.example.net"], "credentials": True}},
            from_page,
            shows="Access-Control-Allow-Origin",
        ),
        Feature(
            "access",
            {"access": {"allow": _NETWORKS, "deny": ["127.0.0.2/32", "192.0.2.0/24"]}},
            refused_from="127.0.0.2",
        ),
        Feature("security_headers", {"security_headers": {}}, shows="X-Content-Type-Options"),
        *_observers(),
    ]


def _observers() -> list[Feature]:
    """What is written down of requests, by a gateway for all of them."""
    log = '[access_log]\npath = "{directory}/access.log"\n'
    tracing = '[tracing]\nendpoint = "http://{collector}"\nsample_ratio = '
    return [
        Feature(
            "metrics",
            {},
            beside="[metrics]\ncount_requests = false\n",
            counted="fengling_http_requests_total",
            limit_us=2.0,
        ),
        Feature(
            "access_log", {}, settings=log, counted="fengling_access_log_lines_total", limit_us=5.0
        ),
        Feature(
            "access_log_combined",
            {},
            settings=f'{log}format = "combined"\n',
            counted="fengling_access_log_lines_total",
        ),
        Feature("tracing_0", {}, settings=f"{tracing}0.0\n", last=_NO_TRACE, limit_us=1.5),
        Feature("tracing_0_traced_by_clients", {}, settings=f"{tracing}0.0\n", flags="00"),
        Feature(
            "tracing_1",
            {},
            settings=f"{tracing}0.01\n",
            last=_NO_TRACE,
            counted="fengling_tracing_spans_sent_total",
            limit_us=3.0,
        ),
    ]


def is_on(feature: Feature, prefix: str, port: int) -> bool:
    """Whether the route `prefix` does what the feature is for, as far as a few requests show."""
    lines = feature.header(0).split("\r\n")
    status, answer = _ask(port, prefix, lines)
    return (
        status == 200
        and (not feature.shows or feature.shows in answer)
        and (not feature.is_needed or _ask(port, prefix, [])[0] == 401)
        and (not feature.refused_from or _ask(port, prefix, lines, feature.refused_from)[0] == 403)
    )


def _ask(
    port: int, prefix: str, lines: Sequence[str], source: str = "127.0.0.1"
) -> tuple[int, Mapping[str, str]]:
    connection = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=5, source_address=(source, 0)
    )
    try:
        given = dict(line.split(": ", 1) for line in lines)
        connection.request("GET", f"/{prefix}/", headers={"Host": HOST, **given})
        answer = connection.getresponse()
        answer.read()
        return answer.status, dict(answer.getheaders())
    finally:
        connection.close()
