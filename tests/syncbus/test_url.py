"""Where Redis is, as one URL."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given

from fengling_gateway.syncbus.url import RedisAddress, parse_redis_url
from tests.support.secrets import CANARY, leaked, redis_urls


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
        (
            "rediss://h?ssl_certfile=/c.pem&ssl_keyfile=/k.pem",
            RedisAddress(host="h", tls=True, certificate_file="/c.pem", key_file="/k.pem"),
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
        "rediss://u:canary@h?ssl_cert_reqs=none",
        "rediss://u:canary@h?ssl_ca_certs=canary.pem",
        "rediss://u:canary@h?ssl_ca_certs=",
        "rediss://u:canary@h?ssl_keyfile=/canary.pem",
        "redis://u:canary@h?ssl_ca_certs=/canary.pem",
        "unix:///canary?ssl_certfile=/canary.pem",
        "redis://u:canary@h:0",
        "redis://u:canary@h/0?db",
        "redis://u:canary@h/123456",
        "redis://u:can%ffary@h",
        "redis://h:1/canary@h",
        "redis://h:1?ssl_ca_certs=canary@h",
        "redis://h:1#canary@h",
        "redis://\udc80canary@h",
        "unix://host/path",
        "unix://",
    ],
)
def test_a_bad_url_is_refused_without_its_password(url: str) -> None:
    """The message is for a log."""
    with pytest.raises(ValueError, match=r"^(must|has|is|names) ") as caught:
        parse_redis_url(url)
    assert "can" not in str(caught.value)


@given(redis_urls)
def test_no_url_shows_its_password(url: str) -> None:
    """Whether or not it is one, and whatever the password has in it."""
    try:
        address = parse_redis_url(url)
    except ValueError as error:
        shown = "".join(traceback.format_exception(error))
    else:
        shown = f"{address} {address!r}"
    assert not leaked(shown)


def test_what_a_server_repeats_is_redacted() -> None:
    """Redis names the arguments of a command that it does not know, AUTH's too."""
    address = parse_redis_url(f"redis://u:{CANARY}@h")
    unknown = f"ERR unknown command 'AUTH', with args beginning with: 'u' '{CANARY[:9]}"
    assert address.redacted(unknown) == "ERR unknown command 'AUTH'"
    assert address.redacted(f"no {CANARY}!") == "no ***!"
    assert parse_redis_url("redis://:or@h").redacted("an error") == "an error"


def test_an_address_shows_no_password() -> None:
    """Neither as text nor as a representation."""
    address = parse_redis_url("rediss://u:canary@[::1]:6380/2")
    assert str(address) == "rediss://[::1]:6380/2"
    assert "canary" not in repr(address)
    assert str(parse_redis_url("unix:///a.sock")) == "unix:///a.sock"
