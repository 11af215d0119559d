"""What translations have in common: nobody notices, but for the time it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.kubernetes import objects
from fengling_gateway.kubernetes.gateway_api import memory
from fengling_gateway.kubernetes.gateway_api.gateways import judge_gateway
from fengling_gateway.kubernetes.gateway_api.http_routes import convert_http_route
from fengling_gateway.kubernetes.gateway_api.judged_routes import judge_route
from fengling_gateway.kubernetes.gateway_api.memory import Memory
from fengling_gateway.kubernetes.gateway_api.objects import (
    convert_gateway,
    convert_gateway_class,
    convert_reference_grant,
)
from fengling_gateway.kubernetes.gateway_api.rules import compile_rules
from fengling_gateway.kubernetes.gateway_api.translation import translate
from fengling_gateway.kubernetes.gateway_api.world import GatewayObjects, Translation, World
from fengling_gateway.kubernetes.limits import NO_LIMITS, Limits
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
from tests.support import kubernetes_objects

CONVERTED = {
    "class": convert_gateway_class,
    "gateway": convert_gateway,
    "route": convert_http_route,
    "grant": convert_reference_grant,
    "service": objects.service,
    "namespace": objects.namespace,
}


class Cluster:
    """A cluster, by what is there of each kind and name."""

    def __init__(self) -> None:
        self.there: dict[tuple[str, str, str], Any] = {}
        self.settings = SETTINGS
        self.apply("class", make_class())
        self.apply("gateway", make_gateway(make_listener(**_ALL)))

    def apply(self, kind: str, obj: Obj) -> None:
        """Have an object, converted anew as it would be after a list; or other settings."""
        if kind == "settings":
            self.settings = SETTINGS._replace(**obj)
            return
        about = obj["metadata"]
        self.there[kind, about.get("namespace", ""), about["name"]] = CONVERTED[kind](obj)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        self.there.pop((kind, namespace, name), None)

    def count(self, kind: str) -> int:
        return sum(one == kind for one, _, _ in self.there)

    def translated(self, memory: Memory | None = None) -> Translation:
        of: dict[str, dict[Any, Any]] = {kind: {} for kind in CONVERTED}
        for (kind, _, _), value in self.there.items():
            name = value.name if kind in ("service", "namespace") else value.metadata.name
            of[kind][name] = value
        known = GatewayObjects(of["class"], of["gateway"], of["route"], of["grant"])
        labels = {name: one.labels for name, one in of["namespace"].items()}
        return translate(known, World(of["service"], labels, self.settings), memory)


_ALL: Obj = {"allowedRoutes": {"namespaces": {"from": "All"}}}
_SELECTED: Obj = {
    "allowedRoutes": {
        "namespaces": {"from": "Selector", "selector": {"matchLabels": {"routes": "yes"}}}
    }
}
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
            parents=st.sampled_from(
                [
                    [parent(namespace="shop")],
                    [parent("none")],
                    [parent(namespace="shop"), parent("other", namespace="shop")],
                ]
            ),
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
        st.builds(
            make_gateway,
            st.sampled_from(
                [
                    make_listener(**_ALL),
                    make_listener(**_ALL, hostname="*.example"),
                    make_listener(**_SELECTED),
                    make_listener(port=8080, **_ALL),
                    make_listener(port=9),
                ]
            ),
            name=st.sampled_from(["gw", "other"]),
            class_name=st.sampled_from(["fengling", "fengling", "fengling", "none"]),
        ),
    ),
    st.tuples(
        st.just("class"),
        st.builds(make_class, parametersRef=st.sampled_from([None, {"name": "any"}])),
    ),
    st.tuples(
        st.just("namespace"),
        st.builds(
            kubernetes_objects.namespace,
            _NAMESPACES,
            routes=st.sampled_from(["yes", "no"]),
        ),
    ),
    st.tuples(
        st.just("settings"),
        st.fixed_dictionaries(
            {
                "priority": st.sampled_from([0, -1]),
                "limits": st.sampled_from([NO_LIMITS, Limits(hosts=(("shop", ("*",)),))]),
            }
        ),
    ),
)
steps = st.lists(st.tuples(changes, st.sampled_from([False, False, True])), min_size=1, max_size=20)


@given(steps)
def test_translation_is_the_same_as_without_memory(steps: list[Any]) -> None:
    """Whatever comes, changes and goes, in whatever order; and nobody changes what is shared."""
    cluster, remembered = Cluster(), Memory()
    said = []
    for (kind, obj), is_gone in steps:
        cluster.apply(kind, obj)
        if is_gone and kind != "settings":
            about = obj["metadata"]
            cluster.remove(kind, about.get("namespace", ""), about["name"])
        result = cluster.translated(remembered)
        assert result == cluster.translated()
        said.append((result, deepcopy(result)))
        assert len(remembered.gateways) <= cluster.count("gateway")
        assert len(remembered.rules) <= len(remembered.routes) == cluster.count("route")
    assert all(result == before for result, before in said)


class MemoryTests:
    @pytest.fixture
    def cluster(self, monkeypatch: pytest.MonkeyPatch) -> Cluster:
        """Two HTTPRoutes, each to a Service of its own, translated once; what is made counts."""
        self.made: Counter[str] = Counter()
        for make in (compile_rules, judge_gateway, judge_route):
            monkeypatch.setattr(memory, make.__name__, self._counted(make))
        self.memory = Memory()
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

    def _counted(self, make: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any) -> Any:
            self.made[make.__name__] += 1
            return make(*given)

        return counted

    def translate(self, cluster: Cluster) -> tuple[int, int, int]:
        """Return how many Gateways and HTTPRoutes were judged, and of how many the rules compiled."""
        self.made.clear()
        assert len(cluster.translated(self.memory).routes) == 2
        return self.made["judge_gateway"], self.made["judge_route"], self.made["compile_rules"]

    def test_nothing_is_made_twice(self, cluster: Cluster) -> None:
        """Also where all was listed anew."""
        assert self.made == {"judge_gateway": 1, "judge_route": 2, "compile_rules": 2}
        assert self.translate(cluster) == (0, 0, 0)
        cluster.apply("gateway", make_gateway(make_listener(**_ALL)))
        cluster.apply("route", self.route("orders"))
        assert self.translate(cluster) == (0, 0, 0)

    def test_only_what_has_changed_is_made_anew(self, cluster: Cluster) -> None:
        """The route itself, its age included, or the Service that it refers to."""
        cluster.apply("route", self.route("orders", "/other"))
        assert self.translate(cluster) == (0, 1, 1)
        cluster.apply("service", make_service("carts", "apps", ({"port": 9},)))
        assert self.translate(cluster) == (0, 1, 1)
        again = self.route("carts")
        again["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
        cluster.apply("route", again)
        assert self.translate(cluster) == (0, 1, 1)
        cluster.apply("service", make_service("else", "apps"))
        assert self.translate(cluster) == (0, 0, 0)

    def test_gateway_that_changes_has_no_rules_compiled(self, cluster: Cluster) -> None:
        """They don't depend on it, and take longest."""
        cluster.apply("gateway", make_gateway(make_listener(**_ALL, hostname="*.example")))
        assert self.translate(cluster) == (1, 2, 0)
        cluster.apply("gateway", make_gateway(name="unrelated"))
        assert self.translate(cluster) == (1, 0, 0)

    def test_what_is_gone_is_forgotten(self, cluster: Cluster) -> None:
        """Else they would be many in the end."""
        cluster.remove("route", "apps", "orders")
        cluster.remove("gateway", "shop", "gw")
        cluster.translated(self.memory)
        kept = (self.memory.gateways, self.memory.rules, self.memory.routes)
        assert [len(one) for one in kept] == [0, 1, 1]
