"""What stands before a route: who is let in, and what the instance and the client are told."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from fengling_gateway.dataplane.recipients import ALL
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.model.key_sets import KeySet, read_key_set
from tests.auth.test_issuer import issuer
from tests.dataplane.rig import GET, OK, Rig, head_of, status_of
from tests.dataplane.snapshots import (
    Entity,
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
from tests.dataplane.test_failures import FailureCase
from tests.dataplane.test_tunnels import SWITCHED, TO_CLIENT, WEBSOCKET
from tests.support.forge import NOW, claims, rsa_jwk, rsa_key, token

NO_KEYS = KeySet(())
REQUIRED = {"mode": "required"}


def get(*lines: bytes, first: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([first, b"Host: example.com", *lines]) + b"\r\n\r\n"


def with_token(raw: bytes | None = None, *lines: bytes) -> bytes:
    return get(b"Authorization: Bearer " + (token() if raw is None else raw), *lines)


class GuardCase(FailureCase):
    """A route with guards, an issuer and clients, at a time of the tests' own."""

    def setUp(self) -> None:
        clock = patch("time.time", lambda: NOW)
        clock.start()
        self.addCleanup(clock.stop)

    def guarded(self, *entities: Entity, keys: KeySet | None = None, **given: Any) -> Rig:
        rig = self.rig(route(policies=policies(**given)), *entities)
        one = issuer() if keys is None else issuer(keys)
        rig.plane.offer_issuers({one.issuer: one})
        return rig

    def passed(self, rig: Rig, request: bytes) -> dict[bytes, bytes]:
        """The headers that an instance gets of a request that passes."""
        asking = rig.ask(request)
        assert rig.dials, asking.sent
        upstream = rig.accept()
        head = head_of(upstream.take())
        upstream.deliver(OK)
        upstream.lose()
        self.answered = head_of(asking.sent)
        asking.lose()
        return head

    def refused(self, rig: Rig, request: bytes) -> tuple[int, bytes, dict[bytes, bytes]]:
        """Status, code and headers of a refusal."""
        asking = rig.ask(request)
        self.assertEqual(rig.dials, [])
        head = head_of(asking.sent)
        status = status_of(asking.sent)
        asking.lose()
        return status, head[b"x-gateway-error"], head


class ToldTests(GuardCase):
    """What is told of a request with a token in its query."""

    def told(self, rig: Rig) -> list[Any]:
        ended: list[Any] = []
        rig.plane.recipients.add(ended.append, slower_than=ALL)
        return ended

    def test_refused_token_is_not_told(self) -> None:
        """It may be a good one that another route, or this one in a moment, lets in."""
        for more in ({}, {"access": {"allow": ["10.9.9.9"]}}):
            rig = self.guarded(auth={**REQUIRED, "query": "jwt"}, **more)
            ended = self.told(rig)
            self.refused(rig, get(first=b"GET /?a=1&jwt=secret HTTP/1.1"))
            [one] = ended
            self.assertEqual(one.head.target, b"/?a=1&jwt=REDACTED")

    def test_token_that_is_forwarded_is_not_told(self) -> None:
        """The instance has it, and nobody else."""
        rig = self.guarded(auth={**REQUIRED, "query": "jwt", "forward": True})
        ended = self.told(rig)
        raw = token()
        asking = rig.ask(get(first=b"GET /?jwt=" + raw + b" HTTP/1.1"))
        upstream = rig.accept()
        self.assertIn(raw, upstream.take())
        upstream.deliver(OK)
        asking.lose()
        [one] = ended
        self.assertEqual(one.head.target, b"/?jwt=REDACTED")


class TokenTests(GuardCase):
    """Bearer tokens of issuers."""

    def test_verified_token_says_who_asks(self) -> None:
        """By the identity headers; the token itself goes no further."""
        raw = token(claims(name="Ada", roles=["a", "b"], tenant="blue"))
        head = self.passed(self.guarded(auth=REQUIRED), with_token(raw))
        self.assertEqual(head[b"x-user-id"], b"ada")
        self.assertEqual(head[b"x-user-name"], b"Ada")
        self.assertEqual(head[b"x-roles"], b"a,b")
        self.assertEqual(head[b"x-tenant-id"], b"blue")
        self.assertNotIn(b"authorization", head)

    def test_good_tokens_are_counted(self) -> None:
        """Once each, and no bad ones."""
        rig = self.guarded(auth=REQUIRED)
        self.assertEqual(rig.counters()["credentials_accepted"], {"jwt": 0, "api_key": 0})
        rig.ask(with_token(token(key=rsa_key(number=1))))
        self.passed(rig, with_token())
        self.assertEqual(rig.counters()["credentials_accepted"], {"jwt": 1, "api_key": 0})

    def test_token_is_forwarded_where_the_route_says_so(self) -> None:
        """Some instances look for themselves."""
        head = self.passed(self.guarded(auth={**REQUIRED, "forward": True}), with_token())
        self.assertEqual(head[b"authorization"], b"Bearer " + token())

    def test_request_without_credentials_is_refused(self) -> None:
        """And told how to ask."""
        status, code, head = self.refused(self.guarded(auth=REQUIRED), GET)
        self.assertEqual((status, code), (401, b"unauthorized"))
        self.assertEqual(head[b"www-authenticate"], b'Bearer realm="gateway"')

    def test_other_scheme_shows_nothing(self) -> None:
        """Basic is none that the gateway verifies."""
        rig = self.guarded(auth=REQUIRED)
        self.assertEqual(self.refused(rig, get(b"Authorization: Basic QTpC"))[1], b"unauthorized")
        rig = self.guarded(auth={"mode": "optional"})
        head = self.passed(rig, get(b"Authorization: Basic QTpC"))
        self.assertEqual(head[b"authorization"], b"Basic QTpC")

    def test_bad_token_is_refused(self) -> None:
        """Wherever a token is looked at; only of one that has expired more is said."""
        for mode in ("optional", "required"):
            rig = self.guarded(auth={"mode": mode})
            status, code, head = self.refused(rig, with_token(token(key=rsa_key(number=1))))
            self.assertEqual((status, code), (401, b"invalid_token"))
            challenge = b'Bearer realm="gateway", error="invalid_token"'
            self.assertEqual(head[b"www-authenticate"], challenge)
            _, _, head = self.refused(rig, with_token(token(claims(exp=int(NOW) - 60))))
            expired = challenge + b', error_description="it has expired"'
            self.assertEqual(head[b"www-authenticate"], expired)
            self.assertEqual(
                rig.counters()["credentials_refused"], {"wrong_signature": 1, "expired": 1}
            )

    def test_two_authorization_headers_are_none(self) -> None:
        """Nobody knows which of them an instance would believe."""
        twice = with_token(None, b"Authorization: Bearer " + token())
        self.assertEqual(self.refused(self.guarded(auth=REQUIRED), twice)[1], b"invalid_token")

    def test_scheme_has_no_case(self) -> None:
        """RFC 9110, section 11.1."""
        head = self.passed(self.guarded(auth=REQUIRED), get(b"authorization: bEaReR " + token()))
        self.assertEqual(head[b"x-user-id"], b"ada")

    def test_token_elsewhere_counts_where_it_is_configured(self) -> None:
        """A cookie or parameter is no credential by itself."""
        raw = token()
        for request in (
            get(b"Cookie: a=b; t=" + raw + b"; c=d"),
            get(first=b"GET /x?a=b&token=" + raw + b"&c=d HTTP/1.1"),
        ):
            self.assertEqual(self.refused(self.guarded(auth=REQUIRED), request)[1], b"unauthorized")
        rig = self.guarded(auth={**REQUIRED, "cookie": "t", "query": "token"})
        head = self.passed(rig, get(b"Cookie: a=b; t=" + raw + b"; c=d"))
        self.assertEqual((head[b"x-user-id"], head[b"cookie"]), (b"ada", b"a=b; c=d"))
        rig = self.guarded(auth={**REQUIRED, "query": "token"})
        rig.ask(get(first=b"GET /x?a=b&token=" + raw + b"&c=d HTTP/1.1"))
        self.assertTrue(rig.accept().sent.startswith(b"GET /x?a=b&c=d HTTP/1.1\r\n"))

    def test_strangers_page_opens_no_tunnel_by_a_cookie(self) -> None:
        """A browser sends it with a WebSocket unasked; pages of the host, or allowed ones, may."""
        cors = {"origins": ["https://app.example"]}
        cookie = b"Cookie: t=" + token()
        lines = (b"Connection: Upgrade", b"Upgrade: websocket", cookie)
        rig = self.guarded(auth={**REQUIRED, "cookie": "t"}, cors=cors)
        for origin in (b"https://evil.example", b"null", b"https://example.com.evil.example", b""):
            refused = self.refused(rig, get(b"Origin: " + origin, *lines))
            self.assertEqual(refused[:2], (403, b"forbidden"))
        for line in ((), (b"Origin: https://app.example",), (b"Origin: http://example.com:81",)):
            asking = rig.ask(get(*line, *lines))
            self.assertEqual(asking.sent, b"")
            asking.lose()
        self.passed(rig, get(b"Origin: https://evil.example", cookie))

    def test_anonymous_route_looks_at_nothing(self) -> None:
        """What an instance does with its own tokens is its business."""
        bad = get(b"Authorization: Bearer nonsense", b"X-User-Id: root")
        head = self.passed(self.guarded(auth={"mode": "anonymous"}), bad)
        self.assertEqual(head[b"authorization"], b"Bearer nonsense")
        self.assertNotIn(b"x-user-id", head)

    def test_optional_route_takes_nobody_for_nobody(self) -> None:
        """Without credentials there is no identity."""
        head = self.passed(self.guarded(auth={"mode": "optional"}), GET)
        self.assertNotIn(b"x-user-id", head)

    def test_issuer_is_of_the_routes_choice(self) -> None:
        """A token that is good elsewhere is not good here."""
        rig = self.guarded(auth={**REQUIRED, "issuers": ["other"]})
        self.assertEqual(self.refused(rig, with_token())[1], b"invalid_token")
        self.assertEqual(rig.counters()["credentials_refused"], {"other_issuer": 1})

    def test_header_of_an_issuers_own_is_never_a_clients(self) -> None:
        """From the moment the issuer is known, on every route."""
        rig = self.guarded()
        one = issuer(headers={"X-Department": "dep"})
        rig.plane.offer_issuers({one.issuer: one})
        head = self.passed(rig, get(b"X-Department: forged", b"X_Department: forged"))
        self.assertEqual([name for name in head if b"department" in name], [])
        rig = self.guarded(auth=REQUIRED)
        rig.plane.offer_issuers({one.issuer: one})
        head = self.passed(rig, with_token(token(claims(dep="Zürich")), b"X-Department: forged"))
        self.assertEqual(head[b"x-department"], b"Z%C3%BCrich")

    def test_answers_of_the_gateways_own_are_guarded_too(self) -> None:
        """A fixed response or redirect is as private as a service."""
        body = {"status": 200, "headers": {}, "body": "secret"}
        guarded = policies(auth=REQUIRED)
        rig = self.rig(answering_route("r", "/{**rest}", respond=body, policies=guarded))
        one = issuer()
        rig.plane.offer_issuers({one.issuer: one})
        self.assertEqual(status_of(rig.ask().sent), 401)
        self.assertEqual(status_of(rig.ask(with_token()).sent), 200)

    def test_default_of_required_holds_everywhere(self) -> None:
        """Until a service or route says otherwise, by null or a mode of its own."""
        defaults = setting("defaults", policies(auth=REQUIRED))
        rig = self.rig(defaults)
        self.assertEqual(status_of(rig.ask().sent), 401)
        rig = self.rig(defaults, service(policies=policies(auth={"mode": "anonymous"})))
        self.passed(rig, GET)
        rig = self.rig(defaults, route(policies=policies(auth=None)))
        self.passed(rig, GET)


class AuthorisationTests(GuardCase):
    """Who may, of those who are known."""

    def test_scopes_are_required_all(self) -> None:
        """The challenge names what the route asks for (RFC 6750, section 3)."""
        rig = self.guarded(auth={**REQUIRED, "scopes": ["read", "write"]})
        status, code, head = self.refused(rig, with_token(token(claims(scope="read"))))
        self.assertEqual((status, code), (403, b"insufficient_scope"))
        self.assertEqual(
            head[b"www-authenticate"],
            b'Bearer realm="gateway", error="insufficient_scope", scope="read write"',
        )
        self.passed(rig, with_token(token(claims(scope="write read"))))

    def test_one_of_the_roles_suffices(self) -> None:
        """Any other is forbidden."""
        rig = self.guarded(auth={**REQUIRED, "roles": ["admin", "ops"]})
        self.assertEqual(self.refused(rig, with_token())[:2], (403, b"forbidden"))
        self.passed(rig, with_token(token(claims(roles=["ops"]))))

    def test_claims_are_compared(self) -> None:
        """Each must have one of its values."""
        rig = self.guarded(auth={**REQUIRED, "claims": {"/org/plan": ["gold"]}})
        self.assertEqual(
            self.refused(rig, with_token(token(claims(org={"plan": "tin"}))))[1], b"forbidden"
        )
        self.passed(rig, with_token(token(claims(org={"plan": "gold"}))))


class TenantTests(GuardCase):
    """Of which tenant a request is."""

    def test_token_leads_to_the_routes_of_its_tenant(self) -> None:
        """Before the match; a token that is not good says nothing there."""
        own = answering_route(
            "own", "/{**rest}", tenant_id="blue", respond={"status": 204, "headers": {}, "body": ""}
        )
        rig = self.guarded(tenant("blue"), own)
        raw = token(claims(tenant="blue"))
        self.assertEqual(status_of(rig.ask(with_token(raw)).sent), 204)
        for other in (token(claims(tenant="red")), token(claims(tenant="blue", exp=1)), b"x"):
            rig.ask(with_token(other))
        self.assertEqual(len(rig.dials), 3)
        rig.apply(*plain(tenant("blue", enabled=False), own))
        rig.ask(with_token(raw))
        self.assertEqual(len(rig.dials), 4)

    def test_host_of_one_and_token_of_another_tenant_contradict(self) -> None:
        """Whose data would it be?"""
        rig = self.guarded(tenant("red", hosts=["example.com"]), auth=REQUIRED)
        status, code, _ = self.refused(rig, with_token(token(claims(tenant="blue"))))
        self.assertEqual((status, code), (403, b"tenant_mismatch"))
        self.passed(rig, with_token(token(claims(tenant="red"))))

    def test_client_may_say_its_tenant_only_truly(self) -> None:
        """By host or by token; where no tenant is known it is dropped."""
        rig = self.guarded(tenant("red", hosts=["example.com"]))
        self.assertEqual(self.refused(rig, get(b"X-Tenant-Id: blue"))[1], b"tenant_mismatch")
        twice = get(b"X-Tenant-Id: red", b"X-Tenant-Id: blue")
        self.assertEqual(self.refused(rig, twice)[1], b"tenant_mismatch")
        self.assertEqual(self.passed(rig, get(b"x-tenant-id: red"))[b"x-tenant-id"], b"red")
        rig = self.guarded(auth=REQUIRED)
        raw = token(claims(tenant="blue"))
        refused = self.refused(rig, with_token(raw, b"X-Tenant-Id: red"))
        self.assertEqual(refused[:2], (403, b"tenant_mismatch"))
        self.assertNotIn(b"x-tenant-id", self.passed(self.guarded(), get(b"X-Tenant-Id: a")))

    def test_disabled_tenant_gets_nothing(self) -> None:
        """Where credentials are looked at."""
        rig = self.guarded(tenant("blue", enabled=False), auth=REQUIRED)
        refused = self.refused(rig, with_token(token(claims(tenant="blue"))))
        self.assertEqual(refused[:2], (403, b"forbidden"))


class ApiKeyTests(GuardCase):
    """API keys, by the header or as a bearer token."""

    def setUp(self) -> None:
        super().setUp()
        self.key, self.row = api_key("k1", client_id="shop")
        self.entities = (client("shop", roles=["buyer"], tenant_id="blue"), self.row)

    def keyed(self, *entities: Entity, **auth: Any) -> Rig:
        return self.guarded(*(entities or self.entities), auth={**REQUIRED, **auth})

    def test_key_says_who_asks(self) -> None:
        """Its client; the key goes no further."""
        for line in (b"X-Api-Key: " + self.key, b"Authorization: Bearer " + self.key):
            rig = self.keyed()
            head = self.passed(rig, get(line))
            self.assertEqual(rig.counters()["credentials_accepted"], {"jwt": 0, "api_key": 1})
            self.assertEqual(head[b"x-user-id"], b"shop")
            self.assertEqual(head[b"x-roles"], b"buyer")
            self.assertEqual(head[b"x-tenant-id"], b"blue")
            self.assertNotIn(self.key, head.values())

    def test_header_is_of_the_routes_choice(self) -> None:
        """Then the usual one is none."""
        rig = self.keyed(api_key_header="X-Shop-Key")
        self.assertEqual(self.refused(rig, get(b"X-Api-Key: " + self.key))[1], b"unauthorized")
        self.passed(rig, get(b"x-shop-key: " + self.key))

    def test_method_is_of_the_routes_choice(self) -> None:
        """A route for tokens takes no keys, and the other way round."""
        rig = self.keyed(methods=["jwt"])
        self.assertEqual(self.refused(rig, get(b"X-Api-Key: " + self.key))[1], b"unauthorized")
        bearer = get(b"Authorization: Bearer " + self.key)
        self.assertEqual(self.refused(rig, bearer)[1], b"invalid_token")
        rig = self.keyed(methods=["api_key"])
        self.assertEqual(self.refused(rig, with_token())[1], b"invalid_token")
        _, _, head = self.refused(rig, GET)
        self.assertEqual(head[b"www-authenticate"], b'ApiKey realm="gateway"')

    def test_revocation_holds_from_the_next_request_on(self) -> None:
        """Of the key or its client, however well it is known."""
        ask = get(b"X-Api-Key: " + self.key)
        guarded = route(policies=policies(auth=REQUIRED))
        for changed in (
            (client("shop"), api_key("k1", client_id="shop", enabled=False)[1]),
            (client("shop", enabled=False), self.row),
            (client("shop"), api_key("k1", client_id="shop", expires_at=NOW)[1]),
            (client("shop"), api_key("k1", client_id="shop", secret=b"B" * 43)[1]),
            (client("shop"),),
        ):
            rig = self.keyed()
            self.passed(rig, ask)
            rig.apply(*plain(guarded, *changed))
            asking = rig.ask(ask)
            self.assert_failed(rig, asking, ForwardError.INVALID_TOKEN)

    def test_revocation_ends_what_was_let_in(self) -> None:
        """A WebSocket may live for weeks; other changes don't touch it."""
        guarded = route(policies=policies(auth=REQUIRED))
        rig = self.keyed()
        asking = rig.ask(WEBSOCKET.replace(b"Host", b"X-Api-Key: " + self.key + b"\r\nHost"))
        upstream = rig.accept()
        upstream.deliver(SWITCHED)
        asking.take()
        rig.apply(*plain(guarded, *self.entities, client("other")))
        rig.advance(0.3)
        self.assertEqual(asking.take(), b"")
        rig.apply(
            *plain(guarded, client("shop"), api_key("k1", client_id="shop", enabled=False)[1])
        )
        rig.advance(0.3)
        self.assertEqual(asking.take(), TO_CLIENT)
        asking.lose()
        upstream.lose()

    def test_tunnel_of_a_token_lives_as_long_as_its_issuer(self) -> None:
        """Not as the token, which is short, or its key."""
        rig = self.guarded(auth=REQUIRED)
        guarded = plain(route(policies=policies(auth=REQUIRED)))
        line = b"Authorization: Bearer " + token() + b"\r\n"
        asking = rig.ask(WEBSOCKET.replace(b"Host", line + b"Host"))
        upstream = rig.accept()
        upstream.deliver(SWITCHED)
        asking.take()
        one = issuer(NO_KEYS)
        rig.plane.offer_issuers({one.issuer: one})
        rig.apply(*guarded)
        rig.advance(0.3)
        self.assertEqual(asking.take(), b"")
        rig.plane.offer_issuers({})
        rig.apply(*guarded)
        rig.advance(0.3)
        self.assertEqual(asking.take(), TO_CLIENT)
        asking.lose()
        upstream.lose()

    def test_other_key_of_the_same_id_is_none(self) -> None:
        """The id is no secret."""
        for key in (self.key[:-1] + b"B", b"fgk_k1_x", b"fgk_k2_" + b"A" * 43, b""):
            refused = self.refused(self.keyed(), get(b"X-Api-Key: " + key))
            self.assertEqual(refused[:2], (401, b"invalid_token"))


class KeysToComeTests(GuardCase):
    """Tokens whose keys have not been had yet."""

    def wanting(self, keys: KeySet = NO_KEYS, *, may_help: bool = True) -> Rig:
        rig = self.guarded(auth=REQUIRED, keys=keys)
        self.wanted: list[str] = []

        def want(issuer_id: str) -> bool:
            self.wanted.append(issuer_id)
            return may_help

        rig.plane.want_keys = want
        return rig

    def arrive(self, rig: Rig, keys: KeySet) -> None:
        one = issuer(keys)
        rig.plane.offer_issuers({one.issuer: one})
        rig.advance(0.1)

    def test_request_waits_for_keys(self) -> None:
        """And goes on when they are there, with all of its body."""
        rig = self.wanting()
        lines = b"Authorization: Bearer " + token(), b"Content-Length: 4"
        asking = rig.ask(get(*lines, first=b"POST / HTTP/1.1") + b"ab")
        self.assertEqual((rig.dials, asking.sent, asking.is_reading), ([], b"", False))
        self.assertEqual(self.wanted, ["acme"])
        self.arrive(rig, read_key_set({"keys": [rsa_jwk()]}, ("RS256",)))
        upstream = rig.accept()
        asking.deliver(b"cd")
        self.assertTrue(upstream.sent.endswith(b"abcd"))

    def test_request_waits_no_longer_than_three_seconds(self) -> None:
        """Without any key it is no fault of the client's; with others it is."""
        for keys, error in (
            (NO_KEYS, ForwardError.KEYS_UNAVAILABLE),
            (read_key_set({"keys": [rsa_jwk(kid="k0")]}, ("RS256",)), ForwardError.INVALID_TOKEN),
        ):
            rig = self.wanting(keys)
            asking = rig.ask(with_token())
            rig.advance(2.8)
            self.assertEqual(asking.sent, b"")
            rig.advance(0.4)
            self.assert_failed(rig, asking, error)

    def test_waiting_again_is_waiting_on(self) -> None:
        """Keys that don't help don't begin the time anew."""
        rig = self.wanting()
        asking = rig.ask(with_token())
        for _ in range(3):
            rig.advance(0.8)
            self.arrive(rig, read_key_set({"keys": [rsa_jwk(kid="k0")]}, ("RS256",)))
        self.assertEqual(asking.sent, b"")
        rig.advance(0.5)
        self.assert_failed(rig, asking, ForwardError.INVALID_TOKEN)

    def test_wrong_keys_end_the_waiting(self) -> None:
        """If no others may come."""
        rig = self.wanting()
        asking = rig.ask(with_token())
        rig.plane.want_keys = lambda _: False
        self.arrive(rig, read_key_set({"keys": [rsa_jwk(kid="k0")]}, ("RS256",)))
        self.assert_failed(rig, asking, ForwardError.INVALID_TOKEN)

    def test_nobody_waits_in_vain(self) -> None:
        """Where no fetch is under way, or too many wait."""
        rig = self.wanting(may_help=False)
        self.assert_failed(rig, rig.ask(with_token()), ForwardError.KEYS_UNAVAILABLE)
        with patch("fengling_gateway.dataplane.identities.MAX_WAITING", 1):
            rig = self.wanting()
            first, second = rig.ask(with_token()), rig.ask(with_token())
            self.assertEqual((first.sent, status_of(second.sent)), (b"", 503))
            first.lose()
            self.assertEqual(rig.ask(with_token()).sent, b"")

    def test_client_that_leaves_is_forgotten(self) -> None:
        """Keys that arrive then find nobody."""
        rig = self.wanting()
        rig.ask(with_token()).lose()
        self.arrive(rig, read_key_set({"keys": [rsa_jwk()]}, ("RS256",)))
        self.assertEqual(rig.dials, [])


class AddressTests(GuardCase):
    """From where a route may be asked."""

    def test_networks_are_allowed_or_denied(self) -> None:
        """Who is denied stays out; where some are allowed, all others do, too."""
        for access, passes in (
            ({"allow": ["198.51.100.0/24"]}, True),
            ({"allow": ["10.0.0.0/8"]}, False),
            ({"deny": ["198.51.100.7"]}, False),
            ({"deny": ["10.0.0.0/8"]}, True),
            ({"allow": ["198.51.100.0/24"], "deny": ["198.51.100.7/32"]}, False),
        ):
            rig = self.guarded(access=access)
            if passes:
                self.passed(rig, GET)
            else:
                self.assertEqual(self.refused(rig, GET)[:2], (403, b"address_denied"))

    def test_trusted_proxy_speaks_for_the_client(self) -> None:
        """The last address of the chain that is no proxy's; a stranger's word counts nothing."""
        trusted = setting("trusted_proxies", ["198.51.100.0/24", "203.0.113.9/32"])
        chain = get(b"X-Forwarded-For: 10.0.0.1, 192.0.2.7:4711, 203.0.113.9")
        self.passed(self.guarded(trusted, access={"allow": ["192.0.2.0/24"]}), chain)
        for access in ({"allow": ["10.0.0.0/8"]}, {"deny": ["192.0.2.0/24"]}):
            refused = self.refused(self.guarded(trusted, access=access), chain)
            self.assertEqual(refused[1], b"address_denied")
        refused = self.refused(self.guarded(access={"allow": ["192.0.2.0/24"]}), chain)
        self.assertEqual(refused[1], b"address_denied")

    def test_refusal_comes_before_credentials(self) -> None:
        """Nobody guesses from where nobody may ask."""
        rig = self.guarded(auth=REQUIRED, access={"deny": ["198.51.100.7"]})
        self.assertEqual(self.refused(rig, with_token(b"x"))[1], b"address_denied")
        self.assertEqual(rig.counters()["credentials_refused"], {})


class LimitTests(GuardCase):
    """How much one may ask for."""

    def test_rate_is_limited(self) -> None:
        """By the address unless said otherwise; the client is told what is left, and when more."""
        rig = self.guarded(rate_limit={"rate": "2/10s"})
        self.passed(rig, GET)
        self.assertEqual(self.answered[b"ratelimit-policy"], b'"client_ip";q=2;w=10')
        self.assertEqual(self.answered[b"ratelimit"], b'"client_ip";r=1;t=5')
        self.passed(rig, GET)
        asking = rig.ask()
        self.assert_failed(rig, asking, ForwardError.RATE_LIMITED)
        self.assertEqual(head_of(asking.sent)[b"retry-after"], b"5")
        other = rig.client("198.51.100.8")
        other.deliver(GET)
        self.assertEqual(other.sent, b"")
        rig.advance(5)
        self.passed(rig, GET)

    def test_limit_counts_where_it_is_configured(self) -> None:
        """Each route for itself; the routes of a service, or all, together."""
        paths = (route("a", "/a"), route("b", "/b"))
        limit = policies(rate_limit={"rate": "1/m", "headers": False})
        for entities, second in (
            ([("route", {**body, "policies": limit}) for _, body in paths], b""),
            ([*paths, service(policies=limit)], b"429"),
            ([*paths, setting("defaults", limit)], b"429"),
        ):
            rig = self.rig(*entities)
            rig.ask(get(first=b"GET /a HTTP/1.1"))
            asking = rig.ask(get(first=b"GET /b HTTP/1.1"))
            self.assertEqual(asking.sent[9:12], second)

    def test_guessing_is_limited(self) -> None:
        """What is told by the address is counted before credentials are looked at."""
        rig = self.guarded(auth=REQUIRED, rate_limit={"rate": "2/m"})
        for status in (401, 401, 429):
            self.assertEqual(self.refused(rig, with_token(b"guess"))[0], status)

    def test_subject_is_limited_wherever_it_is(self) -> None:
        """And who is nobody by the address."""
        rig = self.guarded(auth={"mode": "optional"}, rate_limit={"rate": "1/m", "key": "subject"})
        self.passed(rig, with_token())
        other = rig.client("198.51.100.8")
        other.deliver(with_token())
        self.assertEqual(status_of(other.sent), 429)
        self.passed(rig, with_token(token(claims(sub="bob"))))
        self.passed(rig, GET)
        self.assertEqual(status_of(rig.ask().sent), 429)

    def test_requests_at_a_time_are_limited(self) -> None:
        """However one ends, another may begin."""
        rig = self.guarded(concurrency={"limit": 1})
        first = rig.ask()
        second = rig.ask()
        self.assertEqual(status_of(second.sent), 429)
        self.assertEqual(head_of(second.sent)[b"retry-after"], b"1")
        rig.accept().deliver(OK)
        first.deliver(GET)
        rig.advance(0.1)
        self.assertEqual(status_of(rig.ask().sent), 429)
        first.lose()
        third = rig.ask()
        self.assertEqual(third.sent, b"")
        third.lose()

    def test_refused_request_holds_no_place(self) -> None:
        """Whoever is refused is not under way."""
        rig = self.guarded(auth=REQUIRED, concurrency={"limit": 1})
        self.refused(rig, GET)
        self.refused(rig, GET)
        self.passed(rig, with_token())

    def test_waiting_for_keys_counts_once(self) -> None:
        """Being asked again is not asking again."""
        rig = self.guarded(auth=REQUIRED, keys=NO_KEYS, rate_limit={"rate": "2/m"})
        rig.plane.want_keys = lambda _: True
        rig.ask(with_token())
        one = issuer()
        rig.plane.offer_issuers({one.issuer: one})
        rig.advance(0.1)
        self.assertEqual(len(rig.dials), 1)
        self.passed(rig, with_token())
        self.assertEqual(status_of(rig.ask(with_token()).sent), 429)


APP = b"Origin: https://app.example"
PREFLIGHT = get(APP, b"Access-Control-Request-Method: PUT", first=b"OPTIONS /x HTTP/1.1")
CORS = {
    "origins": ["https://app.example", "https://*.apps.example"],
    "methods": ["GET", "PUT"],
    "headers": ["X-One"],
    "expose": ["X-Two"],
    "credentials": True,
}


class CorsTests(GuardCase):
    """Pages of other origins."""

    def preflight(self, rig: Rig, request: bytes = PREFLIGHT) -> dict[bytes, bytes]:
        asking = rig.ask(request)
        self.assertEqual((rig.dials, status_of(asking.sent)), ([], 204))
        return head_of(asking.sent)

    def test_preflight_is_answered(self) -> None:
        """Without credentials, which it never has, and whatever methods the route takes."""
        rig = self.rig(route(methods=["PUT"], policies=policies(cors=CORS, auth=REQUIRED)))
        head = self.preflight(rig)
        self.assertEqual(head[b"access-control-allow-origin"], b"https://app.example")
        self.assertEqual(head[b"access-control-allow-methods"], b"GET, PUT")
        self.assertEqual(head[b"access-control-allow-headers"], b"X-One")
        self.assertEqual(head[b"access-control-allow-credentials"], b"true")
        self.assertEqual(head[b"access-control-max-age"], b"600")
        self.assertIn(b"Origin", head[b"vary"])

    def test_preflight_is_about_the_route_that_would_be_asked(self) -> None:
        """Not about one that takes its OPTIONS by chance."""
        other = route("other", "/x", methods=["OPTIONS"])
        rig = self.rig(route(methods=["PUT"], policies=policies(cors=CORS)), other)
        self.assertIn(b"access-control-allow-origin", self.preflight(rig))
        rig = self.rig(route(methods=["POST"], policies=policies(cors=CORS)), other)
        rig.ask(PREFLIGHT)
        self.assertEqual(len(rig.dials), 1)

    def test_stranger_gets_no_leave(self) -> None:
        """The browser then shows its page nothing; others are not kept out by this."""
        for origin in (
            b"https://evil.example",
            b"null",
            b"https://apps.example",
            b"http://a.apps.example",
        ):
            strange = PREFLIGHT.replace(b"https://app.example", origin)
            head = self.preflight(self.guarded(cors=CORS), strange)
            self.assertNotIn(b"access-control-allow-origin", head)
            self.passed(self.guarded(cors=CORS), get(b"Origin: " + origin))
            self.assertNotIn(b"access-control-allow-origin", self.answered)
            self.assertEqual(self.answered[b"vary"], b"Origin")

    def test_names_below_a_name_are_origins(self) -> None:
        """Of any depth."""
        for origin in (b"https://a.apps.example", b"https://a.b.apps.example"):
            self.passed(self.guarded(cors=CORS), get(b"Origin: " + origin))
            self.assertEqual(self.answered[b"access-control-allow-origin"], origin)

    def test_answer_says_it_once(self) -> None:
        """What the instance says of it is replaced."""
        rig = self.guarded(cors=CORS)
        asking = rig.ask(get(APP))
        said = b"Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: X-All\r\n"
        rig.accept().deliver(OK.replace(b"Content-Length", said + b"Content-Length"))
        head = head_of(asking.sent)
        self.assertEqual(head[b"access-control-allow-origin"], b"https://app.example")
        self.assertEqual(head[b"access-control-expose-headers"], b"X-Two")

    def test_failures_can_be_read_by_the_page(self) -> None:
        """A page that can't see a 401 would show a network error."""
        _, _, head = self.refused(self.guarded(cors=CORS, auth=REQUIRED), get(APP))
        self.assertEqual(head[b"access-control-allow-origin"], b"https://app.example")
        rig = self.guarded(cors=CORS)
        asking = rig.ask(get(APP))
        rig.refuse()
        self.assertEqual(status_of(asking.sent), 502)
        self.assertIn(b"access-control-allow-origin", head_of(asking.sent))

    def test_star_is_any_and_needs_no_vary(self) -> None:
        """Credentials are never among it, Authorization must be named."""
        open_to_all = {"origins": ["*"], "methods": ["*"], "headers": ["*"]}
        head = self.preflight(self.guarded(cors=open_to_all))
        self.assertEqual(head[b"access-control-allow-origin"], b"*")
        self.assertEqual(head[b"access-control-allow-headers"], b"*, Authorization")
        self.passed(self.guarded(cors=open_to_all), get(APP))
        self.assertEqual(self.answered[b"access-control-allow-origin"], b"*")
        self.assertNotIn(b"vary", self.answered)

    def test_options_without_an_origin_is_an_ordinary_request(self) -> None:
        """So is one that asks for no method."""
        self.passed(self.guarded(cors=CORS), get(first=b"OPTIONS / HTTP/1.1"))
        self.passed(self.guarded(cors=CORS), get(APP, first=b"OPTIONS / HTTP/1.1"))


class SecurityHeadersTests(GuardCase):
    """What browsers are told."""

    def answer(self, extra: bytes = b"", **given: Any) -> dict[bytes, bytes]:
        rig = self.guarded(**given)
        asking = rig.ask()
        rig.accept().deliver(OK.replace(b"Content-Length", extra + b"Content-Length"))
        return head_of(asking.sent)

    def test_preset_is_told(self) -> None:
        """And what there is behind the gateway is not."""
        said = b"Server: x\r\nX-Powered-By: y\r\nX-Frame-Options: ALLOWALL\r\n"
        head = self.answer(said, security_headers={})
        self.assertEqual(head[b"x-content-type-options"], b"nosniff")
        self.assertEqual(head[b"x-frame-options"], b"SAMEORIGIN")
        self.assertNotIn(b"server", head)
        self.assertNotIn(b"x-powered-by", head)
        # Over plain HTTP it would mean nothing (RFC 6797, section 7.2).
        self.assertNotIn(b"strict-transport-security", head)

    def test_difference_holds(self) -> None:
        """Another value, or the instance's own; and edits by name win."""
        head = self.answer(
            b"X-Frame-Options: own\r\nServer: x\r\n",
            security_headers={
                "preset": "api",
                "headers": {"x-frame-options": None, "Referrer-Policy": "origin", "server": None},
            },
            response_headers={"set": {"Content-Security-Policy": "mine"}},
        )
        self.assertEqual(head[b"x-frame-options"], b"own")
        self.assertEqual(head[b"referrer-policy"], b"origin")
        self.assertEqual(head[b"content-security-policy"], b"mine")
        self.assertEqual(head[b"server"], b"x")

    def test_strict_transport_is_for_tls(self) -> None:
        """Here by the word of a trusted proxy."""
        trusted = setting("trusted_proxies", ["198.51.100.0/24"])
        rig = self.guarded(trusted, security_headers={})
        self.passed(rig, get(b"X-Forwarded-Proto: https"))
        self.assertIn(b"strict-transport-security", self.answered)
        rig = self.guarded(trusted, security_headers={}, access={"deny": ["0.0.0.0/0"]})
        refused = self.refused(rig, get(b"X-Forwarded-Proto: https"))
        self.assertIn(b"strict-transport-security", refused[2])
