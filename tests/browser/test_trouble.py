"""What the pages say when something is wrong, and what leads out of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.console import Place
from tests.integration.conftest import Sql
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def sql(place: Place) -> Iterator[Sql]:
    """What somebody does in psql, beside the console."""
    connection = Sql(place.console.database)
    yield connection
    connection.close()


def home(page: Page, place: Place) -> None:
    page.goto(f"{place.console.url}/")


def sentence(page: Page, text: str | re.Pattern[str]) -> None:
    page.locator(".headline-text", has_text=text).wait_for()


def test_rejected_route_says_why(page: Page, place: Place, sql: Sql) -> None:
    """Written by SQL, which refuses less: home names it, and its page says what is wrong where."""
    sql.run(
        "INSERT INTO fengling.route (id, path, service_id, policies) VALUES"
        """ ('wrong', '/wrong', 'hello', '{"retry": {"attempts": 9}}')"""
    )
    sentence(page, "1 entity is rejected: route wrong")
    page.get_by_role("link", name="See why").click()
    page.wait_for_url("**/routes/wrong")
    page.get_by_text("Nothing of it is.").wait_for()
    page.get_by_text("policies.retry.attempts").first.wait_for()
    page.get_by_label("Attempts").fill("2")
    page.get_by_text("nothing odd about it").wait_for()
    page.get_by_role("button", name="Save").click()
    page.locator(".notice", has_text="2/2 workers").wait_for()
    home(page, place)
    sentence(page, "nothing rejected")


def test_held_revision_is_looked_at_and_confirmed(page: Page, place: Place, sql: Sql) -> None:
    """One that removes almost everything: nothing changes until somebody says so."""
    sql.run(
        "INSERT INTO fengling.route (id, path, service_id)"
        " SELECT 'held-' || n, '/held/' || n, 'hello' FROM generate_series(1, 9) AS n"
    )
    sql.run("DELETE FROM fengling.route WHERE id LIKE 'held-%'")
    revision = sql.revision
    sentence(page, f"Held: revision {revision} removes 9 of")
    page.get_by_role("link", name="Look at it").click()
    page.wait_for_url(f"**/history/{revision}")
    page.locator(".change", has_text="route held-1").get_by_text("deleted").wait_for()
    assert place.gateway.get("/held/1")[0] == 200
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("dialog").get_by_role("button", name="Serve it").click()
    page.locator(".notice", has_text="is confirmed").wait_for()
    home(page, place)
    sentence(page, f"All 2 workers serve revision {revision}")


def test_route_is_switched_off_and_on(page: Page, place: Place) -> None:
    """Beside the configuration; home says so until it is on again."""
    place.console.api(
        "POST", "/routes?wait=all", {"id": "kill", "path": "/kill", "service_id": "hello"}
    )
    page.goto(f"{place.console.url}/routes/kill")
    page.get_by_role("button", name="Switch off").click()
    dialog = page.get_by_role("dialog")
    assert "503" in dialog.inner_text()
    dialog.get_by_role("button", name="Switch it off").click()
    page.locator(".notice", has_text="route kill is switched off.").wait_for()
    wait_until(lambda: place.gateway.get("/kill")[0] == 503)
    page.locator(".badge", has_text="switched off").wait_for()
    page.goto(f"{place.console.url}/fleet")
    page.get_by_role("region", name="Switched off").get_by_text("jane").wait_for()
    home(page, place)
    sentence(page, "Switched off: route/kill")
    page.get_by_role("link", name="Look at it").click()
    page.get_by_role("button", name="Switch on again").click()
    page.get_by_role("dialog").get_by_role("button", name="Switch on").click()
    wait_until(lambda: place.gateway.get("/kill")[0] == 200)
    home(page, place)
    sentence(page, "All 2 workers serve")


def test_route_is_switched_off_while_it_cannot_be_read(page: Page, place: Place) -> None:
    """Switches need no database: neither does the page that has them."""
    place.console.api(
        "POST", "/routes?wait=all", {"id": "urgent", "path": "/urgent", "service_id": "hello"}
    )
    away = {"status": 503, "code": "source_unavailable", "detail": "the database can't be reached"}
    page.route(
        "**/api/console/routes/urgent",
        lambda route: route.fulfill(
            status=503, content_type="application/problem+json", body=json.dumps(away)
        ),
    )
    page.goto(f"{place.console.url}/routes/urgent")
    page.get_by_text("the database can't be reached").wait_for()
    page.get_by_role("button", name="Switch off").click()
    page.get_by_role("dialog").get_by_role("button", name="Switch it off").click()
    wait_until(lambda: place.gateway.get("/urgent")[0] == 503)
    page.get_by_role("button", name="Switch on again").click()
    page.get_by_role("dialog").get_by_role("button", name="Switch on").click()
    wait_until(lambda: place.gateway.get("/urgent")[0] == 200)


def test_traffic_that_nobody_tells_is_no_number(page: Page, place: Place) -> None:
    """What there was before Redis went away is not what there is now."""
    chart = page.locator(".chart", has_text="Requests a second").locator(".chart-value")
    wait_until(lambda: page.wait_for_timeout(50) or chart.inner_text() != "–")
    summary = {**place.console.api("GET", "/summary"), "fleet_problem": "Redis is not connected"}
    page.route("**/api/console/events", lambda route: route.abort())
    page.route("**/api/console/summary", lambda route: route.fulfill(json=summary))
    page.reload()
    page.get_by_role("heading", name="What has changed").wait_for()
    chart.get_by_text("–").wait_for()


def test_service_without_instances_is_named(page: Page, place: Place) -> None:
    """Somebody has drained the last one: its requests get 503, and home says why."""
    address = place.upstreams[0].address
    rows = {
        "services": [{"id": "lonely"}],
        "instances": [{"id": "lonely-1", "service_id": "lonely", "address": address}],
        "routes": [{"id": "lonely", "path": "/lonely", "service_id": "lonely"}],
    }
    place.console.api("POST", "/apply?wait=all", rows)
    page.goto(f"{place.console.url}/services/lonely")
    row = page.locator("tr", has_text="lonely-1")
    row.get_by_role("button", name="Drain").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain it").click()
    wait_until(lambda: place.gateway.get("/lonely")[0] == 503)
    home(page, place)
    sentence(page, "1 service gets requests and has no instance for them: lonely")
    page.get_by_role("link", name="Look at it").click()
    row.get_by_role("button", name="Ready").click()
    page.get_by_role("dialog").get_by_role("button", name="Make it ready").click()
    wait_until(lambda: place.gateway.get("/lonely")[0] == 200)
    home(page, place)
    sentence(page, "All 2 workers serve")


def test_unhealthy_instance_is_named(page: Page, place: Place, sql: Sql) -> None:
    """With the reason, and since when; it may be probed at once."""
    sql.run(
        """UPDATE fengling.service SET health_check = '{"interval": "200ms"}' WHERE id = 'hello'"""
    )
    sql.run(
        "INSERT INTO fengling.instance (id, service_id, address)"
        " VALUES ('dead', 'hello', 'http://127.0.0.1:9')"
    )
    sentence(page, "is unhealthy: dead")
    page.get_by_role("link", name="See services").click()
    page.get_by_text("dead").wait_for()
    page.get_by_role("link", name="hello", exact=True).first.click()
    row = page.locator("tr", has_text="dead")
    row.get_by_text("refused").wait_for()
    row.get_by_role("button", name="Probe").click()
    page.locator(".notice", has_text="dead fails").wait_for()
    sql.run("DELETE FROM fengling.instance WHERE id = 'dead'")
    row.wait_for(state="detached")


def test_console_that_is_away_is_said_and_found_again(page: Page, place: Place) -> None:
    place.console.stop()
    page.locator("header.top").get_by_text("not connected").wait_for()
    place.console.start()
    place.console.wait_ready()
    page.locator("header.top").get_by_text("2/2").wait_for(timeout=40_000)
