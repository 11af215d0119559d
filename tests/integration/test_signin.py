"""Signing in at real consoles, by links of the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from tests.integration.console import Asked, ConsoleProcess, Fleet, fleet_with_database
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(120)

SESSION = "/api/console/session"


@pytest.fixture(scope="module")
def fleet(
    postgres: PostgresServer, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("consoles")
    with fleet_with_database(postgres, _migrated_template, directory) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def consoles(fleet: Fleet) -> list[ConsoleProcess]:
    both = [fleet.starting_console() for _ in range(2)]
    for one in both:
        one.wait_ready()
    return both


def login_link(*arguments: str, **environ: str) -> str:
    """Run ``fenglingctl login-link``, and return what is behind the # of what it prints."""
    ended = subprocess.run(
        [sys.executable, "-m", "fengling_gateway.cli.main", "login-link", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environ},
    )
    address, _, token = ended.stdout.strip().partition("/login#link=")
    assert address.startswith("http://127.0.0.1:")
    return token


def sign_in(console: ConsoleProcess, token: str) -> Asked:
    headers = {"Content-Type": "application/json", "Origin": console.address}
    return console.fetch("POST", SESSION, json.dumps({"link": token}).encode(), headers)


def cookie_of(asked: Asked) -> dict[str, str]:
    assert asked.status == 200, asked
    return {"Cookie": asked.headers["set-cookie"].partition(";")[0]}


def test_link_of_who_has_the_keys_opens_one_console_once(consoles: list[ConsoleProcess]) -> None:
    """Whichever is first; the session is good at both."""
    one, other = consoles
    token = login_link("--config", str(Path(one.directory) / "console.toml"), "--subject", "eve")
    cookie = cookie_of(sign_in(other, token))
    assert sign_in(one, token).status == 403
    for console in consoles:
        session = console.fetch("GET", SESSION, headers=cookie)
        assert (session.json["subject"], session.json["role"]) == ("eve", "admin")


def test_link_of_a_token_is_made_by_the_console(consoles: list[ConsoleProcess]) -> None:
    """What is changed with its session has its author."""
    one, other = consoles
    token = login_link("--console", one.address, FENGLING_TOKEN=one.token)
    headers = cookie_of(sign_in(one, token)) | {
        "Content-Type": "application/json",
        "Origin": other.address,
    }
    body = b'{"id": "by-ada", "hosts": ["ada.example"]}'
    made = other.fetch("POST", "/api/console/tenants", body, headers)
    assert made.status == 201, made
    newest = one.get("revisions")["items"][0]
    assert newest["author"] == "ada"


def test_who_has_signed_out_is_out_everywhere(consoles: list[ConsoleProcess]) -> None:
    """Within two seconds."""
    one, other = consoles
    token = login_link("--console", one.address, FENGLING_TOKEN=one.token)
    cookie = cookie_of(sign_in(one, token))
    assert other.fetch("GET", "/api/console/routes", headers=cookie).status == 200
    ended = one.fetch("DELETE", SESSION, headers=cookie | {"Origin": one.address})
    assert ended.status == 204
    assert one.fetch("GET", "/api/console/routes", headers=cookie).status == 401
    began = time.monotonic()
    wait_until(lambda: other.fetch("GET", "/api/console/routes", headers=cookie).status == 401)
    print(f"known to the other console after {time.monotonic() - began:.2f} s")


def test_console_that_starts_again_forgets_nobody(
    fleet: Fleet, consoles: list[ConsoleProcess]
) -> None:
    """Neither who is signed in, nor who is out."""
    one, _ = consoles
    tokens = [login_link("--console", one.address, FENGLING_TOKEN=one.token) for _ in range(2)]
    stays, goes = (cookie_of(sign_in(one, token)) for token in tokens)
    one.fetch("DELETE", SESSION, headers=goes | {"Origin": one.address})
    fresh = fleet.console()
    statuses = [fresh.fetch("GET", SESSION, headers=one).status for one in (stays, goes)]
    assert statuses == [200, 401]
