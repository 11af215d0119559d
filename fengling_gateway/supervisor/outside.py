"""What the supervisor talks to, beside its workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.defer import Deferred, maybeDeferred

from fengling_gateway.configsource.reading import ConfigSource, ProberRow
from fengling_gateway.model.delta import Delta, Position
from fengling_gateway.model.entity import Key
from fengling_gateway.supervisor.bus import Bus
from fengling_gateway.supervisor.key_fetch import Fetched
from fengling_gateway.supervisor.key_sets import KeyFile
from fengling_gateway.supervisor.launch import Launcher
from fengling_gateway.supervisor.pinning import NoPins, Pins
from fengling_gateway.supervisor.span_export import SpanExport


class Journal(Protocol):
    """The last-known-good file, all of it off the reactor thread."""

    failures: int
    is_failing: bool

    def load(self) -> Deferred[tuple[Position, dict[Key, bytes]] | None]: ...

    def find(self, epoch: str, revision: int) -> Deferred[tuple[Position, dict[Key, bytes]] | None]:
        """Return what was served at a revision once, as far as it is kept."""

    def append(self, delta: Delta, bodies: Callable[[], dict[Key, bytes]]) -> None: ...

    def retry(self) -> None: ...

    def stop(self) -> Deferred[None]: ...


@dataclass(frozen=True, slots=True)
class Outside:
    """
    All of it.

    `launcher` takes what returns the sockets that workers inherit. `read_prober` asks who
    probes instances; None where there is no database to tell. `spans` sends traces; None where
    nobody wants any.
    """

    source: ConfigSource
    bus: Bus
    journal: Journal
    launcher: Callable[[Callable[[], dict[str, list[Any]]]], Launcher]
    fetch_keys: Callable[[Mapping[str, Any]], Deferred[Fetched]]
    key_file: KeyFile
    read_prober: Callable[[], Deferred[ProberRow | None]] | None = None
    spans: SpanExport | None = None
    pins: Pins = field(default_factory=NoPins)
    in_thread: Callable[..., Deferred[Any]] = maybeDeferred
    """Runs what blocks on files; one at a time."""
