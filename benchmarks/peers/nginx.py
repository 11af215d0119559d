"""nginx: one worker process, keep-alive to the upstream instances."""

from __future__ import annotations

from typing import Final

from benchmarks.harness.programs import nginx_command, on_path
from benchmarks.peers.peer import Program, Site

_HTTP: Final = """\
  access_log off;
  upstream instances {{
{servers}
    keepalive 64;
  }}
  server {{
    listen 127.0.0.1:{port}{tls};
    location / {{
      proxy_pass http://instances;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}"""


def _command(binary: str, site: Site) -> list[str]:
    servers = site.each_upstream("    server 127.0.0.1:{port};")
    tls = (
        f" ssl; ssl_certificate {site.tls}; ssl_certificate_key {site.tls}; ssl_protocols TLSv1.3"
        if site.tls
        else ""
    )
    http = _HTTP.format(servers=servers, port=site.port, tls=tls)
    return nginx_command(
        binary, site.directory, "nginx", http, workers=1, connections=site.connections
    )


NGINX: Final = Program("nginx", "apt install nginx-light", lambda: on_path("nginx"), _command)
