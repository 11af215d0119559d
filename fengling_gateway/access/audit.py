"""
Who changed what, and who tried: a line in the log for each, and the newest ones to look at.

Changes and refusals are kept apart, so that nobody who is refused often enough
pushes a change out. The same refusal again is counted with the first one, and
lines about refusals are limited: a flood of them is one number, not a full disk.
Configuration itself is changed in the database, whose log of revisions says the
same of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from twisted.logger import Logger

from fengling_gateway.auth.operators import Operator

KEPT: Final = 1000
"""Changes, and refusals: as much as somebody reads, and half a megabyte."""

SAME_SECONDS: Final = 60.0
"""For how long the same refusal is counted with the first one."""

LINES_PER_SECOND: Final = 1.0
LINES_AT_ONCE: Final = 10.0

_SAME_AMONG: Final = 64
"""Among how many of the newest refusals the same one is looked for."""

_MAX_TEXT: Final = 200


@dataclass(slots=True)
class Record:
    """
    One thing that was asked for.

    Attributes:
        number: increases by one; what an answer continues after.
        at: seconds since the epoch; of refusals that are counted together, the first.
        outcome: ``done``, ``failed``, ``uncertain``, ``under way``, or why it was refused.
        count: how many there have been up to ``last_at``.
    """

    number: int
    at: float
    event: str
    what: str
    outcome: str
    address: str
    request_id: str
    who: dict[str, Any] | None = None
    before: Any = None
    after: Any = None
    count: int = 1
    last_at: float = 0.0

    def shown(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which request: of whom as far as that is known, from where, for what."""

    what: str
    address: str
    request_id: str
    operator: Operator | None = None


class AuditTrail:
    """
    Notes what is asked for.

    Args:
        clock: seconds that never go back, for limits.
        wall_clock: seconds since the epoch, for people.
        api: whose it is, for the log.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        kept: int = KEPT,
        api: str = "management",
    ) -> None:
        self._api = api
        self._clock = clock
        self._wall_clock = wall_clock
        self._numbers = 0
        self._changes: deque[Record] = deque(maxlen=kept)
        self._refusals: deque[Record] = deque(maxlen=kept)
        self._lines = LINES_AT_ONCE
        self._lines_at = clock()
        self._unsaid = 0

    def began(self, asked: Asked, before: Any) -> Record:
        """Note a change that somebody may make, and what is so before it."""
        record = self._record("change", asked, "under way")
        record.before = before
        self._changes.append(record)
        return record

    def ended(self, record: Record, outcome: str, after: Any) -> None:
        """Note how a change ended, and say so in the log."""
        record.outcome, record.after = outcome, after
        record.last_at = self._wall_clock()
        self._log.info(
            "{api}: {what} by {subject} from {address}: {outcome} (request {request_id})",
            log_id="audit.change",
            api=self._api,
            **_fields(record),
            before=record.before,
            after=record.after,
        )

    def refused(self, asked: Asked, code: str) -> None:
        """Note an attempt that was refused; ``code`` says why."""
        wall = self._wall_clock()
        record = self._same(asked, code, wall)
        if record is not None:
            record.count += 1
            record.last_at = wall
        else:
            record = self._record("refusal", asked, code)
            self._refusals.append(record)
        if not self._may_say():
            self._unsaid += 1
            return
        unsaid, self._unsaid = self._unsaid, 0
        more = f"; {unsaid} more were refused since the last line" if unsaid else ""
        self._log.warn(
            "{api}: {what} by {subject} from {address} is refused: {outcome} "
            "(request {request_id}){more}",
            log_id="audit.refused",
            api=self._api,
            **{**_fields(record), "request_id": asked.request_id},
            more=more,
        )

    def page(self, *, after: int | None, limit: int) -> tuple[list[dict[str, Any]], int | None]:
        """Return the newest records before a number, and what to continue after."""
        both = sorted((*self._changes, *self._refusals), key=lambda one: -one.number)
        older = [one for one in both if after is None or one.number < after]
        page = older[:limit]
        following = page[-1].number if len(older) > limit else None
        return [one.shown() for one in page], following

    def _record(self, event: str, asked: Asked, outcome: str) -> Record:
        self._numbers += 1
        now = self._wall_clock()
        return Record(
            number=self._numbers,
            at=now,
            last_at=now,
            event=event,
            what=asked.what[:_MAX_TEXT],
            outcome=outcome,
            address=asked.address,
            request_id=asked.request_id,
            who=None if asked.operator is None else _who(asked.operator),
        )

    def _same(self, asked: Asked, code: str, now: float) -> Record | None:
        who = None if asked.operator is None else _who(asked.operator)
        for back in range(1, min(_SAME_AMONG, len(self._refusals)) + 1):
            one = self._refusals[-back]
            same = one.outcome == code and one.address == asked.address and one.who == who
            if same and (who is None or one.what == asked.what[:_MAX_TEXT]):
                return one if now - one.at < SAME_SECONDS else None
        return None

    def _may_say(self) -> bool:
        now = self._clock()
        gained = (now - self._lines_at) * LINES_PER_SECOND
        self._lines = min(LINES_AT_ONCE, self._lines + gained)
        self._lines_at = now
        if self._lines < 1:
            return False
        self._lines -= 1
        return True


def _who(operator: Operator) -> dict[str, Any]:
    return {
        "subject": operator.subject,
        "role": operator.role,
        "source": operator.source,
        "token_id": operator.token_id,
        "name": operator.name,
        "tenants": None if operator.tenants is None else sorted(operator.tenants),
    }


def _fields(record: Record) -> dict[str, Any]:
    who = record.who or {"subject": "somebody"}
    return {
        "what": record.what,
        "subject": who["subject"],
        "who": record.who,
        "address": record.address,
        "outcome": record.outcome,
        "request_id": record.request_id,
    }
