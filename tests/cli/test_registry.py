"""``fenglingctl token create``, ``list`` and ``revoke`` with a database."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.model.management_tokens import ADMIN, WRITE
from tests.cli.conftest import Run, Sql, document
from tests.cli.stub_gateway import StubGateway

KEY = "k1:" + bytes(range(32)).hex()


@pytest.fixture
def keys(tmp_path: Path) -> tuple[str, ...]:
    path = tmp_path / "keys"
    path.write_text(KEY)
    return ("--key-file", str(path))


def test_created_token_is_registered(run: Run, keys: tuple[str, ...], sql: Sql) -> None:
    """The row says what the token does; only the token is on stdout."""
    result = run(
        *("token", "create", *keys, "--role", "editor", "--tenant", "zeta", "--tenant", "acme"),
        *("--subject", "ci", "--name", "of the pipeline", "--for", "1h"),
    )
    operator = TokenRing([KEY]).verify(result.stdout.strip(), now=time.time())
    assert (operator.role, operator.tenants) == ("editor", {"acme", "zeta"})
    [row] = sql(
        "SELECT id, name, subject, scopes, tenants, extract(epoch FROM expires_at)::float8,"
        " revoked_at, created_by IS NOT NULL FROM fengling.management_token"
    )
    assert row == (
        *(operator.token_id, "of the pipeline", "ci", [WRITE], ["acme", "zeta"]),
        *(operator.expires_at, None, True),
    )


def test_token_that_can_not_be_registered_is_not_given_out(
    run: Run, keys: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for a registered one would think that it can be listed."""
    monkeypatch.setenv("FENGLING_DATABASE", "postgresql://nobody@127.0.0.1:1/none")
    result = run("token", "create", *keys)
    assert (result.exit_code, result.stdout) == (2, "")
    unregistered = run("token", "create", *keys, "--unregistered")
    assert "registered nowhere" in unregistered.stderr
    assert TokenRing([KEY]).verify(unregistered.stdout.strip(), now=time.time())


def test_list_tells_what_is_good(run: Run, keys: tuple[str, ...], dsn: str, sql: Sql) -> None:
    """Valid, expired and revoked ones, and no token itself."""
    token = run("token", "create", *keys, "--role", "admin", "--name", "mine").stdout.strip()
    sql("INSERT INTO fengling.management_token (id, expires_at) VALUES ('old', now())")
    sql("INSERT INTO fengling.management_token (id, revoked_at) VALUES ('stolen', now())")
    shown = run("token", "list").stdout
    lines = {line.split()[0]: line for line in shown.splitlines()[1:]}
    operator = TokenRing([KEY]).verify(token, now=time.time())
    assert {"mine", "admin", "valid", "all"} <= set(lines[operator.token_id].split())
    assert "expired" in lines["old"]
    assert "revoked" in lines["stolen"]
    assert token not in shown
    listed = document(run("token", "list", "-o", "json"))
    assert {one["id"]: one["scopes"] for one in listed}[operator.token_id] == [ADMIN]


def test_revoked_by_id(run: Run, keys: tuple[str, ...], sql: Sql) -> None:
    """Once; the second time says that it was, with status 1."""
    token = run("token", "create", *keys).stdout.strip()
    token_id = TokenRing([KEY]).verify(token, now=time.time()).token_id
    first = run("token", "revoke", token_id, "--comment", "left the company")
    assert (first.exit_code, first.stdout) == (0, f"revision 2: token {token_id} is revoked\n")
    assert sql("SELECT revoked_at IS NOT NULL FROM fengling.management_token") == [(True,)]
    assert sql("SELECT comment FROM fengling.revision WHERE id = 2") == [("left the company",)]
    assert run("token", "revoke", token_id).exit_code == 1


def test_what_is_not_registered_is_revoked_too(run: Run, keys: tuple[str, ...], sql: Sql) -> None:
    """By its id, or by the token itself, which then tells when the row can go."""
    token = run("token", "create", *keys, "--unregistered").stdout.strip()
    operator = TokenRing([KEY]).verify(token, now=time.time())
    assert run("token", "revoke", "-", stdin=f"{token}\n").exit_code == 0
    assert run("token", "revoke", "some-id").exit_code == 0
    assert sql(
        "SELECT id, extract(epoch FROM expires_at)::float8 FROM fengling.management_token"
        " WHERE revoked_at IS NOT NULL ORDER BY id = 'some-id'"
    ) == [(operator.token_id, operator.expires_at), ("some-id", None)]


@pytest.mark.parametrize("name", ["", "a b", "a.b.c.d" * 30])
def test_what_is_no_id_is_refused(run: Run, dsn: str, name: str) -> None:
    """A mistyped one revokes nothing, and says so."""
    assert run("token", "revoke", name).exit_code == 2


def test_example_for_files_is_one(run: Run, tmp_path: Path) -> None:
    """What help says to write is accepted as it stands there."""
    words = " ".join(run("token", "revoke", "--help").stdout.split())
    example = words[words.index("management_tokens:") :].partition("}}.")[0] + "}}"
    path = tmp_path / "tokens.yaml"
    path.write_text(example.replace("ID", "7f0c6f4a1b2d3e4f").replace(": {7", ":\n  {7"))
    result = run("validate", str(path))
    assert "0 rejected" in result.stdout, result.stdout


def test_older_file_is_applied_and_revokes_still(run: Run, dsn: str, sql: Sql) -> None:
    """All else in it is written; the token stays revoked, and nothing of it is a difference."""
    sql("INSERT INTO fengling.management_token (id, name) VALUES ('stolen', 'mine')")
    older = run("export", "--database", dsn).stdout
    assert "stolen" in older
    assert run("token", "revoke", "stolen").exit_code == 0
    assert run("diff", "-", stdin=older).exit_code == 0
    changed = older.replace("mine", "yours") + "services: [{id: orders}]\n"
    assert run("apply", "-", "--take-over", stdin=changed).exit_code == 0
    assert sql("SELECT name, revoked_at IS NOT NULL FROM fengling.management_token") == [
        ("yours", True)
    ]
    assert sql("SELECT id FROM fengling.service") == [("orders",)]


def test_gateways_tokens_are_shown(run: Run, gateway: StubGateway) -> None:
    """What a gateway knows of them, also from a file."""
    token = {"id": "t1", "name": "ci", "scopes": ["gateway:read"], "tenants": None}
    gateway.answers["GET", "tokens"] = (200, {"items": [token], "next": None})
    result = run("get", "tokens")
    assert result.exit_code == 0, result.stderr
    shown = result.stdout
    assert {"t1", "ci", "gateway:read", "all"} <= set(shown.split())


def test_audit_trail_is_shown(run: Run, gateway: StubGateway) -> None:
    """Page by page; of who is not known there is nothing."""
    record = {"number": 9, "at": 1.0, "what": "reload", "outcome": "done", "count": 1}
    known = {**record, "address": "10.0.0.7", "who": {"subject": "ada"}}
    gateway.answers["GET", "audit"] = (
        200,
        {"items": [known, {**known, "who": None}], "next": None},
    )
    _, first, second = run("get", "audit").stdout.replace("─", "").strip().splitlines()[:3]
    assert {"ada", "10.0.0.7", "reload", "done"} <= set((first + second).split())
    assert run("get", "audit", "9").exit_code == 2
