"""Every page in both themes, and on a phone: what axe finds, and what sticks out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.browser.cluster import Cluster, resource
from tests.browser.conftest import SignIn
from tests.browser.console import Place

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATHS: Final = (
    *("/", "/routes", "/routes/all", "/routes/new", "/services", "/services/hello"),
    *("/services/new", "/history", "/history/1", "/history/diff?from=0&to=2", "/explain"),
    *("/explain?url=%2Fa", "/fleet", "/settings"),
    *("/kubernetes", "/kubernetes?state=rejected", "/kubernetes/shop/orders"),
    *(
        "/kubernetes/shop/basket",
        "/kubernetes/shop/stock",
        "/kubernetes/shop/nothing",
        "/routes/shop.basket",
    ),
)
RULES: Final = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


@pytest.fixture(scope="module", autouse=True)
def _something_to_show(place: Place) -> None:
    """What has all kinds of state: a policy, a change, an instance that is unhealthy."""
    check = {"path": "/", "interval": "1s", "fall": 1}
    place.console.api(
        "PATCH",
        "/services/hello",
        {"health_check": check},
        **{"If-Match": "*", "Content-Type": "application/merge-patch+json"},
    )
    dead = {"id": "hello-3", "service_id": "hello", "address": "http://127.0.0.1:9"}
    place.console.api("POST", "/instances", dead)
    cluster = Cluster(place.console.database)
    cluster.watched(
        resource("services"),
        resource("endpointslices", state="waiting", problem="connection refused"),
        resource("httproutes", state="forbidden", problem="403: httproutes is forbidden"),
    )
    cluster.sees("shop", "orders", route=None, problems=["annotation path: must begin with /"])
    cluster.sees("shop", "basket", "approved")
    cluster.tells("shop", "basket", "refused", problems=["it is there already"])
    cluster.sees("shop", "stock", "approved")
    cluster.sees("shop", "stock", annotations={"path": "/{**rest}"})
    cluster.tells("shop", "stock", asks_for_more=True)
    follows = {"managed_by": "kubernetes", "path": "/basket", "service_id": "hello"}
    place.console.api("POST", "/routes", {"id": "shop.basket", **follows})
    policies = {"retry": {"attempts": 1}, "auth": {"mode": "optional"}}
    place.console.api(
        "PATCH",
        "/routes/all?comment=more",
        {"policies": policies},
        **{"If-Match": "*", "Content-Type": "application/merge-patch+json"},
    )


@pytest.fixture(scope="module", params=["light", "dark"])
def shown(request: pytest.FixtureRequest, browser: Any, place: Place) -> Iterator[Page]:
    """A page of somebody who has signed in, whose system has a theme."""
    context = browser.new_context(
        color_scheme=request.param, viewport={"width": 1280, "height": 900}
    )
    page = context.new_page()
    page.goto(place.console.login_link())
    page.wait_for_url(f"{place.console.url}/")
    yield page
    context.close()


def open_page(page: Page, place: Place, path: str) -> None:
    page.goto(place.console.url + path)
    page.locator("main h1").wait_for()
    page.locator("main .waiting").first.wait_for(state="detached")


def findings(page: Page) -> list[str]:
    """Return what axe says of a page, in words."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright",
        reason="no axe (pip install -e '.[browser]')",
    ).Axe()
    found = axe.run(page, options=RULES).response["violations"]
    return [
        f"{one['impact']}: {one['id']}: {node['target']}: {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("path", PATHS)
def test_everybody_can_use_it(shown: Page, place: Place, path: str) -> None:
    """By WCAG 2.1 AA, as far as a program can tell."""
    open_page(shown, place, path)
    assert findings(shown) == []


def test_dialogs_can_be_used(shown: Page, place: Place) -> None:
    open_page(shown, place, "/services/hello")
    shown.get_by_role("button", name="New instance").first.click()
    shown.get_by_role("dialog").wait_for()
    assert findings(shown) == []
    open_page(shown, place, "/settings")
    shown.get_by_role("button", name="Set defaults").click()
    assert findings(shown) == []
    open_page(shown, place, "/routes/all")
    shown.get_by_role("button", name="Delete", exact=True).click()
    assert findings(shown) == []
    shown.keyboard.press("Escape")
    shown.keyboard.press("Control+k")
    shown.get_by_role("combobox", name="Go to").fill("all")
    assert findings(shown) == []
    shown.keyboard.press("Escape")
    open_page(shown, place, "/kubernetes")
    shown.get_by_label("Select shop/orders").check()
    shown.get_by_role("button", name="Approve 1 selected…").click()
    assert findings(shown) == []
    shown.keyboard.press("Escape")
    open_page(shown, place, "/kubernetes/shop/stock")
    shown.get_by_role("button", name="Approve that, too").click()
    shown.get_by_role("dialog").wait_for()
    assert findings(shown) == []
    shown.keyboard.press("Escape")
    open_page(shown, place, "/routes/all")
    for tab in ("SQL", "YAML", "curl"):
        shown.get_by_role("tab", name=tab).click()
        assert findings(shown) == []


@pytest.mark.parametrize("path", PATHS)
def test_nothing_sticks_out_on_a_phone(sign_in: SignIn, place: Place, path: str) -> None:
    """Tables scroll by themselves; the page does not, sideways."""
    page = sign_in(viewport={"width": 390, "height": 844})
    open_page(page, place, path)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
