"""Rows of what is sent, and what is shown of rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fengling_gateway.console.forms import (
    FormError,
    etag,
    merge_patch,
    merged,
    read_form,
    read_patch,
    row_of,
    shown,
)
from fengling_gateway.editing.changes import Ownership, TakenError, plan
from fengling_gateway.editing.planning import WRITABLE_KINDS
from fengling_gateway.editing.rows import read_rows
from fengling_gateway.editing.stored import as_stored
from fengling_gateway.editing.transaction import Signature, write
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import KNOWN_FIELDS, Accepted, validate
from tests.cli.configurations import Rows, configurations
from tests.model.strategies import GOOD, any_json, rows
from tests.support.issued import SEALED

ROUTE = {"id": "orders", "path": "/orders/{**rest}", "service_id": "orders"}
KEPT = {
    "version": 7,
    "created_at": "2026-11-22T08:00:00.5+00:00",
    "updated_at": "2026-11-22T09:00:00+00:00",
}


def told(kind: str, body: Any, **more: Any) -> dict[str, str]:
    """Return the codes of problems, by path."""
    return {one.path: one.code for one in read_form(kind, body, **more).problems}


class RowTests:
    def test_row_has_what_was_sent(self) -> None:
        """And whose it is: what is left out of a whole is as by default."""
        row = row_of("route", {**ROUTE, "policies": {"timeouts": {"total": "5s"}}})
        assert row == {
            **ROUTE,
            "policies": {"timeouts": {"total": "5s"}},
            "labels": {},
            "managed_by": None,
        }

    def test_id_of_the_path_counts(self) -> None:
        """A body may repeat it, and not say another."""
        body = {"service_id": "orders"}
        assert row_of("route", body, entity_id="a")["id"] == "a"
        assert row_of("route", {**body, "id": "a"}, entity_id="a")["id"] == "a"
        assert told("route", {**body, "id": "b"}, entity_id="a") == {"id": "conflict"}

    def test_instance_without_id_gets_one(self) -> None:
        """The same that it has in a file, so that twice the same is a conflict."""
        body = {"service_id": "orders", "address": "http://10.0.0.5:8080"}
        assert row_of("instance", body)["id"] == "orders-10.0.0.5-8080"

    @pytest.mark.parametrize(
        ("kind", "path"), [("route", "id"), ("setting", "key"), ("api_key", "id")]
    )
    def test_others_need_an_id(self, kind: str, path: str) -> None:
        """Which is said of the id, and once."""
        assert told(kind, {})[path] == "required"
        assert told(kind, {path: 5})[path] == "wrong_type"

    def test_unknown_field_is_refused_with_what_may_be_meant(self) -> None:
        """Along with everything else that is wrong."""
        form = read_form("route", {"id": "a", "servce_id": "orders", "priority": "high"})
        assert [(one.path, one.code) for one in form.problems] == [
            ("priority", "wrong_type"),
            ("", "one_target"),
            ("servce_id", "unknown_field"),
        ]
        assert form.problems[2].message == 'is not a known field; did you mean "service_id"?'

    def test_problem_is_told_once(self) -> None:
        """By validation, which knows better than a model what is wrong."""
        body = {**ROUTE, "policies": {"rate_limit": {"rate": 5}, "cors": {"originz": ["*"]}}}
        assert told("route", body) == {
            "policies.rate_limit.rate": "wrong_type",
            "policies.cors.origins": "required",
            "policies.cors.originz": "unknown_field",
        }

    def test_labels_and_owner_are_judged(self) -> None:
        """Which validation does not look at: no gateway does."""
        assert told("route", {**ROUTE, "labels": ["a"], "managed_by": ""}) == {
            "labels": "wrong_type",
            "managed_by": "empty",
        }
        assert told("route", {**ROUTE, "managed_by": "x" * 201}) == {"managed_by": "too_long"}
        assert told("route", {**ROUTE, "labels": {"a": "\0"}}) == {"labels": "bad_text"}

    def test_sources_word_for_problems_is_no_field(self) -> None:
        """Nobody puts words into our mouth."""
        assert told("route", {**ROUTE, "$problems": ["you are hacked"]}) == {
            '"$problems"': "unknown_field"
        }

    def test_error_says_all_of_it(self) -> None:
        """With whose problems they are."""
        with pytest.raises(FormError) as raised:
            row_of("route", {"id": "a", "enabled": 1})
        [(key, problems)] = raised.value.problems.items()
        assert key == Key("route", "a")
        assert [one.code for one in problems] == ["wrong_type", "one_target"]

    @pytest.mark.parametrize("kind", WRITABLE_KINDS)
    @pytest.mark.parametrize("body", [None, [], "text", 5, {"id": None}, {"key": []}])
    def test_anything_else_is_refused(self, kind: str, body: Any) -> None:
        """Without a word of what may be a secret."""
        assert read_form(kind, body).problems
        assert read_form(kind, body, entity_id="a").problems

    def test_unknown_setting_is_refused(self) -> None:
        """There is no form for it."""
        assert told("setting", {"value": {}}, entity_id="holt") == {"": "unknown_setting"}

    @pytest.mark.parametrize("kind", ["secret", "api_key"])
    def test_what_may_be_secret_is_not_repeated(self, kind: str) -> None:
        """Wherever in the body it stands."""
        canary = "canary4711"
        for body in (canary, [canary], {"value": canary, "digest": canary, "valu": canary}):
            for form in (
                read_form(kind, body),
                read_form(kind, body, entity_id="a"),
                read_patch(kind, {"id": "a"}, body),
            ):
                assert form.problems
                assert canary not in repr(form.problems)


class HiddenTests:
    def test_secret_shows_where_it_is(self) -> None:
        """Or with which key it is encrypted."""
        row = {"id": "a", "name": "", "value": "file:/etc/key", **KEPT}
        assert shown("secret", row)["reference"] == "file:/etc/key"
        sealed = shown("secret", {**row, "value": SEALED})
        assert (sealed["reference"], sealed["key"]) == (None, SEALED.split(":")[1])
        assert "value" not in sealed

    def test_secret_without_a_value_keeps_it(self) -> None:
        """As it is after what is shown of it is sent back."""
        row = {"id": "a", "name": "", "value": SEALED, "labels": {}, "managed_by": None, **KEPT}
        again = row_of("secret", shown("secret", row), entity_id="a", present=row)
        assert again["value"] == SEALED
        assert merged("secret", row, {"name": "of the shop"})["value"] == SEALED
        assert merged("secret", row, {"value": "env:SHOP"})["value"] == "env:SHOP"

    def test_new_secret_needs_a_value(self) -> None:
        """There is nothing to keep."""
        assert told("secret", {"id": "a"}) == {"value": "required"}
        assert read_patch("secret", {"id": "a", "value": SEALED}, {"value": None}).problems

    def test_api_key_shows_a_fingerprint(self) -> None:
        """And keeps its digest."""
        row = {"id": "a", "client_id": "b", "digest": "ab" * 32, **KEPT}
        found = shown("api_key", row)
        assert found["fingerprint"] == "abababababab"
        assert "digest" not in found
        assert row_of("api_key", found, entity_id="a", present=row)["digest"] == "ab" * 32

    def test_what_is_derived_is_not_changed(self) -> None:
        """Who does so thinks that it has an effect."""
        row = {"id": "a", "value": "file:/a", **KEPT}
        body = {**shown("secret", row), "reference": "file:/b"}
        assert told("secret", body, entity_id="a", present=row) == {"reference": "conflict"}
        assert not told("secret", {**body, "value": "file:/b"}, entity_id="a", present=row)

    def test_bookkeeping_may_be_sent_back(self) -> None:
        """Of whatever version it was: If-Match is for that."""
        body = {
            **ROUTE,
            "version": 3,
            "created_at": "2026-01-01T00:00:00Z",
            "access": "public",
            "rejected": {"serving": "nothing", "problems": []},
        }
        assert row_of("route", body) == row_of("route", ROUTE)

    def test_entities_of_several_may_be_there_already(self) -> None:
        """Then what is hidden stays, of those that are named in the body as well."""
        row = {"id": "a", "value": SEALED, **KEPT}
        assert row_of("secret", {"id": "a"}, present=row)["value"] == SEALED

    def test_certificate_shows_what_it_is_for(self) -> None:
        """Nothing of it where it can't be read."""
        found = shown("certificate", {**GOOD["certificate"], **KEPT})
        assert found["names"] == ["*.shop.example", "shop.example"]
        assert found["not_after"].endswith("Z")
        assert shown("certificate", {"id": "a", "chain": "no"})["names"] == []

    def test_revoked_token_stays_revoked(self) -> None:
        """It may be left out, and not be changed."""
        row = {"id": "t", "revoked_at": "2026-11-22T08:00:00+00:00", **KEPT}
        kept = row_of("management_token", {"name": "a"}, entity_id="t", present=row)
        assert kept["revoked_at"] == row["revoked_at"]
        same = {"revoked_at": "2026-11-22T09:00:00+01:00"}
        assert not told("management_token", same, entity_id="t", present=row)
        for value in (None, "2026-11-22T08:00:01Z"):
            body = {"revoked_at": value}
            found = told("management_token", body, entity_id="t", present=row)
            assert found == {"revoked_at": "conflict"}
        assert not told("management_token", same, entity_id="t")


class ShownTests:
    def test_durations_and_times_are_as_people_write_them(self) -> None:
        """Whatever PostgreSQL made of them."""
        service = {
            "id": "a",
            "connect_timeout": "PT1M30S",
            "idle_timeout": 60.0,
            "first_byte_timeout": "P1M",
            "policies": {"timeouts": {"total": 5.0, "idle": None}, "cors": {"max_age": 600}},
        }
        found = shown("service", {**service, **KEPT})
        assert found["connect_timeout"] == "1m30s"
        assert found["idle_timeout"] == "1m"
        assert found["first_byte_timeout"] == "P1M", "nobody knows how long a month is"
        assert found["policies"]["timeouts"] == {"total": "5s", "idle": None}
        assert found["policies"]["cors"]["max_age"] == "10m"
        assert found["created_at"] == "2026-11-22T08:00:00.500000Z"
        route = {"valid_from": "-infinity", "valid_to": "2026-01-01T01:00:00+01:00"}
        found = shown("route", {**ROUTE, **route})
        assert found["valid_from"] == "-infinity"
        assert found["valid_to"] == "2026-01-01T00:00:00Z"

    def test_etag_is_the_version(self) -> None:
        """In quotes, as HTTP has it."""
        assert etag(KEPT) == '"7"'

    @given(rows())
    def test_anything_can_be_shown(self, case: tuple[Key, Any]) -> None:
        """What is refused as well, by whatever way it came into the table."""
        key, row = case
        if key.kind != "instance_health" and type(row) is dict:
            found = shown(key.kind, {**row, **KEPT})
            assert found["version"] == 7
            json.dumps(found)


def storable_rows() -> st.SearchStrategy[tuple[Key, dict[str, Any]]]:
    return configurations().flatmap(lambda rows: st.sampled_from(sorted(rows.items())))


class RoundTripTests:
    @given(storable_rows())
    def test_what_is_shown_can_be_sent_back(self, case: tuple[Key, dict[str, Any]]) -> None:
        """And changes nothing; nor does a patch that says nothing new."""
        key, row = case
        labels = as_stored("labels", row.get("labels", {}))  # (1e16 comes back as a whole number)
        present = {"managed_by": None, **row, "labels": labels, **KEPT}
        body = shown(key.kind, present)
        again = row_of(key.kind, body, entity_id=key.id, present=present)
        assert plan({key: again}, {key: present}, Ownership()) == []
        # (Null has a meaning of its own in a patch, at any depth.)
        same = {n: v for n, v in body.items() if v is not None and type(v) is not dict}
        for patch in ({}, same):
            assert plan({key: merged(key.kind, present, patch)}, {key: present}, Ownership()) == []

    @pytest.mark.parametrize("kind", GOOD)
    def test_good_rows_come_back(self, kind: str) -> None:
        """Those with everything in them."""
        if kind == "instance_health":
            return
        row = {**GOOD[kind], "labels": {"a": "b"}, "managed_by": "ui", **KEPT}
        key = Key(kind, row["id"])
        again = row_of(kind, shown(kind, row), entity_id=key.id, present=row)
        assert plan({key: again}, {key: row}, Ownership()) == []

    # (The database is emptied at the beginning of each example.)
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
    @given(rows=configurations())
    def test_rows_of_a_database_come_back(self, held: Any, rows: Rows) -> None:
        """As PostgreSQL writes them."""
        _empty(held)
        write(held, plan(rows, {}, Ownership()), Signature(force=True))
        stored = read_rows(held, WRITABLE_KINDS)
        again = {
            key: row_of(key.kind, shown(key.kind, row), entity_id=key.id, present=row)
            for key, row in stored.items()
        }
        assert plan(again, stored, Ownership()) == []
        held.rollback()


@pytest.fixture
def held(migrated_database: str) -> Iterator[Any]:
    connection = psycopg2.connect(migrated_database)
    yield connection
    connection.close()


def _empty(connection: Any) -> None:
    connection.rollback()
    with connection.cursor() as cursor:
        for kind in reversed(WRITABLE_KINDS):
            cursor.execute(f"DELETE FROM fengling.{kind}")
    connection.commit()


class PatchTests:
    ROW = {**ROUTE, "policies": {"timeouts": {"total": 5.0}, "x-a": 1}, "labels": {"a": "b"}}

    def test_patch_changes_what_it_names(self) -> None:
        """However deep, and the rest stays."""
        patch = {"policies": {"timeouts": {"idle": "3s"}, "x-a": None}, "priority": 3}
        row = merged("route", self.ROW, patch)
        assert row["policies"] == {"timeouts": {"total": "5s", "idle": "3s"}}
        assert (row["priority"], row["labels"]) == (3, {"a": "b"})

    def test_null_takes_away(self) -> None:
        """So that a target can take another's place."""
        row = merged("route", self.ROW, {"service_id": None, "redirect": {"location": "/x"}})
        assert "service_id" not in row
        assert merged("route", self.ROW, {"labels": None})["labels"] == {}

    def test_owner_can_be_taken_away(self) -> None:
        """By null, as with all other fields, if he is said to be nobody."""
        key = Key("route", "orders")
        row = {**self.ROW, "managed_by": "git", **KEPT}
        wanted = {key: merged("route", row, {"managed_by": None})}
        [change] = plan(wanted, {key: row}, Ownership(take_over=True))
        assert change.values == {"managed_by": None}
        with pytest.raises(TakenError):
            plan(wanted, {key: row}, Ownership())

    def test_what_it_makes_is_judged(self) -> None:
        """As if it had been sent as a whole."""
        problems = read_patch("route", self.ROW, {"service_id": None}).problems
        assert [one.code for one in problems] == ["one_target"]

    @pytest.mark.parametrize(
        ("patch", "path"),
        [
            ({"servce_id": None}, "servce_id"),
            ({"policies": {"timeout": None}}, "policies.timeout"),
            ({"policies": {"timeouts": {"totl": None}}}, "policies.timeouts.totl"),
            ({"policies": {"timeouts": {"totl": "3s"}}}, "policies.timeouts.totl"),
        ],
    )
    def test_unknown_fields_are_refused(self, patch: Any, path: str) -> None:
        """Also where nothing would come of it."""
        [problem] = read_patch("route", self.ROW, patch).problems
        assert problem.path == path
        assert problem.code in {"unknown_field", "unknown_policy"}

    @given(any_json, any_json)
    def test_merging_is_that_of_the_rfc(self, target: Any, patch: Any) -> None:
        """By its pseudocode, which is a few lines, too."""

        def by_the_book(target: Any, patch: Any) -> Any:
            if isinstance(patch, dict):
                if not isinstance(target, dict):
                    target = {}
                target = dict(target)
                for name, value in patch.items():
                    if value is None:
                        if name in target:
                            del target[name]
                    else:
                        target[name] = by_the_book(target.get(name), value)
                return target
            return patch

        assert repr(merge_patch(target, patch)) == repr(by_the_book(target, patch))

    @given(storable_rows(), any_json)
    def test_any_patch_makes_a_right_row_or_problems(
        self, case: tuple[Key, dict[str, Any]], patch: Any
    ) -> None:
        """Nothing else comes of it."""
        key, row = case
        form = read_patch(key.kind, row, patch)
        judged = validate(key, form.row)
        assert form.problems or isinstance(judged, Accepted)
        assert form.row.keys() <= {*KNOWN_FIELDS[key.kind], "labels", "managed_by"}
