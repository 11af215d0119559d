"""What namespaces may take, against a naive reading of the same lists."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.kubernetes.limits import NO_LIMITS, Limits, Lists, named

LIMITS = Limits(
    hosts=(
        ("shop", ("shop.example", "*.shop.example")),
        ("infra", ("*",)),
        ("team-*", ("*.team.example",)),
        ("team-?", ("one.example",)),
    ),
    tenants=(("shop", ("acme", "acme-eu")), ("infra", ("*",))),
)

labels = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join)
hosts = st.one_of(labels, labels.map(lambda name: f"*.{name}"))
namespaces = st.text("ab-", min_size=1, max_size=4)
patterns = st.text("ab-*?", min_size=1, max_size=3)


def lists(values: st.SearchStrategy[str]) -> st.SearchStrategy[Lists]:
    own = st.lists(st.one_of(values, st.just("*")), min_size=1, max_size=3).map(tuple)
    return st.lists(st.tuples(patterns, own), max_size=4).map(tuple)


def is_of(pattern: str, namespace: str) -> bool:
    said = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(said, namespace) is not None


def all_below(host: str) -> list[str]:
    """Return hosts that stand for all that a host may be: itself, or some of any depth below."""
    return [f"{one}{host[1:]}" for one in ("x", "a", "x.y.z.w")] if host[0] == "*" else [host]


def takes(allowed: str, host: str) -> bool:
    if allowed == "*":
        return True
    return host.endswith(allowed[1:]) if allowed[0] == "*" else host == allowed


class HostsTests:
    @pytest.mark.parametrize(
        ("namespace", "host", "may"),
        [
            ("shop", "shop.example", True),
            ("shop", "*.shop.example", True),
            ("shop", "a.b.shop.example", True),
            ("shop", "*.a.shop.example", True),
            ("shop", "Shop.Example.", True),
            ("shop", "example", False),
            ("shop", "*.example", False),
            ("shop", "notshop.example", False),
            ("shop", "shop.example.evil", False),
            ("shop", None, False),
            ("shop", "*", False),
            ("shop", "no host.shop.example", False),
            ("infra", None, True),
            ("infra", "bank.example", True),
            ("team-a", "a.team.example", True),
            ("team-a", "one.example", True),
            ("team-ab", "one.example", False),
            ("team-a", "team.example", False),
            ("ateam-a", "a.team.example", False),
            ("shops", "shop.example", False),
            ("other", "other.example", False),
        ],
    )
    def test_namespace_may_have_what_its_patterns_say(
        self, namespace: str, host: str | None, may: bool
    ) -> None:
        """A wildcard covers everything below, itself included; and a name itself alone."""
        assert LIMITS.hosts_outside(namespace, [host]) == (() if may else (host,))

    def test_what_is_outside_is_named_once(self) -> None:
        """As it was written, in its order."""
        asked = ["b.example", "shop.example", "A.example", "b.example"]
        assert LIMITS.hosts_outside("shop", asked) == ("b.example", "A.example")

    def test_no_limits_are_none(self) -> None:
        """As it is without the setting."""
        assert NO_LIMITS.hosts_outside("any", [None, "*.example", "?"]) == ()
        assert NO_LIMITS.may_have_tenant("any", None)
        assert NO_LIMITS.may_have_gateways("any")

    @given(lists(hosts), namespaces, hosts)
    def test_host_is_inside_if_all_that_it_takes_is(
        self, limits: Lists, namespace: str, host: str
    ) -> None:
        """By one of the things that the namespace may have."""
        inside = not limits or any(
            all(takes(allowed, one) for one in all_below(host))
            for pattern, own in limits
            if is_of(pattern, namespace)
            for allowed in own
        )
        assert (Limits(hosts=limits).hosts_outside(namespace, [host]) == ()) is inside


class TenantsTests:
    @pytest.mark.parametrize(
        ("namespace", "tenant", "may"),
        [
            ("shop", "acme", True),
            ("shop", "acme-eu", True),
            ("shop", "other", False),
            ("shop", "*", False),
            ("shop", None, False),
            ("infra", "other", True),
            ("infra", None, True),
            ("billing", "acme", False),
            ("billing", None, False),
        ],
    )
    def test_namespace_may_have_its_tenants(
        self, namespace: str, tenant: str | None, may: bool
    ) -> None:
        """And no routes without one, unless it may have all."""
        assert LIMITS.may_have_tenant(namespace, tenant) is may

    @given(lists(labels), namespaces, st.one_of(st.none(), labels))
    def test_tenant_is_inside_if_a_list_has_it(
        self, limits: Lists, namespace: str, tenant: str | None
    ) -> None:
        """Of those whose pattern the namespace has."""
        may = not limits or any(
            "*" in own or tenant in own for pattern, own in limits if is_of(pattern, namespace)
        )
        assert Limits(tenants=limits).may_have_tenant(namespace, tenant) is may


class GatewaysTests:
    def test_gateways_are_of_namespaces_that_are_named(self) -> None:
        """Or that a pattern fits, from beginning to end."""
        limits = Limits(gateway_namespaces=("infra", "edge-*"))
        found = [
            one for one in ("infra", "edge-1", "infra-2", "x") if limits.may_have_gateways(one)
        ]
        assert found == ["infra", "edge-1"]


class NamedTests:
    def test_many_are_counted(self) -> None:
        """And long ones cut off: they are what somebody wrote."""
        assert named([None, "a"]) == "any host, a"
        assert named([str(one) for one in range(9)]) == "0, 1, 2, 3, 4, 4 more"
        assert len(named(["a" * 5000])) == 100
