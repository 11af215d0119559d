"""The console's pages in a real browser, with a gateway that serves what they write."""

from __future__ import annotations

import re
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.browser.conftest import SignIn
from tests.browser.console import Place
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page


def go(page: Page, place: Place, path: str) -> None:
    page.goto(place.console.url + path)


def notice(page: Page, text: str | re.Pattern[str]) -> Any:
    """Wait for a line about what has just happened."""
    found = page.locator(".notice", has_text=text).last
    found.wait_for()
    return found


def test_link_signs_in_once(sign_in: SignIn, place: Place, browser: Any) -> None:
    """It opens the home page; used again it says why it does not."""
    link = place.console.login_link("otto", "viewer")
    page = sign_in("otto", "viewer")
    assert "otto" in page.locator("header.top").inner_text()
    context = browser.new_context()
    for expected in (f"{place.console.url}/", f"{place.console.url}/login"):
        fresh = browser.new_context()
        other = fresh.new_page()
        other.goto(link)
        other.wait_for_url(expected)
        if expected.endswith("login"):
            other.get_by_text("used before").wait_for()
        fresh.close()
    context.close()


def test_who_is_not_signed_in_comes_back(browser: Any, place: Place) -> None:
    """To the page that they wanted."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{place.console.url}/routes/all")
    page.wait_for_url(f"{place.console.url}/login?to=%2Froutes%2Fall")
    context.close()


def test_home_says_it_in_a_sentence(page: Page, place: Place) -> None:
    sentence = page.locator(".headline-text")
    revision = place.console.api("GET", "/summary")["position"]["revision"]
    sentence.get_by_text(f"All 2 workers serve revision {revision};").wait_for()
    assert "nothing rejected" in sentence.inner_text()
    page.locator("table").get_by_text("begin").wait_for()


def test_route_is_made_and_served(page: Page, place: Place) -> None:
    """While it is typed it is judged; it is served by all workers as soon as the page says so."""
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/routes")
    page.get_by_role("link", name="New route").first.click()
    page.get_by_label("Id").fill("shop")
    page.get_by_label("Path", exact=True).fill("shop")
    page.locator(".field.wrong", has_text="Path").get_by_text("must begin with").wait_for()
    page.get_by_label("Path", exact=True).fill("/shop/{**rest}")
    page.get_by_role("combobox", name="Service").fill("hello")
    page.get_by_text("nothing odd about it").wait_for()
    page.get_by_text("Anybody may ask it").wait_for()

    page.get_by_role("tab", name="SQL").click()
    sql = page.locator("pre.text").inner_text()
    assert "INSERT INTO fengling.route (id, path, service_id)" in sql
    assert "VALUES ('shop', '/shop/{**rest}', 'hello')" in sql
    page.get_by_role("tab", name="YAML").click()
    assert "- id: shop" in page.locator("pre.text").inner_text()
    page.get_by_role("tab", name="curl").click()
    assert "curl -X POST" in page.locator("pre.text").inner_text()

    page.get_by_label("Why").fill("a shop")
    page.get_by_role("button", name="Save").click()
    line = notice(page, re.compile(r"Revision \d+ · 2/2 workers · .*ms")).inner_text()
    for _ in range(8):
        assert place.gateway.get("/shop/1")[0] == 200
    print(f"\nsaved in the page: {' '.join(line.split())}")
    page.wait_for_url("**/routes/shop")
    page.get_by_text("made it").wait_for()


SAVE = """() => new Promise((resolve) => {
  const place = document.querySelector(".notices");
  const before = place.lastElementChild?.dataset.key;
  const began = performance.now();
  new MutationObserver((_, observer) => {
    if (!place.lastElementChild || place.lastElementChild.dataset.key === before) return;
    observer.disconnect();
    resolve([performance.now() - began, place.lastElementChild.textContent]);
  }).observe(place, { childList: true, subtree: true });
  [...document.querySelectorAll("button")].find((one) => one.textContent === "Save").click();
})"""
"""Clicks, and returns after how many milliseconds the page says what."""


def test_change_is_served_soon(page: Page, place: Place) -> None:
    """From the click until the page says that all workers serve it; the median is printed."""
    place.console.api("POST", "/routes", {"id": "timed", "path": "/timed", "service_id": "hello"})
    go(page, place, "/routes/timed")
    took = []
    for number in range(1, 12):
        page.get_by_label("Priority").fill(str(number))
        page.get_by_text("nothing odd about it").wait_for()
        elapsed, said = page.evaluate(SAVE)
        assert "2/2 workers" in said
        took.append(elapsed)
        page.get_by_text("Change something, and see here").wait_for()
    print(f"\nfrom the click to served by all workers: {median(took):.0f} ms at the median")


def test_shadowed_route_is_told_while_typing(page: Page, place: Place) -> None:
    """By which route, with a link to it."""
    place.console.api(
        "POST", "/routes", {"id": "top", "path": "/top", "priority": 9, "service_id": "hello"}
    )
    go(page, place, "/routes/new")
    page.get_by_label("Id").fill("below")
    page.get_by_label("Path", exact=True).fill("/top")
    page.get_by_role("combobox", name="Service").fill("hello")
    warning = page.locator(".lint li")
    warning.wait_for()
    assert "shadowed" in warning.inner_text()
    assert warning.get_by_role("link", name="top").get_attribute("href") == "/routes/top"


def test_problems_of_the_api_are_at_their_fields(page: Page, place: Place) -> None:
    """Also deep in a policy, and what refers to nothing."""
    go(page, place, "/routes/all")
    page.get_by_label("Policies").or_(page.get_by_label("One more policy")).last.select_option(
        "retry"
    )
    page.get_by_label("Attempts").fill("7")
    page.locator(".field.wrong", has_text="Attempts").wait_for()
    assert page.get_by_label("Attempts").get_attribute("aria-invalid") == "true"
    page.get_by_label("Attempts").fill("2")
    page.get_by_text("nothing odd about it").wait_for()
    page.get_by_role("combobox", name="Service").fill("nobody")
    page.locator(".failed, .field.wrong").get_by_text("nobody").first.wait_for()
    page.get_by_role("button", name="Discard").click()
    page.get_by_text("Nothing yet.").wait_for()


def test_conflict_shows_both_sides(page: Page, place: Place) -> None:
    """Somebody else saves the same route first: their fields are kept, and for others one chooses."""
    made = {"id": "fought", "path": "/fought", "service_id": "hello"}
    place.console.api("POST", "/routes", made)
    go(page, place, "/routes/fought")
    page.get_by_label("Priority").fill("5")
    page.get_by_text("nothing odd about it").wait_for()
    theirs = {"priority": 3, "methods": ["GET"]}
    place.console.api(
        "PATCH",
        "/routes/fought?comment=mine+is+better",
        theirs,
        **{"If-Match": "*", "Content-Type": "application/merge-patch+json"},
    )
    conflict = page.locator(".conflict")
    conflict.wait_for()
    text = conflict.inner_text()
    assert "test has changed it" in text
    assert "mine is better" in text
    assert "methods" in text
    conflict.get_by_label(re.compile("^mine")).check()
    conflict.get_by_role("button", name="Go on with these").click()
    page.get_by_text("nothing odd about it").wait_for()
    page.get_by_role("button", name="Save").click()
    notice(page, "2/2 workers")
    now = place.console.api("GET", "/routes/fought")
    assert (now["priority"], now["methods"]) == (5, ["GET"])


def test_conflict_is_met_on_saving(page: Page, place: Place) -> None:
    """Also if live news don't arrive: the API refuses what would overwrite somebody's change."""
    place.console.api("POST", "/routes", {"id": "late", "path": "/late", "service_id": "hello"})
    page.route("**/api/console/events", lambda route: route.abort())
    go(page, place, "/routes/late")
    page.get_by_label("Priority").fill("5")
    page.get_by_text("nothing odd about it").wait_for()
    patch = {"If-Match": "*", "Content-Type": "application/merge-patch+json"}
    place.console.api("PATCH", "/routes/late", {"methods": ["GET"]}, **patch)
    page.get_by_role("button", name="Save").click()
    page.locator(".conflict").get_by_role("button", name="Go on with both").click()
    page.get_by_text("nothing odd about it").wait_for()
    page.get_by_role("button", name="Save").click()
    notice(page, "2/2 workers")
    now = place.console.api("GET", "/routes/late")
    assert (now["priority"], now["methods"]) == (5, ["GET"])


def test_what_is_typed_while_it_is_saved_stays(page: Page, place: Place) -> None:
    """A worker may keep somebody waiting for seconds, and they go on typing."""
    place.console.api("POST", "/routes", {"id": "slow", "path": "/slow", "service_id": "hello"})
    go(page, place, "/routes/slow")
    saves: list[Any] = []

    def hold(route: Any) -> None:
        saves.append(route)

    page.route("**/routes/slow?wait=all*", hold, times=1)
    page.get_by_label("Priority").fill("4")
    page.get_by_text("nothing odd about it").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Saving…").wait_for()
    page.get_by_role("textbox", name="Path").first.fill("/slow/{id}")
    wait_until(lambda: page.wait_for_timeout(10) or saves)
    saves[0].continue_()
    notice(page, "2/2 workers")
    assert place.console.api("GET", "/routes/slow")["priority"] == 4
    page.get_by_text("nothing odd about it").wait_for()
    assert page.get_by_role("textbox", name="Path").first.input_value() == "/slow/{id}"
    page.get_by_role("button", name="Save").click()
    wait_until(lambda: place.console.api("GET", "/routes/slow")["path"] == "/slow/{id}")


def test_what_is_typed_while_a_save_fails_is_tried_out(page: Page, place: Place) -> None:
    """It is not what was refused."""
    place.console.api("POST", "/routes", {"id": "fails", "path": "/fails", "service_id": "hello"})
    go(page, place, "/routes/fails")
    saves: list[Any] = []

    def hold(route: Any) -> None:
        saves.append(route)

    page.route("**/routes/fails?wait=all*", hold, times=1)
    page.get_by_label("Priority").fill("4")
    page.get_by_text("nothing odd about it").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Saving…").wait_for()
    page.get_by_label("Priority").fill("5")
    wait_until(lambda: page.wait_for_timeout(10) or saves)
    saves[0].fulfill(status=503, json={"title": "Not now", "code": "source_unavailable"})
    page.get_by_text("nothing odd about it").wait_for()
    page.get_by_role("button", name="Save").click()
    wait_until(lambda: place.console.api("GET", "/routes/fails")["priority"] == 5)


def test_somebody_types_where_they_are_led(page: Page, place: Place) -> None:
    """What is typed on a page for something new is its id, and no row of shortcuts."""
    go(page, place, "/routes")
    page.locator("tbody tr").first.wait_for()
    page.keyboard.press("n")
    page.wait_for_url("**/routes/new")
    page.keyboard.type("grafana")
    assert page.get_by_label("Id", exact=True).input_value() == "grafana"
    assert page.url.endswith("/routes/new")


def test_undo_takes_back_what_was_saved(page: Page, place: Place) -> None:
    place.console.api("POST", "/routes", {"id": "undone", "path": "/undone", "service_id": "hello"})
    go(page, place, "/routes/undone")
    page.get_by_label("Priority").fill("4")
    page.get_by_role("button", name="Save").click()
    line = notice(page, "2/2 workers")
    line.get_by_role("button", name="Undo").click()
    wait_until(lambda: place.console.api("GET", "/routes/undone")["priority"] == 0)
    notice(page, "2/2 workers")
    page.locator(".past").get_by_text("undo").first.wait_for()
    assert page.get_by_label("Priority").input_value() == "0"


def test_route_is_deleted_after_a_question(page: Page, place: Place) -> None:
    place.console.api("POST", "/routes", {"id": "gone", "path": "/gone", "service_id": "hello"})
    go(page, place, "/routes/gone")
    page.get_by_role("button", name="Delete", exact=True).click()
    dialog = page.get_by_role("dialog")
    assert "Requests that it takes now" in dialog.inner_text()
    dialog.get_by_role("button", name="Delete it").click()
    page.wait_for_url("**/routes")
    assert place.console.ask("GET", "/api/console/routes/gone")[0] == 404
    go(page, place, "/routes/gone")  # who has done that?
    page.locator(".past").get_by_text("jane by fengling-console deleted it").wait_for()


def test_question_before_deleting_says_whose_it_is(page: Page, place: Place) -> None:
    """Who agrees takes it over."""
    route = {"id": "theirs", "path": "/theirs", "service_id": "hello", "managed_by": "git:shop"}
    place.console.api("POST", "/routes", route)
    go(page, place, "/routes/theirs")
    page.get_by_role("button", name="Delete", exact=True).click()
    dialog = page.get_by_role("dialog")
    assert "It is managed by git:shop" in dialog.inner_text()
    dialog.get_by_role("button", name="Delete it").click()
    page.wait_for_url("**/routes")
    assert place.console.ask("GET", "/api/console/routes/theirs")[0] == 404


def test_rollback_shows_its_plan_first(page: Page, place: Place) -> None:
    """And then everything is as it was at that revision."""
    before = place.console.api("GET", "/summary")["position"]["revision"]
    place.console.api("POST", "/routes", {"id": "extra", "path": "/extra", "service_id": "hello"})
    wait_until(lambda: place.console.api("GET", "/summary")["position"]["revision"] == before + 1)
    go(page, place, f"/history/{before}")
    page.get_by_role("button", name="Roll back to it").click()
    dialog = page.get_by_role("dialog")
    dialog.locator(".change", has_text="route extra").get_by_text("deleted").wait_for()
    dialog.get_by_label("Why").fill("too early")
    dialog.get_by_role("button", name=re.compile("^Do it: 1 change")).click()
    notice(page, f"Revision {before + 2} · 2/2 workers")
    page.wait_for_url(f"**/history/{before + 2}")
    page.get_by_text("too early").wait_for()
    assert place.console.ask("GET", "/api/console/routes/extra")[0] == 404


def test_revisions_are_compared(page: Page, place: Place) -> None:
    place.console.api("POST", "/routes", {"id": "apart", "path": "/apart", "service_id": "hello"})
    go(page, place, "/history")
    boxes = page.get_by_role("checkbox")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("button", name=re.compile(r"^Compare \d+ and \d+")).click()
    page.locator(".change", has_text="route apart").get_by_text("path: /apart").wait_for()


def test_history_is_searched(page: Page, place: Place) -> None:
    """By what is in the comment; the address keeps it, for whoever it is sent to."""
    go(page, place, "/history")
    page.get_by_label("In the comment").fill("begin")
    page.wait_for_url("**/history?text=begin")
    wait_until(lambda: page.locator("tbody tr").count() == 1)
    page.reload()
    assert page.get_by_label("In the comment").input_value() == "begin"


def test_markup_is_text(page: Page, place: Place) -> None:
    """Whatever somebody writes is shown as it is, and does nothing."""
    markup = "<img src=x onerror=alert(1)><b>bold</b>"
    answer = {"status": 200, "body": markup, "headers": {"Content-Type": "text/html"}}
    made = {"id": "markup", "path": "/markup", "respond": answer, "labels": {markup: markup}}
    place.console.api("POST", f"/routes?comment={quote(markup)}", made)
    go(page, place, "/history")
    page.get_by_text(markup).wait_for()
    go(page, place, "/routes/markup")
    page.get_by_role("button", name="Send a request").click()
    page.locator(".answered summary", has_text="Body").click()
    page.locator(".answered").get_by_text(markup).wait_for()
    assert page.locator("main img, main b:text('bold')").count() == 0


def test_explain_says_why(page: Page, place: Place) -> None:
    """Of a URL as it is pasted: the route, the instances, and why not another one."""
    go(page, place, "/explain")
    page.get_by_label("URL, or a path").fill("https://any.example/some/where?x=1")
    page.locator(".verdict", has_text="Route all takes it").wait_for()
    page.get_by_text("hello-1").wait_for()
    page.get_by_label("Why not this route?").fill("shopping")
    page.get_by_text("there is no such route").wait_for()


def test_request_is_tried(page: Page, place: Place) -> None:
    """Really, through the gateway: what it answers, and why it went there."""
    go(page, place, "/routes/all")
    page.locator("#try-path").fill("/tried")
    page.get_by_role("button", name="Send a request").click()
    page.locator(".answered").get_by_text("200 OK").wait_for()
    page.locator(".tryout .verdict", has_text="Route all takes it").wait_for()
    assert sum(one.requests["/tried"] for one in place.upstreams) == 1


def test_service_is_made_with_an_instance(page: Page, place: Place) -> None:
    go(page, place, "/services/new")
    page.get_by_label("Id").fill("fresh")
    page.get_by_label("Name", exact=True).fill("Quite new")
    page.get_by_role("button", name="Save").click()
    notice(page, "2/2 workers")
    page.wait_for_url("**/services/fresh")
    page.get_by_text("It has no instances.").wait_for()
    page.get_by_role("button", name="New instance").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address").fill("nonsense")
    dialog.locator(".field.wrong").wait_for()
    dialog.get_by_label("Address").fill(place.upstreams[0].address)
    dialog.get_by_label("Id").fill("fresh-1")
    dialog.get_by_role("button", name="Save").click()
    page.get_by_role("region", name="Instances").get_by_text("fresh-1").wait_for()


def test_dialog_asks_before_it_loses_something(page: Page, place: Place) -> None:
    """Escape closes it at once while nothing is typed."""
    go(page, place, "/services/hello")
    page.get_by_role("button", name="New instance").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address").wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    questions: list[str] = []

    def stay(question: Any) -> None:
        questions.append(question.message)
        question.dismiss()

    page.on("dialog", stay)
    page.get_by_role("button", name="New instance").click()
    dialog.get_by_label("Address").fill("http://10.0.0.5:8080")
    page.keyboard.press("Escape")
    wait_until(lambda: page.wait_for_timeout(10) or questions)
    assert "is not saved" in questions[0]
    assert dialog.get_by_label("Address").input_value() == "http://10.0.0.5:8080"
    dialog.get_by_role("button", name="Close").click()
    dialog.wait_for(state="detached")


def test_instance_is_drained(page: Page, place: Place) -> None:
    """After a question that says what happens; and its state is shown."""
    go(page, place, "/services/hello")
    row = page.locator("tr", has_text="hello-2")
    row.get_by_role("button", name="Drain").click()
    dialog = page.get_by_role("dialog")
    assert "nothing new is sent" in dialog.inner_text()
    dialog.get_by_role("button", name="Drain it").click()
    row.locator(".badge", has_text="drain").wait_for()
    row.get_by_role("button", name="Ready").click()
    page.get_by_role("dialog").get_by_role("button", name="Make it ready").click()
    row.locator(".badge", has_text="ready").wait_for()


def test_fleet_is_live(page: Page, place: Place) -> None:
    """A worker that is replaced, and a change that is served, are seen without a reload."""
    go(page, place, "/fleet")
    table = page.get_by_role("region", name="Workers of n1")
    table.get_by_role("row").nth(2).wait_for()
    before = set(place.gateway.worker_pids())
    revision = place.console.api("GET", "/summary")["position"]["revision"]
    place.console.api("POST", "/routes", {"id": "lively", "path": "/lively", "service_id": "hello"})
    page.get_by_text(f"serve revision {revision + 1}").wait_for()
    page.get_by_role("button", name="Restart workers").click()
    page.get_by_role("dialog").get_by_role("button", name="Restart them").click()

    def replaced() -> bool:
        now = set(place.gateway.worker_pids())
        return len(now) == 2 and not now & before

    wait_until(replaced, timeout=40)
    for pid in place.gateway.worker_pids():
        table.get_by_text(f"pid {pid}").wait_for()


def test_viewer_is_offered_nothing(sign_in: SignIn, place: Place) -> None:
    """That the API would refuse."""
    page = sign_in("vera", "viewer")
    go(page, place, "/routes/all")
    page.get_by_text("You may look, and change nothing.").wait_for()
    for name in ("Save", "Delete", "Switch off"):
        assert page.get_by_role("button", name=name, exact=True).count() == 0


def test_tenants_see_their_own(browser: Any, place: Place) -> None:
    """Their routes alone, and no page that would only say that there is nothing."""
    place.console.api("POST", "/tenants", {"id": "acme", "hosts": ["acme.example"]})
    own = {"id": "acme-1", "path": "/own", "service_id": "hello", "tenant_id": "acme"}
    place.console.api("POST", "/routes", own)
    context = browser.new_context()
    page = context.new_page()
    page.goto(place.console.login_link("tina", "editor", frozenset(("acme",))))
    page.wait_for_url(f"{place.console.url}/")
    page.get_by_text("1 in all").wait_for()
    assert page.locator("nav a").all_inner_texts() == ["Routes"]
    page.get_by_role("link", name="acme-1").click()
    page.get_by_label("Priority").fill("2")
    page.get_by_role("button", name="Save").click()
    notice(page, "2/2 workers")
    for name in ("Switch off", "Send a request"):
        assert page.get_by_role("button", name=name).count() == 0
    go(page, place, "/routes/new")
    assert page.get_by_label("Tenant").input_value() == "acme"
    context.close()


def test_session_that_ends_loses_nothing(page: Page, place: Place) -> None:
    """What somebody has typed stays, and can be saved when they are back."""
    place.console.api("POST", "/routes", {"id": "kept", "path": "/kept", "service_id": "hello"})
    go(page, place, "/routes/kept")
    page.get_by_label("Priority").fill("1")
    page.get_by_text("nothing odd about it").wait_for()
    [cookie] = page.context.cookies()
    page.context.clear_cookies()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Your session has ended").wait_for()
    assert page.get_by_label("Priority").input_value() == "1"
    page.context.add_cookies([cookie])
    page.get_by_role("button", name="Save").click()
    notice(page, "2/2 workers")


def test_page_that_is_left_open_keeps_no_session(page: Page, place: Place) -> None:
    """What it asks by itself says so; what somebody asks for does not."""
    page.clock.install()
    go(page, place, "/routes")
    page.locator("tbody tr").first.wait_for()
    page.clock.fast_forward("05:00")
    with page.expect_request("**/api/console/routes?*") as by_itself:
        made = {"id": "unseen", "path": "/unseen", "service_id": "hello"}
        place.console.api("POST", "/routes", made)
    assert by_itself.value.headers.get("x-unattended") == "1"
    with page.expect_request("**/api/console/routes?*q=x*") as asked_for:
        page.keyboard.press("/")
        page.keyboard.press("x")
    assert "x-unattended" not in asked_for.value.headers


def test_palette_goes_anywhere(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Go to").fill("hell")
    page.get_by_role("option", name=re.compile("^hello")).wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/services/hello")


def test_sign_out(page: Page, place: Place) -> None:
    page.locator("button.person").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    go(page, place, "/routes")
    page.wait_for_url("**/login?to=%2Froutes")
