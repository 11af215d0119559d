"""What docs/gateway-api.md says."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from fengling_gateway.kubernetes.gateway_api.features import FEATURES
from tests.kubernetes.gateway_api.builders import Obj, conditions, make_service, translated

PAGE = (Path(__file__).parents[3] / "docs" / "gateway-api.md").read_text()


class DocumentationTests:
    def test_features_are_those_that_are_claimed(self) -> None:
        """In a GatewayClass's status."""
        table = PAGE.partition("## What is claimed")[2].partition("\n## ")[0]
        named = re.findall(r"`((?:Gateway|HTTPRoute|ReferenceGrant)[A-Za-z0-9]*)`", table)
        assert sorted(named) == list(FEATURES)

    def test_example_is_what_is_said_of_it(self) -> None:
        """A route and a service."""
        text = PAGE.partition("```yaml\n")[2].partition("```")[0]
        a_class, *objects = yaml.safe_load_all(text)
        labels: Obj = {"metadata": {"name": "shop", "labels": {}}}
        result = translated(*objects, labels, make_service(), classes=(a_class,))
        assert list(result.routes) == ["shop.orders.00.00"]
        assert list(result.services) == ["shop.orders.8080"]
        row = result.routes["shop.orders.00.00"]
        assert row["match"]["listeners"] == ["http", "https"]
        assert conditions(result, "orders")["Accepted"][0] == "True"
