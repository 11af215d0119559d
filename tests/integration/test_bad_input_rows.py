"""
Rows that the CHECKs would have refused reject themselves, and nothing else.

The constraints are dropped here, as a restored dump, a superuser in a hurry or
an older schema may have it. Every row is made bad under load.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from tests.integration.conftest import Sql
from tests.integration.gateway import GatewayProcess, Load
from tests.integration.world import (
    fenglingctl,
    metrics,
    rejected,
    world_with_database,
)
from tests.support.wait import wait_until

LOOSEN: Final = """
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT conrelid::regclass AS relation, conname FROM pg_constraint
        WHERE contype IN ('c', 'f') AND conrelid IN (
            'fengling.setting'::regclass, 'fengling.tenant'::regclass,
            'fengling.service'::regclass, 'fengling.instance'::regclass,
            'fengling.instance_health'::regclass, 'fengling.route'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', found.relation, found.conname);
    END LOOP;
END $$;
DROP INDEX fengling."one instance per service, address and tenant";
CREATE OR REPLACE FUNCTION fengling.check_splits() RETURNS void LANGUAGE sql AS '';
ALTER TABLE fengling.route
    ALTER priority TYPE double precision, ALTER enabled DROP NOT NULL,
    ALTER methods DROP NOT NULL, ALTER path DROP NOT NULL;
ALTER TABLE fengling.instance
    ALTER weight TYPE double precision, ALTER service_id DROP NOT NULL;
"""


class Bad(NamedTuple):
    """Columns that make a row bad, and the code of the problem that they are."""

    name: str
    table: str
    columns: dict[str, Any]
    code: str


def policies(**given: Any) -> dict[str, Any]:
    return {"policies": json.dumps(given)}


def _deep(depth: int) -> str:
    return '{"x-deep": ' + "[" * depth + "]" * depth + "}"


BAD: Final = [
    # Routes
    Bad("template-open", "route", {"path": "/known/{open"}, "bad_path"),
    Bad("template-rest-first", "route", {"path": "/{**rest}/known"}, "bad_path"),
    Bad("template-twice", "route", {"path": "/{a}/{a}"}, "duplicate"),
    Bad("path-relative", "route", {"path": "known"}, "bad_path"),
    Bad("path-empty", "route", {"path": ""}, "bad_path"),
    Bad("path-null", "route", {"path": None}, "wrong_type"),
    Bad("path-control", "route", {"path": "/a\r\nb"}, "bad_path"),
    Bad("regex-open", "route", {"path": "~^/(known"}, "bad_regex"),
    Bad("regex-lookahead", "route", {"path": "~^/(?=known)"}, "bad_regex"),
    Bad("regex-empty", "route", {"path": "~"}, "empty"),
    Bad("regex-huge", "route", {"path": "~" + "(a{1000}){1000}"}, "bad_regex"),
    Bad("host-scheme", "route", {"hosts": ["http://a.example"]}, "bad_host"),
    Bad("host-null", "route", {"hosts": [None]}, "wrong_type"),
    Bad("method-space", "route", {"methods": ["GET POST"]}, "not_allowed"),
    Bad("methods-null", "route", {"methods": None}, "wrong_type"),
    Bad("enabled-null", "route", {"enabled": None}, "wrong_type"),
    Bad("priority-nan", "route", {"priority": "NaN"}, "wrong_type"),
    Bad("priority-huge", "route", {"priority": 1e300}, "out_of_range"),
    Bad("priority-fraction", "route", {"priority": 0.5}, "wrong_type"),
    Bad("service-dangling", "route", {"service_id": "nowhere"}, "missing_reference"),
    Bad("tenant-dangling", "route", {"tenant_id": "nobody"}, "missing_reference"),
    Bad("target-none", "route", {"service_id": None}, "one_target"),
    Bad("target-two", "route", {"redirect": '{"status": 302, "location": "/"}'}, "one_target"),
    Bad("match-text", "route", {"match": '"everything"'}, "wrong_type"),
    Bad("match-unknown", "route", {"match": '{"colour": "blue"}'}, "unknown_field"),
    Bad("match-op", "route", {"match": '{"headers": [{"name": "a", "op": "is"}]}'}, "not_allowed"),
    Bad("match-ip", "route", {"match": '{"client_ip": ["10.0.0.0/99"]}'}, "bad_network"),
    Bad("policies-array", "route", {"policies": "[]"}, "wrong_type"),
    Bad("policies-number", "route", {"policies": "17"}, "wrong_type"),
    Bad("policies-null", "route", {"policies": "null"}, "wrong_type"),
    Bad("policies-unknown", "route", policies(ratelimit={}), "unknown_policy"),
    Bad("policies-nested", "route", {"policies": _deep(100)}, "too_deep"),
    Bad("policies-deep", "route", {"policies": _deep(1000)}, "source"),
    Bad("policies-huge", "route", policies(**{"x-a": "a" * 100_000}), "too_large"),
    Bad("number-huge", "route", {"policies": '{"x-n": 1e400}'}, "out_of_range"),
    Bad("number-endless", "route", {"policies": '{"x-n": ' + "9" * 5000 + "}"}, "source"),
    Bad("body-limit", "route", policies(limits={"max_request_body": -1}), "out_of_range"),
    Bad("retries", "route", policies(retry={"attempts": 1e9}), "out_of_range"),
    Bad("timeout", "route", policies(timeouts={"idle": "soon"}), "bad_duration"),
    Bad(
        "header-split",
        "route",
        policies(response_headers={"set": {"X-A": "a\r\nSet-Cookie: b=c"}}),
        "bad_header_value",
    ),
    Bad("header-name", "route", policies(request_headers={"set": {"X A": "b"}}), "bad_header_name"),
    Bad(
        "header-framing",
        "route",
        policies(request_headers={"set": {"Content-Length": "0"}}),
        "protected_header",
    ),
    Bad(
        "valid-backwards",
        "route",
        {"valid_from": "2030-01-01", "valid_to": "2020-01-01"},
        "conflict",
    ),
    # Services
    Bad("balancing", "service", {"balancing": "fastest"}, "not_allowed"),
    Bad("protocol", "service", {"protocol": "gopher"}, "not_allowed"),
    Bad("host-header", "service", {"host_header": "a\r\nb"}, "bad_host"),
    Bad("negative-timeout", "service", {"connect_timeout": "-3 s"}, "bad_duration"),
    Bad("endless-timeout", "service", {"idle_timeout": "infinity"}, "bad_duration"),
    Bad("affinity", "service", {"affinity": '{"cookie": "a"}'}, "unsupported"),
    Bad("health-check", "service", {"health_check": "[1]"}, "wrong_type"),
    Bad("service-endless", "service", {"policies": '{"x-n": ' + "9" * 5000 + "}"}, "source"),
    # Instances
    Bad("address-scheme", "instance", {"address": "ftp://127.0.0.1:1"}, "bad_address"),
    Bad("address-port", "instance", {"address": "http://127.0.0.1:99999"}, "bad_address"),
    Bad("address-path", "instance", {"address": "http://127.0.0.1:1/path"}, "bad_address"),
    Bad("address-words", "instance", {"address": "the second server"}, "bad_address"),
    Bad("weight-negative", "instance", {"weight": -1}, "out_of_range"),
    Bad("weight-nan", "instance", {"weight": "NaN"}, "wrong_type"),
    Bad("weight-infinite", "instance", {"weight": "Infinity"}, "wrong_type"),
    Bad("weight-huge", "instance", {"weight": 1e200}, "out_of_range"),
    Bad("state", "instance", {"state": "asleep"}, "not_allowed"),
    Bad("instance-dangling", "instance", {"service_id": "nowhere"}, "missing_reference"),
    Bad("instance-null", "instance", {"service_id": None}, "wrong_type"),
    # Tenants
    Bad("tenant-host", "tenant", {"hosts": ["https://b.example"]}, "bad_host"),
    Bad("tenant-prefix", "tenant", {"path_prefix": "no-slash"}, "bad_path"),
    Bad("tenant-limits", "tenant", {"limits": '"none"'}, "wrong_type"),
]


ODD_IDS: Final = [
    "",
    " ",
    "good ",
    " good",
    "good\n",
    "good\r\n2026-01-01T00:00:00.000Z INFO  gateway  nothing is rejected",
    "g\u00f6\u00f6d",
    "good\u200b",
    "good\u2028",
    "../good",
    "good/good",
    "good'); DROP SCHEMA fengling CASCADE; --",
    '"good"',
    "-good",
    "g" * 101,
]

# What a setting was and what it becomes; None: it was not there.
SETTINGS: Final = [
    ("defaults", '{"response_headers": {"set": {"X-Default": "yes"}}}', '{"response_headers": 7}'),
    ("trusted_proxies", None, '["10.0.0.0/99"]'),
    ("identity_headers", "{}", '{"tenant": "X-A", "user": "x-a"}'),
    ("hold", '{"max_removed_share": 0.9}', '{"max_removed_share": 7}'),
    ("colour", None, '"blue"'),
]


class Rows:
    """Writes good rows, makes them bad, and good again."""

    def __init__(self, sql: Sql, address: str, other_address: str) -> None:
        self._sql = sql
        self._address = address
        self._other_address = other_address

    def add_good(self) -> None:
        self._sql.add_service("good", self._address)
        self._sql.add_route("good", "/good/{**rest}", "good")
        # Another id, whatever a file system or a person might think.
        self._sql.add_route("Good", "/Good/{**rest}", "good")
        self._insert("instance_health", {"instance_id": "good-1", "health": "healthy"})
        for key, good, _ in SETTINGS:
            if good is not None:
                self._insert("setting", {"key": key, "value": good})
        for bad in BAD:
            self._insert(bad.table, self._good(bad, bad.name))
            self._lead_to(bad)

    def make_bad(self) -> None:
        for bad in BAD:
            self._update(bad.table, bad.name, bad.columns)
            self._insert(bad.table, self._good(bad, f"{bad.name}-new") | bad.columns)
        for key, good, bad_value in SETTINGS:
            if good is not None:
                self._update("setting", key, {"value": bad_value}, "key")
            else:
                self._insert("setting", {"key": key, "value": bad_value})
        self._update("instance_health", "good-1", {"health": "dizzy"}, "instance_id")
        self._insert("instance_health", {"instance_id": "ghost", "health": "healthy"})
        for entity_id in ODD_IDS:
            self._insert("route", {"id": entity_id, "path": "/odd", "service_id": "good"})
        self._insert("route", {"id": "follower", "path": "/f", "service_id": "balancing-new"})

    def repair(self) -> None:
        for bad in BAD:
            for entity_id in (bad.name, f"{bad.name}-new"):
                good = self._good(bad, entity_id)
                sets = ", ".join(
                    f"{column} = {'%s' if column in good else 'DEFAULT'}" for column in bad.columns
                )
                values = [good[column] for column in bad.columns if column in good]
                self._sql.run(
                    f"UPDATE fengling.{bad.table} SET {sets} WHERE id = %s", *values, entity_id
                )
        self._sql.run("DELETE FROM fengling.setting WHERE key IN ('colour', 'trusted_proxies')")
        for key, good, _ in SETTINGS:
            if good is not None:
                self._update("setting", key, {"value": good}, "key")
        self._update("instance_health", "good-1", {"health": "healthy"}, "instance_id")
        self._sql.run("DELETE FROM fengling.instance_health WHERE instance_id = 'ghost'")
        self._sql.run("DELETE FROM fengling.route WHERE path = '/odd'")

    def _good(self, bad: Bad, entity_id: str) -> dict[str, Any]:
        row: dict[str, Any] = {"id": entity_id}
        if bad.table == "route":
            row |= {"path": f"/{entity_id}", "service_id": "good"}
        elif bad.table == "instance":
            address = self._other_address if entity_id.endswith("-new") else self._address
            row |= {"service_id": f"of-{bad.name}", "address": address}
        return row

    def _lead_to(self, bad: Bad) -> None:
        """Make what `/NAME` needs to be answered by way of this row."""
        if bad.table == "service":
            self._insert(
                "instance",
                {"id": f"of-{bad.name}", "service_id": bad.name, "address": self._address},
            )
            self._sql.add_route(f"to-{bad.name}", f"/{bad.name}", bad.name)
        elif bad.table == "instance":
            self._insert("service", {"id": f"of-{bad.name}"})
            self._sql.add_route(f"to-{bad.name}", f"/{bad.name}", f"of-{bad.name}")

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        marks = ", ".join(["%s"] * len(row))
        self._sql.run(
            f"INSERT INTO fengling.{table} ({', '.join(row)}) VALUES ({marks})", *row.values()
        )

    def _update(self, table: str, entity_id: str, row: dict[str, Any], column: str = "id") -> None:
        sets = ", ".join(f"{name} = %s" for name in row)
        self._sql.run(
            f"UPDATE fengling.{table} SET {sets} WHERE {column} = %s", *row.values(), entity_id
        )


class Seen:
    """How a gateway and the command line see the configuration at one time."""

    def __init__(self, gateway: GatewayProcess, dsn: str) -> None:
        self.status = gateway.manage("status")
        self.rejected = rejected(gateway)
        self.metrics = metrics(gateway)
        self.log = gateway.log
        self.answers = {
            bad.name: gateway.fetch(f"/{bad.name}")[:2] for bad in BAD if bad.table != "tenant"
        }
        self.new_answers = {
            bad.name: gateway.get(f"/{bad.name}-new")[0] for bad in BAD if bad.table == "route"
        }
        self.validate = fenglingctl("validate", "--database", dsn)
        self.validate_json = json.loads(
            fenglingctl("validate", "--database", dsn, "-o", "json").stdout
        )


class Story(NamedTuple):
    """A gateway that saw rows go bad, one that was started then, and both after the repair."""

    bad: Seen
    cold: Seen
    repaired: Seen
    load: Load


@pytest.fixture(scope="module")
def story(
    postgres: PostgresServer, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    directory = tmp_path_factory.mktemp("rows")
    with world_with_database(postgres, _migrated_template, directory) as world:
        sql = world.sql
        sql.run(LOOSEN)
        rows = Rows(sql, world.upstream("one").address, world.upstream("other").address)
        rows.add_good()
        gateway = world.gateway()
        assert rejected(gateway) == {}
        with Load(gateway.port, "/good/load").running() as load:
            rows.make_bad()
            wait_until(lambda: gateway.served_by_every_worker(sql.revision))
            load.wait_for(50)
            bad = Seen(gateway, sql.dsn)
            cold = Seen(world.gateway(worker_count=1), sql.dsn)
            rows.repair()
            wait_until(lambda: gateway.served_by_every_worker(sql.revision))
            load.wait_for(50)
            repaired = Seen(gateway, sql.dsn)
        yield Story(bad, cold, repaired, load)


def keys_of(bad: Bad) -> list[tuple[str, str]]:
    """Return the two entities that a bad row stands for, and what is served of each."""
    return [
        (f"{bad.table} {bad.name}", "previous version"),
        (f"{bad.table} {bad.name}-new", "nothing"),
    ]


def same_reasons(found: dict[str, Any]) -> dict[str, Any]:
    return {key: (one["serving"], one["problems"]) for key, one in found.items()}


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
class BadRowTests:
    """One bad row at a time."""

    def test_row_is_rejected_with_its_reason(self, story: Story, bad: Bad) -> None:
        """In the status: one that was good serves as it was, a new one stays out."""
        for key, serving in keys_of(bad):
            found = story.bad.rejected[key]
            assert bad.code in [one["code"] for one in found["problems"]], found
            assert found["serving"] == serving
            assert all(one["path"].startswith(key) for one in found["problems"])

    def test_rejection_is_a_line_of_the_log(self, story: Story, bad: Bad) -> None:
        """An error with entity, reason, code and what is served."""
        for key, serving in keys_of(bad):
            lines = [line for line in story.bad.log.splitlines() if f" rejected {key}: " in line]
            problems = story.bad.rejected[key]["problems"]
            assert len(lines) == len(problems), lines
            for line in lines:
                assert " ERROR " in line
                assert line.endswith(f"; serving {serving}")
            assert f"({bad.code})" in "".join(lines)

    def test_validate_names_it(self, story: Story, bad: Bad) -> None:
        """`fenglingctl validate` with the same reason."""
        for key, _ in keys_of(bad):
            assert key in story.bad.validate.stdout

    def test_previous_version_answers(self, story: Story, bad: Bad) -> None:
        """As before, in a gateway that saw it and in one that was started afterwards."""
        if bad.table == "tenant":
            return
        for seen in story:
            if isinstance(seen, Seen):
                assert seen.answers[bad.name][0] == 200
        if bad.table == "route":
            assert story.bad.new_answers[bad.name] == 404
            assert story.cold.new_answers[bad.name] == 404
            assert story.repaired.new_answers[bad.name] == 200


class StoryTests:
    """All of them together."""

    def test_other_routes_serve_with_0_failures(self, story: Story) -> None:
        """While rows go bad, and while they are repaired."""
        assert story.load.refused == []
        assert story.load.failed == []
        assert "Traceback" not in story.repaired.log + story.cold.log

    def test_nothing_else_is_rejected(self, story: Story) -> None:
        """Only what was made bad, and what needs it."""
        expected = {key for bad in BAD for key, _ in keys_of(bad)}
        expected |= {f"setting {key}" for key, _, _ in SETTINGS}
        expected |= {f"route {entity_id}" for entity_id in ODD_IDS}
        expected |= {"instance_health good-1", "instance_health ghost", "route follower"}
        assert set(story.bad.rejected) == expected

    def test_settings_keep_their_previous_value(self, story: Story) -> None:
        """A bad default is not the end of the one before; an unknown setting is named."""
        for key, good, _ in SETTINGS:
            serving = story.bad.rejected[f"setting {key}"]["serving"]
            assert serving == ("nothing" if good is None else "previous version")
        for seen in (story.bad, story.cold):
            assert seen.answers["template-open"][1]["x-default"] == "yes"
        [problem] = story.bad.rejected["setting colour"]["problems"]
        assert problem["code"] == "unknown_setting"

    def test_odd_ids_are_rejected_and_harmless_in_the_log(self, story: Story) -> None:
        """Each is an entity of its own; none can write a line of its own."""
        for entity_id in ODD_IDS:
            [problem] = story.bad.rejected[f"route {entity_id}"]["problems"]
            assert problem["code"] == "bad_id"
        for log in (story.bad.log, story.cold.log):
            assert not [line for line in log.splitlines() if line.startswith("2026-01-01")]

    def test_route_of_a_rejected_service_waits_for_it(self, story: Story) -> None:
        """Named with the service, and served once that is good."""
        [problem] = story.bad.rejected["route follower"]["problems"]
        assert problem["code"] == "missing_reference"
        assert "service balancing-new" in problem["message"]

    def test_metrics_count_and_name_them(self, story: Story) -> None:
        """All are counted by kind; the first hundred are named, with the code."""
        counts = dict.fromkeys(story.bad.status["entities"], 0)
        for one in story.bad.rejected.values():
            counts[one["kind"]] += 1
        assert story.bad.status["rejected_total"] == sum(counts.values())
        for seen in (story.bad, story.cold):
            for kind, count in counts.items():
                assert seen.metrics[f'fengling_config_rejected_entities{{kind="{kind}"}}'] == count
            named = [name for name in seen.metrics if "config_rejected_entity{" in name]
            assert len({name.partition(",code=")[0] for name in named}) == 100
            sample = 'code="bad_address",id="address-port-new",kind="instance",serving="nothing"'
            assert _sorted_labels(sample) in map(_sorted_labels, named)

    def test_validate_agrees_with_the_gateway(self, story: Story) -> None:
        """Exit status 1, and the same entities, reasons and versions."""
        assert (story.bad.validate.returncode, story.bad.validate.stderr) == (1, "")
        found = {f"{one['kind']} {one['id']}": one for one in story.bad.validate_json["rejected"]}
        assert same_reasons(found) == same_reasons(story.bad.rejected)

    def test_cold_start_comes_to_the_same(self, story: Story) -> None:
        """A process that has seen nothing before serves and rejects the same."""
        assert story.cold.status["content_hash"] == story.bad.status["content_hash"]
        assert same_reasons(story.cold.rejected) == same_reasons(story.bad.rejected)
        assert " more of their problems are in the status" in story.cold.log

    def test_repaired_rows_recover(self, story: Story) -> None:
        """Nothing is rejected any more; the log says so of each, or how many more there are."""
        assert story.repaired.rejected == {}
        repaired = {key for bad in BAD for key, _ in keys_of(bad)}
        named = set(re.findall(r"no longer rejected: (.+)\n", story.repaired.log))
        # A busy gateway reads many repairs at once, and names a hundred of them.
        more = re.findall(r"(\d+) more entities are no longer rejected\n", story.repaired.log)
        assert len(repaired - named) <= sum(map(int, more))
        names = [name for name in story.repaired.metrics if "config_rejected_entit" in name]
        assert all(story.repaired.metrics[name] == 0 for name in names)
        assert story.repaired.validate.returncode == 0


def _sorted_labels(sample: str) -> list[str]:
    inner = sample.partition("{")[2].rpartition("}")[0] or sample
    return sorted(inner.split(","))
