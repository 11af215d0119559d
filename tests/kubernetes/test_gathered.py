"""What routes of the Gateway API are made from."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes import objects
from fengling_gateway.kubernetes.gateway_api.http_routes import HttpRoute, convert_http_route
from fengling_gateway.kubernetes.gateway_api.world import Settings
from fengling_gateway.kubernetes.gathered import Gathered, ref_of, status_of
from fengling_gateway.kubernetes.resources import HTTP_ROUTES, NAMESPACES
from tests.kubernetes.gateway_api.builders import make_route, make_rule, make_service, path
from tests.support.kubernetes_objects import namespace


def route(where: str = "/", status: Any = None) -> HttpRoute:
    obj = make_route(make_rule(path(where)))
    return convert_http_route(obj if status is None else {**obj, "status": status})


class GatheredTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.gathered = Gathered(Settings("gateway.fengling/controller", {80: "http"}))

    def test_status_is_no_part_of_what_is_translated(self) -> None:
        """Neither is an object another one for it."""
        one = route(status={"parents": []})
        self.gathered.listed(HTTP_ROUTES, [one])
        [found] = self.gathered.objects().http_routes.values()
        self.assertEqual((status_of(one), status_of(found)), ({"parents": []}, None))
        self.assertFalse(self.gathered.put(HTTP_ROUTES, route(status={"parents": [{}]})))
        self.assertTrue(self.gathered.put(HTTP_ROUTES, route("/other")))

    def test_what_is_taken_stays_as_it_was(self) -> None:
        """Whatever is heard while it is looked at."""
        self.gathered.listed(HTTP_ROUTES, [route()])
        known, world = self.gathered.objects(), self.gathered.world()
        self.gathered.drop(HTTP_ROUTES, route())
        self.gathered.put_service(objects.service(make_service()))
        self.assertEqual((len(known.http_routes), len(world.services)), (1, 0))
        self.assertEqual(len(self.gathered.objects().http_routes), 0)
        self.assertEqual(len(self.gathered.world().services), 1)

    def test_labels_of_services_are_of_no_interest(self) -> None:
        """Their ports are."""
        self.assertTrue(self.gathered.put_service(objects.service(make_service())))
        labelled = make_service()
        labelled["metadata"]["labels"] = {"app": "orders"}
        self.assertFalse(self.gathered.put_service(objects.service(labelled)))
        other = objects.service(make_service(ports=({"port": 9},)))
        self.assertTrue(self.gathered.put_service(other))
        self.assertEqual(self.gathered.service(other.name), other)

    def test_labels_of_namespaces_are_in_the_world(self) -> None:
        """What is in no namespace has its own name alone."""
        shop = objects.namespace(namespace("shop"))
        self.assertTrue(self.gathered.put(NAMESPACES, shop))
        self.assertEqual(self.gathered.world().namespaces, {"shop": shop.labels})
        self.assertEqual(ref_of(NAMESPACES, shop)[1:], ("", "shop"))
        self.assertEqual(ref_of(HTTP_ROUTES, route())[1:], ("shop", "web"))
