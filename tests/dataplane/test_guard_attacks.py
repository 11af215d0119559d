"""Ways around the guards of a route that were tried, and lead nowhere."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from tests.auth.test_issuer import issuer
from tests.dataplane.rig import GET, OK, Rig, head_of, status_of
from tests.dataplane.snapshots import (
    answering_route,
    api_key,
    client,
    plain,
    policies,
    route,
    service,
    setting,
    tenant,
)
from tests.dataplane.snapshots import issuer as issuer_row
from tests.dataplane.test_guards import CORS, NO_KEYS, REQUIRED, GuardCase, get, with_token
from tests.dataplane.test_tunnels import SWITCHED, TO_CLIENT, WEBSOCKET
from tests.support.forge import claims, token

LEAVE = b"Access-Control-Request-Method: DELETE"
ORIGIN = b"Origin: https://app.example"
OPTIONS = b"OPTIONS /x HTTP/1.1"
EMPTY = {"status": 200, "headers": {}, "body": ""}


class PreflightTests(GuardCase):
    """A preflight is answered by the gateway, or it is a request like any other."""

    def test_no_route_is_chosen_by_what_a_request_only_asks_leave_for(self) -> None:
        """Else OPTIONS would reach an instance by a route that does not take it."""
        rig = self.rig(route(methods=["DELETE"], policies=policies(cors=CORS)))
        self.assertEqual(self.refused(rig, get(LEAVE, first=OPTIONS))[0], 404)
        rig = self.rig(
            route("all", policies=policies(auth=REQUIRED)),
            route(methods=["DELETE"], priority=1, policies=policies(cors=CORS)),
        )
        self.assertEqual(self.refused(rig, get(LEAVE, first=OPTIONS))[0], 401)

    def test_no_route_gives_leave_for_another(self) -> None:
        """That it takes OPTIONS says nothing of the route that would be asked."""
        rig = self.rig(
            route("all", policies=policies(cors=CORS)),
            route(methods=["DELETE"], priority=1),
        )
        asking = rig.ask(get(ORIGIN, LEAVE, first=OPTIONS))
        self.assertEqual((asking.sent, len(rig.dials)), (b"", 1))

    def test_split_gives_leave_whichever_service_is_next(self) -> None:
        """If one of them does; and the instances hear nothing of it."""
        rig = self.rig(
            route(methods=["DELETE"], service_id=None, split={"s": 1, "t": 1}),
            service(policies=policies(cors=CORS)),
            service("t"),
        )
        for _ in range(4):
            asking = rig.ask(get(ORIGIN, LEAVE, first=OPTIONS))
            self.assertEqual((rig.dials, asking.sent[9:12]), ([], b"204"))


class SpoofingTests(GuardCase):
    """Nobody but the gateway says what was verified."""

    def test_header_of_an_issuers_own_stays_its_own(self) -> None:
        """While it is disabled, too, or has lost its name to another."""
        row = issuer_row(
            "acme",
            issuer="https://acme.example",
            audiences=["a"],
            jwks_url="https://acme.example/keys",
            headers={"X-Plan": "plan"},
            enabled=False,
        )
        rig = self.rig(row)
        head = self.passed(rig, get(b"X-Plan: gold", b"X_Plan: gold"))
        self.assertNotIn(b"x-plan", head)
        self.assertNotIn(b"x_plan", head)

    def test_waiting_for_keys_brings_no_header_in(self) -> None:
        """A name that has become the gateway's meanwhile was the client's before."""
        rig = self.guarded(auth=REQUIRED, keys=NO_KEYS)
        rig.plane.want_keys = lambda _: True
        asking = rig.ask(with_token(token(claims(plan="free")), b"X-Plan: gold", b"X-Uid: root"))
        guarded = route(policies=policies(auth=REQUIRED))
        rig.apply(*plain(guarded, setting("identity_headers", {"user": "X-Uid"})))
        one = issuer(headers={"X-Plan": "plan"})
        rig.plane.offer_issuers({one.issuer: one})
        rig.advance(0.1)
        sent = rig.accept().take()
        self.assertIn(b"\r\nX-Plan: free\r\n", sent)
        self.assertNotIn(b"gold", sent)
        self.assertNotIn(b"root", sent)
        asking.lose()


class WaitingTests(GuardCase):
    """Requests that wait for keys, and what becomes of them."""

    def waiting(self, rig: Rig) -> None:
        rig.plane.want_keys = lambda _: True

    def arrive(self, rig: Rig) -> None:
        one = issuer()
        rig.plane.offer_issuers({one.issuer: one})
        rig.advance(0.1)

    def test_tenant_gets_its_own_route_after_waiting_too(self) -> None:
        """Its token said nothing as long as its key was not known."""
        own = answering_route(
            "own", "/{**rest}", tenant_id="blue", respond={**EMPTY, "status": 204}
        )
        rig = self.guarded(tenant("blue"), own, auth=REQUIRED, keys=NO_KEYS)
        self.waiting(rig)
        asking = rig.ask(with_token(token(claims(tenant="blue"))))
        self.assertEqual(asking.sent, b"")
        self.arrive(rig)
        self.assertEqual((rig.dials, status_of(asking.sent)), ([], 204))

    def test_what_is_left_is_told_after_waiting_too(self) -> None:
        rig = self.guarded(auth=REQUIRED, keys=NO_KEYS, rate_limit={"rate": "2/m"})
        self.waiting(rig)
        asking = rig.ask(with_token())
        self.arrive(rig)
        rig.accept().deliver(OK)
        self.assertEqual(head_of(asking.sent)[b"ratelimit"], b'"client_ip";r=1;t=30')

    def test_waiting_turns_no_clock_back(self) -> None:
        """Who has waited is counted when he goes on."""
        limit = {"rate": "1/2s", "key": "subject", "algorithm": "sliding_window"}
        rig = self.guarded(auth=REQUIRED, keys=NO_KEYS, rate_limit=limit)
        self.waiting(rig)
        rig.ask(with_token())
        rig.advance(1.9)
        self.arrive(rig)
        self.assertEqual(len(rig.dials), 1)
        rig.advance(0.5)
        self.assertEqual(status_of(rig.ask(with_token()).sent), 429)

    def test_fault_harms_only_whose_it_is(self) -> None:
        """The others that wait are asked again, and so is whatever else a sweep does."""
        rig = self.guarded(auth=REQUIRED, keys=NO_KEYS)
        self.waiting(rig)
        first, second = rig.ask(with_token()), rig.ask(with_token(token(claims(sub="bob"))))
        one = issuer()
        verify, fails = one.verify, [True]

        class Failing:
            id, issuer, keys, header_names = one.id, one.issuer, one.keys, ()

            def verify(self, *given: Any) -> Any:
                if fails:
                    fails.clear()
                    raise RuntimeError("a fault")
                return verify(*given)

        rig.plane.offer_issuers({one.issuer: Failing()})  # type: ignore[dict-item]
        rig.advance(0.1)
        self.assertEqual(status_of(first.sent), 500)
        self.assertEqual((len(rig.dials), second.sent), (1, b""))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class CredentialTests(GuardCase):
    """What is in the place of credentials is judged as such."""

    def test_second_authorization_is_no_way_past(self) -> None:
        """An instance that reads the last line would get a token that nobody has looked at."""
        for lines in (
            (b"Authorization: Basic QTpC", b"Authorization: Bearer forged"),
            (b"Authorization: Bearer\tforged",),
            (b"Authorization: Bearer",),
        ):
            rig = self.guarded(auth={"mode": "optional"})
            self.assertEqual(self.refused(rig, get(*lines))[1], b"invalid_token")
            key, row = api_key("k1", client_id="shop")
            rig = self.guarded(client("shop"), row, auth=REQUIRED)
            refused = self.refused(rig, get(b"X-Api-Key: " + key, *lines))
            self.assertEqual(refused[1], b"invalid_token")


class FaultTests(GuardCase):
    """When a guard fails, it fails closed."""

    def test_fault_of_a_guard_lets_nobody_in(self) -> None:
        """The client hears of a fault of ours, and holds no place afterwards."""
        given = {
            "access": {"allow": ["198.51.100.0/24"]},
            "auth": REQUIRED,
            "concurrency": {"limit": 1},
            "cors": CORS,
            "rate_limit": {"rate": "9/s"},
        }
        for part in (
            "routing.access.AccessList.takes",
            "http.cors.Cors.pairs",
            "auth.api_keys.json.loads",
        ):
            key, row = api_key("k1", client_id="shop")
            rig = self.guarded(client("shop"), row, **given)
            ask = get(b"X-Api-Key: " + key, ORIGIN)
            with patch(f"fengling_gateway.{part}", side_effect=RuntimeError("a fault")):
                self.assertEqual(self.refused(rig, ask)[:2], (500, b"internal_error"))
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
            self.passed(rig, ask)


class PipeliningTests(GuardCase):
    """Requests of one connection, of which each shows its own credentials."""

    def test_each_request_is_judged_by_itself(self) -> None:
        """Whoever has gone before, and for whatever it has waited."""
        rig = self.guarded(auth=REQUIRED, keys=NO_KEYS, concurrency={"limit": 1})
        rig.plane.want_keys = lambda _: True
        bob = with_token(token(claims(sub="bob")))
        asking = rig.ask(with_token() + GET + bob + get(b"X-User-Id: root"))
        one = issuer()
        rig.plane.offer_issuers({one.issuer: one})
        rig.advance(0.1)
        upstream = rig.accept()
        for subject in (b"ada", b"bob"):
            self.assertEqual(head_of(upstream.take())[b"x-user-id"], subject)
            upstream.deliver(OK)
            answers = asking.take()
            self.assertEqual(status_of(answers), 200)
            self.assertEqual(answers.count(b"HTTP/1.1 401 "), 1)
        self.assertEqual((upstream.take(), len(rig.dials)), (b"", 1))


class AddressTests(GuardCase):
    """Networks mean the same however they are written."""

    def test_mapped_network_is_of_ipv4(self) -> None:
        """Clients of it are, too."""
        rig = self.guarded(access={"deny": ["::ffff:198.51.100.0/120"]})
        self.assertEqual(self.refused(rig, GET)[1], b"address_denied")
        self.passed(self.guarded(access={"allow": ["::ffff:198.51.100.0/120"]}), GET)


class SubjectTests(GuardCase):
    """A subject may be any text of JSON."""

    def test_half_a_character_is_counted_like_any_subject(self) -> None:
        """Nobody's token is a fault of ours."""
        rig = self.guarded(auth=REQUIRED, rate_limit={"rate": "1/m", "key": "subject"})
        raw = token(claims(sub="\ud800"))
        self.passed(rig, with_token(raw))
        self.assertEqual(self.refused_again(rig, with_token(raw)), b"rate_limited")

    def refused_again(self, rig: Rig, request: bytes) -> bytes:
        return head_of(rig.ask(request).sent)[b"x-gateway-error"]


class TunnelTests(GuardCase):
    """A tunnel ends when whoever it is for gets nothing any more."""

    def tunnel(self, rig: Rig, offer: bytes = WEBSOCKET) -> Any:
        asking = rig.ask(offer)
        rig.accept().deliver(SWITCHED)
        asking.take()
        return asking

    def test_tunnel_of_a_tenant_ends_with_it(self) -> None:
        """Whether its token or the host has said whose it is, and guards or none have let it in."""
        guarded = route(policies=policies(auth=REQUIRED))
        line = b"Authorization: Bearer " + token(claims(tenant="blue")) + b"\r\nHost"
        for offer, entities, hosts in (
            (WEBSOCKET.replace(b"Host", line), (guarded,), []),
            (WEBSOCKET.replace(b"Host: h", b"Host: blue.example"), (), ["blue.example"]),
        ):
            rig = self.rig(*entities, tenant("blue", hosts=hosts), tenant("red"))
            one = issuer()
            rig.plane.offer_issuers({one.issuer: one})
            asking = self.tunnel(rig, offer)
            still = tenant("blue", hosts=hosts)
            rig.apply(*plain(*entities, still, tenant("red", enabled=False)))
            rig.advance(0.3)
            self.assertEqual(asking.take(), b"")
            rig.apply(*plain(*entities, tenant("blue", hosts=hosts, enabled=False), tenant("red")))
            rig.advance(0.3)
            self.assertEqual(asking.take(), TO_CLIENT)
            asking.lose()


class TlsTests(GuardCase):
    def test_strict_transport_is_said_once(self) -> None:
        """A browser goes by the first: an instance's would undo the policy."""
        trusted = setting("trusted_proxies", ["198.51.100.0/24"])
        rig = self.guarded(trusted, security_headers={}, cors=CORS)
        asking = rig.ask(get(b"X-Forwarded-Proto: https"))
        own = b"Strict-Transport-Security: max-age=0\r\n"
        rig.accept().deliver(OK.replace(b"Content-Length", own + b"Content-Length"))
        self.assertNotIn(b"max-age=0", asking.sent)
        self.assertEqual(asking.sent.lower().count(b"strict-transport-security"), 1)
