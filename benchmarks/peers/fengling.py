"""This gateway, started as its users start it: the shipped defaults, one worker."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.harness.children import Child, Children
from benchmarks.harness.compiled import as_installed
from benchmarks.harness.cores import Cores
from benchmarks.harness.programs import beside_python
from benchmarks.peers.peer import Program, Site

_SETTINGS: Final = """\
workers = 1
source = "file"
runtime_dir = "{directory}"
state_dir = "{directory}"
[file]
path = "{routes}"
[management]
enabled = false
[upstream]
allow = ["127.0.0.0/8"]
[[listeners]]
name = "tls"
address = "127.0.0.1:{port}"
tls = {{ min_version = "1.3", certificates = [{{ chain = "{tls}", key = "{tls}" }}] }}
"""


def _command(binary: str, site: Site) -> list[str]:
    if site.tls is not None:
        return _tls_command(binary, site)
    instances = (f"--to=http://127.0.0.1:{port}" for port in site.upstream_ports)
    return [binary, "proxy", f"--listen=127.0.0.1:{site.port}", *instances, "--workers=1"]


def _tls_command(binary: str, site: Site) -> list[str]:
    instances = [
        {"id": f"i{port}", "address": f"http://127.0.0.1:{port}"} for port in site.upstream_ports
    ]
    configuration = {
        "services": [{"id": "s", "instances": instances}],
        "routes": [{"id": "r", "path": "/{**rest}", "service_id": "s"}],
    }
    routes = site.write("routes.yaml", json.dumps(configuration))  # which is YAML, too
    settings = _SETTINGS.format(
        directory=site.directory, routes=routes, port=site.port, tls=site.tls
    )
    gateway = str(Path(binary).with_name("fengling-gateway"))
    return [gateway, "--config", site.write("gateway.toml", settings)]


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway, with or without its hot modules compiled."""

    name: str
    is_compiled: bool
    install: str = "pip install -e ."

    def find(self) -> str | None:
        return beside_python("fenglingctl")

    def start(self, children: Children, site: Site, cores: Cores) -> Child:
        environment = as_installed() if self.is_compiled else {}
        program = Program(self.name, self.install, self.find, _command, environment)
        return program.start(children, site, cores)


FENGLING: Final = Gateway("fengling", is_compiled=True)
PLAIN: Final = Gateway("fengling-plain", is_compiled=False)
"""Plain Python, as an editable install runs it; measured when it is asked for."""
