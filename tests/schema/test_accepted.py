"""Whatever validation accepts, the tables take: so what is wrong is told with its place."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import psycopg2
import pytest

from fengling_gateway.editing.changes import Ownership, plan
from fengling_gateway.editing.transaction import Signature, write
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from tests.model.strategies import GOOD, key_of

HOST: Final = ".".join(("a" * 62, "b" * 62, "c" * 62, "d" * 60))

ODD: Final = (
    *("", " ", "\t", "\n", "a\n", "a b", "é", "\u0130", "\u212a", "\u0661", "a\U0001f600b"),
    *("a\x00b", "a\x1fb", "a\x7fb", "a\x85b", "a\xa0b", "a\u2028b", "a\ud800b", "a\\b", "a\\nb"),
    *("{", "{}", "*", "**", "~", "~a", "~a\\nb", "~(", 'a"b', "a'b", "0", "1.5", "infinity"),
    *("a" * 100, "a" * 101, "é" * 100, "é" * 101, "a" * 200, "a" * 201, "a" * 500, "a" * 501),
    *("/", "//", "/a//b", "/a/", "/é", "/a b", "/a\u2028b", "/a\x85b", "/{a}", "/{**a}", "/**"),
    *("/a?b", "/a#b", "/a\\b", "/%00", "/.", "/a" * 100, "/a" * 101, "/a" * 101 + "/b?c"),
    *("/" + "a" * 999, "/" + "a" * 1000, "/" + "é" * 400, "/a" * 101 + "//b"),
    *("A.Example.", "*.a.example", "*.*.example", "_a.example", "a..example", "[::1]", "0x1"),
    *(HOST, f"{HOST}.e", f"{HOST}.ee", f"*.{HOST}.e", f"*.{HOST}.ee", "1.2.3.4", "1.2.3"),
    *("[::FFFF:1.2.3.4]", "[fe80::1%eth0]", "a.example:80", "a.example:00080", "[::1]:65535"),
    *("http://a", "HTTP://A:1", "http://a:0", "http://[::1]", "https://1.2.3.4:00443", "http://é"),
    *("https://a/b", "HTTPS://A/b", "http://LocalHost/b", "http://[0:0:0:0:0:0:0:1]:1/b", "x://a"),
    *("http://127.0.0.1", "http://127.000.0.1", "https://a?b", "https://a:/b", "https://a.:443/b"),
    *("https://é.example/", "https://u:p@a/", "https://a/#", "https://a/é", "http://127.example/"),
    *("env:A", "env:é", "env:FENGLING_A", "file:/a", "file:a", "file:/a\x85b", "file:/a\ud800b"),
    *("file:/\u2028", "file:/" + "a" * 4000, "file:/" + "a" * 4001, "aes256gcm:a:" + "A" * 40),
    *("1ms", "0.5us", "86400", "P1D", "366d", "24:00:00", "2026-01-01T00:00:00+23:59"),
    *("-infinity", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z"),
    "9999-12-31T23:59:59-23:59",
    *(0, 0.0, -0.0, 1e-9, 1e16, 1e300, 2**31, 2**63, True, None, [], {}, [None], [""], {"": ""}),
)
"""What is at, or beyond, a border of some field: of lengths, alphabets, spellings and times."""

_HTTP_CHECK: Final = {
    "type": "http",
    "path": "/a",
    "method": "GET",
    "host": "a",
    "headers": {"a": "b"},
    "expected": ["200"],
    "body": "a",
}
_POLICIES: Final = {
    "path": {"strip": "/a", "prefix": "/b"},
    "response_headers": {"set": {"A": "b"}, "add": {"C": "d"}, "remove": ["e"]},
    "cors": {"origins": ["https://a.example"]},
    "upgrade": {"protocols": ["websocket"]},
    "host_header": {"value": "a.example:8080"},
    "x-any": {"a": ["b"]},
}
_TARGETS: Final[tuple[dict[str, Any], ...]] = (
    {"service_id": "a"},
    {"split": {"a": 1}},
    {"redirect": {"status": 302, "location": "/a", "path": {"strip": "/a", "prefix": "/b"}}},
    {"respond": {"status": 200, "headers": {"a": "b"}, "body": "c"}},
)


def good_rows(kind: str) -> Iterator[dict[str, Any]]:
    """Yield good rows of a kind that together have all of its fields."""
    row = GOOD[kind]
    if kind == "route":
        for target in _TARGETS:
            yield {**row, "split": None, **target}
    elif kind == "service":
        yield {**row, "health_check": _HTTP_CHECK, "policies": _POLICIES}
    else:
        yield row
        if kind == "issuer":
            yield {**row, "jwks_url": None, "discovery": True}


def places(value: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the steps to all that is within a value."""
    if type(value) is dict:
        inner = list(value.items())
    else:
        inner = list(enumerate(value)) if type(value) is list else []
    for step, one in inner:
        yield (*steps, step)
        yield from places(one, (*steps, step))


def put(value: Any, steps: tuple[Any, ...], one: Any) -> Any:
    """Return a value with something else in one place."""
    copy = deepcopy(value)
    within = copy
    for step in steps[:-1]:
        within = within[step]
    within[steps[-1]] = one
    return copy


class EnoughError(Exception):
    """It has been written, and need not stay."""


def enough() -> None:
    raise EnoughError


@pytest.fixture(scope="module")
def connection(postgres: PostgresServer, _migrated_template: str) -> Iterator[Any]:
    connection = psycopg2.connect(postgres.create_database(template=_migrated_template))
    yield connection
    connection.close()


def refusal(connection: Any, key: Key, row: dict[str, Any]) -> str:
    """Return why the tables don't take a row; empty where they do."""
    changes = plan({key: row}, {}, Ownership())
    try:
        write(connection, changes, Signature(), written=enough)
    except EnoughError:
        return ""
    except (psycopg2.Error, ValueError) as error:
        return str(error).partition("\n")[0]
    finally:
        connection.rollback()
    raise AssertionError("nothing was written")


def complaint(connection: Any, key: Key, row: dict[str, Any]) -> str:
    """Return what validation should have said of a row; empty where it has, or there is nothing."""
    verdict = validate(key, row)
    if isinstance(verdict, Accepted):
        return refusal(connection, key, row)
    return "; ".join(str(one) for one in verdict.problems if one.code == "internal_error")


@pytest.mark.parametrize("kind", sorted(GOOD.keys() - {"instance_health"}))
def test_what_validation_accepts_the_tables_take(connection: Any, kind: str) -> None:
    """With whatever in any one place of an entity; and nothing surprises validation."""
    key = key_of(kind)
    found = {}
    for good in good_rows(kind):
        assert complaint(connection, key, good) == ""
        assert isinstance(validate(key, good), Accepted), validate(key, good)
        for steps in places(good):
            for odd in ODD:
                why = complaint(connection, key, put(good, steps, odd))
                if why:
                    found[steps, repr(odd)[:80]] = why
    assert found == {}
