"""A route, compiled: what it asks of a request, and the plan for those it gets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from fengling_gateway.routing.matchers import Condition, RequestView, compile_conditions
from fengling_gateway.routing.template import PathTemplate, parse_template

HostRank = tuple[int, int]
"""Sort key of a host pattern: exact, then wildcards with the longer first, then any."""

SortKey = tuple[int, HostRank, tuple[int, int, tuple[bool, ...]], int, int, str]


class Route:
    """
    One compiled route; immutable once built.

    Host and path are found by the index, not asked here. ``plain`` says that
    nothing else is asked either, which spares most routes a call per match.
    """

    __slots__ = (
        "conditions",
        "enabled",
        "hosts",
        "id",
        "methods",
        "path",
        "plain",
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
        self.valid_from: float | None = body["valid_from"]
        self.valid_to: float | None = body["valid_to"]
        self.plan = plan
        self.plain = self.methods is None and not self.condition_count

    def __repr__(self) -> str:
        return f"<Route {self.id} {self.path}>"

    @property
    def template(self) -> PathTemplate:
        """Parsed on demand: only needed while the index changes."""
        return parse_template(self.path)

    @property
    def condition_count(self) -> int:
        """Conditions beyond host, path and method; a validity period counts as one."""
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

    def accepts(self, request: RequestView, now: float) -> bool:
        """Whether a request to one of its hosts and paths meets everything else."""
        if self.methods is not None and request.method not in self.methods:
            return False
        if self.valid_from is not None and now < self.valid_from:
            return False
        if self.valid_to is not None and now >= self.valid_to:
            return False
        for condition in self.conditions:
            if not condition.holds(request):
                return False
        return True


def compile_route(body: Mapping[str, Any], plan: object) -> Route:
    """
    Compile a canonical route body.

    Raises:
        ValueError: the path is no template, or a network is none. Validation
            lets neither through.
    """
    parse_template(body["path"])
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
