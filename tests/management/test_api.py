"""The operations of the management API, through an HTTP client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from treq.testing import StubTreq
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.configsource.reading import SourceError
from fengling_gateway.management.api import ManagementApi
from fengling_gateway.management.openapi import document
from fengling_gateway.model.entity import Key, canonical
from fengling_gateway.model.management_tokens import ADMIN, READ, WRITE
from tests.management.fake_gateway import FakeGateway, resource, some_bodies, token
from tests.management.raw_http import ask_raw

JSON = {b"content-type": b"application/json"}


class ImpatientClock(Clock):
    """A clock for whose user time flies."""

    def seconds(self) -> float:
        self.rightNow += 1.0
        return super().seconds()


class ApiTests(SynchronousTestCase):
    """What is answered to whom is allowed to ask."""

    def setUp(self) -> None:
        self.gateway = FakeGateway()
        self.treq = StubTreq(resource(self.gateway))

    def ask(
        self,
        method: str,
        path: str,
        *,
        scope: str = WRITE,
        body: Any = None,
        headers: dict[bytes, bytes] | None = None,
    ) -> tuple[int, Any]:
        """Return the status and the document answered."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
        all_headers = {b"authorization": b"Bearer " + token(scope).encode(), **(headers or JSON)}
        response = self.successResultOf(
            self.treq.request(method, f"http://gateway{path}", headers=all_headers, data=data)
        )
        content = self.successResultOf(self.treq.content(response))
        return response.code, json.loads(content) if content else None

    def test_status_is_what_the_gateway_says(self) -> None:
        """GET status."""
        status, answer = self.ask("GET", "/api/gateway/status", scope=READ)
        self.assertEqual((status, answer["node"]), (200, "n1"))

    def test_workers_are_those_of_every_node(self) -> None:
        """All by default, with whether that is complete."""
        self.gateway.fleet_answer = {"complete": False, "reason": "Redis", "workers": []}
        self.assertEqual(self.ask("GET", "/api/gateway/workers"), (200, self.gateway.fleet_answer))

    def test_workers_of_this_node_on_request(self) -> None:
        """``node=self`` asks nobody else."""
        status, answer = self.ask("GET", "/api/gateway/workers?node=self")
        self.assertEqual((status, answer["workers"]), (200, [{"worker": "w0"}]))

    def test_a_list_comes_in_pages(self) -> None:
        """``next`` of a page is ``after`` of the following one; the last has none."""
        self.gateway.served = some_bodies(routes=5)
        ids, after = [], ""
        for _ in range(3):
            _, answer = self.ask("GET", f"/api/gateway/routes?limit=2{after}")
            ids.append([route["id"] for route in answer["items"]])
            after = f"&after={answer['next']}"
        self.assertEqual(ids, [["r0", "r1"], ["r2", "r3"], ["r4"]])
        self.assertIsNone(answer["next"])

    def test_an_instance_is_shown_with_its_health(self) -> None:
        """What the health checker said, or that it said nothing."""
        _, answer = self.ask("GET", "/api/gateway/instances/i1")
        self.assertEqual(answer["health"], {"health": "unknown", "reason": None})
        self.gateway.served[Key("instance_health", "i1")] = canonical(
            {"id": "i1", "health": "unhealthy", "reason": "refused"}
        )
        _, answer = self.ask("GET", "/api/gateway/instances/i1")
        self.assertEqual(answer["health"], {"health": "unhealthy", "reason": "refused"})

    def test_an_instance_is_shown_with_what_keeps_it_from_being_used(self) -> None:
        """Before anybody wonders why it gets no requests."""
        self.gateway.served[Key("instance", "i2")] = canonical(
            {"id": "i2", "address": "http://127.0.0.1:80"}
        )
        _, page = self.ask("GET", "/api/gateway/instances")
        self.assertEqual([one["refused"] for one in page["items"]], [None, "no"])

    def test_a_secret_is_shown_without_its_value(self) -> None:
        """Where it is, or what it is encrypted with."""
        value = "aes256gcm:2026-11:" + "A" * 80
        self.gateway.served = {
            Key("secret", name): canonical({"id": name, "name": "", "value": text})
            for name, text in (("a", value), ("b", "file:/run/b.key"))
        }
        _, page = self.ask("GET", "/api/gateway/secrets", scope=READ)
        self.assertEqual(
            page["items"],
            [
                {"id": "a", "name": "", "reference": None, "key": "2026-11"},
                {"id": "b", "name": "", "reference": "file:/run/b.key", "key": None},
            ],
        )
        self.assertEqual(self.ask("GET", "/api/gateway/secrets/a")[1], page["items"][0])

    def test_a_rejected_entity_is_404_with_the_reason(self) -> None:
        """Who looks for it learns why it is not there."""
        problems = [{"path": "route bad: path", "code": "template", "message": "no"}]
        self.gateway.rejections = [
            {"kind": "route", "id": "bad", "serving": "nothing", "problems": problems}
        ]
        status, answer = self.ask("GET", "/api/gateway/routes/bad")
        self.assertEqual((status, answer["problems"]), (404, problems))
        self.assertEqual(self.ask("GET", "/api/gateway/routes/other")[0], 404)

    def test_what_is_rejected_comes_in_pages(self) -> None:
        """By kind and id, whatever the id: what is rejected may have an odd one."""
        keys = [("instance", "i"), ("route", "a/b c"), ("route", "z"), ("service", "s")]
        self.gateway.rejections = [{"kind": kind, "id": name} for kind, name in keys]
        status, answer = self.ask("GET", "/api/gateway/rejected?limit=2", scope=READ)
        self.assertEqual((status, answer["next"]), (200, "route/a/b c"))
        status, rest = self.ask("GET", "/api/gateway/rejected?limit=2&after=route/a/b%20c")
        found = [(one["kind"], one["id"]) for one in answer["items"] + rest["items"]]
        self.assertEqual((found, rest["next"]), (keys, None))
        self.assertEqual(self.ask("GET", "/api/gateway/rejected?after=route")[0], 422)

    def test_reload_passes_on_how_to_wait(self) -> None:
        """Comment, wait and timeout reach the gateway; without a wait it is 202."""
        path = "/api/gateway/reload?wait=all&timeout=250ms"
        self.assertEqual(self.ask("POST", path, body={"comment": "canary"})[0], 200)
        self.assertEqual(self.ask("POST", "/api/gateway/reload?wait=none")[0], 202)
        self.assertEqual(
            self.gateway.asked,
            [("reload", "canary", "all", 0.25), ("reload", None, "none", 5.0)],
        )

    def test_a_reload_that_does_not_converge_is_504(self) -> None:
        """The workers that are behind are named."""
        self.gateway.reload_answer = {"behind": ["n2/w1"], "complete": True}
        status, answer = self.ask("POST", "/api/gateway/reload?wait=all")
        self.assertEqual((status, answer["behind"]), (504, ["n2/w1"]))

    def test_a_reload_without_the_source_is_503(self) -> None:
        """What is served is served on, but nobody can say that it is the newest."""
        self.gateway.reload_answer = {"behind": [], "source_answered": False}
        status, answer = self.ask("POST", "/api/gateway/reload")
        self.assertEqual((status, answer["code"]), (503, "source_unavailable"))

    def test_confirm_names_its_author(self) -> None:
        """The token's subject is the author; it can't be chosen in the body."""
        status, _ = self.ask("POST", "/api/gateway/confirm", body={"revision": 412})
        self.assertEqual((status, self.gateway.asked), (200, [("confirm", 412, "ops")]))

    def test_drain_and_restart_are_for_admins(self) -> None:
        """Who asked for it is on record, and whether it was done."""
        for name, body in (("drain", {"on": True}), ("restart", {})):
            status, answer = self.ask("POST", f"/api/gateway/{name}", body=body)
            self.assertEqual((status, answer["code"]), (403, "insufficient_scope"))
        self.assertEqual(self.gateway.asked, [])
        for on in (True, False):
            answer = self.ask("POST", "/api/gateway/drain", scope=ADMIN, body={"on": on})
            self.assertEqual(answer, (200, {"drained": on}))
        answer = self.ask("POST", "/api/gateway/restart", scope=ADMIN)
        self.assertEqual(answer, (200, {"restarting": True, "restarts": 1}))
        asked = [("drain", True, "ops"), ("drain", False, "ops"), ("restart",)]
        self.assertEqual(self.gateway.asked, asked)
        _, audit = self.ask("GET", "/api/gateway/audit", scope=ADMIN)
        changes = [
            (one["what"], one["outcome"]) for one in audit["items"] if one["event"] == "change"
        ]
        self.assertEqual(
            changes, [("restart", "done"), ("drain off", "done"), ("drain on", "done")]
        )

    def test_drain_says_whether(self) -> None:
        """Nothing is guessed."""
        for body in ({}, {"on": 1}, {"on": "true"}, {"on": None}, {"on": True, "node": "n2"}):
            status, _ = self.ask("POST", "/api/gateway/drain", scope=ADMIN, body=body)
            self.assertEqual(status, 422, body)
        status, _ = self.ask("POST", "/api/gateway/restart", scope=ADMIN, body={"on": True})
        self.assertEqual(status, 422)
        self.assertEqual(self.gateway.asked, [])

    def test_restart_of_nothing_is_a_conflict(self) -> None:
        """With one worker there is nothing to replace."""
        self.gateway.failure = ValueError("the only worker")
        status, answer = self.ask("POST", "/api/gateway/restart", scope=ADMIN)
        self.assertEqual((status, answer["detail"]), (409, "the only worker"))

    def test_names_are_those_of_each_worker(self) -> None:
        """Each resolves for itself."""
        name = {
            "name": "orders",
            "addresses": ["10.0.0.1"],
            "age_s": 2.0,
            "ttl_s": 30.0,
            "last_error": None,
        }
        self.gateway.worker_names = {"w1/8": [], "w0/7": [name]}
        status, answer = self.ask("GET", "/api/gateway/names", scope=READ)
        self.assertEqual(status, 200)
        workers = [{"worker": "w0/7", "names": [name]}, {"worker": "w1/8", "names": []}]
        self.assertEqual(answer, {"workers": workers})

    def test_pins_are_for_admins_and_on_record(self) -> None:
        """They decide what everybody is served."""
        for path in ("pin", "unpin"):
            status, _ = self.ask("POST", f"/api/gateway/{path}", scope=WRITE, body={})
            self.assertEqual(status, 403)
        self.assertEqual(self.gateway.asked, [])
        body = {"revision": 7, "all": True, "comment": "it burns"}
        self.assertEqual(self.ask("POST", "/api/gateway/pin", scope=ADMIN, body=body)[0], 200)
        self.assertEqual(self.ask("POST", "/api/gateway/unpin", scope=ADMIN, body={})[0], 200)
        pinned, unpinned = self.gateway.asked
        self.assertEqual(
            (pinned[:3], pinned[4], unpinned[:2]), (("pin", 7, True), "it burns", ("unpin", False))
        )
        _, audit = self.ask("GET", "/api/gateway/audit", scope=ADMIN)
        whats = {one["what"] for one in audit["items"] if one["event"] == "change"}
        self.assertEqual(whats, {"pin 7 everywhere", "unpin"})

    def test_what_processes_do_is_for_admins(self) -> None:
        """Stacks tell of the inside."""
        status, answer = self.ask("GET", "/api/gateway/debug", scope=WRITE)
        self.assertEqual((status, answer["code"]), (403, "insufficient_scope"))
        status, answer = self.ask("GET", "/api/gateway/debug", scope=ADMIN)
        self.assertEqual((status, answer["node"]), (200, "n1"))

    def test_explain_needs_reading_only(self) -> None:
        """It changes nothing."""
        request = {"method": "GET", "host": "a.example", "path": "/x", "headers": {"a": "b"}}
        request["route"] = "r2"
        status, answer = self.ask("POST", "/api/gateway/explain", scope=READ, body=request)
        self.assertEqual((status, answer), (200, {"route": "r1"}))
        self.assertEqual(self.gateway.asked, [("explain", request)])

    def test_writing_needs_its_scope(self) -> None:
        """403 names the scope that is missing."""
        status, answer = self.ask("POST", "/api/gateway/reload", scope=READ)
        self.assertEqual((status, answer["code"]), (403, "insufficient_scope"))
        self.assertIn("gateway:write", answer["detail"])

    def test_a_failing_source_is_503(self) -> None:
        """Its reason is passed on: it is one line for operators."""
        self.gateway.failure = SourceError("the database is away")
        status, answer = self.ask("POST", "/api/gateway/confirm", body={"revision": 1})
        self.assertEqual((status, answer["detail"]), (503, "the database is away"))

    def test_mistake_of_ours_is_no_answer(self) -> None:
        """A key that is missing somewhere is a fault, and its text nobody's business."""
        self.gateway.failure = KeyError("hunter2")
        status, answer = self.ask("GET", "/api/gateway/status")
        self.assertEqual((status, answer["code"]), (500, "internal_error"))
        self.assertNotIn("hunter2", str(answer))
        self.flushLoggedErrors(KeyError)

    def test_no_worker_to_explain_is_503(self) -> None:
        """Without a serving worker there is nobody to ask."""
        self.gateway.failure = LookupError("no worker serves yet")
        self.assertEqual(self.ask("POST", "/api/gateway/explain", body={"path": "/"})[0], 503)

    def test_a_fault_of_ours_tells_nothing(self) -> None:
        """500 without the exception's text; the log has it."""
        self.gateway.failure = RuntimeError("password=canary")
        status, answer = self.ask("GET", "/api/gateway/status")
        self.assertEqual((status, answer["code"]), (500, "internal_error"))
        self.assertNotIn("canary", json.dumps(answer))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_failure_is_found_in_the_log_by_its_request(self) -> None:
        """Ours and the source's; so is who asked for what."""
        with capturedLogs() as events:
            for error in (RuntimeError("fault"), SourceError("away")):
                self.gateway.failure = error
                headers = {**JSON, b"x-request-id": b"trace-1"}
                _, answer = self.ask(
                    "POST", "/api/gateway/confirm", body={"revision": 1}, headers=headers
                )
                self.assertEqual(answer["request_id"], "trace-1")
        self.flushLoggedErrors(RuntimeError)
        said = [formatEvent(event) for event in events]
        self.assertEqual(
            [line for line in said if line.startswith("management: /")],
            [
                "management: /api/gateway/confirm failed (request trace-1)",
                "management: /api/gateway/confirm: source_unavailable: away (request trace-1)",
            ],
        )
        self.assertTrue(any("confirm 1 by ops" in line and "trace-1" in line for line in said))

    def test_a_wrong_method_says_which_are_right(self) -> None:
        """405 with Allow, as a problem document."""
        for method, path in (("DELETE", "/api/gateway/status"), ("POST", "/api/gateway/routes")):
            self.assertEqual(self.ask(method, path)[1]["code"], "method_not_allowed")
        answer = ask_raw(
            resource(self.gateway),
            b"/api/gateway/reload",
            headers=(b"Authorization: Bearer " + token(WRITE).encode(),),
        )
        self.assertEqual((answer.status, answer.headers[b"allow"]), (405, b"POST"))

    def test_readiness_is_503_when_it_is_not(self) -> None:
        """With the reason in the body."""
        self.gateway.is_ready = False
        self.assertEqual(self.ask("GET", "/readyz")[0], 503)
        self.assertEqual(self.ask("GET", "/livez"), (200, {"live": True}))

    def test_metrics_are_rendered_in_slices(self) -> None:
        """Other requests, and changes of the configuration, get their turn in between."""
        clock = ImpatientClock()
        treq = StubTreq(resource(self.gateway, clock))
        asked = treq.get("http://gateway/metrics")
        self.assertNoResult(asked)
        while clock.getDelayedCalls():
            clock.advance(0)
            treq.flush()
        text = self.successResultOf(treq.content(self.successResultOf(asked)))
        self.assertIn(b"fengling_config_revision 412.0", text)

    def test_unknown_parameters_are_refused(self) -> None:
        """A typo that is ignored looks like success."""
        for path in (
            "/api/gateway/status?wait=all",
            "/api/gateway/routes?limit=0",
            "/api/gateway/routes?limit=1001",
            "/api/gateway/routes?limit=000000100999999",
            "/api/gateway/routes?limit=1&limit=2",
            "/api/gateway/routes?limit=%C2%B2",
            "/api/gateway/routes?after=%00",
            "/api/gateway/workers?node=other",
        ):
            self.assertEqual(self.ask("GET", path)[0], 422, path)
        for query in ("wait=some", "timeout=5m", "timeout=61", "timeout=-1", "timeout=nan"):
            self.assertEqual(self.ask("POST", f"/api/gateway/reload?{query}")[0], 422, query)
        self.assertEqual(self.gateway.asked, [])


BAD_BODIES = {
    "no JSON": (b"{", 400),
    "duplicate name": (b'{"revision": 1, "revision": 2}', 400),
    "deep": (b"[" * 5000 + b"]" * 5000, 400),
    "deep objects": (b'{"a":' * 1000 + b"1" + b"}" * 1000, 400),
    "NUL": (b'{"revision": "\\u0000"}', 400),
    "raw NUL": (b'{"revision": 1}\0', 400),
    "NaN": (b'{"revision": NaN}', 400),
    "huge number": (b'{"revision": 1e999}', 422),
    "huge integer": (b'{"revision": ' + b"9" * 5000 + b"}", 400),
    "not UTF-8": (b'{"revision": "\xff"}', 400),
    "no object": (b"[1]", 422),
    "boolean": (b'{"revision": true}', 422),
    "text": (b'{"revision": "412"}', 422),
    "negative": (b'{"revision": -1}', 422),
    "null": (b'{"revision": null}', 422),
    "unknown field": (b'{"revision": 1, "force": true}', 422),
    "nothing": (b"{}", 422),
    "empty": (b" ", 422),
    "large": (b'{"revision": 1' + b" " * 70_000 + b"}", 413),
    "far too large": (b"x" * 1_000_000, 413),
}


@pytest.mark.parametrize(("body", "status"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_bad_body_is_refused_in_time(body: bytes, status: int) -> None:
    """Each gets the status that fits, and none reaches the gateway."""
    gateway = FakeGateway()
    answer = ask_raw(
        resource(gateway),
        b"/api/gateway/confirm",
        method=b"POST",
        body=body,
        headers=(
            b"Authorization: Bearer " + token(WRITE).encode(),
            b"Content-Type: application/json",
        ),
    )
    assert (answer.status, gateway.asked) == (status, [])


def test_a_body_of_another_type_is_refused() -> None:
    """A web page can't send JSON to us without being asked first."""
    answer = ask_raw(
        resource(FakeGateway()),
        b"/api/gateway/confirm",
        method=b"POST",
        body=b'{"revision": 1}',
        headers=(b"Authorization: Bearer " + token(WRITE).encode(), b"Content-Type: text/plain"),
    )
    assert answer.status == 415


def test_the_document_has_every_operation() -> None:
    """What the app answers and what the OpenAPI document says are the same."""
    documented = {
        (method.upper(), path)
        for path, operations in document()["paths"].items()
        for method in operations
    }
    assert len(documented) == 43
    for method, path in documented:
        adapter = ManagementApi.app.url_map.bind("gateway")
        adapter.match(path.replace("{id}", "x"), method=method)


def test_the_document_is_served() -> None:
    """With a token, as JSON."""
    answer = ask_raw(
        resource(FakeGateway()),
        b"/api/gateway/openapi.json",
        headers=(b"Authorization: Bearer " + token().encode(),),
    )
    assert json.loads(answer.body)["openapi"] == "3.1.0"


def test_metrics_hold_what_the_gate_refused() -> None:
    """Rendered from the gateway's counters and the gate's own."""
    root = resource(FakeGateway())
    ask_raw(root, b"/api/gateway/status")
    answer = ask_raw(root, b"/metrics")
    assert b'fengling_management_refusals_total{code="unauthorized"} 1.0' in answer.body
    assert b"fengling_config_revision 412.0" in answer.body
    assert answer.headers[b"content-type"].startswith(b"text/plain")
