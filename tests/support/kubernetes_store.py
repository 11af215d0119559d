"""What a pretended cluster knows: objects, and the window of their changes. No I/O; one lock."""

from __future__ import annotations

import json
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from threading import RLock
from typing import Any, NamedTuple

from fengling_gateway.kubernetes.resources import GATEWAY_API, Resource

Object = dict[str, Any]
Key = tuple[str, str]
Selects = Callable[[Object], bool]

WINDOW = 10_000
"""Changes of a resource that are kept for watches, unless a test wants fewer."""


FIRST_VERSION = 1_000_000
SET_BACK = 100_000
"""Versions that are lost where a backup is restored; a cluster makes some in each second."""


class ExpiredError(Exception):
    """What is asked for is not known any more: 410."""


class ConflictError(Exception):
    """Somebody has changed it meanwhile: 409."""


class MissingError(Exception):
    """There is no such object: 404."""


class Stored:
    """An object as it was at one version; nobody changes it. Its text is made once."""

    __slots__ = ("_listed", "_watched", "obj")

    def __init__(self, obj: Object) -> None:
        # (Through its text, because copy.deepcopy takes five times as long, and load tests wait.)
        self._watched = json.dumps(obj, separators=(",", ":"))
        self.obj = self.copy()
        self._listed: bytes | None = None

    def copy(self) -> Object:
        """Return the object for somebody who may change it."""
        obj: Object = json.loads(self._watched)
        return obj

    @property
    def version(self) -> int:
        return int(self.obj["metadata"]["resourceVersion"])

    @property
    def watched(self) -> bytes:
        return self._watched.encode()

    @property
    def listed(self) -> bytes:
        """As in lists: where the kind is one of the API server's own, items don't name it."""
        if self.obj["apiVersion"].startswith(GATEWAY_API):
            return self.watched
        if self._listed is None:
            inner = {k: v for k, v in self.obj.items() if k not in ("apiVersion", "kind")}
            self._listed = json.dumps(inner, separators=(",", ":")).encode()
        return self._listed


class Change(NamedTuple):
    """From one state of an object to the next; None where there is none."""

    version: int
    before: Stored | None
    now: Stored | None

    def line(self, selects: Selects) -> bytes | None:
        """Return how a watch tells it; None where what it selects is not concerned."""
        was = self.before is not None and selects(self.before.obj)
        is_now = self.now is not None and selects(self.now.obj)
        if is_now:
            assert self.now is not None
            return _event("MODIFIED" if was else "ADDED", self.now)
        if was:
            assert self.before is not None
            return _event("DELETED", _with_version(self.before, self.version))
        return None


class Page(NamedTuple):
    """Part of a list; `token` continues it."""

    items: list[Stored]
    version: int
    token: str
    remaining: int


class Store:
    """
    Objects of any resource, under one counter of versions. Any thread may call.

    Attributes:
        window: how many changes of each resource are kept.
        changed: called after each change, by whoever has made it.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self.window = WINDOW
        self.changed = changed
        self._lock = RLock()
        self._version = FIRST_VERSION
        self._oldest = 0
        self._trimmed: dict[Resource, int] = {}
        self._objects: dict[Resource, dict[Key, Stored]] = {}
        self._changes: dict[Resource, list[Change]] = {}
        self._pages: dict[str, tuple[list[Stored], int]] = {}

    @property
    def version(self) -> int:
        return self._version

    # Objects

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """
        Raises:
            MissingError: there is none.
        """
        with self._lock:
            return self._stored(resource, namespace, name).copy()

    def all(self, resource: Resource) -> list[Object]:
        with self._lock:
            return [one.copy() for one in self._sorted(resource, None)]

    def apply(self, resource: Resource, obj: Object) -> Object:
        """Make an object, or make it so; what stays as it was makes no change, as in a cluster."""
        with self._lock:
            key = _key(obj)
            before = self._objects.get(resource, {}).get(key)
            wanted = _completed(resource, obj, None if before is None else before.obj)
            return self._put(resource, key, before, wanted)

    def update(self, resource: Resource, obj: Object, *, only_status: bool) -> Object:
        """
        Put an object, or only its status, in the place of one of its name.

        Raises:
            MissingError: there is none.
            ConflictError: it is made of an older version.
        """
        with self._lock:
            key = _key(obj)
            before = self._stored(resource, *key)
            said = obj["metadata"].get("resourceVersion")
            if said and said != before.obj["metadata"]["resourceVersion"]:
                raise ConflictError
            if only_status:
                wanted = {**before.obj, "status": obj.get("status")}
            else:
                wanted = _completed(resource, obj, before.obj)
            return self._put(resource, key, before, wanted)

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        """
        Raises:
            MissingError: there is none.
        """
        with self._lock:
            before = self._stored(resource, namespace, name)
            del self._objects[resource][namespace, name]
            self._note(resource, before, None)
        self.changed()

    # Lists

    def first_page(
        self, resource: Resource, namespace: str | None, selects: Selects, limit: int
    ) -> Page:
        with self._lock:
            items = [one for one in self._sorted(resource, namespace) if selects(one.obj)]
            return self._page(items, self._version, limit)

    def next_page(self, token: str, limit: int) -> Page:
        """
        Raises:
            ExpiredError: compaction has taken what the token stands for.
        """
        with self._lock:
            if token not in self._pages:
                raise ExpiredError
            items, version = self._pages[token]
            return self._page(items, version, limit)

    def expire_pages(self) -> None:
        with self._lock:
            self._pages.clear()

    # Watches

    def check(self, resource: Resource, version: int) -> None:
        """
        Raises:
            ExpiredError: of what came after that version, not all is known; the message is the API's.
        """
        oldest = max(self._oldest, self._trimmed.get(resource, 0))
        if version < oldest:
            raise ExpiredError(f"too old resource version: {version} ({oldest})")

    def since(
        self, resource: Resource, namespace: str | None, selects: Selects, version: int
    ) -> tuple[list[bytes], int]:
        """
        Return the lines of changes after a version, and the version up to which that is all.

        Raises:
            ExpiredError: the window has moved past it.
        """
        with self._lock:
            if version < self._trimmed.get(resource, 0):
                raise ExpiredError("the watch is too slow")
            changes = self._changes.get(resource, [])
            start = bisect_right(changes, version, key=lambda one: one.version)
            lines = (one.line(selects) for one in changes[start:] if _is_within(one, namespace))
            return [line for line in lines if line is not None], max(version, self._version)

    def states(
        self, resource: Resource, namespace: str | None, selects: Selects
    ) -> tuple[list[bytes], int]:
        """Return what there is as lines of a watch that starts from nothing, and the version."""
        with self._lock:
            items = self._sorted(resource, namespace)
            return [_event("ADDED", one) for one in items if selects(one.obj)], self._version

    # Time

    def compact(self) -> None:
        """Forget what came before now; watches that run are not concerned."""
        with self._lock:
            self._version += 1
            self._oldest = self._version
            self._pages.clear()

    def set_back(self) -> None:
        """Count versions from an older one again, as after a backup was restored."""
        with self._lock:
            for one in (self._changes, self._pages, self._trimmed):
                one.clear()
            self._version = max(1, self._version - SET_BACK)
            for kept in self._objects.values():
                for key, one in kept.items():
                    self._version += 1
                    kept[key] = _with_version(one, self._version)
            self._oldest = self._version

    # Inside

    def _stored(self, resource: Resource, namespace: str, name: str) -> Stored:
        try:
            return self._objects[resource][namespace, name]
        except KeyError:
            raise MissingError(f'{resource} "{name}" not found') from None

    def _sorted(self, resource: Resource, namespace: str | None) -> Iterator[Stored]:
        kept = self._objects.get(resource, {})
        for key in sorted(kept):
            if namespace is None or key[0] == namespace:
                yield kept[key]

    def _put(self, resource: Resource, key: Key, before: Stored | None, wanted: Object) -> Object:
        if before is not None and _same(before.obj, wanted):
            return before.copy()
        metadata = {**wanted["metadata"], "resourceVersion": str(self._version + 1)}
        now = Stored({**wanted, "metadata": metadata})
        self._objects.setdefault(resource, {})[key] = now
        self._note(resource, before, now)
        self.changed()
        return now.copy()

    def _note(self, resource: Resource, before: Stored | None, now: Stored | None) -> None:
        self._version += 1
        changes = self._changes.setdefault(resource, [])
        changes.append(Change(self._version, before, now))
        if len(changes) > self.window:
            gone = len(changes) - self.window
            self._trimmed[resource] = changes[gone - 1].version
            del changes[:gone]

    def _page(self, items: list[Stored], version: int, limit: int) -> Page:
        if not limit or len(items) <= limit:
            return Page(items, version, "", 0)
        token = uuid.uuid4().hex
        self._pages[token] = (items[limit:], version)
        return Page(items[:limit], version, token, len(items) - limit)


def _key(obj: Object) -> Key:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _is_within(change: Change, namespace: str | None) -> bool:
    one = change.now or change.before
    assert one is not None
    return namespace is None or one.obj["metadata"].get("namespace", "") == namespace


def _event(kind: str, stored: Stored) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), stored.watched)


def _with_version(stored: Stored, version: int) -> Stored:
    metadata = {**stored.obj["metadata"], "resourceVersion": str(version)}
    return Stored({**stored.obj, "metadata": metadata})


def _same(before: Object, wanted: Object) -> bool:
    return _unversioned(before) == _unversioned(wanted)


def _unversioned(obj: Object) -> Object:
    metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
    return {**obj, "metadata": metadata}


def _completed(resource: Resource, obj: Object, before: Object | None) -> Object:
    """Add what an API server adds."""
    wanted = {"kind": resource.kind, "apiVersion": resource.api_version, **obj}
    metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
    old: Mapping[str, Any] = {} if before is None else before["metadata"]
    metadata["uid"] = old.get("uid") or metadata.get("uid") or str(uuid.uuid4())
    metadata["creationTimestamp"] = (
        old.get("creationTimestamp")
        or metadata.get("creationTimestamp")
        or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    if resource.plural == "namespaces":
        labels = metadata.get("labels") or {}
        metadata["labels"] = {"kubernetes.io/metadata.name": metadata["name"], **labels}
    if resource.group:
        metadata["generation"] = _generation(wanted, before)
    if resource.group == GATEWAY_API:
        # Their status is a part of its own: whoever applies them does not touch it.
        wanted.pop("status", None)
        if before is not None and "status" in before:
            wanted["status"] = before["status"]
    return {**wanted, "metadata": metadata}


def _generation(wanted: Object, before: Object | None) -> int:
    if before is None:
        return 1
    is_same = _meant(before) == _meant(wanted)
    return int(before["metadata"]["generation"]) + (not is_same)


def _meant(obj: Object) -> Object:
    return {k: v for k, v in obj.items() if k not in ("metadata", "status")}
