"""What the gate asks of browsers: a session, and a page of our own for what changes something."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.web.resource import Resource

from fengling_gateway.access.audit import AuditTrail
from fengling_gateway.access.browser import Browsers, Origins
from fengling_gateway.access.gate import Gate
from fengling_gateway.access.granted import access_of
from fengling_gateway.access.proxies import Proxies
from fengling_gateway.access.verifiers import LocalTokens, RevokedError
from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.operators import Operator
from fengling_gateway.auth.tokens import TokenRing
from tests.management.fake_gateway import KEY, NOW, json_of, token
from tests.management.raw_http import Answer, ask_raw

OWN = b"Origin: http://console"
HOST = b"Host: console"
COOKIE = b"Cookie: session=good"
ADA = Operator("ada", frozenset(("gateway:admin",)), "session by link", "s1", NOW + 600)


class Doors:
    """Takes the cookie as it is."""

    def operator_of(self, request: Any, *, now: float) -> Operator | None:
        shown = request.received_cookies.get(b"session")
        if shown is None:
            return None
        if shown == b"ended":
            raise RevokedError(ADA)
        if shown != b"good":
            raise TokenError("wrong_signature")
        return ADA


class Inside(Resource):
    """Says who has come in."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bytes] = []

    def render(self, request: Any) -> bytes:
        self.asked.append(request.path)
        if request.path in {b"/login", b"/ui/app.js"}:
            request.setHeader(b"content-security-policy", b"default-src 'self'")
            return b"open"
        return access_of(request).operator.source.encode()


class Console:
    """A gate with browsers before it."""

    def __init__(self, *urls: str, proxies: tuple[str, ...] = ()) -> None:
        self.inside = Inside()
        self.refusals: Counter[str] = Counter()
        clock = Clock()
        self.trail = AuditTrail(clock=clock.seconds, wall_clock=lambda: NOW)
        self.gate = Gate(
            inside=self.inside,
            verifiers=(LocalTokens(TokenRing([KEY]), {}.get),),
            trail=self.trail,
            open_paths=frozenset((b"/login", b"/api/console/session")),
            clock=clock,
            wall_clock=lambda: NOW,
            refusals=self.refusals,
            browsers=Browsers(Doors(), Origins(urls), (b"/ui/",), proxies=Proxies(proxies)),
        )

    def ask(self, path: bytes, *headers: bytes, method: bytes = b"GET") -> Answer:
        if not any(one.startswith(b"Host:") for one in headers):
            headers = (HOST, *headers)
        return ask_raw(self.gate, path, method=method, headers=headers)


def test_session_is_as_good_as_a_token() -> None:
    """For whoever looks, from anywhere."""
    answer = Console().ask(b"/api/console/routes", COOKIE)
    assert (answer.status, answer.body) == (200, b"session by link")


def test_request_with_both_is_judged_by_its_token() -> None:
    """However good the session is; and no page can make a browser send a token."""
    console = Console()
    both = (COOKIE, b"Authorization: Bearer " + token().encode())
    assert console.ask(b"/api/x", *both).body == b"token k1"
    assert console.ask(b"/api/x", *both, method=b"POST").body == b"token k1"
    assert console.ask(b"/api/x", COOKIE, b"Authorization: Bearer x").status == 401


@pytest.mark.parametrize(
    "headers",
    [
        (OWN,),
        (b"Origin: HTTP://Console:80",),
        (b"Origin: https://console",),  # TLS ends at a proxy that keeps the name
        (b"Sec-Fetch-Site: same-origin",),
        (OWN, b"Sec-Fetch-Site: same-origin"),
    ],
)
def test_own_page_may_change_something(headers: tuple[bytes, ...]) -> None:
    """It is from the host that is asked."""
    assert Console().ask(b"/api/x", COOKIE, *headers, method=b"DELETE").status == 200


FOREIGN = (
    (),
    (b"Origin: null",),
    (b"Origin: http://evil.example",),
    (b"Origin: http://console:8080",),
    (b"Origin: http://console.evil.example",),
    (b"Origin: http://consol",),
    (b"Origin: http://console/",),
    (b"Origin: http://user@console",),
    (b"Origin: console",),
    (b"Origin: \xff",),
    (OWN, OWN),
    (OWN, b"Origin: http://evil.example"),
    (b"Sec-Fetch-Site: none",),
    (b"Sec-Fetch-Site: same-site",),
    (OWN, b"Sec-Fetch-Site: cross-site"),
    (b"Sec-Fetch-Site: same-origin", b"Sec-Fetch-Site: same-origin"),
    (OWN, b"Host: evil.example"),
    (OWN, HOST, b"Host: evil.example"),
    (b"Origin: http://", b"Host: "),
    (b"Referer: http://console/routes",),
)


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE", b"XYZ"])
def test_foreign_page_changes_nothing(headers: tuple[bytes, ...], method: bytes) -> None:
    """Whatever cookie its visitor has; who it was is on record, and he may look."""
    console = Console()
    answer = console.ask(b"/api/x", COOKIE, *headers, method=method)
    # (400: Twisted itself takes no two hosts.)
    assert answer.status in {403, 400}
    assert console.inside.asked == []
    if answer.status == 403:
        assert json_of(answer.body)["code"] == "foreign_origin"
        [noted], _ = console.trail.page(after=None, limit=10)
        assert (noted["outcome"], noted["who"]["subject"]) == ("foreign_origin", "ada")
        assert console.refusals == {"foreign_origin": 1}


@pytest.mark.parametrize("headers", FOREIGN[1:])
def test_foreign_page_signs_nobody_in(headers: tuple[bytes, ...]) -> None:
    """Else somebody might work in another's name, and not know."""
    console = Console()
    assert console.ask(b"/api/console/session", *headers, method=b"POST").status in {403, 400}
    assert console.inside.asked == []


def test_settings_name_the_pages() -> None:
    """Then the host that is asked says nothing: a proxy may have put its own there."""
    console = Console("https://console.example", "http://10.0.0.5:8002")

    def status(origin: bytes) -> int:
        return console.ask(b"/api/x", COOKIE, b"Origin: " + origin, method=b"PUT").status

    assert status(b"https://console.example") == 200
    assert status(b"http://10.0.0.5:8002") == 200
    assert status(b"http://console.example") == 403
    assert status(b"https://console.example:8443") == 403
    assert status(b"http://console") == 403


def test_files_of_pages_are_open_in_one_spelling() -> None:
    """And nothing beside them."""
    console = Console()
    assert console.ask(b"/ui/app.js").body == b"open"
    for path in (b"/ui/../api/x", b"/ui//app.js", b"/ui/%2e%2e/api/x", b"/UI/app.js", b"/ui"):
        assert console.ask(path).status == 401, path
    assert console.inside.asked == [b"/ui/app.js"]


def test_page_says_itself_what_it_may_load() -> None:
    """All else may load nothing."""
    console = Console()
    assert console.ask(b"/login").headers[b"content-security-policy"] == b"default-src 'self'"
    refused = console.ask(b"/api/x").headers
    assert refused[b"content-security-policy"] == b"default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize(
    ("target", "to"),
    [
        (b"/", b"/login"),
        (b"/routes/a?x=1&y=/2", b"/login?to=%2Froutes%2Fa%3Fx%3D1%26y%3D%2F2"),
        (b"//evil.example/", b"/login?to=%2F%2Fevil.example%2F"),
        (b"http://console/routes", b"/login"),
    ],
)
def test_who_goes_to_a_page_signs_in_first(target: bytes, to: bytes) -> None:
    """With no session, or with one that is over; there may be such a page, or not."""
    for cookie in ((), (b"Cookie: session=ended",), (b"Cookie: session=bad",)):
        answer = Console().ask(target, b"Accept: text/html,*/*", *cookie)
        assert (answer.status, answer.headers[b"location"], answer.body) == (303, to, b"")
        assert b"www-authenticate" not in answer.headers


def test_program_is_told_instead() -> None:
    """What asks for no page, or at the API, or is to change something."""
    page = b"Accept: text/html"
    console = Console()
    assert console.ask(b"/routes").status == 401
    assert console.ask(b"/api/console/routes", page).status == 401
    assert console.ask(b"/routes", page, method=b"POST").status == 401
    assert console.ask(b"/routes", page, method=b"HEAD").status == 401


def test_home_is_a_page() -> None:
    """For who is signed in; a management API has none."""
    assert Console().ask(b"/", COOKIE).status == 200


def test_ended_session_is_told_so_however_often_it_is_shown() -> None:
    """A tab that was left open goes on asking, and that guesses nothing."""
    console = Console()
    answers = [console.ask(b"/api/x", b"Cookie: session=ended") for _ in range(20)]
    assert {one.status for one in answers} == {401}
    assert "sign in again" in json_of(answers[0].body)["detail"]


def test_wrong_sessions_are_limited_like_wrong_tokens() -> None:
    """Both are guesses."""
    console = Console()
    statuses = [console.ask(b"/api/x", b"Cookie: session=bad").status for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    assert console.ask(b"/api/x", COOKIE).status == 200


@pytest.mark.parametrize(
    ("proxies", "said", "address"),
    [
        ((), b"198.51.100.7", "192.0.2.1"),
        (("192.0.2.0/24",), b"198.51.100.7", "198.51.100.7"),
        (("192.0.2.0/24",), b"203.0.113.9, 198.51.100.7", "198.51.100.7"),
        (("192.0.2.0/24",), b"198.51.100.7, 192.0.2.9", "198.51.100.7"),
        (("192.0.2.0/24",), b"anybody", "192.0.2.1"),
        (("198.51.100.0/24",), b"203.0.113.9", "192.0.2.1"),
    ],
)
def test_proxies_of_ours_say_who_asks(proxies: tuple[str, ...], said: bytes, address: str) -> None:
    """For the record, and for limits; of others it is their own address that counts."""
    console = Console(proxies=proxies)
    console.ask(b"/api/x", b"X-Forwarded-For: " + said)
    [noted], _ = console.trail.page(after=None, limit=1)
    assert noted["address"] == address
