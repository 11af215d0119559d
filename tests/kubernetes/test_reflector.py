"""Following a resource, in a time of the test's own."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.errors import ApiError
from fengling_gateway.kubernetes.objects import endpoint_slice
from fengling_gateway.kubernetes.resources import ENDPOINT_SLICES, REFERENCE_GRANTS
from tests.kubernetes.scripted import Asked, Listener, ScriptedServer, new_reflector, orders

GONE = ApiError(410, "Expired", "too old resource version: 5 (9)")
ABSENT = ApiError(404, "", "404 page not found")
BROKEN = ApiError(0, "Broken", "the connection broke before the answer was whole")


class ReflectorCase(SynchronousTestCase):
    """With one of Services, and an API server that waits for the test."""

    options: dict[str, Any] = {}

    def setUp(self) -> None:
        self.clock = Clock()
        self.server = ScriptedServer()
        self.user = Listener()
        self.reflector = new_reflector(self.clock, self.server, self.user, **self.options)
        self.reflector.start()

    def tearDown(self) -> None:
        self.successResultOf(self.reflector.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def listed(self, *objects: Any, version: int = 5) -> Asked:
        """Have it list, and return the watch that it asks for then."""
        self.server.last.list(*objects, version=version)
        return self.watch()

    def watch(self) -> Asked:
        self.assertTrue(self.server.last.is_watch)
        return self.server.last

    def state(self) -> Any:
        return self.reflector.status()["state"]

    def waits(self, seconds: float) -> None:
        """Check that it asks after so long, and not before."""
        before = len(self.server.asked)
        self.clock.advance(seconds * 0.99)
        self.assertEqual(len(self.server.asked), before, "too early")
        self.clock.advance(seconds * 0.02)
        self.assertEqual(len(self.server.asked), before + 1, "not yet")


class ListTests(ReflectorCase):
    """Lists"""

    def test_list_is_told_when_all_of_it_is_there(self) -> None:
        """Page by page it is asked for, with the selector; whoever hears it compares."""
        first = self.server.last
        self.assertEqual(first.query, {"labelSelector": "managed-by=fengling", "limit": "500"})
        first.list(orders(name="a"), version=5, token="more")
        self.assertEqual(self.server.last.query["continue"], "more")
        self.assertEqual(self.user.told, [])
        self.assertFalse(self.reflector.is_synced)
        self.listed(orders(name="b"))
        self.assertEqual(self.user.told, [("listed", ["shop/a", "shop/b"])])
        self.assertTrue(self.reflector.is_synced)

    def test_pages_that_expire_are_all_asked_for_anew_at_once(self) -> None:
        """What the first pages said is of no use, and paging takes too long here."""
        self.server.last.list(orders(name="a"), version=5, token="more")
        self.server.last.fail(GONE)
        self.assertEqual(self.server.last.query, {"labelSelector": "managed-by=fengling"})
        self.listed(orders(name="b"), version=9)
        self.assertEqual(self.user.told, [("listed", ["shop/b"])])

    def test_list_without_items_is_empty(self) -> None:
        """An API server says null."""
        self.server.last.list(version=5, items=None)
        self.assertEqual(self.user.told, [("listed", [])])

    def test_items_that_are_no_objects_are_passed_over(self) -> None:
        """No API server sends such."""
        self.server.last.list(version=5, items=[None, "x", orders(name="a")])
        self.assertEqual(self.user.told, [("listed", ["shop/a"])])

    def test_list_without_a_version_is_none(self) -> None:
        """Nothing could be watched from it."""
        self.server.last.answer.callback({"items": []})
        self.assertEqual(self.user.told, [])
        self.assertIn("no version", self.reflector.status()["problem"])

    def test_list_that_never_ends_is_given_up(self) -> None:
        """However quickly each page comes."""
        for _ in range(30):
            self.server.last.list(orders(), version=5, token="more")
            self.clock.advance(10)
        self.assertIn("more than 300 s", self.reflector.status()["problem"])
        self.assertEqual(self.state(), "waiting")

    def test_failed_list_is_tried_again_ever_later(self) -> None:
        """From 0.2 s up to 30 s."""
        for seconds in (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30):
            self.server.last.fail(BROKEN)
            self.waits(seconds)

    def test_server_that_says_when_is_asked_no_earlier(self) -> None:
        """And a little later than that, so that not all come back together."""
        self.server.last.fail(ApiError(429, "TooManyRequests", "too many", 7.0))
        self.waits(7.7)

    def test_long_lists_leave_others_a_turn(self) -> None:
        """Nothing else runs while objects are read."""
        turns = []

        class Slow:
            def __init__(self, clock: Clock) -> None:
                self.clock = clock

            def __call__(self, obj: Any) -> None:
                self.clock.rightNow += 0.002

        self.reflector.stop()
        reflector = new_reflector(self.clock, self.server, self.user, convert=Slow(self.clock))
        reflector.start()
        self.clock.callLater(0, turns.append, "other")
        self.server.last.list(*(orders(name=f"a{n}") for n in range(10)), version=5)
        self.assertEqual((turns, self.user.told), ([], []))
        self.clock.pump([0] * 10)
        self.assertEqual((turns, self.user.told), (["other"], [("listed", [])]))
        self.successResultOf(reflector.stop())


class VersionsTests(ReflectorCase):
    """A resource that a cluster may serve in one version or in another"""

    options = {"resource": REFERENCE_GRANTS}
    newer, older = (one.path() for one in REFERENCE_GRANTS.versions)

    def test_newest_version_is_followed_that_is_served(self) -> None:
        """Nothing else is asked for where it is."""
        self.assertEqual(self.server.last.path, self.newer)
        self.assertEqual(self.listed(orders()).path, self.newer)
        self.assertEqual(len(self.server.asked), 2)

    def test_older_version_is_followed_where_the_newest_is_not_served(self) -> None:
        """At once, and with everything that follows from it."""
        self.server.last.fail(ABSENT)
        self.assertEqual(self.server.last.path, self.older)
        watch = self.listed(orders())
        self.assertEqual((watch.path, self.user.told), (self.older, [("listed", ["shop/orders"])]))
        watch.fail(BROKEN)
        self.waits(0.2)
        self.assertEqual(
            (self.server.last.path, self.server.last.query["limit"]), (self.older, "1")
        )

    def test_resource_is_absent_where_no_version_is_served(self) -> None:
        """All are asked for again, from the newest on."""
        for _ in range(2):
            self.server.last.fail(ABSENT)
            self.assertEqual(self.user.told, [])
            self.server.last.fail(ABSENT)
            self.assertEqual((self.state(), self.user.told), ("absent", [("absent", None)]))
            self.waits(60)
            self.assertEqual(self.server.last.path, self.newer)
            self.user.told.clear()

    def test_version_that_is_served_no_more_is_left(self) -> None:
        """For a newer one, or an older one; what is known stays meanwhile."""
        self.server.last.fail(ABSENT)
        watch = self.listed(orders())
        for there, others in ((self.newer, 0), (self.older, 1)):
            watch.fail(ABSENT)
            self.waits(60)
            for _ in range(others):
                self.server.last.fail(ABSENT)
            self.assertEqual(self.server.last.path, there)
            watch = self.listed(orders())
            self.assertEqual(watch.path, there)
        told = [what for what, _ in self.user.told]
        self.assertEqual(told, ["listed", "absent", "listed", "absent", "listed"])

    def test_newer_version_is_found_with_the_next_list(self) -> None:
        """There is one at least every few hours."""
        self.server.last.fail(ABSENT)
        self.listed(orders()).fail(GONE)
        self.assertEqual(self.server.last.path, self.newer)

    def test_other_failures_are_no_reason_to_ask_for_an_older_version(self) -> None:
        """It may not be served any more, or not be for us either."""
        self.server.last.fail(BROKEN)
        self.waits(0.2)
        self.assertEqual(self.server.last.path, self.newer)
        self.server.last.fail(ApiError(403, "Forbidden", "no"))
        self.waits(30)
        self.assertEqual(self.server.last.path, self.newer)


class SliceListTests(ReflectorCase):
    """Lists of EndpointSlices in one namespace"""

    options = {"resource": ENDPOINT_SLICES, "namespace": "shop", "convert": endpoint_slice}

    def test_pages_are_smaller(self) -> None:
        """Each of them is as long as many other objects."""
        self.assertEqual(self.server.last.query["limit"], "100")
        self.assertEqual(str(self.reflector), "endpointslices.discovery.k8s.io in shop")


class WatchTests(ReflectorCase):
    """Watches"""

    def test_watch_begins_where_the_list_ended(self) -> None:
        """With bookmarks, and for a time of chance."""
        self.assertEqual(
            self.listed().query,
            {
                "labelSelector": "managed-by=fengling",
                "watch": "true",
                "resourceVersion": "5",
                "allowWatchBookmarks": "true",
                "timeoutSeconds": "600",
            },
        )

    def test_events_are_told(self) -> None:
        """As values."""
        watch = self.listed(orders(name="a")).begin()
        watch.tell("ADDED", orders(6, name="b"))
        watch.tell("MODIFIED", orders(7, name="a", ports=[81]))
        watch.tell("DELETED", orders(8, name="b"))
        told = [("changed", "shop/b"), ("changed", "shop/a"), ("gone", "shop/b")]
        self.assertEqual(self.user.told[1:], told)
        self.assertEqual(self.user.known["shop/a"].ports[0].port, 81)
        self.assertEqual(self.reflector.status()["events"], 3)

    def test_event_that_changes_nothing_we_keep_is_not_told(self) -> None:
        """Such as one of its status."""
        watch = self.listed(orders(name="a"))
        watch.tell("MODIFIED", {**orders(6, name="a"), "status": {"loadBalancer": {"x": 1}}})
        self.assertEqual(len(self.user.told), 1)
        self.assertEqual(self.reflector.status()["resource_version"], "6")

    def test_watch_that_ends_cleanly_goes_on_where_it_was(self) -> None:
        """From the last event or bookmark, at once."""
        watch = self.listed(orders(name="a"))
        watch.tell("MODIFIED", orders(6, name="a", ports=[81]))
        watch.tell("BOOKMARK", {"kind": "Service", "metadata": {}}, version=12)
        self.clock.advance(300)
        watch.end()
        self.assertIsNot(self.watch(), watch)
        self.assertEqual(self.watch().query["resourceVersion"], "12")
        self.assertEqual(self.state(), "watching")

    def test_watches_that_end_at_once_are_no_storm(self) -> None:
        """One each second at most."""
        self.listed().tell("BOOKMARK", {"metadata": {}}, version=6)
        for _ in range(5):
            self.watch().end()
            self.waits(1)
            self.watch().tell("BOOKMARK", {"metadata": {}}, version=6)

    def test_watch_that_does_not_end_is_broken_off(self) -> None:
        """Half a minute after its time; and goes on from the version that it had."""
        watch = self.listed(version=5)
        self.clock.advance(629)
        self.assertFalse(watch.is_over)
        self.clock.advance(1)
        self.assertTrue(watch.is_over)
        self.assertIn("has not ended after 630 s", self.reflector.status()["problem"])
        self.clock.advance(0.2)
        self.server.last.list(version=5000)
        self.assertEqual(self.watch().query["resourceVersion"], "5")

    def test_broken_watch_goes_on_where_it_was(self) -> None:
        """Nothing is forgotten; once the version has been compared it is watched on."""
        watch = self.listed(orders(name="a")).begin()
        watch.tell("BOOKMARK", {"metadata": {}}, version=6)
        self.clock.advance(60)
        watch.fail(BROKEN)
        self.assertEqual((self.state(), self.reflector.status()["objects"]), ("waiting", 1))
        self.waits(0.2)
        self.assertEqual(self.server.last.query["limit"], "1")
        self.server.last.list(orders(name="a"), version=90)
        self.assertEqual(self.watch().query["resourceVersion"], "6")
        self.assertIsNotNone(self.reflector.status()["problem"])
        self.watch().begin()
        self.assertIsNone(self.reflector.status()["problem"])
        self.assertEqual(len(self.user.told), 1)

    def test_versions_that_expired_are_listed_anew(self) -> None:
        """An event of that error, or an answer; at once the first time."""
        expired = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
        watch = self.listed(orders(name="a"), orders(name="b"))
        self.clock.advance(10)
        watch.tell("ERROR", expired)
        self.assertEqual(self.server.last.query["limit"], "500")
        self.listed(orders(name="a"), version=20).fail(GONE)
        self.waits(0.4)
        self.assertEqual(self.server.last.query["limit"], "500")
        lists = [("listed", ["shop/a", "shop/b"]), ("listed", ["shop/a"])]
        self.assertEqual(self.user.told, lists)
        self.assertEqual(self.reflector.status()["relists"], 2)

    def test_other_error_events_are_listed_anew_after_a_while(self) -> None:
        """Whatever the server means by them."""
        self.listed().tell("ERROR", {"code": 500, "message": "etcd event received with PrevKv=nil"})
        self.assertIn("PrevKv", self.reflector.status()["problem"])
        self.waits(0.2)
        self.assertEqual(self.server.last.query["limit"], "500")

    def test_silent_watch_of_a_server_that_was_set_back_is_noticed(self) -> None:
        """It would be silent for ever, and no error."""
        watch = self.listed(orders(name="a"), version=5000).begin()
        self.clock.advance(600)
        watch.end()
        self.server.last.list(version=900)
        self.assertEqual(self.server.last.query["limit"], "500")
        self.listed(version=900)
        self.assertEqual(self.user.told[-1], ("listed", []))

    def test_events_of_a_server_that_was_set_back_are_noticed(self) -> None:
        """Where it tells them."""
        watch = self.listed(orders(name="a"), version=5000).begin()
        watch.tell("MODIFIED", orders(900, name="a", ports=[81]))
        self.assertTrue(watch.is_over)
        self.assertEqual(self.server.last.query["limit"], "500")

    def test_versions_that_are_no_numbers_are_not_compared(self) -> None:
        """Some servers have such."""
        watch = self.listed(version=5)
        watch.tell("BOOKMARK", {"metadata": {"resourceVersion": "b-17"}})
        watch.tell("BOOKMARK", {"metadata": {"resourceVersion": "a-18"}})
        self.assertFalse(watch.is_over)
        self.assertEqual(self.reflector.status()["resource_version"], "a-18")

    def test_list_is_made_anew_once_an_hour(self) -> None:
        """When a watch ends, however much it has told."""
        watch = self.listed(orders(name="a"))
        for version in range(6, 12):
            self.assertEqual(self.server.last.query["watch"], "true")
            self.clock.advance(600)
            watch.tell("BOOKMARK", {"metadata": {}}, version=version)
            watch.end()
            watch = self.server.last
        self.assertEqual(watch.query["limit"], "500")
        self.assertIsNone(self.reflector.status()["problem"])

    def test_backoff_begins_anew_after_a_watch_that_lasted(self) -> None:
        """What breaks it is the first failure again."""
        watch = self.listed()
        for _ in range(3):
            watch.begin()
            self.clock.advance(60)
            watch.fail(BROKEN)
            self.waits(0.2)
            self.server.last.list(version=5)
            watch = self.watch()

    def test_what_is_no_event_is_ignored(self) -> None:
        """As are kinds that are yet to be invented."""
        watch = self.listed()
        watch.tell("SPLENDID", orders(6))
        watch._on_event({"type": "ADDED", "object": None})
        watch._on_event({})
        self.assertEqual(len(self.user.told), 1)
        self.assertFalse(watch.is_over)


class RefusalTests(ReflectorCase):
    """What is not allowed, and what there is not"""

    def test_what_goes_on_is_logged_once(self) -> None:
        """And that it is over."""
        heard: list[Any] = []
        globalLogPublisher.addObserver(heard.append)
        self.addCleanup(globalLogPublisher.removeObserver, heard.append)
        for _ in range(5):
            self.server.last.fail(ApiError(403, "Forbidden", "no"))
            self.waits(30)
        self.listed().begin()
        ids = [one["log_id"] for one in heard if "log_id" in one]
        self.assertEqual(
            ids, ["kubernetes.not_watched", "kubernetes.listed", "kubernetes.watched_again"]
        )

    def test_missing_right_is_told_and_looked_at_again(self) -> None:
        """Every 30 s, by the name of what is wanting."""
        self.server.last.fail(ApiError(403, "Forbidden", "services is forbidden: User x cannot"))
        self.assertEqual(self.state(), "forbidden")
        self.assertEqual(
            self.reflector.status()["problem"],
            "403: services is forbidden: User x cannot: the console's ServiceAccount needs list "
            "and watch of services (docs/kubernetes.md, settings and rights)",
        )
        self.waits(30)
        self.listed(orders(name="a"))
        self.assertEqual(self.state(), "watching")

    def test_resource_that_there_is_not_is_looked_for_again(self) -> None:
        """Every minute: its definition may be installed. Whoever hears of it is told each time."""
        for _ in range(2):
            self.server.last.fail(ApiError(404, "", "404 page not found"))
            self.assertEqual(self.state(), "absent")
            self.waits(60)
        self.listed()
        self.assertEqual(self.user.told, [("absent", None), ("absent", None), ("listed", [])])

    def test_other_failures_are_not_absence(self) -> None:
        """Nobody knows what there is then."""
        for status in (0, 401, 403, 410, 500, 503):
            self.server.last.fail(ApiError(status, "", "no"))
            self.clock.advance(60)
        self.assertEqual(self.user.told, [])

    def test_resource_that_is_taken_away_is_not_forgotten(self) -> None:
        """It is listed anew when it is back."""
        watch = self.listed(orders(name="a"))
        self.clock.advance(5)
        watch.fail(ApiError(404, "", "404 page not found"))
        self.assertEqual((self.state(), self.reflector.status()["objects"]), ("absent", 1))
        self.waits(60)
        self.assertEqual(self.server.last.query["limit"], "500")


class ObjectTests(ReflectorCase):
    """Objects that can't be read"""

    broken = {"metadata": {"name": "orders", "namespace": "shop", "resourceVersion": "6"}}

    def test_refused_object_is_as_it_was(self) -> None:
        """In an event and in a list; it is told in the status."""
        watch = self.listed(orders(2), orders(3, name="other"))
        watch.tell("MODIFIED", self.broken)
        self.assertEqual(len(self.user.told), 1)
        status = self.reflector.status()
        self.assertEqual((status["refused"], status["objects"]), (1, 2))
        self.assertIn("shop/orders (shop/orders: spec is no object)", status["problem"])
        self.clock.advance(5)
        watch.tell("ERROR", {"code": 410})
        self.listed(self.broken, version=9)
        self.assertEqual(self.user.told[-1], ("listed", ["shop/orders"]))

    def test_refused_object_that_is_gone_is_gone(self) -> None:
        """In the last state that could be read."""
        watch = self.listed(orders(2))
        watch.tell("MODIFIED", self.broken)
        watch.tell("DELETED", self.broken, version=7)
        self.assertEqual(self.user.told[-1], ("gone", "shop/orders"))
        self.assertEqual(self.reflector.status()["refused"], 0)

    def test_repaired_object_is_told(self) -> None:
        """And no problem any more."""
        watch = self.listed(orders(2)).begin()
        watch.tell("MODIFIED", self.broken)
        watch.tell("MODIFIED", orders(7, ports=[81]))
        self.assertEqual(self.user.told[-1], ("changed", "shop/orders"))
        self.assertIsNone(self.reflector.status()["problem"])

    def test_object_without_a_name_is_counted(self) -> None:
        """It could be any."""
        self.listed({"metadata": {}})
        self.assertIn("without a name", self.reflector.status()["problem"])


class FaultTests(ReflectorCase):
    """Faults of ours"""

    def test_fault_in_reading_refuses_the_object(self) -> None:
        """It is logged, and everything else goes on."""

        def convert(_obj: Any) -> Any:
            raise KeyError("spec")

        self.reflector.stop()
        self.reflector = new_reflector(self.clock, self.server, self.user, convert=convert)
        self.reflector.start()
        self.listed(orders())
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual(self.reflector.status()["refused"], 1)
        self.assertEqual(self.user.told, [("listed", [])])

    def test_fault_of_who_hears_it_is_logged(self) -> None:
        """The next event is told all the same."""
        watch = self.listed()
        self.user.changed = None  # type: ignore[assignment, method-assign]
        watch.tell("ADDED", orders(6))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.assertFalse(watch.is_over)

    def test_any_other_fault_has_everything_listed_anew(self) -> None:
        """After a while, and logged."""
        self.listed().fail(RuntimeError("a fault"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertIn("fault", self.reflector.status()["problem"])
        self.waits(0.2)
        self.assertEqual(self.server.last.query["limit"], "500")


class StopTests(ReflectorCase):
    """Stopping"""

    def setUp(self) -> None:
        super().setUp()
        self.successResultOf(self.reflector.stop())

    def test_nothing_is_told_after_it(self) -> None:
        """Whatever it was doing is ended."""
        for stage in ("list", "watch", "wait"):
            reflector = new_reflector(self.clock, self.server, self.user)
            reflector.start()
            asked = self.server.last
            if stage == "watch":
                asked.list(version=5)
                asked = self.server.last
            if stage == "wait":
                asked.fail(BROKEN)
            before = len(self.user.told)
            self.successResultOf(reflector.stop())
            self.assertTrue(asked.is_over)
            self.assertEqual(self.clock.getDelayedCalls(), [], stage)
            self.assertEqual(len(self.user.told), before)

    def test_who_is_told_may_stop_it(self) -> None:
        """Of a list, or of an event."""
        for kind in ("listed", "changed"):
            user = Listener()
            reflector = new_reflector(self.clock, self.server, user)
            stopped = []
            setattr(user, kind, lambda *_, one=reflector, to=stopped: to.append(one.stop()))
            reflector.start()
            self.server.last.list(version=5)
            if kind == "changed":
                self.server.last.tell("ADDED", orders(6))
            self.assertTrue(self.server.last.is_over)
            self.successResultOf(stopped[0])
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_twice_and_before_the_start_is_fine(self) -> None:
        """Nothing is left to end."""
        self.successResultOf(self.reflector.stop())
        self.successResultOf(new_reflector(self.clock, self.server, self.user).stop())


class StatusTests(ReflectorCase):
    """What operators are told"""

    def test_status_says_how_it_gets_on(self) -> None:
        """Everything, in JSON."""
        self.clock.advance(100)
        watch = self.listed(orders()).begin()
        self.clock.advance(10)
        watch.tell("ADDED", orders(6, name="b"))
        self.assertEqual(
            self.reflector.status(),
            {
                "resource": "services",
                "namespace": None,
                "objects": 2,
                "resource_version": "6",
                "state": "watching",
                "synced_at": "2023-11-14T22:15:00.000Z",
                "heard_at": "2023-11-14T22:15:10.000Z",
                "problem": None,
                "relists": 0,
                "restarts": 0,
                "events": 1,
                "refused": 0,
            },
        )
        self.assertEqual(repr(self.reflector), "<Reflector services watching>")

    def test_nothing_is_known_before_the_list(self) -> None:
        """Which is under way."""
        status = self.reflector.status()
        self.assertEqual((status["state"], status["synced_at"]), ("listing", None))
