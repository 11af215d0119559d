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
from tests.kubernetes.gateway_api.builders import make_gateway, make_listener, make_route
from tests.model.strategies import any_json, spoilt

CONVERTED = [convert_gateway_class, convert_gateway, convert_http_route, convert_reference_grant]


class ObjectsTests:
    @pytest.mark.parametrize("convert", CONVERTED)
    def test_object_without_a_name_is_refused(self, convert: Any) -> None:
        """It is none."""
        with pytest.raises(ValueError, match=r"metadata\.name"):
            convert({"metadata": {}})

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
