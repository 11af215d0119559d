"""The API as a whole: each operation at its place, and each failure a problem with its status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg2
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.access.problems import TITLES, ProblemError
from fengling_gateway.configsource.reading import SourceError
from fengling_gateway.console.api import _PROBLEMS, ConsoleApi, Endpoint, problem_of
from fengling_gateway.console.call import Answer, Call
from fengling_gateway.console.edits import (
    ExistsError,
    InvalidEditError,
    MissingError,
    NeededError,
    StaleError,
)
from fengling_gateway.console.forms import FormError
from fengling_gateway.console.mirror import UnsteadyError
from fengling_gateway.console.store import RefusedError, StoreBusyError, StoreError
from fengling_gateway.editing.changes import TakenError
from fengling_gateway.editing.retention import RetentionError
from fengling_gateway.editing.revisions import ForgottenError, NoRevisionError, Reach
from fengling_gateway.editing.rollback import ChangedSinceError, NothingError, Since
from fengling_gateway.editing.transaction import BusyError, ConflictError, UncertainError
from fengling_gateway.model.effective import Rejection
from fengling_gateway.model.entity import Key
from fengling_gateway.model.problems import Problem
from fengling_gateway.syncbus.errors import BusError
from tests.console.asking import Asked

ROUTE = Key("route", "r1")
SERVICE = Key("service", "s1")
WRONG = Problem("path", "missing", "it is missing")
SECRET = "postgresql://ada:hunter2@db/gateway"


class Refused(NamedTuple):
    """An error, and what a client is told of it."""

    error: Exception
    status: int
    code: str
    said: str


REFUSED = (
    Refused(ExistsError([ROUTE]), 409, "conflict", "there is route r1 already"),
    Refused(MissingError([ROUTE]), 404, "not_found", "there is no route r1"),
    Refused(NeededError([ROUTE]), 409, "conflict", "would be rejected: route r1"),
    Refused(StaleError([ROUTE]), 412, "precondition_failed", "has changed route r1"),
    Refused(ConflictError([ROUTE]), 409, "conflict", "nothing is written"),
    Refused(TakenError("route/r1 is git's"), 409, "conflict", "take_over=true"),
    Refused(UnsteadyError("it changes"), 503, "busy", "it changes"),
    Refused(BusyError("a lock"), 503, "busy", "others hold what is to be written: a lock"),
    Refused(UncertainError("reset"), 503, "uncertain", "look first: reset"),
    Refused(ChangedSinceError([Since(ROUTE, 9)]), 409, "conflict", "route r1 (in revision 9)"),
    Refused(NothingError("changed nothing"), 409, "conflict", "changed nothing"),
    Refused(NoRevisionError(9, 7), 404, "not_found", "9"),
    Refused(ForgottenError("revision 2", Reach(7, 5, 0)), 410, "forgotten", "revision 2"),
    Refused(RetentionError("too short"), 422, "invalid_parameter", "too short"),
    Refused(RefusedError("not {so}", "but {so}"), 422, "refused", "not {so}"),
    Refused(StoreBusyError("too many"), 503, "busy", "too many"),
    Refused(StoreError("it broke"), 503, "source_unavailable", "it broke"),
    Refused(SourceError("not read"), 503, "source_unavailable", "not read"),
    Refused(BusError("gone"), 503, "bus_unavailable", "gone"),
    Refused(ProblemError("forbidden", "not yours"), 403, "forbidden", "not yours"),
)


class ApiTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.refusals: Counter[str] = Counter()
        self.waiting: Deferred[Any] = Deferred()
        self.calls: list[Call] = []

    def ask(self, handle: Callable[[Call], Any], method: str = "GET") -> Asked:
        api = ConsoleApi([Endpoint("GET", "/thing", handle)], refusals=self.refusals)
        return Asked(method, "/api/console/thing").of(api.app.resource())

    def failing(self, error: Exception, method: str = "GET") -> Asked:
        def fail(_: Call) -> Answer:
            raise error

        return self.ask(fail, method)

    async def wait(self, _: Call) -> Any:
        return Answer(await self.waiting)

    def test_answer_is_written(self) -> None:
        """With its status and its headers; also of one that was waited for."""
        asked = self.ask(lambda _: Answer({"a": 1}, status=201, headers={"ETag": '"7"'}))
        self.assertEqual((asked.status, asked.json, asked.header("etag")), (201, {"a": 1}, '"7"'))
        asked = self.ask(self.wait)
        self.assertFalse(asked.is_answered)
        self.waiting.callback({"b": 2})
        self.assertEqual((asked.status, asked.json), (200, {"b": 2}))
        self.assertEqual(self.refusals, {})

    def test_head_has_no_body(self) -> None:
        """But says how long it would be, and what kind; of a problem, too."""
        for asked in (
            self.ask(lambda _: Answer({"a": 1}), "HEAD"),
            self.failing(MissingError([ROUTE]), "HEAD"),
        ):
            self.assertTrue(asked.is_answered)
            self.assertEqual(asked.content, b"")
            self.assertGreater(int(asked.header("content-length") or 0), 5)
        self.assertEqual(asked.header("content-type"), "application/problem+json")

    def test_every_failure_has_its_status(self) -> None:
        """And says in words what was the matter; each is counted."""
        for one in REFUSED:
            asked = self.failing(one.error)
            self.assertEqual((asked.status, asked.json["code"]), (one.status, one.code), one)
            self.assertEqual(asked.json["type"], f"urn:fengling:error:{one.code}")
            self.assertIn(one.said, asked.json["detail"])
            self.assertEqual(asked.json["request_id"], asked.header("x-request-id"))
            self.assertEqual(asked.header("content-type"), "application/problem+json")
        self.assertEqual(self.refusals, Counter(one.code for one in REFUSED))

    def test_no_kind_of_failure_is_hidden_by_another(self) -> None:
        """The first that fits counts, so that the more special one has to be before."""
        tested = {type(one.error) for one in REFUSED}
        for number, (kind, code, _) in enumerate(_PROBLEMS):
            self.assertIn(kind, tested)
            self.assertIn(code, TITLES)
            before = [one for one, *_ in _PROBLEMS[:number]]
            self.assertFalse(issubclass(kind, tuple(before)), kind)

    def test_entities_that_are_in_the_way_are_named(self) -> None:
        """Each by itself."""
        for kind in (ExistsError, MissingError, NeededError, StaleError, ConflictError):
            asked = self.failing(kind([ROUTE, SERVICE]))
            self.assertEqual(asked.json["entities"], ["route r1", "service s1"])

    def test_hint_of_the_database_is_told(self) -> None:
        self.assertEqual(self.failing(RefusedError("no", "ask")).json["hint"], "ask")
        self.assertNotIn("hint", self.failing(RefusedError("no", "")).json)

    def test_everything_that_is_wrong_is_told(self) -> None:
        """With its entity and its path; the first of it in words."""
        other = Problem("hosts[0]", "malformed", "no host")
        for error in (
            FormError({ROUTE: [WRONG, other]}),
            InvalidEditError({ROUTE: Rejection((WRONG, other), "nothing")}),
        ):
            asked = self.failing(error)
            self.assertEqual((asked.status, asked.json["code"]), (422, "invalid"))
            self.assertEqual(asked.json["detail"], "route r1: path: it is missing (and 1 more)")
            told = [(one["entity"], one["path"], one["code"]) for one in asked.json["problems"]]
            self.assertEqual(
                told, [("route r1", "path", "missing"), ("route r1", "hosts[0]", "malformed")]
            )

    def test_mistake_of_ours_tells_nothing_of_itself(self) -> None:
        """To the client; the log has it, with the request's id."""
        for error in (KeyError(SECRET), psycopg2.InterfaceError(SECRET), RuntimeError(SECRET)):
            asked = self.failing(error)
            self.assertEqual((asked.status, asked.json["code"]), (500, "internal_error"))
            self.assertNotIn("hunter2", asked.content.decode())
            [logged] = self.flushLoggedErrors(type(error))
            self.assertIs(logged.value, error)
        self.assertEqual(self.refusals, {"internal_error": 3})

    def test_failure_while_it_is_waited_for_is_a_problem(self) -> None:
        """As when the database goes in the middle."""
        asked = self.ask(self.wait)
        self.waiting.errback(StoreError("the connection to the database broke"))
        self.assertEqual((asked.status, asked.json["code"]), (503, "source_unavailable"))

    def test_answer_that_can_not_be_written_is_a_mistake_of_ours(self) -> None:
        """Not an end without an answer."""
        circle: list[Any] = []
        circle.append(circle)
        asked = self.ask(lambda _: Answer(circle))
        self.assertEqual((asked.status, asked.json["code"]), (500, "internal_error"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_client_that_hangs_up_does_not_stop_what_is_done(self) -> None:
        """A change is written to its end; there is nobody to tell it, whatever becomes of it."""
        done: list[str] = []

        async def change(_: Call) -> Answer:
            done.append(await self.waiting)
            return Answer({})

        asked = self.ask(change)
        asked.hang_up()
        self.assertEqual(done, [])
        self.waiting.callback("written")
        self.assertEqual(done, ["written"])
        self.waiting = Deferred()
        self.ask(change).hang_up()
        self.waiting.errback(StoreError("it broke"))
        self.assertEqual(self.refusals, {"source_unavailable": 1})

    def test_path_that_leads_nowhere_is_not_found(self) -> None:
        """Also one that is nearly right: nobody is sent elsewhere."""
        api = ConsoleApi(
            [Endpoint("GET", "/thing/<int:number>", lambda _: Answer({}))], refusals=self.refusals
        )
        nearly = ("thing/", "thing/x", "thing/7/", "/thing/7", "thing//7")
        for path in ("/", "/api", *(f"/api/console/{one}" for one in nearly)):
            asked = Asked("GET", path).of(api.app.resource())
            self.assertEqual((path, asked.status, asked.json["code"]), (path, 404, "not_found"))
            self.assertIsNone(asked.header("location"))
        self.assertEqual(self.refusals, {"not_found": 7})

    def test_method_that_is_not_there_is_told_from_those_that_are(self) -> None:
        api = ConsoleApi(
            [Endpoint(name, "/thing", lambda _: Answer({})) for name in ("GET", "POST")],
            refusals=self.refusals,
        )
        asked = Asked("DELETE", "/api/console/thing").of(api.app.resource())
        self.assertEqual((asked.status, asked.json["code"]), (405, "method_not_allowed"))
        self.assertEqual(asked.header("allow"), "GET, HEAD, POST")

    def test_number_in_a_path_may_have_any_length(self) -> None:
        """Python reads no more than some thousand digits."""
        api = ConsoleApi(
            [Endpoint("GET", "/thing/<int:number>", lambda _: Answer({}))], refusals=self.refusals
        )
        for digits in (1, 19, 5000):
            asked = Asked("GET", f"/api/console/thing/{'9' * digits}").of(api.app.resource())
            self.assertIn(asked.status, (200, 404), digits)
            self.assertTrue(asked.is_answered)

    def test_path_may_be_below_the_root(self) -> None:
        """As those are that probes ask for."""
        api = ConsoleApi([Endpoint("GET", "//livez", lambda _: Answer({}))], refusals=self.refusals)
        self.assertEqual(Asked("GET", "/livez").of(api.app.resource()).status, 200)
        self.assertEqual(Asked("GET", "/api/console/livez").of(api.app.resource()).status, 404)

    def test_what_nobody_knows_is_no_problem_of_the_client(self) -> None:
        self.assertIsNone(problem_of(ValueError("x")))
