"""The policies ``rate_limit`` and ``concurrency``, compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fengling_gateway.model.limits import BUCKET, HEADER_KEY, parse_rate

ALL: Final = 0
ROUTE: Final = 1
ADDRESS: Final = 2
TENANT: Final = 3
SUBJECT: Final = 4
API_KEY: Final = 5
HEADER: Final = 6

_KEYS: Final = {
    "all": ALL,
    "route": ROUTE,
    "client_ip": ADDRESS,
    "tenant": TENANT,
    "subject": SUBJECT,
    "api_key": API_KEY,
}


class Limit:
    """
    A rate. Immutable; what is counted is in a `LimitTable`, under the id.

    Attributes:
        id: where it is configured and all its terms. A limit with other terms is
            another one, which begins with nothing counted.
        count, window: so many requests in so many seconds.
        burst: requests at once after a pause; the count where a window slides.
        is_bucket: whether it is a token bucket; else a window slides.
        key_kind: whose requests count together: one of the constants here.
        key_header: in lower case; empty unless that is `HEADER`.
        is_global: whether all workers of a cluster count together.
        on_failure: what a global one does while Redis is away: local, allow or deny.
        shows_headers: whether answers tell what is left.
        label: what answers call it.
        policy: a RateLimit-Policy header with its item alone.
        left: its item of a RateLimit header, but for two numbers.
    """

    __slots__ = (
        "burst",
        "count",
        "id",
        "is_bucket",
        "is_global",
        "key_header",
        "key_kind",
        "label",
        "left",
        "on_failure",
        "policy",
        "shows_headers",
        "window",
    )

    def __init__(self, policy: Mapping[str, Any], where: str, place: int) -> None:
        """
        Args:
            policy: one canonical limit.
            where: it is configured: ``route:<id>``, ``service:<id>`` or ``defaults``.
            place: in the list there.
        """
        rate = parse_rate(policy["rate"])
        assert rate is not None, "the policy is canonical"
        self.count, self.window = rate
        self.is_bucket: bool = policy["algorithm"] == BUCKET
        self.burst: int = policy["burst"] if self.is_bucket else self.count
        self.key_kind, self.key_header = _key(policy["key"])
        self.is_global: bool = policy["where"] == "global"
        self.on_failure: str = policy["on_redis_failure"]
        self.shows_headers: bool = policy["headers"]
        algorithm = "bucket" if self.is_bucket else "window"
        reach = self.on_failure if self.is_global else "here"
        terms = f"{algorithm} {policy['rate']} {self.burst} {policy['key']} {reach}"
        self.id = f"{where}#{place} {terms}"
        name = "header" if self.key_header else policy["key"]
        self.label = f"{name}-{place + 1}" if place else name
        policy_item = f'"{self.label}";q={self.count};w={self.window}'
        self.policy = (b"RateLimit-Policy", policy_item.encode())
        self.left = f'"{self.label}";r=%d;t=%d'.encode()

    def __repr__(self) -> str:
        return f"<Limit {self.id}>"


class ConcurrencyLimit:
    """
    How many requests of one key may be under way at a time. Immutable.

    Attributes:
        id: where it is configured, and its key. It stays when the number changes,
            for the requests under way do.
        most: of all workers of a node together.
        key_kind, key_header: as of `Limit`.
    """

    __slots__ = ("id", "key_header", "key_kind", "most")

    def __init__(self, policy: Mapping[str, Any], where: str) -> None:
        self.most: int = policy["limit"]
        self.key_kind, self.key_header = _key(policy["key"])
        self.id = f"{where} {policy['key']}"

    def __repr__(self) -> str:
        return f"<ConcurrencyLimit {self.id} {self.most}>"


def compile_limits(policy: Sequence[Mapping[str, Any]] | None, where: str) -> tuple[Limit, ...]:
    """Return the limits of a canonical policy ``rate_limit``; none where it is off."""
    return tuple(Limit(one, where, place) for place, one in enumerate(policy or ()))


def _key(name: str) -> tuple[int, bytes]:
    if name.startswith(HEADER_KEY):
        return HEADER, name.removeprefix(HEADER_KEY).encode()
    return _KEYS[name], b""
