"""Which tenant a host or path belongs to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fengling_gateway.routing.tenants import TenantIndex, compile_tenant

Body = dict[str, Any]


def make_tenant(tenant_id: str = "t", **given: Any) -> Body:
    body: Body = {
        "id": tenant_id,
        "name": tenant_id,
        "enabled": True,
        "hosts": [],
        "path_prefix": None,
        "limits": {},
    }
    return {**body, **given}


def index_of(*bodies: Body) -> TenantIndex:
    return TenantIndex.empty().apply((body["id"], compile_tenant(body)) for body in bodies)


def linear_resolve(bodies: list[Body], host: bytes, path: bytes) -> str | None:
    """The rules written down once more: exact host, longest wildcard, longest prefix, id."""
    text, way = host.decode(), path.decode()
    found = []
    for body in bodies:
        if not body["enabled"]:
            continue
        for pattern in body["hosts"]:
            if pattern == text:
                found.append((0, 0, body["id"]))
            elif pattern.startswith("*") and text.endswith(pattern[1:]):
                found.append((1, -len(pattern), body["id"]))
        prefix = body["path_prefix"]
        if prefix and (way == prefix or way.startswith(prefix + "/")):
            found.append((2, -len(prefix), body["id"]))
    return min(found)[2] if found else None


class ResolveTests:
    @pytest.mark.parametrize(
        ("host", "path", "expected"),
        [
            (b"acme.com", b"/", "acme"),
            (b"x.acme.com", b"/", "wild"),
            (b"x.eu.acme.com", b"/", "eu"),
            (b"eu.acme.com", b"/", "wild"),
            (b"other.org", b"/t/beta", "beta"),
            (b"other.org", b"/t/beta/x", "beta"),
            (b"other.org", b"/%74/beta/x", "beta"),
            (b"other.org", b"/t/betax", None),
            (b"other.org", b"/t/beta/deep/x", "deep"),
            (b"acme.com", b"/t/beta", "acme"),
            (b"other.org", b"/", None),
            (b"", b"*", None),
        ],
    )
    def test_a_host_goes_before_a_path(
        self, host: bytes, path: bytes, expected: str | None
    ) -> None:
        """Exact host, longest wildcard, longest path prefix on a segment border, none."""
        index = index_of(
            make_tenant("acme", hosts=["acme.com"]),
            make_tenant("wild", hosts=["*.acme.com"]),
            make_tenant("eu", hosts=["*.eu.acme.com"]),
            make_tenant("beta", path_prefix="/t/beta"),
            make_tenant("deep", path_prefix="/t/beta/deep"),
            make_tenant("off", enabled=False, hosts=["other.org"]),
        )
        assert index.resolve(host, path) == expected

    def test_a_host_claimed_twice_goes_to_the_first_id(self) -> None:
        """Every worker decides alike; when the first goes, the second has it."""
        index = index_of(
            make_tenant("b", hosts=["h", "h"], path_prefix="/p"),
            make_tenant("a", hosts=["h"], path_prefix="/p"),
        )
        assert index.resolve(b"h", b"/p") == "a"
        without = index.apply([("a", None)])
        assert (without.resolve(b"h", b"/"), without.resolve(b"x", b"/p")) == ("b", "b")

    def test_tenants_are_found_by_id_disabled_ones_too(self) -> None:
        """The index lists every tenant and says how many."""
        index = index_of(make_tenant("on"), make_tenant("off", enabled=False))
        off = index.get("off")
        assert off is not None
        assert not off.enabled
        assert {tenant.id for tenant in index} == {"on", "off"}
        assert (repr(index), repr(off)) == ("<TenantIndex of 2 tenants>", "<Tenant off>")
        assert index.get("nobody") is None

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from("abcde"),
                st.one_of(
                    st.none(),
                    st.fixed_dictionaries(
                        {
                            "enabled": st.sampled_from([True, True, False]),
                            "hosts": st.lists(
                                st.sampled_from(["x.y", "a.x.y", "*.x.y", "*.a.x.y"]), max_size=2
                            ),
                            "path_prefix": st.sampled_from([None, "/t", "/t/u", "/v"]),
                        }
                    ),
                ),
            ),
            max_size=15,
        )
    )
    def test_random_changes_resolve_like_the_rules_read(
        self, changes: list[tuple[str, Body | None]]
    ) -> None:
        """The index after any changes equals the rules applied to what is left."""
        index = TenantIndex.empty()
        bodies: dict[str, Body] = {}
        for tenant_id, values in changes:
            bodies.pop(tenant_id, None)
            if values is not None:
                bodies[tenant_id] = make_tenant(tenant_id, **values)
            body = bodies.get(tenant_id)
            index = index.apply([(tenant_id, compile_tenant(body) if body else None)])
        for host in (b"x.y", b"a.x.y", b"b.a.x.y", b"z"):
            for path in (b"/", b"/t", b"/t/u/w", b"/tt", b"/v/"):
                expected = linear_resolve(list(bodies.values()), host, path)
                assert index.resolve(host, path) == expected
        assert index.size == len(bodies)
