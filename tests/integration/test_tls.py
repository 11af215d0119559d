"""A gateway whose listener speaks TLS: its files at the start, and while it runs."""

from __future__ import annotations

import http.client
import signal
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway import GatewayProcess
from tests.integration.test_bad_input_settings import run
from tests.integration.world import lines_with, metrics, wait_for_line
from tests.support.certificates import Authority
from tests.support.wait import wait_until

AUTHORITY = Authority()


@pytest.fixture
def secure(
    tmp_path: Path,
    gateways: Callable[..., GatewayProcess],
    file_settings: dict[str, Any],
) -> GatewayProcess:
    """Return a gateway of two workers with TLS, a route, and its certificate in ``0.pem``."""
    AUTHORITY.issue("127.0.0.1", name="first").write(tmp_path, "0")
    gateway = gateways(
        **file_settings,
        listener=['tls = { certificates = [{ chain = "../0.pem", key = "../0.key" }] }'],
    )
    gateway.wait_ready()
    return gateway


def ask(gateway: GatewayProcess) -> tuple[str, int]:
    """The common name of who answers, and the status."""
    context = ssl.create_default_context(cadata=AUTHORITY.pem.decode())
    connection = http.client.HTTPSConnection("127.0.0.1", gateway.port, timeout=10, context=context)
    try:
        connection.request("GET", "/hello")
        shown = connection.sock.getpeercert()["subject"]  # type: ignore[index, union-attr]
        return dict(one[0] for one in shown)["commonName"], connection.getresponse().status
    finally:
        connection.close()


def test_hangup_reads_certificates_again(secure: GatewayProcess, tmp_path: Path) -> None:
    """Every worker shows the new one; of a bad one the gateway says so, and keeps what it has."""
    assert ask(secure) == ("first", 200)
    AUTHORITY.issue("127.0.0.1", name="second").write(tmp_path, "0")
    secure.signal(signal.SIGHUP)
    wait_until(lambda: {ask(secure) for _ in range(20)} == {("second", 200)})
    (tmp_path / "0.key").write_text("nothing")
    secure.signal(signal.SIGHUP)
    wait_until(lambda: len(lines_with(secure, "0.key is no private key in PEM form")) == 2)
    assert {ask(secure) for _ in range(20)} == {("second", 200)}
    values = metrics(secure)
    assert values["fengling_tls_certificates_failed_total"] == 2  # of two workers


def test_hangup_takes_other_files(secure: GatewayProcess, tmp_path: Path) -> None:
    """What the settings say of a listener's certificates holds for new handshakes."""
    AUTHORITY.issue("127.0.0.1", name="other").write(tmp_path, "1")
    toml = secure.directory / "gateway.toml"
    toml.write_text(toml.read_text().replace("../0.", "../1."))
    secure.signal(signal.SIGHUP)
    wait_for_line(secure, "settings: listeners.tls.certificates changed; it is in use at once")
    wait_until(lambda: {ask(secure) for _ in range(10)} == {("other", 200)})


def test_certificates_that_cannot_be_used_stop_the_start(tmp_path: Path) -> None:
    """Each is told, with what is wrong with it, and the exit status is 2."""
    one, other = AUTHORITY.issue("a.example"), AUTHORITY.issue("b.example")
    one.write(tmp_path, "a")
    (tmp_path / "b.key").write_bytes(other.key)
    (tmp_path / "nothing.pem").write_text("nothing")
    ran = run(
        "fengling-gateway",
        tmp_path,
        """
        source = "file"
        file = { path = "routes.yaml" }
        management = { enabled = false }
        runtime_dir = "run"
        state_dir = "state"
        [[listeners]]
        name = "h"
        address = "127.0.0.1:1"
        [[listeners]]
        name = "t"
        address = "127.0.0.1:2"
        tls = { client_auth = "required", client_ca = "none.pem", certificates = [
            { chain = "a.pem", key = "b.key" },
            { chain = "c.pem", key = "a.key" },
            { chain = "nothing.pem", key = "a.key" },
        ] }
        """,
    )
    assert ran.returncode == 2
    directory = tmp_path
    for problem in (
        f"{directory}/b.key does not fit the certificate {directory}/a.pem",
        f"{directory}/c.pem can't be read: No such file or directory",
        f"{directory}/nothing.pem has no certificate in PEM form",
        f"{directory}/none.pem can't be read: No such file or directory",
    ):
        assert f"fengling-gateway: listeners[1].tls: {problem}\n" in ran.stderr
    assert "PRIVATE" not in ran.stderr
