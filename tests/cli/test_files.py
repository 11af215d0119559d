"""Configuration files: read, written, compared."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.cli.files import read_files
from fengling_gateway.configsource.file_entities import parse_entities
from fengling_gateway.editing.changes import Ownership, Planned, TakenError, plan
from fengling_gateway.editing.documents import default_fields, write_document, written
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from tests.cli.configurations import configurations

Rows = dict[Key, dict[str, Any]]

ROWS: Rows = {
    Key("setting", "hold"): {"key": "hold", "value": {"max_removed_share": 0.6}},
    Key("tenant", "acme"): {"id": "acme", "hosts": ["acme.example"]},
    Key("service", "orders"): {
        "id": "orders",
        "connect_timeout": "PT2S",
        "policies": {"timeouts": {"first_byte": "5s", "total": None}},
        "labels": {"team": "pay"},
        "managed_by": "git:pay",
    },
    Key("instance", "i1"): {"id": "i1", "service_id": "orders", "address": "http://10.0.0.5"},
    Key("route", "hello"): {
        "id": "hello",
        "path": "/api/hello/**",
        "split": {"orders": 90},
        "match": {"headers": [{"name": "X-Beta", "op": "exists"}]},
        "valid_to": "2030-01-01T00:00:00Z",
    },
    Key("route", "old"): {"id": "old", "redirect": {"location": "https://new.example{path}"}},
}


def bodies(rows: Rows) -> dict[Key, bytes]:
    found = {}
    for key, row in rows.items():
        verdict = validate(key, dict(row))
        assert isinstance(verdict, Accepted), verdict
        found[key] = verdict.body
    return found


@pytest.mark.parametrize("full", [False, True])
def test_what_is_written_means_the_same_when_read(full: bool) -> None:
    """With defaults written out, and without."""
    text = write_document(ROWS, full=full)
    again = parse_entities(text.encode())
    assert bodies(again.rows) == bodies(ROWS)
    assert again.rows[Key("service", "orders")]["labels"] == {"team": "pay"}
    assert write_document(again.rows, full=full) == text


def test_what_is_as_by_default_is_left_out() -> None:
    """Durations and times are written as people do."""
    document = yaml.safe_load(write_document(ROWS, full=False))
    assert document["services"] == [
        {
            "id": "orders",
            "connect_timeout": "2s",
            "policies": {"timeouts": {"first_byte": "5s"}},
            "labels": {"team": "pay"},
            "managed_by": "git:pay",
        }
    ]
    assert document["routes"][0]["valid_to"] == "2030-01-01T00:00:00Z"
    assert document["routes"][0]["match"].keys() == {"headers"}
    full = yaml.safe_load(write_document(ROWS, full=True))
    assert full["services"][0]["idle_timeout"] == "1m"


@given(configurations(), st.booleans())
def test_any_configuration_survives_the_way_through_a_file(rows: Rows, full: bool) -> None:
    """Every kind of entity, with its id, its values, its labels and its owner."""
    again = parse_entities(write_document(rows, full=full).encode()).rows
    assert bodies(again) == bodies(rows)
    for key, row in rows.items():
        for name in ("labels", "managed_by"):
            assert json.dumps(again[key].get(name) or {}) == json.dumps(row.get(name) or {})


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "priority": st.integers(-5, 5),
            "hosts": st.lists(st.sampled_from(["a.example", "*.b.example"]), max_size=2),
            "path": st.sampled_from(["/", "/a/{id}", "/x/**", "~^/[a-z]+$"]),
            "methods": st.lists(st.sampled_from(["get", "POST"]), max_size=2),
            "enabled": st.booleans(),
            "valid_from": st.none() | st.floats(0, 4e9),
            "policies": st.fixed_dictionaries(
                {},
                optional={
                    "path": st.none() | st.just({"strip": "/a"}),
                    "timeouts": st.dictionaries(
                        st.sampled_from(["idle", "total"]), st.floats(0.001, 3600)
                    ),
                    "x-own": st.none() | st.just({"a": None}),
                },
            ),
        },
    )
)
def test_any_route_survives_the_way_through_a_file(fields: dict[str, Any]) -> None:
    """Written and read, its canonical body is the same; times, too, to the last bit."""
    key = Key("route", "r")
    row = {"service_id": "s", **fields}
    first = validate(key, dict(row))
    assert isinstance(first, Accepted)
    [again] = parse_entities(write_document({key: row}, full=False).encode()).rows.values()
    assert validate(key, again) == first


def test_a_rejected_row_is_written_as_it_is() -> None:
    """So that nothing is lost, and it can be put right in the file."""
    row = {"id": "i", "service_id": "s", "address": "http://a:1", "weight": -1, "version": 7}
    assert written(Key("instance", "i"), row, full=False) == {
        "service_id": "s",
        "address": "http://a:1",
        "weight": -1,
    }


def test_every_kind_has_defaults() -> None:
    """Taken from validation itself, not from a second list."""
    assert default_fields("instance")["weight"] == 1
    assert default_fields("route")["path"] == "/{**rest}"
    assert default_fields("route")["service_id"] is None
    assert default_fields("setting") == {}


def test_an_entity_in_two_files_is_refused(tmp_path: Any) -> None:
    """With both places."""
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("services: [{id: orders}]")
    with pytest.raises(Exception, match=r"service orders is in two files: .*a\.yaml:1 .*b\.yaml:1"):
        read_files([str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")])


# What separates wanted from current.

ROUTE = Key("route", "hello")


def actions(changes: list[Planned]) -> list[tuple[str, str]]:
    return [(change.action, str(change.key)) for change in changes]


def test_nothing_separates_equal_configurations() -> None:
    """Also when they are spelled differently."""
    normal = {key: {**yaml.safe_load(body), "version": 3} for key, body in bodies(ROWS).items()}
    normal[Key("service", "orders")] |= {"labels": {"team": "pay"}, "managed_by": "git:pay"}
    assert plan(ROWS, normal, Ownership()) == []


def test_changes_name_their_fields() -> None:
    """Before and after, in canonical form; other fields are not mentioned."""
    current = {ROUTE: {"id": "hello", "service_id": "v1", "priority": 0}}
    [change] = plan({ROUTE: {"service_id": "v1", "priority": 5}}, current, Ownership())
    assert (change.action, [tuple(vars_of(field)) for field in change.fields]) == (
        "update",
        [("priority", 0, 5)],
    )


@pytest.mark.parametrize(
    ("before", "after"), [(1, True), (1, 1.0), (0, False), ([1], [True]), ({"a": 1}, {"a": 1.0})]
)
def test_values_that_python_takes_for_equal_are_changes(before: Any, after: Any) -> None:
    """In policies and in labels; the gateway and the database tell them apart."""
    for field in ("policies", "labels"):
        row = {"service_id": "s", field: {"x-a": after}}
        current = {ROUTE: {"service_id": "s", field: {"x-a": before}}}
        [change] = plan({ROUTE: row}, current, Ownership())
        assert [one.name for one in change.fields] == [field]


@pytest.mark.parametrize(
    ("wanted", "stored"),
    [
        ({"policies": {"x-a": [1e16, -0.0, 1e-7]}}, {"policies": {"x-a": [10**16, 0.0, 1e-7]}}),
        ({"labels": {None: 1e22}}, {"labels": {"null": 10**22}}),
        ({"valid_to": 1700000000.1234567}, {"valid_to": "2023-11-14T22:13:20.123457Z"}),
    ],
)
def test_what_a_database_says_in_its_way_is_no_change(wanted: Any, stored: Any) -> None:
    """It writes large numbers out, and rounds times to microseconds."""
    current = {ROUTE: {"service_id": "s", **stored}}
    assert plan({ROUTE: {"service_id": "s", **wanted}}, current, Ownership()) == []


def vars_of(field: Any) -> tuple[Any, ...]:
    return field.name, field.before, field.after


def test_changes_come_in_the_order_of_references() -> None:
    """A service before its instances and routes."""
    assert [kind for kind, _ in (key for key in (c.key for c in plan(ROWS, {}, Ownership())))] == [
        "setting",
        "tenant",
        "service",
        "instance",
        "route",
        "route",
    ]


def test_only_what_one_manages_is_pruned() -> None:
    """Others' entities and unmanaged ones stay."""
    current: Rows = {
        Key("route", "mine"): {"service_id": "s", "managed_by": "git:a"},
        Key("route", "theirs"): {"service_id": "s", "managed_by": "git:b"},
        Key("route", "nobody's"): {"service_id": "s"},
    }
    changes = plan({}, current, Ownership("git:a", prune=True))
    assert actions(changes) == [("delete", "route mine")]
    assert plan({}, current, Ownership("git:a")) == []


def test_what_others_manage_is_not_taken_by_accident() -> None:
    """Only with `take_over`, or where the file says that it is theirs."""
    current = {ROUTE: {"service_id": "s", "managed_by": "ui"}}
    with pytest.raises(TakenError, match=r"route hello \(by ui\)"):
        plan({ROUTE: {"service_id": "t"}}, current, Ownership("git:a"))
    [taken] = plan({ROUTE: {"service_id": "t"}}, current, Ownership("git:a", take_over=True))
    assert taken.values["managed_by"] == "git:a"
    [kept] = plan({ROUTE: {"service_id": "t", "managed_by": "ui"}}, current, Ownership())
    assert "managed_by" not in kept.values, "so it stays as it is"


def test_labels_that_are_not_mentioned_stay() -> None:
    """Unlike the fields of configuration, which have defaults."""
    current = {ROUTE: {"service_id": "s", "labels": {"a": "b"}, "priority": 3}}
    [change] = plan({ROUTE: {"service_id": "s"}}, current, Ownership())
    assert [field.name for field in change.fields] == ["priority"]
    assert "labels" not in change.values


def test_a_rejected_row_is_replaced() -> None:
    """What is wrong in the database can be put right from a file."""
    current = {ROUTE: {"id": "hello", "service_id": "s", "path": "("}}
    [change] = plan({ROUTE: {"service_id": "s"}}, current, Ownership())
    assert ("path", "(", "/{**rest}") in [vars_of(field) for field in change.fields]
