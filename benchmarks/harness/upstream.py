"""Instances that answer every request with 100 bytes, and that note what should not reach them.

nginx where installed, else processes of `benchmarks.harness.upstream_python`. Several
ports, one per instance. What arrives below `MALFORMED_PATH`, or cannot be
parsed, is written to a log of its own: see `benchmarks.harness.malformed`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.harness.children import Child, Children, free_port
from benchmarks.harness.programs import nginx_command, on_path

BODY_BYTES: Final = 100
MALFORMED_PATH: Final = "/malformed/"

_HTTP: Final = """\
  keepalive_requests 100000000;
  log_format whole '$status $request';
"""

_SERVER: Final = """\
  server {{
    listen 127.0.0.1:{port};
    access_log {log} whole;
    location / {{
      access_log off;
      add_header X-Instance {name};
      return 200 "{body}";
    }}
    location {malformed} {{ return 200 "{body}"; }}
  }}
"""


class Upstream:
    """Running instances, by name. Each says its name in ``X-Instance``."""

    def __init__(self, ports: dict[str, int], log: Path, *, kind: str) -> None:
        self.ports = ports
        self.kind = kind
        self._log = log

    def noted(self) -> list[str]:
        """What should not have arrived, a line per request."""
        return self._log.read_text(errors="replace").splitlines() if self._log.exists() else []


def start_upstream(
    children: Children, names: Sequence[str], *, cpus: frozenset[int] | None
) -> Upstream:
    """
    Start one instance per name.

    Raises:
        StartError: it did not listen.
    """
    ports = {name: free_port() for name in names}
    log = children.directory / "malformed.log"
    binary = on_path("nginx")
    if binary:
        child = _start_nginx(binary, children, ports, log, cpus)
    else:
        child = _start_python(children, ports, log, cpus)
    for port in ports.values():
        child.wait_for_port(port)
    return Upstream(ports, log, kind="nginx" if binary else "Python processes")


def _start_nginx(
    binary: str,
    children: Children,
    ports: dict[str, int],
    log: Path,
    cpus: frozenset[int] | None,
) -> Child:
    servers = (
        _SERVER.format(
            port=port, name=name, log=log, body="x" * BODY_BYTES, malformed=MALFORMED_PATH
        )
        for name, port in ports.items()
    )
    http = _HTTP + "".join(servers)
    workers = len(cpus or (0,))
    command = nginx_command(binary, children.directory, "upstream", http, workers=workers)
    return children.start("upstream", command, cpus=cpus)


def _start_python(
    children: Children, ports: dict[str, int], log: Path, cpus: frozenset[int] | None
) -> Child:
    instances = [f"--instance={name}:{port}" for name, port in ports.items()]
    processes = f"--processes={max(2, len(cpus or ()))}"
    command = [
        sys.executable,
        "-m",
        "benchmarks.harness.upstream_python",
        f"--log={log}",
        processes,
    ]
    return children.start("upstream", [*command, *instances], cpus=cpus)
