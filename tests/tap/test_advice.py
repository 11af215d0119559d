"""What is said at the start of connections that nobody verifies."""

from __future__ import annotations

import secrets

import pytest

from fengling_gateway.settings import load_settings
from fengling_gateway.tap.advice import advice

KEYS = {
    "FENGLING_SYNC__KEYS": f"a:{secrets.token_hex(32)}",
    "FENGLING_MANAGEMENT__TOKEN_KEYS": f"a:{secrets.token_hex(32)}",
}


def said(**environ: str) -> list[str]:
    named = {f"FENGLING_{name.upper()}": value for name, value in environ.items()}
    return list(advice(load_settings(None, {**KEYS, **named})))


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGSSLMODE", "PGHOST", "PGSSLROOTCERT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:canary@db.example/d?sslmode=verify-full",
        "postgresql://u:canary@db.example/d?sslrootcert=system",
        "postgresql://u:canary@127.0.0.1/d",
        "postgresql://u:canary@localhost/d",
        "postgresql://u:canary@[::1]/d",
        "postgresql:///d?host=/run/postgresql",
        "host=db.example hostaddr=127.0.0.1 dbname=d",
        "dbname=d",
    ],
)
def test_a_database_that_is_verified_or_on_this_host_is_as_it_should_be(url: str) -> None:
    assert said(database__url=url) == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:canary@db.example/d",
        "postgresql://u:canary@db.example/d?sslmode=require",
        "postgresql://u:canary@db.example/d?sslmode=verify-ca",
        "postgresql://u:canary@localhost,db.example/d",
        "host=db.example hostaddr=10.0.0.9 dbname=d password=canary",
    ],
)
def test_one_over_the_network_that_is_not_is_named(url: str) -> None:
    """By its host; also the second of two, and the one that only LISTENs."""
    (line,) = said(database__url=url)
    assert "database.url" in line
    assert "db.example" in line
    assert "canary" not in line
    (line,) = said(database__url="postgresql://localhost/d", database__listen_url=url)
    assert "database.listen_url" in line


def test_the_environment_of_libpq_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does for the connection."""
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert said(database__url="postgresql://db.example/d") == []


def test_redis_over_the_network_without_tls_is_named() -> None:
    """Not so a socket, loopback, or TLS."""
    database = {"database__url": "postgresql://localhost/d"}
    for url in ("redis://127.0.0.1", "redis://localhost", "rediss://r.example", "unix:///r.sock"):
        assert said(redis__url=url, **database) == []
    (line,) = said(redis__url="redis://u:canary@r.example", **database)
    assert "r.example" in line
    assert "canary" not in line


def test_a_file_is_no_database() -> None:
    """Whatever URL is left in the settings."""
    url = "postgresql://db.example/d"
    assert said(source="file", file__path="/routes.yaml", database__url=url) == []
