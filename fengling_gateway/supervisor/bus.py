"""What the supervisor expects of the bus between hosts, and life without one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed

from fengling_gateway.model.delta import Position
from fengling_gateway.syncbus.switches import Switch


class Bus(Protocol):
    """`fengling_gateway.syncbus` has the real one, over Redis."""

    @property
    def connected(self) -> bool: ...

    @property
    def last_error(self) -> str: ...

    @property
    def local_host(self) -> str | None: ...

    @property
    def counters(self) -> dict[str, int]: ...

    def start(self) -> None: ...

    def stop(self) -> Deferred[None]: ...

    def replace_keys(self, keys: Iterable[str]) -> None: ...

    def announce(self, position: Position) -> None: ...

    def publish_node(self, state: dict[str, Any]) -> None: ...

    def nodes(self) -> Deferred[dict[str, dict[str, Any]]]: ...

    def send_command(self, command: Any) -> Deferred[int]: ...

    def switches(self) -> Deferred[dict[str, Switch]]: ...

    def publish_evidence(self, instances: dict[str, dict[str, Any]]) -> None: ...


class NoBus:
    """Without Redis: this host is all there is, as far as anybody here can tell."""

    connected = False
    last_error = ""
    local_host: str | None = None
    counters: dict[str, int] = {}

    def start(self) -> None:
        pass

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def replace_keys(self, keys: Iterable[str]) -> None:
        pass

    def announce(self, position: Position) -> None:
        pass

    def publish_node(self, state: dict[str, Any]) -> None:
        pass

    def nodes(self) -> Deferred[dict[str, dict[str, Any]]]:
        return succeed({})

    def send_command(self, command: Any) -> Deferred[int]:
        return succeed(0)

    def switches(self) -> Deferred[dict[str, Switch]]:
        return succeed({})

    def publish_evidence(self, instances: dict[str, dict[str, Any]]) -> None:
        pass
