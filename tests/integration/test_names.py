"""A gateway whose instance has a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.dataplane.dns_server import DnsServer
from tests.integration.gateway import GatewayProcess, Upstream
from tests.integration.world import metrics
from tests.support.wait import wait_until


def names(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """What all workers have resolved."""
    workers = gateway.manage("names")["workers"]
    return [name for worker in workers for name in worker["names"]]


def test_names_are_resolved_shown_and_forgotten(
    tmp_path: Path,
    gateways: Callable[..., GatewayProcess],
    upstreams: Callable[[str], Upstream],
) -> None:
    """By the servers of the settings, in every worker; gone with the instance that had the name."""
    address = upstreams("v1").address
    path = tmp_path / "routes.yaml"

    def configure(address: str) -> None:
        path.write_text(
            "services:\n"
            f'  - {{id: v1, instances: [{{id: v1-1, address: "{address}"}}]}}\n'
            "routes: [{id: hello, path: /hello, service_id: v1}]\n"
        )

    with DnsServer({"orders.example": {"A": ["127.0.0.1"], "ttl": 30}}) as server:
        configure(address.replace("127.0.0.1", "orders.example"))
        host, port = server.address
        settings = {"file": {"path": str(path)}, "dns": {"servers": [f"{host}:{port}"]}}
        gateway = gateways(source="file", settings=settings)
        gateway.wait_ready()
        assert gateway.get("/hello")[0] == 200
        shown = names(gateway)[0]
        assert shown["name"] == "orders.example"
        assert shown["addresses"] == ["127.0.0.1"]
        assert (shown["ttl_s"], shown["last_error"]) == (30.0, None)
        values = metrics(gateway)
        looked_up = [
            value for key, value in values.items() if key.startswith("fengling_dns_lookups_total")
        ]
        assert sum(looked_up) >= 1
        configure(address)
        wait_until(lambda: names(gateway) == [])
        assert gateway.get("/hello")[0] == 200
