"""Weak keys get into no configuration, whichever way somebody writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from click.testing import CliRunner, Result

from fengling_gateway.cli.cold_start import judge_database
from fengling_gateway.cli.main import cli
from fengling_gateway.model.entity import Key
from tests.support.forge import b64, ec_jwk, number, rsa_jwk, rsa_key

CORP = Key("issuer", "corp")


def computable() -> int:
    """Return a modulus of 2048 bits of the form that the library of CVE-2017-15361 gave it."""
    primorial = 1
    for prime in (one for one in range(2, 702) if all(one % low for low in range(2, one))):
        primorial *= prime
    most = (1 << 1024) // primorial
    p, q = (
        (most - less) * primorial + pow(65537, power, primorial)
        for less, power in ((123, 77), (67, 1001))
    )
    return p * q


WEAK: dict[str, dict[str, Any]] = {
    "1024 bits": rsa_jwk(rsa_key(1024)),
    "2047 bits": rsa_jwk(n=number((1 << 2046) + 1)),
    "e = 1": rsa_jwk(e=number(1)),
    "e = 2": rsa_jwk(e=number(2)),
    "can be computed": rsa_jwk(n=number(computable())),
    "a private key": rsa_jwk(d="AQAB"),
    "a secret": {"kty": "oct", "k": b64(b"x" * 16), "kid": "k1"},
    "a curve of its own": ec_jwk(crv="secp256k1"),
    "no point of its curve": ec_jwk(y=b64(b"\1" * 32)),
}


def issuer(jwk: dict[str, Any]) -> dict[str, Any]:
    return {"issuer": "https://id.example", "audiences": ["a"], "keys": {"keys": [jwk]}}


def fenglingctl(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(arguments), input=text, prog_name="fenglingctl")


@pytest.fixture
def dsn(migrated_database: str) -> str:
    """Return the DSN of an empty database with the schema."""
    return migrated_database


@pytest.fixture
def sql(dsn: str) -> Iterator[Any]:
    """Return a function that runs a statement there."""
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        yield cursor.execute
    connection.close()


@pytest.mark.parametrize("weakness", WEAK)
def test_file_with_a_weak_key_is_refused(weakness: str) -> None:
    """The issuer alone; what the key is lacks nowhere."""
    good = {**issuer(rsa_jwk()), "issuer": "https://other.example"}
    text = json.dumps({"issuers": {"corp": issuer(WEAK[weakness]), "other": good}})
    result = fenglingctl("validate", "-", "-o", "json", text=text)
    found = json.loads(result.stdout)
    assert (result.exit_code, found["valid"]) == (1, 1)
    [rejected] = found["rejected"]
    assert (rejected["id"], rejected["serving"]) == ("corp", "nothing")
    assert {one["code"] for one in rejected["problems"]} == {"bad_keys"}


@pytest.mark.parametrize("weakness", WEAK)
def test_weak_key_is_not_applied(weakness: str, dsn: str, sql: Any) -> None:
    """Nor anything that comes with it."""
    text = json.dumps({"issuers": {"corp": issuer(WEAK[weakness])}, "tenants": {"acme": {}}})
    result = fenglingctl("apply", "-", "--database", dsn, text=text)
    assert result.exit_code == 2
    assert "nothing is changed" in result.output
    assert judge_database(dsn).bodies == {}


INSERT = (
    "INSERT INTO fengling.issuer (id, issuer, audiences, keys)"
    " VALUES ('corp', 'https://id.example', '{a}', %s)"
)
NOBODYS = ("a private key", "a secret")
"""What must not even stay in the log of changes."""


@pytest.mark.parametrize("weakness", [one for one in WEAK if one not in NOBODYS])
def test_weak_key_in_the_table_is_believed_by_no_gateway(weakness: str, dsn: str, sql: Any) -> None:
    """They reject the issuer, and go on with the keys from before where there were some."""
    weak = json.dumps({"keys": [WEAK[weakness]]})
    sql(INSERT, (weak,))
    judged = judge_database(dsn)
    assert (judged.bodies, list(judged.rejected)) == ({}, [CORP])
    sql("UPDATE fengling.issuer SET keys = %s", (json.dumps({"keys": [rsa_jwk()]}),))
    good = judge_database(dsn)
    assert (list(good.bodies), good.rejected) == ([CORP], {})
    sql("UPDATE fengling.issuer SET keys = %s", (weak,))
    after = judge_database(dsn)
    assert after.bodies == good.bodies
    assert after.rejected[CORP].serving == "previous version"


@pytest.mark.parametrize("weakness", NOBODYS)
def test_private_key_does_not_get_into_the_table(weakness: str, sql: Any) -> None:
    """The log of changes would keep it for a year."""
    with pytest.raises(psycopg2.errors.CheckViolation, match="holds a private key or a secret"):
        sql(INSERT, (json.dumps({"keys": [WEAK[weakness]]}),))


def test_digest_of_a_key_is_never_the_key(dsn: str, sql: Any) -> None:
    """By any way; and it is repeated by none."""
    key = "fgk_k_" + "hunter2" * 6 + "x"
    text = json.dumps({"clients": {"c": {}}, "api_keys": {"k": {"client_id": "c", "digest": key}}})
    for arguments in (("validate", "-"), ("apply", "-", "--database", dsn)):
        result = fenglingctl(*arguments, text=text)
        assert result.exit_code in (1, 2)
        assert "hunter2" not in result.output
    sql("INSERT INTO fengling.client (id) VALUES ('c')")
    with pytest.raises(psycopg2.errors.CheckViolation) as caught:
        sql("INSERT INTO fengling.api_key (id, client_id, digest) VALUES ('k', 'c', %s)", (key,))
    assert "hunter2" not in str(caught.value)
