"""Who may manage a gateway: nobody without a credential that allows it, in whatever spelling."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import psycopg2
import pytest

from fengling_gateway.model.management_tokens import ADMIN, READ
from tests.conformance.managed import (
    ENTITIES,
    ask,
    local,
    managed,
    of_issuer,
    operations,
    weaker,
    wrong_credentials,
)
from tests.integration.gateway import GatewayProcess
from tests.management.test_gate import SPELLINGS
from tests.support.wait import wait_until


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with managed(tmp_path_factory.mktemp("managed")) as gateway:
        yield gateway


def raw_status(port: int, method: str, target: bytes, *headers: bytes) -> int:
    """Send exactly this target; the status of the answer, 0 where there is none."""
    head = [b"%s %s HTTP/1.1" % (method.encode(), target), b"Host: gateway", *headers]
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(b"\r\n".join([*head, b"Connection: close", b"Content-Length: 0"]))
        client.sendall(b"\r\n\r\n")
        answer = client.makefile("rb").read()
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_credentials_that_are_not_good_open_nothing(gateway: GatewayProcess) -> None:
    """Every operation of the document, with all of them: no success, and no fault of ours."""
    asked = list(product(operations(gateway), wrong_credentials().items()))
    answers = {
        (method, path, name): ask(gateway, method, path, credential)[0]
        for (method, path, _), (name, credential) in asked
    }
    assert len(answers) > 400
    assert {one: status for one, status in answers.items() if status not in {401, 403, 429}} == {}
    forbidden = {name for (_, _, name), status in answers.items() if status == 403}
    assert forbidden == {"of an issuer, without a scope"}


def test_each_operation_needs_its_scope(gateway: GatewayProcess) -> None:
    """One less is 403; with it, or as that of an issuer, it is done."""
    for method, path, scope in operations(gateway):
        less = weaker(scope)
        if less is not None:
            status, content = ask(gateway, method, path, f"Bearer {local(less)}")
            assert (path, status, json.loads(content)["code"]) == (path, 403, "insufficient_scope")
        for token in (local(scope), of_issuer(scope=scope)):
            status, content = ask(gateway, method, path, f"Bearer {token}")
            assert (path, status in {200, 404, 409}) == (path, True), content


def test_no_spelling_gets_around_the_credential(gateway: GatewayProcess) -> None:
    """Slashes, dots, escapes, cases, absolute forms: 401, or no request at all."""
    for (method, path, _), spell in product(operations(gateway), SPELLINGS):
        target = spell(path.encode())
        status = raw_status(gateway.management_port, method, target)
        assert (target, status in {400, 401}) == (target, True), status


def test_data_plane_knows_no_such_path(gateway: GatewayProcess) -> None:
    """In no spelling, not even for an admin."""
    bearer = b"Authorization: Bearer " + local(ADMIN).encode()
    for (method, path, _), spell in product(operations(gateway), SPELLINGS):
        target = spell(path.encode())
        status = raw_status(gateway.port, method, target, bearer)
        assert (target, status in {400, 404}) == (target, True), status


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["token_keys = []"],
        ['token_keys = [""]'],
        ['token_keys = ["k1:"]'],
        ['token_keys = ["k1:secret"]'],
        ['token_keys = ["k1:changeme-changeme-changeme-changeme"]'],
        [f'token_keys = ["k1:{"00" * 32}"]'],
        [f'token_keys = ["k1:{bytes(range(31)).hex()}"]'],
        ['token_keys = ["2026-11:<openssl rand -hex 32>"]'],
    ],
)
def test_gateway_does_not_start_without_a_secret_of_its_own(
    tmp_path: Path, lines: list[str]
) -> None:
    """None, an empty one, a word, the sample's, zeros, a short one: status 2, with the reason."""
    (tmp_path / "routes.yaml").write_text("routes: []\n")
    config = tmp_path / "gateway.toml"
    text = ['source = "file"', "[file]", f'path = "{tmp_path}/routes.yaml"', "[management]", *lines]
    config.write_text("\n".join(text))
    environ = {name: text for name, text in os.environ.items() if not name.startswith("FENGLING_")}
    ended = subprocess.run(
        [sys.executable, "-m", "fengling_gateway.tap.gateway", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environ,
    )
    assert ended.returncode == 2
    assert "management.token_keys" in ended.stderr


def test_wrong_tokens_are_limited(gateway: GatewayProcess) -> None:
    """Soon 429 with Retry-After; a good one passes meanwhile, and so does who sends none."""
    wrong = f"Bearer {local(ADMIN)[:-8]}AAAAAAAA"

    def limited() -> bool:
        return ask(gateway, "GET", "/api/gateway/status", wrong)[0] == 429

    wait_until(limited, interval=0)
    assert ask(gateway, "GET", "/api/gateway/status", f"Bearer {local()}")[0] == 200
    assert ask(gateway, "GET", "/api/gateway/status", "")[0] == 401


def test_pages_of_others_can_not_use_it(gateway: GatewayProcess) -> None:
    """No cookie is a credential, no other origin may read, no form is taken for JSON."""
    token = local(ADMIN)
    status, _ = ask(gateway, "GET", "/api/gateway/status", "", Cookie=f"token={token}")
    assert status == 401
    status, headers, _ = gateway.fetch(
        "/api/gateway/status",
        port=gateway.management_port,
        headers={"Authorization": f"Bearer {token}", "Origin": "https://evil.example"},
    )
    assert (status, [name for name in headers if name.startswith("access-control")]) == (200, [])
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        status, _, _ = gateway.fetch(
            "/api/gateway/reload",
            port=gateway.management_port,
            method="POST",
            headers={"Authorization": f"Bearer {token}", "Content-Type": kind},
            body=b"{}",
        )
        assert status == 415


def test_what_is_anothers_is_not_there(gateway: GatewayProcess) -> None:
    """With a tenant's credential of either kind; naming another tenant is refused."""
    for token in (local(ADMIN, tenants=["acme"]), of_issuer(tenant="acme")):
        bearer = f"Bearer {token}"
        for path in ("routes/of-brix", "instances/i2", "tenants/brix", "tokens/of-brix"):
            status, content = ask(gateway, "GET", f"/api/gateway/{path}", bearer)
            assert (path, status, json.loads(content)["code"]) == (path, 404, "not_served")
        for path in ("routes/of-acme", "tenants/acme", "clients/ci", "api_keys/k7"):
            assert ask(gateway, "GET", f"/api/gateway/{path}", bearer)[0] == 200
        status, content = ask(gateway, "GET", "/api/gateway/routes", bearer)
        assert [one["id"] for one in json.loads(content)["items"]] == ["of-acme"]
        named = {"X-Tenant-Id": "brix"}
        status, content = ask(gateway, "GET", "/api/gateway/routes", bearer, **named)
        assert (status, json.loads(content)["code"]) == (403, "tenant_mismatch")


def test_changes_and_attempts_are_on_record(gateway: GatewayProcess) -> None:
    """Who, from where, what, before and after; also who was refused, and who it was if known."""
    ask(gateway, "POST", "/api/gateway/reload", f"Bearer {of_issuer(sub='ada', jti='j-1')}")
    ask(gateway, "POST", "/api/gateway/reload", f"Bearer {local(READ, token_id='weak-1')}")
    items = gateway.manage("audit")["items"]
    refusal = next(one for one in items if (one["who"] or {}).get("token_id") == "weak-1")
    assert (refusal["outcome"], refusal["what"]) == (
        "insufficient_scope",
        "POST /api/gateway/reload",
    )
    change = next(one for one in items if (one["who"] or {}).get("token_id") == "j-1")
    assert (change["what"], change["outcome"], change["address"]) == (
        "reload",
        "done",
        "127.0.0.1",
    )
    assert change["who"]["source"] == "issuer corp"
    assert change["before"]["position"] == change["after"]["position"]
    assert "reload by ada from 127.0.0.1: done" in gateway.log


def test_revocation_in_a_file_is_served(tmp_path: Path) -> None:
    """As soon as the file is read; and taking it out again is what it says."""
    with managed(tmp_path) as gateway:
        bearer = f"Bearer {local(ADMIN, token_id='stolen')}"

        def status() -> int:
            return ask(gateway, "GET", "/api/gateway/status", bearer)[0]

        assert status() == 200
        tokens = [*ENTITIES["management_tokens"], {"id": "stolen", "revoked_at": time.time()}]
        file = tmp_path / "entities.yaml"
        file.write_text(json.dumps({**ENTITIES, "management_tokens": tokens}))
        wait_until(lambda: status() in {401, 429})
        # What is wrong with a record may be that somebody meant to revoke it.
        wrong = [*ENTITIES["management_tokens"], {"id": "stolen", "revoked": True}]
        file.write_text(json.dumps({**ENTITIES, "management_tokens": wrong}))
        wait_until(lambda: gateway.manage("status")["rejected"])
        assert status() in {401, 429}


def test_revocation_in_the_database_is_served(migrated_database: str, tmp_path: Path) -> None:
    """By one statement; a gateway that starts while the database is away knows it still."""
    gateway = GatewayProcess(tmp_path / "n1", database=migrated_database, worker_count=1)
    bearer = f"Bearer {local(ADMIN, token_id='stolen')}"

    def status() -> int:
        return ask(gateway, "GET", "/api/gateway/status", bearer)[0]

    gateway.start()
    try:
        gateway.wait_ready()
        assert status() == 200
        with psycopg2.connect(migrated_database) as connection, connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO fengling.management_token (id, revoked_at) VALUES ('stolen', now())"
            )
        connection.close()
        wait_until(lambda: status() in {401, 429})
        gateway.stop()
        gateway.database = "postgresql://nobody@127.0.0.1:1/none"
        gateway.start()
        gateway.wait_ready()
        assert gateway.manage("status")["served_from"] == "last-known-good"
        assert status() in {401, 429}
    finally:
        gateway.stop()
