"""A gateway of one worker with guards before its routes, for benchmarks of them."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.children import Child, Children, free_port
from benchmarks.harness.compiled import as_installed
from benchmarks.harness.node import Node, read_token
from benchmarks.harness.programs import beside_python

_READY_SECONDS: Final = 60.0
_KEY_BYTES: Final = 32

_SETTINGS: Final = """\
cluster = "bench-{name}"
workers = {workers}
source = "file"
runtime_dir = "{directory}"
state_dir = "{directory}"
[file]
path = "{configuration}"
[redis]
{redis}
[sync]
keys = ["{sync_key}"]
[upstream]
allow = ["127.0.0.0/8"]
[management]
address = "127.0.0.1:{management_port}"
token_keys = ["{token_key}"]
[[listeners]]
name = "http"
address = "127.0.0.1:{port}"
{more}"""

Entities = Mapping[str, Sequence[Mapping[str, Any]]]
"""Lists of them by kind, as in a file of configuration."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """
    A running gateway.

    Attributes:
        port: of its traffic; ``management_port``: of its metrics.
        worker_pid: of the process of its first worker; ``child`` is its supervisor.
        node: the same, as its management API has it.
    """

    child: Child
    port: int
    management_port: int
    worker_pid: int
    node: Node

    def metrics(self) -> dict[str, float]:
        """Return the samples of its /metrics; those of one name are added up."""
        url = f"http://127.0.0.1:{self.management_port}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            text = answer.read().decode()
        found: dict[str, float] = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                sample, _, value = line.rpartition(" ")
                name = sample.partition("{")[0]
                found[name] = found.get(name, 0.0) + float(value)
        return found


def start_guarded(
    children: Children,
    entities: Entities,
    *,
    redis: str | None = None,
    cpus: frozenset[int] | None = None,
    name: str = "guarded",
    more: str = "",
    workers: int = 1,
) -> Guarded:
    """
    Start a gateway on a file with these entities.

    Args:
        name: of its process and its directory.
        more: sections of its settings; ``{directory}`` is its own.

    Raises:
        StartError: it ended, or is not ready in time.
    """
    directory = children.directory / f"{name}.d"
    directory.mkdir()
    configuration = directory / "configuration.yaml"
    configuration.write_text(json.dumps(entities))
    ports = free_port(), free_port()
    token_key = _key()
    settings = directory / "gateway.toml"
    settings.touch(mode=0o600)
    settings.write_text(
        settings_text(
            directory,
            configuration,
            ports,
            redis=redis,
            token_key=token_key,
            more=more,
            workers=workers,
        )
    )
    command = [beside_python("fengling-gateway") or "fengling-gateway", "--config", str(settings)]
    child = children.start(name, command, cpus=cpus, environment=as_installed())
    node = Node(child, port=ports[0], management_port=ports[1], token=read_token(token_key))
    child.wait_until(node.is_ready, _READY_SECONDS)
    return Guarded(child, *ports, node.workers()[0]["pid"], node)


def settings_text(
    directory: Path,
    configuration: Path,
    ports: tuple[int, int],
    *,
    redis: str | None,
    token_key: str,
    more: str = "",
    workers: int = 1,
) -> str:
    """Its TOML file; `ports` are those of traffic and of management, `more` follows the rest."""
    return _SETTINGS.format(
        name=secrets.token_hex(4),
        directory=directory,
        configuration=configuration,
        workers=workers,
        redis="" if redis is None else f'url = "{redis}"',
        sync_key=_key(),
        token_key=token_key,
        port=ports[0],
        management_port=ports[1],
        more=more.replace("{directory}", str(directory)),
    )


def _key() -> str:
    return f"bench:{secrets.token_hex(_KEY_BYTES)}"


def service(ports: Iterable[int]) -> dict[str, Any]:
    """The service of `route`, with instances at these ports."""
    instances = [{"id": f"i{port}", "address": f"http://127.0.0.1:{port}"} for port in ports]
    return {"id": "s", "instances": instances}


def route(name: str, policies: Mapping[str, Any]) -> dict[str, Any]:
    """A route for everything below the path of its name."""
    path = f"/{name}/{{**rest}}"
    return {"id": name, "path": path, "service_id": "s", "policies": dict(policies)}
