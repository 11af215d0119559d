"""What a discovered Service would become."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.configsource import file_yaml
from fengling_gateway.kubernetes import annotations
from fengling_gateway.kubernetes.annotations import read
from fengling_gateway.kubernetes.objects import ObjectName, ServicePort
from fengling_gateway.kubernetes.offers import offer
from tests.kubernetes.builders import service

HTTP = ServicePort("http", 80, None)
ADMIN = ServicePort("admin", 9000, None)


def test_annotated_service_becomes_a_service_and_a_route() -> None:
    """Everything that the annotations say is in one of the two."""
    found = offer(
        service(
            annotations={
                "hosts": "shop.example.com, www.example.com",
                "path": "/orders/{**rest}",
                "methods": "get post",
                "tenant": "acme",
                "priority": "7",
                "route": "policies: {retry: {attempts: 1}}",
                "service": "{balancing: round_robin, connect_timeout: 1s}",
            }
        ),
        {},
    )
    assert found.problems == ()
    assert found.backend is not None
    assert found.backend.id == "shop.orders"
    assert found.backend.fields == {
        "name": "shop/orders",
        "balancing": "round_robin",
        "connect_timeout": "1s",
    }
    assert found.route == {
        "tenant_id": "acme",
        "priority": 7,
        "hosts": ["shop.example.com", "www.example.com"],
        "path": "/orders/{**rest}",
        "methods": ["GET", "POST"],
        "service_id": "shop.orders",
        "policies": {"retry": {"attempts": 1}},
    }


def test_what_an_approver_sets_goes_before_annotations() -> None:
    """Hosts, path and tenant; the rest stays the cluster's."""
    wish = {"hosts": ["a.example"], "path": "/a", "tenant_id": "acme"}
    route = offer(service(annotations={"path": "/b", "hosts": "b.example"}), wish).route
    assert route is not None
    assert (route["hosts"], route["path"], route["tenant_id"]) == (["a.example"], "/a", "acme")


def test_approver_sets_any_host_and_no_tenant() -> None:
    """In place of those that annotations ask for; what he leaves out is theirs."""
    asking = service(annotations={"path": "/b", "hosts": "b.example", "tenant": "acme"})
    anybody = offer(asking, {"hosts": [], "tenant_id": None}).route
    assert anybody is not None
    assert (anybody["hosts"], anybody["tenant_id"]) == ([], None)
    theirs = offer(asking, {"path": "/a"}).route
    assert theirs is not None
    assert (theirs["hosts"], theirs["tenant_id"]) == (["b.example"], "acme")


def test_any_host_needs_a_path() -> None:
    """Or the route would take all that no other one does, because of a box that somebody ticked."""
    asking = service(annotations={"hosts": "b.example"})
    [problem] = offer(asking, {"hosts": []}).problems
    assert "nothing says which requests it is for" in problem
    route = offer(asking, {"hosts": [], "path": "/{**rest}"}).route
    assert route is not None
    assert route["hosts"] == []


@pytest.mark.parametrize(
    ("annotations", "ports", "problem"),
    [
        ({}, [HTTP], "nothing says which requests it is for"),
        ({"path": "nowhere"}, [HTTP], "route shop.orders: path: "),
        ({"pth": "/a", "path": "/a"}, [HTTP], "gateway.fengling/pth: no such annotation"),
        ({"path": "/a", "port": "9001"}, [HTTP, ADMIN], "it has no port"),
        ({"path": "/a"}, [ADMIN, ServicePort("x", 1, None)], "gateway.fengling/port is required"),
        ({"path": "/a"}, [], "gateway.fengling/port is required"),
        ({"path": "/a", "priority": "high"}, [HTTP], "must be a whole number"),
        ({"path": "/a", "x": "y" * 17_000}, [HTTP], "more than 16384 characters"),
        (
            {"path": "/a", "route": "{policies: {limits: &a {}, cors: *a}}"},
            [HTTP],
            "anchors and aliases are not taken",
        ),
        ({"path": "/a", "scheme": "ftp"}, [HTTP], "must be http or https"),
        ({"path": "/a", "route": "{policies: {auth"}, [HTTP], "gateway.fengling/route: line 2"),
        ({"path": "/a", "route": "- a"}, [HTTP], "must be fields like"),
        ({"path": "/a", "route": "{service_id: other}"}, [HTTP], "service_id can't be set here"),
        ({"path": "/a", "route": "match: {counts_as: 9}"}, [HTTP], "counts_as can't be set here"),
        ({"path": "/a", "service": "{balancing: best}"}, [HTTP], "service shop.orders: balancing"),
        ({"path": "/a"}, [ServicePort("g", 1, "kubernetes.io/h2c")], "is not spoken here"),
    ],
)
def test_what_is_wrong_is_said(
    annotations: dict[str, str], ports: list[ServicePort], problem: str
) -> None:
    """Each in a sentence that names the annotation, or the field of the entity."""
    found = offer(service(annotations=annotations, ports=ports), {})
    assert any(problem in one for one in found.problems), found.problems


@pytest.mark.parametrize(
    ("ports", "annotations", "chosen", "scheme"),
    [
        ([HTTP], {}, "http", "http"),
        ([ADMIN, HTTP], {}, "http", "http"),
        ([ADMIN, HTTP], {"port": "admin"}, "admin", "http"),
        ([ADMIN, HTTP], {"port": "9000"}, "admin", "http"),
        ([ServicePort("", 8443, None)], {"scheme": "https"}, "", "https"),
        ([ServicePort("https", 8443, None)], {}, "https", "https"),
        ([ServicePort("web", 443, None)], {}, "web", "https"),
        ([ServicePort("web", 443, "http")], {}, "web", "http"),
        ([ServicePort("web", 80, "HTTPS")], {}, "web", "https"),
        ([HTTP, ServicePort("http", 80, None, "UDP")], {}, "http", "http"),
    ],
)
def test_port_and_scheme(
    ports: list[ServicePort], annotations: dict[str, str], chosen: str, scheme: str
) -> None:
    """As annotated, else as the Service's port says, else as is usual."""
    found = offer(service(annotations={"path": "/a", **annotations}, ports=ports), {})
    assert found.backend is not None
    assert (found.backend.port, found.backend.scheme) == (chosen, scheme)


def test_external_name_is_refused() -> None:
    """Whoever may make one would reach any host through the gateway."""
    found = offer(service(is_external=True), {})
    assert found.backend is None
    assert found.problems == ("it is of type ExternalName: it has no endpoints",)


def test_document_tells_what_is_offered() -> None:
    """Annotations of others are nobody's business."""
    one = service()._replace(annotations={"gateway.fengling/path": "/a", "x": "y"})
    told = offer(one, {}).document(one)
    assert told["annotations"] == {"path": "/a"}
    assert told["ports"] == [{"name": "http", "port": 80, "app_protocol": None}]
    assert told["problems"] == []
    assert told["service"] == {"name": "shop/orders"}


def test_names_that_are_too_long_stay_apart() -> None:
    """And are ids all the same."""
    long = "a" * 63
    ids = set()
    for name in (ObjectName(long, long), ObjectName(long, "a" * 62 + "b")):
        found = offer(service(name=name), {})
        assert found.problems == ()
        assert found.backend is not None
        ids.add(found.backend.id)
    assert len(ids) == 2
    assert all(len(one) == 100 for one in ids)


def test_what_annotations_say_is_nobody_else_s() -> None:
    """It is remembered by its text, also what is wrong with it; whoever has it may change it."""
    said = {"path": "/a", "route": "policies: {retry: {attempts: 1}}", "service": "{a: ["}
    first = read(service(annotations=said).annotations)
    first.route["policies"]["retry"]["attempts"] = 2
    again = read(service(annotations=said).annotations)
    assert again.route == {"policies": {"retry": {"attempts": 1}}}
    assert again.problems == first.problems
    assert len(again.problems) == 1


@pytest.mark.parametrize("depth", [10, 90, 300])
def test_fields_may_be_nested_however_deep(depth: int) -> None:
    """They are taken, or it is said why not."""
    text = "match: " + "[" * depth + "]" * depth
    found = read(service(annotations={"path": "/a", "route": text}).annotations)
    assert bool(found.route) is not bool(found.problems)


def test_yaml_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often anything else of its Service changes; long texts each time."""
    texts = []

    def read_yaml(content: bytes) -> Any:
        texts.append(content)
        return file_yaml.read_yaml(content)

    monkeypatch.setattr(annotations, "read_yaml", read_yaml)
    short, long = "match: {counts_as: 77}", f"match: {{counts_as: 77}}{' ' * 1000}"
    for said in (short, short, long, long):
        read(service(annotations={"path": "/a", "route": said}).annotations)
    assert [len(one) > 1000 for one in texts] == [False, True, True]
