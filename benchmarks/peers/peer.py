"""What the benchmark knows of a program it compares with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.harness.children import Child, Children
from benchmarks.harness.cores import Cores


@dataclass(frozen=True, slots=True)
class Site:
    """
    Where a peer listens, what it forwards to, and a directory for its files.

    ``tls`` is the path of a file with a certificate and its key, in this order,
    where the peer is to speak TLS 1.3; only some can. ``connections`` is how many
    it has to have room for, on both sides, where it has to be told.
    """

    directory: Path
    port: int
    upstream_ports: tuple[int, ...]
    tls: str | None = None
    connections: int = 4096

    def write(self, name: str, text: str) -> str:
        """Write one of the peer's files; returns its path."""
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def each_upstream(self, template: str) -> str:
        """The template once per upstream port, a line each."""
        return "\n".join(template.format(port=port) for port in self.upstream_ports)


class Peer(Protocol):
    """A program that forwards requests. ``install`` says how to get it."""

    @property
    def name(self) -> str: ...
    @property
    def install(self) -> str: ...
    def find(self) -> str | None:
        """Path of what it needs to run; None where that is not installed."""

    def start(self, children: Children, site: Site, cores: Cores) -> Child:
        """
        Start it on the proxy's core, and wait until it listens.

        Raises:
            StartError: it ended or did not listen.
            LookupError: it is not installed.
        """


@dataclass(frozen=True, slots=True)
class Program:
    """
    A peer that is one executable.

    ``locate`` is its `find`. ``command`` writes the configuration and answers
    with the command line that serves it in the foreground.
    """

    name: str
    install: str
    locate: Callable[[], str | None]
    command: Callable[[str, Site], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)

    def find(self) -> str | None:
        return self.locate()

    def start(self, children: Children, site: Site, cores: Cores) -> Child:
        child = children.start(
            self.name,
            self.command(found(self), site),
            cpus=cores.proxy,
            environment=self.environment,
        )
        child.wait_for_port(site.port)
        return child


def found(peer: Peer) -> str:
    """
    What `peer` finds.

    Raises:
        LookupError: nothing; the message says how to install it.
    """
    path = peer.find()
    if path is None:
        raise LookupError(f"{peer.name} is not installed: {peer.install}")
    return path
