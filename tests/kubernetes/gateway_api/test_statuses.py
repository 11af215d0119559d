"""What GatewayClasses, Gateways and HTTPRoutes are told."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.kubernetes.gateway_api.features import FEATURES
from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef
from fengling_gateway.kubernetes.resources import GATEWAY_CLASSES, GATEWAYS
from tests.kubernetes.gateway_api.builders import (
    SETTINGS,
    Obj,
    by_type,
    conditions,
    gateway_conditions,
    listener_status,
    make_class,
    make_gateway,
    make_grant,
    make_listener,
    make_route,
    make_rule,
    make_service,
    meta,
    own_tls,
    parent,
    path,
    ref,
    translated,
)


def said(found: dict[str, tuple[str, str, str]], kind: str) -> tuple[str, str]:
    return found[kind][:2]


class GatewayClassTests:
    def test_class_of_ours_is_accepted_and_says_what_is_supported(self) -> None:
        """In alphabetical order."""
        status = translated().statuses[ObjectRef(GATEWAY_CLASSES, "", "fengling")]
        assert said(by_type(status["conditions"]), "Accepted") == ("True", "Accepted")
        names = [one["name"] for one in status["supportedFeatures"]]
        assert names == sorted(names) == list(FEATURES)

    def test_class_with_parameters_is_refused(self) -> None:
        """And so are its Gateways."""
        result = translated(make_route(), classes=(make_class(parametersRef={"name": "x"}),))
        status = result.statuses[ObjectRef(GATEWAY_CLASSES, "", "fengling")]
        assert said(by_type(status["conditions"]), "Accepted") == ("False", "InvalidParameters")
        assert said(gateway_conditions(result), "Accepted") == ("False", "InvalidParameters")
        assert result.routes == {}
        assert "InvalidParameters" not in str(conditions(result))
        assert "but the Gateway isn't" in conditions(result)["Accepted"][2]

    def test_class_of_another_controller_has_no_status_of_ours(self) -> None:
        """Neither have its Gateways."""
        assert translated(classes=(make_class(controllerName="x.example/y"),)).statuses == {}


class GatewayTests:
    def test_gateway_with_a_listener_is_programmed(self) -> None:
        """With all that its listener's status has to have."""
        result = translated()
        found = gateway_conditions(result)
        assert said(found, "Accepted") == ("True", "Accepted")
        assert said(found, "Programmed") == ("True", "Programmed")
        status = listener_status(result)
        assert status["attachedRoutes"] == 0
        assert status["supportedKinds"] == [
            {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}
        ]
        assert {one["type"]: one["status"] for one in status["conditions"]} == {
            "Accepted": "True",
            "Programmed": "True",
            "ResolvedRefs": "True",
            "Conflicted": "False",
        }

    @pytest.mark.parametrize(
        ("listener", "reason"),
        [
            (make_listener(protocol="TCP"), "UnsupportedProtocol"),
            (make_listener(protocol="TLS"), "UnsupportedProtocol"),
            (make_listener(protocol="x.example/y"), "UnsupportedProtocol"),
            (make_listener(port=81), "PortUnavailable"),
            (make_listener(protocol="HTTPS", tls={"mode": "Passthrough"}), "UnsupportedValue"),
            (
                make_listener(
                    protocol="HTTPS", tls={**own_tls(), "frontendValidation": {"mode": "x"}}
                ),
                "UnsupportedValue",
            ),
        ],
    )
    def test_listener_that_can_not_be_is_refused(self, listener: Obj, reason: str) -> None:
        """The Gateway with it, if it has no other."""
        result = translated(make_gateway(listener), make_route())
        found = by_type(listener_status(result)["conditions"])
        assert said(found, "Accepted") == ("False", reason)
        assert said(found, "Programmed") == ("False", "Invalid")
        assert said(gateway_conditions(result), "Accepted") == ("False", "ListenersNotValid")
        assert said(gateway_conditions(result), "Programmed") == ("False", "Invalid")
        assert result.routes == {}

    def test_gateway_is_accepted_with_some_of_its_listeners(self) -> None:
        """And says of the others that they aren't."""
        result = translated(make_gateway(make_listener(), make_listener("tcp", protocol="TCP")))
        assert said(gateway_conditions(result), "Accepted") == ("True", "ListenersNotValid")
        assert said(gateway_conditions(result), "Programmed") == ("True", "Programmed")
        assert listener_status(result, "tcp")["supportedKinds"] == []

    @pytest.mark.parametrize(
        ("second", "reason"),
        [
            (make_listener("b"), "HostnameConflict"),
            (make_listener("b", protocol="HTTPS", tls=own_tls()), "ProtocolConflict"),
        ],
    )
    def test_listeners_that_are_not_distinct_are_both_refused(
        self, second: Obj, reason: str
    ) -> None:
        """Neither of them wins."""
        result = translated(make_gateway(make_listener("a"), second))
        for name in ("a", "b"):
            found = by_type(listener_status(result, name)["conditions"])
            assert said(found, "Conflicted") == ("True", reason)
            assert said(found, "Accepted") == ("False", reason)

    @pytest.mark.parametrize("tls", [None, {"certificateRefs": [{"name": "x"}]}, {"options": {}}])
    def test_certificates_of_the_cluster_are_not_read(self, tls: Obj | None) -> None:
        """The message says what to do instead."""
        listener = make_listener(port=443, protocol="HTTPS", **({"tls": tls} if tls else {}))
        result = translated(make_gateway(listener), make_route())
        found = by_type(listener_status(result)["conditions"])
        assert said(found, "ResolvedRefs") == ("False", "InvalidCertificateRef")
        assert "gateway.fengling/certificates: own" in found["ResolvedRefs"][2]
        assert said(found, "Programmed") == ("False", "Invalid")
        assert said(found, "Accepted") == ("True", "Accepted")
        assert result.routes == {}

    def test_gateway_that_validates_clients_serves_no_https(self) -> None:
        """It would let everybody in."""
        result = translated(
            make_gateway(
                make_listener(port=443, protocol="HTTPS", tls=own_tls()),
                tls={"frontend": {"default": {"validation": {}}}},
            )
        )
        found = by_type(listener_status(result)["conditions"])
        assert said(found, "Accepted") == ("False", "UnsupportedValue")

    @pytest.mark.parametrize(
        ("kinds", "supported", "attached"),
        [([{"kind": "TLSRoute"}], 0, 0), ([{"kind": "TLSRoute"}, {"kind": "HTTPRoute"}], 1, 1)],
    )
    def test_kinds_that_are_unknown_are_told(
        self, kinds: list[Obj], supported: int, attached: int
    ) -> None:
        """Those that are known may be attached."""
        listener = make_listener(allowedRoutes={"kinds": kinds})
        result = translated(make_gateway(listener), make_route())
        status = listener_status(result)
        found = by_type(status["conditions"])
        assert said(found, "ResolvedRefs") == ("False", "InvalidRouteKinds")
        assert len(status["supportedKinds"]) == supported
        assert status["attachedRoutes"] == attached
        assert len(result.routes) == attached
        if not attached:
            assert said(conditions(result), "Accepted") == ("False", "NotAllowedByListeners")

    @pytest.mark.parametrize(
        ("spec", "kind", "reason"),
        [
            ({"infrastructure": {"parametersRef": {}}}, "Accepted", "InvalidParameters"),
            ({"addresses": [{"type": "x.example/y"}]}, "Accepted", "UnsupportedAddress"),
            ({"tls": {"backend": {"clientCertificateRef": {}}}}, "Accepted", "Invalid"),
            ({"addresses": [{"value": "192.0.2.9"}]}, "Programmed", "AddressNotUsable"),
            ({"addresses": [{"type": "Hostname"}]}, "Programmed", "AddressNotAssigned"),
        ],
    )
    def test_what_is_not_supported_of_a_gateway_is_told(
        self, spec: Obj, kind: str, reason: str
    ) -> None:
        """As the condition that is about it."""
        assert said(gateway_conditions(translated(make_gateway(**spec))), kind) == ("False", reason)

    def test_addresses_are_told_where_they_are_known(self) -> None:
        """By the console's settings."""
        settings = SETTINGS._replace(addresses=("192.0.2.9", "lb.example", "2001:db8::1"))
        gateway = make_gateway(addresses=[{"value": "192.0.2.9"}])
        result = translated(gateway, settings=settings)
        assert result.statuses[ObjectRef(GATEWAYS, "shop", "gw")]["addresses"] == [
            {"type": "IPAddress", "value": "192.0.2.9"},
            {"type": "Hostname", "value": "lb.example"},
            {"type": "IPAddress", "value": "2001:db8::1"},
        ]
        assert said(gateway_conditions(result), "Programmed") == ("True", "Programmed")


class AttachmentTests:
    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            ({"parents": [parent(sectionName="other")]}, "NoMatchingParent"),
            ({"parents": [parent(port=81)]}, "NoMatchingParent"),
            ({"parents": [parent(sectionName="http", port=443)]}, "NoMatchingParent"),
            ({"hostnames": ["b.example"]}, "NoMatchingListenerHostname"),
            ({"namespace": "apps", "parents": [parent(namespace="shop")]}, "NotAllowedByListeners"),
        ],
    )
    def test_route_that_fits_no_listener_is_not_accepted(
        self, given: dict[str, Any], reason: str
    ) -> None:
        """Its references are looked at all the same, and it isn't counted."""
        route = make_route(make_rule(backends=[ref(namespace="shop")]), **given)
        result = translated(
            make_gateway(make_listener(hostname="a.example")),
            make_service(),
            make_grant(namespace="shop", from_namespace="apps"),
            route,
        )
        found = conditions(result, namespace=given.get("namespace", "shop"))
        assert said(found, "Accepted") == ("False", reason)
        assert said(found, "ResolvedRefs") == ("True", "ResolvedRefs")
        assert "PartiallyInvalid" not in found
        assert listener_status(result)["attachedRoutes"] == 0
        assert result.routes == {}

    @pytest.mark.parametrize(
        ("labels", "selector", "is_attached"),
        [
            ({"team": "a"}, {"matchLabels": {"team": "a"}}, True),
            ({"team": "b"}, {"matchLabels": {"team": "a"}}, False),
            ({"team": "a"}, {}, True),
            (
                {"team": "a"},
                {"matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "b"]}]},
                True,
            ),
            (
                {},
                {"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]},
                False,
            ),
            (
                {},
                {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]},
                True,
            ),
            ({"x": "1"}, {"matchExpressions": [{"key": "x", "operator": "Exists"}]}, True),
            ({"x": "1"}, {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}, False),
            ({"x": "1"}, {"matchExpressions": [{"key": "x", "operator": "Later"}]}, False),
            (None, {}, False),
            ({"x": "1"}, None, False),
        ],
    )
    def test_selector_chooses_namespaces(
        self, labels: dict[str, str] | None, selector: Obj | None, is_attached: bool
    ) -> None:
        """By their labels; one that is not known yet has none."""
        namespaces: Obj = {"from": "Selector"}
        if selector is not None:
            namespaces["selector"] = selector
        objects = [
            make_gateway(make_listener(allowedRoutes={"namespaces": namespaces})),
            make_route(namespace="apps", parents=[parent(namespace="shop")]),
        ]
        if labels is not None:
            objects.append({"metadata": meta("apps", labels=labels) | {"labels": labels}})
        found = conditions(translated(*objects), namespace="apps")
        assert (found["Accepted"][0] == "True") is is_attached

    def test_route_of_two_parents_has_two_statuses(self) -> None:
        """One of each, as it was written, and is counted once for each listener."""
        sections = [parent(sectionName="a"), parent(sectionName="b")]
        result = translated(
            make_gateway(make_listener("a", hostname="a.example"), make_listener("b", 443)),
            make_route(parents=[*sections, parent("unknown")]),
        )
        assert said(conditions(result, parent_at=0), "Accepted") == ("True", "Accepted")
        assert said(conditions(result, parent_at=1), "Accepted") == ("True", "Accepted")
        assert listener_status(result, "a")["attachedRoutes"] == 1
        assert listener_status(result, "b")["attachedRoutes"] == 1


class ReferencesTests:
    @pytest.mark.parametrize(
        ("backend", "reason", "about"),
        [
            (ref("x"), "BackendNotFound", "there is no Service shop/x"),
            (ref(port=9), "BackendNotFound", "no TCP port 9"),
            (ref(port=53), "BackendNotFound", "no TCP port 53"),
            (ref(port=None), "BackendNotFound", "has no port"),
            (ref(kind="Bucket", group="x.example"), "InvalidKind", "Bucket.x.example"),
            (ref("outside"), "InvalidKind", "ExternalName"),
            (ref("kept", namespace="apps"), "RefNotPermitted", "no ReferenceGrant in apps"),
            (ref(port=50051), "UnsupportedProtocol", "kubernetes.io/h2c"),
        ],
    )
    def test_backend_that_can_not_be_is_told(self, backend: Obj, reason: str, about: str) -> None:
        """Where, and which; what would go there is answered with 500."""
        ports = (
            {"port": 8080},
            {"port": 53, "protocol": "UDP"},
            {"port": 50051, "appProtocol": "kubernetes.io/h2c"},
        )
        result = translated(
            make_service(ports=ports),
            make_service("outside", type="ExternalName"),
            make_service("kept", namespace="apps"),
            make_route(make_rule(path("/a"), backends=[backend]), make_rule()),
        )
        found = conditions(result)
        assert said(found, "ResolvedRefs") == ("False", reason)
        assert found["ResolvedRefs"][2].startswith("rules[0].backendRefs[0]: ")
        assert about in found["ResolvedRefs"][2]
        assert said(found, "Accepted") == ("True", "Accepted")
        assert result.routes["shop.web.00.00"]["respond"]["status"] == 500
        assert list(result.services) == ["shop.orders.8080"]

    @pytest.mark.parametrize(
        ("given", "is_granted"),
        [
            ({}, True),
            ({"to": {"group": "", "kind": "Service", "name": "kept"}}, True),
            ({"to": {"group": "", "kind": "Service", "name": "other"}}, False),
            ({"to": {"group": "", "kind": "Secret"}}, False),
            ({"from_namespace": "other"}, False),
            ({"namespace": "other"}, False),
            ({"kind": "GRPCRoute"}, False),
        ],
    )
    def test_grant_lets_in_whom_it_names(self, given: dict[str, Any], is_granted: bool) -> None:
        """Its own namespace, kind and namespace of who refers, kind and name of what."""
        result = translated(
            make_service("kept", namespace="apps"),
            make_grant(**given),
            make_route(make_rule(backends=[ref("kept", namespace="apps")])),
        )
        assert (conditions(result)["ResolvedRefs"][0] == "True") is is_granted

    def test_share_of_what_can_not_be_referred_to_goes_nowhere(self) -> None:
        """To a service that never has instances; what has no share has no part in it."""
        backends = [ref(weight=3), ref("x", weight=1), ref("y", weight=0)]
        result = translated(make_route(make_rule(backends=backends)))
        assert result.routes["shop.web.00.00"]["split"] == {
            "shop.orders.8080": 3,
            "gateway-api_nowhere": 1,
        }
        assert result.services["gateway-api_nowhere"][:2] == ("", "")

    def test_weights_are_scaled_to_what_a_split_may_have(self) -> None:
        """None that was above 0 becomes it."""
        result = translated(
            make_service("a"),
            make_service("b"),
            make_route(make_rule(backends=[ref("a", weight=1_000_000), ref("b", weight=1)])),
        )
        assert result.routes["shop.web.00.00"]["split"] == {"shop.a.8080": 65535, "shop.b.8080": 1}

    def test_backend_that_is_named_twice_has_both_weights(self) -> None:
        """As if it were named once."""
        result = translated(make_route(make_rule(backends=[ref(weight=2), ref(weight=1)])))
        assert result.routes["shop.web.00.00"]["service_id"] == "shop.orders.8080"


class RulesTests:
    @pytest.mark.parametrize(
        ("rule", "about"),
        [
            ({"filters": [{"type": "RequestMirror"}]}, "filters[0]: RequestMirror"),
            ({"filters": [{"type": "ExtensionRef"}]}, "filters[0]: ExtensionRef"),
            ({"filters": [{"type": "CORS"}]}, "filters[0]: CORS"),
            (
                {
                    "filters": [
                        {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": 5}}
                    ]
                },
                "filters[0]: set is no list",
            ),
            ({"sessionPersistence": {}}, "sessionPersistence: is not supported"),
            ({"retry": {}}, "retry: is not supported"),
            ({"timeouts": {"request": "soon"}}, "timeouts.request: soon is no duration"),
            ({"backendRefs": [ref(filters=[{"type": "x"}])]}, "backendRefs[0].filters"),
            ({"matches": [{"method": "CONNECT"}]}, "matches[0].method: CONNECT"),
            ({"matches": [path("/a", "Glob")]}, "matches[0].path.type: Glob"),
            ({"matches": [path("~(", "RegularExpression")]}, "RE2"),
            ({"matches": [path("/{a}")]}, "braces"),
            ({"matches": [path("/a/%2e%2e")]}, "must not have . or .."),
            (
                {
                    "matches": [
                        {"headers": [{"type": "RegularExpression", "name": "a", "value": "b"}]}
                    ]
                },
                "matches[0].headers[0].type: RegularExpression",
            ),
            (
                {"matches": [{"queryParams": [{"type": "X", "name": "a", "value": "b"}]}]},
                "matches[0].queryParams[0].type: X",
            ),
            (
                {
                    "filters": [
                        {
                            "type": "RequestHeaderModifier",
                            "requestHeaderModifier": {"remove": ["Host"]},
                        }
                    ]
                },
                "policies.request_headers.remove",
            ),
            (
                {
                    "filters": [
                        {
                            "type": "RequestHeaderModifier",
                            "requestHeaderModifier": {
                                "set": [{"name": "X-A", "value": "b"}],
                                "remove": ["x-a"],
                            },
                        }
                    ]
                },
                "more than one action for header x-a",
            ),
            (
                {
                    "filters": [
                        {
                            "type": "URLRewrite",
                            "urlRewrite": {
                                "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"}
                            },
                        }
                    ],
                    "matches": [path("/a", "Exact")],
                },
                "ReplacePrefixMatch without PathPrefix",
            ),
            (
                {"filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": "Later"}}}]},
                "path: Later is not supported",
            ),
            (
                {
                    "filters": [
                        {
                            "type": "RequestRedirect",
                            "requestRedirect": {"scheme": "ftp", "statusCode": 309},
                        }
                    ],
                    "backendRefs": [],
                },
                "scheme: ftp is not supported; rules[0].filters[0].statusCode: 309",
            ),
        ],
    )
    def test_rule_that_is_not_supported_is_dropped(self, rule: Obj, about: str) -> None:
        """Alone it is the whole route that is not accepted, beside others it is told."""
        broken = {**make_rule(path("/broken")), **rule}
        alone = translated(make_route(broken))
        status, reason, message = conditions(alone)["Accepted"]
        assert (status, reason) == ("False", "UnsupportedValue")
        assert message.startswith("rules[0]")
        assert about in message
        assert alone.routes == {}
        assert listener_status(alone)["attachedRoutes"] == 0
        beside = translated(make_route(broken, make_rule(path("/fine"))))
        found = conditions(beside)
        assert said(found, "Accepted") == ("True", "Accepted")
        assert said(found, "PartiallyInvalid") == ("True", "UnsupportedValue")
        assert found["PartiallyInvalid"][2].startswith("Dropped Rule(s) rules[0]")
        assert about in found["PartiallyInvalid"][2]
        assert beside.routes["shop.web.01.00"]["service_id"] == "shop.orders.8080"
        for name, row in beside.routes.items():
            assert name == "shop.web.01.00" or row["respond"]["status"] == 500

    @pytest.mark.parametrize(
        ("filters", "backends"),
        [
            ([{"type": "RequestRedirect"}, {"type": "URLRewrite"}], []),
            ([{"type": "RequestRedirect"}, {"type": "RequestRedirect"}], []),
            ([{"type": "RequestRedirect"}], None),
        ],
    )
    def test_filters_that_exclude_each_other_are_incompatible(
        self, filters: list[Obj], backends: list[Obj] | None
    ) -> None:
        """With a reason of its own."""
        result = translated(make_route(make_rule(filters=filters, backends=backends)))
        assert said(conditions(result), "Accepted") == ("False", "IncompatibleFilters")

    @pytest.mark.parametrize(
        ("given", "timeouts"),
        [
            ({"request": "10s"}, {"total": 10.0, "first_byte": 10.0}),
            ({"backendRequest": "1m30s"}, {"total": 90.0, "first_byte": 90.0}),
            (
                {"request": "1h", "backendRequest": "500ms"},
                {"total": 3600.0, "first_byte": 0.5},
            ),
            ({"request": "0s"}, {"total": None, "first_byte": 86400.0}),
            ({"request": "0s", "backendRequest": "5s"}, {"total": None, "first_byte": 5.0}),
            ({"request": "99999h"}, {"total": 86400.0, "first_byte": 86400.0}),
        ],
    )
    def test_timeouts_are_in_seconds(self, given: Obj, timeouts: Obj) -> None:
        """A day is the longest, and 0 none."""
        result = translated(make_route(make_rule(timeouts=given)))
        assert result.routes["shop.web.00.00"]["policies"]["timeouts"] == timeouts

    def test_route_without_rules_is_served_nowhere(self) -> None:
        """And accepted all the same."""
        route = make_route()
        route["spec"]["rules"] = []
        result = translated(route)
        assert said(conditions(result), "Accepted") == ("True", "Accepted")
        assert result.routes == {}
