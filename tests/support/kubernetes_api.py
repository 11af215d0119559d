"""
An API server of a cluster on loopback, as faithful as what is tested needs it to be.

It has a thread and an event loop of its own, so that it serves processes as well as this one.
Objects are changed by its methods, as ``kubectl`` would; faults are switched on by `faults`,
rights and tokens are given by `access`.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from fengling_gateway.kubernetes.resources import Resource
from tests.support.certificates import Authority
from tests.support.kubernetes_answers import RESOURCES, Cluster, Logged, answer_request
from tests.support.kubernetes_http import MAX_HEAD_BYTES, Answer, read_request
from tests.support.kubernetes_store import Object
from tests.support.kubernetes_watch import Watch

HOSTS = ("127.0.0.1", "::1", "localhost", "kubernetes.default.svc")


class KubernetesApi(Cluster):
    """
    Serves the resources that `fengling_gateway.kubernetes.resources` names.

    Attributes:
        access: tokens and rights.
        authority: who has issued its certificate.
        connections: those that are open.
        faults: what goes wrong.
        log: the requests that came, in order.
        token: of the console's service account, which may do everything at first.
    """

    def __init__(self, *, tls: bool = True, host: str = "127.0.0.1") -> None:
        super().__init__()
        self.authority = Authority("Cluster")
        self.store.changed = self._changed
        self.token = self.access.new_token()
        self._host = host
        self._port = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.connections: set[asyncio.StreamWriter] = set()
        self.renew_certificate(self.authority)
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()

    # Where it is

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'http' if self._context is None else 'https'}://{host}:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    def write_credentials(self, directory: Path) -> tuple[Path, Path]:
        """Write ``token`` and ``ca.crt`` as a pod finds them, and return their paths."""
        token, authority = directory / "token", directory / "ca.crt"
        token.write_text(self.token)
        authority.write_bytes(self.authority.pem)
        (directory / "namespace").write_text("fengling")
        return token, authority

    def renew_certificate(self, authority: Authority) -> None:
        """Show new connections a certificate of another authority."""
        self.authority = authority
        if self._context is not None:
            with tempfile.TemporaryDirectory() as directory:
                paths = authority.issue(*HOSTS).write(Path(directory), "api")
                self._context.load_cert_chain(paths["chain"], paths["key"])

    # As kubectl

    def apply(self, *objects: Object) -> Object:
        """Make objects, or make them so; returns the last one as it is now."""
        for one in objects:
            applied = self.store.apply(_resource_of(one), one)
        return applied

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        self.store.delete(resource, namespace, name)

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """
        Raises:
            MissingError: there is none.
        """
        return self.store.get(resource, namespace, name)

    def set_status(self, resource: Resource, namespace: str, name: str, status: Object) -> Object:
        obj = self.get(resource, namespace, name)
        return self.store.update(resource, {**obj, "status": status}, only_status=True)

    def compact(self) -> None:
        """Forget all history: what continues from before is 410."""
        self.store.compact()

    def install(self, *found: Resource) -> None:
        """Have resources in all of their versions, or `Resource.versions` one by one."""
        self.installed |= {version for one in found for version in one.versions}

    def uninstall(self, *found: Resource) -> None:
        """Let there be no such resources, as where their definitions are not installed: 404."""
        self.installed -= {version for one in found for version in one.versions}

    # What has been asked

    def asked(self, verb: str, resource: Resource) -> list[Logged]:
        """Return the requests of a kind, in order."""
        return [one for one in list(self.log) if (one.verb, one.resource) == (verb, resource)]

    def watching(self, resource: Resource | None = None) -> int:
        """Count the watches that are open."""
        return len(self._chosen(resource))

    # Rough play

    def start(self, *, set_back: bool = False) -> None:
        """
        Serve, on the port that it had before.

        Args:
            set_back: count versions from an older one, as a cluster restored from a backup does.
        """
        if set_back:
            self.store.set_back()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10), "it does not listen"

    def stop(self) -> None:
        """Break all connections, and refuse new ones."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def end_watches(self, resource: Resource | None = None) -> None:
        """End them cleanly, as a server does when it stops or when their time is up."""
        self._in_loop(Watch.end, resource)

    def break_watches(self, resource: Resource | None = None) -> None:
        """Break the connections of watches."""
        self._in_loop(Watch.abort, resource)

    # Inside: the loop

    def _chosen(self, resource: Resource | None) -> list[Watch]:
        return [one for one in list(self.watches) if resource in (None, one.resource)]

    def _in_loop(self, act: Callable[[Watch], None], resource: Resource | None) -> None:
        """Have the loop do something with watches."""

        def act_on_all() -> None:
            for one in self._chosen(resource):
                act(one)

        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(act_on_all)

    def _changed(self) -> None:
        self._in_loop(Watch.wake, None)

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, _context: None)  # clients that leave
        server = await asyncio.start_server(
            self._connected, self._host, self._port, ssl=self._context, limit=MAX_HEAD_BYTES
        )
        self._port = server.sockets[0].getsockname()[1]
        self._loop = loop
        ready.set()
        await self._stopping.wait()
        server.close()
        for one in list(self.connections):
            one.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        try:
            while (request := await read_request(reader)) is not None:
                await answer_request(self, request, Answer(reader, writer))
        except OSError:
            pass  # a client that leaves
        finally:
            self.connections.discard(writer)
            writer.close()


def _resource_of(obj: Object) -> Resource:
    for one in RESOURCES:
        versions = [version.api_version for version in one.versions]
        if obj["apiVersion"] in versions and one.kind == obj["kind"]:
            return one
    raise ValueError(f"no resource is known for {obj['apiVersion']} {obj['kind']}")
