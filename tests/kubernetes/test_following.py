"""Following a cluster through real connections, whatever happens to it and to them."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.threads import deferToThread

from fengling_gateway.kubernetes import failures, listing, objects, reflector
from fengling_gateway.kubernetes.reflector import Reflector
from fengling_gateway.kubernetes.resources import ENDPOINT_SLICES, SERVICES
from tests.kubernetes.following import ClusterCase
from tests.kubernetes.scripted import Listener
from tests.support.kubernetes_objects import MANAGED, VERSIONS, service, slice_

CONVERT: dict[Any, Any] = {SERVICES: objects.service, ENDPOINT_SLICES: objects.endpoint_slice}


class FollowingCase(ClusterCase):
    """With a reflector that makes haste, which is stopped in the end."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(reflector, "PACE_SECONDS", 0.05)
        self.patch(failures, "FIRST_BACKOFF_SECONDS", 0.02)
        self.patch(failures, "MAX_BACKOFF_SECONDS", 0.2)
        self.patch(failures, "FORBIDDEN_SECONDS", 0.1)
        self.patch(failures, "ABSENT_SECONDS", 0.1)
        self.user = Listener()

    def follow(self, resource: Any = SERVICES, **more: Any) -> Reflector[Any]:
        selector = "managed-by=fengling" if resource == SERVICES else None
        following = Reflector(
            clock=self.reactor,
            server=self.server,
            resource=resource,
            convert=CONVERT[resource],
            user=self.user,
            rng=Random(7),
            **{"namespace": None, "selector": selector, **more},
        )
        self.addCleanup(following.stop)
        following.start()
        self.following = following
        return following

    async def known(self, resource: Any = SERVICES) -> None:
        """Wait until all is known as it is, and watched."""
        await self.eventually(lambda: self.user.known == self.there_is(resource))
        await self.eventually(lambda: self.cluster.watching(resource) == 1)

    def there_is(self, resource: Any) -> dict[str, Any]:
        chosen = [
            CONVERT[resource](one)
            for one in self.cluster.store.all(resource)
            if resource != SERVICES or one["metadata"].get("labels") == MANAGED
        ]
        return {str(one.name): one for one in chosen}

    def status(self, key: str) -> Any:
        return self.following.status()[key]


class FollowingTests(FollowingCase):
    """`Reflector`, with an API server"""

    async def test_changes_are_followed(self) -> None:
        """What comes, changes, goes, and what comes to be selected, or not any more."""
        self.cluster.apply(service("a"), service("b"), service("other", labels={}))
        self.follow()
        await self.known()
        self.cluster.apply(service("a", ports=[81]), service("c"), service("other"))
        self.cluster.apply(service("b", labels={}))
        await self.known()
        self.cluster.delete(SERVICES, "shop", "a")
        await self.known()
        self.assertEqual(set(self.user.known), {"shop/c", "shop/other"})
        self.assertEqual((self.status("relists"), self.status("restarts")), (0, 0))

    async def test_objects_of_all_versions_can_be_read(self) -> None:
        """Of Services and EndpointSlices, in lists as in events."""
        for resource in (SERVICES, ENDPOINT_SLICES):
            self.user.known = {}
            make = service if resource == SERVICES else slice_
            self.cluster.apply(
                *(make(f"of-{one.replace('.', '-')}", version=one) for one in VERSIONS)
            )
            self.follow(resource)
            await self.known(resource)
            self.cluster.apply(
                *(make(f"in-{one.replace('.', '-')}", version=one) for one in VERSIONS)
            )
            await self.known(resource)
            self.assertEqual((len(self.user.known), self.status("refused")), (2 * len(VERSIONS), 0))

    async def test_one_namespace_is_followed_alone(self) -> None:
        """By its path."""
        self.cluster.apply(service("a"), service("b", namespace="other"))
        self.follow(namespace="shop")
        await self.eventually(lambda: set(self.user.known) == {"shop/a"})
        self.assertEqual(self.cluster.asked("list", SERVICES)[0].namespace, "shop")

    async def test_many_objects_are_listed_in_pages(self) -> None:
        """All of the same version, whatever happens meanwhile."""
        self.patch(listing, "PAGE_OBJECTS", 7)
        self.cluster.apply(*(service(f"s{n}") for n in range(40)))
        self.follow()
        await self.known()
        self.assertEqual(len(self.cluster.asked("list", SERVICES)), 6)

    async def test_pages_that_expire_are_listed_anew(self) -> None:
        """History was compacted between two of them."""
        self.patch(listing, "PAGE_OBJECTS", 7)
        self.cluster.apply(*(service(f"s{n}") for n in range(40)))
        get = self.server.get

        def get_after_compaction(path: str, query: Any) -> Any:
            if "continue" in query:
                self.cluster.compact()
            return get(path, query)

        self.patch(self.server, "get", get_after_compaction)
        self.follow()
        await self.known()
        self.assertEqual(
            [one.status for one in self.cluster.asked("list", SERVICES)], [200, 410, 200]
        )

    async def test_ended_watches_go_on(self) -> None:
        """Without a list, if something was heard of the last one."""
        self.cluster.bookmark_seconds = 0.02
        self.follow()
        await self.known()
        for name in "abc":
            await self.eventually(lambda: self.following.status()["problem"] is None)
            self.cluster.apply(service(name))
            await self.known()
            self.cluster.end_watches()
            await self.eventually(lambda: self.cluster.watching() == 0)
            await self.known()
        self.assertEqual(len(self.cluster.asked("list", SERVICES)), 1)

    async def test_bookmarks_keep_a_quiet_watch_young(self) -> None:
        """Others change so much that what it began with expires, and it goes on all the same."""
        self.cluster.bookmark_seconds = 0.02
        self.follow()
        await self.known()
        self.cluster.apply(slice_())
        self.cluster.compact()
        version = str(self.cluster.store.version)
        await self.eventually(lambda: self.status("resource_version") == version)
        self.cluster.end_watches()
        await self.eventually(lambda: self.status("restarts") == 1)
        await self.known()
        self.assertEqual(self.status("relists"), 0)


class RoughTests(FollowingCase):
    """When something goes wrong"""

    async def test_broken_connections_lose_nothing(self) -> None:
        """Between events, or in the middle of one."""
        self.follow()
        await self.known()
        self.cluster.apply(service("a"))
        await self.known()
        self.cluster.break_watches()
        self.cluster.apply(service("b"))
        await self.known()
        self.cluster.faults.break_line()
        self.cluster.apply(service("c"))
        await self.known()
        self.assertEqual(self.status("relists"), 0)
        self.assertIsNone(self.status("problem"))

    async def test_garbled_event_is_asked_for_again(self) -> None:
        """Nothing is skipped."""
        self.follow()
        await self.known()
        self.cluster.faults.garble(b'{"type": "ADDED", "object": {"metadata": \n')
        self.cluster.apply(service("a"))
        await self.known()

    async def test_server_that_was_away_is_watched_on(self) -> None:
        """What is known stays known meanwhile."""
        self.cluster.apply(service("a"))
        self.follow()
        await self.known()
        await deferToThread(self.cluster.stop)
        await self.eventually(lambda: "Connection refused" in (self.status("problem") or ""))
        self.cluster.apply(service("b"))
        self.assertEqual(set(self.user.known), {"shop/a"})
        self.cluster.start()
        await self.known()
        self.assertEqual(self.status("relists"), 0)

    async def test_server_that_was_set_back_is_listed_anew(self) -> None:
        """Its versions are older than what was known; watching from there would be silent."""
        self.cluster.apply(*(service("a", ports=[80 + n]) for n in range(20)), service("b"))
        self.follow()
        await self.known()
        await deferToThread(self.cluster.stop)
        self.cluster.delete(SERVICES, "shop", "b")
        self.cluster.start(set_back=True)
        await self.known()
        self.assertEqual(self.status("relists"), 1)
        self.cluster.apply(service("c"))
        await self.known()

    async def test_compaction_while_the_way_was_cut_is_survived(self) -> None:
        """410, then a list: what is gone is noticed."""
        self.cluster.apply(service("a"), service("b"))
        self.follow()
        await self.known()
        await deferToThread(self.cluster.stop)
        self.cluster.delete(SERVICES, "shop", "b")
        self.cluster.compact()
        self.cluster.start()
        await self.known()
        self.assertEqual(self.user.told[-1], ("listed", ["shop/a"]))

    async def test_watch_that_falls_silent_is_broken_off(self) -> None:
        """It has not ended when it was to."""
        self.patch(reflector, "WATCH_SECONDS", (1, 1))
        self.patch(reflector, "LATE_SECONDS", 0.2)
        self.follow()
        await self.known()
        self.cluster.faults.mute()
        self.cluster.apply(service("a"))
        await self.eventually(lambda: "has not ended after 1.2 s" in (self.status("problem") or ""))
        self.cluster.faults.heal()
        await self.known()

    async def test_busy_server_is_left_alone(self) -> None:
        """As long as it asks for."""
        self.cluster.faults.refuse(429, verb="list", times=1, retry_after=1, message="too many")
        self.follow()
        await self.eventually(lambda: self.status("state") == "waiting")
        began = self.reactor.seconds()
        await self.known()
        self.assertGreaterEqual(self.reactor.seconds() - began, 0.9)

    async def test_errors_of_the_server_pass(self) -> None:
        """Whatever it fails at."""
        for verb in ("list", "watch"):
            self.cluster.faults.refuse(500, verb=verb, times=3, message="etcdserver: no leader")
        self.follow()
        self.cluster.apply(service("a"))
        await self.known()

    async def test_right_that_is_taken_and_given_is_noticed(self) -> None:
        """Both of them are needed."""
        self.cluster.apply(service("a"))
        for verb in ("list", "watch"):
            self.cluster.access.forbid(SERVICES, verb)
            following = self.follow()
            await self.eventually(lambda: self.status("state") == "forbidden")
            self.assertIn("needs list and watch of services", self.status("problem"))
            self.cluster.access.permit(SERVICES, verb)
            await self.known()
            await self.eventually(lambda: self.status("problem") is None)
            await following.stop()
            await self.eventually(lambda: self.cluster.watching() == 0)

    async def test_resource_that_is_installed_later_is_found(self) -> None:
        """As definitions of the Gateway API are."""
        self.cluster.uninstall(SERVICES)
        self.follow()
        await self.eventually(lambda: self.status("state") == "absent")
        self.assertFalse(self.following.is_synced)
        self.cluster.install(SERVICES)
        await self.known()

    async def test_renewed_token_is_taken_at_the_next_watch(self) -> None:
        """The old one has expired meanwhile."""
        self.follow()
        await self.known()
        self.cluster.access.revoke(self.cluster.token)
        self.cluster.break_watches()
        await self.eventually(lambda: self.status("state") == "waiting")
        self.cluster.token = self.cluster.access.new_token()
        self.cluster.write_credentials(self.directory)
        self.cluster.apply(service("a"))
        await self.known()

    async def test_all_of_it_together_is_survived(self) -> None:
        """In an order of chance, with changes in between."""
        rng = Random(11)
        faults = self.cluster.faults
        play = [
            self.cluster.end_watches,
            self.cluster.break_watches,
            self.cluster.compact,
            self.cluster.store.expire_pages,
            faults.break_line,
            lambda: faults.garble(b"[]\n"),
            lambda: faults.refuse(503, times=2),
            lambda: faults.refuse(410, verb="watch", times=1, reason="Expired", message="too old"),
            lambda: (self.cluster.stop(), self.cluster.start()),
            lambda: (self.cluster.stop(), self.cluster.start(set_back=True)),
        ]
        self.follow()
        for turn in range(60):
            name = rng.choice("abcdef")
            if rng.random() < 0.7 or f"shop/{name}" not in self.there_is(SERVICES):
                self.cluster.apply(service(name, ports=[80 + turn]))
            else:
                self.cluster.delete(SERVICES, "shop", name)
            if rng.random() < 0.4:
                await deferToThread(rng.choice(play))
            if rng.random() < 0.2:
                faults.heal()
                await self.known()
        faults.heal()
        await self.known()
        self.assertEqual(self.flushLoggedErrors(), [])


class LoadTests(FollowingCase):
    """Many endpoints"""

    async def test_five_thousand_endpoints_are_followed(self) -> None:
        """Through two hundred changes, none of which is lost or told twice."""
        for number in range(50):
            self.cluster.apply(self.part(number, 0))
        self.follow(ENDPOINT_SLICES)
        await self.eventually(lambda: len(self.user.known) == 50)
        await self.eventually(lambda: self.cluster.watching(ENDPOINT_SLICES) == 1)
        self.assertEqual(sum(len(one.endpoints) for one in self.user.known.values()), 5000)
        for change in range(200):
            self.cluster.apply(self.part(change % 50, change + 1))
        await self.eventually(lambda: len(self.user.told) == 201)
        self.assertEqual(self.user.known, self.there_is(ENDPOINT_SLICES))
        self.assertEqual((self.status("relists"), self.status("restarts")), (0, 0))

    def part(self, number: int, change: int) -> Any:
        """Return a slice of a hundred endpoints, one of which is another one each time."""
        addresses = [f"10.{number}.0.{n}" for n in range(99)] + [f"10.{number}.1.{change}"]
        return slice_("big", addresses, suffix=f"{number:02}")
