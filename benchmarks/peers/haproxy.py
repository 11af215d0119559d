"""HAProxy: one thread, keep-alive on both sides, connections shared between clients."""

from __future__ import annotations

from typing import Final

from benchmarks.harness.programs import on_path
from benchmarks.peers.peer import Program, Site

_CONFIGURATION: Final = """\
global
  nbthread 1
  maxconn {connections}
defaults
  mode http
  option http-keep-alive
  option forwardfor
  http-reuse always
  timeout connect 3s
  timeout client 60s
  timeout server 60s
  timeout http-request 10s
  timeout http-keep-alive 75s
frontend traffic
  bind 127.0.0.1:{port}{tls}
  http-request set-header X-Forwarded-Proto {scheme}
  default_backend instances
backend instances
  balance roundrobin
{servers}
"""


def _command(binary: str, site: Site) -> list[str]:
    path = site.write(
        "haproxy.cfg",
        _CONFIGURATION.format(
            port=site.port,
            connections=site.connections,
            tls=f" ssl crt {site.tls} ssl-min-ver TLSv1.3" if site.tls else "",
            scheme="https" if site.tls else "http",
            servers=site.each_upstream("  server at{port} 127.0.0.1:{port}"),
        ),
    )
    return [binary, "-db", "-f", path]


HAPROXY: Final = Program("haproxy", "apt install haproxy", lambda: on_path("haproxy"), _command)
