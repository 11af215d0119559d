"""What works and yet is not as it should be where others are on the network: said at the start."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from fengling_gateway.settings import GatewaySettings


def advice(settings: GatewaySettings) -> Iterator[str]:
    """Name settings by which what is secret, or decides what is served, goes unprotected."""
    yield from on_the_network(settings)
    for path in settings.secret_files:
        if is_open(path):
            yield f"{path} holds passwords or keys, and others may read or change it: chmod 600"


def on_the_network(settings: GatewaySettings) -> Iterator[str]:
    """Name those by which it does so on its way: what is so, and after a semicolon what to do."""
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

    management = settings.management
    if management.enabled and not _is_loopback(management.host_and_port()[0]):
        yield (
            f"management.address: tokens go to {management.address} in the clear; "
            "loopback with something that speaks TLS in front does not let them be read"
        )


def is_open(path: Path) -> bool:
    """Whether others may read it, or its group change it, and come as far; one that has gone is not."""
    try:
        mode = path.stat().st_mode
        ways = [above.stat().st_mode for above in path.resolve().parents]
    except OSError:
        return False
    is_open = bool(mode & (stat.S_IRWXO | stat.S_IWGRP))
    return stat.S_ISREG(mode) and is_open and all(way & stat.S_IXOTH for way in ways)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
