"""Following a cluster for a term: from what is heard to what is wanted and told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.following import LOGGED, Following, Rules, World
from fengling_gateway.kubernetes.objects import ObjectName
from fengling_gateway.kubernetes.removing import TooManyGoError
from fengling_gateway.kubernetes.reporting import TELL_SECONDS, Report
from fengling_gateway.kubernetes.resources import ENDPOINT_SLICES, HTTP_ROUTES, SERVICES, Resource
from fengling_gateway.kubernetes.selection import parse_selector
from fengling_gateway.kubernetes.table import Confirmed, Decision, DiscoveryTerm, Said
from fengling_gateway.kubernetes.wants import Want
from fengling_gateway.kubernetes.watching import Heard, Watched
from fengling_gateway.kubernetes.writer import MAX_PAUSE_SECONDS, Writer
from fengling_gateway.kubernetes.writing import Written
from fengling_gateway.model.entity import Key
from tests.kubernetes.builders import ORDERS, endpoint, service, slice_

SERVICE = Key("service", "shop.orders")
ROUTE = Key("route", "shop.orders")
POD = Key("instance", "shop.orders_a")
OLD = Key("instance", "shop.orders_old")


class FakeReflector:
    def __init__(self, namespace: str | None, user: Any) -> None:
        self.namespace = namespace
        self.user = user
        self.is_synced = False
        self.refused = 0

    def start(self) -> None: ...

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def status(self) -> dict[str, Any]:
        return {"problem": None, "refused": self.refused}

    def list(self, *values: Any) -> None:
        self.is_synced = True
        self.user.listed(self, list(values))


class FollowingCase(SynchronousTestCase):
    """A cluster that is followed, of which a test says what is heard."""

    namespaces: tuple[str, ...] = ()

    def setUp(self) -> None:
        self.clock = Clock()
        self.reflectors: dict[Resource, list[FakeReflector]] = {}
        self.batches: list[Mapping[Key, Want]] = []
        self.tellings: list[Report] = []
        self.told: list[Any] = []
        self.failures: list[Exception] = []
        self.bad = ""
        self.held: str | None = None
        self.writer = Writer(
            clock=self.clock,
            rng=Random(1),
            write=self.write,
            told=self.written_,
            term_over=self.fail,
        )
        self.begin()

    def begin(
        self,
        *decisions: Decision,
        said: Mapping[Key, Said] | None = None,
        unsaid: tuple[Key, ...] = (),
    ) -> None:
        self.following = Following(
            DiscoveryTerm(3, decisions, dict(said or {}), unsaid),
            clock=self.clock,
            rules=Rules(self.namespaces, parse_selector("managed-by=fengling"), ()),
            world=World(self.reflect, self.tell),
            writer=self.writer,
            gateway_side=self.gateway_side(),
            changed=lambda: self.told.append(1),
        )
        self.following.start()

    def gateway_side(self) -> Any:
        """Return what makes what follows the Gateway API; None: nothing does."""
        return None

    def tearDown(self) -> None:
        self.successResultOf(self.following.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def reflect(self, watched: Watched, namespace: str | None, user: Any) -> FakeReflector:
        made = FakeReflector(namespace, user)
        self.reflectors.setdefault(watched.resource, []).append(made)
        return made

    def write(self, term: int, batch: Mapping[Key, Want]) -> Deferred[Written]:
        self.batches.append(batch)
        return succeed(Written(revision=len(self.batches), held=self.held))

    def written_(self, batch: Mapping[Key, Want], written: Written) -> None:
        self.following.written(batch, written)

    def tell(self, term: int, telling: Report) -> Deferred[None]:
        self.tellings.append(telling)
        if self.bad in {one.name for one in telling.seen}:
            return fail(RuntimeError("refused"))
        return fail(self.failures.pop(0)) if self.failures else succeed(None)

    def of(self, resource: Resource) -> FakeReflector:
        return self.reflectors[resource][-1]

    def list_all(self) -> None:
        self.of(SERVICES).list(service())
        self.of(ENDPOINT_SLICES).list(slice_(endpoint("10.0.0.1", "a")))
        self.clock.advance(0)

    def written(self) -> dict[Key, bool]:
        """Return what has been written so far: whether it is there then."""
        return {key: want.row is not None for batch in self.batches for key, want in batch.items()}

    def approved(self) -> Decision:
        return Decision("shop", "orders", "approved", {}, {"path": "/orders/{**rest}"}, 5)


class FollowingTests(FollowingCase):
    def test_nothing_is_written_before_all_is_listed(self) -> None:
        """What was there before could seem to be gone."""
        self.begin(self.approved(), said={OLD: Said("shop/orders", {})})
        self.of(SERVICES).list(service())
        self.clock.advance(10)
        self.assertEqual(self.batches, [])
        self.of(ENDPOINT_SLICES).list(slice_(endpoint("10.0.0.1", "a")))
        self.clock.advance(0)
        self.assertEqual(self.written(), {SERVICE: True, ROUTE: True, POD: True, OLD: False})

    def test_what_is_kept_because_of_a_slip_is_not_taken_away(self) -> None:
        """Also not by a console that has never seen it as it was."""
        approved = self.approved()._replace(approved=None)
        self.begin(approved, said={ROUTE: Said("shop/orders", {})})
        self.of(SERVICES).list(service(annotations={"path": "oops"}))
        self.of(ENDPOINT_SLICES).list()
        self.clock.advance(1)
        self.assertEqual(self.written(), {ROUTE: True})
        self.following.others_changed([ROUTE])
        self.clock.advance(1)
        self.assertEqual(self.written(), {ROUTE: True})

    def test_what_was_kept_goes_with_its_service(self) -> None:
        """And follows again, when what is asked for is right."""
        approved = self.approved()._replace(approved=None)
        said = {ROUTE: Said("shop/orders", {}), OLD: Said("shop/orders", {})}
        for is_mended in (True, False):
            self.batches.clear()
            self.begin(approved, said=said)
            self.of(SERVICES).list(service(annotations={"path": "oops"}))
            self.of(ENDPOINT_SLICES).list()
            for other in self.others():
                other.list()
            self.clock.advance(1)
            self.assertEqual(self.written(), {ROUTE: True, OLD: True})
            reflector = self.of(SERVICES)
            if is_mended:
                reflector.user.changed(reflector, service())
            else:
                reflector.user.gone(reflector, service())
            self.clock.advance(1)
            written = self.written()
            self.assertEqual((written[ROUTE], written[OLD]), (is_mended, False))
            self.successResultOf(self.following.stop())

    def others(self) -> list[FakeReflector]:
        return []

    def test_service_that_goes_by_itself_is_not_confirmed(self) -> None:
        """Whatever was decided of it before."""
        self.begin(self.approved())
        self.list_all()
        reflector = self.of(SERVICES)
        reflector.user.gone(reflector, service())
        self.clock.advance(1)
        self.assertEqual(self.following.wants.going(self.batches[-1]).confirmed, frozenset())

    def test_discovered_service_is_told(self) -> None:
        """With its endpoints; and again when what became of it is known."""
        self.list_all()
        self.clock.advance(TELL_SECONDS)
        [telling] = self.tellings
        [seen] = telling.seen
        self.assertEqual((seen.namespace, seen.name, seen.state), ("shop", "orders", "pending"))
        self.assertEqual(seen.offer["instances"], {"ready": 1})
        self.following.decided([self.approved()])
        self.clock.advance(TELL_SECONDS)
        [result] = self.tellings[-1].results
        self.assertEqual(
            {name: result.result[name] for name in ("state", "decision", "revision")},
            {"state": "served", "decision": 5, "revision": 1},
        )
        self.assertEqual(len(self.told), 2)

    def test_what_waits_for_somebody_is_told_so(self) -> None:
        """Not as removed: there was nothing to be removed."""
        self.list_all()
        self.clock.advance(TELL_SECONDS)
        [result] = self.tellings[-1].results
        self.assertEqual(result.result["state"], "pending")

    def test_status_tells_what_is_held_from_what_can_not_be_written(self) -> None:
        """They have different cures."""
        self.held = "revision 1 held: removes 4 of 5 routes"
        self.begin(self.approved())
        self.list_all()
        writing = self.following.status()["writing"]
        self.assertEqual((writing["held"], writing["problem"]), (self.held, self.held))

    def test_rejection_is_told_when_it_is_written(self) -> None:
        """With its own revision, and nothing of what there was before."""
        self.begin(self.approved())
        self.list_all()
        self.clock.advance(TELL_SECONDS - 0.01)
        self.following.others_changed([ROUTE])
        self.clock.advance(0)  # what comes now is written later than the next look
        written = len(self.batches)
        self.following.decided([self.approved()._replace(state="rejected", number=6)])
        self.clock.pump([0.01] * 100)
        results = [one.result for telling in self.tellings for one in telling.results]
        rejected = [one for one in results if one["decision"] == 6]
        self.assertEqual(
            [(one["state"], one["revision"], one["problems"]) for one in rejected],
            [("removed", written + 1, [])],
        )

    def test_nothing_new_is_not_told(self) -> None:
        """Whoever looks at the table need not be disturbed."""
        self.list_all()
        self.clock.pump([TELL_SECONDS] * 30)
        self.assertEqual(len(self.tellings), 1)

    def test_endpoints_are_counted_anew_now_and_then(self) -> None:
        """They may change a hundred times a second."""
        self.list_all()
        self.clock.advance(TELL_SECONDS)
        for number in range(10):
            changed = slice_(
                endpoint("10.0.0.1", "a", ready=bool(number % 2)), endpoint("10.0.0.9")
            )
            self.of(ENDPOINT_SLICES).user.changed(self.of(ENDPOINT_SLICES), changed)
            self.clock.advance(TELL_SECONDS)
        self.assertEqual(len(self.tellings), 1)
        self.clock.pump([TELL_SECONDS] * 20)
        self.assertEqual(self.tellings[-1].seen[0].offer["instances"], {"ready": 2})

    def test_what_could_not_be_told_is_told_later(self) -> None:
        """The database may have been away."""
        self.failures = [RuntimeError("away")]
        self.list_all()
        self.clock.pump([TELL_SECONDS] * 2)
        self.assertEqual(len(self.tellings), 2)
        self.assertEqual(self.tellings[0], self.tellings[1])

    def test_one_that_can_not_be_told_keeps_no_other_untold(self) -> None:
        """Fewer and fewer at a time, until it is alone; it is tried again, ever more seldom."""
        carts = ObjectName("shop", "carts")
        self.bad = "orders"
        self.of(SERVICES).list(service(), service(name=carts))
        self.of(ENDPOINT_SLICES).list()
        for other in self.others():
            other.list()
        self.clock.pump([TELL_SECONDS] * 10)
        told = [[seen.name for seen in one.seen] for one in self.tellings]
        self.assertIn(["carts"], told)
        self.assertEqual(self.following.status()["telling"], "refused")
        before = len(self.tellings)
        self.clock.pump([TELL_SECONDS] * 60)
        self.assertLess(len(self.tellings) - before, 8)

    def test_what_people_write_is_told_as_a_database_takes_it(self) -> None:
        """Whatever is in an annotation."""
        one = service(annotations={"path": "/a", "hosts": "a\0b", "route": "{match: .nan}"})
        self.of(SERVICES).list(one)
        self.of(ENDPOINT_SLICES).list()
        for other in self.others():
            other.list()
        self.clock.advance(TELL_SECONDS)
        [seen] = self.tellings[0].seen
        json.dumps(seen.offer, allow_nan=False)
        self.assertEqual(seen.offer["annotations"]["hosts"], "a\ufffdb")

    def test_unreadable_objects_let_nothing_go(self) -> None:
        """They are there, whatever they are."""
        self.begin(self.approved(), said={OLD: Said("shop/orders", {})})
        self.of(SERVICES).refused = 1
        self.list_all()
        self.following.others_changed([OLD])
        self.clock.advance(1)
        self.assertEqual(self.written(), {SERVICE: True, ROUTE: True, POD: True})

    def test_what_is_left_of_the_gateway_api_is_told_and_stays(self) -> None:
        """Where that is switched off; other things are not told."""
        said = {OLD: Said("HTTPRoute shop/orders", {}), SERVICE: Said("Gateway API", {})}
        with capturedLogs() as logged:
            self.begin(said={**said, ROUTE: Said("shop/orders", {})})
            self.list_all()
            self.following.others_changed([OLD])
            self.clock.advance(1)
        [told] = [one for one in logged if one["log_id"] == "kubernetes.gateway_api_left"]
        self.assertEqual(told["count"], 2)
        self.assertEqual(self.written(), {ROUTE: False})

    def test_what_nobody_watched_over_is_looked_at(self) -> None:
        """Somebody may have gone back to an older revision meanwhile."""
        self.begin(self.approved(), unsaid=(OLD, POD))
        self.list_all()
        self.assertEqual(self.written()[OLD], False)
        self.assertEqual(self.written()[POD], True)

    def test_service_that_is_gone_is_told(self) -> None:
        """Also one of which the table knows from before."""
        self.begin(Decision("shop", "carts", "pending", {}, None, 0))
        self.list_all()
        self.clock.advance(TELL_SECONDS)
        self.assertEqual([one.name for one in self.tellings[-1].gone], ["carts"])
        reflector = self.of(SERVICES)
        reflector.user.gone(reflector, service())
        self.clock.advance(TELL_SECONDS)
        self.assertEqual(self.tellings[-1].gone, (ORDERS,))

    def test_others_changes_are_looked_at(self) -> None:
        """Of what the cluster owns, and of what it may have owned."""
        self.begin(self.approved())
        self.list_all()
        self.batches.clear()
        health = Key("instance_health", "shop.orders_a")
        self.following.others_changed([POD, OLD, health, Key("tenant", "acme")])
        self.clock.advance(1)
        self.assertEqual(self.written(), {POD: True, OLD: False})

    def test_decisions_are_logged_in_a_line(self) -> None:
        """The first ones by name, of more a number; nothing where there are none."""
        rejected = self.approved()._replace(name="stock", state="rejected", by="jane")
        many = [self.approved()._replace(name=f"s{number}") for number in range(LOGGED + 3)]
        with capturedLogs() as captured:
            self.following.decided([])
            self.following.decided([self.approved(), rejected])
            self.following.decided(many)
        [one, more] = [each for each in captured if each.get("log_id") == "kubernetes.decided"]
        self.assertEqual(
            formatEvent(one),
            "decided: shop/orders is approved, shop/stock is rejected by jane",
        )
        self.assertTrue(formatEvent(more).endswith("shop/s4 is approved and 3 more"))
        self.assertEqual((one["count"], more["count"]), (2, LOGGED + 3))

    def test_confirmation_is_logged_with_who_has_given_it(self) -> None:
        """And so is one that comes too late, after which nothing goes."""
        self.writer.awaited.too_many(0.0, 3, TooManyGoError(["shop.orders"], 1, []))
        assert self.writer.awaited.removal is not None
        removal = self.writer.awaited.removal.id
        with capturedLogs() as captured:
            self.following.confirmed(Confirmed("other", "jane"))
            self.following.confirmed(Confirmed(removal, "joe"))
        late, good = (formatEvent(one) for one in captured)
        self.assertIn("jane has confirmed other, which is not what waits for it", late)
        self.assertIn(f"joe has confirmed {removal}: 1 of the routes", good)

    def test_withdrawn_before_the_term_is_confirmed(self) -> None:
        """Whoever watched then may not have come to write it."""
        said = {ROUTE: Said("shop/orders", {})}
        self.begin(self.approved()._replace(state="rejected"), said=said)
        self.list_all()
        self.assertEqual(self.following.wants.going(self.batches[-1]).confirmed, {"shop.orders"})

    def test_withdrawn_by_somebody_is_confirmed(self) -> None:
        """A revision that removes most routes would wait for him again."""
        self.begin(self.approved())
        self.list_all()
        self.following.decided([self.approved()._replace(state="rejected")])
        self.clock.advance(1)
        self.assertEqual(self.following.wants.going(self.batches[-1]).confirmed, {"shop.orders"})


class FakeGatewaySide:
    """Knows what the Gateway API's objects come to when a test says so."""

    def __init__(self) -> None:
        self.is_synced = False
        self.known: Callable[[], None] = lambda: None

    def watched(self) -> list[Watched]:
        heard = Heard(lambda values: None, lambda value: None, lambda value: None)
        return [Watched(HTTP_ROUTES, lambda obj: obj, lambda obj: obj, heard)]

    def synced(self, first: Callable[[], None]) -> None:
        self.known = first

    def know(self) -> None:
        """Say that it is known, for the first time."""
        self.is_synced = True
        self.known()

    def services_listed(self, services: Any) -> None: ...

    def service_changed(self, one: Any) -> None: ...

    def status(self) -> None: ...

    def written(self) -> None: ...

    def stop(self) -> None: ...


class GatewayApiTests(FollowingCase):
    """Where the Gateway API's objects are followed, too."""

    LOST, HTTP = Key("route", "shop.lost"), Key("route", "http")
    lost = Said("shop/lost", {})

    def gateway_side(self) -> Any:
        self.side = FakeGatewaySide()
        return lambda wants, backends: self.side

    def know(self) -> None:
        self.of(HTTP_ROUTES).list()
        self.side.know()

    def test_what_is_lost_of_services_and_of_the_gateway_api_goes_together(self) -> None:
        """Apart it might be little enough to go unasked."""
        self.begin(said={self.LOST: self.lost, self.HTTP: Said("HTTPRoute shop/http", {})})
        self.list_all()
        self.clock.advance(1)
        self.assertEqual(self.batches, [])
        self.know()
        self.clock.advance(1)
        [batch] = self.batches
        self.assertEqual(batch.keys(), {self.LOST, self.HTTP})

    def test_what_the_gateway_api_does_not_say_is_not_waited_for_for_ever(self) -> None:
        """It may not be readable, and what else there is to write is not its business."""
        self.begin(said={self.LOST: self.lost, self.HTTP: Said("HTTPRoute shop/http", {})})
        self.list_all()
        self.clock.advance(MAX_PAUSE_SECONDS)
        self.clock.advance(0)
        self.assertEqual(self.written(), {self.LOST: False})
        self.know()
        self.clock.advance(1)
        self.assertEqual(self.written(), {self.LOST: False, self.HTTP: False})

    def test_nothing_that_goes_waits_for_nothing(self) -> None:
        """Neither where the Gateway API had no routes."""
        self.begin(self.approved(), said={self.HTTP: Said("HTTPRoute shop/http", {})})
        self.list_all()
        self.assertEqual(self.written(), {SERVICE: True, ROUTE: True, POD: True})
        self.successResultOf(self.following.stop())
        self.batches.clear()
        self.begin(said={self.LOST: self.lost})
        self.list_all()
        self.clock.advance(1)
        self.assertEqual(self.written(), {self.LOST: False})


class NamespacesTests(FollowingTests):
    """The same, in two namespaces: each has reflectors of its own."""

    namespaces = ("shop", "billing")

    def list_all(self) -> None:
        for one in self.others():
            assert one.namespace == "billing"
            one.list()
        super().list_all()

    def others(self) -> list[FakeReflector]:
        return [self.reflectors[resource][-1] for resource in (SERVICES, ENDPOINT_SLICES)]

    def of(self, resource: Resource) -> FakeReflector:
        return self.reflectors[resource][-2]

    def test_nothing_is_written_before_all_is_listed(self) -> None:
        """In all of them."""
        self.begin(self.approved())
        self.of(SERVICES).list(service())
        self.of(ENDPOINT_SLICES).list()
        self.clock.advance(10)
        self.assertEqual(self.batches, [])

    def test_what_is_kept_because_of_a_slip_is_not_taken_away(self) -> None:
        """See above: it is no other."""
