"""The management API does what its document says, whatever it is sent, and repeats no secret."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from fengling_gateway.model.management_tokens import ADMIN
from tests.conformance.managed import ask, local, managed, operations
from tests.integration.gateway import GatewayProcess, admin_token
from tests.support.wait import wait_until

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with managed(tmp_path_factory.mktemp("managed")) as gateway:
        yield gateway


def run_schemathesis(gateway: GatewayProcess, directory: Path, examples: int) -> None:
    """Run it with all checks; what it has found wrong is the failure."""
    document = f"http://127.0.0.1:{gateway.management_port}/api/gateway/openapi.json"
    ended = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--no-color"),
            *("--config-file", str(HERE / "schemathesis.toml")),
            *("run", document, "--checks", "all", "--max-examples", str(examples)),
            *("--header", f"Authorization: Bearer {admin_token()}"),
        ],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # With the three probes, and without the document, which it has read.
    assert f"Tested: {len(operations(gateway)) + 2}\n" in ended.stdout


def test_document_is_true(gateway: GatewayProcess, tmp_path: Path) -> None:
    """schemathesis: statuses, types, schemas, methods, credentials; right and wrong input."""
    run_schemathesis(gateway, tmp_path, 8)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_document_is_true_of_much_more(gateway: GatewayProcess, tmp_path: Path) -> None:
    """The same, for minutes."""
    run_schemathesis(gateway, tmp_path, 100)


DEEP = b'{"comment": ' + b"[" * 1000 + b"]" * 1000 + b"}"
ODD_BODIES = {
    "a name twice": b'{"comment": "a", "comment": "b"}',
    "a name twice, within": b'{"headers": {"a": "b", "a": "c"}}',
    "10 MB": b'{"comment": "' + b"x" * 10_000_000 + b'"}',
    "depth 1000": DEEP,
    "depth 20000, not closed": b"[" * 20_000,
    "NUL": b'{"comment": "a\0b"}',
    "NUL, escaped": b'{"comment": "a\\u0000b"}',
    "half of a character": b'{"comment": "\\ud800", "keep": "\\ud800", "host": "\\uD800",'
    b' "name": "\\udfff", "routes": [{"id": "\\ud800"}]}',
    "a lone surrogate": b'{"comment": "\xed\xa0\x80"}',
    "not UTF-8": b'{"comment": "\xff"}',
    "NaN": b'{"revision": NaN}',
    "Infinity": b'{"revision": Infinity}',
    "a number of 5000 digits": b'{"revision": ' + b"9" * 5000 + b"}",
    "an exponent": b'{"revision": 1e400}',
    "another value": b"[]",
    "text after it": b"{} {}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"comment": "a"}'.encode("utf-16"),
}


@pytest.mark.parametrize("name", ODD_BODIES)
@pytest.mark.parametrize("operation", ["reload", "confirm", "explain"])
def test_odd_body_is_refused(gateway: GatewayProcess, operation: str, name: str) -> None:
    """400, 413 or 422, and a problem document."""
    path, bearer = f"/api/gateway/{operation}", f"Bearer {admin_token()}"
    status, content = ask(gateway, "POST", path, bearer, ODD_BODIES[name])
    assert status in {400, 413, 422}
    assert json.loads(content)["status"] == status
    assert (status == 413) is (name == "10 MB")
    assert gateway.get("/livez", port=gateway.management_port)[0] == 200


def test_odd_body_of_a_stranger_is_not_looked_at(gateway: GatewayProcess) -> None:
    """Who has no credential is told nothing but that."""
    for name, body in ODD_BODIES.items():
        status, _ = ask(gateway, "POST", "/api/gateway/explain", "", body)
        assert (name, status) == (name, 401)


def canary() -> str:
    return f"canary{secrets.token_hex(24)}"


def test_nothing_repeats_a_secret(tmp_path: Path) -> None:
    """Of the settings, or sent by a client: no answer, metric, record or line of the log has it."""
    keys = {name: secrets.token_hex(32) for name in ("token", "sync", "seal")}
    planted = {name: canary() for name in ("database", "redis", "bearer", "query", "body")}
    (tmp_path / "keys").write_text(f"2026-11:{keys['seal']}\n")
    (tmp_path / "keys").chmod(0o600)
    gateway = GatewayProcess(
        tmp_path / "n1",
        database=f"postgresql://ops:{planted['database']}@127.0.0.1:1/none",
        redis=f"redis://:{planted['redis']}@127.0.0.1:1/0",
        worker_count=1,
        settings={
            "management": {"token_keys": [f"k1:{keys['token']}"]},
            "sync": {"keys": [f"s1:{keys['sync']}"]},
            "secrets": {"key_file": str(tmp_path / "keys")},
        },
    )
    token = local(ADMIN, key=f"k1:{keys['token']}")
    reader = "Bearer " + token
    wrong = f"Bearer {token[: token.rindex('.')]}.{planted['bearer']}"
    texts: list[bytes] = []

    def collect(method: str, path: str, credential: str, body: bytes | None = None) -> None:
        status, headers, content = gateway.fetch(
            path,
            port=gateway.management_port,
            method=method,
            headers={"Authorization": credential, "Content-Type": "application/json"},
            body=body,
        )
        texts.extend((repr(headers).encode(), content))
        assert status < 500 or status in {503, 504}

    gateway.start()
    try:
        wait_until(lambda: gateway.get("/livez", port=gateway.management_port)[0] == 200)
        document = json.loads(ask(gateway, "GET", "/api/gateway/openapi.json", reader)[1])
        text = planted["body"]
        for path, methods in document["paths"].items():
            target = path.replace("{id}", "x")
            for method, credential in product(methods, (reader, wrong)):
                collect(method.upper(), target, credential)
                collect(method.upper(), f"{target}?token={planted['query']}", credential)
                for body in ({text: text}, {"revision": text}, {"comment": [text]}, text):
                    collect(method.upper(), target, credential, json.dumps(body).encode())
    finally:
        gateway.stop()
    seen = b"".join(texts) + gateway.log.encode()
    hidden = {**planted, **keys, "token itself": token.rpartition(".")[2]}
    assert {name for name, text in hidden.items() if text.encode() in seen} == set()
    assert b"127.0.0.1" in seen, "why the database is away is told"
