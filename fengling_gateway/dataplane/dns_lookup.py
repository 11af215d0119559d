"""One name: every name that it may stand for, by both kinds of addresses, until one is found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from fengling_gateway.dataplane.dns_configuration import ResolverConfiguration, names_to_ask
from fengling_gateway.dataplane.dns_message import AAAA, A
from fengling_gateway.dataplane.dns_outcome import Found, Missing, Outcome, Unknown, together
from fengling_gateway.dataplane.dns_query import RESEND_SECONDS, Query, Servers

OTHER_KIND_SECONDS: Final = {A: 0.05, AAAA: 1.5 * RESEND_SECONDS}
"""
How long an answer about one kind of addresses waits for the other (RFC 8305, 3).

Those of IPv4 are tried first, so that they are worth being asked for once more.
"""


class Lookup:
    """
    Finds the addresses of a name.

    Args:
        done: is told the outcome, once; not after `cancel`.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        servers: Servers,
        configuration: ResolverConfiguration,
        name: str,
        done: Callable[[Outcome], None],
    ) -> None:
        self._reactor = reactor
        self._servers = servers
        self._order = servers.in_order(configuration.servers)
        self._names = names_to_ask(name, configuration)
        self._done = done
        self._queries: dict[int, Query] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._missing: list[Missing] = []
        self._grace: Any = None

    def __repr__(self) -> str:
        return f"<Lookup {self._names}>"

    def start(self) -> None:
        if not self._names:
            self._done(Unknown("no DNS server can be asked for such a name"))
            return
        name = self._names.pop(0)
        self._outcomes = {}
        for kind in (A, AAAA):
            query = self._queries[kind] = Query(
                reactor=self._reactor,
                servers=self._servers,
                order=self._order,
                name=name,
                kind=kind,
                done=partial(self._told, kind),
            )
            query.start()

    def cancel(self) -> None:
        """Ask no more."""
        queries, self._queries = self._queries, {}
        for query in queries.values():
            query.cancel()
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def _told(self, kind: int, outcome: Outcome) -> None:
        del self._queries[kind]
        self._outcomes[kind] = outcome
        if not self._queries:
            self._judge()
        elif _suffices(outcome):
            seconds = OTHER_KIND_SECONDS[kind]
            self._grace = self._reactor.callLater(seconds, self._wait_no_more)

    def _wait_no_more(self) -> None:
        self._grace = None
        self._judge()

    def _judge(self) -> None:
        late = Unknown("no answer came")
        outcome = together(self._outcomes.get(A, late), self._outcomes.get(AAAA, late))
        self.cancel()
        if isinstance(outcome, Missing):
            self._missing.append(outcome)
            if self._names:
                self.start()
                return
            outcome = Missing(min(one.ttl for one in self._missing))
        self._done(outcome)


def _suffices(outcome: Outcome) -> bool:
    """Whether this is an outcome even if nobody can tell about the other kind."""
    return isinstance(outcome, Found) or (isinstance(outcome, Missing) and not outcome.exists)
