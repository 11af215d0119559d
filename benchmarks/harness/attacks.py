"""Attacks by slowhttptest in its four modes, and the instances that suit them.

The instances are nginx. They read a body before they answer it (``/whole``), have
something large to read slowly, and take half a second over a list of ranges.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Final

from benchmarks.harness.children import Children, StartError, free_port
from benchmarks.harness.cores import Cores
from benchmarks.harness.programs import nginx_command, on_path

_SMALL_BYTES: Final = 100
_LARGE_BYTES: Final = 200_000
_RANGED_BYTES: Final = 1500
"""
Half a second at 1 KB/s, of which the first is free. With 300 new ones a second, two instances are
asked over fewer connections than there may be to them (256 each); beyond that all requests wait.
"""

_INSTANCES: Final = """\
  access_log off;
  keepalive_requests 100000000;
  client_max_body_size 0;
  server {{
    {listen}
    location / {{ return 200 "{small}"; }}
    location /whole {{ proxy_pass http://127.0.0.1:{port}/; }}
    location /large {{ root {directory}; }}
    location /ranges {{ root {directory}; limit_rate 1k; }}
  }}
"""


@dataclass(frozen=True, slots=True)
class Attack:
    """One of slowhttptest's modes, and the path that suits it best."""

    name: str
    options: str
    path: str

    def command(self, port: int, connections: int, rate: int) -> list[str]:
        """What keeps it up: slowhttptest ends when its connections have been closed."""
        url = f"http://127.0.0.1:{port}{self.path}"
        once = ["slowhttptest", *self.options.split(), "-u", url, "-p", "3", "-l", "3600"]
        once += ["-c", str(connections), "-r", str(rate)]
        return ["sh", "-c", f"while :; do {shlex.join(once)} || sleep 1; done"]


ATTACKS: Final = (
    Attack("slow heads", "-H -i 5", "/"),
    Attack("slow bodies", "-B -i 5 -s 8192", "/whole"),
    # As many ranges as fit into a line of 8 KiB: more would be refused at once.
    Attack("ranges", "-R -t GET -a 5 -b 1200", "/ranges"),
    Attack("slow readers", "-X -w 512 -y 1024 -n 5 -z 32 -k 3", "/large"),
)


def start_instances(children: Children, cores: Cores) -> tuple[int, ...]:
    """
    Start two, and give their ports.

    Raises:
        StartError: nginx is not installed, or did not listen.
    """
    binary = on_path("nginx")
    if binary is None:
        raise StartError("the instances are nginx (apt install nginx-light)")
    ports = (free_port(), free_port())
    (children.directory / "large").write_bytes(b"x" * _LARGE_BYTES)
    (children.directory / "ranges").write_bytes(b"x" * _RANGED_BYTES)
    http = _INSTANCES.format(
        listen="\n    ".join(f"listen 127.0.0.1:{port};" for port in ports),
        port=ports[0],
        small="x" * _SMALL_BYTES,
        directory=children.directory,
    )
    command = nginx_command(
        binary, children.directory, "instances", http, workers=1, connections=16384
    )
    child = children.start("instances", command, cpus=cores.others)
    for port in ports:
        child.wait_for_port(port)
    return ports
