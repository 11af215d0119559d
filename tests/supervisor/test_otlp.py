"""Batches of spans, sent to real receivers."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from fengling_gateway.dataplane.dns_files import NameFiles
from fengling_gateway.dataplane.dns_lookups import Lookups
from fengling_gateway.http.redacting import names_to_redact
from fengling_gateway.supervisor.otlp import MAX_RETRY_AFTER_SECONDS, Otlp, resource_of
from fengling_gateway.supervisor.span_export import Batch, Outcome, UnreachableError
from fengling_gateway.supervisor.web import Web
from fengling_gateway.tracing.spans import Span, spans_of
from tests.support import otlp_receiver as receivers
from tests.support.certificates import Authority, Issued
from tests.support.otlp_receiver import OtlpReceiver
from tests.tracing.recording import CALLER, OURS, TRACE, attempt, recorded


def rows(*spans: Span, worker: str = "w1") -> Batch:
    """As they come out of a frame."""
    return [(worker, json.loads(json.dumps(one))) for one in spans]


ONE = rows(spans_of(recorded(), frozenset())[0])


class OtlpCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251 - real servers are the point

        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.reactor: Any = reactor

    def receive(self, certificate: Issued | None = None) -> OtlpReceiver:
        receiver = OtlpReceiver(certificate, self.directory)
        self.addCleanup(receiver.stop)
        return receiver

    def make(self, url: str, ca_file: Path | None = None, **headers: str) -> Otlp:
        hosts = self.directory / "hosts"
        hosts.write_text("127.0.0.1 localhost\n")
        files = NameFiles(resolv_conf=str(self.directory / "none"), hosts=str(hosts), servers=())

        def web() -> Web:
            return Web(
                reactor=self.reactor,
                lookups=Lookups(reactor=self.reactor, files=files),
                refusal=lambda host, port: None,
                ca_file=ca_file,
                ca_setting="tracing.ca_file",
            )

        return Otlp(
            url=url,
            headers=headers.items(),
            resource=resource_of(service_name="edge", cluster="blue", node="n1"),
            node="n1",
            make_web=web,
            in_thread=deferToThread,
            wall=time.time,
        )

    async def trouble(self, otlp: Otlp) -> str:
        try:
            outcome = await otlp.send(ONE)
        except UnreachableError as error:
            return str(error)
        raise AssertionError(outcome)


class OtlpTests(OtlpCase):
    """`Otlp`, and `span_encoding` by way of it"""

    async def test_spans_arrive_as_they_were(self) -> None:
        """Ids, times, attributes and who they are of; what is known of the caller is marked."""
        receiver = self.receive()
        tried = (attempt(1, error="connect_failed", status=0, connected=None), attempt(2))
        spans = spans_of(recorded(*tried), names_to_redact(["token"]))
        outcome = await self.make(receiver.url, authorization="Bearer abc").send(rows(*spans))
        self.assertEqual(outcome, Outcome(200))
        server, first, second = receiver.spans
        self.assertEqual((server.trace_id, server.span_id), (TRACE.decode(), OURS.decode()))
        self.assertEqual((server.parent_id, server.state), (CALLER.decode(), "a=1"))
        self.assertEqual([server.kind, first.kind, second.kind], ["server", "client", "client"])
        self.assertEqual([first.parent_id, second.parent_id], [server.span_id] * 2)
        self.assertEqual([one.flags for one in receiver.spans], [0x301, 0x101, 0x101])
        self.assertEqual((server.start, server.end), (1_000_000_000_000, 1_000_030_000_000))
        self.assertEqual([one.is_error for one in receiver.spans], [False, True, False])
        self.assertEqual(first.message, "connect_failed")
        for span, arrived in zip(spans, receiver.spans, strict=True):
            self.assertEqual((span.name, span.attributes), (arrived.name, arrived.attributes))
        self.assertEqual(server.resource["service.name"], "edge")
        self.assertEqual(server.resource["service.instance.id"], "n1/w1")
        (request,) = receiver.requests
        self.assertEqual(request["authorization"], "Bearer abc")
        self.assertEqual(request["content-type"], "application/x-protobuf")
        self.assertEqual(request["content-encoding"], "gzip")
        self.assertEqual(request[":path"], "/v1/traces")

    async def test_each_worker_is_an_instance(self) -> None:
        """And so is the supervisor."""
        receiver = self.receive()
        span = spans_of(recorded(), frozenset())[0]
        batch = [*rows(span), *rows(span, worker="w2"), *rows(span, worker=""), *rows(span)]
        await self.make(receiver.url).send(batch)
        ids = sorted(one.resource["service.instance.id"] for one in receiver.spans)
        self.assertEqual(ids, ["n1", "n1/w1", "n1/w1", "n1/w2"])

    async def test_status_is_no_message(self) -> None:
        """An answer of 500 says it in an attribute."""
        receiver = self.receive()
        await self.make(receiver.url).send(rows(spans_of(recorded(status=500), frozenset())[0]))
        self.assertEqual((receiver.spans[0].is_error, receiver.spans[0].message), (True, ""))

    async def test_partial_success_is_read(self) -> None:
        """How many were rejected, and why."""
        receiver = self.receive()
        receiver.answers = [receivers.takes_all_but(3, "too old")]
        outcome = await self.make(receiver.url).send(ONE)
        self.assertEqual((outcome.rejected, outcome.message), (3, "too old"))

    async def test_answer_that_is_no_protobuf_is_one(self) -> None:
        """The status says enough."""
        receiver = self.receive()
        receiver.answers = [receivers.says(200, b"\xff{}"), receivers.says(202, b"")]
        otlp = self.make(receiver.url)
        self.assertEqual([await otlp.send(ONE), await otlp.send(ONE)], [Outcome(200), Outcome(202)])

    async def test_refusal_is_told_with_when_to_come_again(self) -> None:
        """In seconds or as a date; what is too long, or none, is not believed."""
        receiver = self.receive()
        otlp = self.make(receiver.url)
        for said, low, high in (
            ("7", 7.0, 7.0),
            ("0", 0.0, 0.0),
            ("86400", MAX_RETRY_AFTER_SECONDS, MAX_RETRY_AFTER_SECONDS),
            (formatdate(time.time() - 100, usegmt=True), 0.0, 0.0),
            (formatdate(time.time() + 3600, usegmt=True), 60.0, 60.0),
        ):
            receiver.answers = [receivers.says(503, Retry_After=said)]
            outcome = await otlp.send(ONE)
            self.assertEqual(outcome.status, 503)
            assert outcome.retry_after is not None
            self.assertTrue(low <= outcome.retry_after <= high, (said, outcome))
        receiver.answers = [receivers.says(429, Retry_After="soon"), receivers.says(400)]
        self.assertIsNone((await otlp.send(ONE)).retry_after)
        refused = await otlp.send(ONE)
        self.assertEqual(
            (refused.status, refused.message), (400, f"{receiver.address} answers 400")
        )

    async def test_redirect_is_not_followed(self) -> None:
        """Headers would go where nobody meant them to."""
        receiver, other = self.receive(), self.receive()
        receiver.answers = [receivers.says(307, Location=other.url)]
        self.assertEqual((await self.make(receiver.url).send(ONE)).status, 307)
        self.assertEqual(other.requests, [])

    async def test_what_goes_wrong_is_told_without_the_path(self) -> None:
        """Which may hold a token."""
        receiver = self.receive()
        receiver.answers = [receivers.breaks_off]
        broken = await self.trouble(self.make(receiver.url + "/t0ken"))
        receiver.stop()
        refused = await self.trouble(self.make(receiver.url + "/t0ken"))
        unknown = await self.trouble(self.make("http://nowhere.example:4318/t0ken"))
        for said, why in (
            (broken, "the connection broke before the answer was whole"),
            (refused, "it can't be connected to"),
            (unknown, "its name can't be resolved"),
        ):
            self.assertIn(why, said)
            self.assertNotIn("t0ken", said)

    async def test_slow_collector_is_left(self) -> None:
        """When nobody waits any longer; nothing of it stays behind."""
        for answer in (receivers.says_nothing, receivers.trickles):
            receiver = self.receive()
            receiver.answers = [answer]
            trying = self.make(receiver.url).send(ONE)
            await self.until(lambda one=receiver: bool(one.requests))  # type: ignore[misc]
            trying.cancel()
            try:
                await trying
            except (CancelledError, UnreachableError):
                continue
            raise AssertionError("it was answered")

    async def test_server_has_to_prove_who_it_is(self) -> None:
        """By an authority that is named, and by the name in its certificate."""
        authority = Authority()
        ca_file = self.directory / "ca.pem"
        ca_file.write_bytes(authority.pem)
        good = self.receive(authority.issue("localhost"))
        other = self.receive(authority.issue("other.example"))
        self.assertEqual((await self.make(good.url, ca_file).send(ONE)).status, 200)
        self.assertEqual(len(good.spans), 1)
        with patch.dict(os.environ, {"SSL_CERT_FILE": str(self.directory / "none")}):
            unknown = await self.trouble(self.make(good.url))
        self.assertIn("an authority that this host does not know", unknown)
        wrong = await self.trouble(self.make(other.url, ca_file))
        self.assertIn("its certificate is for another name", wrong)
        self.assertEqual(other.requests, [])
        ca_file.unlink()
        missing = await self.trouble(self.make(good.url, ca_file))
        self.assertIn(f"tracing.ca_file {ca_file}: No such file", missing)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            moment: Deferred[None] = Deferred()
            self.reactor.callLater(0.01, moment.callback, None)
            await moment
