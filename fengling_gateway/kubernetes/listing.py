"""A list of all objects of a resource, in pages, as it was at one version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from fengling_gateway.kubernetes.bodies import TURN_SECONDS
from fengling_gateway.kubernetes.errors import BROKEN, SILENT, ApiError
from fengling_gateway.kubernetes.failures import ABSENT, EXPIRED
from fengling_gateway.kubernetes.resources import ENDPOINT_SLICES, Resource

T = TypeVar("T")

Object = dict[str, Any]

PAGE_OBJECTS: Final = 500
"""What client libraries of the cluster's own ask for, too."""

PAGE_SLICES: Final = 100
"""Of EndpointSlices, each of which may be as long as a hundred other objects."""

LIST_SECONDS: Final = 300.0
"""For all pages: so long the API server remembers, by default, what the first one was of."""


class Pages(Protocol):
    """What pages come from; `fengling_gateway.kubernetes.api.ApiServer` is one."""

    def get(self, path: str, query: Mapping[str, str]) -> Deferred[dict[str, Any]]: ...


class Lister:
    """
    Lists one resource, in the newest version that the API server knows.

    Args:
        namespace: None for all of them.
        selection: the part of the query that says which objects.

    Attributes:
        path: of the version that was asked for last.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        server: Pages,
        resource: Resource,
        namespace: str | None,
        selection: Mapping[str, str],
    ) -> None:
        self._clock = clock
        self._server = server
        self._paths = [one.path(namespace) for one in resource.versions]
        self.path = self._paths[0]
        self._selection = selection
        self._limit = str(PAGE_SLICES if resource == ENDPOINT_SLICES else PAGE_OBJECTS)

    def list_all(self, new: Callable[[], T], take: Callable[[T, Object], None]) -> Deferred[Any]:
        """
        Return what was begun by `new`, when `take` has been given all objects, and their version.

        Fails with `ApiError`. Taking never lasts much longer than `TURN_SECONDS` in one turn of
        the reactor.
        """
        listing = Deferred.fromCoroutine(self._list(new, take))
        return listing.addTimeout(LIST_SECONDS, self._clock, _too_slow)

    async def version(self) -> str:
        """Return the version that the API server is at now; raises `ApiError`."""
        page = await self._server.get(self.path, {**self._selection, "limit": "1"})
        return _version_of(page)

    async def _list(self, new: Callable[[], T], take: Callable[[T, Object], None]) -> tuple[T, str]:
        # From the newest on each time: what is installed may be another by now.
        *newer, oldest = self._paths
        for path in newer:
            self.path = path
            try:
                return await self._list_version(new, take)
            except ApiError as error:
                if error.status != ABSENT:
                    raise
        self.path = oldest
        return await self._list_version(new, take)

    async def _list_version(
        self, new: Callable[[], T], take: Callable[[T, Object], None]
    ) -> tuple[T, str]:
        try:
            return await self._pages({"limit": self._limit}, new(), take)
        except ApiError as error:
            if error.status != EXPIRED:
                raise
        # It takes longer than the server remembers: so all at once, of another version.
        return await self._pages({}, new(), take)

    async def _pages(
        self, limit: Mapping[str, str], listing: T, take: Callable[[T, Object], None]
    ) -> tuple[T, str]:
        query = {**self._selection, **limit}
        while True:
            page = await self._server.get(self.path, query)
            await self._take_page(page, lambda one: take(listing, one))
            token = _metadata(page).get("continue")
            if not token:
                return listing, _version_of(page)
            query["continue"] = str(token)

    async def _take_page(self, page: Object, take: Callable[[Object], None]) -> None:
        items = page.get("items")
        until = self._clock.seconds() + TURN_SECONDS
        for one in items if isinstance(items, list) else ():
            if isinstance(one, dict):
                take(one)
            if self._clock.seconds() >= until:
                await deferLater(self._clock, 0)
                until = self._clock.seconds() + TURN_SECONDS


def _metadata(page: Object) -> Object:
    metadata = page.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _version_of(page: Object) -> str:
    version = _metadata(page).get("resourceVersion")
    if not isinstance(version, str) or not version:
        raise ApiError(0, BROKEN, "it answers with a list that has no version")
    return version


def _too_slow(_result: Any, seconds: float) -> Any:
    raise ApiError(0, SILENT, f"listing has taken more than {seconds:g} s")
