"""What the management API is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.model.delta import Position
from fengling_gateway.supervisor.view import CONFIRM_SECONDS, SupervisorView

HERE = Position("e", 7, "t7")


class SupervisorViewTests(SynchronousTestCase):
    """`SupervisorView`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.looks: list[Deferred[None]] = []
        self.behind: list[str] = []
        self.nodes: Any = {}
        self.supervisor = SimpleNamespace(
            settings=SimpleNamespace(node="n1"),
            look=self._look,
            loop=SimpleNamespace(position=HERE, held=None, confirm_here=lambda revision: False),
            narration=SimpleNamespace(failed_looks=0),
            source=SimpleNamespace(
                state=SimpleNamespace(last_error=None), confirm=lambda *_: succeed(None)
            ),
            propagation=SimpleNamespace(wait=lambda position, timeout: succeed(self.behind)),
            bus=SimpleNamespace(
                nodes=lambda: (
                    self.nodes if isinstance(self.nodes, Deferred) else succeed(self.nodes)
                ),
                send_command=lambda command: succeed(1),
            ),
        )
        self.view = SupervisorView(supervisor=self.supervisor, clock=self.clock)  # type: ignore[arg-type]

    def _look(self, reason: str) -> Deferred[None]:
        self.looks.append(Deferred())
        return self.looks[-1]

    def reload(self, wait: str = "node") -> Deferred[dict[str, Any]]:
        return self.view.reload(comment=None, wait=wait, timeout=5.0)

    def test_reload_says_what_is_served_when_the_look_has_ended(self) -> None:
        """And no timer is left."""
        reloaded = self.reload()
        self.assertNoResult(reloaded)
        self.looks[0].callback(None)
        answer = self.successResultOf(reloaded)
        self.assertEqual((answer["position"]["revision"], answer["source_answered"]), (7, True))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_reload_that_gets_no_answer_in_time_says_so(self) -> None:
        """A database that hangs has not answered, although no look has failed yet."""
        reloaded = self.reload()
        self.clock.advance(5.0)
        self.assertFalse(self.successResultOf(reloaded)["source_answered"])
        self.looks[0].callback(None)

    def test_reload_whose_look_fails_says_so(self) -> None:
        """The look ends, and badly."""
        reloaded = self.reload()
        self.supervisor.narration.failed_looks = 1
        self.looks[0].callback(None)
        self.assertFalse(self.successResultOf(reloaded)["source_answered"])

    def test_wait_for_all_names_the_workers_behind_of_every_live_node(self) -> None:
        """One that has not been seen for five seconds is not waited for."""
        behind = {"worker": "w0", "state": "serving", "epoch": "e", "revision": 6}
        self.nodes = {
            "n2": {"live": True, "workers": [behind]},
            "n3": {"live": False, "workers": [behind]},
        }
        reloaded = self.reload("all")
        self.looks[0].callback(None)
        self.clock.pump([0.1] * 60)
        answer = self.successResultOf(reloaded)
        self.assertEqual((answer["behind"], answer["complete"]), (["n2/w0"], True))

    def test_wait_for_all_without_redis_speaks_for_this_node_only(self) -> None:
        """And says so."""
        self.nodes = fail(ConnectionError("no Redis"))
        reloaded = self.reload("all")
        self.looks[0].callback(None)
        answer = self.successResultOf(reloaded)
        self.assertEqual((answer["complete"], answer["behind"]), (False, []))
        self.assertIn("only this node", answer["reason"])

    def test_confirmation_does_not_wait_for_ever(self) -> None:
        """It is done; what it releases may be served later."""
        confirmed = self.view.confirm(7, "ops")
        self.assertNoResult(confirmed)
        self.clock.advance(CONFIRM_SECONDS)
        self.assertEqual(self.successResultOf(confirmed), {"confirmed": 7, "held": None})
