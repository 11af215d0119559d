"""
The console's API: its operations behind one app, and every failure as a problem.

Who may ask at all is decided by the gate in front.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from werkzeug.exceptions import HTTPException

from fengling_gateway.access.problems import ProblemError, request_id, write_problem
from fengling_gateway.configsource.reading import SourceError
from fengling_gateway.console.call import Answer, Call, problems_of
from fengling_gateway.console.edits import (
    ExistsError,
    InvalidEditError,
    MissingError,
    NeededError,
    StaleError,
)
from fengling_gateway.console.entity_api import KINDS
from fengling_gateway.console.form_problems import relative
from fengling_gateway.console.forms import FormError
from fengling_gateway.console.mirror import UnsteadyError
from fengling_gateway.console.store import RefusedError, StoreBusyError, StoreError
from fengling_gateway.editing.changes import TakenError
from fengling_gateway.editing.planning import InvalidError
from fengling_gateway.editing.retention import RetentionError
from fengling_gateway.editing.revisions import ForgottenError, NoRevisionError
from fengling_gateway.editing.rollback import ChangedSinceError, NothingError
from fengling_gateway.editing.transaction import BusyError, ConflictError, UncertainError
from fengling_gateway.http.problem import CONTENT_TYPE
from fengling_gateway.model.entity import Key
from fengling_gateway.model.problems import Problem
from fengling_gateway.syncbus.errors import BusError

KIND: Final = f"<any({','.join(KINDS)}):kind>"
"""The part of a path that is the list of a kind."""

ROOT: Final = "/api/console"

_log = Logger()


class Endpoint(NamedTuple):
    """
    An operation, and where it is.

    Attributes:
        path: below `ROOT`, or from the root where it begins with two slashes.
        handle: returns an `Answer`, or what Twisted takes in place of one.
    """

    method: str
    path: str
    handle: Callable[[Call], Awaitable[Any] | Any]


class ConsoleApi:
    """
    The klein app over all endpoints.

    Args:
        refusals: counted here by problem code.
    """

    def __init__(self, endpoints: Iterable[Endpoint], *, refusals: Counter[str]) -> None:
        self._refusals = refusals
        self.app = Klein()
        for one in endpoints:
            path = one.path[1:] if one.path.startswith("//") else ROOT + one.path
            self.app.route(path, methods=[one.method], branch=False)(self._served_by(one))
        self.app.handle_errors(HTTPException)(self._not_routed)

    def _served_by(self, endpoint: Endpoint) -> Callable[..., Any]:
        async def answer(request: Any, path: dict[str, str]) -> Any:
            try:
                answer = endpoint.handle(Call(request, path))
                if isinstance(answer, Awaitable):
                    answer = await answer
                return answer.written_to(request) if isinstance(answer, Answer) else answer
            except Exception as error:
                return self._failed(request, error)

        def serve(request: Any, **path: str) -> Deferred[Any]:
            # A client that hangs up has what is waited for cancelled. What is being written is
            # written all the same, and the record of it has to say so.
            waited_for: Deferred[Any] = Deferred()
            running = Deferred.fromCoroutine(answer(request, path))
            running.addBoth(lambda said: None if waited_for.called else waited_for.callback(said))
            return waited_for

        serve.__name__ = f"{endpoint.method}_{endpoint.path}"
        return serve

    def _not_routed(self, request: Any, failure: Any) -> bytes:
        """Say what klein and werkzeug find: no such path, or not this method."""
        error: Any = failure.value
        if error.code != 405:
            return self._answer(request, ProblemError("not_found"))
        if allowed := getattr(error, "valid_methods", None):
            request.setHeader(b"allow", ", ".join(sorted(allowed)).encode())
        return self._answer(request, ProblemError("method_not_allowed"))

    def _failed(self, request: Any, error: Exception) -> bytes:
        problem = error if isinstance(error, ProblemError) else problem_of(error)
        if problem is None:
            _log.failure(
                "console: {path} failed (request {request_id})",
                path=request.path.decode(errors="replace"),
                request_id=request_id(request),
                log_id="console.request_failed",
            )
            problem = ProblemError("internal_error")
        elif problem.status >= 500:
            _log.warn(
                "console: {path}: {code}: {detail} (request {request_id})",
                log_id="console.failed",
                path=request.path.decode(errors="replace"),
                code=problem.code,
                detail=problem.detail,
                request_id=request_id(request),
            )
        return self._answer(request, problem)

    def _answer(self, request: Any, problem: ProblemError) -> bytes:
        self._refusals[problem.code] += 1
        body = write_problem(request, problem)
        request.setHeader(b"content-type", CONTENT_TYPE)
        request.setHeader(b"content-length", b"%d" % len(body))
        return b"" if request.method == b"HEAD" else body


def problem_of(error: Exception) -> ProblemError | None:
    """Return what an error is to the client; None for a fault of ours."""
    if isinstance(error, FormError):
        return _invalid(error.problems)
    if isinstance(error, (InvalidEditError, InvalidError)):
        found = error.rejected if isinstance(error, InvalidEditError) else error.judged.rejected
        return _invalid({key: relative(key, why.problems) for key, why in found.items()})
    for kind, code, detail in _PROBLEMS:
        if isinstance(error, kind):
            members: dict[str, Any] = {}
            if isinstance(error, RefusedError) and error.hint:
                members["hint"] = error.hint
            if isinstance(error, (MissingError, NeededError, StaleError, ConflictError)):
                members["entities"] = [str(key) for key in error.keys]
            return ProblemError(code, detail.format(error), **members)
    return None


def _invalid(found: Mapping[Key, Sequence[Problem]]) -> ProblemError:
    problems = problems_of(found)
    detail = ": ".join(filter(None, (problems[0][n] for n in ("entity", "path", "message"))))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return ProblemError("invalid", detail + more, problems=problems)


_PROBLEMS: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (ExistsError, "conflict", "there is {} already"),
    (MissingError, "not_found", "there is no {}"),
    (NeededError, "conflict", "others refer to it and would be rejected: {}"),
    (StaleError, "precondition_failed", "somebody has changed {} since you have read it"),
    (ConflictError, "conflict", "somebody has just changed {}; nothing is written: read it again"),
    (TakenError, "conflict", "{}; take_over=true changes it all the same"),
    (UnsteadyError, "busy", "{}"),
    (BusyError, "busy", "others hold what is to be written: {}"),
    (UncertainError, "uncertain", "the connection broke at the very end, so look first: {}"),
    (ChangedSinceError, "conflict", "{}"),
    (NothingError, "conflict", "{}"),
    (NoRevisionError, "not_found", "{}"),
    (ForgottenError, "forgotten", "{}"),
    (RetentionError, "invalid_parameter", "{}"),
    (RefusedError, "refused", "{}"),
    (StoreBusyError, "busy", "{}"),
    (StoreError, "source_unavailable", "{}"),
    (SourceError, "source_unavailable", "{}"),
    (BusError, "bus_unavailable", "{}"),
)
"""By kind of error, the first that fits: the problem's code, and what to say around it."""
