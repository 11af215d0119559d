"""Ten thousand routes: the page is there at once, finds one at once, and turns pages."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import psycopg2
import pytest

from tests.browser.console import Place
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROUTES: Final = 10_000


@pytest.fixture(scope="module", autouse=True)
def _many(place: Place) -> None:
    connection = psycopg2.connect(place.console.database)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO fengling.route (id, path, service_id) SELECT 'shop-' || lpad(n::text, 5, '0'),"
            " '/shops/' || n || '/{**rest}', 'hello' FROM generate_series(1, %s) AS n",
            (ROUTES,),
        )
    connection.close()

    def served() -> bool:
        summary = place.console.api("GET", "/summary")
        return bool(summary["counts"]["route"] > ROUTES and summary["convergence"]["served"] == 2)

    wait_until(served, timeout=60)


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def test_list_is_there_at_once(page: Page, place: Place) -> None:
    """Opened anew, and from another page; the times are printed."""
    rows = page.locator("tbody tr")

    def anew() -> None:
        page.goto(f"{place.console.url}/routes")
        rows.nth(99).wait_for()
        page.get_by_text("10,001 in all").wait_for()

    def from_home() -> None:
        page.get_by_role("link", name="Routes").first.click()
        rows.nth(99).wait_for()

    loaded = min(timed(anew) for _ in range(3))
    page.get_by_role("link", name="Home", exact=True).click()
    page.get_by_text("What has changed").wait_for()
    print(f"\n10,000 routes: loaded in {loaded:.0f} ms, from home in {timed(from_home):.0f} ms")


def test_one_is_found_while_typing(page: Page, place: Place) -> None:
    page.goto(f"{place.console.url}/routes")
    page.locator("tbody tr").nth(99).wait_for()
    page.keyboard.press("/")
    page.keyboard.type("shops/7777/")

    def found() -> None:
        page.get_by_text("1 found").wait_for()

    print(f"\nfound one of 10,000 in {timed(found):.0f} ms after the last key")
    page.get_by_role("link", name="shop-07777").click()
    page.wait_for_url("**/routes/shop-07777")
    page.go_back()
    assert page.get_by_label("Search routes").input_value() == "shops/7777/"


def test_pages_are_turned(page: Page, place: Place) -> None:
    page.goto(f"{place.console.url}/routes")
    page.locator("tbody tr").nth(99).wait_for()
    first = page.locator("tbody tr").first.inner_text()
    page.get_by_role("button", name="Next").click()
    page.get_by_text("Page 2 of 101").wait_for()
    wait_until(lambda: page.locator("tbody tr").first.inner_text() != first)
    page.locator("tbody tr").nth(7).get_by_role("link").first.click()
    page.get_by_label("Priority").wait_for()
    page.go_back()
    page.get_by_text("Page 2 of 101").wait_for()
    page.get_by_role("button", name="Before").click()
    wait_until(lambda: page.locator("tbody tr").first.inner_text() == first)


def test_rows_are_walked_by_keys(page: Page, place: Place) -> None:
    page.goto(f"{place.console.url}/routes")
    page.locator("tbody tr").nth(99).wait_for()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/routes/shop-00001")
