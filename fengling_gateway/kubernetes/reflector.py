"""
Following a resource of the cluster: list it, then watch what becomes of it, for as long as it runs.

::

    list ──→ watch from the list's version ⇄ ended cleanly: watch on from there
      ↑         ├─ any failure → wait (0.2 s, doubled up to 30 s) → compare versions → watch on
      └─────────┴─ versions expired, or set back: list anew; 403: every 30 s; 404: every 60 s

What is known stays until a list or an event says otherwise, whatever fails.

A cluster that was restored from a backup counts its versions from an older one again. A watch from
a version that is yet to come says nothing then, for ever, and is no error. So after whatever is not a
clean end of a watch that has said something, the version of a list of one object is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final, Generic, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from fengling_gateway.kubernetes.api import Watching
from fengling_gateway.kubernetes.bodies import Event
from fengling_gateway.kubernetes.errors import SILENT, ApiError, of_status
from fengling_gateway.kubernetes.failures import EXPIRED, Failures
from fengling_gateway.kubernetes.known import Listing
from fengling_gateway.kubernetes.listing import Lister, Pages
from fengling_gateway.kubernetes.resources import Resource
from fengling_gateway.kubernetes.standing import Standing
from fengling_gateway.kubernetes.telling import ReflectorUser, Telling
from fengling_gateway.kubernetes.versions import is_older

_log = Logger()

T = TypeVar("T")

WATCH_SECONDS: Final = (300, 600)
"""How long a watch is to take, chosen anew for each, so that they don't end together."""

LATE_SECONDS: Final = 30.0
"""How long after its time a watch may still be open."""

RELIST_SECONDS: Final = 3600.0
"""
How long a list holds, whatever watches say: what no watch can tell, such as a history that was
exchanged for another one with versions as high, is noticed at the end of the first one after that.
"""

PACE_SECONDS: Final = 1.0
"""From the beginning of a watch to that of the next one, however soon it ends."""


class Server(Pages, Protocol):
    """An API server; `fengling_gateway.kubernetes.api.ApiServer` is one."""

    def stream(
        self,
        path: str,
        query: Mapping[str, str],
        on_event: Callable[[Event], None],
        on_begun: Callable[[], None],
    ) -> Watching: ...


class Reflector(Generic[T]):
    """
    Follows one resource, in one namespace or in all of them.

    Args:
        namespace: None for all of them.
        selector: of labels, as in queries of the API; None for all objects.
        convert: makes a value of an object at once. It returns None for what is of no interest,
            and raises ValueError for what can't be read, which is then as it was. Values that
            are equal are the same: nobody is told of another one.
        user: whom to tell.
        wall: seconds since 1970.
    """

    def __init__(  # noqa: PLR0913 - wired by name, once for each resource
        self,
        *,
        clock: IReactorTime,
        server: Server,
        resource: Resource,
        namespace: str | None,
        selector: str | None,
        convert: Callable[[dict[str, Any]], T | None],
        user: ReflectorUser[T],
        rng: Random,
        wall: Callable[[], float],
    ) -> None:
        self.resource = resource
        self.namespace = namespace
        self._clock = clock
        self._server = server
        self._selection = {"labelSelector": selector} if selector else {}
        self._lister = Lister(
            clock=clock,
            server=server,
            resource=resource,
            namespace=namespace,
            selection=self._selection,
        )
        self._rng = rng
        self._wall = wall
        self._telling = Telling(self, user, convert)
        self._known = self._telling.known
        self._standing = Standing()
        self._failures = Failures(rng)
        self._version: str | None = None
        self._is_doubtful = False
        self._is_warned = False
        self._is_stopped = False
        self._is_telling_list = False
        self._watched_at = float("-inf")
        self._begun_at: float | None = None
        self._running: Deferred[None] | None = None

    def __repr__(self) -> str:
        return f"<Reflector {self} {self._standing.state}>"

    def __str__(self) -> str:
        return str(self.resource) + ("" if self.namespace is None else f" in {self.namespace}")

    @property
    def is_synced(self) -> bool:
        """Whether it has listed everything since it was started."""
        return self._standing.synced_at is not None

    def start(self) -> None:
        """List and watch until it is stopped; once."""
        self._running = Deferred.fromCoroutine(self._run())

    def stop(self) -> Deferred[None]:
        """End whatever is under way; nobody is told anything after this."""
        self._is_stopped = True
        self._telling.end()
        running, self._running = self._running, None
        if running is None:
            return succeed(None)
        running.addErrback(lambda failure: failure.trap(CancelledError))
        if not self._is_telling_list:
            running.cancel()
        return running.addCallback(lambda _: None)

    def status(self) -> dict[str, Any]:
        """Return what operators are told."""
        epoch = self._wall() - self._clock.seconds()
        return {
            "resource": str(self.resource),
            "namespace": self.namespace,
            "objects": len(self._known),
            "resource_version": self._version,
            **self._standing.to_json(self._known.refused, epoch),
        }

    # The way of things

    async def _run(self) -> None:
        while not self._is_stopped:
            try:
                await self._follow()
                pause = 0.0
            except ApiError as error:
                pause = self._failed(error)
            except CancelledError:
                raise
            except Exception:
                pause = self._faulty()
            if pause and not self._is_stopped:
                await deferLater(self._clock, pause)

    async def _follow(self) -> None:
        if self._version is not None and self._is_doubtful:
            await self._compare(self._version)
        if self._version is None:
            await self._list()
        if not self._is_stopped:
            await self._watch()

    async def _compare(self, version: str) -> None:
        """Have everything listed where the server is at an older version than we are."""
        if is_older(await self._lister.version(), version):
            self._version = None

    # Lists

    async def _list(self) -> None:
        self._standing.state = "listing"
        self._standing.lists += 1
        new: Callable[[], Listing[T]] = Listing
        listed, version = await self._lister.list_all(new, self._known.list_object)
        self._known.replace(listed)
        self._version = version
        self._standing.synced_at = self._standing.heard_at = self._clock.seconds()
        _log.info(
            "{resource}: {count} are listed, {refused} can't be read",
            count=len(self._known),
            resource=str(self),
            refused=len(self._known.refused),
            log_id="kubernetes.listed",
        )
        self._is_telling_list = True
        self._telling.tell_all()
        self._is_telling_list = False

    # Watches

    async def _watch(self) -> None:
        await self._pace()
        seconds = self._rng.randint(*WATCH_SECONDS)
        query = {
            **self._selection,
            "watch": "true",
            "resourceVersion": self._version or "",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        self._standing.state = "watching"
        self._standing.watches += 1
        self._is_doubtful = True
        self._begun_at = None
        heard = self._standing.heard
        try:
            await self._stream(seconds, query)
        except ApiError:
            self._judge_failure()
            raise
        self._standing.heard_at = self._clock.seconds()
        self._is_doubtful = self._standing.heard == heard
        self._failures.reset()
        if self._clock.seconds() - (self._standing.synced_at or 0.0) >= RELIST_SECONDS:
            self._version = None

    async def _stream(self, seconds: int, query: Mapping[str, str]) -> None:
        watching = self._server.stream(self._lister.path, query, self._take_event, self._begun)
        watching.ended.addTimeout(seconds + LATE_SECONDS, self._clock, _not_ended)
        await watching.ended

    def _judge_failure(self) -> None:
        """Take a watch that has lasted for a success: what ends it then is the first failure."""
        if self._begun_at is not None and self._clock.seconds() - self._begun_at >= PACE_SECONDS:
            self._failures.reset()

    async def _pace(self) -> None:
        pause = self._watched_at + PACE_SECONDS - self._clock.seconds()
        if pause > 0:
            await deferLater(self._clock, pause)
        self._watched_at = self._clock.seconds()

    def _begun(self) -> None:
        self._begun_at = self._standing.heard_at = self._clock.seconds()
        self._standing.problem = None
        if self._is_warned:
            self._is_warned = False
            _log.info(
                "{resource}: the watch goes on",
                resource=str(self),
                log_id="kubernetes.watched_again",
            )

    def _take_event(self, event: Event) -> None:
        kind, obj = event.get("type"), event.get("object")
        if not isinstance(obj, dict):
            return
        if kind == "ERROR":
            self._version = None
            raise of_status(obj)
        self._move(obj)
        self._standing.heard += 1
        self._standing.heard_at = self._clock.seconds()
        self._failures.reset()
        if kind in ("ADDED", "MODIFIED"):
            self._standing.events += 1
            self._telling.put(obj)
        elif kind == "DELETED":
            self._standing.events += 1
            self._telling.drop(obj)

    def _move(self, obj: Mapping[str, Any]) -> None:
        metadata = obj.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        if not isinstance(version, str) or not version:
            return
        if self._version is not None and is_older(version, self._version):
            raise ApiError(EXPIRED, "Expired", "the versions of the API server have been set back")
        self._version = version

    # Failures

    def _failed(self, error: ApiError) -> float:
        """Note a failure, and return how many seconds to wait."""
        verdict = self._failures.judge(error)
        if verdict.is_listed_anew:
            self._version = None
        self._standing.state = verdict.state
        self._standing.problem = error.needing(f"list and watch of {self.resource}")
        if verdict.is_warned_of and not self._is_warned:
            # Once, until it is well again: what goes on is in the status.
            self._is_warned = True
            _log.warn(
                "{resource}: what is known stays as it is, because they can't be watched: {problem}",
                resource=str(self),
                problem=self._standing.problem,
                log_id="kubernetes.not_watched",
            )
        if verdict.state == "absent":
            self._telling.tell_absent()
        return verdict.seconds

    def _faulty(self) -> float:
        _log.failure(
            "{resource}: all are listed anew", resource=str(self), log_id="kubernetes.watch_fault"
        )
        self._version = None
        self._standing.state = "waiting"
        self._standing.problem = "a fault of this program, which is in its log"
        return self._failures.judge(ApiError(500, "", self._standing.problem)).seconds


def _not_ended(_result: Any, seconds: float) -> Any:
    raise ApiError(0, SILENT, f"a watch has not ended after {seconds:g} s, though it was to")
