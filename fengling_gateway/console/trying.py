"""
Trying a route: one real request through a gateway, and what became of it.

The request carries a signed header by which the gateway says, in its answer, what it
did. Nobody else can make one, and it goes no further.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from ipaddress import ip_address
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, ResponseDone, ResponseFailed
from twisted.web.http_headers import Headers

from fengling_gateway.access.parameters import is_headers, text_up_to
from fengling_gateway.access.problems import ProblemError
from fengling_gateway.console.call import Answer, Call
from fengling_gateway.console.fleet import FleetWatch
from fengling_gateway.console.mirror import Mirror
from fengling_gateway.model.management_tokens import WRITE

TRY_SECONDS: Final = 30.0
"""For the whole request: as long as an instance may take for its first byte, by default."""

CONNECT_SECONDS: Final = 3.0

MAX_SHOWN_BYTES: Final = 64 * 1024
"""Of an answer's body."""

DEBUG_HEADER: Final = "X-Gateway-Debug"

_FIELDS: Final = {
    "method": text_up_to(32),
    "host": text_up_to(255),
    "path": text_up_to(8192),
    "headers": is_headers,
    "body": text_up_to(MAX_SHOWN_BYTES),
    "node": text_up_to(100),
}
_PATH: Final = re.compile(r"/[!-~]*")
_NOT_SENT: Final = frozenset(("connection", "content-length", "transfer-encoding", "upgrade"))
"""Headers that would say something else of the connection, or the body, than is so."""

_ANYWHERE: Final = ("0.0.0.0", "[::]")

Sign = Callable[[bytes], str]
"""Makes the value by which a gateway is asked to explain itself, of a random id."""


@dataclass(frozen=True, slots=True)
class _Asked:
    method: str
    url: str
    headers: Headers
    body: bytes
    debug_id: str


class Trying:
    """
    Sends requests.

    Args:
        gateway_url: where to; None: to a listener of a gateway that lives, as it tells itself.
        own_host: returns this host's address on the way to Redis; None where there is none.
        sign: None where there is no Redis, and so no keys that gateways have, too.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        mirror: Mirror,
        fleet: FleetWatch,
        gateway_url: str | None,
        own_host: Callable[[], str | None],
        sign: Sign | None,
        wall: Callable[[], float],
    ) -> None:
        self._clock: IReactorTime = reactor
        make_agent: Any = Agent  # (without types of its own)
        self._agent = make_agent(reactor, connectTimeout=CONNECT_SECONDS)
        self._mirror = mirror
        self._fleet = fleet
        self._gateway_url = gateway_url
        self._own_host = own_host
        self._sign = sign
        self._wall = wall

    async def send(self, call: Call) -> Answer:
        """Send the request that a body describes, and tell what came of it."""
        call.access.require(WRITE)
        call.access.require_all_tenants()
        call.only()
        fields = call.fields(_FIELDS)
        asked = self._asked(fields)
        # (Queries may have secrets in them, which the audit trail is to be free of.)
        shown = asked.url.partition("?")[0]
        record = call.access.began(f"try {asked.method} {shown}"[:200], None)
        outcome = "failed"
        try:
            told = await self._tried(asked)
            outcome = "done"
        finally:
            call.access.ended(record, outcome, None)
        path, _, query = str(fields.get("path") or "/").partition("?")
        request = {**fields, "path": path, "query": query}
        return Answer({**told, "explain": self._mirror.explain(request, self._wall())})

    def _asked(self, fields: Mapping[str, Any]) -> _Asked:
        path = str(fields.get("path") or "/")
        method = str(fields.get("method") or "GET")
        if not _PATH.fullmatch(path):
            raise ProblemError("invalid_parameter", "path must begin with / and be encoded")
        if not method.isascii() or not method.isalpha():
            raise ProblemError("invalid_parameter", "method must be like GET")
        headers = Headers()
        for name, value in (fields.get("headers") or {}).items():
            if not _is_header(name, value):
                raise ProblemError("invalid_parameter", f"the header {name!r} can't be sent")
            headers.addRawHeader(name, value)
        if fields.get("host"):
            headers.setRawHeaders("Host", [fields["host"]])
        debug_id = secrets.token_hex(16)
        if self._sign is not None:
            headers.setRawHeaders(DEBUG_HEADER, [self._sign(debug_id.encode())])
        url = self._gateway(fields.get("node")) + path
        body = str(fields.get("body") or "").encode()
        return _Asked(method.upper(), url, headers, body, debug_id)

    def _gateway(self, node: str | None) -> str:
        """
        Return where a gateway is.

        Raises:
            ProblemError: nobody knows one.
        """
        if self._gateway_url is not None and node is None:
            return self._gateway_url
        for name, state in sorted(self._fleet.states.items()):
            if not state.get("live") or node not in (None, name):
                continue
            for listener in state.get("listeners", ()):
                where = reachable(str(listener["address"]), state.get("host"), self._own_host())
                if where is not None and not listener.get("tls"):
                    return f"http://{where}"
        raise ProblemError(
            "conflict", "no gateway is known to send it to; [http] gateway_url names one"
        )

    async def _tried(self, asked: _Asked) -> dict[str, Any]:
        began = self._clock.seconds()
        make_body: Any = FileBodyProducer
        request = self._agent.request(
            asked.method.encode(),
            asked.url.encode(),
            asked.headers,
            make_body(BytesIO(asked.body)) if asked.body else None,
        )
        request.addTimeout(TRY_SECONDS, self._clock)
        told: dict[str, Any] = {"sent": {"method": asked.method, "url": asked.url}}
        try:
            response: Any = await request
        except Exception as error:
            return {**told, "error": _why(error), "total_ms": self._ms(began)}
        told["first_byte_ms"] = self._ms(began)
        body, is_whole = await self._body(response, began)
        told["total_ms"] = self._ms(began)
        debug = _debug(response.headers.getRawHeaders(DEBUG_HEADER, []), asked.debug_id)
        if debug is not None:
            response.headers.removeHeader(DEBUG_HEADER)
        return {
            **told,
            "status": response.code,
            "reason": response.phrase.decode("latin-1"),
            "headers": [
                [name.decode("latin-1"), value.decode("latin-1")]
                for name, values in response.headers.getAllRawHeaders()
                for value in values
            ],
            "body": body.decode(errors="replace"),
            "body_is_whole": is_whole,
            "debug": debug,
        }

    async def _body(self, response: Any, began: float) -> tuple[bytes, bool]:
        reader = _Reader()
        response.deliverBody(reader)
        left = max(0.1, began + TRY_SECONDS - self._clock.seconds())
        reader.done.addTimeout(left, self._clock, lambda *_: False)
        is_whole = await reader.done
        reader.drop()
        return bytes(reader.content), is_whole

    def _ms(self, began: float) -> float:
        return round((self._clock.seconds() - began) * 1000, 2)


def reachable(address: str, host: str | None, own: str | None) -> str | None:
    """
    Return where a gateway's listener can be connected to; None where nobody can tell.

    Loopback addresses mean something on one machine only: that is known of two who
    reach Redis from the same address.

    Args:
        address: at which it listens; may be any of its host.
        host: the gateway's own address on the way to Redis.
        own: ours.
    """
    name, _, port = address.rpartition(":")
    if name in _ANYWHERE:
        if host is None:
            return None
        name = f"[{host}]" if ":" in host else host
    is_same = host is not None and (host == own or (_is_loopback(host) and _is_loopback(own)))
    return f"{name}:{port}" if is_same or not _is_loopback(name) else None


def _is_loopback(host: str | None) -> bool:
    try:
        return host is not None and ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class _Reader(Protocol):
    """Keeps the beginning of a body."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.done: Deferred[bool] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.content += data
        if len(self.content) > MAX_SHOWN_BYTES:
            del self.content[MAX_SHOWN_BYTES:]
            self._end(is_whole=False)
            self.drop()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end(is_whole=isinstance(reason.value, ResponseDone))

    def drop(self) -> None:
        """Hear no more: what goes on for ever would else be read for ever."""
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()  # (which has no abortConnection; and nothing is left to write)

    def _end(self, *, is_whole: bool) -> None:
        if not self.done.called:
            self.done.callback(is_whole)


def _is_header(name: str, value: str) -> bool:
    is_name = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return is_name and value.isprintable() and name.lower() not in _NOT_SENT


def _debug(values: Iterable[str], debug_id: str) -> dict[str, Any] | None:
    """
    Return what the gateway says of how it served the request.

    Only a gateway knows the id that was sent, for it passes that on to nobody. What an instance
    says under the same name, behind a gateway that takes our key for nobody's, is one more header.
    """
    for text in values:
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if type(said) is dict and said.pop("id", None) == debug_id:
            return said
    return None


def _why(error: BaseException) -> str:
    if isinstance(error, CancelledError):
        return f"no answer within {TRY_SECONDS:g} s"
    if isinstance(error, ResponseFailed) and error.reasons:
        return str(error.reasons[0].getErrorMessage())
    return str(error) or type(error).__name__
