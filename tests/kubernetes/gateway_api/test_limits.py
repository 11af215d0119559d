"""What Gateways and HTTPRoutes get of what their namespaces may have."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef
from fengling_gateway.kubernetes.gateway_api.world import Settings, Translation
from fengling_gateway.kubernetes.limits import Limits
from fengling_gateway.kubernetes.resources import GATEWAYS
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from tests.kubernetes.gateway_api.builders import (
    SETTINGS,
    Obj,
    by_type,
    conditions,
    gateway_conditions,
    listener_status,
    make_gateway,
    make_listener,
    make_route,
    parent,
    translated,
)

HOSTS = (("shop", ("shop.example", "*.shop.example")), ("infra", ("*",)))


def limited(**limits: Any) -> Settings:
    return SETTINGS._replace(limits=Limits(**limits))


def open_to_all(*listeners: Obj, **given: Any) -> Obj:
    """Return a Gateway of those who run it, with listeners for everybody."""
    anybody = {"namespaces": {"from": "All"}}
    found = [{**one, "allowedRoutes": anybody} for one in listeners or (make_listener(),)]
    return make_gateway(*found, **{"namespace": "infra", **given})


def of_infra(*hostnames: str, namespace: str = "shop") -> Obj:
    return make_route(
        namespace=namespace, hostnames=list(hostnames), parents=[parent(namespace="infra")]
    )


def hosts(result: Translation) -> list[str]:
    return sorted(host for row in result.routes.values() for host in row["hosts"] or ["any"])


class HostsTests:
    @pytest.mark.parametrize(
        ("hostnames", "listener", "taken", "left_out"),
        [
            (["shop.example"], None, ["shop.example"], None),
            (["shop.example", "bank.example"], None, ["shop.example"], "bank.example"),
            (["*.a.shop.example"], None, ["*.a.shop.example"], None),
            (["*.example"], "*.shop.example", ["*.shop.example"], None),
            ([], "www.shop.example", ["www.shop.example"], None),
        ],
    )
    def test_route_takes_what_its_namespace_may_have(
        self, hostnames: list[str], listener: str | None, taken: list[str], left_out: str | None
    ) -> None:
        """What is common to it and the listener counts; its status says what is left out."""
        given = {} if listener is None else {"hostname": listener}
        result = translated(
            open_to_all(make_listener(**given)), of_infra(*hostnames), settings=limited(hosts=HOSTS)
        )
        assert hosts(result) == taken
        status, reason, message = conditions(result)["Accepted"]
        assert (status, reason) == ("True", "Accepted")
        assert message == "accepted" + (
            ""
            if left_out is None
            else f"; left out: {left_out}: not for namespace shop (the "
            "setting kubernetes.hosts of the console)"
        )

    @pytest.mark.parametrize(
        ("namespace", "hostnames", "about"),
        [
            ("shop", ["bank.example"], "bank.example: not for namespace shop"),
            ("shop", ["*.example"], "*.example: not for namespace shop"),
            ("shop", [], "any host: not for namespace shop"),
            ("other", ["shop.example"], "shop.example: not for namespace other"),
        ],
    )
    def test_route_that_may_take_nothing_is_not_accepted(
        self, namespace: str, hostnames: list[str], about: str
    ) -> None:
        """And counts nowhere as attached."""
        result = translated(
            open_to_all(),
            of_infra(*hostnames, namespace=namespace),
            settings=limited(hosts=HOSTS),
        )
        assert result.routes == {}
        status, reason, message = conditions(result, namespace=namespace)["Accepted"]
        assert (status, reason) == ("False", "HostNotAllowed")
        assert message.startswith(about)
        assert "kubernetes.hosts" in message
        status_of_gateway = result.statuses[ObjectRef(GATEWAYS, "infra", "gw")]
        assert [one["attachedRoutes"] for one in status_of_gateway["listeners"]] == [0]

    def test_each_listener_is_looked_at_by_itself(self) -> None:
        """A route is attached to those where something is left of its hosts."""
        shop, bank = (
            make_listener(name, hostname=f"{name}.example", port=port)
            for name, port in (("shop", 80), ("bank", 8080))
        )
        result = translated(open_to_all(shop, bank), of_infra(), settings=limited(hosts=HOSTS))
        assert hosts(result) == ["shop.example"]
        assert [row["match"]["listeners"] for row in result.routes.values()] == [["http"]]
        listeners = result.statuses[ObjectRef(GATEWAYS, "infra", "gw")]["listeners"]
        assert [one["attachedRoutes"] for one in listeners] == [1, 0]

    def test_any_host_is_for_namespaces_with_everything(self) -> None:
        """And no others."""
        result = translated(
            open_to_all(), of_infra(namespace="infra"), settings=limited(hosts=HOSTS)
        )
        assert hosts(result) == ["any"]

    def test_listener_keeps_no_host_of_others_from_them(self) -> None:
        """With a hostname beside a wider one it would answer for that with 404."""
        gateway = make_gateway(make_listener("all"), make_listener("bank", hostname="bank.example"))
        assert hosts(translated(gateway)) == ["bank.example"]
        result = translated(gateway, settings=limited(hosts=HOSTS))
        assert result.routes == {}
        found = by_type(listener_status(result, "bank")["conditions"])
        assert found["Accepted"][:2] == ("False", "HostNotAllowed")
        assert found["Programmed"][:2] == ("False", "Invalid")
        assert by_type(listener_status(result, "all")["conditions"])["Accepted"][0] == "True"
        assert gateway_conditions(result)["Accepted"][:2] == ("True", "ListenersNotValid")

    def test_listener_may_have_what_its_namespace_may(self) -> None:
        """As without limits."""
        gateway = make_gateway(make_listener("all"), make_listener("a", hostname="a.shop.example"))
        assert hosts(translated(gateway, settings=limited(hosts=HOSTS))) == ["a.shop.example"]


class TenantsTests:
    LIMITS = limited(tenants=(("shop", ("acme",)), ("infra", ("*",))))

    @pytest.mark.parametrize(("namespace", "may"), [("shop", False), ("x", False), ("infra", True)])
    def test_route_of_no_tenant_is_for_namespaces_with_everything(
        self, namespace: str, may: bool
    ) -> None:
        """HTTPRoutes can't name one."""
        result = translated(
            open_to_all(), of_infra("a.example", namespace=namespace), settings=self.LIMITS
        )
        assert hosts(result) == (["a.example"] if may else [])
        found = conditions(result, namespace=namespace)["Accepted"]
        assert found[:2] == (("True", "Accepted") if may else ("False", "TenantNotAllowed"))

    def test_listener_with_a_hostname_is_of_no_tenant_either(self) -> None:
        """What it keeps from wider ones, it keeps from everybody."""
        gateway = make_gateway(make_listener("all"), make_listener("a", hostname="a.example"))
        result = translated(gateway, settings=self.LIMITS)
        assert result.routes == {}
        found = by_type(listener_status(result, "a")["conditions"])
        assert found["Accepted"][:2] == ("False", "TenantNotAllowed")


class GatewayNamespacesTests:
    def test_gateway_of_another_namespace_is_not_served(self) -> None:
        """It says so, its routes say so, and it keeps nothing from anybody."""
        gateway = make_gateway(make_listener("all"), make_listener("a", hostname="a.example"))
        result = translated(
            gateway, make_route(), settings=limited(gateway_namespaces=("infra", "edge-?"))
        )
        assert result.routes == {}
        status, reason, message = gateway_conditions(result)["Accepted"]
        assert (status, reason) == ("False", "NamespaceNotAllowed")
        assert "kubernetes.gateway_namespaces" in message
        assert gateway_conditions(result)["Programmed"][0] == "False"
        for name in ("all", "a"):
            listener = by_type(listener_status(result, name)["conditions"])["Programmed"]
            assert listener[:2] == ("False", "Invalid")
            assert "kubernetes.gateway_namespaces" in listener[2]
        assert "but the Gateway isn't" in conditions(result)["Accepted"][2]

    def test_gateway_of_one_that_is_named_is_served(self) -> None:
        """Its routes may be of any."""
        settings = limited(gateway_namespaces=("infra",))
        assert hosts(translated(open_to_all(), of_infra("a.example"), settings=settings)) == [
            "a.example"
        ]


class PriorityTests:
    OBJECTS = (
        make_gateway(make_listener("all"), make_listener("a", hostname="a.example")),
        make_route(),
    )

    def test_all_rows_have_the_priority_of_the_settings(self) -> None:
        """Also those that keep hosts apart: they would come before all others else."""
        rows = translated(*self.OBJECTS, settings=SETTINGS._replace(priority=-1)).routes
        assert sorted(rows) == ["shop.gw.a_else", "shop.web.00.00_http", "shop.web.00.00_http.any"]
        for name, row in rows.items():
            assert row["priority"] == -1
            assert isinstance(validate(Key("route", name), row), Accepted)

    def test_usual_priority_is_not_spoken_of(self) -> None:
        """So that one that somebody has set stays."""
        rows = translated(*self.OBJECTS).routes.values()
        assert not [row for row in rows if "priority" in row]
