"""An API server that answers when, and as, a test says; and somebody whom a reflector tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from fengling_gateway.kubernetes.api import Watching
from fengling_gateway.kubernetes.objects import Service, service
from fengling_gateway.kubernetes.reflector import Reflector
from fengling_gateway.kubernetes.resources import SERVICES
from tests.support import kubernetes_objects

Object = dict[str, Any]


class Asked:
    """A request that waits for its answer; a watch if it has somebody to tell events."""

    def __init__(
        self,
        path: str,
        query: Mapping[str, str],
        on_event: Callable[[Object], None] | None = None,
        on_begun: Callable[[], None] | None = None,
    ) -> None:
        self.path = path
        self.query = dict(query)
        self.is_over = False
        self.answer: Deferred[Any] = Deferred(self._cancelled)
        self._on_event = on_event
        self._on_begun = on_begun

    @property
    def is_watch(self) -> bool:
        return self._on_event is not None

    def list(self, *objects: Object, version: int, token: str = "", **more: Any) -> None:
        """Answer with a page of a list."""
        metadata = {"resourceVersion": str(version), **({"continue": token} if token else {})}
        self._over().callback({"metadata": metadata, "items": list(objects), **more})

    def fail(self, error: BaseException) -> None:
        self._over().errback(error)

    def begin(self) -> Asked:
        assert self._on_begun is not None
        self._on_begun()
        return self

    def tell(self, kind: str, obj: Object, version: int | None = None) -> None:
        """Tell an event, as a connection would: what its listener raises ends the watch."""
        assert self._on_event is not None
        assert not self.is_over
        try:
            self._on_event({"type": kind, "object": versioned(obj, version)})
        except Exception as error:
            self.fail(error)

    def end(self) -> None:
        self._over().callback(None)

    def _over(self) -> Deferred[Any]:
        assert not self.is_over
        self.is_over = True
        return self.answer

    def _cancelled(self, _answer: Any) -> None:
        self.is_over = True


class ScriptedServer:
    """
    Notes what is asked.

    Attributes:
        asked: everything, in order.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    @property
    def last(self) -> Asked:
        return self.asked[-1]

    def get(self, path: str, query: Mapping[str, str]) -> Deferred[Any]:
        self.asked.append(Asked(path, query))
        return self.last.answer

    def stream(
        self,
        path: str,
        query: Mapping[str, str],
        on_event: Callable[[Object], None],
        on_begun: Callable[[], None],
    ) -> Watching:
        self.asked.append(Asked(path, query, on_event, on_begun))
        return Watching(self.last.answer)


class Listener:
    """
    Whom a reflector tells.

    Attributes:
        told: everything, in order.
        known: what there is after that, by name.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.known: dict[str, Any] = {}

    def listed(self, reflector: Any, objects: list[Any]) -> None:
        self.told.append(("listed", sorted(str(one.name) for one in objects)))
        self.known = {str(one.name): one for one in objects}

    def changed(self, reflector: Any, value: Any) -> None:
        self.told.append(("changed", str(value.name)))
        self.known[str(value.name)] = value

    def gone(self, reflector: Any, value: Any) -> None:
        self.told.append(("gone", str(value.name)))
        del self.known[str(value.name)]

    def absent(self, reflector: Any) -> None:
        self.told.append(("absent", None))


class Certain(Random):
    """Chance that always has the upper hand: waits are as long as they get, watches take 600 s."""

    def uniform(self, a: float, b: float) -> float:
        return b

    def randint(self, a: int, b: int) -> int:
        return b


def new_reflector(clock: Clock, server: Any, user: Any, **more: Any) -> Reflector[Service]:
    """Return a reflector of Services, as it is unless told otherwise."""
    usual: dict[str, Any] = {
        "clock": clock,
        "server": server,
        "resource": SERVICES,
        "namespace": None,
        "selector": "managed-by=fengling",
        "convert": service,
        "user": user,
        "rng": Certain(),
        "wall": lambda: 1_700_000_000.0 + clock.seconds(),
    }
    return Reflector(**{**usual, **more})


def orders(version: int = 1, **more: Any) -> Object:
    """Return a Service as the API server has it at a version."""
    return versioned(kubernetes_objects.service(**more), version)


def versioned(obj: Object, version: int | None) -> Object:
    if version is None:
        return obj
    return {**obj, "metadata": {**obj.get("metadata", {}), "resourceVersion": str(version)}}
