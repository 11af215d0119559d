"""One connection to Redis that is always being kept, and given up on in time.

Every wait has a deadline: connecting, AUTH and SUBSCRIBE, each operation. A
Redis that accepts and never answers (stopped, or behind a network that drops
silently) is noticed by a PING. After a loss: again, with jittered backoff,
for ever.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred, succeed
from twisted.internet.defer import TimeoutError as DeadlineError
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.url import RedisAddress

CONNECT_SECONDS: Final = 3.0
OPERATION_SECONDS: Final = 2.0
PING_INTERVAL_SECONDS: Final = 2.0
"""With the deadline of an operation, a silent Redis is noticed after four seconds at most."""

MAX_OUTSTANDING: Final = 128
"""Operations under way. More means that Redis is slower than we are: refuse, don't queue."""

FIRST_BACKOFF_SECONDS: Final = 0.1
MAX_BACKOFF_SECONDS: Final = 2.0
"""So that a healed Redis is in use again in less than five seconds."""

_REFUSALS_LOGGED: Final = 10
"""In a connection's life: what others write there could make ever new ones."""

STABLE_SECONDS: Final = 10.0
"""A connection that lived this long makes the next backoff start anew."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """
    The channels a connection listens to; no other commands go over it.

    ``optional`` are those of them that it may do without: a user of Redis whose rights
    are of an older version is refused them.
    """

    channels: tuple[str, ...]
    on_message: Callable[[bytes, bytes], None]
    optional: frozenset[str] = frozenset()


class RedisConnection:
    """
    A kept connection, for commands or (with a `Subscription`) for messages.

    Called on the reactor thread only.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        reactor: IReactorTime,
        address: RedisAddress,
        rng: random.Random,
        subscription: Subscription | None = None,
        on_ready: Callable[[], None] = lambda: None,
        endpoint: IStreamClientEndpoint | None = None,
    ) -> None:
        self._reactor = reactor
        self._address = address
        self._rng = rng
        self._subscription = subscription
        self._on_ready = on_ready
        self._endpoint = endpoint
        self._protocol: Any = None
        self._running: Deferred[None] = succeed(None)
        self._stopping = False
        self._outstanding = 0
        self._refusals: set[str] = set()
        self.last_error = ""
        self.counters = {"connects": 0, "losses": 0, "timeouts": 0, "refused": 0, "errors": 0}

    def __repr__(self) -> str:
        state = "ready" if self.ready else "away"
        return f"<RedisConnection {self._address} {self.purpose} {state}>"

    @property
    def purpose(self) -> str:
        """What it is for, in one word."""
        return "subscription" if self._subscription else "commands"

    @property
    def ready(self) -> bool:
        return self._protocol is not None

    @property
    def local_host(self) -> str | None:
        """Our own address on the way to Redis; None while there is no such way."""
        if self._protocol is None:
            return None
        host: str | None = getattr(self._protocol.transport.getHost(), "host", None)
        return host

    def start(self) -> None:
        self._running = Deferred.fromCoroutine(self._keep())

    def stop(self) -> Deferred[None]:
        """Close it and stop trying. Fires when no timer is left; never fails."""
        self._stopping = True
        self._running.cancel()
        return self._running

    def call(self, *command: str | bytes | int) -> Deferred[Any]:
        """
        Run one command; the reply has bytes for text.

        Fails with `BusError`, at once when there is no connection, and after
        `OPERATION_SECONDS` at the latest.
        """
        if self._protocol is None:
            return fail(BusError("Redis is not connected"))
        if self._outstanding >= MAX_OUTSTANDING:
            self.counters["refused"] += 1
            return fail(BusError("too many operations are under way"))
        return self._bounded(self._protocol, *command)

    def _bounded(self, protocol: Any, *command: str | bytes | int) -> Deferred[Any]:
        self._outstanding += 1
        operation: Deferred[Any] = maybeDeferred(protocol.execute_command, *command)
        operation.addTimeout(OPERATION_SECONDS, self._reactor)
        return operation.addBoth(self._ended, protocol)

    def _ended(self, result: Any, protocol: Any) -> Any:
        self._outstanding -= 1
        if not isinstance(result, Failure):
            return result
        if result.check(DeadlineError):
            # Replies are matched by order: after a missing one, none can be.
            self.counters["timeouts"] += 1
            protocol.refuse(f"no answer within {OPERATION_SECONDS:g} s")
            raise BusError("Redis did not answer in time") from result.value
        self.counters["errors"] += 1
        reason = self._address.redacted(result.getErrorMessage())
        self._refused(reason)
        raise BusError(reason) from result.value

    def _refused(self, reason: str) -> None:
        """Log each of the first few things that Redis refuses once: a right may be missing."""
        if reason.startswith("NOSCRIPT") or reason in self._refusals:
            return  # the first is how one asks whether a script is there
        if self.ready and len(self._refusals) < _REFUSALS_LOGGED:
            self._refusals.add(reason)
            self._log.warn(
                "Redis at {address} refuses: {reason}",
                address=self._address,
                reason=reason,
                log_id="redis.refused",
            )

    async def _keep(self) -> None:
        failures = 0
        while not self._stopping:
            failures += 1
            started = self._reactor.seconds()
            try:
                await self._one_connection()
            except Exception as error:
                # Stopping cancels whatever is waited for; the loop ends below.
                if not self._stopping:
                    self._report(str(error) or type(error).__name__)
            if self._reactor.seconds() - started >= STABLE_SECONDS:
                failures = 1
            if not self._stopping:
                await self._pause(self._backoff_seconds(failures))

    async def _pause(self, seconds: float) -> None:
        try:
            await deferLater(self._reactor, seconds)
        except CancelledError:
            if not self._stopping:
                raise

    async def _one_connection(self) -> None:
        """Connect and use it until it is lost, which is always an error."""
        protocol = await self._connect()
        try:
            await self._hand_shake(protocol)
            await self._use(protocol)
        except BusError as error:
            # That it was lost says less than why.
            raise BusError(protocol.end_reason or error) from error
        finally:
            protocol.transport.abortConnection()
            await protocol.gone
        raise BusError(protocol.end_reason)

    async def _connect(self) -> Any:
        # Not at the top of the module: it imports the global reactor.
        from fengling_gateway.syncbus.resp import RespFactory

        on_message = self._subscription.on_message if self._subscription else None
        factory = RespFactory(self._address, on_message)
        # Made anew each time: the file of an authority may have been put right.
        endpoint = self._endpoint or make_endpoint(self._reactor, self._address, factory.refused)
        connecting = maybeDeferred(endpoint.connect, factory)
        protocol = await self._in_time(connecting, CONNECT_SECONDS, "no connection")
        # A TLS endpoint may give the protocol wrapped.
        return getattr(protocol, "wrappedProtocol", protocol)

    async def _hand_shake(self, protocol: Any) -> None:
        usable: Deferred[None] = protocol.usable
        # (A Redis without TLS waits for more of what it takes for a command.)
        missing = "no answer over TLS (does it speak it on this port?)"
        missing = missing if self._address.tls else "no answer"
        await self._in_time(usable, OPERATION_SECONDS, missing)
        # A stopped Redis still has its kernel accept connections.
        await self._bounded(protocol, "PING")
        # One by one: txredisapi drops the confirmations after the first.
        for channel in self._subscription.channels if self._subscription else ():
            await self._subscribe(protocol, channel)

    async def _subscribe(self, protocol: Any, channel: str) -> None:
        assert self._subscription is not None, "or there are no channels"
        try:
            await self._bounded(protocol, "SUBSCRIBE", channel)
        except BusError as error:
            if channel not in self._subscription.optional or protocol.end_reason:
                raise
            self._log.warn(
                "Redis at {address} refuses: {reason}; what is told on {channel} is not heard",
                address=self._address,
                reason=str(error),
                channel=channel,
                log_id="redis.not_subscribed",
            )

    def _in_time(self, waiting: Deferred[Any], seconds: float, missing: str) -> Deferred[Any]:
        """Bound a wait; its end is told in words, which those of a Deferred's own are not."""

        def say(value: Any, _seconds: float) -> Any:
            if isinstance(value, Failure) and value.check(CancelledError):
                return Failure(BusError(f"{missing} within {seconds:g} s"))
            return value

        return waiting.addTimeout(seconds, self._reactor, say)

    async def _use(self, protocol: Any) -> None:
        self._protocol = protocol
        self.counters["connects"] += 1
        self.last_error = ""
        self._log.info(
            "connected to Redis at {address} ({purpose})",
            address=self._address,
            purpose=self.purpose,
            log_id="redis.connected",
        )
        pinging = LoopingCall(self._ping, protocol)
        pinging.clock = self._reactor
        pinging.start(PING_INTERVAL_SECONDS, now=False)
        try:
            self._on_ready()
            await protocol.lost
        finally:
            self._protocol = None
            self.counters["losses"] += 1
            pinging.stop()

    def _ping(self, protocol: Any) -> None:
        # A failure has already dropped the connection.
        self._bounded(protocol, "PING").addErrback(lambda _: None)

    def _report(self, reason: str) -> None:
        """Log each new reason once, not each attempt."""
        if reason != self.last_error:
            self._log.warn(
                "Redis at {address} ({purpose}): {reason}",
                address=self._address,
                purpose=self.purpose,
                reason=reason,
                log_id="redis.failed",
            )
        self.last_error = reason

    def _backoff_seconds(self, failures: int) -> float:
        longest = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(failures, 16))
        return longest * (0.5 + 0.5 * self._rng.random())


def make_endpoint(
    reactor: Any, address: RedisAddress, refused: Callable[[str], None] = lambda _: None
) -> IStreamClientEndpoint:
    """
    Return the endpoint of an address; with TLS the certificate is verified, always.

    Args:
        refused: told why it is refused.

    Raises:
        BusError: a file that the URL names can't be used.
    """
    if address.path:
        return UNIXClientEndpoint(reactor, address.path, timeout=CONNECT_SECONDS)
    endpoint = HostnameEndpoint(reactor, address.host, address.port, timeout=CONNECT_SECONDS)
    if not address.tls:
        return endpoint
    from fengling_gateway.syncbus.tls import RedisTls

    return wrapClientTLS(RedisTls(address, refused), endpoint)
