"""Requests to an API server, and watches, through real connections."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, gatherResults

from fengling_gateway.kubernetes import api
from fengling_gateway.kubernetes.resources import GATEWAYS, SERVICES
from tests.kubernetes.following import ClusterCase
from tests.support.certificates import Authority
from tests.support.kubernetes_api import KubernetesApi
from tests.support.kubernetes_objects import service

PATH = SERVICES.path()
GATEWAY = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "public", "namespace": "shop"},
    "spec": {"gatewayClassName": "fengling"},
}


class RequestTests(ClusterCase):
    """`get` and `put`"""

    async def test_list_is_returned(self) -> None:
        """By whoever the token is of."""
        self.cluster.apply(service("a"), service("b"))
        page = await self.server.get(PATH, {"limit": "1", "labelSelector": "managed-by=fengling"})
        self.assertEqual(page["kind"], "ServiceList")
        self.assertEqual([one["metadata"]["name"] for one in page["items"]], ["a"])
        asked = self.cluster.asked("list", SERVICES)[0]
        self.assertEqual(asked.query, {"limit": "1", "labelSelector": "managed-by=fengling"})
        self.assertRegex(asked.headers["user-agent"], r"^fengling-console/\d")
        self.assertEqual(asked.headers["accept-encoding"], "identity")

    async def test_requests_share_a_connection(self) -> None:
        """One after the other."""
        for _ in range(3):
            await self.server.get(PATH)
        self.assertEqual(len(self.cluster.connections), 1)
        await self.server.stop()
        await self.eventually(lambda: not self.cluster.connections)

    async def test_status_is_put(self) -> None:
        """And returned as it is then; who comes too late is told."""
        made = self.cluster.apply(GATEWAY)
        path = GATEWAYS.path("shop", "public", "status")
        put = await self.server.put(path, {**made, "status": {"conditions": []}})
        self.assertEqual(put["status"], {"conditions": []})
        error = await self.refusal(self.server.put(path, made))
        self.assertEqual((error.status, error.reason), (409, "Conflict"))

    async def test_server_is_found_by_name(self) -> None:
        """As this host resolves it; its certificate is for that name."""
        await self.client(self.named("kubernetes.default.svc")).get(PATH)

    async def test_server_behind_a_path_is_asked_there(self) -> None:
        """As some that have many clusters behind them."""
        error = await self.refusal(self.client(self.cluster.url + "/clusters/a/").get(PATH))
        self.assertEqual(str(error), "404: 404 page not found")

    async def test_server_of_ipv6_is_found(self) -> None:
        """In brackets."""
        self.cluster.stop()
        self.cluster = KubernetesApi(host="::1")
        self.addCleanup(self.cluster.stop)
        await self.client(self.cluster.url).get(PATH)

    async def test_what_is_refused_is_told(self) -> None:
        """In words for somebody who has just been woken."""
        self.cluster.access.forbid(SERVICES, "list")
        error = await self.refusal(self.server.get(PATH))
        self.assertEqual(
            str(error),
            '403: services is forbidden: User "system:serviceaccount:fengling:fengling-console" '
            'cannot list resource "services" in API group "" at the cluster scope: '
            "the console's ServiceAccount has not this right (docs/kubernetes.md, settings and rights)",
        )

    async def test_server_that_is_busy_says_until_when(self) -> None:
        """429, which is no status of the API's own."""
        self.cluster.faults.refuse(429, message="Too many requests", retry_after=7)
        error = await self.refusal(self.server.get(PATH))
        self.assertEqual((str(error), error.retry_after), ("429: Too many requests", 7.0))

    async def test_redirects_are_not_followed(self) -> None:
        """The token is for nobody else."""
        self.cluster.faults.refuse(307, message="")
        self.assertEqual((await self.refusal(self.server.get(PATH))).status, 307)


class TokenTests(ClusterCase):
    """Tokens"""

    async def test_renewed_token_is_taken_before_anybody_notices(self) -> None:
        """The old one is refused, and its file has the new one."""
        await self.server.get(PATH)
        self.cluster.access.revoke(self.cluster.token)
        self.cluster.token = self.cluster.access.new_token()
        self.cluster.write_credentials(self.directory)
        await self.server.get(PATH)

    async def test_token_renewed_between_two_looks_is_tried_once_more(self) -> None:
        """The file is the same as before, to all appearance."""
        self.cluster.faults.refuse(401, times=1, reason="Unauthorized", message="Unauthorized")
        await self.server.get(PATH)
        self.assertEqual([one.status for one in self.cluster.log], [401, 200])

    async def test_expired_token_is_told(self) -> None:
        """After a second try, and no third one."""
        self.cluster.token = self.cluster.access.new_token(seconds=0)
        self.cluster.write_credentials(self.directory)
        for asking in (self.server.get(PATH), self.server.stream(PATH, {}, print).ended):
            error = await self.refusal(asking)
            self.assertEqual(error.status, 401)
            self.assertIn("the token of the console's ServiceAccount is not accepted", str(error))
        self.assertEqual(len(self.cluster.log), 4)

    async def test_token_that_can_t_be_read_is_told(self) -> None:
        """Nothing is asked without it."""
        (self.directory / "token").unlink()
        error = await self.refusal(self.server.get(PATH))
        self.assertIn("token: No such file or directory", str(error))
        self.assertEqual(self.cluster.log, [])


class TrustTests(ClusterCase):
    """Certificates"""

    async def test_other_authorities_are_not_believed(self) -> None:
        """Whatever the system thinks of them; the new ones are, once their file says so."""
        await self.server.get(PATH)
        await self.server.stop()
        self.cluster.renew_certificate(Authority("Renewed"))
        error = await self.refusal(self.server.get(PATH))
        self.assertIn("of an authority that this host does not know", str(error))
        self.cluster.write_credentials(self.directory)
        await self.server.get(PATH)

    async def test_certificate_must_be_of_the_name(self) -> None:
        """That was asked for."""
        error = await self.refusal(self.client(self.named("elsewhere.example")).get(PATH))
        self.assertIn("its certificate is for another name", str(error))

    async def test_authorities_that_can_t_be_read_are_told(self) -> None:
        """By the name of their file."""
        (self.directory / "ca.crt").write_text("nothing")
        error = await self.refusal(self.server.get(PATH))
        self.assertIn("ca.crt has no certificates in PEM", str(error))


class PlainTests(ClusterCase):
    """Without TLS"""

    tls = False

    async def test_proxy_on_this_host_is_asked(self) -> None:
        """As ``kubectl proxy`` makes one."""
        await self.server.get(PATH)


class FaultTests(ClusterCase):
    """Faults of the server, and of the way to it"""

    async def test_server_that_is_down_is_told(self) -> None:
        """And asked again when it is up."""
        self.cluster.stop()
        error = await self.refusal(self.server.get(PATH))
        self.assertEqual((error.status, error.reason), (0, "Unreachable"))
        self.assertIn("it can't be connected to: Connection refused", str(error))
        self.cluster.start()
        await self.server.get(PATH)

    async def test_kept_connection_that_is_broken_is_made_anew(self) -> None:
        """Nobody notices that the server was restarted."""
        await self.server.get(PATH)
        self.cluster.stop()
        self.cluster.start()
        await self.server.get(PATH)

    async def test_name_that_can_t_be_resolved_is_told(self) -> None:
        """It is the first thing to go wrong at a new place."""
        error = await self.refusal(self.client(self.named("unknown.invalid")).get(PATH))
        self.assertIn("its name can't be resolved", str(error))

    async def test_server_that_does_not_answer_is_given_up(self) -> None:
        """A request, and the head of a watch; their connections are broken."""
        server = self.client(self.cluster.url, deadline_seconds=0.3)
        self.cluster.faults.stall()
        for asking in (server.get(PATH), server.stream(PATH, {"watch": "true"}, print).ended):
            error = await self.refusal(asking)
            self.assertEqual(str(error), "it has not answered within 0.3 s")
        await self.eventually(lambda: not self.cluster.connections)

    async def test_answer_that_trickles_is_given_up(self) -> None:
        """The deadline is for all of it."""
        self.cluster.apply(*(service(f"s{n}") for n in range(50)))
        self.cluster.faults.trickle(1000)
        server = self.client(self.cluster.url, deadline_seconds=0.5)
        self.assertIn("within 0.5 s", str(await self.refusal(server.get(PATH))))
        await self.eventually(lambda: not self.cluster.connections)

    async def test_answer_without_bounds_is_broken_off(self) -> None:
        """It could be anything."""
        self.patch(api, "MAX_BODY_BYTES", 500)
        self.cluster.apply(service())
        error = await self.refusal(self.server.get(PATH))
        self.assertEqual(str(error), "it answers with more than 500 bytes")
        await self.eventually(lambda: not self.cluster.connections)

    async def test_cancelled_request_breaks_its_connection(self) -> None:
        """Nothing of it is left."""
        self.cluster.faults.stall()
        asking = self.server.get(PATH)
        await self.eventually(lambda: self.cluster.log)
        asking.cancel()
        await self.assertFailure(asking, CancelledError)
        await self.eventually(lambda: not self.cluster.connections)


class StreamTests(ClusterCase):
    """`stream`"""

    def setUp(self) -> None:
        super().setUp()
        self.events: list[tuple[str, str]] = []
        self.begun = 0

    def watch(self, version: int = 1, **query: str) -> api.Watching:
        asked = {"watch": "true", "resourceVersion": str(version), **query}
        return self.server.stream(PATH, asked, self.take, self.begin)

    def take(self, event: Any) -> None:
        self.events.append((event["type"], event["object"]["metadata"].get("name", "")))

    def begin(self) -> None:
        self.begun += 1

    async def test_events_come_as_they_happen(self) -> None:
        """On a connection of its own; it ends when the server ends it."""
        watching = self.watch()
        await self.eventually(lambda: self.begun)
        self.cluster.apply(service("a"))
        await self.eventually(lambda: self.events == [("ADDED", "a")])
        self.cluster.delete(SERVICES, "shop", "a")
        await self.eventually(lambda: self.events[1:] == [("DELETED", "a")])
        await self.server.get(PATH)
        self.assertEqual(len(self.cluster.connections), 2)
        self.cluster.end_watches()
        await watching.ended
        await self.server.stop()
        await self.eventually(lambda: not self.cluster.connections)

    async def test_stopped_watch_breaks_its_connection(self) -> None:
        """At any time; that is no failure."""
        early = self.watch()
        early.stop()
        await early.ended
        watching = self.watch()
        await self.eventually(lambda: self.begun)
        watching.stop()
        await watching.ended
        await self.eventually(lambda: not self.cluster.connections)

    async def test_broken_watches_are_failures(self) -> None:
        """Between events and within one."""
        watching = self.watch()
        await self.eventually(lambda: self.begun)
        self.cluster.break_watches()
        self.assertEqual((await self.refusal(watching.ended)).reason, "Broken")
        self.cluster.faults.break_line()
        watching = self.watch()
        self.cluster.apply(service("a"))
        self.assertEqual((await self.refusal(watching.ended)).reason, "Broken")
        self.assertEqual(self.events, [])

    async def test_garbled_events_are_failures(self) -> None:
        """It breaks off there."""
        self.cluster.faults.garble(b"<html>\n")
        watching = self.watch()
        self.cluster.apply(service("a"))
        self.assertIn("can't be read", str(await self.refusal(watching.ended)))
        await self.eventually(lambda: not self.cluster.connections)

    async def test_refused_watches_are_told(self) -> None:
        """As requests are."""
        self.cluster.access.forbid(SERVICES, "watch")
        self.assertEqual((await self.refusal(self.watch().ended)).status, 403)
        self.assertEqual(self.begun, 0)

    async def test_what_a_listener_raises_ends_it(self) -> None:
        """And is what it fails with."""
        self.take = lambda _: 1 / 0  # type: ignore[method-assign, assignment, return-value]
        watching = self.watch()
        self.cluster.apply(service("a"))
        await self.assertFailure(watching.ended, ZeroDivisionError)
        await self.eventually(lambda: not self.cluster.connections)

    async def test_many_events_at_once_are_all_read(self) -> None:
        """In order, with others having their turns."""
        names = [f"s{n:04}" for n in range(3000)]
        self.cluster.apply(*(service(name) for name in names))
        watching = self.watch()
        await gatherResults([self.server.get(PATH) for _ in range(3)])
        await self.eventually(lambda: len(self.events) == len(names))
        self.assertEqual([name for _, name in self.events], names)
        watching.stop()
