"""Lists of entities: what is found, in which order, and at which cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from fengling_gateway import schema
from fengling_gateway.access.problems import ProblemError
from fengling_gateway.console.call import Call
from fengling_gateway.console.filters import FILTERS, MAX_WORDS, Filter, page_query, read_page
from fengling_gateway.editing.planning import WRITABLE_KINDS
from fengling_gateway.embedded.postgres import PostgresServer
from tests.support.issued import SEALED, SHOP

MANY = 10_000


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[Any]:
    """A connection to a database with entities of every kind, and ten thousand routes."""
    dsn = postgres.create_database()
    schema.upgrade(dsn)
    connection = psycopg2.connect(dsn)
    with connection.cursor() as cursor:
        cursor.execute(_CONTENT)
    connection.commit()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    connection.commit()
    yield connection
    connection.close()
    postgres.psql(f'DROP DATABASE "{dsn.rpartition("/")[2]}" WITH (FORCE)')


_CONTENT = f"""
INSERT INTO fengling.setting (key, value) VALUES ('trusted_proxies', '[]');
INSERT INTO fengling.tenant (id, name, hosts, path_prefix) VALUES
    ('acme', 'Acme Ltd', '{{acme.example}}', NULL), ('beta', 'Beta', '{{}}', '/beta');
INSERT INTO fengling.secret (id, name, value) VALUES ('shop-key', 'of the shop', '{SEALED}');
INSERT INTO fengling.certificate (id, chain, key_secret)
    VALUES ('shop', '{SHOP.chain}', 'shop-key');
INSERT INTO fengling.issuer (id, issuer, audiences, discovery, tenant_id)
    VALUES ('corp', 'https://id.corp.example', '{{api}}', true, 'acme');
INSERT INTO fengling.client (id, tenant_id) VALUES ('batch', 'acme'), ('cron', NULL);
INSERT INTO fengling.api_key (id, client_id, digest, enabled) VALUES
    ('batch-1', 'batch', '{"ab" * 32}', true), ('cron-1', 'cron', '{"ac" * 32}', false);
INSERT INTO fengling.management_token (id, subject, tenants) VALUES
    ('t1', 'ana', '{{acme}}'), ('t2', 'ben', '{{acme,beta}}'), ('t3', 'eva', NULL);
INSERT INTO fengling.service (id, name, enabled, labels, managed_by) VALUES
    ('orders', 'Orders', true, '{{"team": "shop", "tier": 1}}', 'git'),
    ('blog', '100% of it', false, '{{"team": "web"}}', NULL);
INSERT INTO fengling.instance (id, service_id, address, tenant_id) VALUES
    ('orders-1', 'orders', 'http://10.0.0.5:8080', NULL),
    ('orders-2', 'orders', 'http://10.0.0.6:8080', 'acme');
INSERT INTO fengling.route (id, path, hosts, service_id, tenant_id, labels)
    SELECT 'r' || to_char(n, 'FM00000'), '/v' || n % 100 || '/items/' || n || '/{{id}}',
        ARRAY['shop' || n % 10 || '.example'], 'orders',
        CASE WHEN n % 1000 = 0 THEN 'acme' END,
        jsonb_build_object('team', 'team' || n % 50)
    FROM generate_series(1, {MANY}) AS n;
INSERT INTO fengling.route (id, path, split) VALUES
    ('split', '/split_100%', '{{"blog": 90, "orders": 10}}');
INSERT INTO fengling.route (id, path, redirect, enabled) VALUES
    ('moved', '/moved', '{{"location": "/split"}}', false);
"""


def found(database: Any, kind: str, **wanted: Any) -> list[str]:
    page = read_page(database, Filter(kind, **wanted))
    database.rollback()
    assert page.total >= len(page.rows)
    return [entity_id for entity_id, _ in page.rows]


class PageTests:
    def test_pages_go_on_where_the_last_one_ended(self, database: Any) -> None:
        """In the order of ids, each once, however many are asked for."""
        seen: list[str] = []
        after, pages = "", 0
        while True:
            page = read_page(database, Filter("route", after=after, limit=999))
            seen += [entity_id for entity_id, _ in page.rows]
            pages += 1
            assert page.total == MANY + 2
            if page.next is None:
                break
            after = page.next
        database.rollback()
        assert pages == 11
        assert len(seen) == MANY + 2
        assert seen == sorted(set(seen))

    def test_last_page_says_so_also_when_it_is_full(self, database: Any) -> None:
        """Nobody is sent to an empty one."""
        page = read_page(database, Filter("route", words=("items/1/",), limit=1))
        assert ([one for one, _ in page.rows], page.next, page.total) == (["r00001"], None, 1)
        page = read_page(database, Filter("instance", limit=1))
        assert (page.next, page.total) == ("orders-1", 2)
        database.rollback()

    @pytest.mark.parametrize("kind", WRITABLE_KINDS)
    def test_every_kind_has_pages(self, database: Any, kind: str) -> None:
        """Whose rows have versions, and times as ISO 8601."""
        page = read_page(database, Filter(kind, limit=3))
        database.rollback()
        assert page.rows
        for _, row in page.rows:
            assert row["version"] > 0
            assert "T" in row["created_at"]


class WordTests:
    @pytest.mark.parametrize(
        ("kind", "words", "ids"),
        [
            ("route", ("ITEMS/4711/",), ["r04711"]),
            ("route", ("items/471", "shop0.Example"), ["r04710"]),
            ("route", ("split_100%",), ["split"]),
            ("route", ("spli_",), []),
            ("route", ("split\\",), []),
            ("route", ("100\\",), []),
            ("service", ("100%",), ["blog"]),
            ("service", ("OF", "IT"), ["blog"]),
            ("tenant", ("acme.ex",), ["acme"]),
            ("tenant", ("/beta",), ["beta"]),
            ("tenant", ("ltd",), ["acme"]),
            ("instance", ("10.0.0.6",), ["orders-2"]),
            ("issuer", ("id.corp",), ["corp"]),
            ("management_token", ("eva",), ["t3"]),
            ("api_key", ("batch",), ["batch-1"]),
            ("setting", ("proxies",), ["trusted_proxies"]),
            ("secret", ("shop",), ["shop-key"]),
        ],
    )
    def test_words_are_found(
        self, database: Any, kind: str, words: tuple[str, ...], ids: list[str]
    ) -> None:
        """All of them, in any case, to the letter, in what people know it by."""
        assert found(database, kind, words=words) == ids

    @pytest.mark.parametrize(("kind", "hidden"), [("secret", SEALED[:20]), ("api_key", "abab")])
    def test_what_is_hidden_is_not_searched(self, database: Any, kind: str, hidden: str) -> None:
        """Or somebody could guess it, letter by letter."""
        assert found(database, kind, words=(hidden,)) == []

    def test_nothing_asked_for_becomes_a_statement(self, database: Any) -> None:
        """Whatever it says."""
        evil = "'; DROP TABLE fengling.route; --%s"
        values: dict[str, Any] = {
            "words": (evil,),
            "labels": ((evil, evil), (evil, None)),
            "managed_by": evil,
            "after": evil,
            "ids": (evil,),
            "tenant": evil,
            "service": evil,
            "tenants": frozenset((evil,)),
        }
        for name, value in values.items():
            more = (MANY + 2) * (name == "after")
            assert read_page(database, Filter("route", **{name: value})).total == more
        database.rollback()


class FilterTests:
    @pytest.mark.parametrize(
        ("kind", "wanted", "ids"),
        [
            ("route", {"service": "blog"}, ["split"]),
            ("route", {"service": "orders", "words": ("split",)}, ["split"]),
            ("route", {"service": "-"}, ["moved", "split"]),
            ("route", {"enabled": False}, ["moved"]),
            ("route", {"tenant": "acme", "words": ("r02",)}, ["r02000"]),
            ("route", {"tenant": "-", "words": ("r0200",)}, [f"r0200{n}" for n in range(1, 10)]),
            ("instance", {"service": "orders"}, ["orders-1", "orders-2"]),
            ("instance", {"tenant": "acme"}, ["orders-2"]),
            ("instance", {"tenant": "-"}, ["orders-1"]),
            ("tenant", {"tenant": "beta"}, ["beta"]),
            ("client", {"tenant": "-"}, ["cron"]),
            ("issuer", {"tenant": "acme"}, ["corp"]),
            ("api_key", {"tenant": "acme"}, ["batch-1"]),
            ("api_key", {"client": "cron"}, ["cron-1"]),
            ("api_key", {"enabled": False}, ["cron-1"]),
            ("management_token", {"tenant": "beta"}, ["t2"]),
            ("management_token", {"tenant": "-"}, ["t3"]),
            ("service", {"labels": (("team", "web"),)}, ["blog"]),
            ("service", {"labels": (("tier", "1"), ("team", "shop"))}, ["orders"]),
            ("service", {"labels": (("tier", None),)}, ["orders"]),
            ("service", {"managed_by": "git"}, ["orders"]),
            ("service", {"managed_by": ""}, ["blog"]),
            ("service", {"ids": ("blog", "other")}, ["blog"]),
            ("service", {"ids": ()}, []),
            ("setting", {"ids": ("trusted_proxies",)}, ["trusted_proxies"]),
        ],
    )
    def test_filter_finds(
        self, database: Any, kind: str, wanted: dict[str, Any], ids: list[str]
    ) -> None:
        """What it says, and nothing else."""
        assert found(database, kind, **wanted) == ids

    @pytest.mark.parametrize(
        ("kind", "ids"),
        [
            ("route", 10),
            ("instance", 1),
            ("tenant", 1),
            ("client", 1),
            ("issuer", 1),
            ("api_key", 1),
            ("management_token", 1),
            ("service", 0),
            ("secret", 0),
            ("certificate", 0),
            ("setting", 0),
        ],
    )
    def test_who_is_limited_to_tenants_finds_theirs(
        self, database: Any, kind: str, ids: int
    ) -> None:
        """What is nobody's is not theirs to see, nor counted for them."""
        page = read_page(database, Filter(kind, tenants=frozenset(("acme",))))
        database.rollback()
        assert len(page.rows) == page.total == ids
        assert read_page(database, Filter(kind, tenants=frozenset())).total == 0
        database.rollback()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


class CostTests:
    @pytest.mark.parametrize(
        "wanted",
        [
            {},
            {"after": "r05000"},
            {"after": "r05000", "limit": 1000},
            {"enabled": True},
            {"service": "orders"},
        ],
    )
    def test_page_comes_from_the_index_of_ids(self, database: Any, wanted: dict[str, Any]) -> None:
        """Nothing is sorted, and the reading ends with the page."""
        plan = self.plan(database, Filter("route", **wanted))
        kinds = [one["Node Type"] for one in nodes(plan)]
        assert kinds == ["Limit", "Index Scan"]

    @pytest.mark.parametrize(
        "wanted",
        [
            {"tenant": "acme"},
            {"service": "blog"},
            {"words": ("items/4711/",)},
            {"labels": (("team", "team7"),)},
        ],
    )
    def test_what_is_rare_is_found_in_one_pass(self, database: Any, wanted: dict[str, Any]) -> None:
        """By an index, or by looking at each row once."""
        plan = self.plan(database, Filter("route", **wanted))
        scans = [one for one in nodes(plan) if one["Node Type"].endswith("Scan")]
        assert all(one["Actual Loops"] == 1 for one in scans)
        assert not any("Nested" in one["Node Type"] for one in nodes(plan))

    def plan(self, database: Any, wanted: Filter) -> dict[str, Any]:
        statement, values = page_query(wanted)
        with database.cursor() as cursor:
            text = statement.as_string(cursor)
            cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {text}", values)
            [[plan]] = cursor.fetchall()
        database.rollback()
        plan = json.loads(plan) if isinstance(plan, str) else plan
        found: dict[str, Any] = plan[0]["Plan"]
        return found


class Request:
    def __init__(self, **args: Any) -> None:
        self.args = {
            name.encode(): [one.encode() for one in (v if isinstance(v, list) else [v])]
            for name, v in args.items()
        }


def asked(kind: str, **args: Any) -> Filter:
    return Filter.of(kind, Call(Request(**args), {}), None, ("broken",))


class AskedTests:
    def test_request_is_read(self) -> None:
        """All of what it may say."""
        assert asked("route") == Filter("route")
        assert asked(
            "route",
            q=" Shop  /api ",
            tenant="-",
            service="orders",
            enabled="false",
            label=["team:shop:a", "tier"],
            managed_by="",
            rejected="true",
            after="a",
            limit="7",
        ) == Filter(
            "route",
            words=("Shop", "/api"),
            tenant="-",
            service="orders",
            enabled=False,
            labels=(("team", "shop:a"), ("tier", None)),
            managed_by="",
            ids=("broken",),
            after="a",
            limit=7,
        )

    def test_what_is_asked_for_more_often_than_it_counts(self) -> None:
        """Of words some, of which each costs a look at every row; of who manages it the last."""
        assert asked("route", q="a " * 50).words == ("a",) * MAX_WORDS
        assert asked("route", managed_by=["git", "helm"]).managed_by == "helm"

    @pytest.mark.parametrize(
        "args",
        [
            {"tenant": "a b"},
            {"tenant": "--"},
            {"service": ["a", "b"]},
            {"enabled": "maybe"},
            {"enabled": ""},
            {"label": ":a"},
            {"label": "a\n"},
            {"label": ["a"] * 21},
            {"managed_by": "a\0"},
            {"q": "x" * 201},
            {"after": "../x"},
            {"limit": "0"},
            {"limit": "1001"},
            {"rejected": "perhaps"},
            {"client": "batch"},
        ],
    )
    def test_wrong_parameters_are_refused(self, args: dict[str, Any]) -> None:
        """And those of other kinds: what is ignored is not noticed."""
        with pytest.raises(ProblemError) as raised:
            asked("route", **args)
        assert raised.value.code == "invalid_parameter"
        assert next(iter(args)) in raised.value.detail

    @pytest.mark.parametrize("name", FILTERS)
    def test_filters_are_of_some_kinds(self, database: Any, name: str) -> None:
        """Of which each can be asked for it."""
        value = "true" if name == "enabled" else "x"
        for kind in WRITABLE_KINDS:
            if kind in FILTERS[name]:
                read_page(database, asked(kind, **{name: value}))
                database.rollback()
            else:
                with pytest.raises(ProblemError):
                    asked(kind, **{name: value})
