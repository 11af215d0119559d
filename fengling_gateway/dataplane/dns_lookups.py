"""How this host resolves names: by its files, and by asking the servers that they name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fengling_gateway.dataplane.dns_configuration import of_this_host
from fengling_gateway.dataplane.dns_files import NameFiles
from fengling_gateway.dataplane.dns_outcome import Found, Outcome

if TYPE_CHECKING:
    from fengling_gateway.dataplane.dns_lookup import Lookup

HOSTS_TTL_SECONDS: Final = 5.0
"""How long what the file hosts says holds; then it is looked at again."""


class Lookups:
    """Makes lookups."""

    def __init__(self, *, reactor: Any, files: NameFiles) -> None:
        self._reactor = reactor
        self._files = files
        self._servers: Any = None

    def at_once(self, name: str) -> Found | None:
        """Return what nobody need be asked for; None where somebody must be."""
        addresses = of_this_host(name, self._files.hosts())
        return Found(addresses, HOSTS_TTL_SECONDS) if addresses else None

    def new(self, name: str, done: Callable[[Outcome], None]) -> Lookup:
        """Return a lookup that is yet to be started."""
        # Slow to import, and most workers have no name to look up.
        from fengling_gateway.dataplane.dns_lookup import Lookup
        from fengling_gateway.dataplane.dns_query import Servers

        if self._servers is None:
            self._servers = Servers(self._reactor.seconds)
        return Lookup(
            reactor=self._reactor,
            servers=self._servers,
            configuration=self._files.configuration(),
            name=name,
            done=done,
        )
