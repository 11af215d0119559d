"""What the management API is told."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway import __version__
from fengling_gateway.configsource.reading import NotHeldError, Row, SourceError
from fengling_gateway.model.delta import Position
from fengling_gateway.model.entity import Key
from fengling_gateway.supervisor.link import WorkerState
from fengling_gateway.supervisor.view import CONFIRM_SECONDS, REJECTED_SHOWN, SupervisorView
from fengling_gateway.syncbus.messages import Command
from tests.supervisor import test_supervisor as parts
from tests.support.forge import rsa_jwk

HERE = Position("e", 7, "t7")


class SupervisorViewCase(SynchronousTestCase):
    """With a supervisor whose parts do what a test says."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.looks: list[Deferred[None]] = []
        self.behind: list[str] = []
        self.nodes: Any = {}
        config = SimpleNamespace(content_hash=0xABC)
        self.supervisor = SimpleNamespace(
            settings=SimpleNamespace(node="n1", source="database"),
            look=self._look,
            loop=SimpleNamespace(
                config=config,
                position=HERE,
                held=None,
                held_position=None,
                confirm_here=lambda _: False,
            ),
            position=HERE,
            pinning=SimpleNamespace(pin=None, problem=None, values=lambda: None),
            narration=SimpleNamespace(failed_looks=0),
            source=SimpleNamespace(
                state=SimpleNamespace(last_error=None), confirm=lambda *_: succeed(None)
            ),
            config=config,
            propagation=SimpleNamespace(wait=lambda timeout: succeed(self.behind)),
            bus=SimpleNamespace(
                nodes=lambda: (
                    self.nodes if isinstance(self.nodes, Deferred) else succeed(self.nodes)
                ),
                send_command=lambda command: succeed(1),
            ),
        )
        self.view = SupervisorView(
            supervisor=self.supervisor,  # type: ignore[arg-type]
            clock=self.clock,
            dropped_log_lines=lambda: 0,
        )

    def _look(self, reason: str) -> Deferred[None]:
        self.looks.append(Deferred())
        return self.looks[-1]

    def reload(self, wait: str = "node") -> Deferred[dict[str, Any]]:
        return self.view.reload(comment=None, wait=wait, timeout=5.0)


class SupervisorViewTests(SupervisorViewCase):
    """`SupervisorView`"""

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

    def test_wait_for_all_is_for_the_same_content(self) -> None:
        """A comparison may find what no revision tells of; another version hashes in its own way."""
        mine, other = f"{0xABC:032x}", f"{0xDEF:032x}"
        for version, node_hash, worker_hash, behind in (
            (__version__, mine, mine, []),
            (__version__, other, other, ["n2/w0"]),
            ("0.0.1", other, other, []),
            ("0.0.1", other, mine, ["n2/w0"]),
        ):
            worker = {"worker": "w0", "state": "serving", "epoch": "e", "revision": 7}
            state = {"live": True, "version": version, "content_hash": node_hash}
            self.nodes = {"n2": {**state, "workers": [{**worker, "content_hash": worker_hash}]}}
            reloaded = self.reload("all")
            self.looks.pop().callback(None)
            self.clock.pump([0.1] * 60)
            found = self.successResultOf(reloaded)["behind"]
            self.assertEqual((version, found), (version, behind))

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


class NodeCommandTests(SupervisorViewCase):
    """What consoles ask of one node."""

    def setUp(self) -> None:
        super().setUp()
        self.done: list[Any] = []
        self.supervisor.started_on = 7.5
        self.supervisor.state = "serving"
        self.supervisor.overrides = SimpleNamespace(
            drain=lambda on, by: self.done.append(("drain", on, by)),
            switches=SimpleNamespace(look=lambda: self.done.append("read")),
            is_drained=False,
        )
        self.supervisor.workers = SimpleNamespace(
            rolling_restart=lambda: self.done.append("restart"),
            links=list,
            some_serve=True,
            can_restart=True,
            restarting=True,
            restarts=1,
        )

    def hear(self, name: str, **args: Any) -> None:
        self.view.command_received(Command("c", name, "console/c1", HERE, args))

    def test_this_node_drains_and_restarts(self) -> None:
        """As its name and its start are named."""
        self.hear("drain", node="n1", started_at=7.5, on=True)
        self.hear("drain", node="n1", started_at=7.5, on=False)
        self.hear("restart", node="n1", started_at=7.5)
        drains = [("drain", on, "console/c1") for on in (True, False)]
        self.assertEqual(self.done, [*drains, "restart"])

    def test_what_is_meant_for_others_or_for_a_former_start_is_not_done(self) -> None:
        """A recording, played to a supervisor that has just been restarted, is such."""
        for args in (
            {"node": "n2", "started_at": 7.5, "on": True},
            {"node": "n1", "started_at": 6.5, "on": True},
            {"node": "n1", "on": True},
            {"on": True},
        ):
            self.hear("drain", **args)
            self.hear("restart", **args)
        self.hear("drain", node="n1", started_at=7.5, on=1)
        self.hear("drain", node="n1", started_at=7.5)
        self.hear("explode", node="n1", started_at=7.5)
        self.assertEqual(self.done, [])

    def test_what_is_switched_off_is_read_when_somebody_says_so(self) -> None:
        """Whatever is in the command: what counts is signed apart."""
        self.hear("switches", routes=["all"])
        self.assertEqual(self.done, ["read"])

    def test_a_drained_node_is_not_ready(self) -> None:
        """And says why."""
        self.assertTrue(self.view.ready()[0])
        self.supervisor.overrides.is_drained = True
        ready, why = self.view.ready()
        self.assertEqual((ready, why["drained"], why["state"]), (False, True, "serving"))

    def test_a_single_worker_is_not_replaced(self) -> None:
        """Nor are any while the gateway is being stopped; it says which."""
        self.assertEqual(self.view.restart(), {"restarting": True, "restarts": 1})
        self.supervisor.workers.can_restart = False
        for state, why in (("serving", "workers = 1"), ("draining", "being stopped")):
            self.supervisor.state = state
            with self.assertRaisesRegex(ValueError, why):
                self.view.restart()
        self.assertEqual(self.done, ["restart"])


class ManagementTokenTests(SupervisorViewCase):
    """What is kept of a token."""

    KEY = Key("management_token", "t1")

    def kept(self, bodies: dict[Key, bytes], rejected: tuple[Key, ...] = ()) -> Any:
        self.supervisor.loop.config = SimpleNamespace(
            bodies=bodies, rejected=dict.fromkeys(rejected)
        )
        return self.view.management_token("t1")

    def test_served_row_is_told(self) -> None:
        """Nothing of one of which nothing is known."""
        self.assertEqual(self.kept({self.KEY: b'{"revoked_at":1.0}'}), {"revoked_at": 1.0})
        self.assertIsNone(self.kept({}))

    def test_without_a_configuration_all_may_look_and_reload(self) -> None:
        """Nobody knows what is revoked, and there is nothing else to do."""
        self.supervisor.loop.position = None
        kept = self.kept({})
        self.assertEqual(
            (kept["scopes"], kept["revoked_at"]), (["gateway:read", "gateway:write"], None)
        )

    def test_rejected_row_revokes(self) -> None:
        """Whatever its earlier version says: it may be a mistake in revoking it."""
        good = b'{"revoked_at":null,"scopes":null,"tenants":null,"expires_at":null}'
        self.assertIsNotNone(self.kept({self.KEY: good}, (self.KEY,))["revoked_at"])


class ConfirmTests(SupervisorViewCase):
    """Confirming what this node holds, the database, or a sibling."""

    def setUp(self) -> None:
        super().setUp()
        self.commands: list[Command] = []

        def send(command: Command) -> Deferred[int]:
            self.commands.append(command)
            self.nodes = {}  # they act at once, and tell it
            return succeed(1)

        self.supervisor.bus.send_command = send
        self.source_says(NotHeldError("revision 7 is not held"))

    def source_says(self, error: Exception) -> None:
        self.supervisor.source.confirm = lambda *_: fail(error)

    def confirm(self) -> Deferred[dict[str, Any]]:
        confirmed = self.view.confirm(7, "ops")
        if self.looks:
            self.looks[0].callback(None)
        return confirmed

    def test_siblings_are_told_whoever_holds_it(self) -> None:
        """Each may hold it for itself, and say so only in a while."""
        self.supervisor.source.confirm = lambda *_: succeed(None)
        self.successResultOf(self.confirm())
        told = [(command.name, command.position) for command in self.commands]
        self.assertEqual(told, [("confirm", HERE)])

    def test_siblings_are_told_of_which_epoch_it_is(self) -> None:
        """What they hold, what this node holds, and that number where this node is."""
        held = Position("new", 7, "x")
        self.supervisor.loop.position = HERE._replace(revision=6)
        self.supervisor.loop.held_position = held._replace(revision=5)
        self.supervisor.source.confirm = lambda *_: succeed(None)
        self.nodes = {
            "n2": {"live": True, "held": 7, "held_position": held._asdict()},
            "n3": {"live": False, "held": 7, "held_position": HERE._asdict()},
            "n4": {"live": True, "held": None, "held_position": None},
        }
        self.successResultOf(self.confirm())
        told = [command.position for command in self.commands]
        self.assertEqual(told, [HERE._replace(token=""), held])

    def test_what_this_node_holds_is_not_asked_of_the_database(self) -> None:
        """It would not know it."""
        self.supervisor.loop.held_position = HERE
        self.supervisor.loop.confirm_here = lambda position: position == HERE
        self.assertEqual(self.successResultOf(self.confirm()), {"confirmed": 7, "held": None})
        self.assertEqual(len(self.commands), 1)

    def test_what_only_a_sibling_holds_is_confirmed(self) -> None:
        """Through any node; also while the database is away."""
        for error in (NotHeldError("no"), SourceError("away")):
            self.looks.clear()
            self.source_says(error)
            self.nodes = {"n2": {"live": True, "held": 7}, "n3": {"live": True, "held": None}}
            self.assertEqual(self.successResultOf(self.confirm())["told"], ["n2"])

    def test_what_nobody_holds_is_a_conflict(self) -> None:
        """Nor does a node that is gone, nor this one by what it has told others."""
        self.nodes = {
            "n1": {"live": True, "held": 7},
            "n2": {"live": False, "held": 7},
            "n3": {"live": True, "held": 8},
        }
        failure = self.failureResultOf(self.confirm(), NotHeldError)
        self.assertEqual(failure.getErrorMessage(), "revision 7 is not held")

    def test_without_redis_the_conflict_says_what_is_not_known(self) -> None:
        """Another node may hold it."""
        self.nodes = fail(ConnectionError("no Redis"))
        failure = self.failureResultOf(self.confirm(), NotHeldError)
        self.assertIn("whether other nodes hold it is not known", failure.getErrorMessage())

    def test_revision_of_a_file_is_nobody_elses(self) -> None:
        """Each host counts the contents of its own: the number says nothing to others."""
        self.supervisor.settings.source = "file"
        self.nodes = {"n2": {"live": True, "held": 7}}
        self.failureResultOf(self.confirm(), NotHeldError)
        self.assertEqual(self.commands, [])

    def test_source_that_is_away_is_no_conflict(self) -> None:
        """Whether it holds the revision nobody knows."""
        self.source_says(SourceError("away"))
        self.failureResultOf(self.confirm(), SourceError)


class TrustTests(parts.SupervisorCase):
    """Issuers that the settings believe, of which the configuration knows nothing good."""

    def warnings(self, *rows: Row) -> list[str]:
        self.supervise()
        if rows:
            self.source.answer(HERE, *rows)
            self.clock.advance(0)
        view = SupervisorView(
            supervisor=self.supervisor,
            clock=self.clock,
            dropped_log_lines=lambda: 0,
            trusted=("corp", "crop", "off", "shared"),
        )
        return [one["message"] for one in view.status()["warnings"]]

    def test_who_is_believed_in_vain_is_named(self) -> None:
        """With the reason: a slip of the pen, mostly."""

        def row(name: str, **fields: Any) -> Row:
            usual = {"issuer": f"https://{name}.example", "audiences": ["api"], **fields}
            return Row(Key("issuer", name), usual)

        keys = {"keys": {"keys": [rsa_jwk()]}}
        secret = Row(Key("secret", "s"), {"value": "file:/nowhere"})
        shared = row("shared", key_secret="s", algorithms=["HS256"])
        said = self.warnings(row("corp", **keys), row("off", **keys, enabled=False), secret, shared)
        reasons = [
            ("crop", "there is none"),
            ("off", "it is disabled"),
            ("shared", "its tokens are verified by a secret, which is opened in workers only"),
        ]
        names = "management.issuers names {}, whose tokens are no good there: {}"
        self.assertEqual(said, [names.format(*one) for one in reasons])

    def test_before_there_is_a_configuration_nothing_is_said(self) -> None:
        self.assertEqual(self.warnings(), [])


class RejectedTests(parts.SupervisorCase):
    """What is rejected, however much that is."""

    def setUp(self) -> None:
        self.supervise()
        good = {"id": "r002", "path": "/x", "respond": {"status": 200}}
        history = {Key("route", "r002"): [good]}
        self.source.history = lambda keys, up_to: succeed(history)  # type: ignore[method-assign]
        bad = [Row(Key("route", f"r{number:03}"), {"path": "no path"}) for number in range(150)]
        self.source.answer(HERE, Row(Key("service", "s"), {"id": "s", "balancing": "bad"}), *bad)
        self.clock.advance(0)
        self.view = SupervisorView(
            supervisor=self.supervisor, clock=self.clock, dropped_log_lines=lambda: 0
        )

    def test_status_names_the_first_and_counts_all(self) -> None:
        """By kind and in all."""
        status = json.loads(json.dumps(self.view.status()))
        named = [(one["kind"], one["id"]) for one in status["rejected"]]
        self.assertEqual(named, [("route", f"r{number:03}") for number in range(REJECTED_SHOWN)])
        self.assertEqual(status["rejected_total"], 151)
        self.assertEqual(status["rejected_by_kind"], {"route": 150, "service": 1})

    def test_the_others_follow_one_of_them(self) -> None:
        """Which needs not be rejected any more."""
        found = self.view.rejected(after=Key("route", "r148x"), limit=10)
        self.assertEqual([one["id"] for one in found], ["r149", "s"])
        self.assertEqual(found[0]["serving"], "nothing")

    def test_explain_says_of_a_rejected_route_why_it_is_not_there(self) -> None:
        """The worker that explains has never heard of it."""
        answer = {"asked": {"route": "r001", "chosen": False, "reason": "there is no such route"}}
        link = SimpleNamespace(
            state=WorkerState.SERVING, ask=lambda *_, **__: succeed(json.loads(json.dumps(answer)))
        )
        self.supervisor.workers.links = lambda: [link]  # type: ignore[method-assign, list-item]
        asked = self.successResultOf(self.view.explain({}))["asked"]
        self.assertTrue(asked["reason"].startswith("it is rejected: route r001: path: "), asked)
        answer["asked"]["route"] = "r002"
        asked = self.successResultOf(self.view.explain({}))["asked"]
        self.assertIn("route (a previous version serves; the newest is rejected", asked["reason"])
        answer["asked"]["route"] = "r999"
        self.assertEqual(self.successResultOf(self.view.explain({})), answer)

    def test_explain_asks_the_next_worker_where_one_does_not_answer(self) -> None:
        """One that hangs serves, as far as anybody knows, for two seconds more."""
        hanging, dead, other = (
            SimpleNamespace(
                state=WorkerState.SERVING, name=name, ask=lambda *_, _r=answer, **__: _r
            )
            for name, answer in (
                ("w0", fail(TimeoutError("no answer"))),
                ("w1", fail(ConnectionError("the worker is gone"))),
                ("w2", succeed({"route": "r"})),
            )
        )
        links = [hanging, dead, other]
        self.supervisor.workers.links = lambda: links  # type: ignore[method-assign, assignment, return-value]
        self.assertEqual(self.successResultOf(self.view.explain({})), {"route": "r"})
        links[:] = [
            SimpleNamespace(
                state=WorkerState.SERVING,
                name="w0",
                ask=lambda *_, **__: fail(TimeoutError("no answer")),
            )
        ]
        error = self.failureResultOf(self.view.explain({}), LookupError).value
        self.assertEqual(str(error), "worker w0: no answer")

    def test_one_is_asked_for(self) -> None:
        """With what is wrong; None if it is not rejected."""
        found = self.view.rejection(Key("service", "s"))
        assert found is not None
        self.assertEqual([one["code"] for one in found["problems"]], ["not_allowed"])
        self.assertIsNone(self.view.rejection(Key("service", "r001")))
