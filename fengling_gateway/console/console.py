"""A console: its parts, started in order and stopped in the other one."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from fengling_gateway.access.site import BoundedSite
from fengling_gateway.console.call import MAX_BODY_BYTES
from fengling_gateway.console.events import MAX_STREAMS, Events
from fengling_gateway.console.fleet import FleetWatch, States
from fengling_gateway.console.mirror import Applied, Mirror
from fengling_gateway.console.store import Store
from fengling_gateway.console.summary import Summary

_log = Logger(namespace="fengling.console")

MAX_CONNECTIONS: Final = 2 * MAX_STREAMS
"""Each open page has one for what happens, and others for what somebody does."""


@dataclass(frozen=True, slots=True)
class Parts:
    """
    What a console is made of.

    Attributes:
        bus: over Redis; None without.
        others: are started and stopped with it: whoever probes, whoever watches sessions.
    """

    store: Store
    mirror: Mirror
    fleet: FleetWatch
    bus: Any
    events: Events
    summary: Summary
    others: tuple[Any, ...]


class Console:
    """
    Args:
        bind: takes the listener's socket; raises what ends the start.
        resource: what is served there.
        refusals: counts connections that are dropped, too.
        replace_keys: takes keys from other settings.
        url: where it is, for the log.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        parts: Parts,
        bind: Callable[[], socket.socket],
        resource: Any,
        refusals: Counter[str],
        replace_keys: Callable[[Any], None],
        url: str,
    ) -> None:
        self._reactor = reactor
        self._parts = parts
        self._bind = bind
        self._resource = resource
        self._refusals = refusals
        self._replace_keys = replace_keys
        self._url = url
        self._port: IListeningPort | None = None
        parts.mirror.on_change(self._changed)
        parts.fleet.on_change(self._fleet_seen)

    @property
    def port(self) -> int:
        """The port in use once started."""
        bound: Any = self._port
        return int(bound.getHost().port)

    def start(self) -> None:
        with self._bind() as listening:
            site = BoundedSite(
                self._resource,
                reactor=self._reactor,
                refusals=self._refusals,
                max_body_bytes=MAX_BODY_BYTES,
                max_connections=MAX_CONNECTIONS,
            )
            self._port = self._reactor.adoptStreamPort(listening.fileno(), listening.family, site)
        self._parts.store.start()
        self._parts.mirror.start()
        if self._parts.bus is not None:
            self._parts.bus.start()
        self._parts.fleet.start()
        self._parts.events.start()
        for one in self._parts.others:
            one.start()
        _log.info("the console is at {url}", url=self._url, log_id="console.started")

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        parts = self._parts
        await _ended(*(one.stopListening for one in (self._port,) if one is not None))
        await _ended(parts.events.stop, *(one.stop for one in reversed(parts.others)))
        await _ended(parts.fleet.stop)
        await _ended(parts.mirror.stop, *(one.stop for one in (parts.bus,) if one is not None))
        await _ended(parts.store.stop)
        _log.info("stopped", log_id="console.stopped")

    def settings_changed(self, settings: Any) -> None:
        """Take the keys, also where they are the same; all else stays until a restart."""
        self._replace_keys(settings)

    def _changed(self, applied: Applied) -> None:
        self._parts.events.tell(
            "revision",
            {
                "position": applied.position._asdict(),
                "changes": [
                    {"kind": key.kind, "id": key.id, "deleted": body is None}
                    for key, body in list(applied.changes)[:50]
                ],
                "change_count": len(applied.changes),
                "revisions": [
                    {
                        "id": one.revision,
                        "kind": one.kind,
                        "author": one.author,
                        "comment": one.comment,
                        "application": one.application,
                    }
                    for one in applied.revisions[-10:]
                ],
                "rejected": [str(key) for key in applied.newly_rejected[:10]],
            },
        )
        self._tell_summary()

    def _fleet_seen(self, states: States) -> None:
        if len(self._parts.events):
            self._tell_summary()
            self._parts.events.tell(
                "fleet",
                {"nodes": [state for _, state in sorted(states.items())]},
                changes_only=True,
            )

    def _tell_summary(self) -> None:
        if len(self._parts.events):
            self._parts.events.tell("summary", self._parts.summary.value(), changes_only=True)


async def _ended(*stops: Callable[[], Any]) -> None:
    """Wait until some parts have stopped; what goes wrong in one keeps no other from it."""
    for succeeded, result in await DeferredList(
        [maybeDeferred(one) for one in stops], consumeErrors=True
    ):
        if not succeeded:
            _log.failure(
                "a part of the console did not stop as it should",
                result,
                log_id="console.stop_failed",
            )
