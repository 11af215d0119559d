"""Values made of the Gateway API's objects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from fengling_gateway.kubernetes.gateway_api.http_routes import convert_http_route
from fengling_gateway.kubernetes.gateway_api.objects import (
    convert_gateway,
    convert_gateway_class,
    convert_reference_grant,
)
from fengling_gateway.kubernetes.gateway_api.translation import translate
from fengling_gateway.kubernetes.gateway_api.world import GatewayObjects, World
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from tests.kubernetes.gateway_api.builders import (
    SETTINGS,
    make_class,
    make_gateway,
    make_grant,
    make_listener,
    make_route,
    make_rule,
    path,
)
from tests.model.strategies import any_json, spoilt

CONVERTED = [convert_gateway_class, convert_gateway, convert_http_route, convert_reference_grant]

RICH = make_route(
    make_rule(
        {**path("/a"), "headers": [{"name": "a", "value": "b"}], "method": "GET"},
        filters=[
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["X-A"]}},
            {
                "type": "ResponseHeaderModifier",
                "responseHeaderModifier": {"set": [{"name": "X-A", "value": "b"}]},
            },
            {
                "type": "URLRewrite",
                "urlRewrite": {
                    "hostname": "a.example",
                    "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"},
                },
            },
        ],
        timeouts={"request": "1s"},
    ),
    make_rule(
        path("/b"),
        backends=[],
        filters=[
            {
                "type": "RequestRedirect",
                "requestRedirect": {
                    "scheme": "https",
                    "hostname": "a.example",
                    "port": 81,
                    "statusCode": 301,
                    "path": {"type": "ReplaceFullPath", "replaceFullPath": "/b"},
                },
            }
        ],
    ),
    hostnames=["a.example"],
)


class ObjectsTests:
    @pytest.mark.parametrize("convert", CONVERTED)
    def test_object_without_a_name_is_refused(self, convert: Any) -> None:
        """It is none."""
        with pytest.raises(ValueError, match=r"metadata\.name"):
            convert({"metadata": {}})

    @pytest.mark.parametrize(
        ("convert", "obj"),
        list(
            zip(CONVERTED, (make_class(), make_gateway(), make_route(), make_grant()), strict=True)
        ),
    )
    def test_version_is_no_part_of_a_value(self, convert: Any, obj: Any) -> None:
        """Else each word in a status, whoever's, would make another object of it."""
        later = {"resourceVersion": "7", "managedFields": [{"manager": "kubectl"}]}
        assert convert({**obj, "metadata": {**obj["metadata"], **later}}) == convert(obj)

    def test_what_is_left_out_is_as_the_api_says(self) -> None:
        """For objects of before a field came, and those that nobody has defaulted."""
        listener = {"name": "http", "port": 80, "protocol": "HTTP"}
        (found,) = convert_gateway(make_gateway(listener)).listeners
        assert (found.hostname, found.namespaces, found.kinds) == (None, "Same", ())
        route = make_route()
        del route["spec"]["rules"]
        route["spec"]["parentRefs"] = [{"name": "gw"}]
        value = convert_http_route(route)
        assert value.rules[0].matches[0].path == "/"
        assert value.parents[0].gateway == ("shop", "gw")
        assert value.rules[0].backends == ()

    def test_listener_without_a_port_is_refused(self) -> None:
        """No API server gives one."""
        listener = make_listener()
        del listener["port"]
        with pytest.raises(ValueError, match="a listener without"):
            convert_gateway(make_gateway(listener))

    @given(spoilt(make_gateway()), spoilt(make_route()), any_json)
    def test_whatever_comes_is_a_value_or_refused(
        self, gateway: Any, route: Any, anything: Any
    ) -> None:
        """A ValueError is all that is raised."""
        for convert, obj in (
            (convert_gateway, gateway),
            (convert_http_route, route),
            (convert_reference_grant, {"metadata": {"name": "a"}, "spec": anything}),
            (convert_gateway_class, {"metadata": {"name": "a"}, "spec": anything}),
        ):
            if not isinstance(obj, dict):
                continue
            try:
                convert(obj)
            except ValueError:
                pass

    @given(spoilt(make_gateway()), spoilt(RICH))
    def test_whatever_was_converted_is_translated(self, gateway: Any, route: Any) -> None:
        """One object must not stop what follows from all others."""
        if not isinstance(gateway, dict) or not isinstance(route, dict):
            return
        try:
            convert_gateway(gateway)
            convert_http_route(route)
        except ValueError:
            return
        known = GatewayObjects(
            {("", "fengling"): convert_gateway_class(make_class())},
            {("shop", "gw"): convert_gateway(gateway)},
            {("shop", "web"): convert_http_route(route)},
            {},
        )
        for name, row in translate(known, World({}, {}, SETTINGS)).routes.items():
            assert isinstance(validate(Key("route", name), row), Accepted)
