"""Requests to a resource byte by byte: what no HTTP client would send."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource

from fengling_gateway.access.site import BoundedSite


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class _Transport(StringTransport):
    def abortConnection(self) -> None:
        self.aborted = True


def ask_raw(
    root: Resource,
    target: bytes,
    *,
    method: bytes = b"GET",
    headers: tuple[bytes, ...] = (),
    body: bytes = b"",
    peer: str = "192.0.2.1",
    clock: Clock | None = None,
) -> Answer:
    """
    Send one request with exactly this target, and return the answer; 0 where there is none.

    Args:
        clock: that of the resource, where an answer takes more than a turn.
    """
    site = BoundedSite(root, reactor=Clock(), refusals=Counter())
    address = IPv4Address("TCP", peer, 54321)
    channel = site.buildProtocol(address)
    transport = _Transport(peerAddress=address)
    channel.makeConnection(transport)
    lines = [b"%s %s HTTP/1.1" % (method, target), *headers]
    if not any(header.startswith(b"Host:") for header in headers):
        lines.append(b"Host: gateway")
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    channel.dataReceived(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    while clock is not None and clock.getDelayedCalls() and not transport.value():
        clock.advance(0)
    return _parse(transport.value())


def _parse(answer: bytes) -> Answer:
    if not answer:
        return Answer(0, {}, b"")
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, *lines = head.split(b"\r\n")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in lines)
    }
    return Answer(int(status_line.split()[1]), headers, body)
