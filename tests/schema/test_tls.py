"""The database over TLS: every connection of ours obeys what its URL asks for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from click.testing import CliRunner

from fengling_gateway import schema
from fengling_gateway.cli.main import cli
from fengling_gateway.configsource.postgres_connection import Guarded, problem
from fengling_gateway.schema.dsn import DsnError, connect, parse
from fengling_gateway.schema.timed import connect_timed
from tests.support import tls_postgres
from tests.support.certificates import Authority
from tests.support.tls_postgres import TlsPostgres, dsn, system_programs

KINDS = [
    "fronted",
    pytest.param(
        "native",
        marks=pytest.mark.skipif(system_programs() is None, reason="no PostgreSQL with TLS here"),
    ),
]


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[TlsPostgres]:
    with tls_postgres.running(request.param) as server:
        yield server


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("Ours")


@pytest.fixture
def verified(authority: Authority, tmp_path: Path) -> dict[str, Any]:
    """Return the parameters of a URL that wants it all."""
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.pem)
    return {"sslmode": "verify-full", "sslrootcert": file, "connect_timeout": 10}


def refusal(url: str) -> str:
    with pytest.raises(psycopg2.OperationalError) as caught:
        connect(url)
    return problem(caught.value)


class ConnectTests:
    """What is refused, and what is said of it."""

    def test_a_server_that_proves_itself_is_talked_to(
        self, server: TlsPostgres, authority: Authority, verified: dict[str, Any]
    ) -> None:
        server.present(authority.issue("localhost"))
        connection = connect(dsn(server, **verified))
        assert connection.info.ssl_in_use
        connection.close()

    def test_another_name_is_refused(
        self, server: TlsPostgres, authority: Authority, verified: dict[str, Any]
    ) -> None:
        """Both names are said."""
        server.present(authority.issue("localhost"))
        said = refusal(dsn(server, host="db.example", **verified))
        assert 'certificate for "localhost" does not match host name "db.example"' in said
        assert str(server.port) in said

    def test_an_unknown_authority_is_refused(
        self, server: TlsPostgres, verified: dict[str, Any]
    ) -> None:
        """With who it is, and where it is not among."""
        server.present(Authority("Stranger").issue("localhost"))
        said = refusal(dsn(server, **verified))
        assert "issued by CN=Stranger, which leads to none of" in said
        assert str(verified["sslrootcert"]) in said
        assert str(server.port) in said

    def test_an_expired_certificate_is_refused(
        self, server: TlsPostgres, authority: Authority, verified: dict[str, Any]
    ) -> None:
        """With the day."""
        server.present(authority.issue("localhost", ends_in_days=-1))
        assert "its certificate has expired on 20" in refusal(dsn(server, **verified))

    def test_a_server_without_tls_is_refused(
        self, server: TlsPostgres, verified: dict[str, Any]
    ) -> None:
        server.present(None)
        assert "server does not support SSL" in refusal(dsn(server, **verified))

    def test_a_certificate_of_ours_is_shown_where_it_is_asked_for(
        self,
        server: TlsPostgres,
        authority: Authority,
        verified: dict[str, Any],
        tmp_path: Path,
    ) -> None:
        """And without one it is said that one is missing."""
        server.present(authority.issue("localhost"), client_ca=authority.pem)
        said = refusal(dsn(server, **verified))
        assert "certificate required" in said or "requires a valid client certificate" in said
        ours = authority.issue("gateway").write(tmp_path, "ours")
        files = {"sslcert": ours["chain"], "sslkey": ours["key"]}
        connect(dsn(server, **verified, **files)).close()
        Path(ours["key"]).chmod(0o644)
        assert "has group or world access" in refusal(dsn(server, **verified, **files))

    def test_the_systems_authorities_are_the_systems(
        self,
        server: TlsPostgres,
        authority: Authority,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Not those of the machine on which the driver was built; and the host is verified."""
        server.present(authority.issue("localhost"))
        url = dsn(server, sslrootcert="system")
        assert "which leads to none of /" in refusal(url)
        file = tmp_path / "bundle.pem"
        file.write_bytes(authority.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        connect(url).close()
        assert "does not match" in refusal(dsn(server, host="db.example", sslrootcert="system"))

    def test_a_missing_file_is_named(self, server: TlsPostgres, verified: dict[str, Any]) -> None:
        said = refusal(dsn(server, **{**verified, "sslrootcert": "/nonexistent.pem"}))
        assert 'root certificate file "/nonexistent.pem" does not exist' in said


class EveryConnectionTests:
    """Reader, listener, commands, migrations: none goes around it."""

    @pytest.fixture(params=["wrong", "none"])
    def refused(
        self,
        request: pytest.FixtureRequest,
        server: TlsPostgres,
        verified: dict[str, Any],
    ) -> str:
        server.present(
            Authority("Stranger").issue("localhost") if request.param == "wrong" else None
        )
        return dsn(server, **verified)

    def test_a_gateways_own_do(self, refused: str) -> None:
        """Both threads of a gateway connect like this."""
        with pytest.raises(psycopg2.OperationalError):
            Guarded(refused, connect_timeout=5)

    def test_those_of_commands_do(self, refused: str) -> None:
        with pytest.raises(psycopg2.OperationalError):
            connect_timed(refused, "test")

    def test_migrations_do(self, refused: str) -> None:
        with pytest.raises(schema.SchemaError, match="SSL"):
            schema.upgrade(refused)

    @pytest.mark.parametrize(
        "command", [("db", "status"), ("db", "upgrade"), ("export",), ("validate",)]
    )
    def test_command_line_does(self, refused: str, command: tuple[str, ...]) -> None:
        """With an error of one line, and the place."""
        ran = CliRunner().invoke(cli, [*command, "--database", refused])
        assert ran.exit_code != 0
        assert "SSL" in ran.output
        assert "Traceback" not in ran.output

    def test_all_of_it_works_with_a_server_that_proves_itself(
        self, server: TlsPostgres, authority: Authority, verified: dict[str, Any]
    ) -> None:
        """An upgrade in two connections, a status."""
        server.present(authority.issue("localhost"))
        name = f"secured_{random.getrandbits(32)}"
        connection = connect(dsn(server, **verified))
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        connection.close()
        url = dsn(server, name, **verified)
        schema.upgrade(url)
        ran = CliRunner().invoke(cli, ["db", "status", "--database", url])
        assert (ran.exit_code, "is up to date" in ran.output) == (0, True)


class ParseTests:
    """What a URL can't say."""

    @pytest.mark.parametrize(
        "parameters",
        ["sslmode=verify_full", "sslmode=canary", "sslrootcert=system&sslmode=require"],
    )
    def test_what_would_not_verify_by_mistake_is_an_error(self, parameters: str) -> None:
        """A word that libpq would find wrong at each attempt only, or a weaker mode."""
        with pytest.raises(DsnError) as caught:
            parse(f"postgresql://h/d?{parameters}")
        assert "canary" not in str(caught.value)
        assert "ssl" in str(caught.value)
