"""What the tests share that follow a pretended cluster through real connections."""

from __future__ import annotations

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from fengling_gateway.dataplane.dns_files import NameFiles
from fengling_gateway.dataplane.dns_lookups import Lookups
from fengling_gateway.kubernetes.api import ApiServer
from fengling_gateway.kubernetes.credentials import Credentials
from fengling_gateway.kubernetes.errors import ApiError
from tests.support.kubernetes_api import KubernetesApi
from tests.support.wait import eventually


class ClusterCase(TestCase):
    """With a cluster, and a client of it on the real reactor, which is left as it was found."""

    timeout = 60
    tls = True

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251 - real connections are the point

        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.reactor: Any = reactor
        self.rng = Random(7)
        self.cluster = KubernetesApi(tls=self.tls)
        self.addCleanup(self.cluster.stop)
        self.server = self.client(self.cluster.url)

    def client(self, url: str, **more: Any) -> ApiServer:
        token, authorities = self.cluster.write_credentials(self.directory)
        hosts = self.directory / "hosts"
        hosts.write_text("127.0.0.1 kubernetes.default.svc elsewhere.example\n")
        files = NameFiles(
            resolv_conf=str(self.directory / "resolv.conf"), hosts=str(hosts), servers=()
        )
        client = ApiServer(
            reactor=self.reactor,
            base_url=url,
            credentials=Credentials(token_file=token, ca_file=authorities),
            lookups=Lookups(reactor=self.reactor, files=files),
            **more,
        )
        self.addCleanup(client.stop)
        return client

    def named(self, host: str) -> str:
        """Return where the cluster is by another name."""
        return self.cluster.url.replace("127.0.0.1", host)

    def eventually(self, condition: Any) -> Deferred[Any]:
        return eventually(self.reactor, condition)

    async def refusal(self, asking: Deferred[Any]) -> ApiError:
        """Return why something failed."""
        try:
            answered = await asking
        except ApiError as error:
            return error
        raise AssertionError(answered)
