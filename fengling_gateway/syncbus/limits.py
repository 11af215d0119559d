"""Carries what a worker takes of global limits to Redis, and brings back what all have taken.

Not while a request waits: what was taken is noted (`limiting.shared.Ledger`) and told a
little later, many keys at once, one call at a time. While Redis does not answer,
limits do what their policies say. A worker connects when a limit first needs it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Any, Final, Self

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from fengling_gateway.auth.keys import parse_keys
from fengling_gateway.limiting.shared import Ledger, Spent
from fengling_gateway.syncbus.connection import RedisConnection
from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.limit_script import SCRIPT, SCRIPT_HASH, arguments, settle
from fengling_gateway.syncbus.names import Names
from fengling_gateway.syncbus.url import parse_redis_url

_DOMAIN: Final = b"fengling limits 1"


@dataclass(frozen=True, slots=True)
class SyncTimes:
    """
    When to tell, and how much.

    Attributes:
        interval: seconds from the first request to the call that tells of it.
        deadline: seconds that Redis may take to answer, and be away.
        batch: keys in a call.
    """

    interval: float = 0.2
    deadline: float = 1.0
    batch: int = 200

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(values["interval"], values["deadline"], values["batch"])


class LimitSync:
    """
    Carries the ledger of one worker.

    Called on the reactor thread only.

    Args:
        reactor: its clock is that of those who ask the limits.
        keys: of the cluster, as the bus has them: the names of keys in Redis are
            hashes by the first one, so that nobody finds out there who came.
    """

    _log = Logger()

    def __init__(  # noqa: PLR0913 — wired by name, once, by the composition root
        self,
        *,
        reactor: IReactorTime,
        url: str,
        cluster: str,
        keys: Iterable[str],
        ledger: Ledger,
        times: SyncTimes,
        rng: random.Random,
        connection: RedisConnection | None = None,
    ) -> None:
        self._reactor = reactor
        self._ledger = ledger
        self._times = times
        self._names = Names(cluster)
        self.replace_keys(keys)
        self._calls = self._names.limit_calls(f"{rng.getrandbits(64):016x}")
        self._number = 0
        self._connection = connection or RedisConnection(
            reactor=reactor, address=parse_redis_url(url), rng=rng
        )
        self._is_connecting = False
        self._stopping = False
        self._reason = ""
        self._running: Deferred[None] | None = None
        self._alarm: IDelayedCall | None = None

    def __repr__(self) -> str:
        state = "reachable" if self._ledger.is_reachable else "alone"
        return f"<LimitSync {self._names.cluster} {state}>"

    def start(self) -> None:
        """Listen to the ledger. Until the first deadline Redis is believed to be there."""
        self._ledger.is_reachable = True
        self._ledger.wake = self._wake

    def stop(self) -> Deferred[None]:
        """Never fails; leaves no timer and no connection. What is not told yet is not told."""
        self._stopping = True
        self._ledger.is_reachable = False
        self._calm()
        if self._running is not None:
            self._running.cancel()
        return self._connection.stop() if self._is_connecting else succeed(None)

    def replace_keys(self, keys: Iterable[str]) -> None:
        """Name the keys in Redis by other keys from now on: all counts begin anew."""
        self._secret = sha256(_DOMAIN + parse_keys(keys)[0].secret).digest()

    def _wake(self) -> None:
        """There is something to tell."""
        if self._stopping:
            return
        if not self._is_connecting:
            # Here and not before: most workers have no limit that needs it.
            self._is_connecting = True
            self._connection.start()
        if self._running is None:
            self._running = Deferred.fromCoroutine(self._carry())

    async def _carry(self) -> None:
        """Tell until there is nothing left to tell, and somebody has heard it."""
        try:
            while await self._pause():
                if not await self._go_on():
                    break
        except CancelledError:
            if not self._stopping:
                raise
        finally:
            self._running = None

    async def _go_on(self) -> bool:
        """Tell what there is, or ask whether anybody is there; False if all has been told."""
        try:
            if self._ledger.is_reachable and await self._tell_all():
                return True
            if self._ledger.is_reachable and self._alarm is None:
                return False
            self._number += 1
            await self._tell([])
        except CancelledError:
            raise
        except Exception:
            self._ledger.lose_all()
            self._ledger.failures += 1
            self._log.failure("limits: telling of what was taken failed", log_id="limits.not_told")
        return True

    async def _pause(self) -> bool:
        """Let time pass; whether to go on."""
        if not self._stopping:
            await deferLater(self._reactor, self._times.interval)
        return not self._stopping

    async def _tell_all(self) -> bool:
        """Tell what there is now, in as many calls as it takes; whether there was anything."""
        calls = -(-len(self._ledger) // self._times.batch)
        for _ in range(calls):
            batch = self._ledger.batch(self._times.batch)
            if batch and not await self._told(batch):
                self._ledger.lose(batch)
                break
        return calls > 0

    async def _told(self, batch: list[Spent]) -> bool:
        """Tell a batch, again and again until the deadline; whether it was heard."""
        self._number += 1
        if self._alarm is None:
            self._alarm = self._reactor.callLater(self._times.deadline, self._be_alone)
        while not await self._tell(batch):
            if not self._ledger.is_reachable:
                return False
            await self._pause()
        return True

    async def _tell(self, batch: list[Spent]) -> bool:
        """Call the script once; whether it answered. Without a batch that is all we ask."""
        if not self._connection.ready:
            return False
        names = [self._names.limit(self._hash(counts.limit.id, key)) for counts, key, _ in batch]
        command = (len(names) + 1, self._calls, *names, *arguments(self._number, batch))
        try:
            answers = await self._call(command)
            settle(batch, answers, self._reactor.seconds())
        except BusError as error:
            self._ledger.failures += 1
            self._reason = str(error)
            return False
        self._ledger.told += sum(taken for _, _, taken in batch)
        self._be_heard()
        return True

    async def _call(self, command: tuple[str | int, ...]) -> Any:
        self._ledger.calls += 1
        try:
            return await self._connection.call("EVALSHA", SCRIPT_HASH, *command)
        except BusError as error:
            if "NOSCRIPT" not in str(error):
                raise
        # A Redis that was started anew, or has never seen it: it keeps it from here on.
        return await self._connection.call("EVAL", SCRIPT, *command)

    def _hash(self, limit_id: str, key: bytes) -> str:
        text = b"%s\0%s" % (limit_id.encode(), key)
        return blake2b(text, key=self._secret, digest_size=16).hexdigest()

    def _be_heard(self) -> None:
        self._calm()
        self._reason = ""
        if not self._ledger.is_reachable and not self._stopping:
            self._ledger.is_reachable = True
            self._log.info("limits: all workers count together again", log_id="limits.together")

    def _be_alone(self) -> None:
        """Nobody has answered for too long: go by what the policies say."""
        self._alarm = None
        self._ledger.is_reachable = False
        self._ledger.outages += 1
        # By the time that somebody hears of it, it would be of long ago.
        self._ledger.lose_all()
        self._log.warn(
            "limits: Redis has not answered for {seconds:g} s ({reason}); "
            "global limits do what their on_redis_failure says",
            seconds=self._times.deadline,
            reason=self._reason or self._connection.last_error or "not connected",
            log_id="limits.alone",
        )

    def _calm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
