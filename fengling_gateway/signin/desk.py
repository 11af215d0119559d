"""
Who comes to sign in: let in or sent away, and in either case on record.

What all ways of signing in have in common.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.access.audit import Asked, AuditTrail
from fengling_gateway.access.granted import asked_by
from fengling_gateway.access.problems import request_id
from fengling_gateway.access.throttle import SignInThrottle
from fengling_gateway.access.verifiers import Kept
from fengling_gateway.auth.operators import Operator
from fengling_gateway.signin.provider import Web
from fengling_gateway.signin.sessions import Sessions
from fengling_gateway.signin.watch import Run


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What signing in needs of the console.

    Attributes:
        run: calls a function with a connection to the database.
        kept: what is known of a token by its id.
        web: asks the provider.
        clock: for deadlines and limits.
        wall_clock: seconds since the epoch.
        trail: is told of who signs in, and who may not.
        refusals: counted there: ``sign_in_…`` by what was wrong.
    """

    run: Run
    kept: Kept
    web: Web
    clock: IReactorTime
    wall_clock: Callable[[], float]
    trail: AuditTrail
    refusals: Counter[str]


class Desk:
    """
    Begins sessions for those who may, and counts those who may not.

    Attributes:
        around: the console.
        sessions: which it begins.
    """

    _log = Logger()

    def __init__(self, around: Surroundings, sessions: Sessions) -> None:
        self.around = around
        self.sessions = sessions

    def now(self) -> float:
        """Return the time, in seconds since the epoch."""
        return self.around.wall_clock()

    def welcome(self, request: Any, person: Operator, *, how: str, via: str = "") -> Operator:
        """
        Begin a session, and return whom it speaks for.

        Raises:
            ValueError: there is more to be said of them than a cookie holds.
        """
        now = self.now()
        operator = self.sessions.begin(request, person, how=how, now=now, via=via)
        asked = asked_by(request, operator)
        named = Asked(f"sign in by {how}", asked.address, asked.request_id, operator)
        self.around.trail.ended(self.around.trail.began(named, None), "done", None)
        return operator

    def seconds(self) -> float:
        """Return a time for limits, which never goes back."""
        return self.around.clock.seconds()

    def turned_away(
        self, request: Any, code: str, why: str = "", throttle: SignInThrottle | None = None
    ) -> bool:
        """
        Note a failure; whether there have been too many of late.

        Args:
            why: for the log, if it is worth a line.
            throttle: of what it has cost; None: nothing.
        """
        asked = asked_by(request, None)
        self.around.refusals[f"sign_in_{code}"] += 1
        self.around.trail.refused(asked, f"sign_in_{code}")
        too_many = throttle is not None and throttle.failed(asked.address, now=self.seconds())
        if why and not too_many:
            self._log.warn(
                "console: somebody at {address} can't sign in: {why} (request {request_id})",
                log_id="signin.refused",
                address=asked.address,
                why=why,
                request_id=request_id(request),
            )
        return too_many


def described(operator: Operator) -> dict[str, Any]:
    """Return what somebody is told of who he is here."""
    return {
        "subject": operator.subject,
        "name": operator.name,
        "role": operator.role,
        "tenants": None if operator.tenants is None else sorted(operator.tenants),
        "source": operator.source,
        "ends_at": instant(operator.expires_at),
    }


def instant(at: float) -> str:
    """Return a time as programs read it (ISO 8601), in UTC and to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_json(request: Any, value: Mapping[str, Any], status: int = 200) -> bytes:
    body = json.dumps(value).encode()
    return write(request, b"application/json", body, status)


def write(request: Any, content_type: bytes, body: bytes, status: int = 200) -> bytes:
    """Set status and headers of an answer, and return its body."""
    request.setResponseCode(status)
    request.setHeader(b"content-type", content_type)
    request.setHeader(b"content-length", b"%d" % len(body))
    return b"" if request.method == b"HEAD" else body
