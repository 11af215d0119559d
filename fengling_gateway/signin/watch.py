"""
Keeps what is known of ended sessions up to date with the database.

Each console reads every two seconds what others have ended, and knows at once what
is ended by itself. While the database can't be asked, sessions stay as good as they
were; what was ended here is told when it can be. One that has just started believes
none before it has read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from fengling_gateway.signin import spent
from fengling_gateway.signin.spent import EndedSessions

Run = Callable[..., Deferred[Any]]
"""Calls a function with a connection to the database, and the arguments, in a thread."""

LOOK_SECONDS: Final = 2.0
PRUNE_EVERY: Final = 300
"""Looks; some ten minutes."""

MAX_UNTOLD: Final = 1000
"""Sessions that were ended here while the database was away: people end a few."""


class SpentWatch:
    """
    Args:
        run: has deadlines of its own.
        clock: for the time between looks; its loop never has two looks at a time.
        wall_clock: seconds since the epoch.

    Attributes:
        ended: what is known.
        failures: times that the database could not be asked, by what for.
    """

    _log = Logger()

    def __init__(self, *, run: Run, clock: IReactorTime, wall_clock: Callable[[], float]) -> None:
        self.ended = EndedSessions()
        self.failures: Counter[str] = Counter()
        self._run = run
        self._wall_clock = wall_clock
        self._latest = 0.0
        self._looks = 0
        self._untold: dict[str, float] = {}
        self._is_away = False
        self._loop = LoopingCall(self._turn)
        self._loop.clock = clock
        self._ending: Deferred[Any] = succeed(None)

    def __repr__(self) -> str:
        return f"<SpentWatch {self.ended!r} {len(self._untold)} untold>"

    def start(self) -> Deferred[None]:
        """Look, and go on looking; fires after the first look, whether or not it has worked."""
        self._loop.start(LOOK_SECONDS, now=False)
        return Deferred.fromCoroutine(self._turn())

    def stop(self) -> None:
        """Look no more. What was ended here and is told to nobody is lost, and named in the log."""
        if self._loop.running:
            self._loop.stop()
        if self._untold:
            self._log.warn(
                "console: {count} sessions were ended here alone: the database could not be told",
                log_id="signin.untold",
                count=len(self._untold),
            )

    def use_link(self, link_id: str, expires_at: float) -> Deferred[bool]:
        """Whether this is the first use of a link. Fails where nobody can tell."""
        used: Deferred[bool] = self._run(spent.spend, spent.LINK + link_id, expires_at)
        return used.addErrback(self._failed, "use")

    def end_session(self, session_id: str, expires_at: float) -> Deferred[bool]:
        """
        End a session: here at once, everywhere else within `LOOK_SECONDS`.

        Fails where the others can't be told yet; it is tried again with each look.
        """
        self.ended.add({session_id: expires_at}, now=self._wall_clock())
        if len(self._untold) < MAX_UNTOLD:
            self._untold[session_id] = expires_at
        return Deferred.fromCoroutine(self._tell(session_id, expires_at)).addErrback(
            self._failed, "end"
        )

    async def _tell(self, session_id: str, expires_at: float) -> bool:
        first: bool = await self._run(spent.spend, spent.SESSION + session_id, expires_at)
        self._untold.pop(session_id, None)
        return first

    async def _turn(self) -> None:
        try:
            for session_id, expires_at in list(self._untold.items()):
                await self._tell(session_id, expires_at)
            newer = await self._run(spent.read_newer, self._latest)
            self._latest = newer.latest
            self.ended.add(newer.sessions, now=self._wall_clock())
            self.ended.is_known = True
            if self._looks % PRUNE_EVERY == 0:
                await self._run(spent.prune)
            self._looks += 1
        except Exception as error:
            self.failures["look"] += 1
            self._say(str(error))
        else:
            self._say("")

    def _failed(self, failure: Any, what: str) -> Any:
        self.failures[what] += 1
        return failure

    def _say(self, error: str) -> None:
        """Say once that the database is away, and once that it is back."""
        if bool(error) == self._is_away:
            return
        self._is_away = bool(error)
        if error:
            self._log.warn(
                "console: which sessions have ended elsewhere can't be read: {error}",
                log_id="signin.unread",
                error=error.strip(),
            )
        else:
            self._log.info("console: which sessions have ended is read again", log_id="signin.read")
