"""Going back, done by a console: it plans, and writes only what was shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fengling_gateway.cli.api import Answer, AwayError, ConsoleApi, RefusedError, problem_line
from fengling_gateway.cli.errors import CommandError
from fengling_gateway.cli.going_back import HAS_ERRORS, UNDO_THOSE, Back, PlannedBack
from fengling_gateway.cli.output import print_table
from fengling_gateway.cli.plans import Line, ShownPlan
from fengling_gateway.editing import transaction
from fengling_gateway.editing.changes import FieldChange
from fengling_gateway.editing.returning import Left
from fengling_gateway.editing.rollback import Dropped
from fengling_gateway.editing.stored import DURATIONS, INSTANTS
from fengling_gateway.model.entity import Key
from fengling_gateway.model.problems import Report
from fengling_gateway.model.times import instant, parse_duration

_PATIENCE_SECONDS: Final = 60.0
"""For an answer: everything is judged before."""


class ConsoleRollback:
    """A `fengling_gateway.cli.going_back.GoingBack` over the API of a console."""

    def __init__(self, api: ConsoleApi, back: Back) -> None:
        self._api = api
        self._body: dict[str, Any] = {"of": back.of} if back.to is None else {"to": back.to}
        self._seen = ""

    def plan(self) -> PlannedBack:
        told = self._asked(self._body, dry_run="true").document
        try:
            self._seen = told["plan"]
            return _planned(told)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CommandError(
                f"{self._api.url} answers, but not as a console of this version does"
            ) from error

    def write(self, signature: transaction.Signature) -> transaction.Committed:
        query = {"comment": signature.comment} if signature.comment else {}
        if signature.force:
            query["force"] = "true"
        try:
            told = self._asked({**self._body, "plan": self._seen}, **query).document
        except AwayError as error:
            if not error.is_sent:
                raise
            raise CommandError(
                f"{self._api.url} was told to make the changes, and does not answer "
                f"({error.reason}): they are made or not, which `fenglingctl history` tells"
            ) from error
        return transaction.Committed(told.get("revision"), told.get("held"))

    def _asked(self, body: dict[str, Any], **query: Any) -> Answer:
        try:
            return self._api.post("rollback", body, query=query, timeout=_PATIENCE_SECONDS)
        except RefusedError as error:
            if error.problems:
                rows = [("rejected", *_where_and_why(one)) for one in error.problems]
                print_table(("", "WHAT", "WHY"), rows, empty="")
                raise CommandError(HAS_ERRORS) from error
            if error.status in (409, 412):
                more = f". {UNDO_THOSE}" if "changed again since" in error.detail else ""
                raise CommandError(f"nothing is changed: {error.detail}{more}") from error
            raise


def _where_and_why(problem: Mapping[str, Any]) -> tuple[str, str]:
    where = problem_line({**problem, "message": ""})
    return where, str(problem.get("message", ""))


def _planned(told: Mapping[str, Any]) -> PlannedBack:
    plan = ShownPlan([_line(one) for one in told["changes"]], told["warnings"], told["public"])
    left = [Left(one["code"], _key(one["entity"]), one["message"]) for one in told["left"]]
    return PlannedBack(told["what"], plan, left, [Dropped(**one) for one in told["dropped"]])


def _line(change: Mapping[str, Any]) -> Line:
    fields = [
        FieldChange(name, *(_as_number(name, side) for side in sides))
        for name, sides in change["fields"].items()
    ]
    return Line(change["action"], Key(change["kind"], change["id"]), fields)


def _as_number(name: str, value: Any) -> Any:
    """Return durations and times as plans have them; as they are where they are none."""
    if type(value) is str and name in DURATIONS:
        seconds = parse_duration(value)
        return value if seconds is None else seconds
    if type(value) is str and name in INSTANTS:
        report = Report()
        at = instant(value, report)
        return value if report.found else at
    return value


def _key(text: str) -> Key:
    kind, _, entity_id = text.partition(" ")
    return Key(kind, entity_id)
