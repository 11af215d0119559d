"""A console with nothing in it but signing in, over real HTTP, and browsers that ask it."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg2
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from fengling_gateway.access.audit import AuditTrail
from fengling_gateway.access.gate import Gate
from fengling_gateway.access.granted import access_of
from fengling_gateway.access.problems import ProblemError, write_problem
from fengling_gateway.access.site import BoundedSite
from fengling_gateway.access.verifiers import LocalTokens
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.settings.signin import OidcSettings, SignInSettings
from fengling_gateway.signin.desk import Surroundings
from fengling_gateway.signin.service import OPEN_PATHS, SignIn
from tests.signin.requests import RING


class Asked(NamedTuple):
    """What was answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Console:
    """
    Attributes:
        dsn: of its database; None: that is away.
        rows: what is kept of tokens, by id.
        offset: seconds by which its clock is wrong.
        changed: how often somebody has changed something.
    """

    def __init__(
        self,
        reactor: Any,
        dsn: str | None,
        *,
        ring: TokenRing = RING,
        web: Any = None,
        oidc: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.dsn = dsn
        self.rows: dict[str, dict[str, Any]] = {}
        self.refusals: Counter[str] = Counter()
        self.offset = 0.0
        self.changed = 0
        self.trail = AuditTrail(clock=reactor.seconds, wall_clock=time.time)
        around = Surroundings(
            run=self._run,
            kept=self.rows.get,
            web=web,
            clock=reactor,
            wall_clock=lambda: time.time() + self.offset,
            trail=self.trail,
            refusals=self.refusals,
        )
        self._site: Any = BoundedSite(Klein().resource(), reactor=reactor, refusals=self.refusals)
        self._port = reactor.listenTCP(0, self._site, interface="127.0.0.1")
        self.address = f"http://127.0.0.1:{self._port.getHost().port}"
        if oidc is not None:
            settings.setdefault("external_urls", [self.address])
        self.signin = SignIn(
            settings=SignInSettings(**settings),
            oidc=OidcSettings(**(oidc or {})),
            ring=ring,
            around=around,
        )
        self._site.resource = Gate(
            inside=_app(self).resource(),
            verifiers=(LocalTokens(ring, self.rows.get),),
            trail=self.trail,
            open_paths=OPEN_PATHS,
            clock=reactor,
            wall_clock=around.wall_clock,
            refusals=self.refusals,
            browsers=self.signin.browsers((b"/ui/",)),
        )

    def _run(self, question: Any, *args: Any) -> Deferred[Any]:
        def ask() -> Any:
            if self.dsn is None:
                raise OSError("there is no database")
            connection = psycopg2.connect(self.dsn)
            try:
                return question(connection, *args)
            finally:
                connection.close()

        return deferToThread(ask)

    def start(self) -> Deferred[None]:
        return self.signin.start()

    def stop(self) -> Any:
        self.signin.stop()
        return self._port.stopListening()


def _app(console: Console) -> Klein:
    app = Klein()
    for one in console.signin.operations():

        async def serve(request: Any, handle: Any = one.handle) -> Any:
            answer = handle(request)
            return answer if isinstance(answer, bytes) else await answer

        serve.__name__ = f"{one.method} {one.path}"
        app.route(one.path, methods=[one.method])(serve)

    @app.route("/routes", methods=["GET", "POST"])
    def routes(request: Any) -> bytes:
        console.changed += request.method == b"POST"
        return access_of(request).operator.subject.encode()

    @app.handle_errors(ProblemError)
    def problem(request: Any, failure: Any) -> bytes:
        return write_problem(request, failure.value)

    return app


class Browser:
    """Asks with what cookies it has, in a thread; follows nothing by itself."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.jar: dict[str, str] = {}
        self.set: list[str] = []

    def get(self, target: str, **headers: str) -> Deferred[Asked]:
        return self.ask("GET", target, **headers)

    def post(self, target: str, body: Any, **headers: str) -> Deferred[Asked]:
        return self.ask("POST", target, body, **headers)

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Deferred[Asked]:
        """Ask the console, or whoever else the target names; underscores stand for hyphens."""
        parts = urlsplit(target if "://" in target else self.console.address + target)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        is_ours = self.console.address == f"{parts.scheme}://{parts.netloc}"
        if is_ours and self.jar:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        if method not in {"GET", "HEAD"}:
            sent.setdefault("Origin", self.console.address)
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"

        def talk() -> Asked:
            connection = http.client.HTTPConnection(parts.netloc, timeout=20)
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request(method, target, content, sent)
            response = connection.getresponse()
            answer = Asked(response.status, response.headers, response.read())
            connection.close()
            return answer

        return deferToThread(talk).addCallback(self._keep, is_ours)

    def _keep(self, answer: Asked, is_ours: bool) -> Asked:
        for line in answer.headers.get_all("Set-Cookie", []) if is_ours else []:
            self.set.append(line)
            name, _, rest = line.partition("=")
            self.jar[name] = rest.partition(";")[0]
            if "Max-Age=0" in line:
                del self.jar[name]
        return answer
