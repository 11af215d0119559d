"""Fetching keys from real servers, which do as they please."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from fengling_gateway.balancing.upstream_networks import LOOPBACK, UpstreamNetworks
from fengling_gateway.dataplane.dns_files import NameFiles
from fengling_gateway.dataplane.dns_lookups import Lookups
from fengling_gateway.supervisor import key_fetch
from fengling_gateway.supervisor.key_fetch import MAX_DOCUMENT_BYTES, Fetched, FetchError, KeyFetch
from fengling_gateway.supervisor.web import Web
from tests.support import issuer_server
from tests.support.certificates import Authority, Issued
from tests.support.forge import rsa_jwk
from tests.support.issuer_server import KEYS, IssuerServer, publishes, says

ALGORITHMS = ["RS256"]


class WebCase(TestCase):
    """With what fetches, on the real reactor, which is left as it was found."""

    timeout = 30

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251 - real servers are the point

        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.hosts = self.directory / "hosts"
        self.hosts.write_text("127.0.0.1 localhost id.example\n")
        silent = str(self.directory / "resolv.conf")
        files = NameFiles(resolv_conf=silent, hosts=str(self.hosts), servers=())
        self.reactor: Any = reactor
        self.lookups = Lookups(reactor=reactor, files=files)
        self.networks = UpstreamNetworks(LOOPBACK)
        get = Web(reactor=reactor, lookups=self.lookups, refusal=self.refused_address).get
        self.fetcher = KeyFetch(clock=self.reactor, get=get)

    def refused_address(self, host: str, port: int) -> str | None:
        return self.networks.refusal(host, port)

    def serve(self, certificate: Issued | None = None) -> IssuerServer:
        server = IssuerServer(certificate, self.directory)
        self.addCleanup(server.stop)
        return server

    def fetch(self, url: str | None, issuer: str = "https://id.example") -> Deferred[Fetched]:
        return self.fetcher.fetch({"jwks_url": url, "issuer": issuer, "algorithms": ALGORITHMS})

    async def refusal(self, url: str | None, issuer: str = "https://id.example") -> FetchError:
        """Why nothing could be fetched."""
        try:
            fetched = await self.fetch(url, issuer)
        except FetchError as error:
            return error
        raise AssertionError(fetched)


class WebTests(WebCase):
    """`Web`, by way of `KeyFetch`"""

    async def test_keys_are_fetched(self) -> None:
        """As they are published, without what nobody looks at."""
        server = self.serve()
        server.publish(rsa_jwk(x5c=["MII"], x5t="abc"))
        fetched = await self.fetch(server.url)
        self.assertEqual(fetched.document, {"keys": [rsa_jwk()]})

    async def test_issuer_that_is_down_is_told(self) -> None:
        """In words."""
        server = self.serve()
        url = server.url
        server.stop()
        server.start()
        address = url.rpartition(":")[0]
        error = await self.refusal(f"{address}:1/keys")
        self.assertEqual(error.reason, "connect")
        self.assertIn("refused", str(error))

    async def test_answer_that_is_no_success_is_told(self) -> None:
        """With its number."""
        server = self.serve()
        for status in (204, 404, 500, 503):
            server.answers[KEYS] = says(status, b"" if status == 204 else b'{"keys": []}')
            error = await self.refusal(server.url)
            self.assertEqual((error.reason, str(error)), ("status", f"it answers {status}"))

    async def test_redirect_is_not_followed(self) -> None:
        """Wherever to: neither to files nor to the clear nor to another host."""
        server, other = self.serve(), self.serve()
        other.publish(rsa_jwk())
        places = ("file:///etc/passwd", other.url, "/others", "https://id.example/keys", "")
        for status in (301, 302, 303, 307, 308):
            for place in places:
                server.answers[KEYS] = says(status, Location=place)
                error = await self.refusal(server.url)
                self.assertEqual(error.reason, "redirect")
                self.assertIn(json.dumps(place), str(error))
        self.assertEqual(other.asked, [])
        self.assertEqual(set(server.asked), {KEYS})

    async def test_what_is_no_key_set_is_told(self) -> None:
        """Pages, other JSON, and JSON that two readers would take for different things."""
        server = self.serve()
        for body, reason in (
            (b"<html>It works!</html>", "content"),
            (b"", "content"),
            (b"\xff\xfe", "content"),
            (b"[" * 100_000, "content"),
            (b'{"keys": [], "keys": []}', "content"),
            (b"[]", "keys"),
            (b'{"keys": {}}', "keys"),
            (b'{"keys": []}', "keys"),
            (json.dumps({"keys": [rsa_jwk()] * 101}).encode(), "keys"),
            (json.dumps({"keys": [rsa_jwk(d="AQAB")]}).encode(), "keys"),
        ):
            server.answers[KEYS] = says(200, body)
            self.assertEqual((await self.refusal(server.url)).reason, reason, body[:30])

    async def test_ten_megabytes_are_too_much(self) -> None:
        """Announced, or not, in the body or before it; and what is compressed is not read."""
        server = self.serve()
        bomb = gzip.compress(b" " * 10_000_000)
        for answer, reason in (
            (says(200, b" " * 10_000_000), "too_large"),
            (issuer_server.floods, "too_large"),
            (issuer_server.floods_its_head, "too_large"),
            (says(200, bomb, Content_Encoding="gzip"), "broken"),
            (says(200, b" " * (MAX_DOCUMENT_BYTES + 1)), "too_large"),
            (says(200, b" " * MAX_DOCUMENT_BYTES), "content"),
        ):
            server.answers[KEYS] = answer
            self.assertEqual((await self.refusal(server.url)).reason, reason)

    async def test_whoever_takes_too_long_is_left(self) -> None:
        """Silent, or saying a byte now and then; all of it counts."""
        self.patch(key_fetch, "FETCH_SECONDS", 0.5)
        server = self.serve()
        for answer in (
            issuer_server.says_nothing,
            issuer_server.trickles,
            issuer_server.trickles_its_head,
        ):
            server.answers[KEYS] = answer
            error = await self.refusal(server.url)
            self.assertEqual(error.reason, "deadline")
            self.assertIn("within 0.5 s", str(error))

    async def test_answer_that_is_not_whole_is_told(self) -> None:
        """Or none of HTTP."""
        server = self.serve()
        for answer in (issuer_server.breaks_off, issuer_server.speaks_otherwise):
            server.answers[KEYS] = answer
            self.assertEqual((await self.refusal(server.url)).reason, "broken")

    async def test_fetch_that_is_cancelled_leaves_nothing(self) -> None:
        """The connection is gone, too."""
        server = self.serve()
        server.answers[KEYS] = issuer_server.trickles
        fetching = self.fetch(server.url)
        while not server.asked:
            await _turn(self.reactor)
        fetching.cancel()
        with self.assertRaises(CancelledError):
            await fetching
        while not server.left:
            await _turn(self.reactor)

    async def test_nobody_has_this_host_ask_inside(self) -> None:
        """Unless its settings allow that: by no name, and not by the description of an issuer."""
        server = self.serve()
        server.publish(rsa_jwk())
        port = server.url.rpartition(":")[2]
        self.hosts.write_text(
            "127.0.0.1 localhost\n127.0.0.1 id.example\n169.254.169.254 cloud.example\n"
        )
        self.networks = UpstreamNetworks()
        urls = (
            server.url,
            f"http://localhost:{port}",
            f"https://id.example:{port}",
            f"https://[::ffff:127.0.0.1]:{port}",
            "https://169.254.169.254/latest",
            "https://cloud.example/latest",
        )
        for url in urls:
            error = await self.refusal(url)
            self.assertEqual(error.reason, "address", url)
            self.assertIn("[upstream] allow does not name it", str(error))
        self.assertEqual((await self.refusal(None, server.address)).reason, "address")
        self.assertEqual(server.asked, [])

    async def test_address_of_ipv6_is_asked(self) -> None:
        """As such, in brackets."""
        error = await self.refusal("http://[::1]:1/keys")
        self.assertEqual(error.reason, "connect", str(error))

    async def test_address_that_is_refused_is_passed_over(self) -> None:
        """Of several that a name has."""
        server = self.serve()
        server.publish(rsa_jwk())
        self.hosts.write_text("169.254.169.254 localhost\n127.0.0.1 localhost\n")
        url = server.url.replace("127.0.0.1", "localhost")
        self.assertEqual((await self.fetch(url)).document, {"keys": [rsa_jwk()]})

    async def test_name_that_nobody_knows_is_told(self) -> None:
        """Without a thread that would wait for it."""
        self.assertEqual((await self.refusal("https://nowhere.example/keys")).reason, "name")
        self.assertEqual((await self.refusal("https://id.example:1/keys")).reason, "connect")


class TlsTests(WebCase):
    """HTTPS"""

    async def refused_with(self, certificate: Issued, trusted: Authority) -> FetchError:
        server = self.serve(certificate)
        server.publish(rsa_jwk())
        with self.trusting(trusted):
            error = await self.refusal(server.url)
        self.assertEqual(server.asked, [])
        return error

    def trusting(self, authority: Authority) -> Any:
        """Have OpenSSL take an authority for one that the system trusts."""
        path = self.directory / "authority.pem"
        path.write_bytes(authority.pem)
        return patch.dict(os.environ, {"SSL_CERT_FILE": str(path)})

    async def test_certificate_of_a_trusted_authority_is_taken(self) -> None:
        """Of the system's, or of the file that SSL_CERT_FILE names."""
        authority = Authority()
        server = self.serve(authority.issue("localhost"))
        server.publish(rsa_jwk())
        with self.trusting(authority):
            fetched = await self.fetch(server.url)
        self.assertEqual(len(fetched.document["keys"]), 1)

    async def test_certificate_of_another_authority_is_refused(self) -> None:
        """Before anything is asked."""
        error = await self.refused_with(Authority().issue("localhost"), Authority("Another"))
        self.assertEqual(error.reason, "tls")
        self.assertIn("does not know", str(error))

    async def test_certificate_for_another_name_is_refused(self) -> None:
        authority = Authority()
        error = await self.refused_with(authority.issue("other.example"), authority)
        self.assertEqual(error.reason, "tls")
        self.assertIn("another name", str(error))

    async def test_certificate_that_has_expired_is_refused(self) -> None:
        authority = Authority()
        error = await self.refused_with(authority.issue("localhost", ends_in_days=-1), authority)
        self.assertEqual(error.reason, "tls")
        self.assertIn("expired", str(error))

    async def test_authorities_may_be_named(self) -> None:
        """Then those of the system don't count; the file is read each time."""
        authority, other = Authority(), Authority("Another")
        server = self.serve(authority.issue("localhost"))
        server.publish(rsa_jwk())
        path = self.directory / "named.pem"
        get = Web(
            reactor=self.reactor,
            lookups=self.lookups,
            refusal=self.refused_address,
            ca_file=path,
        ).get
        self.fetcher = KeyFetch(clock=self.reactor, get=get)
        for content, why in (
            (None, "named.pem: No such file"),
            (b"garbage", "named.pem has no certificates"),
            (other.pem, "does not know"),
        ):
            if content is not None:
                path.write_bytes(content)
            with self.trusting(authority):
                error = await self.refusal(server.url)
            self.assertEqual(error.reason, "tls")
            self.assertIn(why, str(error))
        path.write_bytes(other.pem + authority.pem)
        self.assertEqual(len((await self.fetch(server.url)).document["keys"]), 1)

    async def test_server_without_tls_is_refused(self) -> None:
        server = self.serve()
        server.publish(rsa_jwk())
        error = await self.refusal(server.url.replace("http:", "https:"))
        self.assertEqual(error.reason, "tls")


class DiscoveryTests(WebCase):
    """OpenID Connect Discovery"""

    async def test_keys_are_where_the_issuer_says(self) -> None:
        """Two steps; a slash at its end belongs to its name, and not to the address."""
        for end in ("", "/"):
            server = self.serve()
            server.publish(rsa_jwk())
            issuer = server.address + end
            server.answers[issuer_server.DESCRIPTION] = publishes(
                {"issuer": issuer, "jwks_uri": server.url}
            )
            fetched = await self.fetch(None, issuer)
            self.assertEqual(len(fetched.document["keys"]), 1)
            self.assertEqual(server.asked, [issuer_server.DESCRIPTION, KEYS])

    async def test_description_is_the_issuers_own(self) -> None:
        """To the letter."""
        server = self.serve()
        for said in (
            server.address + "/",
            server.address.upper(),
            "https://evil.example",
            None,
            [1],
        ):
            server.answers[issuer_server.DESCRIPTION] = publishes(
                {"issuer": said, "jwks_uri": server.url}
            )
            error = await self.refusal(None, server.address)
            self.assertEqual(error.reason, "discovery")
            self.assertIn("which is not", str(error))
        self.assertEqual(server.count(), 0)

    async def test_keys_are_fetched_from_the_web_only(self) -> None:
        """Wherever its description points."""
        server = self.serve()
        for place in ("file:///etc/passwd", "http://other.example/k", "/keys", None, 7, ["x"], ""):
            server.answers[issuer_server.DESCRIPTION] = publishes(
                {"issuer": server.address, "jwks_uri": place}
            )
            error = await self.refusal(None, server.address)
            self.assertEqual(error.reason, "discovery", place)

    async def test_description_that_redirects_is_not_followed(self) -> None:
        server = self.serve()
        server.answers[issuer_server.DESCRIPTION] = says(302, Location="file:///etc/passwd")
        self.assertEqual((await self.refusal(None, server.address)).reason, "redirect")

    async def test_both_steps_have_one_deadline(self) -> None:
        self.patch(key_fetch, "FETCH_SECONDS", 0.5)
        server = self.serve()
        server.publish(rsa_jwk())
        server.answers[KEYS] = issuer_server.trickles
        self.assertEqual((await self.refusal(None, server.address)).reason, "deadline")

    def test_issuer_of_the_web_names_nothing_inside(self) -> None:
        """Else it could have this host ask itself."""
        document = {"issuer": "https://id.example", "jwks_uri": "http://localhost:8001/metrics"}
        with self.assertRaises(FetchError) as caught:
            key_fetch.discovered(json.dumps(document).encode(), "https://id.example")
        self.assertEqual(caught.exception.reason, "discovery")


def _turn(reactor: Any) -> Deferred[None]:
    turned: Deferred[None] = Deferred()
    reactor.callLater(0.01, turned.callback, None)
    return turned


class PostTests(WebCase):
    """`Web.post`, for whoever exchanges one thing for another."""

    def post(self, url: str, **headers: str) -> Deferred[tuple[int, bytes]]:
        web = Web(reactor=self.reactor, lookups=self.lookups, refusal=self.refused_address)
        return web.post(url, b"a=1&b=2", headers)

    async def test_form_is_sent(self) -> None:
        """With headers of the caller's, and the answer comes with its status."""
        server = self.serve()
        seen: list[Any] = []

        def answer(request: Any) -> None:
            body = request.rfile.read(int(request.headers["Content-Length"]))
            seen.append((request.headers["Content-Type"], request.headers["Authorization"], body))
            says(200, b"fine")(request)

        server.answers["/token"] = answer
        found = await self.post(server.address + "/token", Authorization="Basic x")
        self.assertEqual(found, (200, b"fine"))
        self.assertEqual(seen, [("application/x-www-form-urlencoded", "Basic x", b"a=1&b=2")])

    async def test_refusal_is_an_answer(self) -> None:
        """It says why."""
        server = self.serve()
        server.answers["/token"] = says(400, b'{"error": "invalid_grant"}')
        found = await self.post(server.address + "/token")
        self.assertEqual(found, (400, b'{"error": "invalid_grant"}'))

    async def test_what_is_no_answer_fails(self) -> None:
        """As when keys are fetched: secrets are sent nowhere else."""
        server, elsewhere = self.serve(), self.serve()
        url = elsewhere.address + "/token"
        answers = {
            "redirect": says(307, Location=url),
            "status": says(500),
            "too_large": says(400, b"x" * (MAX_DOCUMENT_BYTES + 1)),
            "broken": issuer_server.breaks_off,
        }
        for reason, answer in answers.items():
            server.answers["/token"] = answer
            error = await self.assertFailure(self.post(server.address + "/token"), FetchError)
            self.assertEqual(error.reason, reason)
        self.assertEqual(elsewhere.asked, [])
