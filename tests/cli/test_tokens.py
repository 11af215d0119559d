"""``fenglingctl token``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.model.management_tokens import READ, WRITE
from tests.cli.conftest import Run, document

KEY = "k1:" + bytes(range(32)).hex()
OTHER = "k2:" + bytes(range(32, 64)).hex()


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "keys"
    path.write_text(f"{KEY}\n{OTHER}\n")
    return str(path)


def test_a_token_is_made_from_the_first_key(run: Run, key_file: str) -> None:
    """Nothing but the token on stdout."""
    result = run(
        *("token", "create", "--key-file", key_file, "--subject", "ci"),
        *("--scope", WRITE, "--scope", READ, "--for", "15m"),
    )
    principal = TokenRing([KEY]).verify(result.stdout.strip(), now=time.time())
    assert (principal.subject, principal.scopes) == ("ci", {READ, WRITE})
    assert 890 < principal.expires_at - time.time() <= 900


def test_keys_come_from_where_a_gateway_has_them(
    run: Run, key_file: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """The environment, a file that it names, or the settings file."""
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'[database]\nurl = "postgresql://db/x"\n[management]\ntoken_keys_file = "{key_file}"\n'
    )
    tokens = [run("token", "create", "--config", str(config)).stdout]
    monkeypatch.setenv("FENGLING_MANAGEMENT__TOKEN_KEYS_FILE", key_file)
    tokens.append(run("token", "create").stdout)
    monkeypatch.setenv("FENGLING_MANAGEMENT__TOKEN_KEYS", f'["{KEY}"]')
    tokens.append(run("token", "create").stdout)
    for token in tokens:
        assert TokenRing([KEY]).verify(token.strip(), now=time.time()).may(READ)


def test_a_user_without_a_name_gets_a_token(
    run: Run, key_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may run as any uid."""

    def no_entry(uid: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", no_entry)
    token = run("token", "create", "--key-file", key_file).stdout.strip()
    subject = TokenRing([KEY]).verify(token, now=time.time()).subject
    assert subject == f"uid-{os.getuid()}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no keys"),
        (("--for", "soon"), "30d"),
        (("--for", "99999d", "--key-file", "KEYS"), "a year"),
        (("--subject", "a\nb", "--key-file", "KEYS"), "subject"),
        (("--scope", "all"), "gateway:read"),
        (("--key-file", "WEAK"), "placeholder"),
        (("--key-file", "BINARY"), "no text"),
        (("--config", "WEAK"), "WEAK"),
    ],
)
def test_what_is_missing_is_said(
    run: Run, key_file: str, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """Status 2, no token."""
    (tmp_path / "WEAK").write_text("k1:" + "00" * 32)
    (tmp_path / "BINARY").write_bytes(b"\xff\xfe")
    places = {"KEYS": key_file, "WEAK": str(tmp_path / "WEAK"), "BINARY": str(tmp_path / "BINARY")}
    result = run("token", "create", *(places.get(one, one) for one in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert "0000" not in result.stderr


def test_a_token_is_inspected(run: Run, key_file: str) -> None:
    """What it claims; with keys, whether that is true."""
    token = run("token", "create", "--key-file", key_file, "--subject", "ci").stdout.strip()
    shown = document(run("token", "inspect", token, "-o", "json"))
    assert (shown["sub"], shown["key"], shown["valid"]) == (
        "ci",
        "k1",
        "not checked: no keys given",
    )
    result = run("token", "inspect", "-", "--key-file", key_file, stdin=token + "\n")
    assert result.exit_code == 0
    assert "ci" in result.stdout


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_a_token_of_a_stranger_tells_the_terminal_nothing(run: Run, output: str) -> None:
    """Whatever is in it: it is shown, and not obeyed."""
    claims = {"sub": "\x1b[2Jada\x9b31m\u202e", "\x1b[1m": ["\x1b]0;x\x07"]}
    token = jwt.encode(claims, "k" * 32, headers={"kid": "k1"})
    shown = run("token", "inspect", "-", "-o", output, stdin=token).stdout
    assert "ada" in shown
    assert not set("\x1b\x07\x9b\u202e").intersection(shown)


def test_an_invalid_token_is_status_1(run: Run, key_file: str, tmp_path: Path) -> None:
    """By another key, or expired; what is no token at all is 2."""
    (tmp_path / "other").write_text(OTHER)
    token = run("token", "create", "--key-file", str(tmp_path / "other")).stdout.strip()
    (tmp_path / "first").write_text(KEY)
    result = run("token", "inspect", token, "--key-file", str(tmp_path / "first"), "-o", "json")
    assert (result.exit_code, document(result)["valid"]) == (1, "unknown key")
    assert run("token", "inspect", "abc").exit_code == 2
