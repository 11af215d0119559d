"""Names of instances: their addresses, for as long as they hold and, where need be, longer.

No thread is involved, and nothing but names waits for a DNS server: an instance
whose address is an IP address never comes here. Of each name there is one
lookup at a time, which everybody shares who waits for it.

An answer is kept for its TTL. While the name is used it is looked up again
before that ends, so that nobody waits. Where that takes longer or fails, the last
good addresses go on, and it is tried again and again until it succeeds. Where it succeeds and
an address is no longer there, connections to it are not used any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.dataplane.counters import Counters
from fengling_gateway.dataplane.dns_outcome import Found, Missing, Outcome, Unknown
from fengling_gateway.dataplane.known_name import Connection, KnownName

_log = Logger()

MAX_LOOKUPS: Final = 32
"""
At a time; more wait in line. Each has two sockets for each of three servers, while they are silent:
192, which `accepting.RESERVED_DESCRIPTORS` has room for.
"""

MAX_NAMES: Final = 10_000
"""Names that are remembered; beyond that, the one looked up longest ago is forgotten."""

MAX_WAITERS: Final = 10_000
"""Connections that wait for lookups. Pools have bounds of their own, this is one for all."""

REFRESH_SHARE: Final = 0.8
"""The share of its TTL after which a name in use is looked up again."""

RETRY_SECONDS: Final = 1.0
"""After a lookup that failed, nobody is asked for so long."""

HALF_SECONDS: Final = 2.0
"""How long addresses of one kind hold if nobody could tell those of the other, which may be needed."""

MAX_MISSING_SECONDS: Final = 5.0
"""For so long at most a name is believed to be missing, whatever its zone says."""


@dataclass(frozen=True, slots=True)
class ResolverLimits:
    """
    How long things may take and last, in seconds.

    Attributes:
        timeout: of a lookup, its time in line included.
        min_ttl, max_ttl: bounds of an answer's TTL.
        max_stale: for how long after its TTL an answer is used while there is no newer one.
    """

    timeout: float
    min_ttl: float
    max_ttl: float
    max_stale: float


class Lookup(Protocol):
    """Finds the addresses of a name. Done, it tells so once, in `start` or later."""

    def start(self) -> None: ...

    def cancel(self) -> None:
        """Tell nothing any more; called after it has told, too."""


class Lookups(Protocol):
    """Makes them; see `dns_lookups`."""

    def at_once(self, name: str) -> Found | None: ...

    def new(self, name: str, done: Callable[[Outcome], None]) -> Lookup: ...


class Resolver:
    """Resolves names, for one worker."""

    def __init__(
        self, *, clock: IReactorTime, lookups: Lookups, limits: ResolverLimits, counters: Counters
    ) -> None:
        self._clock = clock
        self._lookups = lookups
        self._limits = limits
        self._counters = counters
        self._names: dict[str, KnownName] = {}
        self._line: deque[KnownName] = deque()
        self._running: set[KnownName] = set()
        self._waiting = 0
        self._is_stopped = False

    def __repr__(self) -> str:
        return f"<Resolver names={len(self._names)} lookups={len(self._running)}>"

    # Asking

    def ask(self, name: str, user: Hashable, told: Callable[[list[str]], None]) -> list[str] | None:
        """
        Return the addresses of a name in the order to try them; none where it can't be resolved.

        Args:
            user: what leads there; see `release`.
            told: called with them later, if they are not known now, which is None.
        """
        if self._is_stopped:
            return []
        known = self._names.get(name)
        if known is None:
            known = self._new_name(name)
        known.users.add(user)
        now = known.used_at = self._clock.seconds()
        if known.holds(now):
            self._keep_up(known, now)
            return self._in_turn(known, now)
        if known.lookup is None and now >= known.retry_at:
            self._look_up(known)
        if known.lookup is None or self._need_not_wait(known, now):
            return self._in_turn(known, now)
        if self._waiting >= MAX_WAITERS:
            return self._in_turn(known, now)
        self._waiting += 1
        known.waiters[told] = None
        return None

    def forget(self, name: str, told: Callable[[list[str]], None]) -> None:
        """Tell somebody nothing who has asked and not been told yet."""
        for known in (self._names.get(name), *self._running, *self._line):
            if known is not None and known.name == name and told in known.waiters:
                del known.waiters[told]
                self._waiting -= 1
                return

    def connected(self, name: str, address: str, connection: Connection) -> None:
        """Note that there is a connection to an address of a name."""
        known = self._names.get(name)
        if known is not None:
            known.connected(address, connection)

    def disconnected(self, name: str, connection: Connection) -> None:
        """Note that a connection is no more."""
        known = self._names.get(name)
        if known is not None:
            known.disconnected(connection)

    def not_connected(self, name: str, address: str) -> None:
        """Note that an address of a name could not be connected to."""
        known = self._names.get(name)
        if known is not None:
            known.not_connected(address)

    def release(self, name: str, user: Hashable) -> None:
        """Note that a user is gone; a name without any is forgotten."""
        known = self._names.get(name)
        if known is not None:
            known.users.discard(user)
            if not known.users:
                self._drop(known)

    def to_json(self, limit: int) -> list[dict[str, Any]]:
        """Return what is known of up to `limit` names, those whose lookup failed first."""
        now = self._clock.seconds()
        names = sorted(self._names.values(), key=lambda one: (one.error is None, one.name))
        return [
            {
                "name": one.name,
                "addresses": list(one.addresses),
                "age_s": round(now - one.found_at, 1) if one.addresses else None,
                "ttl_s": one.ttl if one.addresses else None,
                "last_error": one.error,
            }
            for one in names[:limit]
        ]

    def stop(self) -> None:
        """Ask and remember nothing any more."""
        self._is_stopped = True
        for known in {*self._names.values(), *self._running, *self._line}:
            self._drop(known)
            self._end_lookup(known)
            self._tell(known, [])

    # What is known

    def _new_name(self, name: str) -> KnownName:
        if len(self._names) >= MAX_NAMES:
            self._drop(next(iter(self._names.values())))
        known = self._names[name] = KnownName(name, self._clock)
        return known

    def _is_usable(self, known: KnownName, now: float) -> bool:
        """Whether addresses may be used although their TTL has ended."""
        until = known.found_at + known.ttl + self._limits.max_stale
        return bool(known.addresses) and now < until

    def _need_not_wait(self, known: KnownName, now: float) -> bool:
        """Whether addresses will do meanwhile: looking it up fails, or is a little late."""
        late = now - (known.found_at + known.ttl)
        is_due = known.error is None and late >= self._limits.timeout
        return self._is_usable(known, now) and not is_due

    def _in_turn(self, known: KnownName, now: float) -> list[str]:
        """Return the addresses for one connection."""
        if not known.holds(now):
            if not self._is_usable(known, now):
                return []
            self._counters.dns_stale_uses += 1
        return known.next_turn(now)

    def _keep_up(self, known: KnownName, now: float) -> None:
        """Have a name looked up again before its TTL ends."""
        if known.call is None and known.lookup is None:
            due = max(known.found_at + known.ttl * REFRESH_SHARE, known.retry_at)
            known.call = self._clock.callLater(max(0.0, due - now), self._due, known)

    def _due(self, known: KnownName) -> None:
        known.call = None
        if known.is_in_use(self._clock.seconds()):
            self._look_up(known)

    def _drop(self, known: KnownName) -> None:
        """Forget a name; who waits for it is told, and nobody else."""
        if self._names.get(known.name) is known:
            del self._names[known.name]
        known.drop()
        if not known.waiters:
            self._end_lookup(known)

    # Lookups

    def _look_up(self, known: KnownName) -> None:
        if known.call is not None:
            known.call.cancel()
            known.call = None
        self._counters.dns_lookups += 1
        found = self._lookups.at_once(known.name)
        if found is not None:
            self._succeeded(known, found)
            self._keep_up(known, known.found_at)
            return
        known.lookup = self._lookups.new(known.name, partial(self._looked_up, known))
        known.deadline = self._clock.callLater(self._limits.timeout, self._overdue, known)
        self._line.append(known)
        self._start_lookups()

    def _start_lookups(self) -> None:
        while self._line and len(self._running) < MAX_LOOKUPS:
            known = self._line.popleft()
            self._running.add(known)
            if known.lookup is not None:
                known.lookup.start()

    def _end_lookup(self, known: KnownName) -> None:
        lookup, known.lookup = known.lookup, None
        if lookup is None:
            return
        lookup.cancel()
        if known.deadline.active():
            known.deadline.cancel()
        if known in self._running:
            self._running.discard(known)
        else:
            self._line.remove(known)
        if not self._is_stopped:
            self._start_lookups()

    def _overdue(self, known: KnownName) -> None:
        self._looked_up(known, Unknown(f"no answer in {self._limits.timeout:g} s"))

    def _looked_up(self, known: KnownName, outcome: Outcome) -> None:
        self._end_lookup(known)
        if isinstance(outcome, Found):
            self._succeeded(known, outcome)
        elif isinstance(outcome, Missing):
            seconds = min(max(outcome.ttl, RETRY_SECONDS), MAX_MISSING_SECONDS)
            self._failed(known, "there is no such name, or it has no address", seconds)
        else:
            self._failed(known, outcome.reason, RETRY_SECONDS)
        now = self._clock.seconds()
        if known.waiters:
            self._tell(known, None)
        if self._names.get(known.name) is known:
            # Behind the others: the first one is the one to be forgotten.
            self._names[known.name] = self._names.pop(known.name)
            if known.addresses:
                self._keep_up(known, now)

    def _succeeded(self, known: KnownName, found: Found) -> None:
        if known.error is not None:
            _log.info("{name} can be resolved again", name=known.name, log_id="dns.resolved")
        ttl = min(max(found.ttl, self._limits.min_ttl), self._limits.max_ttl)
        if not found.is_whole:
            ttl = min(ttl, HALF_SECONDS)
        known.found(found.addresses, ttl)

    def _failed(self, known: KnownName, reason: str, seconds: float) -> None:
        self._counters.dns_lookups_failed += 1
        known.retry_at = self._clock.seconds() + seconds
        if known.error is None:
            _log.warn(
                "{name} can't be resolved: {reason}; {consequence} until it can",
                name=known.name,
                reason=reason,
                consequence="its last addresses are used"
                if known.addresses
                else "its instances can't be reached",
                log_id="dns.failed",
            )
        known.error = reason

    def _tell(self, known: KnownName, addresses: list[str] | None) -> None:
        """Tell all who wait for a name; None: what is known."""
        waiters, known.waiters = known.waiters, {}
        self._waiting -= len(waiters)
        for told in waiters:
            mine = addresses
            if mine is None:
                mine = self._in_turn(known, self._clock.seconds())
            try:
                told(mine)
            except Exception:
                _log.failure("{name} was resolved in vain", name=known.name, log_id="dns.not_told")
