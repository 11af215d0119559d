"""Signing in, in a real browser: what only a browser does with cookies, fragments and policies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pytest
from twisted.internet.threads import deferToThread

from tests.signin.console import Console
from tests.signin.test_oidc_flow import OidcCase
from tests.signin.test_service import link
from tests.support.issuer_server import says

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
SCREENSHOTS: Final = os.environ.get("FENGLING_SCREENSHOTS")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser (apt install chromium)"),
]


def complaints(page: Page) -> list[str]:
    """What the page says to developers from now on; what it was refused is no complaint."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "console",
        lambda said: (
            found.append(said.text)
            if said.type == "error" and "status of 40" not in said.text
            else None
        ),
    )
    return found


def photograph(page: Page, name: str) -> None:
    """Keep a picture, where somebody wants to look at them."""
    if SCREENSHOTS:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=f"{SCREENSHOTS}/{name}-{scheme}.png")


class BrowserTests(OidcCase):
    """Chromium, and a console."""

    timeout = 120

    async def browse(self, visit: Callable[[BrowserContext], None], contexts: int = 1) -> None:
        """Do something in a browser that knows nothing yet, in a thread."""
        playwright = pytest.importorskip(
            "playwright.sync_api", reason="no playwright (pip install -e '.[browser]')"
        )

        def run() -> None:
            with playwright.sync_playwright() as driver:
                running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                try:
                    context = running.new_context(viewport={"width": 900, "height": 620})
                    context.set_default_timeout(15_000)
                    visit(context)
                finally:
                    running.close()

        await deferToThread(run)

    def opened(self, console: Console, **who: Any) -> str:
        return f"{console.address}/login?to=/routes#link={link(**who)}"

    async def test_link_opens_the_console_signed_in(self) -> None:
        """And leaves no trace in the history; used again it says so."""
        console = await self.console()
        address = self.opened(console)

        def visit(context: BrowserContext) -> None:
            page = context.new_page()
            said = complaints(page)
            page.goto(address)
            page.wait_for_url(f"{console.address}/routes")
            assert page.text_content("body") == "ada"
            [cookie] = context.cookies()
            assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
            assert page.evaluate("document.cookie") == ""
            context.clear_cookies()
            page.goto(address)
            page.wait_for_selector("#note.wrong")
            assert "was used before" in (page.text_content("#note") or "")
            assert page.url == f"{console.address}/login?to=/routes"
            photograph(page, "used")
            assert said == []

        await self.browse(visit)

    async def test_link_for_somebody_else_asks_first(self) -> None:
        """Nobody works in another's name without knowing."""
        console = await self.console()
        mine, others = self.opened(console), self.opened(console, subject="eve")

        def visit(context: BrowserContext) -> None:
            page = context.new_page()
            page.goto(mine)
            page.wait_for_url(f"{console.address}/routes")
            page.goto(others)
            page.wait_for_selector("button")
            assert "You are signed in as ada. This link is for eve." in (
                page.text_content("#note") or ""
            )
            photograph(page, "another")
            assert page.is_hidden("text=Sign in with")
            page.click("text=Stay signed in")
            page.wait_for_url(f"{console.address}/routes")
            assert page.text_content("body") == "ada"
            page.goto(others)
            page.click("button")
            page.wait_for_url(f"{console.address}/routes")
            assert page.text_content("body") == "eve"

        await self.browse(visit)

    async def test_provider_signs_in(self) -> None:
        """From a page that somebody wanted to see, to another site, and back to that page."""
        console = await self.console(name="Corp ID")
        assert self.provider.address.startswith("http://localhost:")  # another site than 127.0.0.1

        def visit(context: BrowserContext) -> None:
            page = context.new_page()
            said = complaints(page)
            page.goto(f"{console.address}/routes")
            photograph(page, "login")
            page.click("text=Sign in with Corp ID")
            page.wait_for_url(f"{console.address}/routes")
            assert page.text_content("body") == "u-17"
            assert [one["sameSite"] for one in context.cookies()] == ["Strict"]
            page.goto(f"{console.address}/login?to=/routes")  # nobody is asked again
            page.wait_for_url(f"{console.address}/routes")
            assert said == []

        await self.browse(visit)

    async def test_who_may_nothing_is_told_so(self) -> None:
        """On a page that says what to do."""
        self.provider.person["groups"] = []
        console = await self.console()

        def visit(context: BrowserContext) -> None:
            page = context.new_page()
            said = complaints(page)
            page.goto(f"{console.address}/login/oidc")
            assert "none of your groups" in (page.text_content("[role=alert]") or "")
            photograph(page, "refused")
            page.click("text=Back")
            page.wait_for_url("**/login")
            assert said == []

        await self.browse(visit)

    async def test_page_of_another_site_changes_nothing(self) -> None:
        """Neither by a form, nor by a script; its requests bring no cookie either."""
        console = await self.console()
        address = self.opened(console)
        form = (
            f"<form method=post action='{console.address}/routes'><button>Win</button></form>"
        ).encode()
        self.provider.answers["/win"] = says(200, form, Content_Type="text/html")

        def visit(context: BrowserContext) -> None:
            page = context.new_page()
            page.goto(address)
            page.wait_for_url(f"{console.address}/routes")
            page.goto(f"{self.provider.address}/win")
            with page.expect_navigation() as navigation:
                page.click("button")
            assert navigation.value.status == 401
            asked = f"fetch('{console.address}/routes', {{method: 'POST', mode: 'no-cors', credentials: 'include'}})"
            page.goto(f"{self.provider.address}/win")
            page.evaluate(asked)
            page.goto(f"{console.address}/login?to=/routes")
            page.wait_for_url(f"{console.address}/routes")

        await self.browse(visit)
        self.assertEqual(console.changed, 0)
