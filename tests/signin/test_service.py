"""Signing in by a link, at consoles that share a database and nothing else."""

from __future__ import annotations

import calendar
import time
from typing import Any
from urllib.parse import quote

import psycopg2
import pytest
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from fengling_gateway.auth.operators import Operator
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.signin.links import make_link
from tests.signin.console import Asked, Browser, Console
from tests.signin.requests import NEW_KEY, RING, person

SESSION = "/api/console/session"
LINKS = "/api/console/login-links"
NOTHING = {"revoked_at": None, "expires_at": None, "scopes": None, "tenants": None}


def link(scope: str = "gateway:write", *, via: str = "", ring: TokenRing = RING, **who: Any) -> str:
    who = {"expires_at": time.time() + 1e6, **who}
    return make_link(ring, person(scope, **who), now=time.time(), via=via)


def bearer(scope: str = "gateway:admin", **terms: Any) -> dict[str, str]:
    usual = {"subject": "ops", "lifetime_seconds": 900, "token_id": "t9", **terms}
    return {"Authorization": f"Bearer {RING.issue(scopes=[scope], now=time.time(), **usual)}"}


class ConsoleCase(TestCase):
    timeout = 60

    @pytest.fixture(autouse=True)
    def _database(self, migrated_database: str) -> None:
        self.dsn = migrated_database

    async def console(self, **settings: Any) -> Console:
        from twisted.internet import reactor  # noqa: TID251 - real HTTP is the point

        console = Console(reactor, self.dsn, **settings)
        await console.start()
        self.addCleanup(console.stop)
        return console

    async def signed_in(self, console: Console, **who: Any) -> Browser:
        browser = Browser(console)
        answer = await browser.post(SESSION, {"link": link(**who)})
        self.assertEqual(answer.status, 200, answer)
        return browser


class LinkTests(ConsoleCase):
    """`POST /api/console/session`"""

    async def test_link_signs_in(self) -> None:
        """From then on the cookie is enough; the trail says how it began."""
        console = await self.console()
        browser = await self.signed_in(console)
        told = await browser.get(SESSION)
        self.assertEqual(
            told.json | {"ends_at": ...},
            {
                "subject": "ada",
                "name": "Ada L.",
                "role": "editor",
                "tenants": None,
                "source": "session by link",
                "ends_at": ...,
            },
        )
        self.assertEqual((await browser.get("/routes")).text, "ada")
        self.assertEqual((await browser.post("/routes", {})).text, "ada")
        [record], _ = console.trail.page(after=None, limit=10)
        self.assertEqual((record["what"], record["outcome"]), ("sign in by link", "done"))
        self.assertEqual(record["who"]["source"], "session by link")

    async def test_link_is_good_once(self) -> None:
        """At any console."""
        one, other = await self.console(), await self.console()
        token = link()
        self.assertEqual((await Browser(one).post(SESSION, {"link": token})).status, 200)
        for console in (one, other):
            browser = Browser(console)
            again = await browser.post(SESSION, {"link": token})
            self.assertEqual((again.status, again.json["code"]), (403, "link_refused"))
            self.assertEqual(browser.jar, {})
        self.assertEqual(other.refusals["sign_in_link_used"], 1)

    async def test_of_two_at_the_same_time_one_gets_in(self) -> None:
        """However close they are."""
        one, other = await self.console(), await self.console()
        for _ in range(10):
            token = link()
            asked = [Browser(where).post(SESSION, {"link": token}) for where in (one, other) * 2]
            answers: list[Asked] = await gatherResults(asked)
            self.assertEqual(sorted(answer.status for answer in answers), [200, 403, 403, 403])

    async def test_without_a_database_nobody_gets_in_by_a_link(self) -> None:
        """It may have been used; who has a session goes on, and can be signed out."""
        console = await self.console()
        browser = await self.signed_in(console)
        dsn, console.dsn = console.dsn, None
        token = link()
        refused = await Browser(console).post(SESSION, {"link": token})
        self.assertEqual((refused.status, refused.json["code"]), (503, "source_unavailable"))
        self.assertEqual((await browser.get("/routes")).status, 200)
        console.dsn = dsn
        self.assertEqual((await Browser(console).post(SESSION, {"link": token})).status, 200)

    async def test_links_that_are_none_are_refused_and_limited(self) -> None:
        """One that is good gets through all the same."""
        console = await self.console()
        foreign = link(ring=TokenRing([NEW_KEY]))
        for token in (
            foreign,
            "x",
            "",
            RING.issue(
                subject="a",
                scopes=["gateway:admin"],
                now=time.time(),
                lifetime_seconds=60,
                token_id="t",
            ),
        ):
            answer = await Browser(console).post(SESSION, {"link": token})
            self.assertEqual((answer.status, answer.json["code"]), (403, "link_refused"))
        statuses = [(await Browser(console).post(SESSION, {"link": "x"})).status for _ in range(8)]
        self.assertEqual(statuses[-1], 429)
        await self.signed_in(console)
        self.assertEqual(console.refusals["sign_in_link_unknown_key"], 1)

    async def test_link_of_a_token_that_is_revoked_is_refused(self) -> None:
        """And so is the session that it began before."""
        console = await self.console()
        browser = await self.signed_in(console, via="t9")
        token = link(via="t9")
        console.rows["t9"] = {**NOTHING, "revoked_at": 1.0}
        self.assertEqual((await Browser(console).post(SESSION, {"link": token})).status, 403)
        self.assertEqual((await browser.get("/routes")).status, 401)

    async def test_revoked_token_takes_links_of_its_links_along(self) -> None:
        """Else whoever has stolen one could have himself let in again and again."""
        console = await self.console()
        first = await self.signed_in(console, via="t9")
        made = (await first.post(LINKS, {})).json["url"].partition("#link=")[2]
        second = Browser(console)
        self.assertEqual((await second.post(SESSION, {"link": made})).status, 200)
        unused = (await second.post(LINKS, {})).json["url"].partition("#link=")[2]
        console.rows["t9"] = {**NOTHING, "revoked_at": 1.0}
        self.assertEqual((await second.get("/routes")).status, 401)
        asked = await Browser(console).post(SESSION, {"link": unused})
        self.assertEqual((asked.status, asked.json["code"]), (403, "link_refused"))

    async def test_links_of_links_come_to_an_end(self) -> None:
        """What they come of has to fit into a cookie."""
        console = await self.console()
        browser = await self.signed_in(console, via="t9")
        for _ in range(4):
            made = (await browser.post(LINKS, {})).json["url"].partition("#link=")[2]
            browser = Browser(console)
            self.assertEqual((await browser.post(SESSION, {"link": made})).status, 200)
        asked = await browser.post(LINKS, {})
        self.assertEqual((asked.status, asked.json["code"]), (422, "invalid_parameter"))

    async def test_page_of_another_origin_signs_nobody_in(self) -> None:
        """Not even with a link that is good, which stays good."""
        console = await self.console()
        token = link()
        foreign = await Browser(console).post(
            SESSION, {"link": token}, Origin="https://evil.example"
        )
        self.assertEqual((foreign.status, foreign.json["code"]), (403, "foreign_origin"))
        self.assertEqual((await Browser(console).post(SESSION, {"link": token})).status, 200)

    async def test_odd_bodies_are_refused(self) -> None:
        """By what is wrong with them."""
        console = await self.console()
        for body, status in (
            ({}, 422),
            ({"link": 7}, 422),
            ([], 422),
            ({"link": "x", "a": 1}, 422),
        ):
            self.assertEqual((await Browser(console).post(SESSION, body)).status, status)
        self.assertEqual((await Browser(console).ask("POST", SESSION + "?x=1")).status, 422)

    async def test_cookie_has_its_flags(self) -> None:
        """Over HTTPS those of HTTPS."""
        browser = await self.signed_in(await self.console())
        [line] = browser.set
        self.assertRegex(
            line,
            r"^fengling-session-[0-9a-f]{8}=[^;]+; Max-Age=7\d\d\d; Path=/; "
            r"HttpOnly; SameSite=Strict$",
        )
        secure = await self.console(secure_cookies=True)
        browser = await self.signed_in(secure)
        [line] = browser.set
        self.assertRegex(line, r"^__Host-fengling-session-.*; HttpOnly; SameSite=Strict; Secure$")
        self.assertNotIn("Domain", line)


class SignOutTests(ConsoleCase):
    """`DELETE /api/console/session`"""

    async def test_signed_out_is_signed_out(self) -> None:
        """The cookie is gone, and whoever has copied it can't use it."""
        browser = await self.signed_in(await self.console())
        thief = Browser(browser.console)
        thief.jar = dict(browser.jar)
        self.assertEqual((await browser.ask("DELETE", SESSION)).status, 204)
        self.assertEqual(browser.jar, {})
        self.assertEqual((await thief.get("/routes")).status, 401)

    async def test_other_consoles_know_within_two_seconds(self) -> None:
        """Which is how often they look."""
        one, other = await self.console(), await self.console()
        browser = await self.signed_in(one)
        there = Browser(other)
        there.jar = dict(browser.jar)
        self.assertEqual((await there.get("/routes")).status, 200)
        await browser.ask("DELETE", SESSION)
        ended = time.monotonic()
        while (await there.get("/routes")).status == 200:
            self.assertLess(time.monotonic() - ended, 30)
        self.assertEqual((await there.get("/routes")).status, 401)

    async def test_console_that_starts_knows_who_has_signed_out(self) -> None:
        """Before it answers anybody."""
        browser = await self.signed_in(await self.console())
        cookies = dict(browser.jar)
        await browser.ask("DELETE", SESSION)
        there = Browser(await self.console())
        there.jar = cookies
        self.assertEqual((await there.get("/routes")).status, 401)

    async def test_without_a_database_it_holds_here(self) -> None:
        """And that is said."""
        console = await self.console()
        browser = await self.signed_in(console)
        thief = Browser(console)
        thief.jar = dict(browser.jar)
        console.dsn = None
        answer = await browser.ask("DELETE", SESSION)
        self.assertEqual((answer.status, browser.jar), (503, {}))
        self.assertEqual((await thief.get("/routes")).status, 401)
        console.dsn = self.dsn

    async def test_page_of_another_origin_signs_nobody_out(self) -> None:
        """It would be a nuisance."""
        browser = await self.signed_in(await self.console())
        foreign = await browser.ask("DELETE", SESSION, Origin="https://evil.example")
        self.assertEqual(foreign.status, 403)
        self.assertEqual((await browser.get("/routes")).status, 200)

    async def test_token_has_no_session_to_end(self) -> None:
        """Somebody may take the one for the other."""
        console = await self.console()
        answer = await Browser(console).ask("DELETE", SESSION, **bearer())
        self.assertEqual((answer.status, answer.json["code"]), (409, "conflict"))


class MakeLinkTests(ConsoleCase):
    """`POST /api/console/login-links`"""

    async def made(self, console: Console, body: Any, **headers: str) -> Asked:
        return await Browser(console).post(LINKS, body, **headers)

    async def use(self, console: Console, made: Asked) -> Any:
        self.assertEqual(made.status, 201, made)
        token = made.json["url"].partition("#link=")[2]
        answer = await Browser(console).post(SESSION, {"link": token})
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    async def test_link_is_for_who_asks(self) -> None:
        """By default for all that the credential allows."""
        console = await self.console()
        made = await self.made(console, {}, **bearer("gateway:write", tenants=["acme"]))
        self.assertTrue(made.json["url"].startswith("/login#link="))
        session = await self.use(console, made)
        self.assertEqual((session["subject"], session["role"]), ("ops", "editor"))
        self.assertEqual(session["tenants"], ["acme"])

    async def test_admin_makes_links_for_others(self) -> None:
        """Named, with a role and tenants."""
        console = await self.console(external_urls=["https://console.example"])
        body = {"subject": "eve", "name": "Eve", "role": "viewer", "tenants": ["a"], "seconds": 60}
        made = await self.made(console, body, **bearer())
        self.assertTrue(made.json["url"].startswith("https://console.example/login#link="))
        token = made.json["url"].partition("#link=")[2]
        origin = {"Origin": "https://console.example"}
        session = (await Browser(console).post(SESSION, {"link": token}, **origin)).json
        self.assertEqual((session["subject"], session["role"]), ("eve", "viewer"))
        self.assertEqual((session["name"], session["tenants"]), ("Eve", ["a"]))

    async def test_nobody_makes_more_of_himself(self) -> None:
        """Neither a role, nor tenants, nor another name, nor a longer time."""
        console = await self.console()
        editor = bearer("gateway:write", tenants=["acme"])
        for body, code in (
            ({"role": "admin"}, "insufficient_scope"),
            ({"subject": "root"}, "insufficient_scope"),
            ({"tenants": ["acme", "blue"]}, "forbidden"),
        ):
            refused = await self.made(console, body, **editor)
            self.assertEqual((refused.status, refused.json["code"]), (403, code))
        session = await self.use(console, await self.made(console, {}, **editor))
        ends = time.strptime(session["ends_at"][:19], "%Y-%m-%dT%H:%M:%S")
        self.assertLess(calendar.timegm(ends), time.time() + 1000)

    async def test_revoked_token_ends_what_it_has_begun(self) -> None:
        """The links that it made, and their sessions."""
        console = await self.console()
        first, second = [await self.made(console, {}, **bearer()) for _ in range(2)]
        browser = Browser(console)
        await browser.post(SESSION, {"link": first.json["url"].partition("#link=")[2]})
        self.assertEqual((await browser.get("/routes")).status, 200)
        console.rows["t9"] = {**NOTHING, "revoked_at": 1.0}
        self.assertEqual((await browser.get("/routes")).status, 401)
        token = second.json["url"].partition("#link=")[2]
        self.assertEqual((await Browser(console).post(SESSION, {"link": token})).status, 403)

    async def test_session_makes_links_too(self) -> None:
        """For another browser of the same person."""
        console = await self.console()
        browser = await self.signed_in(console)
        session = await self.use(console, await browser.post(LINKS, {}))
        self.assertEqual((session["subject"], session["name"]), ("ada", "Ada L."))

    async def test_odd_wishes_are_refused(self) -> None:
        """Before anything is made of them."""
        console = await self.console()
        for body in (
            {"role": "root"},
            {"subject": ""},
            {"subject": "a\nb"},
            {"seconds": 601},
            {"seconds": True},
            {"tenants": []},
            {"tenants": ["a b"]},
            {"who": "x"},
        ):
            self.assertEqual((await self.made(console, body, **bearer())).status, 422, body)

    async def test_who_makes_links_is_on_record(self) -> None:
        """For whom, and for what."""
        console = await self.console()
        await self.made(console, {"subject": "eve", "role": "viewer"}, **bearer())
        [record], _ = console.trail.page(after=None, limit=5)
        self.assertEqual(record["what"], "make a login link for eve (viewer)")
        self.assertEqual(record["who"]["token_id"], "t9")


class LoginPageTests(ConsoleCase):
    """`GET /login`"""

    async def test_page_and_its_files_are_for_everybody(self) -> None:
        """They hold nothing but themselves, and may load nothing else."""
        browser = Browser(await self.console())
        page = await browser.get("/login?to=/routes/a")
        self.assertEqual(page.status, 200)
        self.assertIn('data-to="/routes/a"', page.text)
        policy = page.headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertEqual(page.headers["Cache-Control"], "no-store")
        self.assertNotIn("<script>", page.text)
        self.assertNotIn("style=", page.text)
        for path in ("/login/signin.js", "/login/signin.css"):
            self.assertIn(path, page.text)
            self.assertEqual((await browser.get(path)).status, 200)

    async def test_one_goes_on_to_pages_of_ours_only(self) -> None:
        """Whatever somebody has put into the address."""
        browser = Browser(await self.console())
        for to in (
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/login",
            "/login/oidc",
            "/api/console/session",
            '/%22%3E%3Cscript%3E"><script>',
            "",
            "/a b",
            "/a&to=/b",
            "\x00",
            "/" + "a" * 2000,
        ):
            page = await browser.get(f"/login?to={quote(to, safe='&=')}")
            self.assertIn('data-to="/"', page.text, to)

    async def test_who_is_not_signed_in_is_sent_there(self) -> None:
        """And comes back to where he wanted to go."""
        browser = Browser(await self.console())
        sent = await browser.get("/routes?x=1", Accept="text/html")
        self.assertEqual(
            (sent.status, sent.headers["Location"]), (303, "/login?to=%2Froutes%3Fx%3D1")
        )
        page = await browser.get(sent.headers["Location"])
        self.assertIn('data-to="/routes?x=1"', page.text)

    async def test_without_a_provider_there_is_no_way_to_one(self) -> None:
        """Nor back."""
        browser = Browser(await self.console())
        self.assertEqual((await browser.get("/login/oidc")).status, 404)
        self.assertEqual((await browser.get("/login/oidc/callback?code=x&state=y")).status, 404)
        self.assertNotIn("/login/oidc", (await browser.get("/login")).text)


class PruneTests(ConsoleCase):
    """The table, as consoles leave it."""

    async def test_what_is_over_is_deleted(self) -> None:
        """By whichever starts."""
        connection = psycopg2.connect(self.dsn)
        self.addCleanup(connection.close)
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO fengling.spent_credential (id, expires_at) "
                "VALUES ('link/old', now() - interval '1 day')"
            )
        await self.console()
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM fengling.spent_credential")
            self.assertEqual(cursor.fetchone(), (0,))


def test_operators_of_links_and_tokens_are_of_one_kind() -> None:
    """So that everything behind the gate treats them alike."""
    assert isinstance(person(), Operator)
