"""A console that probes instances which want a certificate from whoever calls them."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.auth.sealing import Sealer, parse_sealing_keys
from fengling_gateway.embedded.postgres import PostgresServer
from tests.health.instance import TestInstance
from tests.integration.console import ConsoleProcess, Fleet, fleet_with_database
from tests.support.issued import ROOT, SHOP, issue
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(120)

OLD, NEW = (f"{name}:{os.urandom(32).hex()}" for name in ("2025", "2026"))


@pytest.fixture
def fleet(postgres: PostgresServer, _migrated_template: str, tmp_path: Path) -> Iterator[Fleet]:
    with fleet_with_database(postgres, _migrated_template, tmp_path) as fleet:
        yield fleet


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[TestInstance]:
    """Return an instance that talks to nobody without a certificate of the root's."""
    own = issue("orders.internal", by=ROOT)
    file = tmp_path / "instance.pem"
    file.write_text(own.key + own.chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.load_verify_locations(cadata=ROOT.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    instance = TestInstance(context)
    yield instance
    instance.kill()


def add(fleet: Fleet, instance: TestInstance, name: str, certificate: str | None) -> None:
    """Add a service with this instance, both of a name, to which a certificate is shown."""
    tls = {"ca": ROOT.pem, "client_certificate": certificate, "sni": "orders.internal"}
    fleet.sql.run(
        "INSERT INTO fengling.service (id, tls, health_check) VALUES (%s, %s, %s);"
        "INSERT INTO fengling.instance (id, service_id, address) VALUES (%s, %s, %s)",
        *(name, json.dumps(tls), json.dumps({"interval": "2s", "fall": 1, "rise": 1})),
        *(name, name, instance.address),
    )


def add_certificate(fleet: Fleet, name: str, secret: str) -> None:
    fleet.sql.run(
        "INSERT INTO fengling.secret (id, value) VALUES (%s, %s);"
        "INSERT INTO fengling.certificate (id, chain, key_secret, enabled)"
        " VALUES (%s, %s, %s, false)",
        *(name, secret, name, SHOP.chain, name),
    )


def wait_for(fleet: Fleet, name: str, health: str) -> None:
    query = "SELECT health FROM fengling.instance_health WHERE instance_id = %s"
    wait_until(lambda: fleet.sql.value(query, name) == health, timeout=60)


def last_probe(console: ConsoleProcess, name: str) -> Any:
    return console.get(f"instances/{name}/health")["probes"]["last_probe"]


def test_probes_show_the_certificate_of_the_service(
    fleet: Fleet, strict: TestInstance, tmp_path: Path
) -> None:
    """With a key in a file or encrypted; one that is not here yet is here after a hangup."""
    key = tmp_path / "shop.key"
    key.write_text(SHOP.key)
    keys = tmp_path / "secret.keys"
    keys.touch(mode=0o600)
    keys.write_text(OLD)
    sealer = Sealer(parse_sealing_keys([NEW]), random_bytes=os.urandom)
    add_certificate(fleet, "in-file", f"file:{key}")
    add_certificate(fleet, "sealed", sealer.seal("sealed", SHOP.key.encode()))
    add(fleet, strict, "in-file", "in-file")
    add(fleet, strict, "sealed", "sealed")
    add(fleet, strict, "none", None)
    console = fleet.console(
        settings={"probes": {"enabled": True}, "secrets": {"key_file": str(keys)}}
    )
    wait_for(fleet, "in-file", "healthy")
    wait_for(fleet, "none", "unhealthy")
    found = wait_until(lambda: last_probe(console, "sealed"))
    assert found["outcome"] == "not_probed"
    assert 'secret sealed is encrypted with key "2026", which is not here' in found["seen"]
    keys.write_text(f"{NEW}\n{OLD}\n")
    assert console.process is not None
    console.process.send_signal(signal.SIGHUP)
    wait_for(fleet, "sealed", "healthy")
    assert "settings: secrets.key_file changed; it is in use at once" in console.log
    assert SHOP.key.splitlines()[1] not in console.log


def test_file_that_was_not_there_is_read_after_a_hangup(
    fleet: Fleet, strict: TestInstance, tmp_path: Path
) -> None:
    """Though no setting has changed; and the log says why it was not probed until then."""
    key = tmp_path / "shop.key"
    add_certificate(fleet, "shop", f"file:{key}")
    add(fleet, strict, "shop", "shop")
    console = fleet.console(settings={"probes": {"enabled": True}})
    wait_until(lambda: "certificate shop can't be used for probes" in console.log, timeout=60)
    assert strict.connections == 0
    key.write_text(SHOP.key)
    assert console.process is not None
    console.process.send_signal(signal.SIGHUP)
    wait_for(fleet, "shop", "healthy")


COMMAND = (sys.executable, "-m", "fengling_gateway.tap.console")


def test_console_leaves_no_core(fleet: Fleet) -> None:
    """It would be everything that a console knows, in a file."""
    console = fleet.console(program=("sh", "-c", 'ulimit -c unlimited; exec "$0" "$@"', *COMMAND))
    assert console.process is not None
    limits = Path(f"/proc/{console.process.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 ", limits), limits
