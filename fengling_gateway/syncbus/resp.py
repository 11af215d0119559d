"""The two protocols spoken to Redis, on top of txredisapi's.

Import this module only inside a function that runs after the reactor has been
chosen: txredisapi imports the global reactor. Nothing else here imports
txredisapi.

What is added to txredisapi's protocols: a Redis that talks nonsense loses its
connection instead of a traceback, a reply to nothing or one without an end
counts as nonsense, and the end of a connection can be waited for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import txredisapi  # noqa: TID253 — see above
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.url import RedisAddress

MAX_REPLY_BYTES: Final = 4 * 1024 * 1024
"""More than the states of a hundred nodes; a reply that has not ended by then has no end."""

_LARGE_ARRAY: Final = re.compile(rb"\n[*%~>|][0-9]{5}")
"""
The head of a list of 10,000 or more; none of ours has as many. The parser makes room for them all
before the first has come, and again for each list within.
"""

_HEAD_BYTES: Final = 7


class _CarefulMixin:
    """
    Common to both: limits, and Deferreds for the turns of a connection's life.

    ``usable`` fires after AUTH and SELECT, or fails; ``lost`` with the reason of
    the end; ``gone`` at the end too, for who has cancelled ``lost``.
    ``end_reason`` is known before anybody hears of the end.
    """

    factory: RespFactory
    transport: Any
    replyQueue: Any

    def prepare(self) -> None:
        self.usable: Deferred[None] = Deferred()
        self.lost: Deferred[str] = Deferred()
        self.gone: Deferred[None] = Deferred()
        self.end_reason = ""
        self._unanswered_bytes = 0
        self._tail = b"\n"
        self.whenConnected().addCallback(  # type: ignore[attr-defined]
            lambda _: self._settle_usable(None)
        )

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        self._unanswered_bytes += len(data)
        seen = self._tail + data
        self._tail = seen[1 - _HEAD_BYTES :]
        if _LARGE_ARRAY.search(seen):
            self.refuse("a list too long")
            return
        try:
            super().dataReceived(data, unpause)  # type: ignore[misc]
        except Exception as error:
            self.refuse(f"not the protocol of Redis: {type(error).__name__}")
        if self._unanswered_bytes > MAX_REPLY_BYTES:
            self.refuse("a reply without an end")

    def replyReceived(self, reply: Any) -> None:
        self._unanswered_bytes = 0
        super().replyReceived(reply)  # type: ignore[misc]

    def refuse(self, reason: str) -> None:
        """Drop the connection for what the other side did."""
        self.factory.reason = reason
        self.transport.abortConnection()

    def connectionLost(self, why: Failure) -> None:
        reason = self.end_reason = self.factory.reason or self.factory.why_lost(why)
        super().connectionLost(why)  # type: ignore[misc]
        self._settle_usable(Failure(BusError(reason)))
        if not self.lost.called:
            self.lost.callback(reason)
        self.gone.callback(None)

    def _settle_usable(self, result: Failure | None) -> None:
        if not self.usable.called:
            self.usable.callback(result)


class CommandProtocol(_CarefulMixin, txredisapi.RedisProtocol):
    """A connection for commands: each reply answers one."""

    def replyReceived(self, reply: Any) -> None:
        if not self.replyQueue.waiting:
            self.refuse("a reply to nothing")
            return
        super().replyReceived(reply)


class SubscriptionProtocol(_CarefulMixin, txredisapi.SubscriberProtocol):
    """A connection that listens. Messages go to the factory's ``on_message``."""

    def messageReceived(self, pattern: Any, channel: bytes, message: bytes) -> None:
        self.factory.on_message(channel, message)

    def replyReceived(self, reply: Any) -> None:
        if len(self.replyQueue.pending) > 1:
            self.refuse("a reply to nothing")
            return
        super().replyReceived(reply)


def _no_receiver(channel: bytes, message: bytes) -> None:
    """For connections that have no subscription."""


class RespFactory(Factory):
    """
    Builds the protocol of one connection attempt.

    It stands where txredisapi's pool would: its protocols tell their factory to
    stop trying when AUTH or SELECT fails. Here that ends the attempt only,
    since a password may be put right without a restart.
    """

    noisy = False
    isLazy = False

    def __init__(
        self, address: RedisAddress, on_message: Callable[[bytes, bytes], None] | None
    ) -> None:
        self._address = address
        self._subscribes = on_message is not None
        self.on_message = on_message or _no_receiver
        self.reason = ""

    def buildProtocol(self, addr: Any) -> CommandProtocol | SubscriptionProtocol:
        make = SubscriptionProtocol if self._subscribes else CommandProtocol
        protocol: CommandProtocol | SubscriptionProtocol = make(
            charset=None,
            # The default turns the text 007 into the number 7.
            convertNumbers=False,
            username=self._address.username,
            password=self._address.password,
            dbid=self._address.database,
        )
        protocol.factory = self
        protocol.prepare()
        return protocol

    def refused(self, why: str) -> None:
        """The server's certificate is not accepted; of several reasons the first one counts."""
        self.reason = self.reason or why

    def why_lost(self, why: Failure) -> str:
        """Say why a connection was lost."""
        if not self._address.tls:
            return why.getErrorMessage()
        from fengling_gateway.syncbus.tls import why_lost

        assert why.value is not None
        return why_lost(why.value)

    def stopTrying(self) -> None:
        """Called by txredisapi after a refused AUTH or SELECT; see the class."""

    def connectionError(self, why: str) -> None:
        self.reason = self._address.redacted(why)
