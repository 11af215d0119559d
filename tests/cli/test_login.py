"""``fenglingctl login-link``."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.signin.links import Link, read_link
from tests.cli.conftest import Run
from tests.cli.stub_gateway import StubGateway

KEY = "k1:" + bytes(range(32)).hex()
ASK = ("POST", "/api/console/login-links")


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "keys"
    path.write_text(f"{KEY}\n")
    return str(path)


@pytest.fixture
def config(tmp_path: Path, key_file: str) -> str:
    path = tmp_path / "console.toml"
    path.write_text(
        f'[database]\nurl = "postgresql://db/x"\n[management]\ntoken_keys_file = "{key_file}"\n'
        '[http]\naddress = "127.0.0.1:9002"\n'
    )
    return str(path)


def read(url: str, console: str) -> Link:
    """Return the link that a URL of this console is."""
    start, _, token = url.strip().partition("#link=")
    assert start == f"{console}/login"
    return read_link(TokenRing([KEY]), token, now=time.time())


def test_link_is_made_where_the_keys_are(run: Run, config: str) -> None:
    """For the one who asks, for everything, at the address of the settings."""
    link = read(run("login-link", "--config", config).stdout, "http://127.0.0.1:9002")
    assert link.person.role == "admin"
    assert link.person.subject
    assert link.via == ""
    assert 290 < link.expires_at - time.time() <= 300


def test_link_says_what_is_asked_for(run: Run, key_file: str) -> None:
    """Whom, what, where and how long."""
    result = run(
        *("login-link", "--key-file", key_file, "--console", "https://console.example"),
        *("--role", "viewer", "--subject", "eve", "--name", "Eve", "--for", "10m"),
        *("--tenant", "acme", "--tenant", "blue"),
    )
    link = read(result.stdout, "https://console.example")
    assert (link.person.subject, link.person.name, link.person.role) == ("eve", "Eve", "viewer")
    assert link.person.tenants == {"acme", "blue"}
    assert link.expires_at - time.time() > 590


def test_browsers_come_by_the_first_of_the_external_urls(
    run: Run, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless another address is named."""
    monkeypatch.setenv("FENGLING_SIGNIN__EXTERNAL_URLS", "https://a.example,https://b.example")
    read(run("login-link", "--config", config).stdout, "https://a.example")
    read(run("login-link", "--config", config, "--console", "http://c").stdout, "http://c")


def test_keys_of_the_environment_are_used_where_there_is_no_token(
    run: Run, gateway: StubGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a console's container."""
    monkeypatch.setenv("FENGLING_MANAGEMENT__TOKEN_KEYS", KEY)
    monkeypatch.delenv("FENGLING_TOKEN")
    read(run("login-link").stdout, "http://127.0.0.1:8002")
    assert gateway.asked == []


def test_console_makes_a_link_for_who_has_a_token(
    run: Run, gateway: StubGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And decides what it may be for."""
    monkeypatch.setenv("FENGLING_CONSOLE", gateway.url)
    gateway.answers[ASK] = (201, {"url": "/login#link=a.b.c"})
    result = run("login-link")
    assert result.stdout == f"{gateway.url}/login#link=a.b.c\n"
    assert gateway.asked == [(*ASK, {"seconds": 300})]
    assert gateway.tokens == ["Bearer abc"]


def test_console_knows_its_own_address_best(run: Run, gateway: StubGateway) -> None:
    """One that has a name for browsers tells it."""
    gateway.answers[ASK] = (201, {"url": "https://console.example/login#link=a.b.c"})
    result = run(
        *("login-link", "--console", gateway.url, "--role", "viewer", "--subject", "eve"),
        *("--name", "Eve", "--tenant", "b", "--tenant", "a", "--for", "60s"),
    )
    assert result.stdout == "https://console.example/login#link=a.b.c\n"
    wish = {"role": "viewer", "subject": "eve", "name": "Eve", "tenants": ["a", "b"], "seconds": 60}
    assert gateway.asked[0][2] == wish


def test_refusal_is_told(run: Run, gateway: StubGateway) -> None:
    """In the console's words."""
    gateway.answers[ASK] = (403, {"detail": "this needs the scope gateway:admin"})
    result = run("login-link", "--console", gateway.url, "--role", "admin")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "this needs the scope gateway:admin" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--for", "11m"), "at most 10m"),
        (("--for", "soon"), "30d, 12h or 15m"),
        (("--role", "root"), "viewer"),
        (("--console", "console.example"), "http://host:8002"),
        (("--subject", "a\nb"), "the subject"),
        (("--tenant", "a b"), "tenant"),
    ],
)
def test_odd_wishes_are_refused(
    run: Run, key_file: str, arguments: tuple[str, ...], said: str
) -> None:
    """With status 2, and no link."""
    result = run("login-link", "--key-file", key_file, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_without_keys_and_token_it_is_said_what_is_missing(run: Run) -> None:
    """No console is asked."""
    result = run("login-link")
    assert result.exit_code == 2
    assert "no token" in result.stderr


def test_console_that_is_not_there_is_told(run: Run, gateway: StubGateway) -> None:
    """By how to name another."""
    result = run("login-link", "--console", "http://127.0.0.1:1")
    assert "no console answers" in result.stderr
    assert "--console URL" in result.stderr
