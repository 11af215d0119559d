"""The pages and their files, as browsers get them through the gate."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from typing import Any, Final

from treq.testing import RequestTraversalAgent, StubTreq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import readBody
from twisted.web.http_headers import Headers

from fengling_gateway.access.audit import AuditTrail
from fengling_gateway.access.browser import Browsers, Origins
from fengling_gateway.access.gate import Gate
from fengling_gateway.access.verifiers import LocalTokens
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.console.api import ConsoleApi
from fengling_gateway.console.pages import FILES, Pages

RING: Final = TokenRing(["k1:" + bytes(range(32)).hex()])
NOW: Final = 1_700_000_000.0


class _NoSessions:
    def operator_of(self, request: Any, *, now: float) -> None:
        return None


class PagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pages = Pages()
        refusals: Counter[str] = Counter()
        api = ConsoleApi(self.pages.endpoints(), refusals=refusals)
        gate = Gate(
            inside=api.app.resource(),
            verifiers=(LocalTokens(RING, lambda _: None),),
            trail=AuditTrail(clock=lambda: 0.0, wall_clock=lambda: NOW, api="console"),
            open_paths=frozenset(),
            clock=Clock(),
            wall_clock=lambda: NOW,
            refusals=refusals,
            browsers=Browsers(_NoSessions(), Origins(), (f"{FILES}/".encode(),)),
        )
        self.gate = gate
        self.client = StubTreq(gate)
        self.token = RING.issue(
            subject="jane",
            scopes=["gateway:read"],
            now=NOW,
            lifetime_seconds=600,
            token_id="t1",
        )

    def get(self, path: str, *, signed_in: bool = True, **headers: str) -> Any:
        """Ask for something as a browser does, without following redirects."""
        sent = {"Accept": "text/html", **headers}
        if signed_in:
            sent["Authorization"] = f"Bearer {self.token}"
        asked = self.client.get(f"http://test{path}", headers=sent, allow_redirects=False)
        return self.successResultOf(asked)

    def text(self, answer: Any) -> str:
        return str(self.successResultOf(answer.text()))

    def test_one_document_is_at_every_page(self) -> None:
        """With a policy that lets it load its own files, and nothing else from anywhere."""
        paths = ("/", "/services", "/services/orders", "/routes", "/routes/all", "/history")
        more = ("/history/7", "/history/diff", "/explain", "/fleet", "/settings")
        cluster = ("/kubernetes", "/kubernetes/shop/orders")
        texts = set()
        for path in (*paths, *more, *cluster):
            answer = self.get(path)
            self.assertEqual(answer.code, 200, path)
            [policy] = answer.headers.getRawHeaders("content-security-policy")
            self.assertTrue(policy.startswith("default-src 'none'; script-src 'self'; "), policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(answer.headers.getRawHeaders("cache-control"), ["no-store"])
            texts.add(self.text(answer))
        self.assertEqual(len(texts), 1)

    def test_document_has_nothing_inline(self) -> None:
        """Which the policy would refuse."""
        text = self.text(self.get("/"))
        self.assertNotRegex(text, r"<style|\sstyle=|\son[a-z]+=")
        scripts = re.findall(r"<script[^>]*>(.*?)</script>", text)
        self.assertEqual(set(scripts), {""})

    def test_document_names_files_that_are_there(self) -> None:
        """All modules among them, so that a browser asks for them at once."""
        named = set(re.findall(rf'(?:src|href)="({FILES}/[^"]+)"', self.text(self.get("/"))))
        for path in named:
            answer = self.get(path, signed_in=False)
            self.assertEqual(answer.code, 200, path)
            [cached] = answer.headers.getRawHeaders("cache-control")
            self.assertIn("immutable", cached)
        imported = set()
        for path in named:
            for name in re.findall(r'from "(\.[^"]+)"', self.text(self.get(path))):
                imported.add(_beside(path, name))
        self.assertLessEqual(imported, named)

    def test_strangers_are_led_to_where_one_signs_in(self) -> None:
        """And come back from there to the page that they wanted."""
        for path, then in (("/", "/login"), ("/routes/a", "/login?to=%2Froutes%2Fa")):
            answer = self.get(path, signed_in=False)
            self.assertEqual(answer.code, 303)
            self.assertEqual(answer.headers.getRawHeaders("location"), [then])

    def test_files_are_compressed_for_who_takes_that(self) -> None:
        plain, as_it_is = self.encoded(b"gzip;q=0, br")
        coding, compressed = self.encoded(b"br, gzip")
        self.assertEqual((plain, coding), (None, [b"gzip"]))
        self.assertEqual(gzip.decompress(compressed), as_it_is)

    def encoded(self, accepted: bytes) -> tuple[list[bytes] | None, bytes]:
        """Return a file's Content-Encoding and body, which treq would decode."""
        url = f"http://test{FILES}/{self.pages.version}/css/base.css".encode()
        headers = Headers({b"accept-encoding": [accepted]})
        asked = RequestTraversalAgent(self.gate).request(b"GET", url, headers)
        answer: Any = self.successResultOf(asked)
        body = self.successResultOf(readBody(answer))
        return answer.headers.getRawHeaders(b"content-encoding"), body

    def test_files_of_another_version_are_not_kept(self) -> None:
        """A browser asks for them while a console is replaced by a newer one."""
        answer = self.get(f"{FILES}/0123456789abcdef/js/app.js", signed_in=False)
        self.assertEqual(answer.code, 200)
        self.assertEqual(answer.headers.getRawHeaders("cache-control"), ["no-store"])

    def test_nothing_else_is_served(self) -> None:
        version = self.pages.version
        for name in ("index.html", "js/nothing.js", "js", "../pages.py", "js/../../pages.py"):
            answer = self.get(f"{FILES}/{version}/{name}")
            self.assertEqual(answer.code, 404, name)


def _beside(path: str, name: str) -> str:
    """Return where a module is that another one imports."""
    parts = path.split("/")[:-1]
    for step in name.split("/"):
        if step == "..":
            parts.pop()
        elif step != ".":
            parts.append(step)
    return "/".join(parts)
