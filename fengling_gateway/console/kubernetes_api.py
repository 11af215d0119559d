"""The API's operations on services of a Kubernetes cluster: what there is, and deciding of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from fengling_gateway.access.parameters import is_line, text_up_to
from fengling_gateway.access.problems import ProblemError
from fengling_gateway.console.asked import ASKED, checked, object_name
from fengling_gateway.console.call import Answer, Call
from fengling_gateway.console.store import Store
from fengling_gateway.kubernetes.discovered import (
    APPROVED,
    FILTERS,
    REJECTED,
    NotDiscoveredError,
    OtherOfferError,
    OtherRemovalError,
    Overview,
    Row,
    Sought,
    confirm_removal,
    decide,
    forget,
    get_service,
    list_services,
    overview,
)
from fengling_gateway.kubernetes.removal import WAITING, became_of
from fengling_gateway.model.management_tokens import WRITE

T = TypeVar("T")

SILENT_SECONDS: Final = 10.0
"""Since the last heartbeat: another console would have taken over within five."""

MAX_WORDS: Final = 10

_SHOWN: Final = "annotations"
"""Of a body: what whoever approves has seen."""

STEP_SECONDS: Final = 0.2
"""How often to look whether there is a result, while somebody waits for it."""


class Discovery(Protocol):
    """This console's part in watching the cluster; `fengling_gateway.kubernetes` has it."""

    @property
    def is_mine(self) -> bool:
        """Whether this console watches now."""

    @property
    def problem(self) -> str | None:
        """Why this console can't watch, or can't write what follows; None if it can."""

    def look(self) -> None:
        """There is a decision: read it now, and not with the next heartbeat."""


class KubernetesApi:
    """
    Args:
        discovery: None where this console has nothing to do with a cluster: it shows what others
            have found, and takes decisions for them.
    """

    def __init__(self, *, store: Store, clock: IReactorTime, discovery: Discovery | None) -> None:
        self._store = store
        self._clock = clock
        self._discovery = discovery

    async def status(self, call: Call) -> Answer:
        """Return who watches, how that goes, and how much there is to decide."""
        call.access.require_all_tenants()
        call.only()
        return Answer(self._shown(await self._store.run(overview)))

    async def confirm(self, call: Call) -> Answer:
        """Let routes go that the cluster has no more, and that are kept because they are so many."""
        call.access.require(WRITE)
        call.access.require_all_tenants()
        call.only("wait", "timeout")
        waits = call.one_of("wait", "none", ("none", "result")) == "result"
        seconds = call.timeout()
        removal = call.fields({"removal": _is_removal}).get("removal")
        if removal is None:
            raise ProblemError("invalid_parameter", "removal is required: the id that was shown")
        by = call.access.operator.subject
        _require_watched(await self._store.run(overview))
        await self._recorded(
            call,
            f"confirm removal {removal} of Kubernetes",
            lambda: self._store.run(confirm_removal, removal, by=by),
        )
        until = self._clock.seconds() + seconds
        while True:
            found = await self._store.run(overview)
            state = became_of(removal, found.status)
            if not waits or state != WAITING or self._clock.seconds() >= until:
                return Answer({**self._shown(found), "confirmed": {"id": removal, "state": state}})
            await deferLater(self._clock, STEP_SECONDS)

    def _shown(self, found: Overview) -> Row:
        mine = self._discovery
        leader = {
            **found.leader,
            "is_mine": mine is not None and mine.is_mine,
            "problem": None if mine is None else mine.problem,
        }
        return {
            "enabled": mine is not None or found.leader["term"] > 0,
            "leader": leader,
            "status": found.status,
            "counts": found.counts,
        }

    async def services(self, call: Call) -> Answer:
        """Return a page of the services that ask to be routed to."""
        call.access.require_all_tenants()
        call.only("state", "namespace", "q", "limit", "after")
        sought = Sought(
            state=call.one_of("state", "", FILTERS),
            namespace=call.text("namespace", most=253),
            words=_words(call),
        )
        found = await self._store.run(list_services, sought, after=_after(call), limit=call.limit())
        following = None if found.after is None else "/".join(found.after)
        return Answer({"items": found.rows, "next": following, "total": found.total})

    async def service(self, call: Call) -> Answer:
        call.access.require_all_tenants()
        call.only()
        return Answer(await _there(self._store.run(get_service, *_named(call))))

    async def approve(self, call: Call) -> Answer:
        """Let a service be routed to."""
        return await self._decide(call, APPROVED, "approve", (*ASKED, _SHOWN))

    async def reject(self, call: Call) -> Answer:
        """Let it not be routed to, and not be asked about any more."""
        return await self._decide(call, REJECTED, "reject", ())

    async def forget(self, call: Call) -> Answer:
        """Take a decision back."""
        call.access.require(WRITE)
        call.access.require_all_tenants()
        call.only()
        namespace, name = _named(call)
        by = call.access.operator.subject
        row = await self._recorded(
            call,
            f"forget {namespace}/{name} of Kubernetes",
            lambda: self._store.run(forget, namespace, name, by=by),
        )
        return Answer(None, status=204) if row is None else Answer(row)

    async def _decide(self, call: Call, state: str, word: str, may_ask: Iterable[str]) -> Answer:
        call.access.require(WRITE)
        call.access.require_all_tenants()
        call.only("wait", "timeout")
        waits = call.one_of("wait", "none", ("none", "result")) == "result"
        seconds = call.timeout()
        namespace, name = _named(call)
        comment, asked, annotations = _wanted(call, may_ask)
        by = call.access.operator.subject
        row = await self._recorded(
            call,
            f"{word} {namespace}/{name} of Kubernetes",
            lambda: self._store.run(
                decide,
                namespace,
                name,
                state,
                asked=asked,
                comment=comment,
                by=by,
                annotations=annotations,
            ),
        )
        return Answer(await self._with_result(row, seconds) if waits else row)

    async def _recorded(self, call: Call, what: str, change: Callable[[], Deferred[T]]) -> T:
        """Decide, with a record of it in the audit trail, and have it looked at."""
        record = call.access.began(what, None)
        outcome = "failed"
        try:
            made = await _there(change())
            outcome = "done"
        finally:
            call.access.ended(record, outcome, None)
        if self._discovery is not None and self._discovery.is_mine:
            self._discovery.look()
        return made

    async def _with_result(self, row: Row, seconds: float) -> Row:
        """Return a row when there is a result of its decision, or as it is when the time is over."""
        until = self._clock.seconds() + seconds
        found = row
        while not _has_result(found, row["decision"]) and self._clock.seconds() < until:
            await deferLater(self._clock, STEP_SECONDS)
            try:
                found = await self._store.run(get_service, row["namespace"], row["name"])
            except NotDiscoveredError:  # somebody has taken it back meanwhile
                break
        return found


def _has_result(row: Row, decision: int) -> bool:
    result = row["result"]
    return result is not None and int(result.get("decision") or 0) >= decision


async def _there(asked: Deferred[T]) -> T:
    try:
        return await asked
    except NotDiscoveredError as error:
        raise ProblemError("not_found", f"no service {error} asks to be routed to") from None
    except OtherOfferError as error:
        raise ProblemError(
            "conflict", f"{error} asks for something else by now than what was shown: look again"
        ) from None
    except OtherRemovalError as error:
        raise ProblemError(
            "conflict", f"{error} is not what waits for a confirmation now: look again"
        ) from None


def _require_watched(found: Overview) -> None:
    age = found.leader["heartbeat_age_s"]
    if age is None or age > SILENT_SECONDS:
        raise ProblemError(
            "conflict", "nobody watches the cluster now, and whoever does next asks anew"
        )


def _named(call: Call) -> tuple[str, str]:
    name = object_name(f"{call.path['namespace']}/{call.path['name']}")
    if name is None:
        raise ProblemError("not_found")
    return name


def _after(call: Call) -> tuple[str, str] | None:
    text = call.text("after", most=600)
    after = object_name(text)
    if text and after is None:
        raise ProblemError("invalid_parameter", "after must be like shop/orders")
    return after


def _words(call: Call) -> tuple[str, ...]:
    words = tuple(call.text("q").split())
    if len(words) > MAX_WORDS:
        raise ProblemError("invalid_parameter", f"q must be at most {MAX_WORDS} words")
    return words


def _wanted(
    call: Call, may_ask: Iterable[str]
) -> tuple[str | None, dict[str, Any], dict[str, str] | None]:
    """Return what the body says: the comment, what is asked for, and the annotations that were shown."""
    may_be = {"comment": _is_comment, **dict.fromkeys(may_ask, _is_any)}
    if _SHOWN in may_be:
        may_be[_SHOWN] = _are_annotations
    fields = call.fields(may_be)
    comment = fields.pop("comment", None) or None
    annotations = fields.pop(_SHOWN, None)
    return comment, checked(fields), annotations


def _are_annotations(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
    )


def _is_removal(value: Any) -> bool:
    return text_up_to(100)(value) and is_line(value)


def _is_comment(value: Any) -> bool:
    return value is None or (text_up_to(1000)(value) and is_line(value))


def _is_any(_: Any) -> bool:
    return True
