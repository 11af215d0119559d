"""The servers that tests and the quickstart start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from fengling_gateway.embedded.owned import OwnedProcess, StartError, environment, scratch_directory
from fengling_gateway.embedded.ports import free_port, keep_to_share
from fengling_gateway.embedded.postgres import UNPRIVILEGED_USER, PostgresServer
from fengling_gateway.embedded.postgres_programs import VERSIONS, can_reach, copied_programs
from fengling_gateway.embedded.valkey import ValkeyServer


def ping(server: ValkeyServer, *, timeout: float = 5.0) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(100)


class PostgresServerTests:
    """One server in a directory."""

    @pytest.mark.parametrize("version", VERSIONS)
    def test_started_with_password_lets_in_who_knows_it(self, version: int) -> None:
        """A DSN with an odd password connects, one without it does not."""
        server = PostgresServer(
            scratch_directory("fengling-test-"), version=version, password="o'd@d/ %"
        )
        server.start()
        try:
            with psycopg2.connect(server.dsn()) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT current_setting('server_version_num')::int / 10000")
                assert cursor.fetchone() == (version,)
            with pytest.raises(psycopg2.OperationalError):
                psycopg2.connect(f"postgresql://postgres@127.0.0.1:{server.port}/postgres")
        finally:
            server.stop("immediate")

    @pytest.mark.parametrize("server", [PostgresServer, ValkeyServer])
    @pytest.mark.parametrize("path", ["", ".", "data"])
    def test_directory_below_where_one_stands_is_refused(self, server: Any, path: str) -> None:
        """It would be made somebody else's."""
        with pytest.raises(ValueError, match="not absolute"):
            server(Path(path))

    def test_killed_and_started_again_keeps_port_and_data(
        self, own_postgres: PostgresServer
    ) -> None:
        """What was committed is there after a SIGKILL of everything."""
        own_postgres.psql("CREATE TABLE kept AS SELECT 7 AS number; CHECKPOINT")
        port = own_postgres.port
        own_postgres.kill()
        assert not own_postgres.running
        own_postgres.start()
        assert own_postgres.port == port
        assert own_postgres.psql("SELECT number FROM kept").strip() == "7"

    def test_its_shared_memory_goes_with_its_directory(self, own_postgres: PostgresServer) -> None:
        """A server that is killed would leave a megabyte in /dev/shm for each time."""
        assert own_postgres.psql("SHOW dynamic_shared_memory_type").strip() == "mmap"
        assert list((own_postgres.data / "pg_dynshmem").iterdir())

    def test_frozen_answers_nothing_until_thawed(self, own_postgres: PostgresServer) -> None:
        """A frozen server holds connections open and says nothing."""
        own_postgres.freeze()
        with pytest.raises(psycopg2.OperationalError, match="timeout"):
            psycopg2.connect(own_postgres.dsn(), connect_timeout=1)
        own_postgres.thaw()
        assert own_postgres.psql("SELECT 1").strip() == "1"

    def test_directory_that_cannot_hold_a_cluster_says_what_the_log_says(
        self, tmp_path: Path
    ) -> None:
        """A start that fails names the reason."""
        data = scratch_directory("fengling-test-") / "data"
        data.mkdir()
        (data / "PG_VERSION").write_text("12\n")
        (data / "postgresql.conf").write_text("")
        server = PostgresServer(data.parent)
        with pytest.raises(StartError, match="ended with"):
            server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
class CopiedProgramsTests:
    """Programs for a user who can't reach the installed ones."""

    @pytest.mark.parametrize("version", VERSIONS)
    def test_copy_can_be_run_by_that_user(self, version: int) -> None:
        """With the libraries it needs."""
        for name in ("postgres", "initdb"):
            program = copied_programs(version) / name
            assert can_reach(UNPRIVILEGED_USER, program)
            ran = subprocess.run(
                [program, "--version"],
                user=UNPRIVILEGED_USER,
                capture_output=True,
                text=True,
                check=True,
            )
            assert f" {version}." in ran.stdout

    def test_closed_directory_is_out_of_reach(self, tmp_path: Path) -> None:
        """A readable file in it does not help."""
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        (closed / "file").touch(mode=0o644)
        assert not can_reach(UNPRIVILEGED_USER, closed / "file")

    def test_scratch_directory_is_within_reach(self) -> None:
        """A server stays in the one it was given."""
        directory = scratch_directory("fengling-test-")
        assert can_reach(UNPRIVILEGED_USER, directory)
        (directory / "below").mkdir()
        assert can_reach(UNPRIVILEGED_USER, directory / "below")


class ValkeyServerTests:
    """One server in a directory."""

    def test_stopped_and_started_again_keeps_its_port(self, own_valkey: ValkeyServer) -> None:
        """Clients find it where it was."""
        port = own_valkey.port
        assert ping(own_valkey) == b"+PONG\r\n"
        own_valkey.stop()
        with pytest.raises(OSError, match="refused"):
            ping(own_valkey)
        own_valkey.start()
        assert own_valkey.port == port
        assert ping(own_valkey) == b"+PONG\r\n"

    def test_password_is_asked_for(self) -> None:
        """Without the password nothing is done."""
        server = ValkeyServer(scratch_directory("fengling-test-"), password="p w")
        server.start()
        try:
            assert ping(server).startswith(b"-NOAUTH")
            assert server.url == f"redis://:p%20w@127.0.0.1:{server.port}/0"
        finally:
            server.kill()


class OwnedProcessTests:
    """A program, its log and its end; see test_owners_death for its owner's."""

    def test_ended_program_is_reported_with_its_log(self, tmp_path: Path) -> None:
        """A program that ends before it is ready shows what it wrote."""
        program = OwnedProcess(
            [sys.executable, "-c", "print('no such luck'); raise SystemExit(3)"],
            log=tmp_path / "log",
        )
        with pytest.raises(StartError, match=r"ended with 3: no such luck"):
            program.wait_until(lambda: False, timeout=20)

    def test_deaf_program_is_killed_after_its_grace(self, tmp_path: Path) -> None:
        """SIGTERM ignored for longer than the grace becomes SIGKILL."""
        deaf = "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
        program = OwnedProcess([sys.executable, "-c", deaf], log=tmp_path / "log", grace=0.2)
        program.wait_until(lambda: "deaf" in program.log_tail(), timeout=20)
        assert program.stop() == -signal.SIGKILL

    def test_environment_changes_are_ours_only(self, monkeypatch: Any) -> None:
        """A None removes a variable, a string sets one."""
        monkeypatch.setenv("FENGLING_A", "1")
        changed = environment(FENGLING_A=None, FENGLING_B="2")
        assert "FENGLING_A" not in changed
        assert changed["FENGLING_B"] == "2"
        assert changed["PATH"] == os.environ["PATH"]


class PortsTests:
    """Ports for servers."""

    def test_free_port_is_below_the_outgoing_ones(self) -> None:
        """Nobody's outgoing connection can take it."""
        port = free_port()
        assert port < 32768
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))

    def test_free_port_is_not_given_twice(self) -> None:
        """A gateway asks for two before it listens on either."""
        ports = [free_port() for _ in range(900)]
        assert len(set(ports)) == len(ports)

    def test_free_ports_of_two_shares_are_never_the_same(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever runs the suite beside us gives others; also of more than there are shares."""
        monkeypatch.setattr("fengling_gateway.embedded.ports._range", [0, 0])
        given = []
        for number in (0, 1, 2):
            keep_to_share(number, 3)
            given.append({free_port() for _ in range(300)})
        assert given[0].isdisjoint(given[1])
        assert given[2].isdisjoint(given[0] | given[1])
        keep_to_share(99, 100)
        assert 20_000 <= free_port() <= 32_000


class FixtureTests:
    """What the suite offers."""

    def test_fresh_database_is_empty_and_its_own(self, fresh_database: str) -> None:
        """It connects, and is none of the server's standing databases."""
        with psycopg2.connect(fresh_database) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*), current_database() FROM pg_tables WHERE schemaname = 'public'"
            )
            count, name = cursor.fetchone() or (None, "")
            assert count == 0
            assert name.startswith("test_")
