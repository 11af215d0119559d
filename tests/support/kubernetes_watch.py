"""One watch of a pretended cluster: what has changed since a version, as it changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from fengling_gateway.kubernetes.resources import Resource
from tests.support.kubernetes_faults import Faults
from tests.support.kubernetes_http import Answer
from tests.support.kubernetes_store import ExpiredError, Selects, Store


class Watch:
    """
    A watch; it lives in the server's loop.

    Args:
        bookmarks: returns how often there is to be one, in seconds; None for never.
    """

    def __init__(
        self,
        *,
        store: Store,
        faults: Faults,
        answer: Answer,
        resource: Resource,
        namespace: str | None,
        selects: Selects,
        bookmarks: Callable[[], float | None],
    ) -> None:
        self.resource = resource
        self._store = store
        self._faults = faults
        self._answer = answer
        self._what = (resource, namespace, selects)
        self._bookmarks = bookmarks
        self._woken = asyncio.Event()
        self._is_ending = False

    # From outside, in the loop

    def wake(self) -> None:
        self._woken.set()

    def end(self) -> None:
        self._is_ending = True
        self.wake()

    def abort(self) -> None:
        self._answer.abort()
        self.end()

    # From the beginning to the end

    async def run(self, version: int, seconds: float) -> None:
        """
        Tell what comes after a version; 0: what there is, and then what comes.

        Args:
            seconds: after which the watch ends by itself.
        """
        await self._answer.begin()
        try:
            if version == 0:
                lines, version = self._store.states(*self._what)
                await self._answer.lines(lines)
            self._store.check(self.resource, version)
            await self._follow(version, _now() + seconds)
        except ExpiredError as expired:
            await self._answer.lines([_error(410, "Expired", str(expired))])
        await self._answer.end()

    async def _follow(self, version: int, until: float) -> None:
        marked = _now()
        while not self._is_ending:
            self._woken.clear()
            lines, version = self._store.since(*self._what, version)
            if lines:
                await self._tell(lines)
            every = self._bookmarks()
            due = until if every is None else min(until, marked + every)
            if await self._is_woken(due - _now()):
                continue
            marked = _now()
            # (There is none below the version that was asked for: what a client has from another
            # history is newer than anything here, and it hears nothing, as of the real one.)
            if every is not None and self._store.version >= version:
                await self._tell([self._bookmark(version)])
            if marked >= until:
                if not self._is_mute():
                    return
                until = float("inf")

    async def _tell(self, lines: list[bytes]) -> None:
        if self._is_mute():
            return
        if self._faults.take("break", "watch", self.resource):
            await self._answer.half(lines[0])
            self.end()
            return
        garbled = self._faults.take("garble", "watch", self.resource)
        await self._answer.lines(lines if garbled is None else [garbled.what])

    async def _is_woken(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True

    def _is_mute(self) -> bool:
        return self._faults.take("mute", "watch", self.resource) is not None

    def _bookmark(self, version: int) -> bytes:
        obj = {
            "kind": self.resource.kind,
            "apiVersion": self.resource.api_version,
            "metadata": {"resourceVersion": str(version), "creationTimestamp": None},
        }
        return _line({"type": "BOOKMARK", "object": obj})


def _now() -> float:
    return asyncio.get_running_loop().time()


def _error(code: int, reason: str, message: str) -> bytes:
    obj = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return _line({"type": "ERROR", "object": obj})


def _line(event: object) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"
