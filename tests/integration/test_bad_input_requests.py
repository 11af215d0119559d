"""
Malformed and oversized requests, through a real gateway.

Each is answered with its status, a problem document and a closed connection;
nothing of it, nor of what follows it on the connection, reaches an instance.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from tests.integration.gateway import GatewayProcess, Load
from tests.integration.world import World, metrics, world_with_database
from tests.support.wait import wait_until

BODY_LIMIT: Final = 1000
SMUGGLED: Final = b"GET /x/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


class Case(NamedTuple):
    """What is sent, and how it is refused."""

    name: str
    request: bytes
    status: int
    code: str


def head(*lines: str, first: str = "GET /x HTTP/1.1", host: str | None = "a") -> bytes:
    hosts = [] if host is None else [f"Host: {host}"]
    return ("\r\n".join([first, *hosts, *lines]) + "\r\n\r\n").encode("latin-1")


def chunked(body: bytes, first: str = "POST /x HTTP/1.1") -> bytes:
    return head("Transfer-Encoding: chunked", first=first) + body


MALFORMED: Final = [
    ("nonsense", b"hello\r\n\r\n"),
    ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300) + b"\r\n\r\n"),
    ("http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("http09", b"GET /x\r\n\r\n"),
    ("version", head(first="GET /x HTTP/1.2")),
    ("two-spaces", head(first="GET  /x HTTP/1.1")),
    ("bare-lf", b"GET /x HTTP/1.1\nHost: a\n\n"),
    ("bare-cr", head("X-A: b\rX-B: c")),
    ("nul", head("X-A: b\0c")),
    ("folding", head("X-A: b", " c")),
    ("space-before-colon", head("X-A : b")),
    ("nameless", head(": b")),
    ("no-colon", head("X-A")),
    ("length-and-chunked", head("Content-Length: 5", "Transfer-Encoding: chunked")),
    ("two-lengths", head("Content-Length: 5", "Content-Length: 6")),
    ("same-length-twice", head("Content-Length: 5", "Content-Length: 5")),
    ("length-list", head("Content-Length: 5, 5")),
    ("length-sign", head("Content-Length: +5")),
    ("length-hex", head("Content-Length: 0x5")),
    ("length-negative", head("Content-Length: -5")),
    ("length-huge", head("Content-Length: 99999999999999999999999")),
    ("coding", head("Transfer-Encoding: gzip")),
    ("coding-last", head("Transfer-Encoding: chunked, gzip")),
    ("coding-twice", head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")),
    ("coding-obscured", head("Transfer-Encoding: xchunked")),
    ("coding-1.0", head("Transfer-Encoding: chunked", first="POST /x HTTP/1.0")),
]

INVALID_HOST: Final = [
    ("no-host", head(host=None)),
    ("two-hosts", head("Host: b")),
    ("host-list", head(host="a, b")),
    ("host-path", head(host="a/b")),
    ("host-user", head(host="u@a")),
    ("host-port", head(host="a:99999999")),
    ("target-host", head(first="GET http://b/x HTTP/1.1")),
]

INVALID_TARGET: Final = [
    ("dots", head(first="GET /x/../y HTTP/1.1")),
    ("encoded-dots", head(first="GET /x/%2e%2e/y HTTP/1.1")),
    ("encoded-slash", head(first="GET /x%2fy HTTP/1.1")),
    ("back-slash", head(first="GET /x\\y HTTP/1.1")),
    ("empty-segment", head(first="GET //x HTTP/1.1")),
    ("encoded-nul", head(first="GET /x%00 HTTP/1.1")),
    ("bad-escape", head(first="GET /x%zz HTTP/1.1")),
    ("fragment", head(first="GET /x#y HTTP/1.1")),
]

BROKEN_CHUNKS: Final = [
    ("chunk-size", chunked(b"5g\r\nhello\r\n0\r\n\r\n")),
    ("chunk-negative", chunked(b"-5\r\nhello\r\n0\r\n\r\n")),
    ("chunk-huge", chunked(b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n")),
    ("chunk-end", chunked(b"5\r\nhelloworld\r\n0\r\n\r\n")),
    ("chunk-lf", chunked(b"5\nhello\n0\n\n")),
]

CASES: Final = [
    *(Case(name, sent, 400, "malformed_request") for name, sent in MALFORMED),
    *(Case(name, sent, 400, "invalid_host") for name, sent in INVALID_HOST),
    *(Case(name, sent, 400, "invalid_target") for name, sent in INVALID_TARGET),
    *(Case(name, sent, 400, "malformed_request_body") for name, sent in BROKEN_CHUNKS),
    Case("target", head(first=f"GET /x/{'a' * 9000} HTTP/1.1"), 414, "target_too_long"),
    Case("target-endless", b"GET /x/" + b"a" * 70_000, 414, "target_too_long"),
    Case("header-line", head(f"X-A: {'a' * 9000}"), 431, "headers_too_large"),
    Case("header-count", head(*(f"X-{n}: a" for n in range(101))), 431, "headers_too_large"),
    Case("head", head(*(f"X-{n}: {'a' * 4000}" for n in range(10))), 431, "headers_too_large"),
    Case("header-endless", head()[:-2] + b"X-A: " + b"a" * 70_000, 431, "headers_too_large"),
    Case("trace", head(first="TRACE /x HTTP/1.1"), 405, "method_refused"),
    Case("connect", head(first="CONNECT a:443 HTTP/1.1"), 405, "method_refused"),
    Case("method", head(first="BREW /x HTTP/1.1"), 501, "method_unknown"),
    Case("expectation", head("Expect: a-miracle"), 417, "expectation_failed"),
    Case(
        "body",
        head(f"Content-Length: {BODY_LIMIT + 1}", first="POST /small HTTP/1.1")
        + b"a" * (BODY_LIMIT + 1),
        413,
        "body_too_large",
    ),
    Case(
        "chunked-body",
        chunked(b"258\r\n" + b"a" * 600 + b"\r\n", "POST /small HTTP/1.1")
        + b"258\r\n" + b"a" * 600 + b"\r\n0\r\n\r\n",
        413,
        "body_too_large",
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def world(
    postgres: PostgresServer, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("requests")
    with world_with_database(postgres, _migrated_template, directory) as world:
        world.sql.add_service("up", world.upstream("up").address)
        world.sql.add_route("x", "/x/{**rest}", "up")
        world.sql.run(
            "INSERT INTO fengling.route (id, path, service_id, policies) VALUES"
            " ('small', '/small', 'up', %s)",
            json.dumps({"limits": {"max_request_body": BODY_LIMIT}}),
        )
        yield world


@pytest.fixture(scope="module")
def gateway(world: World) -> GatewayProcess:
    return world.gateway(settings={"limits": {"header_deadline": "1s"}})


class Refusal(NamedTuple):
    """The answer, and what came after it until the connection was closed."""

    status: int
    headers: dict[str, str]
    problem: dict[str, object]
    rest: bytes


def refused(gateway: GatewayProcess, *sent: bytes) -> Refusal:
    """Send bytes and read everything until the gateway closes."""
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
        for part in sent:
            connection.sendall(part)
        response = http.client.HTTPResponse(connection)
        response.begin()
        problem = json.loads(response.read())
        headers = {name.lower(): value for name, value in response.getheaders()}
        rest = response.fp.read() if response.fp is not None else b""
        rest += connection.recv(1)
    return Refusal(response.status, headers, problem, rest)


class RefusalTests:
    """One request, one refusal, one closed connection."""

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_request_is_refused_and_the_connection_closed(
        self, world: World, gateway: GatewayProcess, case: Case
    ) -> None:
        """With a status, a code and an id; what follows it is not a request."""
        upstream = world.upstream("up")
        answer = refused(gateway, case.request + SMUGGLED)
        assert (answer.status, answer.headers["x-gateway-error"]) == (case.status, case.code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["connection"] == "close"
        assert answer.problem["code"] == case.code
        assert answer.problem["request_id"] == answer.headers["x-request-id"]
        assert answer.rest == b""
        assert upstream.requests["/x/smuggled"] == 0
        assert not [path for path in upstream.requests if path not in {"/x/load", "/x/well"}]

    def test_slow_head_times_out(self, gateway: GatewayProcess) -> None:
        """However the bytes trickle in."""
        with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
            stop = threading.Event()

            def trickle() -> None:
                for byte in b"GET /x HTTP/1.1\r\nX-A: " + b"a" * 1000:
                    if stop.wait(0.05):
                        return
                    try:
                        connection.sendall(bytes([byte]))
                    except OSError:
                        return

            sending = threading.Thread(target=trickle)
            sending.start()
            try:
                response = http.client.HTTPResponse(connection)
                response.begin()
                assert response.status == 408
                assert response.headers["X-Gateway-Error"] == "header_timeout"
            finally:
                stop.set()
                sending.join()

    def test_sender_of_a_large_body_reads_its_413(self, gateway: GatewayProcess) -> None:
        """It gets the answer though it reads only when it has sent everything."""
        body = b"a" * 1_000_000
        request = head(f"Content-Length: {len(body)}", first="POST /small HTTP/1.1")
        for _ in range(5):
            answer = refused(gateway, request, body)
            assert (answer.status, answer.headers["x-gateway-error"]) == (413, "body_too_large")


class AllTests:
    """Many of them at once."""

    def test_good_requests_do_not_notice(self, world: World, gateway: GatewayProcess) -> None:
        """0 failures beside a flood of all of it, and each refusal is counted under its code."""
        before = _counted(gateway)
        with Load(gateway.port, "/x/load").running() as load:
            for case in CASES:
                refused(gateway, case.request)
            load.wait_for(50)
        assert (load.refused, load.failed) == ([], [])
        expected: dict[str, float] = {}
        for case in CASES:
            expected[case.code] = expected.get(case.code, 0) + 1

        def gained() -> dict[str, float]:
            now = _counted(gateway)
            return {code: now.get(code, 0) - before.get(code, 0) for code in expected}

        wait_until(lambda: gained() == expected)
        assert "Traceback" not in gateway.log
        assert " ERROR " not in gateway.log


def _counted(gateway: GatewayProcess) -> dict[str, float]:
    """Return how often each failure has been counted, over all workers, routes and services."""
    counted: dict[str, float] = {}
    for sample, value in metrics(gateway).items():
        if sample.startswith("fengling_http_request_errors_total{"):
            code = sample.partition('error="')[2].partition('"')[0]
            counted[code] = counted.get(code, 0) + value
    return counted
