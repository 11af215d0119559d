"""
Statuses of Gateway API objects, written back to the cluster.

Each is read, brought together with what others have said there, and put back
with the version that was read: whoever writes in between makes that fail, and it
is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.kubernetes.errors import ApiError
from fengling_gateway.kubernetes.gateway_api.merging import merged_status
from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef

_log = Logger()

CONCURRENCY: Final = 4
CONFLICTS: Final = 3
"""So many of an object, one after another, are no failure: others write there, too, but not all the time."""

FIRST_BACKOFF_SECONDS: Final = 0.2
MAX_BACKOFF_SECONDS: Final = 30.0

_CONFLICT: Final = 409
_NOT_FOUND: Final = 404


class Objects(Protocol):
    """Whoever gets and puts objects: `api.ApiServer`."""

    def get(self, path: str, /) -> Deferred[dict[str, Any]]: ...

    def put(self, path: str, body: Mapping[str, Any], /) -> Deferred[dict[str, Any]]: ...


class Statuses:
    """
    Keeps what statuses are to be, and writes what is not so; the newest wish of each object counts.

    Attributes:
        written, failures: how many.
        problem: the last failure; None if all has been written since.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        objects: Objects,
        rng: Random,
        controller: str,
        wall: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._objects = objects
        self._rng = rng
        self._controller = controller
        self._wall = wall
        self._waiting: dict[ObjectRef, dict[str, Any]] = {}
        self._under_way: dict[ObjectRef, Deferred[None]] = {}
        self._wanted: dict[ObjectRef, dict[str, Any]] = {}
        self._later: dict[ObjectRef, Any] = {}
        self._backoffs: dict[ObjectRef, float] = {}
        self._conflicts: dict[ObjectRef, int] = {}
        self._stopped = False
        self._is_going_on = False
        self.written = self.failures = 0
        self.problem: str | None = None

    def __repr__(self) -> str:
        return f"<Statuses: {len(self._waiting)} waiting, {len(self._under_way)} under way>"

    def __len__(self) -> int:
        return len(self._waiting) + len(self._under_way) + len(self._later)

    def want(self, statuses: Mapping[ObjectRef, dict[str, Any]]) -> None:
        """Have statuses be so; what is not named any more is left as it is."""
        for ref, status in statuses.items():
            if self._wanted.get(ref) != status:
                self._waiting[ref] = status
                if ref in self._later:
                    self._later.pop(ref).cancel()
        self._wanted = dict(statuses)
        for ref in [one for one in self._waiting if one not in self._wanted]:
            del self._waiting[ref]
        for ref in [one for one in self._later if one not in self._wanted]:
            self._later.pop(ref).cancel()
        for ref in [one for one in self._backoffs if one not in self._wanted]:
            del self._backoffs[ref]
        self._go_on()
        self._forget_problem()

    def settled(self, ref: ObjectRef) -> None:
        """Note that a status is as it is to be: if it is wanted once more, it has been changed."""
        self._wanted.pop(ref, None)

    def stop(self) -> None:
        self._stopped = True
        for call in self._later.values():
            call.cancel()
        self._later.clear()
        for one in list(self._under_way.values()):
            one.cancel()

    def _go_on(self) -> None:
        if self._is_going_on:  # (one has ended at once; whoever has begun it begins the next)
            return
        self._is_going_on = True
        try:
            self._begin_some()
        finally:
            self._is_going_on = False

    def _begin_some(self) -> None:
        while self._waiting and len(self._under_way) < CONCURRENCY and not self._stopped:
            ref = next((one for one in self._waiting if one not in self._under_way), None)
            if ref is None:
                return
            status = self._waiting.pop(ref)
            writing = Deferred.fromCoroutine(self._write(ref, status))
            self._under_way[ref] = writing
            writing.addCallbacks(
                lambda _: None, lambda failure, r=ref, s=status: self._failed(failure, r, s)
            )
            writing.addBoth(self._ended, ref)

    async def _write(self, ref: ObjectRef, status: dict[str, Any]) -> None:
        resource, namespace, name = ref
        found = await self._objects.get(resource.path(namespace or None, name))
        now = datetime.fromtimestamp(self._wall(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        merged = merged_status(found.get("status"), status, now, self._controller)
        if merged is not None:
            await self._objects.put(
                resource.path(namespace or None, name, "status"), {**found, "status": merged}
            )
            self.written += 1
        self._conflicts.pop(ref, None)

    def _failed(self, failure: Any, ref: ObjectRef, status: dict[str, Any]) -> None:
        if self._stopped:
            return
        error = failure.value
        code = error.status if isinstance(error, ApiError) else None
        if code == _NOT_FOUND:
            self._conflicts.pop(ref, None)
            self._wanted.pop(ref, None)  # it has been deleted meanwhile: made again, it needs one
            return
        if code == _CONFLICT and self._is_soon_over(ref):
            self._waiting.setdefault(ref, self._wanted.get(ref, status))
            return
        self.failures += 1
        if self.problem is None:
            _log.warn(
                "the status of {object} can't be written: {reason}",
                object=str(ref),
                reason=str(error),
                log_id="kubernetes.status_unwritten",
            )
        self.problem = f"{ref}: {error}"
        # (Each by itself: what is refused of one object is no reason to keep others waiting.)
        backoff = self._backoffs.get(ref, FIRST_BACKOFF_SECONDS)
        self._backoffs[ref] = min(2 * backoff, MAX_BACKOFF_SECONDS)
        pause = backoff * self._rng.uniform(0.5, 1.0)
        self._later[ref] = self._clock.callLater(pause, self._again, ref, status)

    def _is_soon_over(self, ref: ObjectRef) -> bool:
        """Count a conflict; whether to read and put at once again."""
        count = self._conflicts[ref] = self._conflicts.get(ref, 0) + 1
        return count <= CONFLICTS

    def _again(self, ref: ObjectRef, status: dict[str, Any]) -> None:
        del self._later[ref]
        self._waiting.setdefault(ref, self._wanted.get(ref, status))
        self._go_on()

    def _ended(self, _: object, ref: ObjectRef) -> None:
        self._under_way.pop(ref, None)
        if ref not in self._later:
            self._backoffs.pop(ref, None)
        self._forget_problem()
        self._go_on()

    def _forget_problem(self) -> None:
        if not len(self):
            self.problem = None
