"""What the management API expects of the gateway that it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol, get_args

from twisted.internet.defer import Deferred

from fengling_gateway.model.entity import Key
from fengling_gateway.observability.places import Places
from fengling_gateway.records.ring import Ring

Wait = Literal["none", "node", "all"]
RouteSort = Literal["rate", "errors", "latency"]
ROUTE_SORTS: Final = get_args(RouteSort)


class Audience(Protocol):
    """Who looks on at requests."""

    def requests(self, requests: list[dict[str, Any]], left_out: int) -> None:
        """Requests have ended (`fengling_gateway.records.plain`), and more that are not told."""

    def over(self, why: str) -> None:
        """Nothing more is told: ``time``, ``stopped`` or ``failed``."""


class ManagedGateway(Protocol):
    """
    A gateway, as seen by its operators. Called on the reactor thread.

    A Deferred may fail with `LookupError` (there is no such thing),
    ``ValueError`` (the request makes no sense), `SourceError` or `BusError`
    (somebody else did not answer); anything else is a fault of ours.
    """

    def status(self) -> dict[str, Any]:
        """Return everything about this node; of what is rejected the first, and how many."""

    def workers(self) -> list[dict[str, Any]]:
        """Return the workers of this node."""

    def fleet(self) -> Deferred[dict[str, Any]]:
        """
        Return ``workers`` of every node, and whether that is ``complete``.

        It is not, with a ``reason``, when Redis does not answer.
        """

    def bodies(self) -> Mapping[Key, bytes]:
        """Return the canonical bodies that are served; read, and not kept."""

    def management_token(self, token_id: str) -> Mapping[str, Any] | None:
        """
        Return what is kept of a token for this API; None if that is nothing.

        Where no configuration is known yet, nobody knows what is revoked: what
        is returned limits every token to reading.
        """

    def position(self) -> dict[str, Any] | None:
        """Return which revision is served; None before there is one."""

    def content_hash(self) -> int:
        """Return the hash of them all: the same for the same bodies."""

    def rejected(self, *, after: Key | None, limit: int) -> list[dict[str, Any]]:
        """Return the next `limit` rejected entities after one, by kind and id."""

    def rejection(self, key: Key) -> dict[str, Any] | None:
        """Return what is wrong with an entity; None if it is not rejected."""

    def refusal(self, address: str) -> str | None:
        """Say why nothing is sent to an instance at an address; None where this is allowed."""

    def reload(
        self, *, comment: str | None, wait: Wait, timeout: float
    ) -> Deferred[dict[str, Any]]:
        """
        Look at the source now.

        Args:
            wait: for nothing, for the workers here, or for those of every live node.
            timeout: seconds until the answer comes in any case.

        Returns:
            ``position``, ``source_answered``, ``source_error`` (why not),
            ``behind`` (workers that do not serve it yet), ``complete``; or only
            ``looking`` without a wait.
        """

    def confirm(self, revision: int, author: str) -> Deferred[dict[str, Any]]:
        """Serve a held revision after all."""

    def drain(self, on: bool, by: str) -> dict[str, Any]:
        """
        Send clients elsewhere, or no longer: not ready, and no connection is kept.

        Returns ``drained``.
        """

    def restart(self) -> dict[str, Any]:
        """
        Begin to replace the workers, one after the other.

        Returns ``restarting``, and ``restarts``: how many have begun until now.

        Raises:
            ValueError: there are none to replace.
        """

    def pin(
        self, *, revision: int | None, everywhere: bool, by: str, comment: str
    ) -> Deferred[dict[str, Any]]:
        """
        Serve a revision until it is unpinned, whatever is committed; None: that which is served.

        Returns ``pinned``, ``position``, ``problem`` (why it ends with this process, or None), and
        with `everywhere` whether that is ``complete``, and how many other nodes were ``told``.
        Fails with `LookupError` where that revision can't be had.
        """

    def unpin(self, *, everywhere: bool, by: str) -> Deferred[dict[str, Any]]:
        """Serve what is newest, at once; returns as `pin` does."""

    def explain(self, request: dict[str, Any]) -> Deferred[dict[str, Any]]:
        """Say which route a request would take, and why not the others."""

    def counters(self) -> Deferred[dict[str, dict[str, Any]]]:
        """Return the counters of each worker that answers, by its name."""

    def past_counters(self) -> Mapping[str, Any]:
        """Return what workers have counted that `counters` has just not told of, together."""

    @property
    def places(self) -> Places | None:
        """What has series of its own in the metrics of this host; None: everything."""

    def own_counters(self) -> Mapping[str, Any]:
        """Return what the gateway itself has counted, in the shape of what workers tell."""

    def names(self) -> Deferred[dict[str, list[dict[str, Any]]]]:
        """Return the names of instances that each worker that answers knows, by its name."""

    def debug(self) -> Deferred[dict[str, Any]]:
        """
        Return what each process of this node is doing now: ``supervisor`` and ``workers``.

        No value of the configuration or of a request is in it.
        """

    def route_traffic(self, sort: RouteSort, limit: int) -> Deferred[dict[str, Any]]:
        """
        Return what routes have served of late, the first so many by rate, errors or latency.

        ``items`` has a row for each route and service of it; ``windows`` the seconds that they are of;
        ``routes``, how many such rows there would be.
        """

    def tap(
        self, tap_filter: Mapping[str, Any], *, seconds: float, audience: Audience
    ) -> Callable[[], None]:
        """
        Have requests told as they end, and return what ends that.

        Args:
            tap_filter: as of `fengling_gateway.records.tap_filter.TapFilter.to_json`.
            seconds: after which it ends in any case.

        Raises:
            ValueError: there are as many as there may be.
        """

    def exchanges(self) -> Ring:
        """Return the exchanges that failed or were slow, as far as they are kept; to be read only."""

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether every worker serves one good configuration and clients may come, and why not."""
