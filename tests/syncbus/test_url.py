"""Where Redis is, as one URL."""

from __future__ import annotations

import pytest

from fengling_gateway.syncbus.url import RedisAddress, parse_redis_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h", RedisAddress(host="h")),
        ("valkey://h:7000/3", RedisAddress(host="h", port=7000, database=3)),
        ("redis://h?db=2", RedisAddress(host="h", database=2)),
        ("redis://[::1]:6380/0", RedisAddress(host="::1", port=6380, database=0)),
        ("rediss://h", RedisAddress(host="h", tls=True)),
        (
            "rediss://u:p%40ss@h/1?ssl_ca_certs=/ca.pem",
            RedisAddress(
                host="h", tls=True, ca_file="/ca.pem", username="u", password="p@ss", database=1
            ),
        ),
        ("redis://:secret@h", RedisAddress(host="h", password="secret")),
        ("unix:///run/r%20s.sock?db=1", RedisAddress(path="/run/r s.sock", database=1)),
    ],
)
def test_a_url_is_read(url: str, address: RedisAddress) -> None:
    """Host, port, credentials, database, TLS, socket."""
    assert parse_redis_url(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:6379",
        "http://canary@h",
        "redis://",
        "redis://u:canary@h:99999",
        "redis://u:canary@h:x",
        "redis://u:canary@[::1",
        "redis://u:canary@h/x",
        "redis://u:canary@h/-1",
        "redis://u:canary@h?ssl=no",
        "unix://host/path",
        "unix://",
    ],
)
def test_a_bad_url_is_refused_without_its_password(url: str) -> None:
    """The message is for a log."""
    with pytest.raises(ValueError, match=r"redis\.url") as caught:
        parse_redis_url(url)
    assert "canary" not in str(caught.value)


def test_an_address_shows_no_password() -> None:
    """Neither as text nor as a representation."""
    address = parse_redis_url("rediss://u:canary@[::1]:6380/2")
    assert str(address) == "rediss://[::1]:6380/2"
    assert "canary" not in repr(address)
    assert str(parse_redis_url("unix:///a.sock")) == "unix:///a.sock"
