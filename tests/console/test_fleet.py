"""The states of all gateways, watched; and waiting until all serve something."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.console.fleet import (
    CLOSE_SECONDS,
    MAX_WAITING,
    PATIENCE_SECONDS,
    WATCH_SECONDS,
    FleetWatch,
)
from fengling_gateway.model.delta import Position

AT_8 = Position("e", 8, "t")


def worker(number: int, revision: int | None = 8, state: str = "serving", epoch: str = "e") -> Any:
    return {"worker": number, "state": state, "epoch": epoch, "revision": revision}


def node(*workers: Any, live: bool = True) -> Any:
    return {"live": live, "workers": list(workers)}


class Nodes:
    """Redis, as a test has it."""

    connected = True
    last_error = ""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {}
        self.error: Exception | None = None
        self.answers = True
        self.asked = 0

    def nodes(self) -> Deferred[dict[str, Any]]:
        self.asked += 1
        answer: Deferred[dict[str, Any]] = Deferred()
        if self.error is not None:
            answer.errback(self.error)
        elif self.answers:
            answer.callback(self.states)
        return answer


class ConvergenceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.nodes = Nodes()
        self.fleet = FleetWatch(clock=self.clock, nodes=self.nodes)
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(self.fleet.stop)

    def seen(self, **states: Any) -> Any:
        self.nodes.states = states
        self.fleet.start()
        return self.fleet.convergence(AT_8)

    def test_all_that_serve_it_or_more_are_there(self) -> None:
        found = self.seen(a=node(worker(1), worker(2, 9)), b=node(worker(1)))
        assert found.is_reached
        assert found.served == ("a/1", "a/2", "b/1")
        assert found.shown() == {"served": 3, "workers": 3, "behind": [], "complete": True}

    def test_pinned_nodes_are_not_waited_for(self) -> None:
        """They are told not to follow."""
        pinned = {**node(worker(0, 7)), "pinned": {"revision": 7, "message": "pinned at 7"}}
        found = self.seen(n1=node(worker(0)), n2=pinned)
        self.assertTrue(found.is_reached)
        self.assertEqual(found.behind, ())

    def test_those_behind_are_named(self) -> None:
        """With less, nothing, or another database's; also if they do not move."""
        workers = [
            worker(1, 7),
            worker(2, None),
            worker(3, 9, epoch="other"),
            worker(4, 7, "stalled"),
            worker(5, None, "starting"),
        ]
        found = self.seen(a=node(*workers, worker(6)))
        assert not found.is_reached
        assert found.behind == ("a/1", "a/2", "a/3", "a/4", "a/5")

    def test_those_that_end_do_not_count(self) -> None:
        """Nor those of nodes that have not been seen of late."""
        found = self.seen(
            a=node(worker(1), worker(2, 7, "draining")), gone=node(worker(1, 7), live=False)
        )
        assert found.served == ("a/1",)
        assert found.is_reached

    def test_nobody_is_not_everybody(self) -> None:
        assert not self.seen().is_reached

    def test_without_redis_it_is_not_known(self) -> None:
        """At once, and why."""
        fleet = FleetWatch(clock=self.clock, nodes=None)
        fleet.start()
        self.addCleanup(fleet.stop)
        found = self.successResultOf(fleet.reached(AT_8, 60))
        assert not found.is_reached
        assert not found.complete
        assert "Redis" in found.shown()["reason"]

    def test_redis_that_fails_is_a_reason(self) -> None:
        """Until it tells again; what it told before is not taken for what is."""
        self.seen(a=node(worker(1)))
        self.nodes.error = OSError("gone")
        self.clock.advance(WATCH_SECONDS)
        assert self.fleet.states == {}
        assert "gone" in self.fleet.convergence(AT_8).reason
        self.nodes.error = None
        self.clock.advance(WATCH_SECONDS)
        assert self.fleet.convergence(AT_8).is_reached

    def test_node_that_can_not_be_read_does_not_serve(self) -> None:
        """As far as anybody knows; and it keeps nobody from seeing the others."""
        found = self.seen(a={"live": True, "workers": "many"}, b=node(worker(1)), c=node(None))
        assert found.served == ("b/1",)
        assert found.behind == ("a", "c")
        assert found.shown()["workers"] == 3

    def test_node_that_can_not_be_read_is_logged_once(self) -> None:
        """Until it can be read again."""
        said: list[Any] = []
        globalLogPublisher.addObserver(said.append)
        self.addCleanup(globalLogPublisher.removeObserver, said.append)

        def lines() -> list[str]:
            return [one["node"] for one in said if one.get("log_id") == "console.state_unread"]

        self.seen(a={"live": True}, b=node(worker(1)))
        self.clock.pump([WATCH_SECONDS] * 3)
        assert lines() == ["a"]
        self.nodes.states = {"a": node(worker(1))}
        self.clock.advance(WATCH_SECONDS)
        self.nodes.states = {"a": {"live": True}}
        self.clock.advance(WATCH_SECONDS)
        assert lines() == ["a", "a"]

    def test_redis_that_does_not_answer_is_asked_again(self) -> None:
        self.nodes.answers = False
        self.fleet.start()
        self.clock.pump([WATCH_SECONDS] * 4)
        assert self.nodes.asked == 2
        assert not self.fleet.convergence(AT_8).complete


class WaitingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.nodes = Nodes()
        self.nodes.states = {"a": node(worker(1), worker(2, 7))}
        self.fleet = FleetWatch(clock=self.clock, nodes=self.nodes)
        self.fleet.start()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(self.fleet.stop)

    def test_who_waits_is_told_as_soon_as_all_serve_it(self) -> None:
        """It is looked at once and then closely, until nobody waits."""
        waiting = self.fleet.reached(AT_8, 5)
        self.clock.advance(0)
        asked = self.nodes.asked
        self.clock.pump([CLOSE_SECONDS] * 10)
        assert self.nodes.asked == asked + 10
        self.assertNoResult(waiting)
        self.nodes.states = {"a": node(worker(1), worker(2))}
        self.clock.advance(CLOSE_SECONDS)
        assert self.successResultOf(waiting).is_reached
        asked = self.nodes.asked
        self.clock.advance(WATCH_SECONDS / 2)
        assert self.nodes.asked == asked

    def test_who_waits_too_long_is_told_who_is_behind(self) -> None:
        waiting = self.fleet.reached(AT_8, 1)
        self.clock.pump([CLOSE_SECONDS] * 60)
        self.assertNoResult(waiting)
        self.clock.pump([CLOSE_SECONDS] * 10)
        assert self.successResultOf(waiting).behind == ("a/2",)

    def test_who_waits_for_redis_is_told_that_it_does_not_answer(self) -> None:
        """Also if it was asked before."""
        self.nodes.answers = False
        self.clock.advance(WATCH_SECONDS)
        waiting = self.fleet.reached(AT_8, 30)
        self.clock.pump([WATCH_SECONDS, WATCH_SECONDS])
        assert not self.successResultOf(waiting).complete

    def test_who_waits_while_redis_is_being_connected_to_is_not_sent_away(self) -> None:
        """As just after the start; a moment later it is told that nobody tells."""
        self.nodes.error = OSError("not yet")
        self.clock.advance(WATCH_SECONDS)
        soon, late = self.fleet.reached(AT_8, 5), self.fleet.reached(AT_8, 5)
        self.clock.pump([CLOSE_SECONDS] * 10)
        self.assertNoResult(soon)
        self.nodes.error, self.nodes.states = None, {"a": node(worker(1))}
        self.clock.pump([CLOSE_SECONDS] * 2)
        assert self.successResultOf(soon).is_reached
        assert self.successResultOf(late).is_reached
        self.nodes.error = OSError("gone")
        gone = self.fleet.reached(AT_8, 5)
        self.clock.pump([CLOSE_SECONDS] * (2 + int(PATIENCE_SECONDS / CLOSE_SECONDS)))
        assert "gone" in self.successResultOf(gone).reason

    def test_who_waits_when_it_ends_is_told_what_is_known(self) -> None:
        waiting = self.fleet.reached(AT_8, 5)
        self.fleet.stop()
        assert self.successResultOf(waiting).behind == ("a/2",)
        assert self.successResultOf(self.fleet.reached(AT_8, 5)).behind == ("a/2",)

    def test_who_waits_when_it_ends_while_redis_is_asked_is_told_what_was_known(self) -> None:
        """That nobody has answered then is no news of workers."""
        self.nodes.answers = False
        waiting = self.fleet.reached(AT_8, 5)
        self.clock.advance(0)
        self.fleet.stop()
        found = self.successResultOf(waiting)
        assert (found.complete, found.served, found.behind) == (True, ("a/1",), ("a/2",))

    def test_who_waits_for_what_can_not_be_read_is_told_in_time(self) -> None:
        """Nor does anybody else wait for ever, or is looked after no more."""
        self.nodes.states = {"a": {"live": True, "workers": [{"state": "serving"}]}}
        waiting = self.fleet.reached(AT_8, 1)
        self.clock.pump([0.0, 1, CLOSE_SECONDS])
        assert self.successResultOf(waiting).behind == ("a",)
        self.nodes.states = {"a": node(worker(1))}
        waiting = self.fleet.reached(AT_8, 1)
        self.clock.advance(0)
        assert self.successResultOf(waiting).is_reached

    def test_too_many_who_wait_are_told_at_once(self) -> None:
        """Those that wait already wait on."""
        waiting = [self.fleet.reached(AT_8, 60) for _ in range(MAX_WAITING)]
        assert self.successResultOf(self.fleet.reached(AT_8, 60)).behind == ("a/2",)
        self.nodes.states = {"a": node(worker(1))}
        self.clock.advance(0)
        assert all(self.successResultOf(one).is_reached for one in waiting)

    def test_who_waits_may_wait_for_more(self) -> None:
        """Also from within what he is told."""
        self.nodes.states = {"a": node(worker(1))}
        again: list[Deferred[Any]] = []
        self.fleet.reached(AT_8, 5).addCallback(
            lambda _: again.append(self.fleet.reached(Position("e", 9, ""), 5))
        )
        self.clock.advance(0)
        self.nodes.states = {"a": node(worker(1, 9))}
        self.clock.advance(CLOSE_SECONDS)
        assert self.successResultOf(again[0]).is_reached


class TellingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[Any] = []

    def watch(self, nodes: Nodes | None) -> FleetWatch:
        fleet = FleetWatch(clock=self.clock, nodes=nodes)
        fleet.on_change(self.told.append)
        self.addCleanup(fleet.stop)
        fleet.start()
        return fleet

    def test_states_are_told_once_a_second_and_when_they_change(self) -> None:
        """Not each time that they are looked at."""
        nodes = Nodes()
        fleet = self.watch(nodes)
        fleet.reached(AT_8, 60)
        self.clock.pump([0.0, *[CLOSE_SECONDS] * 20])
        assert len(self.told) == 1
        nodes.states = {"a": node(worker(1, 7))}
        self.clock.advance(CLOSE_SECONDS)
        assert self.told[1:] == [fleet.states]
        self.clock.pump([CLOSE_SECONDS] * 80)
        assert len(self.told) == 3

    def test_loss_of_redis_is_told_and_what_is_without(self) -> None:
        """Whoever hears it says more than the states: pages show the problem."""
        nodes = Nodes()
        nodes.states = {"a": node(worker(1))}
        self.watch(nodes)
        nodes.error = OSError("gone")
        self.clock.advance(WATCH_SECONDS)
        assert self.told[-1] == {}
        del self.told[:]
        self.watch(None)
        self.clock.pump([WATCH_SECONDS] * 2)
        assert len(self.told) >= 3

    def test_fault_of_who_is_told_ends_nothing(self) -> None:
        """It is logged."""
        nodes = Nodes()
        fleet = self.watch(nodes)
        fleet.on_change(lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
        waiting = fleet.reached(AT_8, 5)
        nodes.states = {"a": node(worker(1))}
        self.clock.advance(0)
        assert self.successResultOf(waiting).is_reached
        self.clock.advance(WATCH_SECONDS)
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 2
        assert nodes.asked >= 3
