"""Every way in which an exchange can fail: one closed enum.

A member is what the client sees (a status, the ``X-Gateway-Error`` header and
a problem document), what the counters count, and what decides whether another
attempt is allowed and whether the instance is to blame. `docs/errors.md` has a
paragraph for each; a test keeps it complete.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Final, Self


@unique
class Side(Enum):
    """Whose doing a failure is."""

    DOWNSTREAM = "downstream"
    UPSTREAM = "upstream"
    GATEWAY = "gateway"


@unique
class Phase(Enum):
    """What the exchange was doing when it failed."""

    READ_REQUEST_HEAD = "read_request_head"
    ROUTE = "route"
    CONNECT = "connect"
    SEND_REQUEST = "send_request"
    WAIT_RESPONSE = "wait_response"
    READ_RESPONSE_BODY = "read_response_body"
    SEND_RESPONSE = "send_response"
    TUNNEL = "tunnel"


@unique
class Retry(Enum):
    """What another attempt needs, on top of the limits of the route's policy."""

    NEVER = "never"
    OTHER_INSTANCE = "other_instance"
    """Nothing of the request was sent: any instance may have it."""
    FRESH_CONNECTION = "fresh_connection"
    """Only where the connection had been used before, and repeating the request is safe."""


_DOWN, _UP, _US = Side.DOWNSTREAM, Side.UPSTREAM, Side.GATEWAY
_HEAD, _ROUTE, _CONNECT = Phase.READ_REQUEST_HEAD, Phase.ROUTE, Phase.CONNECT
_SEND, _WAIT = Phase.SEND_REQUEST, Phase.WAIT_RESPONSE
_READ, _ANSWER = Phase.READ_RESPONSE_BODY, Phase.SEND_RESPONSE
_TUNNEL = Phase.TUNNEL
_NEVER, _OTHER, _FRESH = Retry.NEVER, Retry.OTHER_INSTANCE, Retry.FRESH_CONNECTION

CLIENT_CLOSED_REQUEST: Final = 499
"""Recorded where nobody is left to be answered; never sent."""


@unique
class ForwardError(Enum):
    """
    A failure of an exchange.

    Attributes:
        code: the member's name in lower case: header, log, metric, documentation.
        side: whose doing it is.
        phase: what the exchange was doing.
        status: what the client is told, if it has not been told something else before.
        retry: the rule for another attempt.
        blames_instance: whether it counts against the instance's health.
        title: one sentence for people; it never contains anything of the request.
    """

    code: str
    side: Side
    phase: Phase
    status: int
    retry: Retry
    blames_instance: bool
    title: str

    def __new__(cls, side: Side, phase: Phase, status: int, retry: Retry, title: str) -> Self:
        member = object.__new__(cls)
        member._value_ = title
        member.side = side
        member.phase = phase
        member.status = status
        member.retry = retry
        member.blames_instance = side is Side.UPSTREAM
        member.title = title
        return member

    def __init__(self, *_: object) -> None:
        self.code = self.name.lower()

    # Reading the request's head
    MALFORMED_REQUEST = _DOWN, _HEAD, 400, _NEVER, "The request is not well-formed HTTP/1.1."
    INVALID_HOST = _DOWN, _HEAD, 400, _NEVER, "The request does not name exactly one valid host."
    INVALID_TARGET = _DOWN, _HEAD, 400, _NEVER, "The request target is ambiguous or not allowed."
    HEADER_TIMEOUT = _DOWN, _HEAD, 408, _NEVER, "The request's head took too long to arrive."
    TARGET_TOO_LONG = _DOWN, _HEAD, 414, _NEVER, "The request target is too long."
    HEADERS_TOO_LARGE = _DOWN, _HEAD, 431, _NEVER, "The request's head is too large."
    METHOD_REFUSED = _DOWN, _HEAD, 405, _NEVER, "This gateway does not forward this method."
    METHOD_UNKNOWN = _DOWN, _HEAD, 501, _NEVER, "This gateway does not know this method."
    EXPECTATION_FAILED = _DOWN, _HEAD, 417, _NEVER, "Only Expect: 100-continue is understood."

    # Choosing where it goes
    NO_CONFIGURATION = _US, _ROUTE, 503, _NEVER, "The gateway has no configuration yet."
    NO_ROUTE = _DOWN, _ROUTE, 404, _NEVER, "No route matches the request."
    ADDRESS_DENIED = _DOWN, _ROUTE, 403, _NEVER, "The route does not take requests from there."
    UNAUTHORIZED = _DOWN, _ROUTE, 401, _NEVER, "The route wants to know who asks."
    INVALID_TOKEN = _DOWN, _ROUTE, 401, _NEVER, "The credentials are not valid here."
    INSUFFICIENT_SCOPE = _DOWN, _ROUTE, 403, _NEVER, "The token lacks a scope that the route asks."
    FORBIDDEN = _DOWN, _ROUTE, 403, _NEVER, "Whoever asks may not ask this."
    TENANT_MISMATCH = _DOWN, _ROUTE, 403, _NEVER, "The request contradicts itself on the tenant."
    RATE_LIMITED = _DOWN, _ROUTE, 429, _NEVER, "More requests than the route allows."
    TOO_MANY_AT_ONCE = _DOWN, _ROUTE, 429, _NEVER, "More requests at once than the route allows."
    BODY_TOO_LARGE = _DOWN, _ROUTE, 413, _NEVER, "The request's body is larger than allowed."
    KEYS_UNAVAILABLE = _US, _ROUTE, 503, _NEVER, "There are no keys yet to verify the token with."
    LIMIT_UNAVAILABLE = _US, _ROUTE, 503, _NEVER, "Nobody can tell whether a limit is reached."
    LOOP_DETECTED = _US, _ROUTE, 508, _NEVER, "The request has come back too often."
    ROUTE_SWITCHED_OFF = _US, _ROUTE, 503, _NEVER, "The route has been switched off."
    NO_SERVICE = _US, _ROUTE, 503, _NEVER, "The route's service does not exist or is disabled."
    NO_INSTANCE = _US, _ROUTE, 503, _NEVER, "No instance of the service can take the request."
    CONNECTION_LIMIT = _US, _ROUTE, 503, _NEVER, "The gateway has too many connections."
    OVERLOADED = _US, _ROUTE, 503, _NEVER, "The gateway is short of memory."
    UPSTREAM_BUSY = _US, _CONNECT, 503, _OTHER, "Too many requests wait for the instance."
    UPSTREAM_WAIT_TIMEOUT = _US, _CONNECT, 503, _NEVER, "No connection to the instance became free."

    # Reaching the instance
    ADDRESS_REFUSED = _US, _CONNECT, 502, _OTHER, "The instance is where the gateway may not go."
    RESOLVE_FAILED = _UP, _CONNECT, 502, _OTHER, "The name of the instance could not be resolved."
    CONNECT_FAILED = _UP, _CONNECT, 502, _OTHER, "The instance could not be reached."
    TLS_FAILED = _UP, _CONNECT, 502, _OTHER, "No TLS connection to the instance came about."
    CONNECT_TIMEOUT = _UP, _CONNECT, 504, _OTHER, "The instance could not be reached in time."

    # Sending the request
    MALFORMED_REQUEST_BODY = _DOWN, _SEND, 400, _NEVER, "The request's body is not well framed."
    REQUEST_BODY_TIMEOUT = _DOWN, _SEND, 408, _NEVER, "The request's body took too long to arrive."
    REQUEST_SEND_TIMEOUT = _UP, _SEND, 504, _NEVER, "The instance stopped reading the request."
    REQUEST_SEND_FAILED = _UP, _SEND, 502, _FRESH, "The instance closed while being sent to."
    CLIENT_GONE = _DOWN, _SEND, CLIENT_CLOSED_REQUEST, _NEVER, "The client left unanswered."

    # Waiting for the response's head
    FIRST_BYTE_TIMEOUT = _UP, _WAIT, 504, _NEVER, "The instance did not answer in time."
    TLS_REFUSED = _UP, _WAIT, 502, _NEVER, "The instance broke TLS off instead of answering."
    NO_RESPONSE = _UP, _WAIT, 502, _FRESH, "The instance closed without an answer."
    MALFORMED_RESPONSE = _UP, _WAIT, 502, _NEVER, "The instance's answer is not valid HTTP/1.1."
    RESPONSE_HEADERS_TOO_LARGE = _UP, _WAIT, 502, _NEVER, "The head of the answer is too large."

    # Relaying the response's body
    RESPONSE_TOO_SHORT = _UP, _READ, 502, _NEVER, "The answer ended before it was complete."
    RESPONSE_TOO_LONG = _UP, _READ, 502, _NEVER, "The instance sent more than one answer."
    MALFORMED_RESPONSE_BODY = _UP, _READ, 502, _NEVER, "The answer's body is not well framed."
    RESPONSE_IDLE_TIMEOUT = _UP, _READ, 504, _NEVER, "The answer stopped half-way."
    CLIENT_GONE_IN_RESPONSE = (
        *(_DOWN, _ANSWER, CLIENT_CLOSED_REQUEST, _NEVER),
        "The client left before it had the whole answer.",
    )
    RESPONSE_SEND_TIMEOUT = (
        *(_DOWN, _ANSWER, CLIENT_CLOSED_REQUEST, _NEVER),
        "The client stopped reading the answer.",
    )

    # After an upgrade
    TUNNEL_IDLE_TIMEOUT = _UP, _TUNNEL, 504, _NEVER, "Nothing was said in the tunnel for too long."
    TUNNEL_BROKEN = _UP, _TUNNEL, 502, _NEVER, "The instance broke the tunnel off."
    TUNNEL_WITHDRAWN = _US, _TUNNEL, 503, _NEVER, "The tunnel's route, instance or leave is gone."

    # At any time
    TOTAL_TIMEOUT = _US, _WAIT, 504, _NEVER, "The request took longer than its route allows."
    DRAIN_DEADLINE = _US, _ANSWER, 503, _NEVER, "The gateway stopped before the exchange ended."
    INTERNAL_ERROR = _US, _ROUTE, 500, _NEVER, "The gateway failed; its log has the reason."
