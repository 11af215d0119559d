"""What a resolver knows of one name: its addresses, and the connections to them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorTime

from fengling_gateway.dataplane.dns_addresses import in_turn

IN_USE_SECONDS: Final = 60.0
"""For so long after it has been asked for, a name is kept up to date."""

FAILED_SECONDS: Final = 10.0
"""For so long an address that could not be connected to is tried after the others."""

GONE_SECONDS: Final = 5.0
"""
An address that answers have not named for so long is gone.

Some servers name a few of many, others each time: connections to all of them stay.
"""


class Connection(Protocol):
    """A connection to an address of a name."""

    def retire(self) -> None:
        """Serve nobody any more but who is being served."""


class KnownName:
    """
    A name. Times are the clock's, in seconds.

    Attributes:
        users: instances that lead to it.
        addresses: what it was found to have at last, at `found_at` and for `ttl` seconds.
        error: why the last lookup failed; None where it did not.
        retry_at: before that, nobody is asked again after a failure.
        waiters: who is to be told of the lookup under way.
        lookup: that is under way, or in line.
        deadline, call: calls to come: that end the lookup, and that begin another one.
    """

    __slots__ = (
        "_absent",
        "_clock",
        "_connections",
        "_failed",
        "_turn",
        "addresses",
        "call",
        "deadline",
        "error",
        "found_at",
        "lookup",
        "name",
        "retry_at",
        "ttl",
        "used_at",
        "users",
        "waiters",
    )

    def __init__(self, name: str, clock: IReactorTime) -> None:
        self.name = name
        self.users: set[Hashable] = set()
        self.addresses: tuple[str, ...] = ()
        self.found_at = self.ttl = self.used_at = self.retry_at = 0.0
        self.error: str | None = None
        self.waiters: dict[Callable[[list[str]], None], None] = {}
        self.lookup: Any = None
        self.call: Any = None
        self.deadline: Any = None
        self._clock = clock
        self._turn = 0
        self._failed: dict[str, float] = {}
        self._connections: dict[Connection, str] = {}
        self._absent: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<KnownName {self.name} {self.addresses}>"

    def holds(self, now: float) -> bool:
        """Whether there are addresses whose TTL has not ended."""
        return bool(self.addresses) and now < self.found_at + self.ttl

    def is_in_use(self, now: float) -> bool:
        """Whether it is worth being kept up to date."""
        return bool(self._connections) or now - self.used_at < max(IN_USE_SECONDS, self.ttl)

    def found(self, addresses: tuple[str, ...], ttl: float) -> None:
        """Take what a lookup has found."""
        self.addresses = addresses
        self.ttl = ttl
        self.found_at = self._clock.seconds()
        self.retry_at = 0.0
        self.error = None
        self._failed = {one: until for one, until in self._failed.items() if one in addresses}
        self._look_for_absent()

    def next_turn(self, now: float) -> list[str]:
        """Return the addresses in the order in which one connection is to try them."""
        if self._failed:
            self._failed = {one: until for one, until in self._failed.items() if now < until}
        self._turn += 1
        return in_turn(self.addresses, self._turn - 1, self._failed)

    def not_connected(self, address: str) -> None:
        """Note that an address could not be connected to."""
        if address in self.addresses:
            self._failed[address] = self._clock.seconds() + FAILED_SECONDS

    def connected(self, address: str, connection: Connection) -> None:
        """Note that there is a connection to an address."""
        self._failed.pop(address, None)
        self._connections[connection] = address

    def disconnected(self, connection: Connection) -> None:
        """Note that a connection is no more."""
        self._connections.pop(connection, None)

    def drop(self) -> None:
        """Keep no calls to come but that of a lookup under way."""
        if self.call is not None:
            self.call.cancel()
            self.call = None
        for call in self._absent.values():
            call.cancel()
        self._absent, self._connections = {}, {}

    def _look_for_absent(self) -> None:
        """Give addresses that connections lead to some time to be named again."""
        absent = {*self._connections.values()}.difference(self.addresses)
        for address in self._absent.keys() - absent:
            self._absent.pop(address).cancel()
        for address in absent - self._absent.keys():
            self._absent[address] = self._clock.callLater(GONE_SECONDS, self._gone, address)

    def _gone(self, address: str) -> None:
        del self._absent[address]
        for connection in [one for one, where in self._connections.items() if where == address]:
            connection.retire()
