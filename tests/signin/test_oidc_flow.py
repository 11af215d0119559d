"""Signing in with a provider, over real HTTP: as it should go, and as somebody might want it to."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from fengling_gateway.auth.tokens import TokenRing, unverified_claims
from fengling_gateway.dataplane.dns_files import NameFiles
from fengling_gateway.dataplane.dns_lookups import Lookups
from fengling_gateway.signin.sessions import names_of
from fengling_gateway.signin.trips import COOKIE
from fengling_gateway.supervisor.web import Web
from tests.signin.console import Asked, Browser, Console
from tests.signin.requests import NEW_KEY, RING
from tests.support import forge
from tests.support.issuer_server import says, says_nothing
from tests.support.oidc_provider import CLIENT, SECRET, OidcProviderServer, unsigned

SESSION = "/api/console/session"
STAFF = {"editor_groups": ["staff"], "admin_groups": ["gw admins"]}


class OidcCase(TestCase):
    timeout = 60

    @pytest.fixture(autouse=True)
    def _database(self, migrated_database: str) -> None:
        self.dsn = migrated_database

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251 - real HTTP is the point

        self.reactor: Any = reactor
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        hosts = Path(directory.name) / "hosts"
        hosts.write_text("127.0.0.1 localhost\n")
        files = NameFiles(resolv_conf=f"{directory.name}/none", hosts=str(hosts), servers=())
        lookups = Lookups(reactor=reactor, files=files)
        self.web = Web(reactor=reactor, lookups=lookups, refusal=lambda host, port: None)
        self.provider = OidcProviderServer()
        self.addCleanup(lambda: deferToThread(self.provider.stop))

    async def console(self, ring: TokenRing = RING, **changed: Any) -> Console:
        oidc = {
            "issuer": self.provider.address,
            "client_id": CLIENT,
            "client_secret": SECRET,
            **STAFF,
            **changed,
        }
        console = Console(self.reactor, self.dsn, ring=ring, web=self.web, oidc=oidc)
        await console.start()
        self.addCleanup(console.stop)
        return console

    async def to_provider(self, browser: Browser, to: str = "") -> str:
        """Begin, sign in there, and return where the provider leads back to."""
        sent = await browser.get(f"/login/oidc{to}")
        self.assertEqual(sent.status, 303, sent)
        back = await browser.get(sent.headers["Location"])
        self.assertEqual(back.status, 302, back)
        return str(back.headers["Location"])

    async def sign_in(self, browser: Browser, to: str = "") -> Asked:
        return await browser.get(await self.to_provider(browser, to))

    async def assert_refused(self, answer: Asked, status: int, words: str) -> None:
        self.assertEqual(answer.status, status, answer)
        self.assertIn(words, answer.text)
        self.assertIn("default-src 'none'", answer.headers["Content-Security-Policy"])


class SignInTests(OidcCase):
    """As it should go."""

    async def test_group_gives_a_role(self) -> None:
        """And the session says how it began."""
        console = await self.console()
        browser = Browser(console)
        answer = await self.sign_in(browser)
        self.assertEqual(answer.status, 200, answer)
        session = (await browser.get(SESSION)).json
        self.assertEqual(
            {name: session[name] for name in ("subject", "name", "role", "tenants", "source")},
            {
                "subject": "u-17",
                "name": "Ada L.",
                "role": "editor",
                "tenants": None,
                "source": "session by oidc",
            },
        )
        self.assertEqual((await browser.get("/routes")).status, 200)
        [record], _ = console.trail.page(after=None, limit=5)
        self.assertEqual((record["what"], record["outcome"]), ("sign in by oidc", "done"))

    async def test_page_leads_on_to_where_one_wanted_to_go(self) -> None:
        """By a step of its own, with which browsers send a strict cookie."""
        browser = Browser(await self.console())
        page = await browser.get("/login?to=/routes/a%3Fx=1%26y=2")
        start = f'{browser.console.address}/login/oidc?to=%2Froutes%2Fa%3Fx%3D1%26y%3D2"'
        self.assertIn(f'href="{start}', page.text)
        answer = await self.sign_in(browser, "?to=%2Froutes%2Fa%3Fx%3D1%26y%3D2")
        self.assertIn('content="0; url=/routes/a?x=1&amp;y=2"', answer.text)

    async def test_cookies_are_as_they_should_be(self) -> None:
        """The one that comes back from elsewhere is lax, lives ten minutes, and is good once."""
        browser = Browser(await self.console())
        await self.sign_in(browser)
        began, session, cleared = (
            browser.set[0],
            next(one for one in browser.set if one.startswith("fengling-session")),
            next(one for one in browser.set if "Max-Age=0" in one),
        )
        self.assertRegex(
            began, r"^fengling-oidc-\w{8}=\S+; Max-Age=600; Path=/; HttpOnly; SameSite=Lax$"
        )
        self.assertTrue(session.endswith("HttpOnly; SameSite=Strict"))
        self.assertRegex(cleared, r"^fengling-oidc-")
        self.assertEqual([name[:16] for name in browser.jar], ["fengling-session"])

    async def test_secret_is_shown_as_the_provider_wants_it(self) -> None:
        """In the form, where it does not take the other way."""
        self.provider.basic = False
        self.provider.describe()
        browser = Browser(await self.console())
        self.assertEqual((await self.sign_in(browser)).status, 200)
        self.assertEqual(self.provider.posted[0]["client_secret"], SECRET)

    async def test_keys_may_be_rotated(self) -> None:
        """One that is new is fetched when a token names it; also under the name of the old one."""
        browser = Browser(await self.console())
        self.assertEqual((await self.sign_in(browser)).status, 200)
        for number, kid in ((1, "k2"), (2, "k2")):
            key = forge.rsa_key(2048, number)
            self.provider.publish(forge.rsa_jwk(key, kid=kid))
            self.provider.describe()
            self.provider.sign = lambda claims, key=key, kid=kid: forge.token(
                claims, key=key, kid=kid
            )
            self.assertEqual((await self.sign_in(browser)).status, 200)

    async def test_provider_is_asked_for_its_description_once(self) -> None:
        """However many sign in."""
        console = await self.console()
        answers = await gatherResults(
            [Browser(console).get("/login/oidc") for _ in range(5)], consumeErrors=True
        )
        self.assertEqual([one.status for one in answers], [303] * 5)
        self.assertEqual(self.provider.count("/.well-known/openid-configuration"), 1)
        self.assertEqual(self.provider.count(), 1)

    async def test_tenants_are_limits(self) -> None:
        """A star is none; to say nothing is no leave."""
        for said, tenants in (
            (["acme", "blue"], ["acme", "blue"]),
            ("acme", ["acme"]),
            ("*", None),
            (["*"], None),
        ):
            self.provider.person["tenants"] = said
            browser = Browser(await self.console(tenants_claim="tenants"))
            self.assertEqual((await self.sign_in(browser)).status, 200)
            self.assertEqual((await browser.get(SESSION)).json["tenants"], tenants)
        for wrong in ([], "", ["a b"], ["*", "acme"], {"acme": 1}, None):
            self.provider.person["tenants"] = wrong
            browser = Browser(await self.console(tenants_claim="tenants"))
            await self.assert_refused(await self.sign_in(browser), 403, "for no tenant")
            self.assertEqual(browser.jar, {})

    async def test_groups_may_have_spaces(self) -> None:
        """A text is one group, and not several words."""
        for groups, role in (("gw admins", "admin"), (["x", "gw admins", 7], "admin")):
            self.provider.person["groups"] = groups
            browser = Browser(await self.console())
            self.assertEqual((await self.sign_in(browser)).status, 200)
            self.assertEqual((await browser.get(SESSION)).json["role"], role)

    async def test_whoever_is_in_many_groups_gets_in(self) -> None:
        """Their token is as long as a dozen others."""
        self.provider.person["groups"] = ["staff", *(f"group-{n:05}" for n in range(900))]
        self.assertEqual((await self.sign_in(Browser(await self.console()))).status, 200)

    async def test_somebody_may_be_named_by_another_claim(self) -> None:
        """An email that nobody has verified names nobody."""
        self.provider.person["email"] = "ada@corp.example"
        browser = Browser(await self.console(subject_claim="email"))
        self.assertEqual((await self.sign_in(browser)).status, 200)
        self.assertEqual((await browser.get(SESSION)).json["subject"], "ada@corp.example")
        self.provider.person["email_verified"] = False
        browser = Browser(await self.console(subject_claim="email"))
        await self.assert_refused(await self.sign_in(browser), 403, "be believed")


class RefusedTests(OidcCase):
    """As it should not go."""

    async def test_who_has_no_group_is_told_so(self) -> None:
        """On a page, with a way back; and is not signed in."""
        console = await self.console()
        for groups in ([], ["other"], None, "staff other", {"staff": 1}):
            self.provider.person["groups"] = groups
            browser = Browser(console)
            await self.assert_refused(await self.sign_in(browser), 403, "none of your groups")
            self.assertEqual(browser.jar, {})
        self.assertEqual(console.refusals["sign_in_oidc_no_role"], 5)

    async def test_id_token_is_judged(self) -> None:
        """Whatever else the provider says."""
        now = int(time.time())
        changes: dict[str, dict[str, Any]] = {
            "wrong nonce": {"nonce": "x"},
            "no nonce": {"nonce": ...},
            "odd nonce": {"nonce": ["x"]},
            "foreign audience": {"aud": "another-client"},
            "among others, without a party": {"aud": [CLIENT, "another"]},
            "of another party": {"azp": "another"},
            "among others, of another party": {"aud": [CLIENT, "another"], "azp": "another"},
            "foreign issuer": {"iss": "https://evil.example"},
            "no issuer": {"iss": ...},
            "expired": {"exp": now - 31},
            "no end": {"exp": ...},
            "not begun": {"nbf": now + 100},
            "from the future": {"iat": now + 100},
            "no time": {"iat": ...},
            "no subject": {"sub": ...},
            "odd subject": {"sub": "a\nb"},
            "empty subject": {"sub": ""},
        }
        for what, changed in changes.items():
            browser = Browser(await self.console())

            def change(claims: dict[str, Any], changed: Any = changed) -> dict[str, Any]:
                merged = {**claims, **changed}
                return {name: value for name, value in merged.items() if value is not ...}

            self.provider.change = change
            answer = await self.sign_in(browser)
            self.assertEqual((what, answer.status), (what, 403))
            self.assertIn("be believed here", answer.text)
            self.assertEqual(browser.jar, {}, what)

    async def test_id_token_for_several_may_be_ours(self) -> None:
        """If it says so."""
        self.provider.change = lambda claims: {**claims, "aud": [CLIENT, "x"], "azp": CLIENT}
        self.assertEqual((await self.sign_in(Browser(await self.console()))).status, 200)

    async def test_signature_is_judged(self) -> None:
        """None, another's, by a key that everybody has, or nothing of the form."""
        secret = SECRET.encode()
        signs: dict[str, Any] = {
            "none": unsigned,
            "another key": lambda claims: forge.token(claims, key=forge.rsa_key(2048, 9)),
            "another key of another name": lambda claims: forge.token(
                claims, key=forge.rsa_key(2048, 9), kid="k9"
            ),
            "the secret": lambda claims: forge.token(claims, key=secret, algorithm="HS256"),
            "no token": lambda claims: b"x.y",
            "no signature": lambda claims: forge.token(claims).rpartition(b".")[0] + b".",
        }
        for what, sign in signs.items():
            self.provider.sign = sign
            answer = await self.sign_in(Browser(await self.console()))
            self.assertEqual((what, answer.status), (what, 403))

    async def test_state_is_of_this_very_browser(self) -> None:
        """Who brings another's, none or a changed one is not signed in, and nobody is asked."""
        console = await self.console()
        eve, ada = Browser(console), Browser(console)
        of_eve = await self.to_provider(eve)
        await self.to_provider(ada)
        state = parse_qs(urlsplit(of_eve).query)["state"][0]
        for target in (
            of_eve,
            of_eve.replace(state, ""),
            of_eve.replace(state, state[:-1] + "x"),
            f"{of_eve}&state={state}",
        ):
            fresh = Browser(console)
            fresh.jar = dict(ada.jar)
            await self.assert_refused(await fresh.get(target), 400, "begin again")
            self.assertNotIn("fengling-session", str(fresh.jar))
        await self.assert_refused(await Browser(console).get(of_eve), 400, "begin again")
        self.assertEqual(self.provider.posted, [])

    async def test_cookie_of_the_trip_can_not_be_made(self) -> None:
        """Nor used after ten minutes, or with other keys, or in place of a session."""
        console = await self.console()
        browser = Browser(console)
        back = await self.to_provider(browser)
        [(name, cookie)] = browser.jar.items()
        head, body, signature = cookie.split(".")
        claims = unverified_claims(cookie)["claims"]
        other = json.dumps({**claims, "to": "/other"}).encode()
        [session] = names_of(RING, "fengling-session")
        bad = Browser(console)
        for forged in (
            f"{head}.{base64.urlsafe_b64encode(other).rstrip(b'=').decode()}.{signature}",
            f"{head}.{body}.",
            TokenRing([NEW_KEY]).seal("fengling-console-oidc", claims),
            RING.seal("fengling-console-link", claims),
            "x",
        ):
            bad.jar = {name: forged}
            self.assertEqual((await bad.get(back)).status, 400, forged)
        console.offset = 601.0
        bad.jar = {name: cookie}
        self.assertEqual((await bad.get(back)).status, 400)
        console.offset = 0.0
        bad.jar = {session: cookie}
        self.assertEqual((await bad.get("/routes")).status, 401)
        self.assertEqual(self.provider.posted, [])

    async def test_code_is_good_once(self) -> None:
        """Here, since the browser's cookie is gone; and at the provider."""
        browser = Browser(await self.console())
        back = await self.to_provider(browser)
        copied = dict(browser.jar)
        self.assertEqual((await browser.get(back)).status, 200)
        await self.assert_refused(await browser.get(back), 400, "begin again")
        thief = Browser(browser.console)
        thief.jar = copied
        await self.assert_refused(await thief.get(back), 403, "does not confirm")
        self.assertNotIn("fengling-session", str(thief.jar))

    async def test_code_of_another_trip_is_refused(self) -> None:
        """The provider sees that who began is not who asks (PKCE)."""
        console = await self.console()
        eve, ada = Browser(console), Browser(console)
        of_eve = parse_qs(urlsplit(await self.to_provider(eve)).query)["code"][0]
        of_ada = await self.to_provider(ada)
        code = parse_qs(urlsplit(of_ada).query)["code"][0]
        await self.assert_refused(
            await ada.get(of_ada.replace(code, of_eve)), 403, "does not confirm"
        )

    async def test_another_provider_sends_nobody(self) -> None:
        """If the answer says whose it is (RFC 9207)."""
        browser = Browser(await self.console())
        back = await self.to_provider(browser)
        iss = parse_qs(urlsplit(back).query)["iss"][0]
        mixed = back.replace(iss.replace(":", "%3A").replace("/", "%2F"), "https%3A%2F%2Fevil")
        await self.assert_refused(await browser.get(mixed), 403, "nother provider has sent you")
        self.assertEqual(self.provider.posted, [])

    async def test_who_changes_his_mind_is_told_so(self) -> None:
        """Nothing of what the URL says is repeated."""
        browser = Browser(await self.console())
        back = urlsplit(await self.to_provider(browser))
        state = parse_qs(back.query)["state"][0]
        answer = await browser.get(
            f"{back.path}?state={state}&error=access_denied&error_description=%3Cb%3Ehello"
        )
        await self.assert_refused(answer, 403, "has not signed you in")
        self.assertNotIn("hello", answer.text)

    async def test_return_path_stays_here(self) -> None:
        """Whatever somebody has begun with."""
        for to in ("//evil.example", "https:%2F%2Fevil.example", "/%5Cevil.example", "/login/oidc"):
            answer = await self.sign_in(Browser(await self.console()), f"?to={to}")
            self.assertIn('url=/"', answer.text)

    async def test_failures_are_limited(self) -> None:
        """Then the provider is asked nothing more for that address; links still work."""
        console = await self.console()
        self.provider.person["groups"] = []
        statuses = []
        for _ in range(12):
            browser = Browser(console)
            statuses.append((await self.sign_in(browser)).status)
        self.assertEqual(statuses[:9], [403] * 9)
        self.assertEqual(statuses[-1], 429)
        for _ in range(20):  # of strangers, who cost nothing
            refused = await Browser(console).get("/login/oidc/callback?code=x&state=y")
            self.assertIn(refused.status, {400, 429})
        asked = len(self.provider.posted)
        self.assertEqual((await self.sign_in(Browser(console))).status, 429)
        self.assertEqual(len(self.provider.posted), asked)

    async def test_strangers_close_no_door(self) -> None:
        """Who has not begun is told so, however often, and others sign in."""
        console = await self.console()
        for _ in range(30):
            refused = await Browser(console).get("/login/oidc/callback?code=x&state=y")
            self.assertEqual(refused.status, 400)
        self.assertEqual((await self.sign_in(Browser(console))).status, 200)


class ProviderTests(OidcCase):
    """A provider that is not as it should be."""

    async def test_provider_that_is_away_is_told(self) -> None:
        """And asked again when it may be back; not by everybody at once."""
        console = await self.console()
        self.provider.stop()
        for _ in range(3):
            await self.assert_refused(
                await Browser(console).get("/login/oidc"), 502, "be asked now"
            )
        self.provider.start()

    async def test_description_is_judged(self) -> None:
        """It must be the provider's own, and lead nowhere that is not safe."""
        for changed in (
            {"issuer": "https://evil.example"},
            {"issuer": None},
            {"token_endpoint": "ftp://localhost/x"},
            {"token_endpoint": "http://id.example/token"},
            {"authorization_endpoint": "javascript:alert(1)"},
            {"jwks_uri": None},
            {"code_challenge_methods_supported": ["plain"]},
        ):
            self.provider.describe(**changed)
            answer = await Browser(await self.console()).get("/login/oidc")
            await self.assert_refused(answer, 502, "answer as it should")
        self.provider.answers["/.well-known/openid-configuration"] = says(200, b"<html>")
        answer = await Browser(await self.console()).get("/login/oidc")
        await self.assert_refused(answer, 502, "answer as it should")

    async def test_keys_that_can_not_be_read_are_told(self) -> None:
        """Nobody is sent away who could not be taken in."""
        self.provider.answers["/keys"] = says(200, b"[]")
        answer = await Browser(await self.console()).get("/login/oidc")
        await self.assert_refused(answer, 502, "be asked now")

    async def test_token_endpoint_is_judged(self) -> None:
        """It must answer, with an id token, and lead nowhere else."""
        elsewhere = OidcProviderServer()
        self.addCleanup(lambda: deferToThread(elsewhere.stop))
        for answer, status in (
            (says(500, b"{}"), 502),
            (says(307, Location=f"{elsewhere.address}/token"), 502),
            (says(200, b"[]"), 502),
            (says(200, b"{"), 502),
            (says(200, b"{}"), 403),
            (says(200, b'{"id_token": 7}'), 403),
            (says(404), 403),
            (says(400, b'{"error": "<b>"}'), 403),
        ):
            self.provider.answers["/token"] = answer
            refused = await self.sign_in(Browser(await self.console()))
            self.assertEqual(refused.status, status, refused.text)
            self.assertNotIn("<b>", refused.text)
        self.assertEqual(elsewhere.posted, [])

    async def test_provider_that_says_nothing_keeps_nobody_waiting(self) -> None:
        """Longer than people wait."""
        from fengling_gateway.signin import provider

        self.patch(provider, "SECONDS", 0.3)
        console = await self.console()
        self.provider.answers["/keys"] = says_nothing
        answers = await gatherResults([Browser(console).get("/login/oidc") for _ in range(3)])
        self.assertEqual([one.status for one in answers], [502] * 3)

    async def test_two_consoles_know_each_others_browsers(self) -> None:
        """One begins, the other takes in: they have the keys in common, and the address."""
        one = await self.console()
        other = Console(
            self.reactor,
            self.dsn,
            web=self.web,
            oidc={
                "issuer": self.provider.address,
                "client_id": CLIENT,
                "client_secret": SECRET,
                **STAFF,
            },
            external_urls=[one.address],
        )
        await other.start()
        self.addCleanup(other.stop)
        browser = Browser(one)
        back = await self.to_provider(browser)
        there = Browser(other)
        there.jar = dict(browser.jar)
        self.assertTrue(next(iter(there.jar)).startswith(COOKIE))
        target = back.removeprefix(one.address)
        self.assertEqual((await there.get(target)).status, 200)
