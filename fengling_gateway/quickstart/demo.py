"""The services behind the quickstart's gateway: one small program that plays them all.

    python -m fengling_gateway.quickstart.demo NAME=DESCRIPTOR ...

Each descriptor is a listening socket. The service of that name answers on it,
a ``hello-…`` in plain words and any other with a little JSON.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

SERVICE_HEADER = "X-Demo-Service"
"""Tells the load generator, and you, which service has answered."""


class DemoResource(Resource):
    """Answers every path and method in the name of one service."""

    isLeaf = True

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def render(self, request: Request) -> bytes:
        request.setHeader(SERVICE_HEADER, self._name)
        word, _, version = self._name.partition("-")
        if version:
            request.setHeader("Content-Type", "text/plain; charset=utf-8")
            return f"{word.capitalize()} from {version}\n".encode()
        request.setHeader("Content-Type", "application/json")
        path = request.uri.decode("ascii", "replace")
        answer = {"service": self._name, "method": request.method.decode("ascii"), "path": path}
        return json.dumps(answer).encode() + b"\n"


def main(reactor: Any, *listeners: str) -> Deferred[None]:
    for listener in listeners:
        name, _, descriptor = listener.partition("=")
        # Twisted leaves an adopted socket as it is, and would wait in accept().
        os.set_blocking(int(descriptor), False)
        reactor.adoptStreamPort(int(descriptor), socket.AF_INET, Site(DemoResource(name)))
    print("serving", flush=True)
    return Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
