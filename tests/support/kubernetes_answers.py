"""What a pretended API server says to each request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fengling_gateway.kubernetes import resources
from fengling_gateway.kubernetes.resources import Resource
from tests.support.kubernetes_access import Access, Asked
from tests.support.kubernetes_faults import Faults
from tests.support.kubernetes_http import Answer, Request
from tests.support.kubernetes_selectors import selection
from tests.support.kubernetes_store import ConflictError, ExpiredError, MissingError, Object, Store
from tests.support.kubernetes_watch import Watch

RESOURCES = tuple(one for one in vars(resources).values() if isinstance(one, Resource))

_CONFLICT = (
    'Operation cannot be fulfilled on {} "{}": the object has been modified; please apply your '
    "changes to the latest version and try again"
)
_CONTINUE = "The provided continue parameter is too old to display a consistent list result."
_PLAIN = "text/plain; charset=utf-8"
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Logged(NamedTuple):
    """
    A request that came.

    Attributes:
        verb: as RBAC calls it; empty of what is no resource.
        version: of the resource, which may be an older one.
        status: 0 where it is not answered.
    """

    verb: str
    resource: Resource | None
    version: str
    subresource: str | None
    namespace: str | None
    name: str | None
    query: dict[str, str]
    headers: dict[str, str]
    user: str | None
    status: int


class Cluster:
    """
    What there is, who may see it, and what is wrong with it.

    Attributes:
        bookmark_seconds: how often watches that want bookmarks get one.
        installed: the resources that there are, each version by itself.
        log: the requests that came, in order.
    """

    def __init__(self) -> None:
        self.access = Access()
        self.bookmark_seconds = 60.0
        self.faults = Faults()
        self.installed = {version for one in RESOURCES for version in one.versions}
        self.log: list[Logged] = []
        self.store = Store()
        self.watches: set[Watch] = set()


class _RefusedError(Exception):
    def __init__(self, status: int, reason: str, message: str, retry_after: int | None = None):
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class _Place(NamedTuple):
    """
    What a path stands for.

    Attributes:
        version: the resource in the version that is asked for; what it shows is the same in each.
    """

    resource: Resource
    version: Resource
    namespace: str | None
    name: str | None
    subresource: str | None


_NOWHERE = _Place(Resource("", "", "", ""), Resource("", "", "", ""), None, None, None)


async def answer_request(cluster: Cluster, request: Request, answer: Answer) -> None:
    """Answer, or don't, as the cluster has it."""
    await _Exchange(cluster, request, answer).perform()


class _Exchange:
    def __init__(self, cluster: Cluster, request: Request, answer: Answer) -> None:
        self._cluster = cluster
        self._request = request
        self._answer = answer
        self._place = _place(request.path)
        self._asked = None if self._place is None else _asked(request, self._place)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        self._user = cluster.access.user(token)

    async def perform(self) -> None:
        try:
            place, asked = self._admitted()
            await self._go_wrong(asked)
            if asked.verb == "watch":
                await self._watch(place)
                return
            status, content = self._done(place, asked)
            self._note(status)
            await self._answer.whole(status, content)
        except _RefusedError as refused:
            self._note(refused.status)
            await self._say(refused)

    def _admitted(self) -> tuple[_Place, Asked]:
        """Judge in the order of the API server: who it is, what they may, what there is."""
        if self._user is None:
            raise _RefusedError(401, "Unauthorized", "Unauthorized")
        if self._place is None or self._asked is None:
            raise _RefusedError(404, "", "404 page not found\n")
        refusal = self._cluster.access.refusal(self._user, self._asked)
        if refusal is not None:
            raise _RefusedError(403, "Forbidden", refusal)
        if self._place.version not in self._cluster.installed:
            raise _RefusedError(404, "", "404 page not found\n")
        return self._place, self._asked

    async def _go_wrong(self, asked: Asked) -> None:
        faults = self._cluster.faults
        if faults.take("stall", asked.verb, asked.resource):
            self._note(0)
            await self._answer.left()
            raise ConnectionResetError
        refusal = faults.take("refuse", asked.verb, asked.resource)
        if refusal is not None:
            raise _RefusedError(*refusal.what)
        slow = faults.take("trickle", asked.verb, asked.resource)
        self._answer.bytes_per_second = None if slow is None else slow.what

    def _done(self, place: _Place, asked: Asked) -> tuple[int, bytes]:
        store, key = self._cluster.store, (place.namespace or "", place.name or "")
        try:
            if asked.verb == "list":
                return 200, self._list(place)
            if asked.verb == "get":
                return 200, _json(store.get(place.resource, *key))
            if asked.verb == "update":
                only_status = place.subresource == "status"
                body = self._body(place)
                return 200, _json(store.update(place.resource, body, only_status=only_status))
            if asked.verb == "delete":
                store.delete(place.resource, *key)
                return 200, _json({"kind": "Status", "apiVersion": "v1", "status": "Success"})
        except MissingError as missing:
            raise _RefusedError(404, "NotFound", str(missing)) from None
        except ConflictError:
            message = _CONFLICT.format(place.resource, place.name)
            raise _RefusedError(409, "Conflict", message) from None
        raise _RefusedError(405, "MethodNotAllowed", "the server does not allow this method here")

    def _list(self, place: _Place) -> bytes:
        query = self._request.query
        limit, token = int(query.get("limit", 0)), query.get("continue", "")
        selects = _selection(query)
        try:
            if token:
                page = self._cluster.store.next_page(token, limit)
            else:
                page = self._cluster.store.first_page(
                    place.resource, place.namespace, selects, limit
                )
        except ExpiredError:
            raise _RefusedError(410, "Expired", _CONTINUE) from None
        metadata: Object = {"resourceVersion": str(page.version)}
        if page.token:
            metadata["continue"] = page.token
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                metadata["remainingItemCount"] = page.remaining
        kind = f"{place.resource.kind}List"
        head = {"kind": kind, "apiVersion": place.version.api_version, "metadata": metadata}
        items = b",".join(one.listed for one in page.items)
        return _json(head)[:-1] + b',"items":[' + items + b"]}"

    async def _watch(self, place: _Place) -> None:
        query = self._request.query
        wants_bookmarks = query.get("allowWatchBookmarks") == "true"
        watch = Watch(
            store=self._cluster.store,
            faults=self._cluster.faults,
            answer=self._answer,
            resource=place.resource,
            namespace=place.namespace,
            selects=_selection(query),
            bookmarks=lambda: self._cluster.bookmark_seconds if wants_bookmarks else None,
        )
        version, seconds = _version(query), float(query.get("timeoutSeconds", 1800))
        self._note(200)
        self._cluster.watches.add(watch)
        leaving = asyncio.ensure_future(self._answer.left())
        leaving.add_done_callback(lambda _: watch.end())
        try:
            await watch.run(version, seconds)
        finally:
            self._cluster.watches.discard(watch)
            leaving.cancel()

    def _body(self, place: _Place) -> Object:
        try:
            body: Object = json.loads(self._request.body)
            name = (body["metadata"].get("namespace"), body["metadata"]["name"])
        except (ValueError, KeyError, TypeError):
            raise _RefusedError(400, "BadRequest", "the object provided is unrecognized") from None
        if name != (place.namespace, place.name):
            message = "the name of the object does not match the name on the URL"
            raise _RefusedError(400, "BadRequest", message)
        return body

    def _note(self, status: int) -> None:
        place = self._place or _NOWHERE
        verb = "" if self._asked is None else self._asked.verb
        self._cluster.log.append(
            Logged(
                verb=verb,
                resource=None if place is _NOWHERE else place.resource,
                version=place.version.version,
                subresource=place.subresource,
                namespace=place.namespace,
                name=place.name,
                query=self._request.query,
                headers=self._request.headers,
                user=self._user,
                status=status,
            )
        )

    async def _say(self, refused: _RefusedError) -> None:
        after = refused.retry_after
        headers = {} if after is None else {"Retry-After": str(after)}
        if not refused.reason:
            content = str(refused).encode()
            await self._answer.whole(refused.status, content, {"Content-Type": _PLAIN, **headers})
            return
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(refused),
            "reason": refused.reason,
            "code": refused.status,
        }
        await self._answer.whole(refused.status, _json(status), headers)


def _place(path: str) -> _Place | None:
    parts = path.strip("/").split("/")
    for resource, version in ((one, version) for one in RESOURCES for version in one.versions):
        root = version.path().strip("/").split("/")[:-1]
        if parts[: len(root)] != root:
            continue
        rest, namespace = parts[len(root) :], None
        if resource.is_namespaced and len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        if rest[:1] == [resource.plural] and (len(rest) < 3 or rest[2:] == ["status"]):
            name, subresource = [*rest[1:], None, None][:2]
            return _Place(resource, version, namespace, name, subresource)
    return None


def _asked(request: Request, place: _Place) -> Asked:
    if request.method != "GET":
        verb = _VERBS.get(request.method, "")
    elif request.query.get("watch") in ("true", "1"):
        verb = "watch"
    else:
        verb = "get" if place.name is not None else "list"
    return Asked(verb, place.resource, place.subresource, place.namespace)


def _version(query: Mapping[str, str]) -> int:
    said = query.get("resourceVersion", "") or "0"
    if not said.isdecimal():
        raise _RefusedError(400, "BadRequest", f'resourceVersion: Invalid value: "{said}"')
    return int(said)


def _selection(query: Mapping[str, str]) -> Callable[[Object], bool]:
    try:
        return selection(query.get("labelSelector", ""), query.get("fieldSelector", ""))
    except ValueError as error:
        raise _RefusedError(400, "BadRequest", str(error)) from None


def _json(obj: Any) -> bytes:
    return json.dumps(obj, separators=(",", ":")).encode()
