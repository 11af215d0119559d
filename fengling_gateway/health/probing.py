"""
Probes: one connection each, and one request where the check is of HTTP.

What is found out about the instance is `Passed` or `Failed`. What keeps this
console from finding out is `Unjudged`: an address that it must not connect to,
a name that it can't resolve, no descriptor left, or a process that was too
busy, or stopped, when the answer came.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Hashable
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from fengling_gateway.balancing.service import ServiceTls
from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.dataplane.tls_certificates import Certificate, CertificateError
from fengling_gateway.dataplane.tls_failures import TlsFailure
from fengling_gateway.dataplane.tls_transport import TlsTransport
from fengling_gateway.dataplane.tls_upstream import client_context
from fengling_gateway.health.answers import AnswerReader, Said
from fengling_gateway.health.outcomes import Failed, Outcome, Passed, Unjudged
from fengling_gateway.health.targets import Target

BUSY_SECONDS: Final = 0.25
"""A timeout that comes so late says more about this process than about an instance."""

MAX_CONTEXTS: Final = 500
"""Contexts of TLS that are kept: one for each way in which services want it."""

_OURS: Final = frozenset(
    (
        *(errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM),
        *(errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM),
        *(errno.ENETUNREACH, errno.ENETDOWN, errno.EAFNOSUPPORT),
    )
)
"""Why a connection can't be opened, where that is a matter of this host and its network."""


class Names(Protocol):
    """Resolves names; `fengling_gateway.dataplane.resolver.Resolver` does."""

    def ask(
        self, name: str, user: Hashable, told: Callable[[list[str]], None]
    ) -> list[str] | None: ...

    def forget(self, name: str, told: Callable[[list[str]], None]) -> None: ...

    def release(self, name: str, user: Hashable) -> None: ...


class Probing:
    """
    Probes instances.

    Args:
        certificates: returns a client certificate with its key, by id; raises
            `CertificateError` where this console can't use it.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        networks: UpstreamNetworks,
        names: Names,
        certificates: Callable[[str], Certificate],
    ) -> None:
        self.reactor = reactor
        self.networks = networks
        self.names = names
        self._certificates = certificates
        self._contexts: dict[tuple[ServiceTls, Certificate | None], Any] = {}

    def __repr__(self) -> str:
        return f"<Probing contexts={len(self._contexts)}>"

    def new(self, target: Target, done: Callable[[Outcome], None]) -> Probe:
        """Return a probe that is yet to be started; it calls `done` once, later or at once."""
        return Probe(self, target, done)

    def release(self, target: Target) -> None:
        """Note that an instance is not to be probed any more, at this address."""
        if target.is_named:
            self.names.release(target.host, target.id)

    def context(self, tls: ServiceTls) -> Any:
        """
        Return the context for connections to the instances of a service.

        Raises:
            CertificateError: there can't be one here; the message says why.
        """
        certificate = None
        if tls.client_certificate is not None:
            certificate = self._certificates(tls.client_certificate)
        key = (tls, certificate)
        context = self._contexts.get(key)
        if context is None:
            context = client_context(tls, certificate)
            if len(self._contexts) >= MAX_CONTEXTS:
                del self._contexts[next(iter(self._contexts))]
            self._contexts[key] = context
        return context


class Probe:
    """One probe, from its beginning to its outcome."""

    def __init__(self, probing: Probing, target: Target, done: Callable[[Outcome], None]) -> None:
        self._probing = probing
        self._reactor = probing.reactor
        self._target = target
        self._done: Callable[[Outcome], None] | None = done
        self._began = self._due = 0.0
        self._deadline: Any = None
        self._share: Any = None
        self._connector: Any = None
        self._left: list[str] = []
        self._refusal = ""
        self._wait = "its name was not resolved"
        self._is_resolving = False
        self._context: Any = None

    def __repr__(self) -> str:
        return f"<Probe of {self._target.id} {'over' if self._done is None else 'under way'}>"

    def start(self) -> None:
        target = self._target
        self._began = self._reactor.seconds()
        refusal = self._probing.networks.refusal(target.host, target.port)
        if refusal is not None:
            self._end(Unjudged(refusal))
            return
        try:
            self._context = None if target.tls is None else self._probing.context(target.tls)
        except CertificateError as error:
            self._end(Unjudged(str(error)))
            return
        self._due = self._began + target.check.timeout
        self._deadline = self._reactor.callLater(target.check.timeout, self._overdue)
        if target.is_named:
            self._resolve()
        else:
            self._left = [target.host]
            self._connect_next()

    def cancel(self) -> None:
        """Give it up; nobody is told."""
        self._done = None
        self._clean_up()

    # Getting there

    def _resolve(self) -> None:
        self._is_resolving = True
        found = self._probing.names.ask(self._target.host, self._target.id, self._resolved)
        if found is not None:
            self._resolved(found)

    def _resolved(self, addresses: list[str]) -> None:
        self._is_resolving = False
        if not addresses:
            self._end(Unjudged(f"{self._target.host} can't be resolved at the moment"))
            return
        for address in addresses:
            refusal = self._probing.networks.refusal(address, self._target.port)
            if refusal is None:
                self._left.append(address)
            else:
                self._refusal = refusal
        if self._left:
            self._connect_next()
        else:
            self._end(Unjudged(self._refusal))

    def _connect_next(self) -> None:
        address = self._left.pop(0)
        if self._left:
            left = self._due - self._reactor.seconds()
            self._share = self._reactor.callLater(
                max(0.0, left / (len(self._left) + 1)), self._try_another
            )
        self._wait = "no connection"
        connector = self._reactor.connectTCP(
            address, self._target.port, _Factory(self), timeout=None
        )
        if self._done is not None:
            self._connector = connector

    def _try_another(self) -> None:
        """Leave an address that does not answer; the next has its share of the time, too."""
        self._share = None
        self._drop_connection()
        self._connect_next()

    def _cancel_share(self) -> None:
        if self._share is not None:
            self._share.cancel()
            self._share = None

    def not_connected(self, factory: _Factory, reason: Failure) -> None:
        """Take note that there is no connection."""
        if self._done is None or factory.is_left:
            return
        self._cancel_share()
        if self._left:
            self._connect_next()
            return
        number = getattr(reason.value, "osError", None)
        if number in _OURS:
            self._end(Unjudged(f"this console can't connect: {_sentence(reason)}"))
        else:
            self._fail(_sentence(reason))

    def connected(self) -> Any:
        """Return the protocol for a connection that has just been opened."""
        self._cancel_share()
        tls = self._target.tls
        if tls is None:
            return _Conversation(self)
        self._wait = "no TLS"
        return TlsTransport(
            self._context,
            server_hostname=tls.sni or self._target.host,
            build=lambda _: _Conversation(self),
            failed=self._no_tls,
        )

    def _no_tls(self, failure: TlsFailure) -> None:
        self._fail(f"TLS: {failure.reason}")

    # Once there

    def opened(self, conversation: _Conversation) -> None:
        """Take note that one can talk."""
        check = self._target.check
        if not check.is_http:
            self._pass("connected" if self._target.tls is None else "connected, with TLS")
            conversation.close(is_whole=True)
            return
        self._wait = "no answer"
        conversation.ask(self._target.request, AnswerReader(check))

    def answering(self) -> None:
        self._wait = "no end of its answer"

    def said(self, said: Said) -> None:
        """Take note of what was read; the conversation closes its connection itself."""
        if said.passes:
            self._pass(said.seen)
        else:
            self._end(Failed(said.seen, self._took()), keep_connection=True)

    # The end

    def _overdue(self) -> None:
        """Let what has arrived by now be read first: calls come before that in a turn."""
        self._deadline = self._reactor.callLater(0, self._judge_silence)

    def _judge_silence(self) -> None:
        late = self._reactor.seconds() - self._due
        self._deadline = None
        if late > BUSY_SECONDS:
            self._end(Unjudged(f"this console was too busy: {late:.1f} s late"))
        elif self._is_resolving:
            self._end(Unjudged(f"{self._target.host} could not be resolved in time"))
        else:
            self._fail(f"{self._wait} within {self._target.check.timeout:g} s")

    def _pass(self, seen: str) -> None:
        self._end(Passed(seen, self._took()), keep_connection=True)

    def _fail(self, why: str) -> None:
        self._end(Failed(why, self._took()))

    def _took(self) -> float:
        seconds: float = self._reactor.seconds() - self._began
        return seconds

    def _end(self, outcome: Outcome, *, keep_connection: bool = False) -> None:
        done, self._done = self._done, None
        if done is not None:
            self._clean_up(keep_connection=keep_connection)
            done(outcome)

    def _clean_up(self, *, keep_connection: bool = False) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._cancel_share()
        if self._is_resolving:
            self._is_resolving = False
            self._probing.names.forget(self._target.host, self._resolved)
        if not keep_connection:
            self._drop_connection()

    def _drop_connection(self) -> None:
        connector, self._connector = self._connector, None
        if connector is None:
            return
        connector.factory.is_left = True
        if connector.state == "connected":
            connector.transport.abortConnection()
        elif connector.state == "connecting":
            connector.stopConnecting()


class _Factory(ClientFactory):
    """
    Makes the protocol of one connection.

    Attributes:
        is_left: whether nobody waits for it any more.
    """

    noisy = False

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self.is_left = False

    def buildProtocol(self, addr: Any) -> Any:
        return self._probe.connected()

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self._probe.not_connected(self, reason)


@implementer(IHalfCloseableProtocol)
class _Conversation:
    """What is said on a connection: a protocol on TCP, or on TLS."""

    __slots__ = ("_probe", "_reader", "_transport")

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._reader: AnswerReader | None = None
        self._transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        self._transport = transport
        self._probe.opened(self)

    def ask(self, request: bytes, reader: AnswerReader) -> None:
        self._reader = reader
        self._transport.write(request)

    def dataReceived(self, data: bytes) -> None:
        reader = self._reader
        if reader is None:
            return
        if not reader.has_begun:
            self._probe.answering()
        said = reader.feed(data)
        if said is not None:
            self._told(reader, said)

    def readConnectionLost(self) -> None:
        self._ended()

    def writeConnectionLost(self) -> None:
        """Note that our last byte has left."""

    def connectionLost(self, reason: Failure) -> None:
        self._ended()

    def close(self, *, is_whole: bool) -> None:
        if is_whole:
            self._transport.loseConnection()
        else:
            self._transport.abortConnection()

    def _ended(self) -> None:
        reader = self._reader
        if reader is not None:
            self._told(reader, reader.end())

    def _told(self, reader: AnswerReader, said: Said) -> None:
        self._reader = None
        self._probe.said(said)
        self.close(is_whole=reader.is_whole)


def _sentence(reason: Failure) -> str:
    number = getattr(reason.value, "osError", None)
    if isinstance(number, int):
        return os.strerror(number).lower()
    message: str = reason.getErrorMessage()
    return message
