"""The pages of a cluster's services, in a real browser; who watches the cluster is played by SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.cluster import Cluster, resource
from tests.browser.conftest import SignIn
from tests.browser.console import Place
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


@pytest.fixture
def cluster(place: Place) -> Iterator[Cluster]:
    """Somebody watches, and has seen nothing yet."""
    cluster = Cluster(place.console.database)
    cluster.forget_all()
    cluster.watched()
    yield cluster
    cluster.forget_all()
    cluster.unwatched()


def go(page: Page, place: Place, path: str) -> None:
    page.goto(place.console.url + path)


def row(page: Page, name: str) -> Locator:
    found = page.get_by_role("region", name="Services of the cluster").locator("tr", has_text=name)
    found.wait_for()
    return found


def notice(page: Page, text: str | re.Pattern[str]) -> Locator:
    found = page.locator(".notice", has_text=text).last
    found.wait_for()
    return found


def waiting(page: Page) -> str:
    """Return how many wait for a decision, as the navigation says it."""
    return page.locator("nav a[href='/kubernetes']").inner_text()


def test_new_service_is_seen_and_counted(page: Page, place: Place, cluster: Cluster) -> None:
    """On a page that is open already, with what it asks for."""
    go(page, place, "/kubernetes")
    page.get_by_text("No service of the cluster asks to be served.").wait_for()
    cluster.sees("shop", "orders")
    new = row(page, "shop/orders")
    for text in ("pending", "shop.example/orders/{**rest}", "2 ready"):
        new.get_by_text(text).wait_for()
    wait_until(lambda: page.wait_for_timeout(20) or re.search(r"1\s+to decide", waiting(page)))


EVENTS = """
window.EventSource = class extends EventTarget {
  constructor() {
    super();
    window.stream = this;
  }
  close() {}
};
"""
"""In place of the console's events: a page hears what a test says."""


def test_news_of_the_cluster_are_heard_on_any_page(
    page: Page, place: Place, cluster: Cluster
) -> None:
    """Without asking again and again: the clock stands still."""
    page.add_init_script(EVENTS)
    page.clock.install()
    go(page, place, "/")
    page.get_by_role("heading", name="What has changed").wait_for()
    page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=5))
    wait_until(lambda: page.wait_for_timeout(20) or "to decide" not in waiting(page))
    cluster.sees("shop", "orders")
    page.evaluate("stream.dispatchEvent(new MessageEvent('discovery', {data: '{}'}))")
    wait_until(lambda: page.wait_for_timeout(20) or re.search(r"1\s+to decide", waiting(page)))


def test_service_is_approved_with_a_path_of_ones_own(
    page: Page, place: Place, cluster: Cluster
) -> None:
    """The page waits for what comes of it, and leads there."""
    cluster.sees("shop", "orders")
    go(page, place, "/kubernetes")
    row(page, "shop/orders").get_by_role("button", name="Approve").click()
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_label("Path").get_attribute("placeholder") == "/orders/{**rest}"
    dialog.get_by_label("Hosts").fill("buy.example, *.buy.example")
    dialog.get_by_label("Path").fill("/buy/{**rest}")
    dialog.get_by_label("Why").fill("for everybody")
    dialog.get_by_role("button", name="Approve it").click()
    dialog.get_by_role("button", name="Approving…").wait_for()
    wait_until(lambda: cluster.decided("shop", "orders")["state"] == "approved")
    assert cluster.decided("shop", "orders") == {
        "state": "approved",
        "asked": {"hosts": ["*.buy.example", "buy.example"], "path": "/buy/{**rest}"},
        "comment": "for everybody",
        "decided_by": "jane",
    }
    revision = place.console.api("GET", "/summary")["position"]["revision"]
    cluster.tells("shop", "orders", service_id="hello", route_ids=["all"], revision=revision)
    notice(page, f"shop/orders is served · revision {revision}")
    dialog.wait_for(state="detached")
    row(page, "shop/orders").get_by_text("served").wait_for()

    row(page, "shop/orders").get_by_role("link", name="shop/orders").click()
    page.wait_for_url("**/kubernetes/shop/orders")
    page.get_by_text("Approved by jane").get_by_text("for everybody").wait_for()
    page.get_by_text("*.buy.example, buy.example").wait_for()
    page.locator("main").get_by_role("link", name="all", exact=True).wait_for()
    page.locator("main").get_by_role("link", name="hello", exact=True).click()
    page.wait_for_url("**/services/hello")


def test_service_is_approved_for_any_host(page: Page, place: Place, cluster: Cluster) -> None:
    """Whatever its annotations ask for; what was chosen is chosen still at another approval."""
    cluster.sees("shop", "orders")
    go(page, place, "/kubernetes/shop/orders")
    page.get_by_role("button", name="Approve").click()
    dialog = page.get_by_role("dialog")
    hosts = dialog.get_by_label("Hosts")
    assert hosts.get_attribute("placeholder") == "shop.example"
    hosts.fill("buy.example")
    dialog.get_by_label("Any host").check()
    assert (hosts.is_disabled(), hosts.input_value()) == (True, "")
    dialog.get_by_label("No tenant").check()
    dialog.get_by_role("button", name="Approve it").click()
    wait_until(lambda: cluster.decided("shop", "orders")["state"] == "approved")
    assert cluster.decided("shop", "orders")["asked"] == {"hosts": [], "tenant_id": None}
    cluster.tells("shop", "orders", service_id="hello", route_ids=["all"])
    dialog.wait_for(state="detached")
    page.get_by_text("none: for requests of every tenant").wait_for()
    page.get_by_role("button", name="Approve otherwise").click()
    assert dialog.get_by_label("Any host").is_checked()
    assert dialog.get_by_label("No tenant").is_checked()
    dialog.get_by_label("Any host").uncheck()
    assert not hosts.is_disabled()


def test_several_are_approved_at_once(page: Page, place: Place, cluster: Cluster) -> None:
    """Each as it was shown: what asks for something else by now is not, and the others are."""
    for name in ("basket", "orders", "stock"):
        cluster.sees("shop", name)
    go(page, place, "/kubernetes")
    for name in ("orders", "stock"):
        row(page, f"shop/{name}").get_by_label(f"Select shop/{name}").check()
    page.get_by_role("button", name="Approve 2 selected…").click()
    dialog = page.get_by_role("dialog", name="Approve 2 services?")
    for name in ("orders", "stock"):
        line = dialog.locator("li", has_text=f"shop/{name}")
        line.get_by_text(f"gateway.fengling/path: /{name}/{{**rest}}").wait_for()
    cluster.sees("shop", "stock", annotations={"path": "/{**rest}"})
    dialog.get_by_label("Why").fill("as agreed")
    dialog.get_by_role("button", name="Approve them").click()
    changed = dialog.locator("li", has_text="shop/stock")
    changed.get_by_text("asks for something else by now").wait_for()
    wait_until(lambda: cluster.decided("shop", "orders")["state"] == "approved")
    cluster.tells("shop", "orders", service_id="hello", route_ids=["all"], revision=1)
    dialog.get_by_text("shop/orders is served · revision 1").wait_for()
    dialog.get_by_role("button", name="Close").click()
    dialog.wait_for(state="detached")
    assert cluster.decided("shop", "orders")["comment"] == "as agreed"
    for name in ("basket", "stock"):
        assert cluster.decided("shop", name)["state"] == "pending"
    page.get_by_role("button", name="Approve 1 selected…").wait_for()
    assert row(page, "shop/orders").get_by_role("checkbox").count() == 0


def test_all_that_wait_are_rejected_at_once(page: Page, place: Place, cluster: Cluster) -> None:
    """And what has been decided before stays as it is."""
    for name in ("basket", "orders"):
        cluster.sees("shop", name)
    cluster.sees("shop", "stock", "approved")
    go(page, place, "/kubernetes")
    row(page, "shop/orders")
    page.get_by_label("Select all that are pending").check()
    page.get_by_role("button", name="Reject 2 selected…").click()
    dialog = page.get_by_role("dialog", name="Reject 2 services?")
    dialog.get_by_role("button", name="Reject them").click()
    for name in ("basket", "orders"):
        dialog.get_by_text(f"shop/{name} is rejected.").wait_for()
        assert cluster.decided("shop", name)["state"] == "rejected"
    dialog.get_by_role("button", name="Close").click()
    wait_until(lambda: page.get_by_role("checkbox").count() == 0)
    assert cluster.decided("shop", "stock")["state"] == "approved"


def test_what_is_refused_says_why(page: Page, place: Place, cluster: Cluster) -> None:
    cluster.sees("shop", "orders")
    go(page, place, "/kubernetes/shop/orders")
    page.get_by_role("button", name="Approve").click()
    page.get_by_role("dialog").get_by_role("button", name="Approve it").click()
    wait_until(lambda: cluster.decided("shop", "orders")["state"] == "approved")
    problem = "service shop.orders is there already, and not of Kubernetes"
    cluster.tells("shop", "orders", "refused", problems=[problem], service_id=None)
    notice(page, "shop/orders is approved, but refused").get_by_text(problem).wait_for()
    page.locator(".failed", has_text="It can't be served so").get_by_text(problem).wait_for()


def test_late_result_is_told_as_under_way(page: Page, place: Place, cluster: Cluster) -> None:
    """As where nobody watches the cluster: it is approved all the same."""
    cluster.sees("shop", "orders")
    go(page, place, "/kubernetes/shop/orders")

    def hasty(route: Any) -> None:  # as if the time were over at once
        route.continue_(url=route.request.url.replace("wait=result", "wait=none"))

    page.route("**/kubernetes/services/shop/orders/approve?*", hasty, times=1)
    page.get_by_role("button", name="Approve").click()
    page.get_by_role("dialog").get_by_role("button", name="Approve it").click()
    notice(page, "What comes of it is not known yet")
    page.locator("main .badge", has_text="under way").wait_for()
    cluster.tells("shop", "orders", revision=1)
    page.locator("main .badge", has_text="served").wait_for()


def test_what_is_wrong_in_an_approval_is_at_its_field(
    page: Page, place: Place, cluster: Cluster
) -> None:
    """And nothing is decided."""
    cluster.sees("shop", "orders")
    go(page, place, "/kubernetes/shop/orders")
    page.get_by_role("button", name="Approve").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Path").fill("no path")
    dialog.get_by_role("button", name="Approve it").click()
    dialog.locator(".field.wrong", has_text="Path").locator(".problem").wait_for()
    assert dialog.get_by_label("Path").get_attribute("aria-invalid") == "true"
    assert cluster.decided("shop", "orders")["state"] == "pending"


def test_what_is_asked_for_later_waits_for_another_approval(
    page: Page, place: Place, cluster: Cluster
) -> None:
    """The page says so, with what differs, and offers that."""
    cluster.sees("shop", "orders", "approved")
    cluster.sees("shop", "orders", annotations={"hosts": "shop.example", "path": "/{**rest}"})
    cluster.tells("shop", "orders", asks_for_more=True)
    go(page, place, "/kubernetes")
    row(page, "shop/orders").get_by_text("asks for something else").wait_for()
    page.get_by_role("button", name="Changed 1").click()
    page.wait_for_url("**/kubernetes?state=changed")
    wait_until(lambda: page.wait_for_timeout(20) or re.search(r"1\s+to decide", waiting(page)))
    row(page, "shop/orders").get_by_role("link", name="shop/orders").click()
    page.get_by_role("heading", name="It asks for something else by now").wait_for()
    page.locator(".diff .gone", has_text="gateway.fengling/path: /orders/{**rest}").wait_for()
    page.locator(".diff .come", has_text="gateway.fengling/path: /{**rest}").wait_for()
    page.get_by_role("button", name="Approve that, too").click()
    dialog = page.get_by_role("dialog")
    dialog.locator(".diff .come", has_text="gateway.fengling/path: /{**rest}").wait_for()
    dialog.get_by_role("button", name="Approve it").click()
    dialog.get_by_role("button", name="Approving…").wait_for()
    wait_until(lambda: cluster.decided("shop", "orders")["decided_by"] == "jane")
    cluster.tells("shop", "orders")
    notice(page, "shop/orders is served")


def test_typed_approval_is_not_lost_to_a_key(page: Page, place: Place, cluster: Cluster) -> None:
    cluster.sees("shop", "orders")
    go(page, place, "/kubernetes/shop/orders")
    page.get_by_role("button", name="Approve").click()
    page.get_by_role("dialog").get_by_label("Hosts").fill("a.example")
    page.once("dialog", lambda question: question.dismiss())
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").get_by_label("Hosts").input_value() == "a.example"
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").wait_for(state="detached")


def test_rejected_service_stays_out_until_that_is_forgotten(
    page: Page, place: Place, cluster: Cluster
) -> None:
    cluster.sees("shop", "orders")
    go(page, place, "/kubernetes/shop/orders")
    page.get_by_role("button", name="Reject").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("not ours")
    dialog.get_by_role("button", name="Reject it").click()
    wait_until(lambda: cluster.decided("shop", "orders")["state"] == "rejected")
    cluster.tells("shop", "orders", "removed", service_id=None)
    notice(page, "shop/orders is rejected")
    page.get_by_text("Rejected by jane").get_by_text("not ours").wait_for()
    page.get_by_role("button", name="Forget").click()
    page.get_by_role("dialog").get_by_role("button", name="Forget it").click()
    page.get_by_text("jane took back what was decided").wait_for()
    assert cluster.decided("shop", "orders")["state"] == "pending"


def test_service_that_is_gone_is_forgotten_for_good(
    page: Page, place: Place, cluster: Cluster
) -> None:
    cluster.sees("shop", "orders", "approved")
    cluster.goes("shop", "orders")
    go(page, place, "/kubernetes/shop/orders")
    page.get_by_text("It went from the cluster").wait_for()
    page.get_by_role("button", name="Forget").click()
    page.get_by_role("dialog").get_by_role("button", name="Forget it").click()
    page.wait_for_url("**/kubernetes")
    page.get_by_text("No service of the cluster asks to be served.").wait_for()
    go(page, place, "/kubernetes/shop/orders")
    page.get_by_text("Nothing is known of it.").wait_for()


def test_console_that_never_watched_says_how(page: Page, place: Place, cluster: Cluster) -> None:
    cluster.unwatched()
    go(page, place, "/kubernetes")
    page.get_by_text("No console watches a cluster.").wait_for()
    page.get_by_role("group", name="settings").get_by_text("enabled = true").wait_for()
    assert page.get_by_role("search").count() == 0


def test_services_are_found_by_state_and_words(page: Page, place: Place, cluster: Cluster) -> None:
    """The address keeps it, for whoever it is sent to."""
    cluster.sees("shop", "orders")
    cluster.sees("shop", "basket", "rejected")
    cluster.sees("billing", "invoices", "approved")
    go(page, place, "/kubernetes")
    rows = page.get_by_role("region", name="Services of the cluster").locator("tbody tr")
    wait_until(lambda: rows.count() == 3)
    page.get_by_role("button", name="Rejected 1").click()
    page.wait_for_url("**/kubernetes?state=rejected")
    wait_until(lambda: rows.count() == 1)
    page.reload()
    row(page, "shop/basket")
    page.get_by_role("button", name="Rejected 1").click()
    page.get_by_label("Search services of the cluster").fill("invoi")
    page.wait_for_url("**/kubernetes?q=invoi")
    wait_until(lambda: rows.count() == 1)
    row(page, "billing/invoices")
    page.get_by_label("Search services of the cluster").fill("nothing")
    page.get_by_text("No service fits.").wait_for()


def test_first_thing_that_is_wrong_is_said(page: Page, place: Place, cluster: Cluster) -> None:
    """And which of the resources it is about, as soon as that changes."""
    go(page, place, "/kubernetes")
    headline = page.get_by_role("region", name="Who watches")
    headline.get_by_text("c1 watches all namespaces: 2 services, 2 endpointslices.").wait_for()
    problem = "403: services is forbidden: the console's ServiceAccount needs list of services"
    forbidden = resource("services", state="forbidden", objects=0, problem=problem)
    cluster.watched(forbidden, resource("endpointslices"))
    headline.get_by_text(f"services are forbidden: {problem}").wait_for()
    table = page.get_by_role("region", name="What is watched")
    table.locator("tr", has_text="services").get_by_text("forbidden", exact=True).wait_for()
    cluster.watched(silent_s=75)
    headline.get_by_text("c1 watched the cluster, and is silent for 1 min").wait_for()


def test_viewer_may_look(sign_in: SignIn, place: Place, cluster: Cluster) -> None:
    """And is offered nothing that the API would refuse."""
    cluster.sees("shop", "orders")
    page = sign_in("vera", "viewer")
    for path in ("/kubernetes", "/kubernetes/shop/orders"):
        go(page, place, path)
        page.locator("main .badge", has_text="pending").wait_for()
        offered = page.get_by_role("button", name=re.compile(r"^(Approve|Reject|Forget)( \D|$)"))
        assert offered.count() == 0
        assert page.get_by_role("checkbox").count() == 0


def test_keys_lead_to_a_service(page: Page, place: Place, cluster: Cluster) -> None:
    cluster.sees("shop", "orders")
    page.keyboard.press("g")
    page.keyboard.press("k")
    page.wait_for_url("**/kubernetes")
    row(page, "shop/orders")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/kubernetes/shop/orders")


def test_what_the_cluster_says_is_text(page: Page, place: Place, cluster: Cluster) -> None:
    """Whoever may label a Service in the cluster writes no markup here."""
    markup = "<img src=x onerror=alert(1)>"
    cluster.sees("shop", "orders", annotations={markup: markup}, problems=[markup])
    go(page, place, "/kubernetes/shop/orders")
    page.locator(".failed").get_by_text(markup).wait_for()
    assert page.locator("main img").count() == 0


def test_entities_say_which_object_they_follow(page: Page, place: Place, cluster: Cluster) -> None:
    """And which fields are the cluster's; all of them can be changed without a question."""
    cluster.sees("shop", "orders", "approved")
    own = {"managed_by": "kubernetes"}
    rows = {
        "services": [{"id": "shop.orders", **own}],
        "instances": [
            {
                "id": "shop.orders_orders-7d-x",
                "service_id": "shop.orders",
                "address": place.upstreams[0].address,
                **own,
            }
        ],
        "routes": [
            {"id": "shop.orders", "path": "/orders", "service_id": "shop.orders", **own},
            {"id": "shop.web.00.01", "path": "/web", "service_id": "shop.orders", **own},
        ],
    }
    place.console.api("POST", "/apply?wait=all", rows)
    go(page, place, "/routes/shop.orders")
    follows = page.get_by_role("region", name="Follows Kubernetes")
    follows.get_by_text("The cluster says hosts, path, service_id.").wait_for()
    page.get_by_label("Priority").fill("3")
    page.get_by_role("button", name="Save").click()
    notice(page, "2/2 workers")
    assert place.console.api("GET", "/routes/shop.orders")["managed_by"] == "kubernetes"
    follows.get_by_role("link", name="shop/orders").click()
    page.wait_for_url("**/kubernetes/shop/orders")

    go(page, place, "/routes/shop.web.00.01")
    follows.get_by_text("HTTPRoute shop/web, rule 1, match 2").wait_for()
    go(page, place, "/routes")
    page.locator("tr", has_text="shop.web.00.01").locator(
        ".badge", has_text="kubernetes"
    ).wait_for()

    go(page, place, "/services/shop.orders")
    instance = page.locator("tr", has_text="shop.orders_orders-7d-x")
    instance.get_by_role("button", name="Drain").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain it").click()
    instance.locator(".badge", has_text="drain").wait_for()


def test_many_routes_go_only_after_a_question(page: Page, place: Place, cluster: Cluster) -> None:
    """They are named, and so is what becomes of them; the other way out is to leave them."""
    removal = {"id": "3f9a", "routes": 12, "of": 20, "names": [f"shop.r{n}" for n in range(12)]}
    cluster.watched(writing={"removal": removal})
    go(page, place, "/kubernetes")
    page.get_by_text("12 of 20 routes are no longer in the cluster.").wait_for()
    page.get_by_role("button", name="Remove them…").click()
    page.get_by_text("shop.r0, shop.r1").wait_for()
    page.get_by_text("and 2 more").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Remove them").click()
    wait_until(lambda: page.wait_for_timeout(20) or cluster.confirmed() == "3f9a")
    cluster.watched(writing={"removal": None, "gone": ["3f9a"]})
    notice(page, "12 routes are removed.")
    page.get_by_text("The cluster has 12 of 20").wait_for(state="detached")


def test_history_is_shown_without_the_clusters(page: Page, place: Place, cluster: Cluster) -> None:
    """What people did is not to be looked for among pods that come and go."""
    comment = "shop/orders: 2 instances new"
    cluster.writes(comment)
    go(page, place, "/history")
    page.get_by_text(comment).wait_for()
    chip = page.get_by_role("button", name="Without Kubernetes")
    chip.click()
    page.get_by_text(comment).wait_for(state="detached")
    page.get_by_text("begin", exact=True).wait_for()
    page.wait_for_url("**/history?without=kubernetes")
    page.reload()
    page.get_by_text("begin", exact=True).wait_for()
    assert (chip.get_attribute("aria-pressed"), page.get_by_text(comment).count()) == ("true", 0)
    chip.click()
    page.get_by_text(comment).wait_for()
