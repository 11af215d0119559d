"""What is said to browsers about pages of other origins (the Fetch standard, section 3.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fengling_gateway.http.headers import NO_PAIRS, Pair

ANSWER_HEADERS: Final = frozenset(
    {
        b"access-control-allow-credentials",
        b"access-control-allow-headers",
        b"access-control-allow-methods",
        b"access-control-allow-origin",
        b"access-control-expose-headers",
        b"access-control-max-age",
    }
)
"""What an instance may say of it, too; a browser that is told twice believes neither."""

_ANY: Final = "*"
_BELOW: Final = r"[a-z0-9.-]+"
"""What the star in ``https://*.name`` stands for."""

_VARY: Final[Pair] = (b"Vary", b"Origin")
_VARY_PREFLIGHT: Final[Pair] = (
    b"Vary",
    b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
)


class Cors:
    """The policy ``cors``, compiled: nothing of it is decided by instances."""

    __slots__ = ("_any", "_below", "_credentials", "_exact", "_preflight", "_simple")

    def __init__(self, policy: Mapping[str, Any]) -> None:
        origins = policy["origins"]
        self._any = _ANY in origins
        self._exact = frozenset(one.encode() for one in origins if "*" not in one)
        below = [_BELOW.join(map(re.escape, one.split("*"))) for one in origins if "://*." in one]
        self._below = re.compile("|".join(below).encode()) if below else None
        self._credentials: bool = policy["credentials"]
        self._simple = self._static(("Expose-Headers", policy["expose"]))
        methods, headers = policy["methods"], list(policy["headers"])
        if _ANY in headers:
            headers.append("Authorization")  # the one that a star doesn't cover
        self._preflight = [
            *self._static(("Allow-Methods", methods), ("Allow-Headers", headers)),
            (b"Access-Control-Max-Age", b"%d" % policy["max_age"]),
        ]

    def __repr__(self) -> str:
        return f"<Cors of {len(self._exact)} origins>"

    def _static(self, *lists: tuple[str, list[str]]) -> list[Pair]:
        pairs = [
            (b"Access-Control-" + name.encode(), ", ".join(values).encode())
            for name, values in lists
            if values
        ]
        if self._credentials:
            pairs.append((b"Access-Control-Allow-Credentials", b"true"))
        return pairs

    def allows(self, origin: bytes) -> bool:
        """Whether pages of an origin may ask; it is compared as browsers write it."""
        if self._any or origin in self._exact:
            return True
        return self._below is not None and self._below.fullmatch(origin) is not None

    def pairs(self, origin: bytes | None) -> list[Pair]:
        """Return what an answer says to the page that asked; caches are told that it differs."""
        if origin is None or not self.allows(origin):
            return NO_PAIRS if self._any else [_VARY]
        return [*self._allowed(origin), *self._simple]

    def preflight_pairs(self, origin: bytes) -> list[Pair]:
        """Return what the answer to a preflight says; a browser compares it with what it wants."""
        if not self.allows(origin):
            return [_VARY_PREFLIGHT]
        return [*self._allowed(origin)[:1], _VARY_PREFLIGHT, *self._preflight]

    def _allowed(self, origin: bytes) -> list[Pair]:
        if self._any:
            return [(b"Access-Control-Allow-Origin", b"*")]
        return [(b"Access-Control-Allow-Origin", origin), _VARY]
