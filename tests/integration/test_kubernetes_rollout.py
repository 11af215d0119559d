"""A deployment that is rolled out under load: pods that come, that end, and that are gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.cluster import Followed, followed_cluster
from tests.integration.gateway import Load, Upstream
from tests.support.kubernetes_objects import endpoint
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(180)

PODS = 3


@pytest.fixture
def fleet(
    postgres: PostgresServer, _migrated_template: str, own_valkey: ValkeyServer, tmp_path: Path
) -> Iterator[Followed]:
    with followed_cluster(postgres, _migrated_template, tmp_path, own_valkey.url) as fleet:
        yield fleet


class Deployment:
    """Pods on addresses of their own, one port for all, as a cluster's are."""

    def __init__(self, fleet: Followed) -> None:
        self._fleet = fleet
        self._started = 0
        self._pods: dict[str, Upstream] = {}
        self._ending: dict[str, Upstream] = {}

    def start(self) -> None:
        """Begin with a pod; ready at once."""
        self._started += 1
        name = f"orders-{self._started}"
        self._pods[name] = Upstream(name)
        self.tell()

    def end_oldest(self) -> str:
        """Ask the oldest pod to end: it serves on, and is told to be terminating."""
        name = next(iter(self._pods))
        self._ending[name] = self._pods.pop(name)
        self.tell()
        return name

    def remove(self, name: str) -> None:
        """End it: it takes no connection any more, and only then its endpoint goes."""
        self._ending[name].close()
        del self._ending[name]
        self.tell()

    def tell(self) -> None:
        """Have the slices say how it is: each pod, for its port, has one of its own."""
        for number in range(1, self._started + 1):
            name = f"orders-{number}"
            pod = self._pods.get(name) or self._ending.get(name)
            is_ending = name in self._ending
            endpoints: list[dict[str, Any]] = []
            if pod is not None:
                endpoints.append(
                    endpoint("127.0.0.1", pod=name, ready=not is_ending, terminating=is_ending)
                )
            port = int(pod.address.rpartition(":")[2]) if pod is not None else 1
            self._fleet.endpoints(*endpoints, port=port, suffix=str(number))

    @property
    def names(self) -> set[str]:
        return set(self._pods)

    def close(self) -> None:
        for pod in (*self._pods.values(), *self._ending.values()):
            pod.close()


def test_rolling_deployment_fails_no_request(fleet: Followed) -> None:
    """Each pod is told to be ending, then gone, while requests come: every one is answered."""
    gateway = fleet.gateway()
    deployment = Deployment(fleet)
    try:
        fleet.service()
        for _ in range(PODS):
            deployment.start()
        fleet.following(approve=["shop/*"])
        wait_until(lambda: len(fleet.instances()) == PODS)
        wait_until(lambda: gateway.get("/hello")[0] == 200)
        load = Load(gateway.port, "/hello")
        with load.running():
            for _ in range(PODS):
                deployment.start()
                ending = deployment.end_oldest()
                # (A pod has seconds to end in: 30, unless it says otherwise.)
                wait_until(lambda: "drain" in fleet.instances().values())
                wait_until(lambda: gateway.served_by_every_worker(fleet.sql.revision))
                load.wait_for(100)
                deployment.remove(ending)
                wait_until(lambda: len(fleet.instances()) == PODS)
                load.wait_for(100)
        assert (load.failed, load.refused) == ([], [])
        assert set(fleet.instances().values()) == {"ready"}
    finally:
        deployment.close()
