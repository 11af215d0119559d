"""A route, compiled: what it asks of a request, and the plan for those it gets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from fengling_gateway.routing.matchers import Condition, RequestView, compile_conditions
from fengling_gateway.routing.re2packs import check_regex
from fengling_gateway.routing.template import REGEX, PathTemplate, parse_template

HostRank = tuple[int, int]
"""Sort key of a host pattern: exact, then wildcards with the longer first, then any."""

SortKey = tuple[int, HostRank, tuple[int, int, tuple[bool, ...]], int, int, str]


class Route:
    """
    One compiled route; immutable once built.

    Host and path are found by the index. ``asks`` says whether anything else is
    asked of a request; most routes spare a match the question. (Slots are laid
    out by name: this one is next to the header, which a match fetches anyway.)
    """

    __slots__ = (
        "asks",
        "conditions",
        "counts_as",
        "enabled",
        "hosts",
        "id",
        "methods",
        "path",
        "plan",
        "priority",
        "tenant_id",
        "valid_from",
        "valid_to",
    )

    def __init__(
        self, body: Mapping[str, Any], plan: object, conditions: tuple[Condition, ...]
    ) -> None:
        self.id: str = body["id"]
        self.tenant_id: str | None = body["tenant_id"]
        self.enabled: bool = body["enabled"]
        self.priority: int = body["priority"]
        self.hosts = _host_patterns(tuple(body["hosts"]))
        self.path: str = body["path"]
        self.methods = _methods(tuple(body["methods"])) if body["methods"] else None
        self.conditions = conditions
        self.counts_as: int | None = body["match"].get("counts_as")
        self.valid_from: float | None = body["valid_from"]
        self.valid_to: float | None = body["valid_to"]
        self.plan = plan
        self.asks = self.methods is not None or self._own_conditions > 0

    def __repr__(self) -> str:
        return f"<Route {self.id} {self.path}>"

    @property
    def template(self) -> PathTemplate:
        """Parsed on demand: only needed while the index changes."""
        return parse_template(self.path)

    @property
    def condition_count(self) -> int:
        """
        Conditions beyond host, path and method; a validity period counts as one.

        Where the route says as how many its conditions count, it is that.
        """
        return self._own_conditions if self.counts_as is None else self.counts_as

    @property
    def _own_conditions(self) -> int:
        bounded = self.valid_from is not None or self.valid_to is not None
        return len(self.conditions) + bounded

    @property
    def leaf_key(self) -> tuple[int, bool, int, str]:
        """Sort key among routes of one host pattern and one path."""
        return (-self.priority, self.methods is None, -self.condition_count, self.id)

    @property
    def sort_key(self) -> SortKey:
        """Place in the total order by the most specific of its hosts."""
        return self.sort_key_for(min(map(host_rank, self.hosts or (b"",))))

    def sort_key_for(self, host: HostRank) -> SortKey:
        """Place in the total order when it is that host pattern that matched."""
        priority, any_method, conditions, route_id = self.leaf_key
        return (priority, host, self.template.rank, any_method, conditions, route_id)

    def taking(self, request: RequestView, now: float) -> Route | None:
        """Return this route if a request to its host and path meets everything else."""
        if self.methods is not None and request.method not in self.methods:
            return None
        if self.valid_from is not None and now < self.valid_from:
            return None
        if self.valid_to is not None and now >= self.valid_to:
            return None
        for condition in self.conditions:
            if not condition.holds(request):
                return None
        return self


def compile_route(body: Mapping[str, Any], plan: object) -> Route:
    """
    Compile a canonical route body.

    Raises:
        ValueError: the path is neither template nor regex, or a network is
            none. Validation lets neither through.
    """
    template = parse_template(body["path"])
    if template.kind == REGEX:
        check_regex(template.pattern)
    return Route(body, plan, compile_conditions(body["match"]))


def host_rank(pattern: bytes) -> HostRank:
    """Rank a host pattern; the empty one stands for any host."""
    if not pattern:
        return (2, 0)
    if pattern.startswith(b"*."):
        return (1, -len(pattern))
    return (0, 0)


@lru_cache(maxsize=4096)
def _host_patterns(hosts: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(map(compile_host_pattern, hosts)))


def compile_host_pattern(host: str) -> bytes:
    """Return a host pattern as the bytes to compare: lower case, ASCII, no trailing dot."""
    name = host.rstrip(".").lower()
    return name.encode("ascii" if name.isascii() else "idna")


@lru_cache(maxsize=1024)
def _methods(methods: tuple[str, ...]) -> frozenset[bytes]:
    return frozenset(method.upper().encode() for method in methods)
