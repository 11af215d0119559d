"""Who may use the console: nobody without a credential that allows it, in whatever spelling."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from itertools import product
from typing import Any, Final

import pytest

from fengling_gateway.auth.operators import Operator
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.model.management_tokens import ADMIN, READ, SCOPES
from fengling_gateway.signin import sessions as sessions_module
from fengling_gateway.signin.links import make_link
from fengling_gateway.signin.sessions import names_of
from tests.conformance.managed import OTHER_KEY, REVOKED, local, tampered, wrong_credentials
from tests.conformance.test_management_access import raw_status
from tests.integration.console import ConsoleProcess, Fleet, fleet_with_database
from tests.integration.gateway import TOKEN_KEY
from tests.management.test_gate import SPELLINGS

pytestmark = pytest.mark.timeout(300)

RING: Final = TokenRing([TOKEN_KEY])
SESSION: Final = "/api/console/session"
FILLED: Final = {
    "revision": "1",
    "node": "gateway-1",
    "switched": "route",
    "kind": "routes",
    "id": "orders",
    "namespace": "shop",
    "name": "orders",
}


@pytest.fixture(scope="module")
def fleet(
    postgres: PostgresServer, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("console")
    with fleet_with_database(postgres, _migrated_template, directory) as fleet:
        fleet.sql.add_service("orders", "http://10.0.0.5")
        fleet.sql.add_route("orders", "/orders", "orders")
        fleet.sql.run(
            "INSERT INTO fengling.management_token (id, revoked_at) VALUES (%s, now())", REVOKED
        )
        yield fleet


@pytest.fixture(scope="module")
def console(fleet: Fleet) -> ConsoleProcess:
    return fleet.console()


class Operation:
    """One of the document, ready to be asked for."""

    def __init__(self, method: str, path: str, described: dict[str, Any]) -> None:
        self.method = method
        self.path = re.sub(r"\{(\w+)\}", lambda part: FILLED[part[1]], path)
        self.id: str = described["operationId"]
        self.is_open = described.get("security") == []
        self.scope = described["description"].rpartition("the scope `")[2].rstrip("`.")

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"


def operations(console: ConsoleProcess) -> list[Operation]:
    """Return all that need a credential."""
    document = console.get("openapi.json")
    found = [
        Operation(method.upper(), path, described)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    ]
    kept = [one for one in found if not one.is_open]
    assert len(kept) > 60
    assert {one.scope for one in kept} <= set(SCOPES)
    return kept


def ask(console: ConsoleProcess, operation: Operation, **headers: str) -> tuple[int, str]:
    """Return the status, and the code of the problem."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    body = None
    if operation.method not in {"GET", "HEAD"}:
        body = b"{}"
        sent |= {"Content-Type": "application/json", "If-Match": "*"}
    answer = console.fetch(operation.method, operation.path, body, sent)
    code = json.loads(answer.content)["code"] if answer.status >= 400 else ""
    return answer.status, code


def cookie(token: str, key: str = TOKEN_KEY) -> str:
    """The header of a browser with any text for a session."""
    return f"{names_of(TokenRing([key]), sessions_module.COOKIE)[0]}={token}"


def sealed(audience: str = sessions_module.AUDIENCE, key: str = TOKEN_KEY, **changed: Any) -> str:
    now = int(time.time())
    claims = {
        "sub": "ada",
        "scope": ADMIN,
        "jti": "s-1",
        "how": "link",
        "iat": now,
        "exp": now + 3600,
        "idle": now + 3600,
        **changed,
    }
    return TokenRing([key]).seal(audience, claims)


def wrong_sessions() -> dict[str, str]:
    """Cookies that nothing is answered to."""
    now = int(time.time())
    person = Operator("ada", frozenset((ADMIN,)), "x", "x", now + 3600.0)
    return {
        "none": "theme=dark",
        "of another key": cookie(sealed(key=OTHER_KEY), OTHER_KEY),
        "of another key, by our name": cookie(sealed(key=OTHER_KEY)),
        "expired": cookie(sealed(exp=now - 1)),
        "idle": cookie(sealed(idle=now - 1)),
        "revoked": cookie(sealed(jti=REVOKED)),
        "of a token that is revoked": cookie(sealed(via=REVOKED)),
        "tampered": cookie(tampered(sealed(scope=READ))),
        "without a signature": cookie(sealed().rpartition(".")[0] + "."),
        "twice": f"{cookie(sealed())}; {cookie(sealed())}",
        "a bearer token": cookie(local(ADMIN)),
        "a link": cookie(make_link(RING, person, now=now)),
        "of another use": cookie(sealed("fengling-console-oidc")),
        "in another cookie": f"fengling-session={sealed()}",
    }


def test_credentials_that_are_not_good_open_nothing(console: ConsoleProcess, fleet: Fleet) -> None:
    """Every operation of the document, with all of them: no success, and nothing is written."""
    before = fleet.sql.revision
    tokens = {
        f"token: {name}": {"Authorization": text} for name, text in wrong_credentials().items()
    }
    person = {"session as a token": {"Authorization": f"Bearer {sealed()}"}}
    cookies = {
        f"session: {name}": {"Cookie": text, "Origin": console.address}
        for name, text in wrong_sessions().items()
    }
    answers = {
        (str(one), name): ask(console, one, **{k: v for k, v in headers.items() if v})
        for one, (name, headers) in product(
            operations(console), {**tokens, **person, **cookies}.items()
        )
        if not (one.path == SESSION and one.method == "POST")
    }
    assert {one: answer for one, answer in answers.items() if answer[0] not in {401, 429}} == {}
    assert fleet.sql.revision == before


def test_each_operation_needs_its_scope(console: ConsoleProcess) -> None:
    """One less is 403, by a token as by a session."""
    for one in operations(console):
        if one.scope == READ:
            continue
        less = SCOPES[SCOPES.index(one.scope) - 1]
        session = {"Cookie": cookie(sealed(scope=less)), "Origin": console.address}
        for headers in ({"Authorization": f"Bearer {local(less)}"}, session):
            assert (str(one), ask(console, one, **headers)) == (
                str(one),
                (403, "insufficient_scope"),
            )


def test_no_spelling_gets_around_the_credential(console: ConsoleProcess) -> None:
    """Slashes, dots, escapes, cases, absolute forms: 401, or no request at all."""
    for one, spell in product(operations(console), SPELLINGS):
        if one.path == SESSION and one.method == "POST":
            continue
        target = spell(one.path.encode())
        status = raw_status(console.port, one.method, target)
        assert (target, status in {400, 401}) == (target, True), status


def test_page_of_another_origin_changes_nothing(console: ConsoleProcess, fleet: Fleet) -> None:
    """However good the session of its visitor is."""
    before = fleet.sql.revision
    session = cookie(sealed())
    for one in operations(console):
        if one.method == "GET":
            continue
        for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            answer = ask(console, one, Cookie=session, **origin)
            assert (str(one), answer) == (str(one), (403, "foreign_origin"))
    assert fleet.sql.revision == before


def test_session_is_as_good_as_a_token(console: ConsoleProcess) -> None:
    """For all that its scope allows; ending itself is for sessions alone."""
    session = {"Cookie": cookie(sealed()), "Origin": console.address}
    status, _ = ask(console, Operation("GET", "/api/console/routes", _described()), **session)
    assert status == 200
    ended = Operation("DELETE", SESSION, _described())
    assert ask(console, ended, Authorization=f"Bearer {local()}") == (409, "conflict")
    assert ask(console, ended, **session) == (204, "")
    assert ask(console, ended, **session) == (401, "unauthorized")


def _described() -> dict[str, Any]:
    return {"operationId": "any", "description": f"Needs the scope `{READ}`."}
