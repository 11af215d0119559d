"""The files that say how this host resolves names, read again when they change."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

from fengling_gateway.dataplane.dns_configuration import (
    ResolverConfiguration,
    Server,
    read_hosts,
    read_resolv_conf,
)

MAX_FILE_BYTES: Final = 1024 * 1024
"""What is read of a file. Reading it holds up the worker; lists of 10,000 hosts are shorter."""

T = TypeVar("T")


class NameFiles:
    """
    resolv.conf and hosts.

    Args:
        servers: whom to ask in place of those in resolv.conf, if any.
    """

    def __init__(self, *, resolv_conf: str, hosts: str, servers: tuple[Server, ...]) -> None:
        self._resolv_conf = _File(resolv_conf, read_resolv_conf)
        self._hosts = _File(hosts, read_hosts)
        self._servers = servers

    def configuration(self) -> ResolverConfiguration:
        """Return how to resolve, as of now."""
        found = self._resolv_conf.content()
        return found._replace(servers=self._servers) if self._servers else found

    def hosts(self) -> Mapping[str, tuple[str, ...]]:
        """Return the names that this host knows by itself, as of now."""
        return self._hosts.content()


class _File(Generic[T]):
    """A file; one that can't be read is as an empty one."""

    def __init__(self, path: str, read: Callable[[str], T]) -> None:
        self._path = path
        self._read = read
        self._state: tuple[int, ...] | None = None
        self._content = read("")

    def content(self) -> T:
        try:
            found = os.stat(self._path)
            state = (found.st_mtime_ns, found.st_size, found.st_ino)
            if state != self._state:
                with open(self._path, "rb") as file:
                    data = file.read(MAX_FILE_BYTES + 1)
                if len(data) > MAX_FILE_BYTES:
                    data = data[: data.rfind(b"\n", 0, MAX_FILE_BYTES) + 1]
                self._content = self._read(data.decode("latin-1"))
                self._state = state
        except OSError:
            self._state = None
            self._content = self._read("")
        return self._content
