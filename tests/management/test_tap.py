"""Looking on at requests, over the management API."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.access.site import BoundedSite
from fengling_gateway.management.tap_stream import KEEPALIVE_SECONDS, LOOK_SECONDS, MAX_UNTAKEN
from fengling_gateway.model.entity import Key, canonical
from fengling_gateway.model.management_tokens import ADMIN, WRITE
from tests.management.fake_gateway import NOW, ROUTE, FakeGateway, json_of, resource, token
from tests.management.raw_http import ask_raw

ADDRESS = IPv4Address("TCP", "192.0.2.1", 54321)


def request(number: int = 0, **different: Any) -> dict[str, Any]:
    return {
        "request_id": f"r-{number}",
        "route": "r1",
        "service": "orders",
        "attempts": [{"instance": "i1", "address": "http://10.0.0.5:80", "ms": 1.0}],
        **different,
    }


class Client:
    """A connection on which somebody looks on."""

    def __init__(self, gateway: FakeGateway, clock: Clock, bearer: str, **body: Any) -> None:
        self.clock = clock
        site = BoundedSite(resource(gateway, clock), reactor=clock, refusals=Counter())
        self.channel = site.buildProtocol(ADDRESS)
        self.transport = StringTransport(peerAddress=ADDRESS)
        self.channel.makeConnection(self.transport)
        content = json.dumps({"seconds": 60, **body}).encode()
        self.channel.dataReceived(
            b"POST /api/gateway/tap HTTP/1.1\r\nHost: gateway\r\n"
            b"Content-Type: application/json\r\nAuthorization: Bearer %s\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (bearer.encode(), len(content), content)
        )

    @property
    def status(self) -> int:
        return int(self.transport.value().split(b" ", 2)[1])

    def events(self) -> list[dict[str, Any]]:
        """What has been told until now."""
        chunks = self.transport.value().partition(b"\r\n\r\n")[2].split(b"\r\n")[1::2]
        return [json.loads(line) for line in b"".join(chunks).splitlines()]

    @property
    def names(self) -> list[str]:
        return [one["event"] for one in self.events()]


class TapTests(SynchronousTestCase):
    """``POST /api/gateway/tap``"""

    def setUp(self) -> None:
        self.gateway = FakeGateway()
        self.clock = Clock()

    def begin(self, *, tenants: Any = None, lives: float = 600, **body: Any) -> Client:
        bearer = token(ADMIN, tenants=tenants, seconds=lives)
        return Client(self.gateway, self.clock, bearer, **body)

    def tell(self, *requests: dict[str, Any], left_out: int = 0, tap: int = 0) -> None:
        """As the supervisor does."""
        self.gateway.taps[tap][2].requests(list(requests), left_out)

    def test_requests_are_told_as_they_end(self) -> None:
        """With the end, and nothing is left of it."""
        client = self.begin(statuses=["5xx", "404"], methods=["POST"])
        [(tap_filter, seconds, audience)] = self.gateway.taps
        assert seconds == 60.0
        assert (tap_filter["statuses"], tap_filter["methods"]) == (
            [(500, 599), (404, 404)],
            ["POST"],
        )
        assert client.events() == [{"event": "began", "seconds": 60.0}]
        self.tell(request(1), request(2), left_out=3)
        audience.over("time")
        assert client.events()[1:] == [
            {"event": "request", "request": request(1)},
            {"event": "request", "request": request(2)},
            {"event": "left_out", "count": 3},
            {"event": "ended", "why": "time", "told": 2, "left_out": 3},
        ]
        assert client.transport.value().endswith(b"0\r\n\r\n")
        assert self.gateway.untapped[:1] == [audience]

    def test_nothing_to_say_is_said_now_and_then(self) -> None:
        """So that nobody takes it for dead."""
        client = self.begin()
        self.clock.pump([LOOK_SECONDS] * int(2 + KEEPALIVE_SECONDS / LOOK_SECONDS))
        assert client.names == ["began", "alive"]

    def test_limit_ends_it(self) -> None:
        client = self.begin(limit=2)
        self.tell(request(1))
        self.tell(request(2), request(3))
        assert client.names == ["began", "request", "request", "ended"]
        assert client.events()[-1]["why"] == "limit"
        assert self.gateway.untapped

    def test_limit_is_told_to_who_reads_slowly(self) -> None:
        """What is wanted is told before it ends, as soon as it is read."""
        client = self.begin(limit=2)
        client.channel.pauseProducing()
        self.tell(request(1), request(2), request(3))
        assert client.names == ["began"]
        client.channel.resumeProducing()
        assert client.names == ["began", "request", "request", "ended"]
        assert client.events()[-1]["told"] == 2
        assert self.gateway.untapped

    def test_client_that_goes_ends_it(self) -> None:
        """And no timer is left but those of the connection."""
        client = self.begin()
        client.channel.connectionLost()
        assert self.gateway.untapped
        assert self.clock.getDelayedCalls() == []

    def test_client_that_does_not_read_is_bounded(self) -> None:
        """What does not fit is counted, and told when it reads again."""
        client = self.begin()
        client.channel.pauseProducing()
        before = len(client.transport.value())
        for number in range(MAX_UNTAKEN + 5):
            self.tell(request(number))
        assert len(client.transport.value()) == before
        client.channel.resumeProducing()
        found = client.events()
        assert [one["request"]["request_id"] for one in found if "request" in one] == [
            f"r-{number}" for number in range(MAX_UNTAKEN)
        ]
        assert found[-1] == {"event": "left_out", "count": 5}

    def test_client_that_does_not_read_until_the_end_has_missed_it(self) -> None:
        """It is told how much."""
        client = self.begin()
        client.channel.pauseProducing()
        self.tell(request(1), request(2), left_out=1)
        self.gateway.taps[0][2].over("stopped")
        ended = {"event": "ended", "why": "stopped", "told": 0, "left_out": 3}
        assert client.events()[1:] == [{"event": "left_out", "count": 3}, ended]

    def test_it_is_no_longer_than_the_credential_holds(self) -> None:
        """Which may be revoked meanwhile."""
        self.begin(lives=7)
        assert self.gateway.taps[0][1] == 7
        client = self.begin()
        kept = {"revoked_at": NOW, "expires_at": None, "scopes": None, "tenants": None}
        self.gateway.served[Key("management_token", "t-1")] = canonical(kept)
        self.clock.advance(LOOK_SECONDS)
        assert client.events()[-1]["why"] == "credential"

    def test_it_is_on_record(self) -> None:
        """From its beginning on, with what was asked for, and how much was seen."""
        self.begin(clients=["10.0.0.7"], path_prefix="/secret")
        bearer = (b"Authorization: Bearer " + token(ADMIN).encode(),)
        client = self.begin()  # (each with a trail of its own)
        self.tell(request(), tap=1)

        def trail() -> Any:
            answer = ask_raw(client.channel.site.resource, b"/api/gateway/audit", headers=bearer)
            return json_of(answer.body)["items"]

        [record] = trail()
        assert (record["what"], record["outcome"]) == ("tap for 60 s", "under way")
        self.gateway.taps[1][2].over("time")
        [record] = trail()
        assert (record["outcome"], record["after"]) == ("done", {"told": 1, "left_out": 0})

    def test_it_takes_an_admin(self) -> None:
        """Requests have the addresses of clients, and what they ask for."""
        client = Client(self.gateway, self.clock, token(WRITE))
        assert (client.status, self.gateway.taps) == (403, [])

    def test_who_is_limited_to_tenants_sees_theirs(self) -> None:
        """And of it what is theirs: no route, service or instance of others, or of nobody."""
        mine = canonical({**ROUTE, "id": "r1", "tenant_id": "acme"})
        self.gateway.served[Key("route", "r1")] = mine
        client = self.begin(tenants=["acme"], routes=["r1"])
        assert self.gateway.taps[0][0]["tenants"] == ["acme"]
        self.tell(request(1), request(2, route="r2"))
        first, second = (one["request"] for one in client.events()[1:])
        assert (first["route"], second["route"]) == ("r1", None)
        assert (first["service"], first["peer"], first["listener"]) == (None, None, None)
        assert first["attempts"] == [{"instance": None, "address": None, "ms": 1.0}]

    def test_what_is_not_there_or_anothers_is_not_asked_for(self) -> None:
        """A route that is misspelt would never be seen."""
        for tenants, body in (
            (None, {"routes": ["r1", "nowhere"]}),
            (None, {"services": ["nowhere"]}),
            (["acme"], {"routes": ["r2"]}),
            (["acme"], {"services": ["orders"]}),
        ):
            client = self.begin(tenants=tenants, **body)
            assert (body, client.status) == (body, 404)
        assert self.gateway.taps == []

    def test_too_many_are_refused(self) -> None:
        """By whoever counts them."""
        self.gateway.failure = ValueError("8 taps are on already, and there may be no more")
        assert self.begin().status == 409

    def test_what_makes_no_sense_is_refused(self) -> None:
        for body in (
            {"seconds": 0.5},
            {"seconds": 601},
            {"seconds": True},
            {"seconds": "60"},
            {"statuses": ["5x"]},
            {"statuses": "5xx"},
            {"clients": ["10.0.0"]},
            {"clients": [7]},
            {"routes": ["a b"]},
            {"routes": ["r1"] * 101},
            {"methods": ["G T"]},
            {"path_prefix": "orders"},
            {"limit": 0},
            {"limit": 1.5},
            {"slower_than": -1},
            {"other": 1},
        ):
            client = self.begin(**body)
            assert (body, client.status) == (body, 422)
        assert self.gateway.taps == []
