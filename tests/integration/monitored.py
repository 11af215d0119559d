"""A gateway that has to do with everything that there are metrics of, and clients of all kinds."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from fengling_gateway.embedded.ports import free_port
from fengling_gateway.syncbus.names import Names
from tests.integration.bus import RawRedis
from tests.integration.cluster import Followed
from tests.integration.test_api_keys import make_key
from tests.integration.world import fenglingctl
from tests.support.forge import AUDIENCE, claims, rsa_key, token
from tests.support.issued import SHOP
from tests.support.issuer_server import IssuerServer
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.wait import wait_until


class Monitored:
    """
    One gateway of two workers, one console that probes and follows a cluster, and what goes wrong with them.

    Of the service `half` an instance is away; an issuer is away, too; a route is rejected, another
    one switched off; somebody speaks nonsense on Redis and to the TLS listener.

    Attributes:
        rounds: how often everything has been asked.
    """

    def __init__(
        self, fleet: Followed, redis: str, issuer: IssuerServer, traces: OtlpReceiver
    ) -> None:
        self._fleet, self._issuer = fleet, issuer
        self._tls_port = free_port()
        self.rounds = 0
        self._stop, self._problems = threading.Event(), list[BaseException]()
        self._clients = threading.Thread(target=self._ask, daemon=True)
        self._configure(fleet.directory)
        self._api_key = make_key(fleet.sql.dsn, "first", "--new-client")
        self.gateway = fleet.gateway(
            listener=[
                *("[[listeners]]", 'name = "https"', "tls = {}"),
                f'address = "127.0.0.1:{self._tls_port}"',
            ],
            settings={
                "access_log": {"path": str(fleet.directory / "access.log")},
                "tracing": {"endpoint": traces.address, "sample_ratio": 0.1},
            },
        )
        self.console = fleet.console(settings={"probes": {"enabled": True}, **fleet.settings()})
        off = self.console.ask("PUT", "switches/route/off")
        assert off.status == 200, off
        # The database takes it, and no worker can.
        fleet.sql.run("UPDATE fengling.route SET path = '~^/(?=known)' WHERE id = 'spoilt'")
        self._channel = Names(self.gateway.cluster).announcements
        self._redis = RawRedis(redis)

    def _configure(self, directory: Path) -> None:
        shop, none = self._fleet.upstream("shop").address, f"http://127.0.0.1:{free_port()}"
        key = directory / "shop.key"
        key.write_text(SHOP.key)
        key.chmod(0o600)
        respond = {"status": 200, "body": "hello"}
        by_name = shop.replace("127.0.0.1", "localhost")
        document = {
            "secrets": [{"id": "shop", "value": f"file:{key}"}],
            "certificates": [{"id": "shop", "chain": SHOP.chain, "key_secret": "shop"}],
            "issuers": [
                {
                    "id": "corp",
                    "issuer": self._issuer.address,
                    "jwks_url": self._issuer.url,
                    "audiences": [AUDIENCE],
                },
                {"id": "away", "issuer": none, "jwks_url": f"{none}/keys", "audiences": ["x"]},
            ],
            "services": [
                {
                    "id": "shop",
                    "health_check": {},
                    "instances": [
                        {"id": "shop-1", "address": shop},
                        {"id": "shop-2", "address": by_name},
                    ],
                },
                {
                    "id": "half",
                    "policies": {"ejection": {"base": "1s"}},
                    "instances": [
                        {"id": "half-1", "address": shop},
                        {"id": "half-2", "address": none},
                    ],
                },
                {"id": "gone", "instances": [{"id": "gone-1", "address": none}]},
            ],
            "routes": [
                {"id": "shop", "path": "/shop", "service_id": "shop"},
                {"id": "half", "path": "/half", "service_id": "half"},
                {"id": "gone", "path": "/gone", "service_id": "gone"},
                _guarded("tokens", auth={"mode": "required"}),
                _guarded("keys", auth={"mode": "required", "methods": ["api_key"]}),
                _guarded("few", rate_limit={"rate": "2/s"}),
                _guarded("few-of-all", rate_limit={"rate": "2/s", "where": "global"}),
                {"id": "off", "path": "/off", "respond": respond},
                {"id": "spoilt", "path": "/spoilt", "respond": respond},
            ],
        }
        path = directory / "routes.yaml"
        path.write_text(yaml.safe_dump(document))
        applied = fenglingctl("apply", str(path), "--database", self._fleet.sql.dsn)
        assert applied.returncode == 0, applied

    def start(self) -> None:
        """Have clients come, and changes be made, until `rest`."""
        wait_until(lambda: self._with_token() == 200)  # its issuer's keys are fetched
        self._clients.start()
        wait_until(lambda: self.rounds > 3 or self._problems, timeout=60)
        assert not self._problems, self._problems

    def rest(self) -> None:
        """Have nobody come any more; fails if somebody got another answer than was to be expected."""
        self._stop.set()
        if self._clients.is_alive():
            self._clients.join()
        assert not self._problems, self._problems

    def _ask(self) -> None:
        try:
            while not self._stop.is_set():
                self._round()
                self._stop.wait(0.05)
        except BaseException as problem:
            self._problems.append(problem)

    def _round(self) -> None:
        gateway = self.gateway
        for path in ("/shop", "/half", "/gone", "/off", "/nowhere", "/few", "/few-of-all"):
            gateway.get(path)
        gateway.fetch("/shop", method="POST", body=b"x" * 5000)
        assert self._with_token() == 200
        assert self._with_token(spoilt="x") == 401
        assert gateway.get("/keys", headers={"X-Api-Key": self._api_key})[0] == 200
        gateway.get("/api/gateway/status", port=gateway.management_port)  # without a token
        self._over_tls()
        with closing(socket.create_connection(("127.0.0.1", self._tls_port), 10)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            stranger.recv(100)
        self._redis.ask("PUBLISH", self._channel, "nonsense")
        self._fleet.sql.run(
            "UPDATE fengling.route SET respond = %s WHERE id = 'off'",
            json.dumps({"status": 200, "body": f"hello {self.rounds}"}),
        )
        self.rounds += 1

    def _with_token(self, spoilt: str = "") -> int:
        now = int(time.time())
        good = claims(iss=self._issuer.address, iat=now, exp=now + 300)
        raw = token(good, key=rsa_key(), kid="k1", algorithm="RS256").decode() + spoilt
        return self.gateway.get("/tokens", headers={"Authorization": f"Bearer {raw}"})[0]

    def _over_tls(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", self._tls_port), 10)
        with closing(context.wrap_socket(plain, server_hostname="shop.example")) as secure:
            secure.sendall(b"GET /shop HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            http.client.HTTPResponse(secure).begin()

    def close(self) -> None:
        try:
            self.rest()
        finally:
            self._redis.close()


def _guarded(name: str, **policies: Any) -> dict[str, Any]:
    respond = {"status": 200, "body": "hello"}
    return {"id": name, "path": f"/{name}", "respond": respond, "policies": policies}
