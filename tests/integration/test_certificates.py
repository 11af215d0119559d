"""Certificates in a gateway that runs: keys come with a hangup, and lie in the clear nowhere."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from fengling_gateway.auth.sealing import Sealer, parse_sealing_keys
from tests.integration.conftest import Sql
from tests.integration.gateway import GatewayProcess
from tests.integration.world import lines_with, wait_for_line
from tests.support.issued import ROOT, SHOP, issue
from tests.support.wait import wait_until

OLD, NEW = (f"{name}:{os.urandom(32).hex()}" for name in ("2025", "2026"))
OTHER = issue("other.example")


def sealed(key: str) -> str:
    sealer = Sealer(parse_sealing_keys([key]), random_bytes=os.urandom)
    return sealer.seal("shop", SHOP.key.encode())


def add_shop(sql: Sql, secret: str) -> None:
    """Add the shop's certificate, and its key as this."""
    sql.run(
        "INSERT INTO fengling.secret (id, value) VALUES ('shop', %s);"
        "INSERT INTO fengling.certificate (id, chain, key_secret) VALUES ('shop', %s, 'shop')",
        *(secret, SHOP.chain),
    )


def failed(gateway: GatewayProcess) -> list[Any]:
    return [worker["failed"] for worker in gateway.manage("status")["workers"]]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret.keys"
    path.touch(mode=0o600)
    path.write_text(OLD)
    return path


def shown(gateway: GatewayProcess, name: str) -> int:
    """Return the serial number of the certificate that a client is shown who asks for a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ROOT.pem)
    plain = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    with context.wrap_socket(plain, server_hostname=name) as secure:
        return int(str(secure.getpeercert()["serialNumber"]), 16)  # type: ignore[index]


class _Handler(BaseHTTPRequestHandler):
    """Answers with the name in the client's certificate."""

    def do_GET(self) -> None:
        connection: Any = self.connection
        subject = dict(pair for (pair,) in connection.getpeercert()["subject"])
        body = subject["commonName"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Tests need no access log."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *args: Any) -> None:
        """Some handshakes are meant to fail."""


@pytest.fixture
def strict_instance(tmp_path: Path) -> Iterator[int]:
    """Return the port of an instance that wants a certificate from whoever calls it."""
    own = issue("orders.internal", by=ROOT)
    file = tmp_path / "instance.pem"
    file.write_text(own.key + own.chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.load_verify_locations(cadata=ROOT.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    server = _Server(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


class CertificateTests:
    @pytest.mark.parametrize("workers", [1, 2])
    def test_hangup_brings_keys_and_files_to_all_workers(
        self,
        gateways: Callable[..., GatewayProcess],
        tmp_path: Path,
        key_file: Path,
        workers: int,
    ) -> None:
        """Until then status says of each worker what it can't use, and why."""
        other = tmp_path / "other.key"
        routes = tmp_path / "routes.yaml"
        configuration = {
            "secrets": {"shop": {"value": sealed(NEW)}, "other": {"value": f"file:{other}"}},
            "certificates": {
                "shop": {"chain": SHOP.chain, "key_secret": "shop"},
                "other": {"chain": OTHER.chain, "key_secret": "other"},
            },
            "routes": {"ok": {"path": "/ok", "respond": {}}},
        }
        routes.write_text(yaml.safe_dump(configuration))
        gateway = gateways(
            source="file",
            worker_count=workers,
            settings={"file": {"path": str(routes)}, "secrets": {"key_file": str(key_file)}},
        )
        gateway.wait_ready()
        reasons = {
            "certificate other": f"secret other can't be read from {other}: "
            "No such file or directory",
            "certificate shop": 'secret shop is encrypted with key "2026", which is not here '
            "(known: 2025)",
        }
        assert failed(gateway) == [reasons] * workers
        key_file.write_text(f"{NEW}\n{OLD}\n")
        gateway.signal(signal.SIGHUP)
        wait_for_line(gateway, "settings: secrets.key_file changed; it is in use at once")
        wait_until(
            lambda: (
                failed(gateway) == [{"certificate other": reasons["certificate other"]}] * workers
            )
        )
        other.write_text(OTHER.key)
        gateway.signal(signal.SIGHUP)
        wait_until(lambda: failed(gateway) == [{}] * workers)
        assert len(lines_with(gateway, "certificate shop can be used again")) == workers
        assert gateway.get("/ok")[0] == 200
        assert set(gateway.manage("status")["certificates_expire"]) == {"other", "shop"}

    def test_service_shows_its_certificate_to_an_instance(
        self,
        gateways: Callable[..., GatewayProcess],
        sql: Sql,
        key_file: Path,
        strict_instance: int,
    ) -> None:
        """From the tables to the handshake: authorities, name, client certificate and its key."""
        tls = {"ca": ROOT.pem, "client_certificate": "shop", "sni": "orders.internal"}
        add_shop(sql, sealed(OLD))
        sql.run(
            "INSERT INTO fengling.service (id, tls) VALUES ('s', %s), ('without', %s);"
            "INSERT INTO fengling.instance (service_id, address) VALUES ('s', %s), ('without', %s);"
            "INSERT INTO fengling.route (id, path, service_id) VALUES"
            " ('a', '/a', 's'), ('b', '/b', 'without')",
            *(json.dumps(tls), json.dumps({**tls, "client_certificate": None})),
            *[f"https://127.0.0.1:{strict_instance}"] * 2,
        )
        gateway = gateways(database=sql.dsn, settings={"secrets": {"key_file": str(key_file)}})
        gateway.wait_ready()
        assert gateway.get("/a") == (200, b"shop.example")
        assert gateway.get("/b")[0] == 502

    def test_client_is_shown_the_certificate_of_the_table(
        self, gateways: Callable[..., GatewayProcess], sql: Sql, key_file: Path
    ) -> None:
        """By the name it asks for; a renewed one at the next handshake, with no hangup."""
        renewed = issue("shop.example", by=ROOT, seed="renewed")
        sealer = Sealer(parse_sealing_keys([OLD]), random_bytes=os.urandom)
        sql.run("INSERT INTO fengling.route (id, respond) VALUES ('ok', '{}')")
        add_shop(sql, sealed(OLD))
        gateway = gateways(
            database=sql.dsn,
            settings={"secrets": {"key_file": str(key_file)}},
            listener=["tls = {}"],
        )
        gateway.wait_ready()
        assert shown(gateway, "shop.example") == SHOP.certificate.serial_number
        assert shown(gateway, "a.shop.example") == SHOP.certificate.serial_number
        sql.run(
            "UPDATE fengling.secret SET value = %s; UPDATE fengling.certificate SET chain = %s",
            *(sealer.seal("shop", renewed.key.encode()), renewed.chain),
        )
        serial = renewed.certificate.serial_number
        wait_until(lambda: {shown(gateway, "shop.example") for _ in range(20)} == {serial})

    def test_database_and_disk_have_nothing_in_the_clear(
        self, gateways: Callable[..., GatewayProcess], sql: Sql, key_file: Path
    ) -> None:
        """Nor have log, status and management API; and a changed secret is served at once."""
        sql.run("INSERT INTO fengling.route (id, respond) VALUES ('ok', '{}')")
        gateway = gateways(database=sql.dsn, settings={"secrets": {"key_file": str(key_file)}})
        gateway.wait_ready()
        add_shop(sql, sealed(NEW))
        wait_until(lambda: all("certificate shop" in one for one in failed(gateway)))
        sql.run("UPDATE fengling.secret SET value = %s", sealed(OLD))
        wait_until(lambda: failed(gateway) == [{}, {}])
        log = str(
            sql.value(
                "SELECT coalesce(string_agg(c::text, ''), '') FROM fengling.revision_change AS c"
            )
        )
        shown = f"{gateway.manage('status')} {gateway.manage('secrets')} {gateway.log}"
        assert gateway.manage("secrets")["items"][0]["key"] == "2025"
        assert "aes256gcm" not in shown
        assert "aes256gcm" not in log
        assert gateway.stop() == 0
        lines = SHOP.key.splitlines()[1:-1]
        kept = [path for path in gateway.directory.rglob("*") if path.is_file()]
        found = b"".join(path.read_bytes() for path in kept)
        assert b"aes256gcm:2025:" in found  # the last-known-good file
        for line in lines:
            assert line.encode() not in found
