"""A page in a real browser, over plain connections and over TLS."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from tests.conformance.web_site import LETTERS, PIECES, ZIPPED, Site, running_site
from tests.dataplane.processes import forwarding, running_gateway
from tests.dataplane.snapshots import instance, route, service
from tests.integration.gateway import GatewayProcess
from tests.integration.world import wait_for_line
from tests.support.certificates import Authority, Issued
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
MEBIBYTE: Final = 1 << 20
CERTIFICATE: Final = Authority().issue("127.0.0.1")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser (apt install chromium)"),
]


def key_digest(issued: Issued) -> str:
    """What a browser is told to trust this certificate by."""
    key = load_pem_x509_certificate(issued.chain).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright (pip install -e '.[browser]')"
    )
    arguments = [
        "--no-sandbox",  # tests may be run as root
        f"--ignore-certificate-errors-spki-list={key_digest(CERTIFICATE)}",
    ]
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield running
        running.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running_site() as site:
        yield site


@pytest.fixture(scope="module", params=["http", "https"])
def origin(
    request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Where the gateway serves the site."""
    web, chat = site.addresses
    entities = forwarding(
        web,
        service("chat"),
        instance("chat-1", service_id="chat", address=chat),
        route("chat", "/chat", service_id="chat"),
    )
    settings = {}
    if request.param == "https":
        files = CERTIFICATE.write(tmp_path_factory.mktemp("tls"), "a")
        settings["tls"] = {"certificates": [files]}
    with running_gateway(*entities, **settings) as gateway:
        yield f"{request.param}://127.0.0.1:{gateway.port}"


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """A browser without cookies or cache, and a site that remembers nothing."""
    site.begin()
    context = browser.new_context(locale="de-CH")
    context.set_default_timeout(30_000)
    yield context
    context.close()


@contextmanager
def opened(visit: BrowserContext, origin: str) -> Iterator[Page]:
    """The page; no error may go unnoticed there."""
    page = visit.new_page()
    errors: list[Any] = []
    page.on("pageerror", lambda error: errors.append(error))  # noqa: PLW0108 - playwright's wish
    page.goto(origin)
    yield page
    assert errors == []


@pytest.fixture
def page(visit: BrowserContext, origin: str) -> Iterator[Page]:
    with opened(visit, origin) as page:
        yield page


def run(page: Page, call: str) -> Any:
    """What a function of the page returns, which must not take for ever."""
    late = "new Promise((_, reject) => setTimeout(reject, 60000, new Error('too late')))"
    return page.evaluate(f"Promise.race([{call}, {late}])")


def test_page_is_served(page: Page, origin: str) -> None:
    """By HTTP/1.1, which is what is offered; with what it needs to be a secure one over TLS."""
    assert page.title() == "A page behind a gateway"
    assert set(run(page, "connections()")) == {"http/1.1"}
    assert page.evaluate("isSecureContext")


def test_events_arrive_as_they_are_sent(page: Page, site: Site) -> None:
    """Each before the next one is sent; after the end of the stream it goes on where it was."""
    seen = run(page, "events(7, 3)")
    assert seen["seen"] == [[str(number), f"event\n{number}"] for number in range(1, 8)]
    assert seen["states"] == [0, 0]  # it connects again, and doesn't give up
    assert site.last_event_ids == [None, "3", "6"]


def test_answers_stream(page: Page) -> None:
    """A page reads each piece before the next one is sent."""
    assert run(page, "stream()") == list(PIECES)


def test_cut_answer_is_an_error(page: Page) -> None:
    """Never a shorter one."""
    assert run(page, "cut()") == "TypeError"


def test_messages_pass(page: Page, site: Site) -> None:
    """Text and binary, of a mebibyte too; the page's close code reaches the instance."""
    assert run(page, f"messages({MEBIBYTE})") == {
        "protocol": "echo",
        "text": "häßlich",
        "empty": "",
        "longText": True,
        "binary": True,
        "binaryLength": MEBIBYTE,
        "code": 4000,
        "reason": "enough",
        "wasClean": True,
    }
    wait_until(lambda: site.closes == [(4000, "enough")])


def test_close_code_reaches_the_page(page: Page) -> None:
    """As the instance chose it; where there is no WebSocket, the page is told of none."""
    expected = {"code": 4321, "reason": "wie gewünscht", "wasClean": True}
    assert run(page, "dismissed()") == expected
    assert run(page, "refused()") == {"code": 1006, "reason": "", "wasClean": False}


def test_forms_are_sent(page: Page, origin: str) -> None:
    """With a file; and by a button, after which the browser is elsewhere."""
    uploaded = run(page, f"upload({3 * MEBIBYTE})")
    got = uploaded["got"]
    assert (got["word"], got["name"]) == ("größer & kleiner", "a file.bin")
    assert got["digest"] == uploaded["sent"]
    page.fill("[name=word]", "größer & kleiner")
    page.click("button")
    page.wait_for_url(f"{origin}/formed/16")
    assert page.title() == "Formed"


def test_cookies_are_kept_apart(page: Page) -> None:
    """Two in one answer, one with a comma in it; the page sees only what is not HttpOnly."""
    run(page, "text('/login')")
    assert run(page, "text('/cookies')")["text"] == "one=1; two=2"
    assert page.evaluate("document.cookie") == "one=1"


def test_redirects_are_followed(page: Page) -> None:
    """302 to another path, and 307 with the same method and body."""
    assert run(page, "text('/moved')") == {"status": 200, "text": "GET", "from": "/landed"}
    posted = run(page, "text('/moved', {method: 'POST', body: 'again'})")
    assert posted == {"status": 200, "text": "POST again", "from": "/landed"}


def test_browsers_cache_works(page: Page, site: Site) -> None:
    """Asked again with a tag it is answered 304; what is fresh is not asked for again."""
    assert [run(page, "text('/tagged')")["text"] for _ in range(3)] == ["tagged"] * 3
    assert site.requests["GET /tagged"] == 3
    assert site.requests["304"] == 2
    languages = {run(page, "text('/fresh')")["text"] for _ in range(3)}
    assert len(languages) == 1
    assert "de-CH" in languages.pop()
    assert site.requests["GET /fresh"] == 1


def test_compressed_answers_pass_unchanged(page: Page) -> None:
    """Byte for byte as the instance compressed them."""
    assert run(page, "sizes('/zipped')") == {
        "decoded": hashlib.sha256(LETTERS).hexdigest(),
        "coding": "gzip",
        "tag": 'W/"z"',
        "encodedBodySize": len(ZIPPED),
    }


@pytest.fixture(params=["http", "https"])
def whole_gateway(
    request: pytest.FixtureRequest, site: Site, tmp_path: Path
) -> Iterator[tuple[GatewayProcess, str]]:
    """One with two workers, and where it serves the site."""
    web, chat = site.addresses
    configuration = {
        "services": [
            {"id": name, "instances": [{"id": f"{name}-1", "address": address}]}
            for name, address in (("web", web), ("chat", chat))
        ],
        "routes": [
            {"id": "web", "path": "/{**rest}", "service_id": "web"},
            {"id": "chat", "path": "/chat", "service_id": "chat"},
        ],
    }
    routes = tmp_path / "routes.yaml"
    routes.write_text(json.dumps(configuration))  # which is YAML, too
    tls = 'tls = {{ certificates = [{{ chain = "{chain}", key = "{key}" }}] }}'
    gateway = GatewayProcess(
        directory=tmp_path / "gateway",
        source="file",
        settings={"file": {"path": str(routes)}, "drain": {"deadline": "3s"}},
        listener=[tls.format(**CERTIFICATE.write(tmp_path, "a"))] * (request.param == "https"),
    )
    gateway.start()
    try:
        gateway.wait_ready()
        yield gateway, f"{request.param}://127.0.0.1:{gateway.port}"
    finally:
        gateway.stop()


def test_page_outlives_its_worker(
    visit: BrowserContext, site: Site, whole_gateway: tuple[GatewayProcess, str]
) -> None:
    """
    In a rolling restart a WebSocket is told to come back, and events go on without a gap.

    No request of the page fails meanwhile.
    """
    gateway, origin = whole_gateway
    with opened(visit, origin) as page:
        page.evaluate("window.result = outlive(); 0")
        wait_until(lambda: page.evaluate("window.progress && progress().events > 20"))
        before = set(gateway.worker_pids())
        gateway.signal(signal.SIGUSR2)
        wait_for_line(gateway, "rolling restart is complete")
        wait_until(lambda: not gateway.manage("status")["restarting"], timeout=30)
        assert not before & set(gateway.worker_pids())
        wait_until(lambda: page.evaluate("progress().reconnects > 0"))
        page.evaluate("window.enough = true")
        seen = run(page, "window.result")
    assert seen.pop("states") in ([0], [0, 0])  # it connects again, and doesn't give up
    end = {"code": 1001, "reason": "", "wasClean": True}
    assert seen == {"gaps": [], "failed": [], "end": end}
    assert site.last_event_ids[-1] is not None
    assert "Traceback" not in gateway.log
