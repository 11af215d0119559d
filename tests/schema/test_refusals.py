"""What CHECKs, keys and triggers refuse, and what they say to the person who wrote it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import pytest
from psycopg2 import errors

from fengling_gateway.embedded.postgres import PostgresServer
from tests.schema.session import Session, add_routes, add_service, changes, revisions

_ROUTE = "UPDATE fengling.route SET "
_SERVICE = "UPDATE fengling.service SET "
_INSTANCE = "INSERT INTO fengling.instance (service_id, address) VALUES "


@pytest.fixture(scope="module")
def shared(postgres: PostgresServer, _migrated_template: str) -> Iterator[Session]:
    """Return a session with a service `hello` and a route `r1`: for what changes nothing."""
    session = Session(postgres.create_database(template=_migrated_template))
    add_service(session, "hello")
    add_routes(session, 1)
    yield session
    session.close()


@pytest.fixture
def session(session: Session) -> Session:
    """Return a session with a service `hello` and a route `r1`, of the test's own."""
    add_service(session, "hello")
    add_routes(session, 1)
    return session


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (_ROUTE + "path = 'orders'", 'path "orders" does not begin with /'),
        (_ROUTE + "path = ''", 'path "" does not begin with /'),
        (_ROUTE + "path = '/a b'", 'path "/a b" contains white space, ? or #'),
        (_ROUTE + "path = '/a?x=1'", 'path "/a?x=1" contains white space, ? or #'),
        (_ROUTE + "path = '/a//b'", 'path "/a//b" contains //'),
        (_ROUTE + "path = '//'", 'path "//" contains //'),
        (_ROUTE + "path = '/a/{b'", 'segment "{b" of path "/a/{b" is malformed'),
        (_ROUTE + "path = '/a/x{b}'", 'segment "x{b}" of path "/a/x{b}" is malformed'),
        (_ROUTE + "path = '/{**rest}/b'", 'path "/{**rest}/b" goes on after {**rest}'),
        (_ROUTE + "path = '~'", "a regex follows the ~ of a path"),
        (_ROUTE + "hosts = '{a.example,http://b}'", '"http://b" is not a host'),
        (_ROUTE + "hosts = '{a.example:80}'", '"a.example:80" is not a host'),
        (_ROUTE + "hosts = ARRAY[NULL]::text[]", '"" is not a host'),
        (_ROUTE + "methods = '{get}'", "methods are like GET, in upper case"),
        (_ROUTE + "match = '{\"header\": []}'", 'unknown key "header" in match'),
        (_ROUTE + "match = '[]'", "match is a JSON object, not array"),
        (_ROUTE + "policies = '{\"rate_limits\": {}}'", 'unknown key "rate_limits" in policies'),
        (_ROUTE + "policies = '{\"retry\": 3}'", 'policy "retry" is a JSON object, or null'),
        (_ROUTE + "policies = '3'", "policies is a JSON object, not number: 3"),
        (_ROUTE + "respond = '{}'", "exactly one of service_id, split, redirect, respond"),
        (_ROUTE + "service_id = NULL", "exactly one of service_id, split, redirect, respond"),
        (_ROUTE + "service_id = NULL, split = '{}'", "split gives no service a weight above 0"),
        (_ROUTE + "service_id = NULL, split = '{\"hello\": 1.5}'", 'of "hello" in split is 1.5'),
        (_ROUTE + "service_id = NULL, split = '{\"hello\": -1}'", 'of "hello" in split is -1'),
        (
            _ROUTE + 'service_id = NULL, split = \'{"hello": "1"}\'',
            '"hello" in split is not a number',
        ),
        (
            _ROUTE + "service_id = NULL, split = '{\"v3\": 1}'",
            'the split of route "r1" names a service that does not exist: "v3"',
        ),
        (_ROUTE + 'service_id = NULL, redirect = \'{"to": "/"}\'', 'unknown key "to" in redirect'),
        (
            _ROUTE + r"""service_id = NULL, redirect = '{"location": "/a\r\nX: y"}' """,
            r'redirect.location contains a control character: "/a\r\nX: y"',
        ),
        (
            _ROUTE + r"""service_id = NULL, respond = '{"headers": {"X": "\\\r"}}' """,
            "respond.headers contains a control character",
        ),
        (
            _ROUTE + r"""service_id = NULL, respond = '{"headers": {"X\u0001": ""}}' """,
            "respond.headers contains a control character",
        ),
        (
            _ROUTE + r"""policies = '{"response_headers": {"set": {"X": "a\nb"}}}' """,
            'policy "response_headers" contains a control character',
        ),
        (
            _ROUTE + r"""policies = '{"path": {"prefix": "/a\nb"}}' """,
            'policy "path" contains a control character',
        ),
        (
            r"""INSERT INTO fengling.setting VALUES ('defaults', '{"request_headers": {"add": {"X": "\u000b"}}}')""",
            'policy "request_headers" contains a control character',
        ),
        (_ROUTE + "service_id = 'nobody'", "service of a route"),
        (_ROUTE + "id = 'r2'", 'the id of route "r1" cannot change'),
        (_ROUTE + "valid_from = '2026-01-02', valid_to = '2026-01-01'", "is before valid_to"),
        (_SERVICE + "balancing = 'roundrobin'", 'balancing "roundrobin" is not known'),
        (
            _SERVICE + "connect_timeout = '0'",
            "connect_timeout is more than 0 and at most 5 minutes",
        ),
        (_SERVICE + "idle_timeout = '1 month'", "idle_timeout is more than 0 and at most 1 day"),
        (_SERVICE + "host_header = 'a b'", "host_header is client, instance or a host"),
        (_SERVICE + "labels = '[]'", "labels is a JSON object"),
        ("DELETE FROM fengling.service", "service of a route"),
        ("INSERT INTO fengling.service (id) VALUES ('a b')", "id: letters, digits and . _ -"),
        ("INSERT INTO fengling.setting VALUES ('default', '{}')", "key: defaults, trusted_proxies"),
        ("INSERT INTO fengling.setting VALUES ('defaults', '{\"a\": 1}')", 'unknown key "a" in'),
        (_INSTANCE + "('hello', '127.0.0.1:80')", "address is http://host:port or"),
        (_INSTANCE + "('hello', 'http://h:80/path')", "address is http://host:port or"),
        (_INSTANCE + "('nobody', 'http://h:80')", "service of an instance"),
        (
            _INSTANCE + "('hello', 'http://h:80'), ('hello', 'http://h:80')",
            "one instance per service, address and tenant",
        ),
        ("INSERT INTO fengling.tenant (id, path_prefix) VALUES ('t', 'x/')", "is like /acme"),
    ],
)
def test_mistake_is_refused_with_its_name(shared: Session, statement: str, message: str) -> None:
    """The first line that psql prints says what is wrong, and nothing has changed."""
    with pytest.raises(psycopg2.Error) as caught:
        shared.run(statement)
    assert message in (caught.value.diag.message_primary or "")
    assert caught.value.diag.message_hint != "", "psql would print an empty HINT"
    assert revisions(shared) == [1, 2]


@pytest.mark.parametrize(
    "statement",
    [
        _ROUTE + "path = '/'",
        _ROUTE + "path = '/api/x/**'",
        _ROUTE + "path = '/api/{version}/x/{**rest}'",
        _ROUTE + "path = '/caf%C3%A9/中/a:b@c,d;e=f'",
        _ROUTE + "path = '~^/re2/(a|b) ?#$'",
        _ROUTE + "hosts = '{*.example.com,Example.org,127.0.0.1,[::1],under_score}'",
        _ROUTE + "methods = '{GET,M-SEARCH}'",
        _ROUTE + 'policies = \'{"x-mine": 3, "retry": null}\'',
        _ROUTE
        + r"""policies = '{"x-mine": "a\nb", "request_headers": {"set": {"X": "\t\\n\""}}}' """,
        _ROUTE
        + r"""service_id = NULL, respond = '{"body": "a\nb", "headers": {"X": "C:\\new"}}' """,
        _ROUTE + r"""service_id = NULL, respond = '{"headers": null}' """,
        _ROUTE + r"""policies = '{"request_headers": null}' """,
        _ROUTE + 'service_id = NULL, split = \'{"hello": 0, "v2": 1}\'',
        _ROUTE + "valid_from = now()",
        _SERVICE + "host_header = 'Api.example.com:8443', connect_timeout = '250 ms'",
        _INSTANCE + "('hello', 'https://[2001:db8::1]:8443')",
        "INSERT INTO fengling.setting VALUES ('defaults', '{\"timeouts\": {\"idle\": 5}}')",
    ],
)
def test_what_is_right_passes(shared: Session, statement: str) -> None:
    """The rules refuse mistakes, not unusual configuration."""
    shared.run("BEGIN")
    try:
        add_service(shared, "v2")
        shared.run(statement, "SET CONSTRAINTS ALL IMMEDIATE")
        assert len(changes(shared)) == 2
    finally:
        shared.run("ROLLBACK")


class ReferenceTests:
    """References are checked at COMMIT."""

    def test_route_may_come_before_its_service(self, session: Session) -> None:
        """Order within a transaction does not matter."""
        session.run("BEGIN", "INSERT INTO fengling.route (id, service_id) VALUES ('r2', 'later')")
        add_service(session, "later")
        session.run("COMMIT")
        assert len(changes(session)) == 2

    def test_service_named_by_a_split_cannot_go(self, session: Session) -> None:
        """What no foreign key can state is checked all the same."""
        add_service(session, "v2")
        session.run(_ROUTE + "service_id = NULL, split = '{\"v2\": 1}'")
        with pytest.raises(errors.ForeignKeyViolation, match=r'split of route "r1".*"v2"'):
            session.run("DELETE FROM fengling.service WHERE id = 'v2'")

    def test_service_may_be_replaced_within_a_transaction(self, session: Session) -> None:
        """Deleted and made again is there at COMMIT."""
        session.run("BEGIN", "DELETE FROM fengling.service")
        add_service(session, "hello")
        session.run("COMMIT")
        assert revisions(session) == [1, 2]

    def test_addresses_may_be_the_same_for_different_tenants(self, session: Session) -> None:
        """The pair with the tenant is what is unique, and no tenant is one as well."""
        session.run("INSERT INTO fengling.tenant (id) VALUES ('a'), ('b')")
        session.run(
            "INSERT INTO fengling.instance (service_id, tenant_id, address) VALUES"
            " ('hello', 'a', 'http://h:1'), ('hello', 'b', 'http://h:1'),"
            " ('hello', NULL, 'http://h:1')"
        )
        assert session.value("SELECT count(DISTINCT id) FROM fengling.instance") == 3
