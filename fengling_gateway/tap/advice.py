"""What works and yet is not as it should be where others are on the network: said at the start."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from fengling_gateway.settings import GatewaySettings


def advice(settings: GatewaySettings) -> Iterator[str]:
    """Name settings by which what is secret, or decides what is served, goes unprotected."""
    if settings.source == "database":
        from fengling_gateway.schema.dsn import unverified_host

        for key in ("url", "listen_url"):
            url = getattr(settings.database, key)
            host = unverified_host(url) if url else None
            if host is not None:
                yield (
                    f"database.{key}: nothing proves that {host} is the database; "
                    "sslmode=verify-full and sslrootcert=… do"
                )
    if settings.redis.url is not None:
        from fengling_gateway.syncbus.url import parse_redis_url

        address = parse_redis_url(settings.redis.url)
        if not (address.tls or address.path or _is_loopback(address.host)):
            yield f"redis.url: what is said to {address.host} is not encrypted; rediss:// would be"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
