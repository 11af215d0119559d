"""Instances that fail requests are left alone for a while, and what is told of them."""

from __future__ import annotations

from random import Random
from typing import Any

from fengling_gateway.balancing.upstream_networks import LOOPBACK, UpstreamNetworks
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.model.delta import Change
from fengling_gateway.model.entity import Key
from fengling_gateway.routing.snapshot import CompileContext
from tests.dataplane.rig import OK, Rig, Transport, status_of
from tests.dataplane.snapshots import Entity, instance, make_snapshot, policies, route, service
from tests.dataplane.test_forwarding import RigCase
from tests.routing.deltas import change, make_delta

BAD = "192.0.2.1"
GOOD = "192.0.2.2"
NO_RETRY = {"retry": None}


class EjectionCase(RigCase):
    """A rig with a good and a bad instance, and deltas that reach it."""

    def two(self, *more: Entity, **given: Any) -> Rig:
        context = CompileContext(Random(1), UpstreamNetworks(LOOPBACK))
        self.context = context
        rig = self.rig()
        self.snapshot = make_snapshot(
            service(balancing="round_robin", **given),
            instance("bad", address=f"http://{BAD}:80"),
            instance("good", address=f"http://{GOOD}:80"),
            route(policies=policies(**NO_RETRY)),
            *more,
            context=context,
        )
        rig.plane.apply(self.snapshot)
        return rig

    def change(self, rig: Rig, kind: str, body: dict[str, Any] | None, name: str = "") -> None:
        one = Change(Key(kind, name), None) if body is None else change(kind, body)
        self.snapshot = self.snapshot.apply(make_delta(self.snapshot, one), self.context)
        rig.plane.apply(self.snapshot)

    def report(self, rig: Rig, health: str, reason: str | None = None) -> None:
        self.change(rig, "instance_health", {"id": "bad", "health": health, "reason": reason})

    def ask_one(self, rig: Rig) -> tuple[Transport, str]:
        """A client that has asked, and who is asked for it over a new connection."""
        client = rig.ask()
        return client, rig.dials[-1][0]

    def fail_some(self, rig: Rig, times: int = 5) -> None:
        """Fail so many requests to the bad one; the good one answers its own."""
        while times:
            _, asked = self.ask_one(rig)
            if asked == BAD:
                times -= 1
                rig.refuse()
            else:
                self.answer(rig)

    def answer(self, rig: Rig) -> None:
        rig.accept().deliver(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        rig.settle()

    def asked(self, rig: Rig, times: int = 4) -> set[str]:
        """Who is asked in so many requests."""
        found = set()
        for _ in range(times):
            found.add(self.ask_one(rig)[1])
            self.answer(rig)
        return found

    def counted(self, rig: Rig) -> tuple[int, int, int]:
        counters = rig.counters()
        return counters["ejections"], counters["reactivations"], counters["ejected_now"]


class EjectionTests(EjectionCase):
    """`PassiveHealth`, by what clients and instances see."""

    def test_instance_that_fails_gets_nothing_for_a_while(self) -> None:
        """The good one gets all, until the time is over."""
        rig = self.two()
        self.fail_some(rig, 4)
        self.assertEqual(self.counted(rig), (0, 0, 0))
        self.fail_some(rig, 1)
        self.assertEqual(self.counted(rig), (1, 0, 1))
        self.assertEqual(self.asked(rig), {GOOD})
        rig.advance(29.8)
        self.assertEqual(self.asked(rig), {GOOD})
        rig.advance(0.5)
        self.assertEqual(self.counted(rig), (1, 1, 0))
        self.assertEqual(self.asked(rig), {GOOD, BAD})

    def test_answers_count_whatever_their_status(self) -> None:
        """A 503 of an instance is its answer."""
        rig = self.two()
        self.fail_some(rig, 4)
        while self.ask_one(rig)[1] != BAD:
            self.answer(rig)
        rig.accept().deliver(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        rig.settle()
        self.fail_some(rig, 4)
        self.assertEqual(self.counted(rig), (0, 0, 0))
        self.fail_some(rig, 1)
        self.assertEqual(self.counted(rig), (1, 0, 1))

    def test_failures_that_are_made_up_for_elsewhere_count(self) -> None:
        """Clients see nothing of an instance that can't be reached."""
        rig = self.two()
        self.change(rig, "route", route()[1])  # with a retry
        for _ in range(20):
            client, asked = self.ask_one(rig)
            if asked == BAD:
                rig.refuse()
            self.answer(rig)
            self.assertEqual(status_of(client.sent), 200)
        self.assertEqual(self.counted(rig), (1, 0, 1))
        bad, good = self.snapshot.services["s"].states
        self.assertEqual((bad.answered, good.answered), (0, 20))

    def test_time_and_bad_answers_count(self) -> None:
        """What blames the instance, in whatever phase."""
        rig = self.two()
        failures = [
            lambda: rig.advance(4.0),
            lambda: rig.accept() and rig.advance(31.0),
            lambda: rig.accept().deliver(b"nonsense\r\n\r\n"),
            lambda: rig.accept().lose(),
            lambda: rig.accept().deliver(OK[:-1] + b"kk"),
        ]
        for failure in failures:
            while self.ask_one(rig)[1] != BAD:
                self.answer(rig)
            self.assertEqual(rig.counters()["ejections"], 0)
            failure()
            rig.settle()
        self.assertEqual(rig.counters()["ejections"], 1)

    def test_clients_that_leave_count_nothing(self) -> None:
        """While connecting, waiting or being answered; nor do their own mistakes."""
        rig = self.two()
        for number in range(30):
            client, _ = self.ask_one(rig)
            if number % 3:
                upstream = rig.accept()
                if number % 3 == 2:
                    upstream.deliver(OK[:-1])
            client.lose()
            rig.settle()
        self.assertEqual(rig.counters()["ejections"], 0)
        self.assertIsNone(rig.plane.take_evidence())
        for service_of in self.snapshot.services.values():
            self.assertEqual([state.answered for state in service_of.states], [0, 0])

    def test_clients_that_do_not_finish_their_requests_eject_nobody(self) -> None:
        """Instances close on them; whoever wants could have half of them ejected by that."""
        rig = self.two()
        slow = b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 9\r\n\r\nhalf"
        for _ in range(30):
            client = rig.ask(slow)
            rig.accept().lose()
            rig.settle()
            self.assertEqual(status_of(client.sent), 502)
        self.assertEqual(self.counted(rig), (0, 0, 0))
        self.fail_some(rig, 5)
        self.assertEqual(self.counted(rig), (1, 0, 1))

    def test_connections_that_had_been_kept_may_die(self) -> None:
        """The instance had closed them before the request came, most likely; a new one counts."""
        rig = self.two()
        self.change(rig, "instance", None, "bad")
        [state] = self.snapshot.services["s"].states
        client = rig.ask()
        upstream = rig.accept()
        upstream.deliver(OK)
        client.take()
        client.deliver(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
        upstream.lose()
        rig.settle()
        self.assertEqual((status_of(client.sent), state.failures), (502, 0))
        rig.ask()
        rig.accept().lose()
        rig.settle()
        self.assertEqual(state.failures, 1)

    def test_ejection_survives_revisions(self) -> None:
        """Of its service and of itself, but not another address."""
        rig = self.two()
        self.fail_some(rig)
        self.change(rig, "service", service(balancing="round_robin", connect_timeout=9.0)[1])
        self.assertEqual(self.asked(rig), {GOOD})
        self.change(rig, "instance", instance("bad", address=f"http://{BAD}:80", weight=7)[1])
        self.assertEqual(self.asked(rig), {GOOD})
        self.change(rig, "instance", instance("bad", address="http://192.0.2.9:80")[1])
        self.assertEqual(self.asked(rig), {GOOD, "192.0.2.9"})
        self.assertEqual(self.counted(rig)[2], 0)

    def test_ejection_between_compiling_and_serving_is_not_lost(self) -> None:
        """Nor is a reactivation: large deltas are compiled in slices."""
        rig = self.two()
        for turn in (lambda: self.fail_some(rig), lambda: rig.advance(31.0)):
            slow = service(balancing="round_robin", connect_timeout=1.0 + len(rig.dials))[1]
            delta = make_delta(self.snapshot, change("service", slow))
            builder = self.snapshot.applying(delta, self.context)
            builder.add(delta.changes)
            while builder.step(1):
                pass
            turn()
            self.snapshot = builder.finish()
            rig.plane.apply(self.snapshot)
            is_ejected = rig.counters()["ejected_now"] == 1
            self.assertEqual(self.asked(rig), {GOOD} if is_ejected else {GOOD, BAD})

    def test_newer_word_that_it_is_healthy_brings_it_back(self) -> None:
        """Whoever probes knows better; what had been said before counts no more."""
        rig = self.two()
        self.report(rig, "healthy")
        self.fail_some(rig)
        self.change(rig, "instance", instance("bad", address=f"http://{BAD}:80", weight=7)[1])
        self.assertEqual(self.asked(rig), {GOOD})
        self.report(rig, "unhealthy")
        self.assertEqual(self.asked(rig), {GOOD})
        self.report(rig, "healthy")
        self.assertEqual(self.asked(rig), {GOOD, BAD})
        self.assertEqual(self.counted(rig), (1, 1, 0))

    def test_defaults_and_services_say_whether_and_when(self) -> None:
        """Null is off; the setting holds for services that say nothing; changes hold at once."""
        rig = self.two(("setting", {"id": "defaults", "key": "defaults", "value": {}}))
        self.fail_some(rig)
        body = {"id": "defaults", "key": "defaults", "value": {"ejection": None}}
        self.snapshot = self.snapshot.apply(
            make_delta(self.snapshot, change("setting", body, "defaults")), self.context
        )
        rig.plane.apply(self.snapshot)
        self.assertEqual(self.asked(rig), {GOOD, BAD})
        self.fail_some(rig, 9)
        self.assertEqual(self.asked(rig), {GOOD, BAD})
        own = policies(ejection={"consecutive": 2, "base": "10s"})
        self.change(rig, "service", service(balancing="round_robin", policies=own)[1])
        self.fail_some(rig, 2)
        self.assertEqual(self.asked(rig), {GOOD})

    def test_explanation_knows_how_long(self) -> None:
        """On the sweeper's clock."""
        rig = self.two()
        self.fail_some(rig)
        bad, good = self.snapshot.services["s"].states
        rig.advance(10.0)
        self.assertAlmostEqual(rig.plane.ejected_for(bad) or 0, 20.0, delta=0.2)
        self.assertIsNone(rig.plane.ejected_for(good))


class EvidenceTests(EjectionCase):
    """`PassiveHealth.take_evidence`"""

    def test_nothing_is_told_where_nothing_failed(self) -> None:
        """However much was answered."""
        rig = self.two()
        self.asked(rig)
        self.assertIsNone(rig.plane.take_evidence())

    def test_failures_and_answers_since_the_last_time_are_told(self) -> None:
        """Each once, with the newest failure and whether it is ejected."""
        rig = self.two()
        self.asked(rig, 8)
        self.assertIsNone(rig.plane.take_evidence())
        self.asked(rig, 4)
        self.fail_some(rig, 3)
        told = {"failures": 3, "successes": 2, "error": "connect_failed", "ejected_for": None}
        self.assertEqual(rig.plane.take_evidence(), {"instances": {"bad": told}, "others": 0})
        self.assertIsNone(rig.plane.take_evidence())
        self.fail_some(rig, 2)
        told = {"failures": 2, "successes": 0, "error": "connect_failed", "ejected_for": 30.0}
        self.assertEqual(rig.plane.take_evidence(), {"instances": {"bad": told}, "others": 0})

    def test_first_answers_after_failures_are_told_once(self) -> None:
        """So that whoever counts failures in a row begins anew."""
        rig = self.two()
        self.fail_some(rig, 2)
        rig.plane.take_evidence()
        self.asked(rig, 4)
        told = {"failures": 0, "successes": 2, "error": None, "ejected_for": None}
        self.assertEqual(rig.plane.take_evidence(), {"instances": {"bad": told}, "others": 0})
        self.asked(rig, 4)
        self.assertIsNone(rig.plane.take_evidence())

    def test_instances_that_are_gone_are_not_told_of(self) -> None:
        """Nobody would know them."""
        rig = self.two()
        self.fail_some(rig, 2)
        self.change(rig, "instance", None, "bad")
        self.assertIsNone(rig.plane.take_evidence())

    def test_as_many_as_a_frame_should_hold_are_told(self) -> None:
        """Those with most failures; the others are counted."""
        count = 1003
        named = [instance(f"i{n}", address=f"http://192.0.2.1:{1000 + n}") for n in range(count)]
        rig = self.rig()
        snapshot = make_snapshot(service(), *named, route())
        rig.plane.apply(snapshot)
        passive = rig.plane._state.passive
        states = snapshot.services["s"].states
        for number, state in enumerate(states):
            for _ in range(1 + (number >= 3)):
                passive.failed(state, ForwardError.CONNECT_FAILED)
        told = rig.plane.take_evidence()
        assert told is not None
        self.assertEqual((len(told["instances"]), told["others"]), (1000, 3))
        self.assertEqual({one["failures"] for one in told["instances"].values()}, {2})
