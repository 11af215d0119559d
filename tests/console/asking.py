"""Requests to the console's API by somebody who has passed the gate, without a connection."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.web.http import parse_qs
from twisted.web.resource import IResource
from twisted.web.server import Request, Site
from twisted.web.test.requesthelper import DummyChannel

from fengling_gateway.access.audit import AuditTrail
from fengling_gateway.access.granted import Access, IAccess
from fengling_gateway.access.problems import identify
from fengling_gateway.auth.operators import Operator
from fengling_gateway.console.call import Call
from tests.signin.requests import NOW, person


class Asked:
    """
    A request.

    Args:
        body: is sent as JSON; bytes as they are.

    Attributes:
        request: Twisted's.
        trail: what is noted of it.
    """

    def __init__(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        operator: Operator | None = None,
        **headers: str,
    ) -> None:
        self._channel: Any = DummyChannel()
        self.request: Any = Request(self._channel, False)
        parts = urlsplit(url)
        self.request.method, self.request.uri = method.encode(), url.encode()
        self.request.path = parts.path.encode()
        self.request.args = parse_qs(parts.query.encode(), keep_blank_values=True)
        content = body if isinstance(body, bytes) else b"" if body is None else _json(body)
        self.request.content = BytesIO(content)
        if content:
            self.request.requestHeaders.setRawHeaders("Content-Type", ["application/json"])
        for name, value in headers.items():
            self.request.requestHeaders.setRawHeaders(name.replace("_", "-"), [value])
        identify(self.request)
        self.trail = AuditTrail(clock=lambda: 0.0, wall_clock=lambda: NOW)
        who = person("gateway:admin") if operator is None else operator
        self.request.setComponent(IAccess, Access(self.request, who, self.trail))

    def call(self, **path: str) -> Call:
        """What an operation gets."""
        return Call(self.request, path)

    def of(self, resource: IResource) -> Asked:
        """Ask it."""
        self._channel.site = Site(resource)
        self.request.requestReceived(self.request.method, self.request.uri, b"HTTP/1.0")
        return self

    def hang_up(self) -> None:
        self.request.connectionLost(Failure(ConnectionDone()))

    @property
    def is_answered(self) -> bool:
        return bool(self.request.finished)

    @property
    def status(self) -> int:
        return int(self.request.code)

    def header(self, name: str) -> str | None:
        [value] = self.request.responseHeaders.getRawHeaders(name) or [None]
        return value

    @property
    def content(self) -> bytes:
        """The answer's body."""
        written: bytes = self._channel.transport.written.getvalue()
        return written.partition(b"\r\n\r\n")[2]

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def noted(self) -> list[tuple[str, str]]:
        """What was to be changed, and what became of it; the newest first."""
        return [(one["what"], one["outcome"]) for one in self.trail.page(after=None, limit=100)[0]]


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
