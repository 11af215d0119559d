"""A cluster in memory, in a time of the test's own: the store of the pretended one, without a wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from fengling_gateway.kubernetes.api import Watching
from fengling_gateway.kubernetes.errors import ApiError
from fengling_gateway.kubernetes.resources import SERVICES
from tests.support.kubernetes_selectors import selection
from tests.support.kubernetes_store import ExpiredError, Store

BOOKMARK_SECONDS = 60.0


class MemoryWatch:
    """A watch that is open."""

    def __init__(
        self, query: Mapping[str, str], on_event: Callable[[Any], None], ended: Deferred[None]
    ) -> None:
        self.version = int(query["resourceVersion"])
        self.selects = selection(query.get("labelSelector", ""), "")
        self.on_event = on_event
        self.ended = ended


class MemoryServer:
    """
    Answers at once.

    Attributes:
        failing: what the next requests fail with.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.store = Store()
        self.failing: list[ApiError] = []
        self._watches: list[MemoryWatch] = []

    # As an API server

    def get(self, path: str, query: Mapping[str, str]) -> Deferred[Any]:
        if self.failing:
            return fail(self.failing.pop(0))
        limit = int(query.get("limit", 0))
        try:
            if "continue" in query:
                page = self.store.next_page(query["continue"], limit)
            else:
                selects = selection(query.get("labelSelector", ""), "")
                page = self.store.first_page(SERVICES, None, selects, limit)
        except ExpiredError:
            return fail(ApiError(410, "Expired", "too old"))
        metadata = {"resourceVersion": str(page.version), "continue": page.token}
        return succeed({"metadata": metadata, "items": [one.copy() for one in page.items]})

    def stream(
        self,
        path: str,
        query: Mapping[str, str],
        on_event: Callable[[Any], None],
        on_begun: Callable[[], None],
    ) -> Watching:
        if self.failing:
            return Watching(fail(self.failing.pop(0)))
        watch = MemoryWatch(query, on_event, Deferred(self._left))
        self._watches.append(watch)
        on_begun()
        self.clock.callLater(0, self._deliver, watch)
        self.clock.callLater(BOOKMARK_SECONDS, self._mark, watch)
        self.clock.callLater(float(query["timeoutSeconds"]), self._end, watch)
        return Watching(watch.ended)

    # As a test

    def deliver(self) -> None:
        for one in list(self._watches):
            self._deliver(one)

    def end_watches(self, error: ApiError | None = None) -> None:
        for one in list(self._watches):
            self._end(one, error)

    # Inside

    def _left(self, ended: Deferred[None]) -> None:
        self._watches = [one for one in self._watches if one.ended is not ended]

    def _end(self, watch: MemoryWatch, error: ApiError | None = None) -> None:
        if watch not in self._watches:
            return
        self._watches.remove(watch)
        if error is None:
            watch.ended.callback(None)
        else:
            watch.ended.errback(error)

    def _deliver(self, watch: MemoryWatch) -> None:
        if watch not in self._watches:
            return
        before = watch.version
        try:
            if before:
                self.store.check(SERVICES, before)
            lines, watch.version = self.store.since(SERVICES, None, watch.selects, before)
        except ExpiredError:
            error = {"type": "ERROR", "object": {"code": 410, "message": "too old"}}
            lines = [json.dumps(error).encode()]
        for line in lines:
            self._tell(watch, json.loads(line))

    def _mark(self, watch: MemoryWatch) -> None:
        self._deliver(watch)
        if watch in self._watches and self.store.version >= watch.version:
            metadata = {"resourceVersion": str(watch.version)}
            self._tell(watch, {"type": "BOOKMARK", "object": {"metadata": metadata}})
            self.clock.callLater(BOOKMARK_SECONDS, self._mark, watch)

    def _tell(self, watch: MemoryWatch, event: Any) -> None:
        if watch not in self._watches:
            return
        try:
            watch.on_event(event)
        except ApiError as error:
            self._end(watch, error)
