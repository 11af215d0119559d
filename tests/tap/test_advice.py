"""What is said at the start of connections that nobody verifies."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

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


def test_management_over_the_network_is_named() -> None:
    """It speaks no TLS itself, and bearer tokens are as good as passwords."""
    database = {"database__url": "postgresql://localhost/d"}
    for address in ("127.0.0.1:1", "[::1]:1"):
        assert said(management__address=address, **database) == []
    (line,) = said(management__address="0.0.0.0:8001", **database)
    assert "management.address" in line
    off = {"management__enabled": "false"}
    assert said(management__address="0.0.0.0:8001", **off, **database) == []


class FileTests:
    """Files that hold what nobody else is to read."""

    @pytest.fixture
    def place(self) -> Iterator[Path]:
        """Return a directory that others get to."""
        with TemporaryDirectory() as name:
            path = Path(name)
            path.chmod(0o755)
            yield path

    @pytest.fixture
    def settings(self, place: Path) -> Callable[..., list[str]]:
        def write(text: str, mode: int, **environ: str) -> list[str]:
            path = place / "gateway.toml"
            path.write_text(text)
            path.chmod(mode)
            named = {f"FENGLING_{name.upper()}": value for name, value in environ.items()}
            return list(advice(load_settings(path, {**KEYS, **named})))

        return write

    @pytest.mark.parametrize(
        "text",
        [
            '[database]\nurl = "postgresql://u:canary@localhost/d"',
            '[database]\nurl = "host=localhost password=canary"',
            '[database]\nurl = "postgresql://localhost/d"\n[redis]\nurl = "redis://:canary@localhost"',
        ],
    )
    def test_settings_with_a_password_are_nobody_elses(
        self, settings: Callable[..., list[str]], text: str
    ) -> None:
        """Neither to be read nor to be changed."""
        assert settings(text, 0o600) == settings(text, 0o640) == []
        for mode in (0o644, 0o604, 0o660, 0o602):
            (line,) = settings(text, mode)
            assert "gateway.toml holds passwords or keys" in line
            assert "canary" not in line

    def test_settings_without_secrets_may_be_everybodys(
        self, settings: Callable[..., list[str]], place: Path
    ) -> None:
        """What they are in may not; it is named wherever it is named."""
        for name in ("url", "keys"):
            (place / name).touch(mode=0o600)
        (place / "url").write_text("postgresql://u:canary@localhost/d")
        (place / "keys").write_text(f"b:{secrets.token_hex(32)}")
        text = '[database]\nurl_file = "url"'
        environ = {"sync__keys_file": str(place / "keys")}
        keys = KEYS.pop("FENGLING_SYNC__KEYS")
        try:
            assert settings(text, 0o644, **environ) == []
            for name in ("url", "keys"):
                (place / name).chmod(0o644)
            lines = settings(text, 0o644, **environ)
        finally:
            KEYS["FENGLING_SYNC__KEYS"] = keys
        assert [
            str(place / name) in line for name, line in zip(("url", "keys"), lines, strict=True)
        ]

    def test_what_is_in_a_directory_of_ones_own_is_nobody_elses(
        self, settings: Callable[..., list[str]], place: Path
    ) -> None:
        """Whatever mode it has."""
        text = '[database]\nurl = "postgresql://u:canary@localhost/d"'
        place.chmod(0o750)
        assert settings(text, 0o644) == []
