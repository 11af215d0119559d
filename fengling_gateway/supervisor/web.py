"""
What others publish, or answer: bounded, verified, from the very address that is configured.

Imported with the first request: what it needs takes a moment, and most gateways have
nobody to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import X509
from treq.content import collect
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.client import (
    URI,
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from fengling_gateway import __version__
from fengling_gateway.dataplane.endpoint_names import Names, Refusal, ResolvingReactor
from fengling_gateway.dataplane.failed_requests import why_failed
from fengling_gateway.dataplane.ready_body import ReadyBody
from fengling_gateway.dataplane.resolver import Lookups
from fengling_gateway.model.problems import shown
from fengling_gateway.supervisor.key_fetch import MAX_DOCUMENT_BYTES, FetchError

MAX_HEAD_BYTES: Final = 64 * 1024
"""Of an answer's head and of what frames its body; 2 KB are usual."""

_HEADERS: Final = {
    "Accept": "application/jwk-set+json, application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"fengling-gateway/{__version__}",
}
_FORM: Final = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}


class Web:
    """
    Asks web servers; each answer comes over a connection of its own.

    Args:
        lookups: finds the addresses of names.
        refusal: says to which of them nothing may be sent: whoever writes the
            configuration chooses whom this host asks.
        ca_file: PEM, of authorities that are trusted in place of the system's;
            read for each request.
        ca_setting: the setting that names it, for messages.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        lookups: Lookups,
        refusal: Refusal,
        ca_file: Path | None = None,
        ca_setting: str = "issuers.ca_file",
    ) -> None:
        self._reactor = reactor
        self._lookups = lookups
        self._refusal = refusal
        self._ca_file = ca_file
        self._ca_setting = ca_setting

    def get(self, url: str) -> Deferred[bytes]:
        """
        Return what is found there, up to `MAX_DOCUMENT_BYTES`.

        Fails with `FetchError`. It has no deadline, and ends at once when it is
        cancelled; nothing of it is left then.
        """
        return Deferred.fromCoroutine(self._get(url))

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> Deferred[tuple[int, bytes]]:
        """
        Send a form, and return the status and what is answered; otherwise like `get`.

        Statuses other than 2xx and 4xx are failures.
        """
        asked = _Asked(b"POST", url, {**_HEADERS, **_FORM, **headers}, body)
        return Deferred.fromCoroutine(self._post(asked))

    def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Deferred[Answer]:
        """Post any body, and return what is answered, whatever it is; otherwise like `get`."""
        asked = _Asked(b"POST", url, {**_HEADERS, **headers}, body)
        return Deferred.fromCoroutine(self._bounded(asked, _judge_length))

    async def _get(self, url: str) -> bytes:
        answer = await self._bounded(_Asked(b"GET", url, _HEADERS), _judge)
        return answer.content

    async def _post(self, asked: _Asked) -> tuple[int, bytes]:
        answer = await self._bounded(asked, _judge_answer)
        return answer.status, answer.content

    async def _bounded(self, asked: _Asked, judge: Callable[[Any], None]) -> Answer:
        names = Names(self._lookups, self._refusal)
        way = _Way(self._reactor, names, _trusted(self._ca_file, self._ca_setting))
        try:
            return await self._ask(asked, way, judge)
        except (FetchError, CancelledError):
            raise
        except Exception as error:
            if names.refused and isinstance(error, DNSLookupError):
                raise FetchError("address", f"nothing is sent there: {names.refused}") from None
            raise (_too_large() if way.has_overflown else FetchError(*why_failed(error))) from None
        finally:
            way.end()

    async def _ask(self, asked: _Asked, way: _Way, judge: Callable[[Any], None]) -> Answer:
        pool = HTTPConnectionPool(self._reactor, persistent=False)
        agent = Agent.usingEndpointFactory(self._reactor, way, pool)
        # (treq's own client, for the sake of names, can't read addresses of IPv6.)
        headers = Headers({name: [value] for name, value in asked.headers.items()})
        producer = None if asked.body is None else ReadyBody(asked.body)
        url = asked.url.encode("ascii")
        response = await agent.request(asked.method, url, headers, producer)
        _judge_coding(response)
        judge(response)
        body = bytearray()

        def take(data: bytes) -> None:
            if len(body) + len(data) > MAX_DOCUMENT_BYTES:
                raise _too_large()
            body.extend(data)

        await collect(response, take)
        said = response.headers.getRawHeaders("retry-after", [None])[0]
        return Answer(int(response.code), bytes(body), said)


class Answer(NamedTuple):
    """What was answered; `retry_after` is the header of that name."""

    status: int
    content: bytes
    retry_after: str | None


class _Asked(NamedTuple):
    """A request."""

    method: bytes
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


def _trusted(ca_file: Path | None, setting: str) -> Any:
    """Return the authorities of a file; None, which stands for the system's, without one."""
    if ca_file is None:
        return None
    try:
        found = load_pem_x509_certificates(ca_file.read_bytes())
    except OSError as error:
        raise FetchError("tls", f"{setting} {ca_file}: {error.strerror}") from None
    except ValueError:
        raise FetchError("tls", f"{setting} {ca_file} has no certificates in PEM") from None
    return trustRootFromCertificates([Certificate(X509.from_cryptography(one)) for one in found])


def _judge(response: Any) -> None:
    code = response.code
    if 300 <= code < 400:
        where = response.headers.getRawHeaders("location", [""])[0]
        raise FetchError(
            "redirect",
            f"it answers {code} and names {shown(where)}: redirects are not followed, "
            "configure the address itself",
        )
    if code != 200:
        raise FetchError("status", f"it answers {code}")
    _judge_length(response)


def _judge_answer(response: Any) -> None:
    """Take refusals for answers: they say why."""
    if not (200 <= response.code < 300 or 400 <= response.code < 500):
        _judge(response)
    _judge_length(response)


def _judge_length(response: Any) -> None:
    if type(response.length) is int and response.length > MAX_DOCUMENT_BYTES:
        raise _too_large()


def _judge_coding(response: Any) -> None:
    """Refuse what is compressed: a few bytes could become any number."""
    codings = response.headers.getRawHeaders("content-encoding", [])
    if any(one.strip().lower() != "identity" for one in codings):
        raise FetchError("broken", "its answer is compressed, though it was asked for what is not")


def _too_large() -> FetchError:
    return FetchError("too_large", f"it answers with more than {MAX_DOCUMENT_BYTES} bytes")


class _Counted(ProtocolWrapper):
    """A connection that ends when it has brought more than anybody wants."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        factory: Any = self.factory
        factory.left_bytes -= len(data)
        if factory.left_bytes < 0:
            self.transport.abortConnection()
        else:
            super().dataReceived(data)


class _Connection(WrappingFactory):
    """The connection of one request, whose end it does not outlive."""

    noisy = False
    protocol = _Counted

    def __init__(self, wrapped: Any) -> None:
        super().__init__(wrapped)
        self.left_bytes = MAX_DOCUMENT_BYTES + MAX_HEAD_BYTES

    def end(self) -> None:
        for one in list(self.protocols):
            one.transport.abortConnection()


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class _Way:
    """The way to a server, and what is under way on it."""

    def __init__(self, reactor: Any, names: Names, trusted: Any) -> None:
        self._trusted = trusted
        self._names = names
        self._reactor = ResolvingReactor(reactor, names)
        self._endpoint: Any = None
        self._connection: _Connection | None = None

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        self._endpoint = HostnameEndpoint(self._reactor, uri.host, uri.port)
        if uri.scheme == b"https":
            terms = BrowserLikePolicyForHTTPS(self._trusted).creatorForNetloc(uri.host, uri.port)
            self._endpoint = wrapClientTLS(terms, self._endpoint)
        return self

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        self._connection = _Connection(protocolFactory)
        connecting: Deferred[Any] = self._endpoint.connect(self._connection)
        return connecting.addCallback(lambda counted: counted.wrappedProtocol)

    @property
    def has_overflown(self) -> bool:
        """Whether more came than is wanted."""
        return self._connection is not None and self._connection.left_bytes < 0

    def end(self) -> None:
        self._names.cancel()
        if self._connection is not None:
            self._connection.end()
