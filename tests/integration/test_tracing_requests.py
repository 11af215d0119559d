"""Traces of requests through a running gateway, as a collector and instances get them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.embedded.ports import free_port
from tests.integration.gateway import GatewayProcess
from tests.support.otlp_receiver import OtlpReceiver, Received
from tests.support.wait import wait_until

TRACE = f"{0x0AF7651916CD43DD8448EB211C80319C:032x}"
CALLER = f"{0xB7AD6B7169203331:016x}"


class Instance:
    """Answers, and remembers the trace headers of what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str], list[str]]] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                found = (self.headers.get_all(name, []) for name in ("traceparent", "tracestate"))
                asked.append((self.path, *found))  # type: ignore[arg-type]
                self.send_response(500 if "fail" in self.path else 200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def instance() -> Iterator[Instance]:
    instance = Instance()
    yield instance
    instance.stop()


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    receiver = OtlpReceiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def traced(
    gateways: Callable[..., GatewayProcess],
    instance: Instance,
    receiver: OtlpReceiver,
    tmp_path: Path,
) -> Callable[..., GatewayProcess]:
    """Return a function that starts a gateway, in which half of the instances of /retry are away."""

    def start(ratio: float = 0.0, **more: str) -> GatewayProcess:
        path = tmp_path / "routes.yaml"
        path.write_text(
            "services:\n"
            f'  - id: shop\n    instances: [{{id: good, address: "{instance.address}"}}]\n'
            "  - id: half\n    instances:\n"
            f'    - {{id: away, address: "http://127.0.0.1:{free_port()}"}}\n'
            f'    - {{id: there, address: "{instance.address}"}}\n'
            "  - id: none\n    instances:\n"
            f'    - {{id: gone, address: "http://127.0.0.1:{free_port()}"}}\n'
            "routes:\n"
            '- {id: orders, path: "/orders/{id}", service_id: shop}\n'
            "- {id: retry, path: /retry, service_id: half}\n"
            "- {id: none, path: /none, service_id: none}\n"
            '- {id: api, path: "/api/{**rest}", service_id: shop, '
            "policies: {path: {strip: /api, prefix: /v2}}}\n"
        )
        tracing = {
            "endpoint": receiver.address,
            "batch_interval": "100ms",
            "sample_ratio": ratio,
            "redact_query": ["token"],
            **more,
        }
        gateway = gateways(
            source="file", settings={"file": {"path": str(path)}, "tracing": tracing}
        )
        gateway.wait_ready()
        return gateway

    return start


def sampled(span: str = CALLER, flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{TRACE}-{span}-{flags}"}


def of_requests(receiver: OtlpReceiver) -> list[Received]:
    return [one for one in list(receiver.spans) if one.kind != "internal"]


def test_request_is_a_part_of_the_callers_trace(
    traced: Callable[..., GatewayProcess], instance: Instance, receiver: OtlpReceiver
) -> None:
    """The gateway's span is a child of the caller's, the attempt of that, the instance of this."""
    gateway = traced()
    headers = {**sampled(), "tracestate": "a=1, b=2", "User-Agent": "test"}
    assert gateway.get("/orders/7?token=s3cret&x=1", headers=headers)[0] == 200
    wait_until(lambda: len(of_requests(receiver)) == 2)
    server, client = sorted(of_requests(receiver), key=lambda one: one.kind, reverse=True)
    assert (server.kind, server.name, server.trace_id) == ("server", "GET /orders/{id}", TRACE)
    assert (server.parent_id, client.parent_id) == (CALLER, server.span_id)
    asked = [(f"00-{TRACE}-{client.span_id}-01", "a=1,b=2")]
    assert [(one[1][0], one[2][0]) for one in instance.asked] == asked
    assert len(instance.asked[0][1]) == 1
    expected = {
        "http.request.method": "GET",
        "url.path": "/orders/7",
        "url.query": "token=REDACTED&x=1",
        "http.route": "/orders/{id}",
        "http.response.status_code": 200,
        "client.address": "127.0.0.1",
        "user_agent.original": "test",
        "fengling.route": "orders",
        "fengling.service": "shop",
        "fengling.instance": "good",
    }
    assert expected.items() <= server.attributes.items()
    assert client.attributes["url.full"] == f"{instance.address}/orders/7?token=REDACTED&x=1"
    assert server.start <= client.start <= client.end <= server.end
    assert not server.is_error


def test_attempt_says_what_the_instance_was_asked(
    traced: Callable[..., GatewayProcess], instance: Instance, receiver: OtlpReceiver
) -> None:
    """Where the route rewrites the path; the gateway's own span has the client's."""
    gateway = traced(1.0)
    assert gateway.get("/api/orders?token=s3cret&x=1")[0] == 200
    wait_until(lambda: len(of_requests(receiver)) == 2)
    server, client = sorted(of_requests(receiver), key=lambda one: one.kind, reverse=True)
    assert [path for path, *_ in instance.asked] == ["/v2/orders?token=s3cret&x=1"]
    assert client.attributes["url.full"] == f"{instance.address}/v2/orders?token=REDACTED&x=1"
    assert server.attributes["url.path"] == "/api/orders"


def test_stranger_can_not_have_requests_recorded(
    traced: Callable[..., GatewayProcess], instance: Instance, receiver: OtlpReceiver
) -> None:
    """Where the settings say so: the trace begins here, and what he says goes no further."""
    gateway = traced(0.0, trust="trusted_proxies")
    headers = {**sampled(), "tracestate": "a=1"}
    assert gateway.get("/orders/7", headers=headers)[0] == 200
    [(_, [value], states)] = instance.asked
    assert (value[-3:], states) == ("-00", [])
    assert TRACE not in value
    routes = Path(gateway.settings["file"]["path"])
    routes.write_text('settings: {trusted_proxies: ["127.0.0.1"]}\n' + routes.read_text())

    def is_recorded() -> bool:
        assert gateway.get("/orders/8", headers=headers)[0] == 200
        return bool(of_requests(receiver))

    wait_until(is_recorded, interval=0.1)
    assert {one.trace_id for one in of_requests(receiver)} == {TRACE}


def test_failures_say_whose_they_are(
    traced: Callable[..., GatewayProcess], receiver: OtlpReceiver
) -> None:
    """An answer of 500, an instance that is away, and a path that nobody has."""
    gateway = traced(1.0)
    assert gateway.get("/orders/fail")[0] == 500
    assert gateway.get("/none")[0] == 502
    assert gateway.get("/nowhere")[0] == 404
    wait_until(lambda: len([one for one in receiver.spans if one.kind == "server"]) == 3)
    servers = {one.attributes["url.path"]: one for one in receiver.spans if one.kind == "server"}
    clients = {one.parent_id: one for one in receiver.spans if one.kind == "client"}
    broken, away, nowhere = servers["/orders/fail"], servers["/none"], servers["/nowhere"]
    assert [one.attributes.get("error.type") for one in (broken, away, nowhere)] == [
        "500",
        "connect_failed",
        None,
    ]
    assert [one.is_error for one in (broken, away, nowhere)] == [True, True, False]
    assert nowhere.attributes["fengling.error"] == "no_route"
    assert nowhere.span_id not in clients
    assert clients[broken.span_id].attributes["error.type"] == "500"
    assert clients[away.span_id].attributes["error.type"] == "connect_failed"
    assert away.parent_id == ""


def test_each_attempt_is_told(
    traced: Callable[..., GatewayProcess], instance: Instance, receiver: OtlpReceiver
) -> None:
    """The instance gets the id of the attempt that reached it."""
    gateway = traced(1.0)

    def retried() -> list[Received]:
        assert gateway.get("/retry")[0] == 200
        counts = (one.attributes.get("http.request.resend_count") for one in receiver.spans)
        return [one for one, count in zip(receiver.spans, counts, strict=False) if count == 1]

    wait_until(lambda: bool(retried()))
    second = retried()[0]
    first, again = sorted(
        (one for one in receiver.spans if one.parent_id == second.parent_id),
        key=lambda one: one.start,
    )
    assert again.span_id == second.span_id
    assert (first.attributes["fengling.instance"], first.is_error) == ("away", True)
    assert first.attributes["error.type"] == "connect_failed"
    assert (second.attributes["fengling.instance"], second.is_error) == ("there", False)
    value = f"00-{second.trace_id}-{second.span_id}-01"
    assert value in [one[1][0] for one in instance.asked]
    server = next(one for one in receiver.spans if one.span_id == second.parent_id)
    assert server.attributes["fengling.attempts"] == 2
    assert not server.is_error


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({**sampled(flags="00"), "tracestate": "a=1 ,"}, (f"00-{TRACE}-{CALLER}-00", ["a=1 ,"])),
        ({**sampled(flags="00"), "tracestate": "A=,"}, (f"00-{TRACE}-{CALLER}-00", [])),
        ({"traceparent": "nonsense", "tracestate": "a=1"}, (None, [])),
        ({"tracestate": "a=1"}, (None, [])),
        ({}, (None, [])),
    ],
)
def test_request_that_is_not_recorded_tells_instances_so(
    headers: dict[str, str],
    expected: tuple[str | None, list[str]],
    traced: Callable[..., GatewayProcess],
    instance: Instance,
    receiver: OtlpReceiver,
) -> None:
    """By what came, or by a new trace; the collector hears nothing of it."""
    gateway = traced()
    assert gateway.get("/orders/7", headers=headers)[0] == 200
    assert gateway.get("/orders/8", headers=sampled())[0] == 200
    wait_until(lambda: len(of_requests(receiver)) == 2)
    assert {one.trace_id for one in of_requests(receiver)} == {TRACE}
    _, [value], states = instance.asked[0]
    assert states == expected[1]
    if expected[0] is not None:
        assert value == expected[0]
    else:
        version, trace_id, span_id, flags = value.split("-")
        assert (version, len(trace_id), len(span_id), flags) == ("00", 32, 16, "00")
        assert trace_id != TRACE
