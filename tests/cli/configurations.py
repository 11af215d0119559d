"""Whole configurations that are valid, of ids and values that YAML likes to take for others."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from fengling_gateway.model.entity import Key
from tests.support.forge import ec_jwk

Rows = dict[Key, dict[str, Any]]

slugs = st.sampled_from(
    "08 018 0o17 00 0b1 0x1F 1e5 12e3 7e10 5e-3 1.5e3 1. 1_000 2030-01-01 42 NaN null true no y".split()
) | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True)

_ODD = "~ << = - --- *a &a .inf -.5 +5 09 1:30 0.10".split()

texts = st.one_of(
    slugs,
    st.sampled_from(_ODD),
    st.sampled_from(["", "- a", "? b", "a: b", "a #b", "!!str a", " a ", "word " * 30, "風鈴"]),
    st.sampled_from(["\n", "a\n\n b\n", "a\r\nb", "\t", "a\x85b", "\u2028", "\ufeffa", "\x7f"]),
    st.text(alphabet="0123456789eExo+-._~<=: \n", max_size=8),
    # What PostgreSQL can store, and UTF-8 say.
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20),
)

numbers = st.one_of(
    st.integers(),
    st.integers(-(10**299), 10**299),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e299, max_value=1e299),
    st.sampled_from([0, 1, 1.0, -0.0, 1e16, 1e-7]),
)

values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)

header_values = st.sampled_from(["1e5", "08", "~", "true", "a: b # c", '"', "", "5"]) | st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20
).map(str.strip)

# To the microsecond, which is what an interval and a point in time are kept to.
durations = st.integers(1000, 300_000_000).map(lambda us: us / 1_000_000)
instants = st.integers(0, 4 * 10**15).map(lambda us: us / 1_000_000)

policies = st.fixed_dictionaries(
    {},
    optional={
        "x-own": values,
        "x-08": values,
        "path": st.none() | st.just({"strip": "/a"}),
        "auth": st.none()
        | st.just({"mode": "optional"})
        | st.lists(st.sampled_from(["08", "a.b"]), max_size=2).map(
            lambda words: {"mode": "required", "scopes": words, "claims": {"1e5": ["08"]}}
        ),
        "request_headers": header_values.map(lambda value: {"set": {"X-Build": value}}),
        "timeouts": st.none()
        | st.dictionaries(st.sampled_from(["idle", "total", "connect"]), st.none() | durations),
    },
)


health_checks = st.fixed_dictionaries(
    {},
    optional={
        "path": st.sampled_from(["/health", "/?a=08"]),
        "interval": st.sampled_from(["3s", 7, "1m"]),
        "headers": header_values.map(lambda value: {"X-Build": value}),
        "expected": st.lists(st.sampled_from([200, "204", "300-399"]), min_size=1),
        "body": st.none() | texts.filter(lambda text: 0 < len(text) <= 1000),
    },
)


def _bookkeeping() -> dict[str, Any]:
    return {
        "labels": st.dictionaries(texts, values, max_size=2),
        "managed_by": st.sampled_from(["git:08", "08", "1e5", "ui"]),
    }


def _row(entity_id: str, needed: dict[str, Any], optional: dict[str, Any]) -> Any:
    return st.fixed_dictionaries(
        {"id": st.just(entity_id), **needed}, optional={**optional, **_bookkeeping()}
    )


def _service(entity_id: str) -> Any:
    fields = {
        "name": texts,
        "enabled": st.booleans(),
        "host_header": st.sampled_from(["instance", "h08", "a.example:80"]),
        "connect_timeout": durations,
        "idle_timeout": durations,
        "health_check": st.none() | health_checks,
        "policies": policies,
    }
    return _row(entity_id, {}, fields)


def _tenant(entity_id: str) -> Any:
    return _row(entity_id, {}, {"name": texts, "hosts": st.just(["acme.example"])})


def _instance(entity_id: str, number: int, services: list[str], tenants: list[str]) -> Any:
    needed = {
        "service_id": st.sampled_from(services),
        # (One per service, address and tenant.)
        "address": st.just(f"http://10.0.0.5:{8000 + number}"),
    }
    fields = {
        "weight": st.integers(0, 65535),
        "zone": texts.filter(lambda zone: 0 < len(zone) <= 100),
    }
    return _row(entity_id, needed, {**fields, "tenant_id": st.sampled_from([None, *tenants])})


def _route(entity_id: str, services: list[str], tenants: list[str]) -> Any:
    service = st.sampled_from(services)
    fields = {
        "tenant_id": st.sampled_from([None, *tenants]),
        "priority": st.integers(-5, 5),
        "hosts": st.lists(st.sampled_from(["a.example", "*.b.example"]), max_size=2),
        "path": st.sampled_from(["/", "/08", "/a/{id}", "/x/{**rest}", "~^/[a-z]+$"]),
        "methods": st.lists(st.sampled_from(["GET", "POST"]), max_size=2),
        "match": st.fixed_dictionaries(
            {},
            optional={
                "query": texts.map(lambda text: [{"name": "q", "value": text}]),
                "cookies": st.just([{"name": "08", "op": "exists"}]),
            },
        ),
        "policies": policies,
        "valid_from": instants,
    }
    targets = [
        {"service_id": service},
        {"split": st.dictionaries(service, st.integers(1, 100), min_size=1)},
        {"redirect": st.just({"location": "https://a.example{path}"})},
        {"respond": st.fixed_dictionaries({"body": texts})},
    ]
    return st.one_of(*(_row(entity_id, target, fields) for target in targets))


def _issuer(entity_id: str, number: int, tenants: list[str]) -> Any:
    needed = {
        # (One of each.)
        "issuer": st.just(f"https://id.example/{number}"),
        "audiences": st.lists(slugs, min_size=1, max_size=2),
    }
    fields = {
        "name": texts,
        "enabled": st.booleans(),
        "refresh": st.integers(30, 86400),
        "leeway": st.floats(0, 30).map(lambda seconds: round(seconds, 6)),
        "max_lifetime": st.none() | durations.filter(lambda seconds: seconds >= 1),
        "required_claims": st.lists(st.sampled_from(["sub", "08", "/a/b"]), max_size=2),
        "claims": st.dictionaries(
            st.sampled_from(["roles", "scopes", "tenant"]), st.sampled_from(["1e5", "/a/b", "sub"])
        ),
        "headers": st.sampled_from([{}, {"X-Plan": "08"}]),
        "tenant_id": st.sampled_from([None, *tenants]),
    }
    places = [
        {"jwks_url": st.just("https://id.example/keys")},
        {"discovery": st.just(True)},
        {"keys": st.just({"keys": [ec_jwk(kid="08")]}), "algorithms": st.just(["ES256"])},
    ]
    return st.one_of(*(_row(entity_id, {**needed, **place}, fields) for place in places))


_words = st.lists(st.sampled_from(["08", "1e5", "orders.read", "null", "~"]), max_size=3)


def _client(entity_id: str, tenants: list[str]) -> Any:
    fields = {
        "name": texts,
        "enabled": st.booleans(),
        "tenant_id": st.sampled_from([None, *tenants]),
        "roles": _words,
        "scopes": _words,
    }
    return _row(entity_id, {}, fields)


def _api_key(entity_id: str, clients: list[str]) -> Any:
    digests = st.sampled_from(["0" * 64, "1e5".rjust(64, "0"), "ab" * 32])
    needed = {"client_id": st.sampled_from(clients), "digest": digests}
    fields = {"name": texts, "enabled": st.booleans(), "expires_at": st.none() | instants}
    return _row(entity_id, needed, fields)


def _settings() -> Any:
    return st.fixed_dictionaries(
        {},
        optional={
            "hold": st.floats(0, 1).map(lambda share: {"max_removed_share": share}),
            "defaults": policies,
            "trusted_proxies": st.just(["10.0.0.0/8", "fe80::/10"]),
        },
    )


@st.composite
def configurations(draw: st.DrawFn) -> Rows:
    """A configuration with entities of every kind, whose references are all there."""
    ids = st.lists(slugs, min_size=1, max_size=3, unique=True)
    tenants, services = draw(ids), draw(ids)
    rows: Rows = {
        Key("setting", name): {"key": name, "value": value}
        for name, value in draw(_settings()).items()
    }
    rows |= {Key("tenant", name): draw(_tenant(name)) for name in tenants}
    for number, name in enumerate(draw(ids)):
        rows[Key("issuer", name)] = draw(_issuer(name, number, tenants))
    clients = draw(ids)
    rows |= {Key("client", name): draw(_client(name, tenants)) for name in clients}
    rows |= {Key("api_key", name): draw(_api_key(name, clients)) for name in draw(ids)}
    rows |= {Key("service", name): draw(_service(name)) for name in services}
    for number, name in enumerate(draw(ids)):
        rows[Key("instance", name)] = draw(_instance(name, number, services, tenants))
    for name in draw(ids):
        rows[Key("route", name)] = draw(_route(name, services, tenants))
    return rows
