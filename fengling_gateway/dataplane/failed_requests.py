"""Why a request failed that went through Twisted's own client. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from OpenSSL.SSL import Error as TlsError
from service_identity import VerificationError
from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    DNSLookupError,
)
from twisted.web.client import RequestTransmissionFailed, ResponseFailed


class Failed(NamedTuple):
    """What has failed, and a line about it, with "it" for the server."""

    kind: Literal["name", "connect", "tls", "broken"]
    words: str


def why_failed(error: BaseException) -> Failed:
    """Say in one line what has failed."""
    error = _cause(error)
    if isinstance(error, DNSLookupError):
        return Failed("name", "its name can't be resolved")
    if isinstance(error, TlsError):
        return Failed("tls", f"TLS failed: {_of_tls(error)}")
    if isinstance(error, VerificationError):
        return Failed("tls", "TLS failed: its certificate is for another name")
    if isinstance(error, ConnectError):
        words = str(error).rstrip(".").rpartition(": ")[2]
        return Failed("connect", f"it can't be connected to: {words}")
    if isinstance(error, ConnectionClosed):
        return Failed("broken", "the connection broke before the answer was whole")
    return Failed("broken", f"its answer can't be read: {type(error).__name__}")


def was_cancelled(error: BaseException) -> bool:
    """Whether it has failed because somebody has cancelled it, of which there are several signs."""
    return isinstance(_cause(error), CancelledError | ConnectingCancelledError)


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, RequestTransmissionFailed | ResponseFailed) and error.reasons:
        error = error.reasons[0].value
    return error


def _of_tls(error: TlsError) -> str:
    words = "; ".join(one[-1] for one in error.args[0]) if error.args and error.args[0] else ""
    if "certificate verify failed" in words:
        return "its certificate has expired, or is of an authority that this host does not know"
    return words or "the connection broke"
