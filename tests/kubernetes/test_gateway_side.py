"""The Gateway API's side of following a cluster."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.backends import Backends
from fengling_gateway.kubernetes.gateway_api.world import Settings
from fengling_gateway.kubernetes.gateway_side import GatewaySide
from fengling_gateway.kubernetes.objects import endpoint_slice
from fengling_gateway.kubernetes.objects import service as convert_service
from fengling_gateway.kubernetes.origins import GATEWAY_API, is_of_gateway_api
from fengling_gateway.kubernetes.overwriting import FIRST_SECONDS
from fengling_gateway.kubernetes.resources import (
    GATEWAY_CLASSES,
    GATEWAYS,
    HTTP_ROUTES,
    NAMESPACES,
    REFERENCE_GRANTS,
    Resource,
)
from fengling_gateway.kubernetes.statuses import Statuses
from fengling_gateway.kubernetes.translating import SETTLE_SECONDS
from fengling_gateway.kubernetes.wants import Wants
from fengling_gateway.model.entity import Key
from tests.kubernetes.test_statuses import Objects
from tests.support import kubernetes_objects as objects

CONTROLLER = "gateway.fengling/controller"
SERVICE = Key("service", "shop.orders.80")
ROUTE = Key("route", "shop.orders.00.00")


def an_object(kind: str, name: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    place = {} if kind == "GatewayClass" else {"namespace": "shop"}
    metadata = {
        "name": name,
        "generation": 1,
        "creationTimestamp": "2026-11-22T12:00:00Z",
        "resourceVersion": "1",
        **place,
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
        **more,
    }


def a_route(path: str = "/orders", **more: Any) -> dict[str, Any]:
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "backendRefs": [{"name": "orders", "port": 80}],
    }
    return an_object(
        "HTTPRoute", "orders", {"parentRefs": [{"name": "edge"}], "rules": [rule]}, **more
    )


class GatewaySideTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.wants = Wants(lambda: None)
        self.backends = Backends(
            lambda one, row, backend: self.wants.put(Key("instance", one), row, str(backend.name))
        )
        self.objects = Objects()
        self.faults: list[Exception] = []
        self.slow: list[Deferred[Any]] = []
        self.translations = 0
        self.side = GatewaySide(
            clock=self.clock,
            settings=Settings(CONTROLLER, {80: "http"}),
            wants=self.wants,
            backends=self.backends,
            statuses=Statuses(
                clock=self.clock,
                objects=self.objects,
                rng=Random(1),
                controller=CONTROLLER,
                wall=lambda: 1_700_000_000.0,
            ),
            beside=self.beside,
        )
        self.watched = {one.resource: one for one in self.side.watched()}
        self.list_(GATEWAY_CLASSES, an_object("GatewayClass", "f", {"controllerName": CONTROLLER}))
        listener = {"name": "web", "port": 80, "protocol": "HTTP"}
        self.list_(
            GATEWAYS,
            an_object("Gateway", "edge", {"gatewayClassName": "f", "listeners": [listener]}),
        )
        self.list_(NAMESPACES, objects.namespace("shop"))
        self.list_(REFERENCE_GRANTS)
        self.list_(HTTP_ROUTES, a_route())
        self.side.services_listed([convert_service(objects.service(labels=None))])
        self.backends.slice_changed(endpoint_slice(objects.slice_()))

    def tearDown(self) -> None:
        self.side.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def beside(self, work: Callable[[], Any]) -> Deferred[Any]:
        self.translations += 1
        if self.slow:
            return self.slow.pop()
        return fail(self.faults.pop()) if self.faults else maybeDeferred(work)

    def list_(self, resource: Resource, *found: dict[str, Any]) -> None:
        watched = self.watched[resource]
        watched.heard.listed([watched.convert(one) for one in found])

    def change(self, resource: Resource, obj: dict[str, Any]) -> None:
        watched = self.watched[resource]
        watched.heard.changed(watched.convert(obj))
        self.clock.advance(SETTLE_SECONDS)

    def write(self) -> None:
        """Have all written that is wanted."""
        self.wants.take(1000)
        self.side.written()

    def statuses(self) -> list[str]:
        return [one["metadata"].get("name", "") for one in self.objects.put_]

    def test_status_says_whether_hosts_are_limited(self) -> None:
        """What doctor judges: HTTPRoutes are approved by nobody."""
        self.assertEqual(
            {name: self.side.status()[name] for name in ("has_host_limits", "priority")},
            {"has_host_limits": False, "priority": 0},
        )

    def test_routes_services_and_instances_are_wanted(self) -> None:
        """Once everything has been listed."""
        self.clock.advance(1)
        self.assertEqual(self.wants.rows, {})
        self.side.synced(lambda: None)
        kinds = sorted(key.kind for key in self.wants.rows)
        self.assertEqual(kinds, ["instance", "route", "service"])
        self.assertEqual(self.wants.rows[SERVICE].origin, GATEWAY_API)
        route = self.wants.rows[ROUTE]
        assert route.row is not None
        self.assertEqual(
            (route.row["path"], route.origin), ("/orders/{**rest}", "HTTPRoute shop/orders")
        )
        self.assertTrue(is_of_gateway_api(route.origin))
        self.assertFalse(is_of_gateway_api("shop/orders"))

    def test_statuses_follow_what_is_written(self) -> None:
        """Not before: what they say would not be so yet."""
        self.side.synced(lambda: None)
        self.assertEqual(self.objects.put_, [])
        self.write()
        self.assertEqual(len(self.objects.put_), 3)

    def test_instances_that_wait_keep_no_status_waiting(self) -> None:
        """There may be some all the time."""
        self.side.synced(lambda: None)
        self.wants.take(1000)
        self.wants.look_at(Key("instance", "a"))
        self.side.written()
        self.assertEqual(len(self.objects.put_), 3)

    def test_fault_takes_nothing_away(self) -> None:
        """What was before counts on, and it is told; the next change is translated."""
        self.side.synced(lambda: None)
        before = dict(self.wants.rows)
        self.faults = [ZeroDivisionError("a defect")]
        self.change(HTTP_ROUTES, a_route("/other"))
        self.assertEqual(self.wants.rows, before)
        self.assertIn("a defect", self.side.status()["problem"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.change(HTTP_ROUTES, a_route("/more"))
        self.assertNotEqual(self.wants.rows, before)
        self.assertIsNone(self.side.status()["problem"])

    def test_first_translation_is_told_when_it_is_there(self) -> None:
        """Nothing of before may go sooner, and nothing at all if it fails."""
        told: list[int] = []
        self.faults = [ZeroDivisionError("a defect")]
        self.side.synced(lambda: told.append(len(self.wants.rows)))
        self.assertEqual((told, self.side.is_synced), ([], False))
        self.flushLoggedErrors(ZeroDivisionError)
        self.change(HTTP_ROUTES, a_route("/more"))
        self.assertEqual((told, self.side.is_synced), ([3], True))

    def test_status_that_is_so_already_is_not_asked_for(self) -> None:
        """What we have written comes back, and is no news."""
        self.side.synced(lambda: None)
        self.write()
        status = next(one["status"] for one in self.objects.put_ if "parents" in one["status"])
        before = len(self.objects.put_)
        self.change(HTTP_ROUTES, a_route(status=status))
        self.write()
        self.assertEqual(len(self.objects.put_), before)

    def test_status_that_was_written_is_not_translated(self) -> None:
        """Nothing follows from it; of what somebody else writes there neither."""
        self.side.synced(lambda: None)
        self.write()
        written = self.written_status()
        for status in (written, {**written, "parents": [*written["parents"], {"other": 1}]}):
            self.change(HTTP_ROUTES, a_route(status=status))
            self.assertEqual((self.translations, self.clock.getDelayedCalls()), (1, []))
        self.assertEqual(len(self.objects.put_), 3)

    def test_status_that_somebody_takes_away_is_written_again(self) -> None:
        """Not at once, as he may do so again; and without a translation."""
        self.side.synced(lambda: None)
        self.write()
        for times in (1, 2):
            self.objects.there.clear()
            self.change(HTTP_ROUTES, a_route(status=self.written_status()))
            self.change(HTTP_ROUTES, a_route(status={"parents": []}))
            self.assertEqual(len(self.objects.put_), 2 + times)
            self.clock.advance(times * FIRST_SECONDS)
            self.assertEqual(len(self.objects.put_), 3 + times)
        self.assertEqual(self.translations, 1)

    def test_status_that_is_overwritten_all_the_time_is_written_seldom(self) -> None:
        """Another installation of the same controller, say: neither would ever give in."""
        self.side.synced(lambda: None)
        self.write()
        before = len(self.objects.put_)
        for _ in range(300):
            self.objects.there.clear()
            self.change(HTTP_ROUTES, a_route(status=self.written_status()))
            self.change(HTTP_ROUTES, a_route(status={"parents": []}))
            self.clock.advance(1)
        self.assertLess(len(self.objects.put_) - before, 12)

    def written_status(self) -> dict[str, Any]:
        """Return the status that the HTTPRoute was given last."""
        found = [one["status"] for one in self.objects.put_ if "parents" in one["status"]]
        return dict(found[-1])

    def test_status_in_a_list_is_looked_at(self) -> None:
        """Of what has happened between two lists nobody has heard."""
        self.side.synced(lambda: None)
        self.write()
        self.objects.there.clear()
        self.list_(HTTP_ROUTES, a_route())
        self.clock.advance(SETTLE_SECONDS)
        self.assertEqual(len(self.objects.put_), 4, "ours was never heard of")
        self.list_(HTTP_ROUTES, a_route(status=self.written_status()))
        self.clock.advance(SETTLE_SECONDS)
        self.assertEqual(len(self.objects.put_), 4)

    def test_nothing_is_written_when_it_stops(self) -> None:
        """A translation that is given up then is no reason to."""
        self.side.synced(lambda: None)
        self.wants.take(1000)
        self.slow = [Deferred()]
        self.change(HTTP_ROUTES, a_route("/other"))
        self.side.stop()
        self.assertEqual(self.objects.put_, [])

    def test_what_takes_it_and_fails_is_told(self) -> None:
        """Whatever it is that fails."""
        self.side.synced(lambda: None)
        self.patch(self.wants, "put", lambda *_: 1 / 0)
        self.change(HTTP_ROUTES, a_route("/other"))
        self.assertIn("division", self.side.status()["problem"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_route_that_changes_or_goes_is_followed(self) -> None:
        """With the service that nobody refers to any more."""
        self.side.synced(lambda: None)
        self.change(HTTP_ROUTES, a_route("/other"))
        route = self.wants.rows[ROUTE]
        assert route.row is not None
        self.assertEqual(route.row["path"], "/other/{**rest}")
        watched = self.watched[HTTP_ROUTES]
        watched.heard.gone(watched.convert(a_route()))
        self.clock.advance(SETTLE_SECONDS)
        self.assertEqual(self.wants.rows, {})

    def test_what_the_configuration_refuses_is_in_the_status(self) -> None:
        """Whoever has written the route looks there."""
        self.side.synced(lambda: None)
        self.wants.take(1000)
        self.wants.refuse(ROUTE, "no such listener", self.wants.rows[ROUTE])
        self.side.written()
        [parents] = [
            one["status"]["parents"] for one in self.objects.put_ if "parents" in one["status"]
        ]
        accepted = next(one for one in parents[0]["conditions"] if one["type"] == "Accepted")
        self.assertEqual((accepted["status"], accepted["message"]), ("False", "no such listener"))
        self.assertEqual(self.attached_routes(), [0], "who isn't accepted isn't counted")
        self.wants.look_at(ROUTE)
        self.write()
        self.assertEqual(self.attached_routes(), [1])

    def test_what_is_refused_of_a_gateway_is_no_status_of_a_route(self) -> None:
        """A row of its own keeps requests for a listener from wider ones."""
        listener = {"port": 80, "protocol": "HTTP"}
        listeners = [{**listener, "name": "a"}, {**listener, "name": "b", "hostname": "b.example"}]
        spec = {"gatewayClassName": "f", "listeners": listeners}
        self.list_(GATEWAYS, an_object("Gateway", "edge", spec))
        self.side.synced(lambda: None)
        self.wants.take(1000)
        key = Key("route", "shop.edge.b_else")
        self.wants.refuse(key, "no such listener", self.wants.rows[key])
        self.side.written()
        [status] = [one["status"] for one in self.objects.put_ if "listeners" in one["status"]]
        self.assertNotIn("parents", status)

    def attached_routes(self) -> list[int]:
        """Return how many the Gateway's listeners have been said to have, last."""
        found = [one["status"] for one in self.objects.put_ if "listeners" in one["status"]]
        return [one["attachedRoutes"] for one in found[-1]["listeners"]]

    def test_endpoints_translate_nothing(self) -> None:
        """They change all the time."""
        self.side.synced(lambda: None)
        self.backends.slice_changed(endpoint_slice(objects.slice_(endpoints=["10.1.0.9"])))
        self.side.service_changed(convert_service(objects.service(labels={"other": "label"})))
        self.assertEqual(self.clock.getDelayedCalls(), [])
