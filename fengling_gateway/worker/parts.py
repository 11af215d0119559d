"""What a worker's agent drives, and who makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from fengling_gateway.auth.secrets import SecretResolver
from fengling_gateway.model.delta import Position
from fengling_gateway.worker.applier import Applier


class Subscriber(Protocol):
    """Hears announcements, or carries counts; `fengling_gateway.syncbus` has the real ones."""

    def start(self) -> None: ...

    def stop(self) -> Deferred[None]: ...

    def replace_keys(self, keys: Iterable[str]) -> None: ...


class DebugValues(Protocol):
    """Knows good debug headers; `fengling_gateway.syncbus.debug` has the real one."""

    def id_in(self, value: bytes) -> str | None: ...

    def replace_keys(self, keys: Iterable[str]) -> None: ...


class WorkerParts(Protocol):
    """Makes what an agent drives, from the values of `Message.CONFIGURE`."""

    def data_plane(self, configuration: dict[str, Any]) -> Any:
        """Return the `DataPlane`, not yet listening."""

    def applier(self) -> Applier:
        """Return an applier with an empty snapshot."""

    def resolver(self, secrets: dict[str, Any]) -> SecretResolver:
        """Return what makes bytes of secrets; the argument is ``configuration["secrets"]``."""

    def sockets(self, configuration: dict[str, Any]) -> dict[str, list[Any]]:
        """Return the listening sockets by listener name, one per slot."""

    def subscriber(
        self, configuration: dict[str, Any], heard: Callable[[Position], None]
    ) -> Subscriber | None:
        """Return what listens for announcements; None without Redis."""

    def debug_values(self, configuration: dict[str, Any]) -> DebugValues | None:
        """Return what knows good debug headers; None without Redis, whose keys sign them."""

    def limit_sync(self, configuration: dict[str, Any], plane: Any) -> Subscriber | None:
        """Return what has the limits of a data plane counted with others; None without Redis."""
