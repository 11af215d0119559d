"""One request out for each one in, and its answer back."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from tests.dataplane.rig import GET, OK, Rig, body_of, head_of, make_rig, status_of
from tests.dataplane.snapshots import (
    answering_route,
    instance,
    plain,
    route,
    service,
    setting,
    tenant,
)


class RigCase(SynchronousTestCase):
    """A test with rigs that are closed, and found clean, at its end."""

    def rig(self, *entities: object, **settings: object) -> Rig:
        rig = make_rig(*entities, **settings)  # type: ignore[arg-type]
        self.addCleanup(rig.close)
        return rig

    def forward(self, request: bytes, *entities: object, peer: str = "198.51.100.7") -> bytes:
        """What an instance gets of a request."""
        rig = self.rig(*entities)
        client = rig.client(peer)
        client.deliver(request)
        if not rig.dials:
            return client.sent
        return rig.accept().sent

    def answer(self, response: bytes, request: bytes = GET, *entities: object) -> bytes:
        """What a client gets of a response."""
        rig = self.rig(*entities)
        client = rig.ask(request)
        rig.accept().deliver(response)
        return client.sent


class OddStatusTests(RigCase):
    """Statuses that no RFC knows."""

    def test_any_status_of_three_digits_is_forwarded(self) -> None:
        """Those from 600 on, which clients take for 5xx, count as such."""
        for status in (200, 234, 599, 600, 999):
            rig = self.rig()
            client = rig.ask()
            upstream = rig.accept()
            answer = OK.replace(b"200 OK", b"%d Odd" % status)
            upstream.deliver(answer)
            self.assertEqual(client.take(), answer)
            client.deliver(GET)
            upstream.deliver(OK)
            self.assertEqual(client.sent, OK)
            (row,) = rig.counters()["requests"]
            self.assertEqual(row[2][5], int(status >= 500))


class RequestTests(RigCase):
    """What an instance is sent."""

    def test_plain_request_is_forwarded_with_forwarded_headers(self) -> None:
        """The instance gets the client's lines, who the client is, and an id."""
        sent = self.forward(b"GET /a?b=c HTTP/1.1\r\nHost: Example.com\r\nAccept: */*\r\n\r\n")
        self.assertTrue(sent.startswith(b"GET /a?b=c HTTP/1.1\r\nHost: Example.com\r\n"))
        head = head_of(sent)
        self.assertRegex(head.pop(b"x-request-id"), rb"^[0-9a-f]{16}-1$")
        self.assertEqual(
            head,
            {
                b"host": b"Example.com",
                b"accept": b"*/*",
                b"via": b"1.1 fengling",
                b"x-forwarded-for": b"198.51.100.7",
                b"x-forwarded-proto": b"http",
                b"x-forwarded-host": b"Example.com",
            },
        )

    def test_headers_of_the_connection_stay_on_it(self) -> None:
        """Hop-by-hop headers, and those that Connection names, are not forwarded."""
        sent = self.forward(
            b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-Mine, Authorization\r\n"
            b"Keep-Alive: 5\r\nX-Mine: 1\r\nX-Yours: 2\r\nAuthorization: me\r\nTE: trailers\r\n"
            b"Proxy-Authorization: x\r\nUpgrade: h2c\r\nTrailer: X\r\n\r\n"
        )
        head = head_of(sent)
        self.assertEqual(
            {b"x-yours", b"authorization", b"host", b"te", b"connection", b"via"},
            {
                name
                for name in head
                if not name.startswith(b"x-forwarded") and name != b"x-request-id"
            },
        )
        # What the client takes, we do too, and say so for our own connection.
        self.assertEqual((head[b"te"], head[b"connection"]), (b"trailers", b"TE"))

    def test_connection_cannot_remove_what_the_gateway_says(self) -> None:
        """A client that nominates X-Forwarded-For only loses its own."""
        sent = self.forward(
            b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\n"
            b"Connection: X-Forwarded-For, X-Request-Id, Host\r\n\r\n"
        )
        head = head_of(sent)
        self.assertEqual(head[b"x-forwarded-for"], b"198.51.100.7")
        self.assertEqual(head[b"host"], b"h")
        self.assertIn(b"x-request-id", head)

    def test_untrusted_client_cannot_say_who_it_is(self) -> None:
        """Forwarded and identity headers of clients are dropped in every spelling."""
        sent = self.forward(
            b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\n"
            b"X_Forwarded_For: 2.2.2.2\r\nx-tenant-id: a\r\nX_TENANT_ID: b\r\nX-User-Id: c\r\n"
            b"X-Roles: d\r\nX_User-Name: e\r\nX-Request-Id: f\r\nX-Real-IP: 3.3.3.3\r\n"
            b"X-Forwarded-Proto: https\r\nX_Custom: kept\r\n\r\n"
        )
        head = head_of(sent)
        head.pop(b"x-request-id")
        self.assertEqual(
            head,
            {
                b"host": b"h",
                b"via": b"1.1 fengling",
                b"x_custom": b"kept",
                b"x-forwarded-for": b"198.51.100.7",
                b"x-forwarded-proto": b"http",
                b"x-forwarded-host": b"h",
            },
        )

    def test_identity_header_is_dropped_however_its_name_is_configured(self) -> None:
        """Where the configured name has an underscore, its other spellings are dropped, too."""
        sent = self.forward(
            b"GET / HTTP/1.1\r\nHost: h\r\nX-Org-Id: a\r\nX_Org_Id: b\r\nX_Org-Id: acme\r\n"
            b"X-Org_Id: d\r\nX-Ok: 1\r\n\r\n",
            setting("identity_headers", {"tenant": "X_Org-Id"}),
            tenant("acme", hosts=["h"]),
        )
        head = head_of(sent)
        self.assertEqual(
            {name: value for name, value in head.items() if b"org" in name}, {b"x_org-id": b"acme"}
        )
        self.assertEqual(head[b"x-ok"], b"1")

    def test_trusted_proxy_is_believed(self) -> None:
        """A trusted peer's forwarded headers are kept, and its address appended."""
        sent = self.forward(
            b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nX-Request-Id: mine\r\n"
            b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: w\r\nX-Tenant-Id: a\r\n\r\n",
            setting("trusted_proxies", ["198.51.100.0/24"]),
        )
        head = head_of(sent)
        self.assertEqual(head[b"x-forwarded-for"], b"1.1.1.1, 198.51.100.7")
        self.assertEqual(head[b"x-forwarded-proto"], b"https")
        self.assertEqual(head[b"x-forwarded-host"], b"w")
        self.assertEqual(head[b"x-request-id"], b"mine")
        self.assertNotIn(b"x-tenant-id", head)

    def test_no_route_says_who_was_verified(self) -> None:
        """Edits of a header that was made an identity header later have no effect."""
        edits = {"set": {"x_org": "evil", "X-Org": "evil", "X-Ok": "1"}, "remove": ["X-User-Id"]}
        sent = self.forward(
            GET,
            route(policies={"request_headers": edits}),
            tenant("acme", hosts=["example.com"]),
            setting("identity_headers", {"tenant": "X-Org"}),
        )
        self.assertEqual(sent.lower().count(b"x-org: acme"), 1)
        self.assertNotIn(b"evil", sent)
        self.assertIn(b"X-Ok: 1", sent)

    def test_identity_headers_are_configurable(self) -> None:
        """What carries an identity is a setting, and the tenant is told by it."""
        sent = self.forward(
            b"GET / HTTP/1.1\r\nHost: acme.example\r\nX-Org: acme\r\nX-Tenant-Id: own\r\n\r\n",
            setting("identity_headers", {"tenant": "X-Org"}),
            tenant("acme", hosts=["acme.example"]),
        )
        head = head_of(sent)
        self.assertEqual(head[b"x-org"], b"acme")
        self.assertEqual(head[b"x-tenant-id"], b"own")

    def test_host_header_follows_the_service(self) -> None:
        """A service gets the client's host, its instance's, or a name of its own."""
        for mode, host in [
            ("client", b"h"),
            ("instance", b"192.0.2.1:8080"),
            ("name.example", b"name.example"),
        ]:
            sent = self.forward(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", service(host_header=mode))
            self.assertEqual(head_of(sent)[b"host"], host)

    def test_host_header_of_a_route_goes_before_the_service_s(self) -> None:
        """Whatever that is."""
        edit = route(policies={"host_header": {"value": "other.example:81"}})
        for mode in ("client", "instance", "name.example"):
            raw = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
            sent = self.forward(raw, service(host_header=mode), edit)
            self.assertEqual(head_of(sent)[b"host"], b"other.example:81")

    def test_request_without_host_names_the_instance(self) -> None:
        """HTTP/1.0 needs no Host; HTTP/1.1, which we speak to instances, does."""
        sent = self.forward(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(head_of(sent)[b"host"], b"192.0.2.1:8080")

    def test_path_is_edited(self) -> None:
        """A prefix is stripped and another put before it; the query stays."""
        edit = route(policies={"path": {"strip": "/api", "prefix": "/v2"}})
        sent = self.forward(b"GET /api/x?y=%2e HTTP/1.1\r\nHost: h\r\n\r\n", edit)
        self.assertTrue(sent.startswith(b"GET /v2/x?y=%2e HTTP/1.1\r\n"))

    def test_absolute_target_becomes_a_path(self) -> None:
        """The absolute form is for us; an instance gets the origin form."""
        sent = self.forward(b"GET http://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertTrue(sent.startswith(b"GET /a?b HTTP/1.1\r\nHost: h\r\n"))

    def test_headers_are_edited(self) -> None:
        """A route removes, sets and adds request headers."""
        edits = {"remove": ["Cookie"], "set": {"X-A": "1"}, "add": {"X-B": "2"}}
        sent = self.forward(
            b"GET / HTTP/1.1\r\nHost: h\r\nCookie: c\r\nX-A: 0\r\nX-B: 0\r\n\r\n",
            route(policies={"request_headers": edits}),
        )
        head = head_of(sent)
        self.assertEqual((head[b"x-a"], head[b"x-b"]), (b"1", b"0, 2"))
        self.assertNotIn(b"cookie", head)

    def test_empty_and_odd_values_pass(self) -> None:
        """Empty values, UTF-8 and Latin-1 go through byte for byte, without white space around."""
        sent = self.forward(
            b"GET / HTTP/1.1\r\nHost: h\r\nX-Empty:\r\nX-Utf: \xc3\xa9\r\nX-L: \xe9 \t\r\n\r\n"
        )
        head = head_of(sent)
        self.assertEqual(
            (head[b"x-empty"], head[b"x-utf"], head[b"x-l"]), (b"", b"\xc3\xa9", b"\xe9")
        )


class RequestBodyTests(RigCase):
    """Bodies on their way to the instance."""

    def test_body_with_a_length_is_forwarded_as_it_comes(self) -> None:
        """A body keeps its length, and a piece leaves when it has arrived."""
        rig = self.rig()
        client = rig.ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
        self.assertFalse(client.is_reading)
        upstream = rig.accept()
        self.assertTrue(client.is_reading)
        self.assertEqual(head_of(upstream.sent)[b"content-length"], b"10")
        self.assertEqual(body_of(upstream.take()), b"12345")
        client.deliver(b"678")
        self.assertEqual(upstream.take(), b"678")
        client.deliver(b"90")
        self.assertEqual(upstream.take(), b"90")
        upstream.deliver(OK)
        self.assertEqual(status_of(client.sent), 200)
        self.assertIsNone(client.ended)

    def test_chunks_are_made_anew(self) -> None:
        """A chunked body is decoded and encoded again: without extensions, what came together as one."""
        rig = self.rig()
        client = rig.ask(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n")
        upstream = rig.accept()
        self.assertEqual(head_of(upstream.take())[b"transfer-encoding"], b"chunked")
        client.deliver(b"3;a=b\r\nabc\r\n2\r\nde")
        client.deliver(b"\r\n0\r\nX-Trailer: 1\r\n\r\n")
        self.assertEqual(upstream.take(), b"5\r\nabcde\r\n0\r\nX-Trailer: 1\r\n\r\n")
        upstream.deliver(OK)
        self.assertIsNone(client.ended)

    def test_no_body_is_invented(self) -> None:
        """A request without a body gets no framing; one with an empty body keeps its own."""
        bare = head_of(self.forward(b"POST / HTTP/1.1\r\nHost: h\r\n\r\n"))
        self.assertNotIn(b"content-length", bare)
        self.assertNotIn(b"transfer-encoding", bare)
        empty = head_of(self.forward(b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"))
        self.assertEqual(empty[b"content-length"], b"0")

    def test_body_of_a_get_is_forwarded(self) -> None:
        """A body belongs to its request, whatever the method."""
        sent = self.forward(b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
        self.assertEqual(body_of(sent), b"abc")

    def test_broken_chunks_are_refused(self) -> None:
        """A chunk that is none ends the exchange with 400, and the instance's connection."""
        rig = self.rig()
        client = rig.ask(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        upstream = rig.accept()
        client.deliver(b"0x5\r\nabcde\r\n")
        self.assertEqual(status_of(client.sent), 400)
        self.assertEqual(head_of(client.sent)[b"x-gateway-error"], b"malformed_request_body")
        self.assertEqual(upstream.ended, "aborted")
        self.assertEqual(client.ended, "half-closed")

    def test_large_body_is_refused_by_its_length(self) -> None:
        """A length over the limit is answered with 413 before anybody is asked."""
        limit = route(policies={"limits": {"max_request_body": 10}})
        for length, status in [(10, None), (11, 413)]:
            rig = self.rig(limit)
            client = rig.ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length)
            self.assertEqual(status_of(client.sent) if client.sent else None, status)
            self.assertEqual(len(rig.dials), 0 if status else 1)

    def test_large_body_is_refused_while_it_streams(self) -> None:
        """A chunked body is counted, and refused at the byte over the limit."""
        rig = self.rig(route(policies={"limits": {"max_request_body": 4}}))
        client = rig.ask(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        upstream = rig.accept()
        client.deliver(b"4\r\nabcd\r\n")
        self.assertEqual(client.sent, b"")
        client.deliver(b"1\r\ne\r\n")
        self.assertEqual(status_of(client.sent), 413)
        self.assertEqual(upstream.ended, "aborted")

    def test_expect_is_the_instances_to_answer(self) -> None:
        """Expect is forwarded, 100 is relayed, and then the body."""
        rig = self.rig()
        client = rig.ask(
            b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
        )
        upstream = rig.accept()
        self.assertEqual(head_of(upstream.take())[b"expect"], b"100-continue")
        upstream.deliver(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(client.take(), b"HTTP/1.1 100 Continue\r\n\r\n")
        client.deliver(b"ab")
        self.assertEqual(upstream.take(), b"ab")
        upstream.deliver(OK)
        self.assertEqual(status_of(client.sent), 200)
        self.assertIsNone(client.ended)

    def test_refused_expectation_spares_the_body(self) -> None:
        """An instance that answers at once is not sent the body, nor asked anything again."""
        rig = self.rig()
        client = rig.ask(
            b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        upstream = rig.accept()
        upstream.deliver(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(status_of(client.sent), 403)
        self.assertEqual(head_of(client.sent)[b"connection"], b"close")
        self.assertEqual(client.ended, "half-closed")
        self.assertEqual(upstream.ended, "aborted")

    def test_other_expectations_fail(self) -> None:
        """Nothing but 100-continue can be expected."""
        sent = self.forward(b"GET / HTTP/1.1\r\nHost: h\r\nExpect: y 100-continue\r\n\r\n")
        self.assertEqual(status_of(sent), 417)


class AnswerTests(RigCase):
    """What a client is sent."""

    def test_answer_is_relayed(self) -> None:
        """Status, reason, headers and body of the instance reach the client."""
        sent = self.answer(
            b"HTTP/1.1 234 Odd One\r\nDate: d\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
            b"Content-Length: 2\r\nKeep-Alive: 5\r\nAlt-Svc: x\r\nConnection: X-Mine\r\nX-Mine: 1\r\n\r\nhi"
        )
        self.assertEqual(
            sent,
            b"HTTP/1.1 234 Odd One\r\nDate: d\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
            b"Content-Length: 2\r\n\r\nhi",
        )

    def test_undated_answer_is_dated(self) -> None:
        """An answer without a Date gets one (RFC 9110, 6.6.1)."""
        self.assertIn(
            b"date", head_of(self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
        )

    def test_chunked_answer_is_chunked_anew(self) -> None:
        """Chunks are made anew, extensions dropped."""
        sent = self.answer(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n0\r\nT: 1\r\n\r\n"
        )
        self.assertEqual(head_of(sent)[b"transfer-encoding"], b"chunked")
        self.assertEqual(body_of(sent), b"2\r\nab\r\n0\r\nT: 1\r\n\r\n")

    def test_pieces_are_passed_on_as_they_come(self) -> None:
        """Neither a head nor a piece of a body waits for the next."""
        rig = self.rig()
        client = rig.ask()
        upstream = rig.accept()
        upstream.deliver(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        self.assertEqual(head_of(client.take())[b"transfer-encoding"], b"chunked")
        upstream.deliver(b"data: 1\n\n")
        self.assertEqual(client.take(), b"9\r\ndata: 1\n\n\r\n")
        upstream.lose()
        self.assertEqual(client.take(), b"0\r\n\r\n")
        self.assertIsNone(client.ended)

    def test_old_client_gets_no_chunks(self) -> None:
        """HTTP/1.0 knows no chunks: the end of the connection is the end of the body."""
        rig = self.rig()
        client = rig.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        rig.accept().deliver(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
        )
        self.assertEqual(body_of(client.sent), b"ab")
        self.assertEqual(head_of(client.sent)[b"connection"], b"close")
        self.assertEqual(client.ended, "closed")

    def test_old_client_may_keep_its_connection(self) -> None:
        """An HTTP/1.0 client that asks for it is served again."""
        rig = self.rig()
        client = rig.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        rig.accept().deliver(OK)
        self.assertEqual(head_of(client.sent)[b"connection"], b"keep-alive")
        self.assertIsNone(client.ended)

    def test_answer_to_head_has_a_length_and_no_body(self) -> None:
        """HEAD gets the headers of the GET, and the connections go on."""
        rig = self.rig()
        client = rig.ask(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        upstream = rig.accept()
        upstream.deliver(b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 99\r\n\r\n")
        self.assertEqual(client.take(), b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 99\r\n\r\n")
        client.deliver(GET)
        upstream.deliver(OK)
        self.assertEqual(body_of(client.take()), b"ok")

    def test_answers_without_bodies_have_none(self) -> None:
        """204 and 304 end with their heads."""
        for status, lengths in [(204, b""), (304, b"Content-Length: 7\r\n")]:
            sent = self.answer(b"HTTP/1.1 %d X\r\nDate: d\r\nContent-Length: 7\r\n\r\n" % status)
            self.assertEqual(sent, b"HTTP/1.1 %d X\r\nDate: d\r\n%b\r\n" % (status, lengths))

    def test_interim_answers_are_relayed(self) -> None:
        """Early hints arrive before the answer, and their headers stay theirs."""
        sent = self.answer(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK)
        hints, _, rest = sent.partition(b"\r\n\r\n")
        self.assertEqual(hints, b"HTTP/1.1 103 Early Hints\r\nLink: x")
        self.assertNotIn(b"link", head_of(rest))

    def test_interim_answers_are_counted_as_sent(self) -> None:
        """Every byte that a client gets is."""
        rig = self.rig()
        client = rig.ask()
        rig.accept().deliver(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK)
        self.assertEqual(rig.counters()["bytes_sent"], len(client.sent))

    def test_hundred_continue_nobody_expects_is_dropped(self) -> None:
        """A client that did not ask gets no 100."""
        self.assertEqual(status_of(self.answer(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)), 200)

    def test_answer_headers_are_edited(self) -> None:
        """A route removes and sets response headers."""
        edits = {"remove": ["Server"], "set": {"X-A": "1"}}
        sent = self.answer(
            b"HTTP/1.1 200 OK\r\nServer: s\r\nX-A: 0\r\nContent-Length: 0\r\n\r\n",
            GET,
            route(policies={"response_headers": edits}),
        )
        head = head_of(sent)
        self.assertNotIn(b"server", head)
        self.assertEqual(head[b"x-a"], b"1")

    def test_worker_names_itself_when_asked_to(self) -> None:
        """With the debugging setting, answers say who gave them, by which revision."""
        rig = self.rig(worker_header=True)
        client = rig.ask()
        rig.accept().deliver(OK)
        head = head_of(client.sent)
        self.assertEqual(head[b"x-gateway-worker"], b"w1")
        self.assertEqual(head[b"x-gateway-revision"], b"1")


class PlanTests(RigCase):
    """Routes that answer by themselves, and splits."""

    def test_redirect(self) -> None:
        """A redirect names its place with the request's path and query."""
        rig = self.rig(
            answering_route(
                "r2",
                "/old/{**rest}",
                redirect={"status": 308, "location": "https://new.example{path}{query}"},
            )
        )
        client = rig.ask(b"GET /old/x?y HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual(status_of(client.sent), 308)
        self.assertEqual(head_of(client.sent)[b"location"], b"https://new.example/old/x?y")
        self.assertEqual(head_of(client.sent)[b"content-length"], b"0")

    def test_redirect_to_an_edited_path(self) -> None:
        """On the same host, without its port."""
        redirect = {
            "status": 302,
            "location": "https://{hostname}{path}{query}",
            "path": {"strip": "/old", "prefix": "/new"},
        }
        rig = self.rig(answering_route("r2", "/old/{**rest}", redirect=redirect))
        client = rig.ask(b"GET /old/x?y HTTP/1.1\r\nHost: H.example:80\r\n\r\n")
        self.assertEqual(head_of(client.sent)[b"location"], b"https://h.example/new/x?y")

    def test_fixed_response(self) -> None:
        """A fixed response has its status, headers and body; a HEAD gets no body."""
        fixed = answering_route(
            "r2", "/hi", respond={"status": 418, "headers": {"X-A": "1"}, "body": "short"}
        )
        client = self.rig(fixed).ask(b"GET /hi HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual(status_of(client.sent), 418)
        self.assertEqual(head_of(client.sent)[b"x-a"], b"1")
        self.assertEqual(body_of(client.sent), b"short")
        client = self.rig(fixed).ask(b"HEAD /hi HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual(head_of(client.sent)[b"content-length"], b"5")
        self.assertEqual(body_of(client.sent), b"")

    def test_split_shares_out_exactly(self) -> None:
        """A split sends each service its share of a cycle."""
        rig = Rig(
            service("a"),
            service("b"),
            instance("ia", service_id="a", address="http://192.0.2.1:1"),
            instance("ib", service_id="b", address="http://192.0.2.1:2"),
            route(service_id=None, split={"a": 3, "b": 1}),
        )
        self.addCleanup(rig.close)
        for _ in range(8):
            rig.ask()
        ports = [port for _, port in rig.dials]
        self.assertEqual((ports.count(1), ports.count(2)), (6, 2))

    def test_tenants_own_route_and_instance_are_used(self) -> None:
        """A tenant, known by its host, gets its route and its dedicated instance."""
        rig = Rig(
            *plain(),
            tenant("acme", hosts=["acme.example"]),
            instance("own", tenant_id="acme", address="http://192.0.2.9:9"),
        )
        self.addCleanup(rig.close)
        rig.ask(b"GET / HTTP/1.1\r\nHost: acme.example\r\n\r\n")
        rig.ask()
        self.assertEqual([host for host, _ in rig.dials], ["192.0.2.9", "192.0.2.1"])


class ProblemTests(RigCase):
    """Answers to requests that go nowhere."""

    def assert_problem(self, sent: bytes, status: int, code: str) -> None:
        self.assertEqual(status_of(sent), status, sent)
        head = head_of(sent)
        self.assertEqual(head[b"x-gateway-error"], code.encode())
        self.assertEqual(head[b"content-type"], b"application/problem+json")
        document = json.loads(body_of(sent))
        self.assertEqual(document["status"], status)
        self.assertEqual(document["code"], code)
        self.assertEqual(document["request_id"].encode(), head[b"x-request-id"])

    def test_no_configuration(self) -> None:
        """Before its first configuration the gateway says that it has none."""
        rig = Rig()
        self.addCleanup(rig.close)
        self.assert_problem(rig.ask().sent, 503, "no_configuration")

    def test_no_route(self) -> None:
        """A request that no route takes is answered, and its connection lives on."""
        rig = self.rig(route(hosts=["other.example"]))
        client = rig.ask()
        self.assert_problem(client.sent, 404, "no_route")
        self.assertIsNone(client.ended)

    def test_no_service_and_no_instance(self) -> None:
        """A route to nowhere is 503, and says which nowhere."""
        self.assert_problem(self.rig(route(service_id="no")).ask().sent, 503, "no_service")
        self.assert_problem(self.rig(service(enabled=False)).ask().sent, 503, "no_service")
        rig = self.rig(instance(state="maintenance"))
        self.assert_problem(rig.ask().sent, 503, "no_instance")

    def test_malformed_request(self) -> None:
        """What is no request is answered with 400, and nothing after it is read."""
        client = self.rig().ask(b"GET / HTTP/1.1\r\nHost: h\r\nbad\r\n\r\nGET / HTTP/1.1\r\n")
        self.assert_problem(client.sent, 400, "malformed_request")
        self.assertEqual(client.ended, "half-closed")

    def test_refused_methods(self) -> None:
        """CONNECT and TRACE are refused, what is no method of HTTP is unknown."""
        for line, status, code in [
            (b"CONNECT a:1", 405, "method_refused"),
            (b"TRACE /", 405, "method_refused"),
            (b"FOO /", 501, "method_unknown"),
            (b"get /", 400, "malformed_request"),
        ]:
            client = self.rig().ask(line + b" HTTP/1.1\r\nHost: a:1\r\n\r\n")
            self.assert_problem(client.sent, status, code)

    def test_errors_reflect_nothing(self) -> None:
        """Nothing of the request is in the answer to a bad one."""
        client = self.rig(route(hosts=["x.example"])).ask(
            b"GET /<script> HTTP/1.1\r\nHost: evil.example\r\n\r\n"
        )
        self.assertNotIn(b"evil", client.sent)
        self.assertNotIn(b"script", client.sent)
        self.assertEqual(head_of(client.sent)[b"x-content-type-options"], b"nosniff")
