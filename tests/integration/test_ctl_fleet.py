"""The commands about all gateways, as real processes over a real console and gateway."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.console import API, ConsoleProcess, Fleet, a_token, fleet_with_database
from tests.integration.ctl import Ctl
from tests.integration.gateway import TOKEN_KEY, GatewayProcess
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def fleet(
    postgres: PostgresServer,
    _migrated_template: str,
    valkey: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("ctl-fleet")
    with fleet_with_database(postgres, _migrated_template, directory, valkey.url) as fleet:
        fleet.sql.add_service("s1", fleet.upstream("s1").address)
        fleet.sql.add_route("hello", "/hello", "s1")
        yield fleet


@pytest.fixture(scope="module")
def gateway(fleet: Fleet) -> GatewayProcess:
    return fleet.gateway()


@pytest.fixture(scope="module")
def console(fleet: Fleet, gateway: GatewayProcess) -> ConsoleProcess:
    """Return a console that sees both workers serve."""
    console = fleet.console()
    wait_until(lambda: len(workers(console)) == 2)
    return console


@pytest.fixture(scope="module")
def ctl(console: ConsoleProcess) -> Ctl:
    return Ctl({"FENGLING_CONSOLE": console.address, "FENGLING_TOKEN": console.token})


def workers(console: ConsoleProcess) -> list[int]:
    nodes = console.get("fleet")["nodes"]
    return [one["pid"] for node in nodes for one in node["workers"] if one["state"] == "serving"]


def is_ready(gateway: GatewayProcess) -> bool:
    return gateway.get("/readyz", port=gateway.management_port)[0] == 200


def answers(gateway: GatewayProcess) -> set[int]:
    """Return the statuses that a dozen clients get from both workers."""
    return {gateway.get("/hello")[0] for _ in range(12)}


def test_top_shows_every_worker(ctl: Ctl, gateway: GatewayProcess) -> None:
    """Once, and for programs."""
    told = ctl("top", "--once")
    assert told.status == 0, told
    assert told.out.startswith("All 2 workers serve revision ")
    rows = [line.split()[:2] for line in told.out.splitlines() if line]
    assert [gateway.node, "serving"] in rows
    assert ["w0", "serving"] in rows
    assert ["w1", "serving"] in rows
    seen = ctl("top", "-o", "json").json
    assert [one["node"] for one in seen["fleet"]["nodes"]] == [gateway.node]


class Terminal:
    """
    A command in a terminal of 80 columns.

    Attributes:
        shown: all that it has shown.
    """

    def __init__(self, ctl: Ctl, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        environment = {**ctl.environment(), "TERM": "xterm-256color"}
        environment.pop("COLUMNS")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fengling_gateway.cli.main", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
        )
        os.close(theirs)
        self.shown = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while chunk := os.read(self._ours, 65536):
                self.shown += chunk
        except OSError:
            pass  # the other end is closed

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._thread.join()
        os.close(self._ours)


def test_top_goes_on_while_the_console_is_away(fleet: Fleet, ctl: Ctl) -> None:
    """In a terminal: what was last seen, and what is seen again."""
    console = fleet.console()
    wait_until(lambda: len(workers(console)) == 2)
    named = Ctl({**ctl.variables, "FENGLING_CONSOLE": console.address})
    terminal = Terminal(named, "top", "--every", "0.2")
    try:
        wait_until(lambda: b"w1" in terminal.shown, timeout=30)
        console.stop()
        wait_until(lambda: b"the console does not answer" in terminal.shown, timeout=30)
        console.start()
        console.wait_ready()
        seen = len(terminal.shown)
        wait_until(lambda: b"workers serve" in terminal.shown[seen:], timeout=30)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(timeout=30) == 0
    finally:
        terminal.close()
    assert b"Traceback" not in terminal.shown


def test_gateway_is_drained_and_back(
    ctl: Ctl, console: ConsoleProcess, gateway: GatewayProcess
) -> None:
    """When the command ends it is so, and the fleet shows it; it serves all the while."""
    told = ctl("drain", gateway.node)
    assert (told.status, told.out) == (0, f"{gateway.node} drains\n"), told
    assert not is_ready(gateway)
    assert answers(gateway) == {200}
    assert ctl("top", "--once").out.startswith(f"Draining: {gateway.node}\n")
    told = ctl("drain", gateway.node, "--off")
    assert (told.status, told.out) == (0, f"{gateway.node} is ready again\n"), told
    assert is_ready(gateway)


def test_workers_are_replaced(ctl: Ctl, console: ConsoleProcess, gateway: GatewayProcess) -> None:
    """All of them."""
    before = set(workers(console))
    assert len(before) == 2
    told = ctl("restart", gateway.node)
    assert (told.status, told.err) == (0, ""), told

    def are_new() -> bool:
        now = set(workers(console))
        return len(now) == 2 and not now & before

    wait_until(are_new, timeout=60)
    assert answers(gateway) == {200}


def test_gateway_that_is_not_there_is_told(ctl: Ctl, gateway: GatewayProcess) -> None:
    """With those that are."""
    for command in ("drain", "restart"):
        told = ctl(command, "n77")
        assert (told.status, told.out) == (2, "")
        assert told.err == (
            f"fenglingctl: no gateway called n77 is there; there is {gateway.node}\n"
        )


def test_route_is_switched_off_and_on(ctl: Ctl, gateway: GatewayProcess) -> None:
    """On every worker; and listed meanwhile, by whom and why."""
    told = ctl("switch", "off", "route/hello", "-m", "too hot")
    assert told == (0, "route/hello is switched off\n", "")
    wait_until(lambda: answers(gateway) == {503})
    [row] = ctl("switch", "list").out.splitlines()[2:]
    assert row.split()[0] == "route/hello"
    assert row.split()[-3:] == ["ada", "too", "hot"]
    assert ctl("switch", "on", "route/hello").status == 0
    wait_until(lambda: answers(gateway) == {200})
    assert ctl("switch", "list").out == "nothing is switched off\n"
    missing = ctl("switch", "off", "route/helo")
    assert (missing.status, "there is no route helo now" in missing.err) == (0, True)
    assert ctl("switch", "on", "route/helo").status == 0


def signed_in_by(console: ConsoleProcess, url: str) -> str:
    """Open a link, and return whom it has signed in; empty: nobody."""
    start, _, link = url.strip().partition("#link=")
    assert start == f"{console.address}/login"
    body = f'{{"link": "{link}"}}'.encode()
    kind = {"Content-Type": "application/json", "Origin": console.address}
    asked = console.fetch("POST", f"{API}/session", body, kind)
    return f"{asked.json['subject']}, {asked.json['role']}" if asked.status == 200 else ""


def test_link_signs_in_once(ctl: Ctl, console: ConsoleProcess) -> None:
    """One that the console makes, and one that is made with its keys."""
    url = ctl("login-link", "--role", "viewer").out
    assert signed_in_by(console, url) == "ada, viewer"
    assert signed_in_by(console, url) == ""
    keys = Ctl({"FENGLING_CONSOLE": console.address, "FENGLING_MANAGEMENT__TOKEN_KEYS": TOKEN_KEY})
    url = keys("login-link", "--subject", "eve").out
    assert signed_in_by(console, url) == "eve, admin"


COMMANDS = {
    "top": ("top", "--once"),
    "drain": ("drain", "{node}"),
    "restart": ("restart", "{node}"),
    "switch": ("switch", "off", "route/hello"),
    "list": ("switch", "list"),
    "login-link": ("login-link", "--subject", "eve"),
    "events": ("events",),
    "history": ("history",),
    "rollback": ("rollback", "1"),
}
MAY_NOT = {
    "viewer": {"drain", "restart", "switch", "login-link", "rollback"},
    "editor": {"drain", "restart", "login-link", "rollback"},
}
SCOPES = {"viewer": "gateway:read", "editor": "gateway:write"}


@pytest.mark.parametrize(
    ("role", "command"), [(role, one) for role, some in MAY_NOT.items() for one in sorted(some)]
)
def test_who_may_not_is_told_what_it_needs(
    ctl: Ctl, gateway: GatewayProcess, role: str, command: str
) -> None:
    """By role; and nothing has happened."""
    own = Ctl({**ctl.variables, "FENGLING_TOKEN": a_token(SCOPES[role])})
    told = own(*(word.format(node=gateway.node) for word in COMMANDS[command]))
    assert (told.status, told.out, told.err.count("\n")) == (2, "", 1), told
    needed = "gateway:write" if command == "switch" else "gateway:admin"
    assert needed in told.err
    assert is_ready(gateway)


@pytest.mark.parametrize("command", COMMANDS)
def test_token_that_is_none_and_console_that_is_away(
    ctl: Ctl, gateway: GatewayProcess, command: str
) -> None:
    """Each is one line and status 2, whatever is asked for."""
    words = [word.format(node=gateway.node) for word in COMMANDS[command]]
    foreign = Ctl({**ctl.variables, "FENGLING_TOKEN": "nonsense"})(*words)
    away = Ctl({**ctl.variables, "FENGLING_CONSOLE": "http://127.0.0.1:1"})(*words)
    for told in (foreign, away):
        assert (told.status, told.out, told.err.count("\n")) == (2, "", 1), told
    assert "does not accept the token" in foreign.err
    assert "no console answers at http://127.0.0.1:1" in away.err
