"""JSON values of every kind, good rows, and good rows gone wrong."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from fengling_gateway.model.entity import Key
from tests.support.issued import ROOT, SEALED, SHOP

# With lone surrogates, which Python's json accepts and UTF-8 can't say.
any_text = st.text(st.characters(exclude_categories=()), max_size=30)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**4000),
    st.floats(),
    any_text,
    st.sampled_from(["", "/", "*", "~(", "a\r\nb", "\0", "PT3S", "-1", "https://u:p@h:0/", "x-a"]),
)

any_json = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)

GOOD: dict[str, dict[str, Any]] = {
    "tenant": {
        "id": "acme",
        "name": "Acme",
        "enabled": True,
        "hosts": ["acme.example", "*.acme.example"],
        "path_prefix": "/acme",
        "limits": {},
    },
    "secret": {"id": "shop-key", "name": "of the shop", "value": SEALED},
    "certificate": {
        "id": "shop",
        "name": None,
        "enabled": True,
        "hosts": ["*.Shop.Example.", "shop.example"],
        "chain": f"subject=shop\n{SHOP.chain}\n\n",
        "key_secret": "shop-key",
    },
    "issuer": {
        "id": "corp",
        "name": None,
        "enabled": True,
        "issuer": "https://id.example/realms/corp",
        "audiences": ["orders", "api", "orders"],
        "algorithms": ["RS256", "ES256"],
        "jwks_url": "https://id.example/keys",
        "discovery": False,
        "keys": None,
        "key_secret": None,
        "refresh": "PT5M",
        "leeway": 10,
        "max_lifetime": "1d",
        "required_claims": ["sub"],
        "claims": {"roles": "/realm_access/roles"},
        "headers": {"X-Plan": "plan"},
        "tenant_id": "acme",
    },
    "client": {
        "id": "batch",
        "name": "Batch",
        "enabled": True,
        "tenant_id": "acme",
        "roles": ["writer", "reader", "writer"],
        "scopes": ["orders.read"],
    },
    "api_key": {
        "id": "batch-1",
        "name": None,
        "enabled": False,
        "client_id": "batch",
        "digest": "ab" * 32,
        "expires_at": "2036-12-31T00:00:00+01:00",
    },
    "service": {
        "id": "orders",
        "name": None,
        "enabled": True,
        "balancing": "round_robin",
        "protocol": "http1",
        "host_header": "orders.internal:8080",
        "connect_timeout": "PT3S",
        "first_byte_timeout": "00:00:30",
        "idle_timeout": 60,
        "tenant_spill": False,
        "health_check": {"path": "/health"},
        "affinity": None,
        "tls": {"ca": ROOT.pem, "client_certificate": "shop", "sni": "Orders.internal"},
        "policies": {"limits": {"max_request_body": None}, "x-any": [1, {"a": None}]},
    },
    "instance": {
        "id": "orders-1",
        "service_id": "orders",
        "tenant_id": "acme",
        "address": "http://10.0.0.5",
        "weight": 100.0,
        "state": "drain",
        "zone": "north",
    },
    "instance_health": {"instance_id": "orders-1", "health": "healthy", "reason": None},
    "route": {
        "id": "orders",
        "tenant_id": "acme",
        "enabled": True,
        "priority": -1,
        "hosts": ["Shop.Example.", "[::1]"],
        "path": "/api/orders/{id}/**",
        "methods": ["get", "POST", "GET"],
        "match": {
            "headers": [{"name": "X-Version", "op": "equals", "value": "2"}],
            "query": [{"name": "q", "op": "exists"}],
            "cookies": [{"name": "c", "value": "v", "op": "prefix", "ignore_case": True}],
            "client_ip": ["10.0.0.0/8", "::1"],
            "listeners": ["http"],
            "counts_as": 7,
        },
        "service_id": None,
        "split": {"orders": 90, "orders-2": 10},
        "redirect": None,
        "respond": None,
        "policies": {
            "path": {"strip": "/api"},
            "request_headers": {"set": {"X-A": " a "}, "remove": ["X-B", "x-b"]},
            "response_headers": None,
            "timeouts": {"total": "5s"},
            "retry": {"attempts": 2},
            "auth": {"mode": "required", "scopes": ["b", "a"], "claims": {"d": ["x"]}},
        },
        "valid_from": "2026-01-01T00:00:00+00:00",
        "valid_to": "infinity",
    },
}
"""A good row of each kind that has ids, each with something to normalise."""


def key_of(kind: str) -> Key:
    row = GOOD[kind]
    return Key(kind, row["instance_id"] if kind == "instance_health" else row["id"])


@st.composite
def spoilt(draw: st.DrawFn, value: Any) -> Any:
    """A value in which something, somewhere, is replaced, added or left out."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: draw(spoilt(value[name]))}
    if isinstance(value, list) and value and draw(st.integers(0, 2)):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], draw(spoilt(value[index])), *value[index + 1 :]]
    if isinstance(value, dict) and draw(st.booleans()):
        return {**value, draw(any_text): draw(any_json)}
    return draw(any_json)


@st.composite
def rows(draw: st.DrawFn) -> tuple[Key, Any]:
    """A key with a row that is good, spoilt, or anything."""
    kind = draw(st.sampled_from(sorted(GOOD)))
    row = draw(st.one_of(st.just(GOOD[kind]), spoilt(GOOD[kind]), any_json))
    return key_of(kind), row


@st.composite
def settings_rows(draw: st.DrawFn) -> tuple[Key, Any]:
    name = draw(st.sampled_from(["defaults", "hold", "identity_headers", "trusted_proxies", "no"]))
    good = {"defaults": GOOD["route"]["policies"], "trusted_proxies": ["10.0.0.0/8"]}
    return Key("setting", name), {"key": name, "value": draw(spoilt(good.get(name, {})))}
