"""A browser, a console with a gateway for each module, and pages of somebody signed in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from fengling_gateway.console.pages import FILES, Pages
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.browser.console import Place, running_place

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no browser (apt install chromium)"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright (pip install -e '.[browser]')"
    )
    with playwright.sync_playwright() as driver:
        # (Without its sandbox, for tests may be run as root.)
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def place(
    postgres: PostgresServer,
    valkey: ValkeyServer,
    _migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
    browser: Browser,
) -> Iterator[Place]:
    """A console, a gateway with two workers, and a service with two instances and a route."""
    dsn = postgres.create_database(template=_migrated_template)
    with running_place(tmp_path_factory.mktemp("place"), dsn, valkey.url) as place:
        one, two = (each.address for each in place.upstreams)
        place.console.api(
            "POST",
            "/apply?wait=all&comment=begin",
            {
                "services": [{"id": "hello", "name": "Says hello"}],
                "instances": [
                    {"id": "hello-1", "service_id": "hello", "address": one},
                    {"id": "hello-2", "service_id": "hello", "address": two},
                ],
                "routes": [{"id": "all", "path": "/{**rest}", "service_id": "hello"}],
            },
        )
        yield place
    postgres.psql(f'DROP DATABASE IF EXISTS "{dsn.rpartition("/")[2]}" WITH (FORCE)')


Call = Callable[..., Any]


@pytest.fixture(scope="module")
def call(browser: Browser, place: Place) -> Iterator[Call]:
    """Call what a module of the pages exports."""
    root = f"{FILES}/{Pages().version}/js"
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{place.console.url}/login")  # which lets modules of ours be loaded

    def call(module: str, name: str, *arguments: Any) -> Any:
        script = "async ([path, name, given]) => (await import(path))[name](...given)"
        return page.evaluate(script, [f"{root}/{module}", name, arguments])

    yield call
    context.close()


SignIn = Callable[..., Any]


@pytest.fixture
def sign_in(browser: Browser, place: Place) -> Iterator[SignIn]:
    """Open pages in browsers of their own; no error may go unnoticed there."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []
    said_before = len(place.console.log)

    def open_page(subject: str = "jane", role: str = "admin", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(f"{error}"))
        page.on("console", lambda said: _note(errors, said))
        page.goto(place.console.login_link(subject, role))
        page.wait_for_url(f"{place.console.url}/")
        page.get_by_role("heading", name="What has changed").wait_for()
        return page

    yield open_page
    for one in contexts:
        one.close()
    assert errors == []
    assert "Traceback" not in place.console.log[said_before:]


def _note(errors: list[str], said: Any) -> None:
    """Note what the browser complains of, but for answers that are errors: those are shown."""
    if said.type == "error" and not said.text.startswith("Failed to load resource"):
        errors.append(said.text)


@pytest.fixture
def page(sign_in: SignIn) -> Any:
    """A page of an administrator, at home."""
    return sign_in()
