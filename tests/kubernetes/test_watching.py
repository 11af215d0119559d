"""Several resources of a cluster, watched as one."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes import failures
from fengling_gateway.kubernetes.gateway_api.objects import convert_reference_grant
from fengling_gateway.kubernetes.objects import service
from fengling_gateway.kubernetes.reflector import Reflector
from fengling_gateway.kubernetes.relists import Relists
from fengling_gateway.kubernetes.resources import REFERENCE_GRANTS, SERVICES, Resource
from fengling_gateway.kubernetes.watching import ClusterWatch, Heard, Watched
from tests.kubernetes.following import ClusterCase
from tests.kubernetes.scripted import Certain
from tests.support import kubernetes_objects as objects

GRANT = {
    "apiVersion": "gateway.networking.k8s.io/v1beta1",
    "kind": "ReferenceGrant",
    "metadata": {"name": "any", "namespace": "shop"},
    "spec": {"from": [], "to": []},
}


class Ear:
    """
    Hears of a resource.

    Attributes:
        told: what, in order.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.heard = Heard(
            lambda values: self.told.append(("listed", list(values))),
            lambda value: self.told.append(("changed", value)),
            lambda value: self.told.append(("gone", value)),
        )


class Reflected:
    """A reflector that says what a test wants."""

    def __init__(self, namespace: str | None, user: Any) -> None:
        self.namespace = namespace
        self.user = user

    def start(self) -> None: ...

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def status(self) -> dict[str, Any]:
        return {}

    def list(self, *values: str) -> None:
        self.user.listed(self, values)

    def change(self, value: str) -> None:
        self.user.changed(self, value)

    def is_absent(self) -> None:
        self.user.absent(self)


class ClusterWatchTests(SynchronousTestCase):
    """Of Services, and of ReferenceGrants, which a cluster need not have"""

    namespaces: ClassVar[tuple[str, ...]] = ()

    def setUp(self) -> None:
        self.reflected: dict[Resource, list[Reflected]] = {}
        self.ears = {SERVICES: Ear(), REFERENCE_GRANTS: Ear()}
        self.synced: list[int] = []
        self.clock = Clock()
        self.watch = ClusterWatch(
            [
                Watched(resource, str, str, ear.heard, is_optional=resource == REFERENCE_GRANTS)
                for resource, ear in self.ears.items()
            ],
            namespaces=self.namespaces,
            reflect=self.reflect,
            relists=Relists(self.clock),
            synced=lambda: self.synced.append(1),
        )

    def reflect(self, watched: Watched, namespace: str | None, user: Any) -> Reflected:
        made = Reflected(namespace, user)
        self.reflected.setdefault(watched.resource, []).append(made)
        return made

    def each(self, resource: Resource) -> list[Reflected]:
        return self.reflected[resource]

    def test_all_is_known_when_all_has_been_listed(self) -> None:
        """Told once, with the last list."""
        for one in (*self.each(SERVICES), *self.each(REFERENCE_GRANTS)):
            self.assertEqual((self.synced, self.watch.is_synced), ([], False))
            one.list("a")
        self.assertEqual((self.synced, self.watch.is_synced), ([1], True))
        self.each(SERVICES)[0].list("b")
        self.assertEqual(self.synced, [1])

    def test_optional_resource_that_there_is_not_counts_as_none_of_it(self) -> None:
        """Whichever is known first."""
        for one in self.each(REFERENCE_GRANTS):
            one.is_absent()
        self.assertEqual(self.ears[REFERENCE_GRANTS].told, [("listed", [])])
        self.assertEqual(self.synced, [])
        for one in self.each(SERVICES):
            one.list()
        self.assertEqual(self.synced, [1])

    def test_other_resources_that_there_are_not_are_waited_for(self) -> None:
        """Without them nothing is known."""
        for one in self.each(REFERENCE_GRANTS):
            one.list()
        for one in self.each(SERVICES):
            one.is_absent()
        self.assertEqual((self.synced, self.ears[SERVICES].told), ([], []))
        for one in self.each(SERVICES):
            one.list()
        self.assertEqual(self.synced, [1])

    def test_resource_that_comes_later_is_taken_up(self) -> None:
        """As if it had always been there."""
        for one in self.each(SERVICES):
            one.list()
        for one in self.each(REFERENCE_GRANTS):
            one.is_absent()
            one.is_absent()
        first = self.each(REFERENCE_GRANTS)[0]
        first.list("a")
        first.change("b")
        self.assertEqual(
            self.ears[REFERENCE_GRANTS].told, [("listed", []), ("listed", ["a"]), ("changed", "b")]
        )
        self.assertEqual(self.synced, [1])

    def test_what_is_known_stays_when_the_resource_is_taken_away(self) -> None:
        """Until a list or an event says otherwise."""
        for one in self.each(REFERENCE_GRANTS):
            one.list("a")
            one.is_absent()
        told = self.ears[REFERENCE_GRANTS].told
        self.assertEqual(told, [("listed", ["a"] * len(self.each(REFERENCE_GRANTS)))])


class NamespacesTests(ClusterWatchTests):
    """The same in two namespaces: what is in both is told as one list"""

    namespaces = ("shop", "billing")

    def test_optional_resource_may_be_absent_in_one_namespace_first(self) -> None:
        """Only when all have answered anything is told."""
        one, other = self.each(REFERENCE_GRANTS)
        one.is_absent()
        self.assertEqual(self.ears[REFERENCE_GRANTS].told, [])
        other.list("a")
        self.assertEqual(self.ears[REFERENCE_GRANTS].told, [("listed", ["a"])])


class AbsentTests(ClusterCase):
    """Against a pretended API server"""

    def setUp(self) -> None:
        super().setUp()
        self.patch(failures, "ABSENT_SECONDS", 0.05)
        self.patch(failures, "FORBIDDEN_SECONDS", 0.05)
        self.cluster.apply(objects.service())
        self.services, self.grants = Ear(), Ear()
        self.watch = ClusterWatch(
            (
                Watched(SERVICES, service, lambda one: one.name, self.services.heard),
                Watched(
                    REFERENCE_GRANTS,
                    convert_reference_grant,
                    lambda one: one.metadata.name,
                    self.grants.heard,
                    is_optional=True,
                ),
            ),
            namespaces=(),
            reflect=self.reflect,
            relists=Relists(self.reactor),
            synced=lambda: None,
        )
        self.addCleanup(self.watch.stop)

    def reflect(self, watched: Watched, namespace: str | None, user: Any) -> Reflector[Any]:
        return Reflector(
            clock=self.reactor,
            server=self.server,
            resource=watched.resource,
            namespace=namespace,
            selector=watched.selector,
            convert=watched.convert,
            user=user,
            rng=Certain(),
            wall=time.time,
        )

    def names(self) -> list[Any]:
        """Return what has been told of grants, by their names."""
        return [
            (kind, [one.metadata.name.name for one in what] if kind == "listed" else what)
            for kind, what in self.grants.told
        ]

    async def test_grants_are_none_until_their_definition_is_installed(self) -> None:
        """And what there was stays when it is taken away again."""
        self.cluster.uninstall(REFERENCE_GRANTS)
        self.watch.start()
        await self.eventually(lambda: self.watch.is_synced)
        self.assertEqual(self.names(), [("listed", [])])
        self.cluster.apply(GRANT)
        self.cluster.install(REFERENCE_GRANTS)
        await self.eventually(lambda: len(self.grants.told) == 2)
        self.assertEqual(self.names()[-1], ("listed", ["any"]))
        await self.eventually(lambda: self.cluster.watching(REFERENCE_GRANTS))
        self.cluster.uninstall(REFERENCE_GRANTS)
        self.cluster.end_watches(REFERENCE_GRANTS)
        await self.eventually(lambda: self.state() == "absent")
        self.assertEqual(len(self.grants.told), 2)

    async def test_grants_are_known_in_whichever_version_is_served(self) -> None:
        """Also where another one is later; nobody who hears of them notices."""
        newer, older = REFERENCE_GRANTS.versions
        self.cluster.uninstall(newer)
        self.cluster.apply(GRANT)
        self.watch.start()
        await self.eventually(lambda: self.cluster.watching(REFERENCE_GRANTS))
        self.assertEqual(self.names(), [("listed", ["any"])])
        self.cluster.install(newer)
        self.cluster.uninstall(older)
        self.cluster.end_watches(REFERENCE_GRANTS)
        await self.eventually(lambda: len(self.grants.told) == 2)
        self.assertEqual(self.names()[-1], ("listed", ["any"]))
        await self.eventually(lambda: self.cluster.watching(REFERENCE_GRANTS))
        watches = [one.version for one in self.cluster.asked("watch", REFERENCE_GRANTS)]
        self.assertEqual((watches[0], watches[-1]), ("v1beta1", "v1"))
        self.cluster.apply({**GRANT, "metadata": {**GRANT["metadata"], "name": "more"}})
        await self.eventually(lambda: len(self.grants.told) == 3)

    async def test_grants_that_may_not_be_seen_are_waited_for(self) -> None:
        """There may be some."""
        self.cluster.access.forbid(REFERENCE_GRANTS, "list")
        self.watch.start()
        await self.eventually(lambda: len(self.cluster.asked("list", REFERENCE_GRANTS)) > 2)
        self.assertEqual((self.watch.is_synced, self.grants.told), (False, []))
        self.cluster.access.permit(REFERENCE_GRANTS, "list")
        await self.eventually(lambda: self.watch.is_synced)

    def state(self) -> Any:
        return self.watch.status()[1]["state"]
