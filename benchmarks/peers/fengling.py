"""This gateway, started as its users start it: the shipped defaults, one worker."""

from __future__ import annotations

from typing import Final

from benchmarks.harness.programs import beside_python
from benchmarks.peers.peer import Program, Site


def _command(binary: str, site: Site) -> list[str]:
    instances = (f"--to=http://127.0.0.1:{port}" for port in site.upstream_ports)
    return [binary, "proxy", f"--listen=127.0.0.1:{site.port}", *instances, "--workers=1"]


FENGLING: Final = Program(
    "fengling", "pip install -e .", lambda: beside_python("fenglingctl"), _command
)
