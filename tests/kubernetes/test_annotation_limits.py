"""What annotations may ask for, by namespace."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.kubernetes.limits import Limits
from fengling_gateway.kubernetes.objects import ObjectName
from fengling_gateway.kubernetes.offers import offer
from tests.kubernetes.builders import service

LIMITS = Limits(
    hosts=(("shop", ("shop.example", "*.shop.example")), ("infra", ("*",))),
    tenants=(("shop", ("acme",)), ("infra", ("*",))),
    max_priority=20,
)
INSIDE = {"hosts": "shop.example, *.a.shop.example", "tenant": "acme", "priority": "20"}
SHOWS = {"service": "{tls: {client_certificate: ours}}"}


@pytest.mark.parametrize(
    ("annotations", "wish", "problem"),
    [
        ({}, {}, None),
        (
            {"hosts": "bank.example, shop.example"},
            {},
            "hosts: bank.example is not for namespace shop (the setting kubernetes.hosts of the console)",
        ),
        (
            {"hosts": "bank.example *.example"},
            {},
            "hosts: bank.example, *.example are not for namespace shop (the setting kubernetes.hosts of the console)",
        ),
        (
            {"hosts": "", "path": "/a"},
            {},
            (
                "hosts is required: a route for any host is not for namespace shop "
                "(the setting kubernetes.hosts of the console)"
            ),
        ),
        (
            {"hosts": ""},
            {"path": "/a"},
            (
                "hosts is required: a route for any host is not for namespace shop "
                "(the setting kubernetes.hosts of the console)"
            ),
        ),
        ({"hosts": "bank.example"}, {"hosts": ["other.example"]}, None),
        (
            {"tenant": "bank"},
            {},
            "tenant: bank is not for namespace shop (the setting kubernetes.tenants of the console)",
        ),
        (
            {"tenant": ""},
            {},
            (
                "tenant is required: a route of no tenant is not for namespace shop "
                "(the setting kubernetes.tenants of the console)"
            ),
        ),
        ({"tenant": ""}, {"tenant_id": "bank"}, None),
        ({"hosts": "bank.example", "path": "/a"}, {"hosts": []}, None),
        ({"tenant": "bank"}, {"tenant_id": None}, None),
        (
            {"priority": "21"},
            {},
            "priority: 21 is more than 20 (the setting kubernetes.max_priority of the console)",
        ),
        ({"priority": "-3"}, {}, None),
        (SHOWS, {}, None),
    ],
)
def test_what_is_not_for_a_namespace_is_a_problem(
    annotations: dict[str, str], wish: dict[str, Any], problem: str | None
) -> None:
    """That names annotation and setting; what an approver has set is his own business."""
    found = offer(service(annotations={**INSIDE, **annotations}), wish, LIMITS)
    assert found.problems == (() if problem is None else (f"gateway.fengling/{problem}",))


def test_namespace_with_everything_may_ask_for_it() -> None:
    """Any host, no tenant."""
    infra = service(name=ObjectName("infra", "edge"), annotations={"path": "/a"})
    assert offer(infra, {}, LIMITS).problems == ()


def test_service_that_asks_for_nothing_has_that_problem_alone() -> None:
    """No route, no host."""
    [problem] = offer(service(annotations={"tenant": "acme"}), {}, LIMITS).problems
    assert "nothing says which requests" in problem


def test_certificate_to_show_has_to_be_seen_by_somebody() -> None:
    """It is the gateway's, and says to whoever verifies it that the gateway asks."""
    found = offer(service(annotations={"path": "/a", **SHOWS}), {}, is_seen=False)
    assert found.problems == (
        (
            "gateway.fengling/service: tls.client_certificate has to be approved by somebody; "
            "a rule's approval is not enough"
        ),
    )
    other = {"path": "/a", "service": "{tls: {verify: true, client_certificate: null}}"}
    assert offer(service(annotations=other), {}, is_seen=False).problems == ()
