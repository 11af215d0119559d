"""Compiled rules that are remembered: nobody notices, but for the time it takes."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.kubernetes.gateway_api import compiled
from fengling_gateway.kubernetes.gateway_api.compiled import CompiledRules
from fengling_gateway.kubernetes.gateway_api.http_routes import convert_http_route
from fengling_gateway.kubernetes.gateway_api.objects import (
    convert_gateway,
    convert_gateway_class,
    convert_reference_grant,
)
from fengling_gateway.kubernetes.gateway_api.rules import compile_rules
from fengling_gateway.kubernetes.gateway_api.translation import translate
from fengling_gateway.kubernetes.gateway_api.world import GatewayObjects, Translation, World
from fengling_gateway.kubernetes.objects import service
from tests.kubernetes.gateway_api.builders import (
    SETTINGS,
    Obj,
    make_class,
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

CONVERTED = {
    "class": convert_gateway_class,
    "gateway": convert_gateway,
    "route": convert_http_route,
    "grant": convert_reference_grant,
    "service": service,
}


class Cluster:
    """A cluster, by what is there of each kind and name."""

    def __init__(self) -> None:
        self.there: dict[tuple[str, str, str], Any] = {}
        self.apply("class", make_class())
        self.apply("gateway", make_gateway(make_listener(**_ALL)))

    def apply(self, kind: str, obj: Obj) -> None:
        """Have an object, converted anew as it would be after a list."""
        about = obj["metadata"]
        self.there[kind, about.get("namespace", ""), about["name"]] = CONVERTED[kind](obj)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        self.there.pop((kind, namespace, name), None)

    def translated(self, rules: CompiledRules | None = None) -> Translation:
        of: dict[str, dict[Any, Any]] = {kind: {} for kind in CONVERTED}
        for (kind, _, _), value in self.there.items():
            name = value.name if kind == "service" else value.metadata.name
            of[kind][name] = value
        known = GatewayObjects(of["class"], of["gateway"], of["route"], of["grant"])
        return translate(known, World(of["service"], {}, SETTINGS), rules)


_ALL: Obj = {"allowedRoutes": {"namespaces": {"from": "All"}}}
_REWRITE: Obj = {"type": "URLRewrite", "urlRewrite": {"hostname": "x.example"}}
_MIRROR: Obj = {"type": "RequestMirror", "requestMirror": {}}
_NAMESPACES = st.sampled_from(["shop", "apps"])

rules = st.builds(
    make_rule,
    st.sampled_from(
        [path("/a"), path("/"), path("/b", "Exact"), path("/r.*", "RegularExpression"), path("no")]
    ),
    backends=st.lists(
        st.builds(
            ref,
            st.sampled_from(["orders", "carts"]),
            st.sampled_from([8080, 9]),
            namespace=_NAMESPACES,
            weight=st.sampled_from([0, 1, 3]),
        ),
        max_size=2,
    ),
    filters=st.lists(st.sampled_from([_REWRITE, _MIRROR]), max_size=1),
    timeouts=st.sampled_from([{}, {"request": "1s"}, {"request": "soon"}]),
)
changes = st.one_of(
    st.tuples(
        st.just("route"),
        st.builds(
            make_route,
            rules,
            rules,
            name=st.sampled_from(["one", "two"]),
            namespace=_NAMESPACES,
            hostnames=st.sampled_from([[], ["a.example"]]),
            parents=st.sampled_from([[parent(namespace="shop")], [parent("none")]]),
            created=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
        ),
    ),
    st.tuples(
        st.just("service"),
        st.builds(
            make_service,
            st.sampled_from(["orders", "carts"]),
            _NAMESPACES,
            st.sampled_from([(), ({"port": 9},), ({"port": 8080, "appProtocol": "h2c"},)]),
            type=st.sampled_from(["ClusterIP", "ExternalName"]),
        ),
    ),
    st.tuples(
        st.just("grant"),
        st.builds(make_grant, namespace=_NAMESPACES, from_namespace=_NAMESPACES),
    ),
    st.tuples(
        st.just("gateway"),
        st.sampled_from(
            [
                make_gateway(make_listener(**_ALL)),
                make_gateway(make_listener(**_ALL, hostname="*.example")),
                make_gateway(make_listener()),
                make_gateway(class_name="other"),
            ]
        ),
    ),
)
steps = st.lists(st.tuples(changes, st.booleans()), min_size=1, max_size=12)


@given(steps)
def test_translation_is_the_same_as_without_memory(steps: list[Any]) -> None:
    """Whatever comes, changes and goes, in whatever order; and nobody changes what is shared."""
    cluster, remembered = Cluster(), CompiledRules()
    said = []
    for (kind, obj), is_gone in steps:
        cluster.apply(kind, obj)
        if is_gone:
            cluster.remove(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
        result = cluster.translated(remembered)
        assert result == cluster.translated()
        said.append((result, deepcopy(result)))
        assert len(remembered) <= len(result.statuses)
    assert all(result == before for result, before in said)


class MemoryTests:
    @pytest.fixture
    def cluster(self, monkeypatch: pytest.MonkeyPatch) -> Cluster:
        """Two HTTPRoutes, each to a Service of its own, translated once; what is compiled counts."""
        self.compiled = 0
        monkeypatch.setattr(compiled, "compile_rules", self._compile)
        self.rules = CompiledRules()
        cluster = Cluster()
        for name in ("orders", "carts"):
            cluster.apply("service", make_service(name, "apps"))
            cluster.apply("route", self.route(name))
        self.translate(cluster)
        return cluster

    def route(self, name: str, where: str = "/") -> Obj:
        return make_route(
            make_rule(path(where), backends=[ref(name)]),
            name=name,
            namespace="apps",
            hostnames=[f"{name}.example"],
            parents=[parent(namespace="shop")],
        )

    def _compile(self, *source: Any) -> Any:
        self.compiled += 1
        return compile_rules(*source)

    def translate(self, cluster: Cluster) -> int:
        """Return how many routes were compiled."""
        before = self.compiled
        assert len(cluster.translated(self.rules).routes) == 2
        return self.compiled - before

    def test_nothing_is_compiled_twice(self, cluster: Cluster) -> None:
        """Also where all was listed anew."""
        assert (self.compiled, self.translate(cluster)) == (2, 0)
        cluster.apply("route", self.route("orders"))
        assert self.translate(cluster) == 0

    def test_only_what_has_changed_is_compiled(self, cluster: Cluster) -> None:
        """The route itself, its age included, or the Service that it refers to."""
        cluster.apply("route", self.route("orders", "/other"))
        assert self.translate(cluster) == 1
        cluster.apply("service", make_service("carts", "apps", ({"port": 9},)))
        assert self.translate(cluster) == 1
        again = self.route("carts")
        again["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
        cluster.apply("route", again)
        assert self.translate(cluster) == 1
        cluster.apply("service", make_service("else", "apps"))
        assert self.translate(cluster) == 0

    def test_routes_that_are_gone_are_forgotten(self, cluster: Cluster) -> None:
        """Else they would be many in the end."""
        cluster.remove("route", "apps", "orders")
        cluster.translated(self.rules)
        assert len(self.rules) == 1
