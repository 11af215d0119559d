"""Where Redis is, as one URL.

``redis://user:password@host:6379/0``, ``rediss://…`` for TLS with a verified
certificate (``?ssl_ca_certs=/path.pem`` for a private authority),
``unix:///path.sock?db=0``. ``valkey`` and ``valkeys`` mean the same as
``redis`` and ``rediss``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

DEFAULT_PORT: Final = 6379
_TLS: Final = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """An address with credentials; the text form shows no password."""

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    tls: bool = False
    ca_file: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int | None = None

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.database or 0}"


def parse_redis_url(url: str) -> RedisAddress:
    """
    Raises:
        ValueError: what is wrong with the URL; the message does not repeat it,
            for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise ValueError("redis.url has no valid host and port") from None
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = sorted(query.keys() - {"db", "ssl_ca_certs"})
    if unknown:
        raise ValueError(f"redis.url has an unknown parameter {unknown[0]!r}")
    if parts.scheme == "unix":
        return _unix_address(parts, query)
    if parts.scheme not in _TLS:
        raise ValueError("redis.url must begin with redis://, rediss:// or unix://")
    if not parts.hostname:
        raise ValueError("redis.url has no host")
    database = parts.path.strip("/") or query.get("db")
    return RedisAddress(
        host=parts.hostname,
        port=port,
        tls=_TLS[parts.scheme],
        ca_file=query.get("ssl_ca_certs", ""),
        username=_text(parts.username),
        password=_text(parts.password),
        database=_database(database),
    )


def _unix_address(parts: SplitResult, query: dict[str, str]) -> RedisAddress:
    if parts.hostname or not parts.path:
        raise ValueError("redis.url must name a socket as unix:///path/to.sock")
    return RedisAddress(
        path=unquote(parts.path),
        username=_text(parts.username),
        password=_text(parts.password),
        database=_database(query.get("db")),
    )


def _text(quoted: str | None) -> str | None:
    return unquote(quoted) if quoted else None


def _database(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise ValueError("redis.url names a database that is no number")
    return int(text)
