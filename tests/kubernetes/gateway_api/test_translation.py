"""From objects of the Gateway API to rows, services and statuses."""

from __future__ import annotations

import pytest

from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef
from fengling_gateway.kubernetes.resources import GATEWAYS, HTTP_ROUTES
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from tests.kubernetes.gateway_api.builders import (
    Obj,
    conditions,
    listener_status,
    make_gateway,
    make_listener,
    make_route,
    make_rule,
    own_tls,
    parent,
    path,
    translated,
)


class TranslationTests:
    def test_plain_route_is_one_row(self) -> None:
        """A match and a backend: a route, and the service that it refers to."""
        result = translated(make_route(make_rule(path("/a")), hostnames=["a.example"]))
        row = result.routes["shop.web.00.00"]
        assert (row["hosts"], row["path"]) == (["a.example"], "/a/{**rest}")
        assert row["match"]["listeners"] == ["http"]
        assert row["service_id"] == "shop.orders.8080"
        assert result.origins == {"shop.web.00.00": ObjectRef(HTTP_ROUTES, "shop", "web")}
        backend = result.services["shop.orders.8080"]
        assert (backend.namespace, backend.name, backend.port.port) == ("shop", "orders", 8080)

    def test_route_and_gateway_say_that_they_are_accepted(self) -> None:
        """With the generation that was judged."""
        result = translated(make_route())
        found = conditions(result)
        assert {name: one[:2] for name, one in found.items()} == {
            "Accepted": ("True", "Accepted"),
            "ResolvedRefs": ("True", "ResolvedRefs"),
        }
        status = result.statuses[ObjectRef(HTTP_ROUTES, "shop", "web")]
        (of_parent,) = status["parents"]
        assert of_parent["parentRef"] == parent()
        assert of_parent["controllerName"] == "gateway.fengling/controller"
        assert [one["observedGeneration"] for one in of_parent["conditions"]] == [1, 1]
        assert listener_status(result)["attachedRoutes"] == 1

    def test_every_row_is_one_that_gateways_accept(self) -> None:
        """Else the Gateway would say yes and nobody would serve it."""
        result = translated(make_route(make_rule(path("/a"), path("/b", "Exact"), path("/"))))
        assert len(result.routes) == 3
        for name, row in result.routes.items():
            assert isinstance(validate(Key("route", name), row), Accepted)

    def test_rule_without_matches_takes_everything(self) -> None:
        """As the API defaults it."""
        rule = make_rule()
        del rule["matches"]
        assert translated(make_route(rule)).routes["shop.web.00.00"]["path"] == "/{**rest}"

    def test_route_of_another_gateway_is_left_alone(self) -> None:
        """Other controllers have Gateways, too."""
        result = translated(make_gateway(class_name="other"), make_route(parents=[parent()]))
        assert result.routes == {}
        assert result.statuses[ObjectRef(HTTP_ROUTES, "shop", "web")] == {"parents": []}
        assert ObjectRef(GATEWAYS, "shop", "gw") not in result.statuses

    def test_listeners_with_the_same_hosts_share_a_row(self) -> None:
        """One for http and https."""
        result = translated(
            make_gateway(make_listener(), make_listener("tls", 443, "HTTPS", tls=own_tls())),
            make_route(hostnames=["a.example"]),
        )
        assert result.routes["shop.web.00.00"]["match"]["listeners"] == ["http", "https"]

    def test_listeners_with_other_hosts_have_rows_of_their_own(self) -> None:
        """What is of one listener is not served by the other."""
        result = translated(
            make_gateway(
                make_listener(hostname="a.example"),
                make_listener("tls", 443, "HTTPS", tls=own_tls(), hostname="*.example"),
            ),
            make_route(hostnames=["a.example", "b.example"]),
        )
        assert _served(result.routes) == {
            "shop.web.00.00_http": (["a.example"], ["http"]),
            "shop.web.00.00_https": (["a.example", "b.example"], ["https"]),
        }

    def test_any_host_beside_a_named_one_is_a_row_of_its_own(self) -> None:
        """A row for any host comes after all that name one, which the named one must not."""
        result = translated(
            make_gateway(
                make_listener("all", allowedRoutes={"namespaces": {"from": "All"}}),
                name="wide",
            ),
            make_gateway(make_listener(hostname="a.example")),
            make_route(parents=[parent(), parent("wide")]),
        )
        assert _served(result.routes) == {
            "shop.web.00.00_http": (["a.example"], ["http"]),
            "shop.web.00.00_http.any": ([], ["http"]),
        }

    def test_request_for_a_listener_is_kept_from_wider_ones(self) -> None:
        """Each listener has its own hosts, and no route of another gets them."""
        result = translated(
            make_gateway(make_listener("all"), make_listener("one", hostname="a.example")),
            make_route(parents=[parent(sectionName="all")], hostnames=["a.example", "b.example"]),
        )
        assert _served(result.routes) == {
            "shop.web.00.00": (["b.example"], ["http"]),
            "shop.gw.one_else": (["a.example"], ["http"]),
        }
        assert result.routes["shop.gw.one_else"]["respond"]["status"] == 404


def _served(routes: dict[str, Obj]) -> dict[str, tuple[list[str], list[str]]]:
    return {name: (row["hosts"], row["match"]["listeners"]) for name, row in routes.items()}


class IdsTests:
    def test_order_of_ids_is_the_order_of_rules(self) -> None:
        """However long the name is; it decides where nothing else does."""
        for name in ("web", "w" * 89, "w" * 90, "w" * 253):
            rules = [make_rule(_asking({"headers": [header]})) for header in "cba"]
            result = translated(make_route(*rules, name=name))
            (_, first), *_ = sorted(result.routes.items())
            assert first["match"]["headers"][0]["name"] == "c"
            assert len(result.routes) == 3
            assert all(len(one) <= 100 for one in result.routes)

    def test_long_names_with_the_same_beginning_have_other_ids(self) -> None:
        """Of routes that are not the same."""
        rules = {name: make_rule(path(f"/{name[-1]}")) for name in ("w" * 200, "w" * 199 + "x")}
        result = translated(*(make_route(rule, name=name) for name, rule in rules.items()))
        assert len(result.routes) == 2


class PrecedenceTests:
    def test_same_match_is_the_older_route_s(self) -> None:
        """The younger one's is left out, and its status says so."""
        result = translated(
            make_route(name="young", created="2026-02-01T00:00:00Z"),
            make_route(name="old", created="2026-01-01T00:00:00Z"),
        )
        assert list(result.routes) == ["shop.old.00.00"]
        status, _, message = conditions(result, "young")["Accepted"]
        assert status == "True"
        assert "rules[0].matches[0] is left out" in message
        assert "shop/old" in message

    def test_same_age_is_decided_by_name(self) -> None:
        """By namespace and name."""
        result = translated(make_route(name="b"), make_route(name="a"))
        assert list(result.routes) == ["shop.a.00.00"]

    def test_same_match_on_another_host_is_kept(self) -> None:
        """Only the hosts that are the other's are left out."""
        result = translated(
            make_route(name="a", hostnames=["a.example"]),
            make_route(name="b", hostnames=["a.example", "b.example"]),
        )
        assert result.routes["shop.b.00.00"]["hosts"] == ["b.example"]

    def test_same_match_in_one_route_is_the_first_rule_s(self) -> None:
        """In the order in which they are written."""
        result = translated(make_route(make_rule(path("/a")), make_rule(path("/a/"))))
        assert list(result.routes) == ["shop.web.00.00"]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ({"headers": ["a"]}, {"queryParams": ["a", "b", "c"]}),
            ({"headers": ["a", "b"]}, {"headers": ["c"]}),
            ({"headers": ["a"], "queryParams": ["a"]}, {"headers": ["b"]}),
            ({"queryParams": ["a"]}, {}),
        ],
    )
    def test_more_headers_then_more_parameters_come_first(
        self, first: dict[str, list[str]], second: dict[str, list[str]]
    ) -> None:
        """Headers count before parameters, however many of those there are."""
        result = translated(
            make_route(make_rule(_asking(second)), name="a", created="2020-01-01T00:00:00Z"),
            make_route(make_rule(_asking(first)), name="b"),
        )
        counts = {name: row["match"]["counts_as"] for name, row in result.routes.items()}
        assert counts["shop.b.00.00"] > counts["shop.a.00.00"]

    def test_otherwise_the_older_comes_first(self) -> None:
        """A request that both take is the older one's."""
        result = translated(
            make_route(make_rule(_asking({"headers": ["a"]})), name="a"),
            make_route(
                make_rule(_asking({"headers": ["b"]})), name="b", created="2025-12-31T23:59:59Z"
            ),
        )
        counts = {name: row["match"]["counts_as"] for name, row in result.routes.items()}
        assert counts["shop.b.00.00"] == counts["shop.a.00.00"] + 1

    def test_everything_comes_after_regular_expressions_of_the_same_route(self) -> None:
        """A rule for everything else would take what they are for."""
        result = translated(
            make_route(make_rule(path("/")), make_rule(path("^/v[0-9]+/.*", "RegularExpression")))
        )
        everything, regex = result.routes["shop.web.00.00"], result.routes["shop.web.01.00"]
        assert (everything["path"], regex["path"]) == ("~^/.*$", "~^/v[0-9]+/.*")
        assert regex["match"]["counts_as"] > everything["match"]["counts_as"]


def _asking(what: dict[str, list[str]]) -> Obj:
    asked = {
        key: [{"type": "Exact", "name": name, "value": "1"} for name in names]
        for key, names in what.items()
    }
    return {**path("/"), **asked}
