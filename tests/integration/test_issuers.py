"""Issuers that publish their keys, or don't, beside real gateways and requests."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway import GatewayProcess
from tests.integration.world import metrics
from tests.support import issuer_server
from tests.support.certificates import Authority
from tests.support.forge import AUDIENCE, claims, rsa_jwk, rsa_key, token
from tests.support.issuer_server import KEYS, IssuerServer, says
from tests.support.wait import wait_until

REQUIRED = {"auth": {"mode": "required"}}


@pytest.fixture
def server() -> Iterator[IssuerServer]:
    """Return an issuer that publishes one key."""
    server = IssuerServer()
    server.publish(rsa_jwk())
    yield server
    server.stop()


class Place:
    """A gateway whose one route wants a token of one issuer."""

    def __init__(self, directory: Path, gateways: Callable[..., GatewayProcess]) -> None:
        self._path = directory / "routes.yaml"
        self.secret = directory / "secret"
        self._gateways = gateways
        self.gateway: GatewayProcess
        self.settings: dict[str, Any] = {}

    def configure(self, **issuer: Any) -> None:
        route = {"id": "r", "path": "/r", "respond": {"status": 200}, "policies": REQUIRED}
        corp = {"id": "corp", "audiences": [AUDIENCE], **issuer}
        extra = {"secrets": [{"id": "s", "value": f"file:{self.secret}"}]}
        self._path.write_text(json.dumps({"issuers": [corp], "routes": [route], **extra}))

    def start(self, workers: int = 2) -> None:
        self.gateway = self._gateways(
            source="file",
            settings={"file": {"path": str(self._path)}, **self.settings},
            worker_count=workers,
            node="n1",
        )
        self.gateway.wait_ready()

    def serve(self, server: IssuerServer, **issuer: Any) -> None:
        """Start with an issuer, and wait until its keys are there."""
        self.configure(issuer=server.address, jwks_url=server.url, **issuer)
        self.start()
        wait_until(lambda: self.asks(of(server)) == 200)

    def asks(self, raw: bytes) -> int:
        """The status of a request with this token."""
        return self.answer(raw)[0]

    def answer(self, raw: bytes) -> tuple[int, dict[str, str], bytes]:
        return self.gateway.fetch("/r", headers={"Authorization": f"Bearer {raw.decode()}"})

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.gateway.manage("status")["issuers"]["corp"]
        return status

    def fetch_again(self) -> None:
        """Have its keys fetched now, and wait until that has ended."""
        before = self.status()["fetches"]
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: self.status()["fetches"] > before and not self.status()["fetching"])


@pytest.fixture
def place(tmp_path: Path, gateways: Callable[..., GatewayProcess]) -> Place:
    return Place(tmp_path, gateways)


def of(server: IssuerServer, *, key: Any = None, kid: str = "k1", **changed: Any) -> bytes:
    """A token of this issuer, good for five minutes."""
    now = int(time.time())
    body = claims(iss=server.address, iat=now, exp=now + 300, **changed)
    algorithm = "HS256" if isinstance(key, bytes) else "RS256"
    return token(body, key=key, kid=kid, algorithm=algorithm)


def test_thousand_random_key_ids_lead_to_one_fetch(place: Place, server: IssuerServer) -> None:
    """Whichever worker they come to; who has a good token notices nothing."""
    place.serve(server)
    before, good = server.count(), of(server)
    for turn in range(1000):
        assert place.asks(of(server, kid=f"random-{turn}")) == 401
        if turn % 100 == 0:
            assert place.asks(good) == 200
    assert server.count() <= before + 1
    assert set(server.asked) == {KEYS}


def test_address_inside_a_token_is_never_asked(place: Place, server: IssuerServer) -> None:
    """Nor is a file read: keys come from where the configuration says."""
    place.serve(server)
    other = IssuerServer()
    other.publish(rsa_jwk(rsa_key(number=1)))
    before = list(server.asked)
    for header in (
        {"jku": other.url},
        {"x5u": other.url},
        {"jku": other.url, "kid": "k9"},
        {"jwk": rsa_jwk(rsa_key(number=1))},
        {"kid": "../../dev/null"},
        {"kid": "' or 1=1 --"},
    ):
        raw = token(claims(iss=server.address), key=rsa_key(number=1), **header)
        assert place.asks(raw) == 401
        forged = claims(iss=server.address, exp=int(time.time()) + 300)
        assert place.asks(token(forged, key=rsa_key(number=1), **header)) == 401
    assert other.asked == []
    assert set(server.asked[len(before) :]) <= {KEYS}
    other.stop()


def test_token_of_a_key_just_published_waits_for_it(place: Place, server: IssuerServer) -> None:
    """Its first request is answered, not refused."""
    place.serve(server)
    server.publish(rsa_jwk(rsa_key(number=1), kid="k2"))
    assert place.asks(of(server, key=rsa_key(number=1), kid="k2")) == 200


def test_keys_are_rotated_while_requests_run(place: Place, server: IssuerServer) -> None:
    """The next key is published beside the one in use, then used, then alone: no request fails."""
    place.serve(server, refresh="30s")
    current = [of(server)]
    answers: list[int] = []
    stopping = threading.Event()

    def ask() -> None:
        while not stopping.is_set():
            answers.append(place.asks(current[0]))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(answers) > 20)
        server.publish(rsa_jwk(), rsa_jwk(rsa_key(number=1), kid="k2"))
        current[0] = of(server, key=rsa_key(number=1), kid="k2")
        wait_until(lambda: place.status()["keys"] == 2)
        server.publish(rsa_jwk(rsa_key(number=1), kid="k2"))
        place.fetch_again()
        assert place.status()["keys"] == 1
        after = len(answers)
        wait_until(lambda: len(answers) > after + 20)
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert set(answers) == {200}
    wait_until(lambda: place.asks(of(server)) == 401)


def test_issuer_that_fails_keeps_its_keys(place: Place, server: IssuerServer) -> None:
    """Down, in error, with garbage, with too much, too slow, elsewhere: tokens are good all along."""
    place.serve(server)
    good = of(server)
    other = IssuerServer()
    other.publish(rsa_jwk(rsa_key(number=1), kid="k2"))
    failures: dict[str, issuer_server.Answer] = {
        "status": says(500),
        "content": says(200, b"<html>garbage</html>"),
        "keys": says(200, b'{"keys": []}'),
        "too_large": issuer_server.floods,
        "deadline": issuer_server.trickles,
        "redirect": says(302, Location=other.url),
        "broken": issuer_server.breaks_off,
    }
    for reason, answer in failures.items():
        server.answers[KEYS] = answer
        place.fetch_again()
        assert place.status()["reason"] == reason
        assert place.asks(good) == 200
    server.answers[KEYS] = says(302, Location="file:///etc/passwd")
    place.fetch_again()
    assert "file:///etc/passwd" in place.status()["why"]
    server.stop()
    place.fetch_again()
    status = place.status()
    assert (status["reason"], status["keys"]) == ("connect", 1)
    assert place.asks(good) == 200
    assert other.asked == []
    shown = metrics(place.gateway)
    assert shown['fengling_issuer_failing{issuer="corp"}'] == 1
    assert shown['fengling_issuer_fetch_failures_total{issuer="corp",reason="redirect"}'] >= 2
    (warning,) = (
        one["message"]
        for one in place.gateway.manage("status")["warnings"]
        if one["kind"] == "issuer"
    )
    assert "go on" in warning
    server.start()
    server.publish(rsa_jwk())
    place.fetch_again()
    assert place.status()["failing_since"] is None
    assert "Traceback" not in place.gateway.log
    other.stop()


def test_start_without_the_issuer_has_its_keys_from_before(
    place: Place, server: IssuerServer
) -> None:
    """They are kept on the disk of each host, for nobody else to read."""
    place.serve(server)
    file = next(place.gateway.directory.rglob("key-sets"))
    assert file.stat().st_mode & 0o777 == 0o600
    assert place.gateway.stop() == 0
    server.stop()
    place.start()
    assert place.asks(of(server)) == 200
    assert place.asks(of(server, key=rsa_key(number=1))) == 401
    wait_until(lambda: place.status()["reason"] == "connect")
    assert place.asks(of(server)) == 200
    assert place.gateway.stop() == 0
    place.configure(issuer=server.address, jwks_url=server.url + "2")
    place.start()
    status, _, body = place.answer(of(server))
    assert status == 503, "what another address has published counts for nothing"
    assert json.loads(body)["code"] == "keys_unavailable"
    server.start()


def test_issuer_that_comes_later_is_found(place: Place, server: IssuerServer) -> None:
    """By discovery, too; until then nobody can say whether its tokens are good."""
    server.stop()
    place.configure(issuer=server.address, discovery=True)
    place.start()
    status, headers, _ = place.answer(of(server))
    assert status == 503
    assert "www-authenticate" not in headers
    server.start()
    wait_until(lambda: place.asks(of(server)) == 200)
    assert server.asked[-2:] == [issuer_server.DESCRIPTION, KEYS]


def test_secret_is_renewed_without_a_restart(place: Place, server: IssuerServer) -> None:
    """Workers read it again; what it was is believed no more."""
    first, second = b"first" * 8, b"second" * 8
    secret = place.secret
    secret.write_bytes(first + b"\n")
    place.configure(issuer=server.address, key_secret="s", algorithms=["HS256"])
    place.start()
    assert place.asks(of(server, key=first)) == 200
    assert place.asks(of(server, key=second)) == 401
    secret.write_bytes(second + b"\n")
    place.gateway.signal(signal.SIGHUP)
    wait_until(lambda: place.asks(of(server, key=second)) == 200)
    wait_until(lambda: all(place.asks(of(server, key=first)) == 401 for _ in range(20)))
    secret.unlink()
    place.gateway.signal(signal.SIGHUP)
    failed: dict[str, str] = {}

    def has_failed() -> bool:
        failed.update(place.gateway.workers()[0]["failed"])
        return bool(failed)

    wait_until(has_failed)
    assert list(failed) == ["issuer corp"]
    assert place.asks(of(server, key=second)) == 200
    assert first.decode() not in place.gateway.log
    assert second.decode() not in place.gateway.log
    assert server.asked == []


def test_keys_come_from_whom_the_host_trusts(place: Place, tmp_path: Path) -> None:
    """And from nobody else, whatever is published there."""
    authority = Authority()
    server = IssuerServer(authority.issue("localhost"), tmp_path)
    server.publish(rsa_jwk())
    place.configure(issuer=server.address, jwks_url=server.url)
    place.start()
    wait_until(lambda: place.status()["reason"] == "tls")
    assert place.asks(of(server)) == 503
    assert server.asked == []
    assert place.gateway.stop() == 0
    path = tmp_path / "authority.pem"
    path.write_bytes(authority.pem)
    place.settings = {"issuers": {"ca_file": str(path)}}
    place.start()
    wait_until(lambda: place.asks(of(server)) == 200)
    server.stop()


def test_management_api_believes_the_issuer_by_the_same_keys(
    place: Place, server: IssuerServer
) -> None:
    """A key just published is fetched for who asks there, too; then it is good."""
    place.settings = {"management": {"issuers": ["corp"], "audience": "ops"}}
    place.serve(server)

    def manages(**key: Any) -> int:
        raw = of(server, aud="ops", scope="gateway:read", **key).decode()
        headers = {"Authorization": f"Bearer {raw}"}
        port = place.gateway.management_port
        return place.gateway.get("/api/gateway/status", port=port, headers=headers)[0]

    assert manages() == 200
    assert manages(key=rsa_key(number=1)) == 401
    server.publish(rsa_jwk(rsa_key(number=1), kid="k2"))
    wait_until(lambda: manages(key=rsa_key(number=1), kid="k2") == 200)
    assert server.count() == 2


def test_one_process_does_the_same(place: Place, server: IssuerServer) -> None:
    """With ``workers = 1`` there is no channel between processes, and the same messages."""
    place.configure(issuer=server.address, jwks_url=server.url)
    place.start(workers=1)
    wait_until(lambda: place.asks(of(server)) == 200)
    server.publish(rsa_jwk(rsa_key(number=1), kid="k2"))
    assert place.asks(of(server, key=rsa_key(number=1), kid="k2")) == 200


def test_stop_waits_for_no_fetch(place: Place, server: IssuerServer) -> None:
    """Nor is there a traceback of one."""
    server.answers[KEYS] = issuer_server.says_nothing
    place.configure(issuer=server.address, jwks_url=server.url)
    place.start()
    wait_until(lambda: place.status()["fetching"])
    assert place.gateway.stop(timeout=4) == 0
    assert "Traceback" not in place.gateway.log
