# mypy: disallow-untyped-calls = False
"""The gateway that one would write first; what "10 times" is measured from.

It forwards with ``twisted.web.proxy``, takes a lock in Redis around every pick
of an instance so that all processes share one rotation, and reads its whole
configuration again whenever the file changes. Nothing in it is slow on
purpose: hiredis parses, the connections to Redis are pooled and kept, a
release costs no waiting, and requests of one process queue for a service's
lock among themselves rather than retry it against one another.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Generator
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredLock, inlineCallbacks
from twisted.internet.interfaces import IReactorTCP, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.python import log
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.proxy import ProxyClientFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

LOCK_MS: Final = 1000
RETRY_SECONDS: Final = 0.005
_RELEASE: Final = (
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
)


def _failed(failure: Failure) -> None:
    log.err(failure)


class RedisLock:
    """``SET NX PX`` to take, compare and delete to release; one waiter per process at a time."""

    def __init__(self, *, redis: Any, clock: IReactorTime, key: str) -> None:
        self._redis = redis
        self._clock = clock
        self._key = key
        self._queue = DeferredLock()

    @inlineCallbacks
    def acquire(self) -> Generator[Deferred[Any], Any, str]:
        """Fires with the token that releases the lock."""
        yield self._queue.acquire()
        token = uuid.uuid4().hex
        while not (
            yield self._redis.set(self._key, token, pexpire=LOCK_MS, only_if_not_exists=True)
        ):
            yield deferLater(self._clock, RETRY_SECONDS)
        return token

    def release(self, token: str) -> None:
        done = self._redis.eval(_RELEASE, [self._key], [token])
        done.addErrback(_failed)
        done.addBoth(lambda _: self._queue.release())


class Service:
    """A rotation of instances, shared by the lock."""

    def __init__(self, addresses: list[str], lock: RedisLock) -> None:
        self.lock = lock
        self._rotation = cycle([address.split(":") for address in addresses])

    def pick(self) -> tuple[str, int]:
        host, port = next(self._rotation)
        return host, int(port)


class Configuration:
    """Routes by prefix and their services, read whole from a JSON file whenever it changes."""

    def __init__(self, path: Path, *, redis: Any, clock: IReactorTime) -> None:
        self._path = path
        self._redis = redis
        self._clock = clock
        self._modified = 0
        self._routes: list[tuple[bytes, Service]] = []
        self.reload_if_changed()

    def reload_if_changed(self) -> None:
        modified = self._path.stat().st_mtime_ns
        if modified != self._modified:
            self._modified = modified
            self._load(json.loads(self._path.read_text()))

    def _load(self, values: dict[str, Any]) -> None:
        services = {
            name: Service(
                addresses,
                RedisLock(redis=self._redis, clock=self._clock, key=f"lock:gateway:{name}"),
            )
            for name, addresses in values["services"].items()
        }
        self._routes = [
            (route["prefix"].encode(), services[route["service"]]) for route in values["routes"]
        ]

    def match(self, path: bytes) -> Service | None:
        for prefix, service in self._routes:
            if path.startswith(prefix):
                return service
        return None


class Gateway(Resource):
    """Everything below ``/``."""

    isLeaf = True

    def __init__(self, configuration: Configuration, *, reactor: IReactorTCP) -> None:
        super().__init__()
        self._configuration = configuration
        self._reactor = reactor

    def render(self, request: Request) -> int:
        service = self._configuration.match(request.uri)
        if service is None:
            request.setResponseCode(404)
            request.finish()
        else:
            self._forward(request, service).addErrback(_failed)
        return NOT_DONE_YET

    @inlineCallbacks
    def _forward(self, request: Request, service: Service) -> Generator[Deferred[str], str, None]:
        token = yield service.lock.acquire()
        host, port = service.pick()
        service.lock.release(token)
        headers = request.requestHeaders
        headers.setRawHeaders(b"x-forwarded-for", [str(request.getClientIP())])
        headers.setRawHeaders(b"x-forwarded-proto", [b"http"])
        forwarding = ProxyClientFactory(
            request.method,
            request.uri,
            request.clientproto,
            request.getAllHeaders(),
            request.content.read() if request.content else b"",
            request,
        )
        self._reactor.connectTCP(host, port, forwarding)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--redis-port", type=int, required=True)
    parser.add_argument("--configuration", type=Path, required=True)
    arguments = parser.parse_args()
    log.startLogging(sys.stderr)

    import txredisapi  # the global reactor comes with it
    from twisted.internet import reactor

    redis = txredisapi.lazyConnectionPool(
        port=arguments.redis_port, poolsize=4, convertNumbers=False
    )
    configuration = Configuration(arguments.configuration, redis=redis, clock=reactor)
    LoopingCall(configuration.reload_if_changed).start(0.5)
    site: Any = Site(Gateway(configuration, reactor=reactor))
    site.noisy = False
    ProxyClientFactory.noisy = False
    reactor.listenTCP(arguments.port, site, backlog=511, interface="127.0.0.1")
    reactor.run()
