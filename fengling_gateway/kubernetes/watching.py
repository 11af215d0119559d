"""Everything of a cluster that is watched, as one: known when all of it has been listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred, DeferredList

from fengling_gateway.kubernetes.relists import Relists
from fengling_gateway.kubernetes.resources import Resource


class Reflecting(Protocol):
    """What is needed of a `reflector.Reflector`."""

    def start(self) -> None: ...

    def stop(self) -> Deferred[None]: ...

    def status(self) -> dict[str, Any]: ...


class Heard(NamedTuple):
    """
    Who hears of a resource: of all that there are, of one that is new or another, of one that is gone.

    What is gone is told as it was last.
    """

    listed: Callable[[Iterable[Any]], None]
    changed: Callable[[Any], None]
    gone: Callable[[Any], None]


class Watched(NamedTuple):
    """
    A resource to be watched.

    Attributes:
        convert: makes the value that is kept of an object; ValueError if it can't.
        name: of a value: which other it replaces.
        selector: of labels; None: all of them.
        is_optional: whether a cluster that does not know the resource has none of it, rather than
            keeping all that is watched beside it waiting.
    """

    resource: Resource
    convert: Callable[[dict[str, Any]], Any]
    name: Callable[[Any], Any]
    heard: Heard
    selector: str | None = None
    is_optional: bool = False


class ClusterWatch:
    """
    Watches several resources, each in all namespaces or in those that are named.

    What is in several namespaces is told as one list.

    Args:
        reflect: makes a reflector of a resource, given its namespace and who hears of it.
        relists: knows which lists wait for others; those of several watches may be one.
        synced: called once when all has been listed.
    """

    def __init__(
        self,
        watched: Iterable[Watched],
        *,
        namespaces: Iterable[str],
        reflect: Callable[[Watched, str | None, Any], Reflecting],
        relists: Relists,
        synced: Callable[[], None],
    ) -> None:
        self._synced = synced
        self._is_synced = False
        self._parts = [
            _Part(one, tuple(namespaces), reflect, relists, self._listed) for one in watched
        ]

    def __repr__(self) -> str:
        return f"<ClusterWatch of {len(self._parts)}{'' if self._is_synced else ', not synced'}>"

    @property
    def is_synced(self) -> bool:
        return self._is_synced

    @property
    def has_unreadable(self) -> bool:
        """Whether there are objects of which nothing can be made: they are there all the same."""
        return any(one.get("refused") for one in self.status())

    def start(self) -> None:
        for part in self._parts:
            for one in part.reflectors:
                one.start()

    def stop(self) -> Deferred[None]:
        stops = [one.stop() for part in self._parts for one in part.reflectors]
        return DeferredList(stops, consumeErrors=True).addCallback(lambda _: None)

    def status(self) -> list[dict[str, Any]]:
        """Return each reflector's status; `is_optional`: whether it may be that there is no such resource."""
        return [
            {**one.status(), "is_optional": part.is_optional}
            for part in self._parts
            for one in part.reflectors
        ]

    def _listed(self) -> None:
        if not self._is_synced and all(one.is_synced for one in self._parts):
            self._is_synced = True
            self._synced()


class _Part:
    """One resource in some namespaces; the user of its reflectors."""

    def __init__(
        self,
        watched: Watched,
        namespaces: tuple[str, ...],
        reflect: Callable[[Watched, str | None, Any], Reflecting],
        relists: Relists,
        was_listed: Callable[[], None],
    ) -> None:
        self._watched = watched
        self._relists = relists
        self._was_listed = was_listed
        self._known: dict[Any, dict[Any, Any]] = {}
        # What was told last of reflectors whose lists wait to be told.
        self._told: dict[Any, dict[Any, Any]] = {}
        places = namespaces if namespaces and watched.resource.is_namespaced else (None,)
        self.reflectors = [reflect(watched, one, self) for one in places]
        for one in self.reflectors:
            size = partial(self._size, one)
            relists.add(one, tell=self._tell_all, size=size)

    @property
    def is_optional(self) -> bool:
        return self._watched.is_optional

    @property
    def is_synced(self) -> bool:
        """Whether it is known what there is, in all of the namespaces."""
        return len(self._known) == len(self.reflectors)

    def listed(self, reflector: Any, objects: Iterable[Any]) -> None:
        name = self._watched.name
        before = self._told.get(reflector, self._known.get(reflector, {}))
        self._known[reflector] = now = {name(one): one for one in objects}
        if self.is_synced:
            self._told[reflector] = before
            self._relists.listed(reflector, before, now)
        self._was_listed()

    def changed(self, reflector: Any, value: Any) -> None:
        self._keep(reflector)[self._watched.name(value)] = value
        if self._is_telling(reflector):
            self._watched.heard.changed(value)

    def gone(self, reflector: Any, value: Any) -> None:
        self._keep(reflector).pop(self._watched.name(value), None)
        if self._is_telling(reflector):
            self._watched.heard.gone(value)

    def absent(self, reflector: Any) -> None:
        """
        Take what the cluster does not know for nothing, where that may be.

        What has been listed before stays: a cluster that forgets a resource tells of each of its
        objects first, and one that only seems to have forgotten it must not take anything away.
        """
        if self._watched.is_optional and reflector not in self._known:
            self.listed(reflector, ())

    def _is_telling(self, reflector: Any) -> bool:
        """Whether changes are told one by one; what is told later is told as a list."""
        return self.is_synced and not self._relists.is_waiting(reflector)

    def _tell_all(self) -> None:
        is_waiting = self._relists.is_waiting
        self._told = {one: told for one, told in self._told.items() if is_waiting(one)}
        shown = {**self._known, **self._told}
        self._watched.heard.listed([one for known in shown.values() for one in known.values()])

    def _size(self, reflector: Any) -> int:
        return len(self._known.get(reflector, ()))

    def _keep(self, reflector: Any) -> dict[Any, Any]:
        known: Mapping[Any, dict[Any, Any]] = self._known
        return known[reflector]
