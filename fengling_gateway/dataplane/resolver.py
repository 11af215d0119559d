"""Names of instances: their addresses, for as long as they hold and, where need be, longer.

No thread is involved, and nothing but names waits for a DNS server: an instance
whose address is an IP address never comes here. Of each name there is one
lookup at a time, which everybody shares who waits for it.

An answer is kept for its TTL. While the name is used it is looked up again
before that ends, so that nobody waits. Where that fails, the last good addresses
go on, and it is tried again and again until it succeeds. Where it succeeds and
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
from fengling_gateway.dataplane.dns_addresses import in_turn
from fengling_gateway.dataplane.dns_outcome import Found, Missing, Outcome, Unknown

_log = Logger()

MAX_LOOKUPS: Final = 64
"""At a time; each has a socket or two for each server that it asks. More wait in line."""

MAX_NAMES: Final = 10_000
"""Names that are remembered; beyond that, the one looked up longest ago is forgotten."""

MAX_WAITERS: Final = 10_000
"""Connections that wait for lookups. Pools have bounds of their own, this is one for all."""

REFRESH_SHARE: Final = 0.8
"""The share of its TTL after which a name in use is looked up again."""

IN_USE_SECONDS: Final = 60.0
"""For so long after it has been asked for, a name is kept up to date."""

RETRY_SECONDS: Final = 1.0
"""After a lookup that failed, nobody is asked for so long."""

GONE_SECONDS: Final = 5.0
"""
An address that answers have not named for so long is gone.

Some servers name a few of many, others each time: connections to all of them stay.
"""

MAX_MISSING_SECONDS: Final = 5.0
"""For so long at most a name is believed to be missing, whatever its zone says."""

FAILED_SECONDS: Final = 10.0
"""For so long an address that could not be connected to is tried after the others."""


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


class Connection(Protocol):
    """A connection to an address of a name."""

    def retire(self) -> None:
        """Serve nobody any more but who is being served."""


class _Name:
    """
    What is known of a name. Times are the reactor's.

    Attributes:
        users: instances that lead to it.
        error: why the last lookup failed; None where it did not.
        retry_at: before that, nobody is asked again after a failure.
        failed: addresses that could not be connected to, and until when that counts.
        connections: that are open, with the addresses that they lead to.
        absent: addresses of theirs that the last answer did not name, with what retires them.
    """

    __slots__ = (
        "absent",
        "addresses",
        "call",
        "connections",
        "deadline",
        "error",
        "failed",
        "found_at",
        "lookup",
        "name",
        "retry_at",
        "ttl",
        "turn",
        "used_at",
        "users",
        "waiters",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.users: set[Hashable] = set()
        self.addresses: tuple[str, ...] = ()
        self.found_at = self.ttl = self.used_at = self.retry_at = 0.0
        self.error: str | None = None
        self.failed: dict[str, float] = {}
        self.connections: dict[Connection, str] = {}
        self.absent: dict[str, Any] = {}
        self.turn = 0
        self.waiters: dict[Callable[[list[str]], None], None] = {}
        self.lookup: Lookup | None = None
        self.call: Any = None
        self.deadline: Any = None

    def __repr__(self) -> str:
        return f"<_Name {self.name} {self.addresses}>"

    def holds(self, now: float) -> bool:
        """Whether its TTL has not ended."""
        return bool(self.addresses) and now < self.found_at + self.ttl


class Resolver:
    """Resolves names, for one worker."""

    def __init__(
        self, *, clock: IReactorTime, lookups: Lookups, limits: ResolverLimits, counters: Counters
    ) -> None:
        self._clock = clock
        self._lookups = lookups
        self._limits = limits
        self._counters = counters
        self._names: dict[str, _Name] = {}
        self._line: deque[_Name] = deque()
        self._running: set[_Name] = set()
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
        if known.lookup is None or (known.error is not None and self._is_usable(known, now)):
            return self._in_turn(known, now)
        if self._waiting >= MAX_WAITERS:
            return []
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
            known.failed.pop(address, None)
            known.connections[connection] = address

    def disconnected(self, name: str, connection: Connection) -> None:
        """Note that a connection is no more."""
        known = self._names.get(name)
        if known is not None:
            known.connections.pop(connection, None)

    def not_connected(self, name: str, address: str) -> None:
        """Note that an address of a name could not be connected to."""
        known = self._names.get(name)
        if known is not None and address in known.addresses:
            known.failed[address] = self._clock.seconds() + FAILED_SECONDS

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

    def _new_name(self, name: str) -> _Name:
        if len(self._names) >= MAX_NAMES:
            self._drop(next(iter(self._names.values())))
        known = self._names[name] = _Name(name)
        return known

    def _is_usable(self, known: _Name, now: float) -> bool:
        """Whether addresses may be used although their TTL has ended."""
        until = known.found_at + known.ttl + self._limits.max_stale
        return bool(known.addresses) and now < until

    def _in_turn(self, known: _Name, now: float) -> list[str]:
        """Return the addresses for one connection."""
        if not known.holds(now):
            if not self._is_usable(known, now):
                return []
            self._counters.dns_stale_uses += 1
        if known.failed:
            known.failed = {one: until for one, until in known.failed.items() if now < until}
        known.turn += 1
        return in_turn(known.addresses, known.turn - 1, known.failed)

    def _keep_up(self, known: _Name, now: float) -> None:
        """Have a name looked up again before its TTL ends."""
        if known.call is None and known.lookup is None:
            due = max(known.found_at + known.ttl * REFRESH_SHARE, known.retry_at)
            known.call = self._clock.callLater(max(0.0, due - now), self._due, known)

    def _due(self, known: _Name) -> None:
        known.call = None
        idle = self._clock.seconds() - known.used_at
        if known.connections or idle < max(IN_USE_SECONDS, known.ttl):
            self._look_up(known)

    def _drop(self, known: _Name) -> None:
        """Forget a name; who waits for it is told, and nobody else."""
        if self._names.get(known.name) is known:
            del self._names[known.name]
        if known.call is not None:
            known.call.cancel()
            known.call = None
        for call in known.absent.values():
            call.cancel()
        known.absent, known.connections = {}, {}
        if not known.waiters:
            self._end_lookup(known)

    # Lookups

    def _look_up(self, known: _Name) -> None:
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

    def _end_lookup(self, known: _Name) -> None:
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

    def _overdue(self, known: _Name) -> None:
        self._looked_up(known, Unknown(f"no answer in {self._limits.timeout:g} s"))

    def _looked_up(self, known: _Name, outcome: Outcome) -> None:
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

    def _succeeded(self, known: _Name, found: Found) -> None:
        addresses = known.addresses = found.addresses
        known.ttl = min(max(found.ttl, self._limits.min_ttl), self._limits.max_ttl)
        known.found_at = self._clock.seconds()
        known.retry_at = 0.0
        known.failed = {one: until for one, until in known.failed.items() if one in addresses}
        self._look_for_absent(known)
        if known.error is not None:
            known.error = None
            _log.info("{name} can be resolved again", name=known.name, log_id="dns.resolved")

    def _look_for_absent(self, known: _Name) -> None:
        """Give addresses that connections lead to some time to be named again."""
        absent = {*known.connections.values()}.difference(known.addresses)
        for address in known.absent.keys() - absent:
            known.absent.pop(address).cancel()
        for address in absent - known.absent.keys():
            known.absent[address] = self._clock.callLater(GONE_SECONDS, self._gone, known, address)

    def _gone(self, known: _Name, address: str) -> None:
        del known.absent[address]
        for connection in [one for one, where in known.connections.items() if where == address]:
            connection.retire()

    def _failed(self, known: _Name, reason: str, seconds: float) -> None:
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

    def _tell(self, known: _Name, addresses: list[str] | None) -> None:
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
                _log.failure("{name} was resolved in vain", name=known.name)
