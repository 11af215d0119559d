"""The operations of the management API. Who may ask at all is decided by the gate in front."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from klein import Klein
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException

from fengling_gateway.access.audit import AuditTrail
from fengling_gateway.access.granted import Access, access_of
from fengling_gateway.access.parameters import (
    is_boolean,
    is_headers,
    is_id,
    is_key,
    is_number,
    is_revision,
    json_body,
    no_other_parameters,
    page_limit,
    query_value,
    text_up_to,
    timeout_seconds,
)
from fengling_gateway.access.problems import ProblemError, request_id, write_problem
from fengling_gateway.access.tenancy import is_visible
from fengling_gateway.access.verifiers import as_kept
from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.operators import Operator
from fengling_gateway.http.problem import CONTENT_TYPE
from fengling_gateway.management import failures, listing
from fengling_gateway.management.gateway import ROUTE_SORTS, ManagedGateway
from fengling_gateway.management.openapi import document
from fengling_gateway.management.tap_request import FIELDS, tap_asked
from fengling_gateway.management.tap_stream import TapStream
from fengling_gateway.management.tapped import as_seen_by
from fengling_gateway.model.entity import Key
from fengling_gateway.model.management_tokens import ADMIN, WRITE
from fengling_gateway.observability.exposition import render_metrics

SLICE_SECONDS: Final = 0.008
"""How long rendering metrics may keep the reactor, give or take a piece."""

_LISTS: Final = ",".join(listing.KINDS)

_EXPLAIN_FIELDS: Final = {
    "method": text_up_to(32),
    "host": text_up_to(255),
    "path": text_up_to(8192),
    "query": text_up_to(8192),
    "listener": text_up_to(100),
    "peer": text_up_to(64),
    "headers": is_headers,
    "route": text_up_to(100),
}


_PIN_FIELDS: Final = {
    "revision": is_revision,
    "all": is_boolean,
    "comment": text_up_to(1000),
}


class ManagementApi:
    """The klein app over one gateway."""

    app = Klein()
    _log = Logger()

    def __init__(
        self,
        *,
        gateway: ManagedGateway,
        trail: AuditTrail,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        refusals: Counter[str],
    ) -> None:
        self._wall_clock = wall_clock
        self._gateway = gateway
        self._trail = trail
        self._clock = clock
        self._wall_clock = wall_clock
        self._refusals = refusals
        self._listing = listing.Listing(gateway.refusal)

    @app.route("/livez", methods=["GET"])
    def livez(self, request: Any) -> bytes:
        return _json(request, {"live": True})

    @app.route("/readyz", methods=["GET"])
    def readyz(self, request: Any) -> bytes:
        ready, reasons = self._gateway.ready()
        if not ready:
            request.setResponseCode(503)
        return _json(request, {"ready": ready, **reasons})

    @app.route("/metrics", methods=["GET"])
    async def metrics(self, request: Any) -> bytes:
        counters = await maybeDeferred(self._gateway.counters)
        pieces = []
        began = self._clock.seconds()
        for piece in self._rendered(counters):
            pieces.append(piece)
            if self._clock.seconds() - began >= SLICE_SECONDS:
                await deferLater(self._clock, 0)
                began = self._clock.seconds()
        return _sized(request, b"text/plain; version=0.0.4; charset=utf-8", b"".join(pieces))

    def _rendered(self, counters: Mapping[str, Any]) -> Iterator[bytes]:
        gateway = self._gateway
        return render_metrics(
            gateway.status(),
            counters,
            self._refusals,
            past=gateway.past_counters(),
            own=gateway.own_counters(),
            places=gateway.places,
        )

    @app.route("/api/gateway/openapi.json", methods=["GET"])
    def openapi(self, request: Any) -> bytes:
        no_other_parameters(request, set())
        return _json(request, document())

    @app.route("/api/gateway/status", methods=["GET"])
    def status(self, request: Any) -> bytes:
        access_of(request).require_all_tenants()
        no_other_parameters(request, set())
        return _json(request, self._gateway.status())

    @app.route("/api/gateway/workers", methods=["GET"])
    async def workers(self, request: Any) -> bytes:
        access_of(request).require_all_tenants()
        no_other_parameters(request, {"node"})
        whose = query_value(request, "node", "all", {"self", "all"}.__contains__, "self or all")
        if whose == "self":
            return _json(request, {"complete": True, "workers": self._gateway.workers()})
        return _json(request, await maybeDeferred(self._gateway.fleet))

    @app.route("/api/gateway/names", methods=["GET"])
    async def names(self, request: Any) -> bytes:
        access_of(request).require_all_tenants()
        no_other_parameters(request, set())
        known = await maybeDeferred(self._gateway.names)
        workers = [{"worker": name, "names": names} for name, names in sorted(known.items())]
        return _json(request, {"workers": workers})

    @app.route("/api/gateway/traffic/routes", methods=["GET"])
    async def route_traffic(self, request: Any) -> bytes:
        access_of(request).require_all_tenants()
        no_other_parameters(request, {"sort", "limit"})
        sort: Any = query_value(
            request, "sort", "rate", ROUTE_SORTS.__contains__, "rate, errors or latency"
        )
        limit = page_limit(request)
        return _json(request, await maybeDeferred(self._gateway.route_traffic, sort, limit))

    @app.route("/api/gateway/debug", methods=["GET"])
    async def debug(self, request: Any) -> bytes:
        _may_run(request)
        no_other_parameters(request, set())
        return _json(request, await maybeDeferred(self._gateway.debug))

    @app.route("/api/gateway/errors", methods=["GET"])
    async def errors(self, request: Any) -> bytes:
        asked = failures.Asked(request, access_of(request), self._gateway, self._wall_clock())
        for _ in asked.looking():
            await deferLater(self._clock, 0)
        return _json(request, asked.answer())

    @app.route("/api/gateway/exchanges/<exchange_id>")
    def exchange(self, request: Any, exchange_id: str) -> bytes:
        _only_get(request)
        no_other_parameters(request, set())
        access = access_of(request)
        found = failures.exchanges_by_id(access, self._gateway, exchange_id)
        if found:
            return _json(request, {"items": found})
        if failures.is_of_others(self._gateway, exchange_id):
            access.kept_from()
            self._refusals["other_tenant"] += 1
        now = self._wall_clock()
        raise ProblemError("not_kept", **failures.why_not(access, self._gateway, now))

    @app.route("/api/gateway/audit", methods=["GET"])
    def audit(self, request: Any) -> bytes:
        access = access_of(request)
        access.require(ADMIN)
        access.require_all_tenants()
        no_other_parameters(request, {"limit", "after"})
        after = query_value(request, "after", "", is_number, "the number of a record")
        items, following = self._trail.page(
            after=int(after) if after else None, limit=page_limit(request)
        )
        return _json(request, {"items": items, "next": following})

    @app.route(f"/api/gateway/<any({_LISTS}):name>")
    async def entities(self, request: Any, name: str) -> bytes:
        _only_get(request)
        access = _may_list(request, name)
        no_other_parameters(request, {"limit", "after"})
        after = query_value(request, "after", "", is_id, "an id")
        limit = page_limit(request)
        tenants = access.operator.tenants
        if tenants is None:
            page = self._listing.page(
                self._gateway.bodies(),
                listing.KINDS[name],
                content_hash=self._gateway.content_hash(),
                after=after,
                limit=limit,
            )
        else:
            page = await self._page_of_tenants(listing.KINDS[name], tenants, after, limit)
        return _json(request, {"items": page.items, "next": page.next})

    async def _page_of_tenants(
        self, kind: str, tenants: frozenset[str], after: str, limit: int
    ) -> listing.Page:
        for page in self._listing.page_of_tenants(
            self._gateway.bodies,
            kind,
            content_hash=self._gateway.content_hash(),
            tenants=tenants,
            after=after,
            limit=limit,
        ):
            if page is not None:
                return page
            await deferLater(self._clock, 0)
        raise AssertionError("the last is a page")

    @app.route("/api/gateway/rejected", methods=["GET"])
    def rejected(self, request: Any) -> bytes:
        access_of(request).require_all_tenants()
        no_other_parameters(request, {"limit", "after"})
        after = query_value(request, "after", "", is_key, "a kind and an id, as in route/orders")
        kind, _, entity_id = after.partition("/")
        limit = page_limit(request)
        items = self._gateway.rejected(
            after=Key(kind, entity_id) if after else None, limit=limit + 1
        )
        last = items[limit - 1] if len(items) > limit else None
        following = None if last is None else f"{last['kind']}/{last['id']}"
        return _json(request, {"items": items[:limit], "next": following})

    @app.route(f"/api/gateway/<any({_LISTS}):name>/<entity_id>")
    def entity(self, request: Any, name: str, entity_id: str) -> bytes:
        _only_get(request)
        access = _may_list(request, name)
        no_other_parameters(request, set())
        key = Key(listing.KINDS[name], entity_id)
        bodies = self._require_visible(access, key)
        return _json(request, listing.shown(bodies, key, self._gateway.refusal))

    def _require_visible(self, access: Access, key: Key) -> Mapping[Key, bytes]:
        """
        Return all bodies that are served, among them that one.

        Raises:
            ProblemError: it is not, or is another tenant's.
        """
        bodies = self._gateway.bodies()
        tenants = access.operator.tenants
        if tenants is not None and not (key in bodies and is_visible(bodies, key, tenants)):
            if key in bodies:
                access.kept_from()
                self._refusals["other_tenant"] += 1
            raise _nothing(key)
        if key not in bodies:
            raise self._not_served(key)
        return bodies

    def _not_served(self, key: Key) -> ProblemError:
        rejection = self._gateway.rejection(key)
        if rejection is not None:
            return ProblemError("not_served", "it is rejected", problems=rejection["problems"])
        return _nothing(key)

    @app.route("/api/gateway/reload", methods=["POST"])
    async def reload(self, request: Any) -> bytes:
        access = _may_change(request)
        no_other_parameters(request, {"wait", "timeout"})
        wait: Any = query_value(
            request, "wait", "node", {"none", "node", "all"}.__contains__, "none, node or all"
        )
        timeout = timeout_seconds(request)
        fields = json_body(request, {"comment": text_up_to(1000)}, required=set())
        answer = await self._audited(
            access,
            "reload",
            lambda: self._gateway.reload(comment=fields.get("comment"), wait=wait, timeout=timeout),
        )
        if wait == "none":
            request.setResponseCode(202)
        elif not answer.get("source_answered", True):
            error = answer.get("source_error") or "it did not answer in time"
            raise ProblemError(
                "source_unavailable",
                f"the config source can't be read: {error}; what was known is served on",
                **answer,
            )
        elif answer.get("behind"):
            raise ProblemError("not_converged", f"not within {timeout:g} s", **answer)
        return _json(request, answer)

    @app.route("/api/gateway/confirm", methods=["POST"])
    async def confirm(self, request: Any) -> bytes:
        access = _may_change(request)
        no_other_parameters(request, set())
        fields = json_body(request, {"revision": is_revision}, required={"revision"})
        revision, author = int(fields["revision"]), access.operator.subject
        answer = await self._audited(
            access, f"confirm {revision}", lambda: self._gateway.confirm(revision, author)
        )
        return _json(request, answer)

    @app.route("/api/gateway/drain", methods=["POST"])
    async def drain(self, request: Any) -> bytes:
        access = _may_run(request)
        no_other_parameters(request, set())
        fields = json_body(request, {"on": is_boolean}, required={"on"})
        on = bool(fields["on"])
        answer = await self._audited(
            access,
            f"drain {'on' if on else 'off'}",
            lambda: self._gateway.drain(on, access.operator.subject),
        )
        return _json(request, answer)

    @app.route("/api/gateway/restart", methods=["POST"])
    async def restart(self, request: Any) -> bytes:
        access = _may_run(request)
        no_other_parameters(request, set())
        json_body(request, {}, required=set())
        return _json(request, await self._audited(access, "restart", self._gateway.restart))

    @app.route("/api/gateway/pin", methods=["POST"])
    async def pin(self, request: Any) -> bytes:
        access = _may_run(request)
        no_other_parameters(request, set())
        fields = json_body(request, _PIN_FIELDS, required=set())
        revision, everywhere = fields.get("revision"), bool(fields.get("all"))
        revision = None if revision is None else int(revision)
        by, comment = access.operator.subject, fields.get("comment") or ""
        what = "what is served" if revision is None else str(revision)
        answer = await self._audited(
            access,
            f"pin {what}{' everywhere' if everywhere else ''}",
            lambda: self._gateway.pin(
                revision=revision, everywhere=everywhere, by=by, comment=comment
            ),
        )
        return _json(request, answer)

    @app.route("/api/gateway/unpin", methods=["POST"])
    async def unpin(self, request: Any) -> bytes:
        access = _may_run(request)
        no_other_parameters(request, set())
        fields = json_body(request, {"all": is_boolean}, required=set())
        everywhere = bool(fields.get("all"))
        answer = await self._audited(
            access,
            f"unpin{' everywhere' if everywhere else ''}",
            lambda: self._gateway.unpin(everywhere=everywhere, by=access.operator.subject),
        )
        return _json(request, answer)

    @app.route("/api/gateway/tap", methods=["POST"])
    async def tap(self, request: Any) -> bytes:
        access = access_of(request)
        access.require(ADMIN)
        no_other_parameters(request, set())
        operator = access.operator
        fields = json_body(request, FIELDS, required={"seconds"})
        for kind in ("route", "service"):
            for one in fields.get(f"{kind}s", ()):
                self._require_visible(access, Key(kind, one))
        asked = tap_asked(fields, operator.tenants)
        # No longer than the credential holds.
        seconds = max(0.0, min(asked.seconds, operator.expires_at - self._wall_clock()))
        stream = TapStream(
            request,
            clock=self._clock,
            limit=asked.limit,
            shown=lambda one: as_seen_by(operator.tenants, one, self._gateway.bodies()),
            holds=lambda: self._still_may(operator),
        )
        end = self._gateway.tap(asked.filter.to_json(), seconds=seconds, audience=stream)
        record = access.began(asked.what, None)
        try:
            stream.begin(seconds)
            return await stream.finished
        finally:
            end()
            after = {"told": stream.told, "left_out": stream.left_out}
            access.ended(record, "done", after)

    def _still_may(self, operator: Operator) -> bool:
        """Whether a credential that was good is so still, and allows no less."""
        try:
            kept = self._gateway.management_token(operator.token_id)
            now = as_kept(operator, kept, self._wall_clock())
        except TokenError:
            return False
        return now.may(ADMIN) and now.tenants == operator.tenants

    async def _audited(
        self, access: Access, what: str, change: Callable[[], Any]
    ) -> dict[str, Any]:
        """Make a change, with what is served before and after it on record."""
        record = access.began(what, self._served())
        outcome = "failed"
        try:
            answer: dict[str, Any] = await maybeDeferred(change)
            outcome = "done"
            return answer
        finally:
            access.ended(record, outcome, self._served())

    def _served(self) -> dict[str, Any]:
        """Say which configuration is served, for the record."""
        return {
            "position": self._gateway.position(),
            "content_hash": f"{self._gateway.content_hash():032x}",
        }

    @app.route("/api/gateway/explain", methods=["POST"])
    async def explain(self, request: Any) -> bytes:
        access_of(request).require_all_tenants()
        no_other_parameters(request, set())
        fields = json_body(request, _EXPLAIN_FIELDS, required=set())
        try:
            return _json(request, await maybeDeferred(self._gateway.explain, fields))
        except LookupError as error:
            raise ProblemError("no_worker", str(error)) from error

    @app.handle_errors(ProblemError)
    def problem(self, request: Any, failure: Any) -> bytes:
        if failure.value.status == 403:
            self._refusals[failure.value.code] += 1
        return self._answer(request, failure.value)

    @app.handle_errors(HTTPException)
    def http_problem(self, request: Any, failure: Any) -> bytes:
        """What klein and werkzeug find: no such path, or not this method."""
        allowed = getattr(failure.value, "valid_methods", None)
        if failure.value.code != 405:
            return self._answer(request, ProblemError("not_found"))
        if allowed:
            request.setHeader(b"allow", ", ".join(sorted(allowed)).encode())
        return self._answer(request, ProblemError("method_not_allowed"))

    @app.handle_errors(LookupError, ValueError)
    def refused(self, request: Any, failure: Failure) -> bytes:
        if failure.check(KeyError, IndexError, UnicodeError):
            return self.fault(request, failure)  # nobody says that on purpose
        code = "not_found" if failure.check(LookupError) else "conflict"
        return self._answer(request, ProblemError(code, failure.getErrorMessage()))

    @app.handle_errors(Exception)
    def fault(self, request: Any, failure: Failure) -> bytes:
        from fengling_gateway.configsource.reading import SourceError

        if failure.check(SourceError):
            problem = ProblemError("source_unavailable", failure.getErrorMessage())
            return self._answer(request, problem)
        self._log.failure(
            "management: {path} failed (request {request_id})",
            failure=failure,
            path=request.path.decode(),
            request_id=request_id(request),
            log_id="management.request_failed",
        )
        return _problem(request, ProblemError("internal_error"))

    def _answer(self, request: Any, problem: ProblemError) -> bytes:
        if problem.status >= 500:
            self._log.warn(
                "management: {path}: {code}: {detail} (request {request_id})",
                log_id="management.failed",
                path=request.path.decode(),
                code=problem.code,
                detail=problem.detail,
                request_id=request_id(request),
            )
        return _problem(request, problem)


def _json(request: Any, value: Any) -> bytes:
    return _sized(request, b"application/json", json.dumps(value, default=str).encode())


def _problem(request: Any, problem: ProblemError) -> bytes:
    return _sized(request, CONTENT_TYPE, write_problem(request, problem))


def _sized(request: Any, content_type: bytes, body: bytes) -> bytes:
    request.setHeader(b"content-type", content_type)
    request.setHeader(b"content-length", b"%d" % len(body))
    return b"" if request.method == b"HEAD" else body


def _may_list(request: Any, name: str) -> Access:
    """
    Raises:
        ProblemError: who holds which credentials is for admins.
    """
    access = access_of(request)
    if name == "tokens":
        access.require(ADMIN)
    return access


def _may_change(request: Any) -> Access:
    """
    Raises:
        ProblemError: the credential doesn't allow changes of the whole gateway.
    """
    access = access_of(request)
    access.require(WRITE)
    access.require_all_tenants()
    return access


def _may_run(request: Any) -> Access:
    """
    Raises:
        ProblemError: the credential is not for who runs the gateway.
    """
    access = access_of(request)
    access.require(ADMIN)
    access.require_all_tenants()
    return access


def _nothing(key: Key) -> ProblemError:
    return ProblemError("not_served", f"no such {key.kind.replace('_', ' ')} is served")


def _only_get(request: Any) -> None:
    # klein matches a rule with a converter before it looks at methods.
    if request.method not in {b"GET", b"HEAD"}:
        request.setHeader(b"allow", b"GET, HEAD")
        raise ProblemError("method_not_allowed")
