"""What a configuration file describes, and how its faults are named."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.configsource.file_entities import FileError, parse_entities
from fengling_gateway.configsource.file_yaml import MAX_DEPTH, YamlError, read_yaml
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Rejected, validate

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def problems_of(text: str, kind: str, name: str) -> list[str]:
    """What rejects one entity of a file."""
    key = Key(kind, name)
    verdict = validate(key, parse_entities(text.encode()).rows[key])
    assert isinstance(verdict, Rejected)
    return [problem.message for problem in verdict.problems]


def file_problems(text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        parse_entities(text.encode())
    return caught.value.problems


class ShapeTests:
    def test_lists_and_mappings_say_the_same(self) -> None:
        """A section is a list with ids inside, or a mapping with ids outside."""
        as_list = parse_entities(b"routes: [{id: a, service_id: s}]").rows
        as_mapping = parse_entities(b"routes: {a: {service_id: s}}").rows
        assert as_list == {Key("route", "a"): {"id": "a", "service_id": "s"}}
        assert as_mapping == {Key("route", "a"): {"service_id": "s"}}

    def test_settings_are_names_and_values(self) -> None:
        """A setting's value is whatever is under its name."""
        rows = parse_entities(b"settings: {trusted_proxies: [10.0.0.0/8]}").rows
        key = Key("setting", "trusted_proxies")
        assert rows == {key: {"key": "trusted_proxies", "value": ["10.0.0.0/8"]}}

    def test_nested_instances_get_their_service_and_an_id(self) -> None:
        """The id comes from service and address, so it is the same wherever it is written."""
        rows = parse_entities(
            b"services: {s: {instances: [{address: 'http://10.0.0.5:80'}, {id: i, address: x}]}}"
        ).rows
        assert rows[Key("service", "s")] == {}
        assert rows[Key("instance", "s-10.0.0.5-80")] == {
            "service_id": "s",
            "address": "http://10.0.0.5:80",
        }
        assert rows[Key("instance", "i")]["service_id"] == "s"

    def test_instances_outside_get_the_same_id(self) -> None:
        """Moving an instance out of its service does not make it another one."""
        rows = parse_entities(b"instances: [{service_id: s, address: 'http://10.0.0.5:80'}]").rows
        assert Key("instance", "s-10.0.0.5-80") in rows

    def test_number_as_an_id_is_text(self) -> None:
        """An id of digits needs no quotes."""
        rows = parse_entities(b"routes: [{id: 42}]\nservices: {7: }").rows
        assert rows[Key("route", "42")] == {"id": "42"}
        assert rows[Key("service", "7")] == {}

    @pytest.mark.parametrize(
        "services",
        [
            {"s" * 95: ["http://10.0.0.5:80", "http://10.0.0.6:80"]},
            {"a-b": ["http://c"], "a": ["http://b-c"]},
            {"a-b": ["http://80"], "a": ["http://b:80"]},
            {"a": ["http://[::1]:80", "http://[1::]:80", "http://1:80", "https://1:80"]},
            {"a": ["http://b", "http://b.", "http://b_", "b", "http://b/", "http:// b"]},
        ],
    )
    def test_different_instances_get_different_ids(self, services: dict[str, list[str]]) -> None:
        """However long or alike their services and addresses are."""
        document = {
            "services": {
                name: {"instances": [{"address": address} for address in addresses]}
                for name, addresses in services.items()
            }
        }
        rows = parse_entities(json.dumps(document).encode()).rows
        instances = {key: row for key, row in rows.items() if key.kind == "instance"}
        assert len(instances) == sum(map(len, services.values()))
        assert all("$problems" not in row for row in instances.values())
        assert all(_SLUG.fullmatch(key.id) for key in instances)

    def test_password_in_an_address_is_no_part_of_an_id(self) -> None:
        """It is refused, and named by its id."""
        rows = parse_entities(
            b"services: [{id: v1, instances: ["
            b"{address: 'http://u:hunter2hunter2@h:1'}, {address: 'http://u:hunter3@h:1'}]}]"
        ).rows
        ids = [key.id for key in rows if key.kind == "instance"]
        assert len(set(ids)) == 2
        assert not [one for one in ids if "hunter" in one]

    def test_instances_of_different_tenants_get_different_ids(self) -> None:
        """Of tenant b of service a, and of service a-b."""
        rows = parse_entities(
            b"instances: [{service_id: a, tenant_id: b, address: 'http://c'},"
            b" {service_id: a-b, address: 'http://c'}]"
        ).rows
        assert len(rows) == 2

    @given(
        st.lists(
            st.tuples(
                st.text("ab-1.", min_size=1, max_size=4).filter(lambda name: name[0] in "ab1"),
                st.sampled_from([None, "a", "a-b", "1"]),
                st.text("ab-1.:", min_size=1, max_size=5),
            ),
            unique=True,
            max_size=8,
        )
    )
    def test_any_different_instances_get_different_ids(self, instances: list[Any]) -> None:
        """And good ones."""
        rows = parse_entities(
            json.dumps(
                {
                    "instances": [
                        {"service_id": service, "tenant_id": tenant, "address": f"http://{address}"}
                        for service, tenant, address in instances
                    ]
                }
            ).encode()
        ).rows
        assert len(rows) == len(instances)
        assert all(_SLUG.fullmatch(key.id) for key in rows)

    @pytest.mark.parametrize("name", ["08", "018", "0o17", "1e5", "5e-3", "7e10", "0x1F", "1."])
    def test_id_is_the_text_that_is_written(self, name: str) -> None:
        """Whatever number another reader would take it for; by an alias or merged in, too."""
        text = f"""
            services:
              - &s {{id: {name}, instances: {{{name}: {{address: "http://a"}}}}}}
            routes: {{{name}: {{service_id: "{name}"}}}}
            tenants: [{{<<: *s, instances: 1}}]
            instances: [&i {{id: &id {name}1}}, {{id: *id}}, {{<<: *i, id: text}}]
        """
        rows = parse_entities(text.encode()).rows
        assert [str(key) for key in rows] == [
            f"service {name}",
            f"instance {name}",
            f"route {name}",
            f"tenant {name}",
            f"instance {name}1",
            "instance text",
        ]
        assert rows[Key("service", name)]["id"] == name
        assert rows[Key("instance", "text")]["id"] == "text"

    def test_names_that_differ_are_different_entities(self) -> None:
        """8 and 08 are one number and two ids."""
        rows = parse_entities(b"routes: {8: {service_id: s}, 08: {service_id: s}}").rows
        assert [(key.id, row.keys()) for key, row in rows.items()] == [
            ("8", {"service_id"}),
            ("08", {"service_id"}),
        ]

    def test_empty_file_is_an_empty_configuration(self) -> None:
        """Nothing at all, comments, and empty sections are no entities."""
        assert parse_entities(b"").rows == {}
        assert parse_entities(b"# nothing\nroutes:\n").rows == {}

    def test_lines_of_entities_are_known(self) -> None:
        """Where an entity begins can be told."""
        lines = parse_entities(b"routes:\n  - id: a\n  - id: b\nservices:\n  s: {}\n").lines
        assert lines == {Key("route", "a"): 2, Key("route", "b"): 3, Key("service", "s"): 5}

    def test_fields_of_a_row_pass(self) -> None:
        """What an export writes beside the configuration is no unknown field."""
        text = b"routes: [{id: a, service_id: s, labels: {x: y}, managed_by: git, version: 3}]"
        assert "$problems" not in parse_entities(text).rows[Key("route", "a")]


class EntityFaultTests:
    def test_unknown_field_is_named_with_its_line(self) -> None:
        """A typo does not go unnoticed, and rejects its entity only."""
        text = "services:\n  s:\n    conect_timeout: 3s\n  t: {}\n"
        (problem,) = problems_of(text, "service", "s")
        assert problem == (
            'line 3: conect_timeout is not a known field; did you mean "connect_timeout"?'
        )
        assert "$problems" not in parse_entities(text.encode()).rows[Key("service", "t")]

    def test_labels_and_owners_of_another_type_are_named(self) -> None:
        """They would be something else in a database, or nothing that it takes."""
        text = "routes:\n- id: a\n  labels: 5\n  managed_by: 1e5\n  service_id: s\n"
        assert problems_of(text, "route", "a") == [
            "line 3: labels must be a mapping, not 5",
            "line 4: managed_by must be text, not 100000.0",
        ]

    def test_owner_that_no_database_takes_is_named(self) -> None:
        """Nobody is null."""
        for written, why in (
            ('""', "must not be empty; null is nobody"),
            (f'"{"é" * 201}"', "must have at most 200 characters, not 201"),
            ('"a\\0"', 'must be valid Unicode without NUL, not "a\\u0000"'),
        ):
            text = f"routes:\n- id: a\n  managed_by: {written}\n  service_id: s\n"
            assert problems_of(text, "route", "a") == [f"line 3: managed_by {why}"]

    def test_second_definition_is_named(self) -> None:
        """Which of two would count is nobody's guess: neither does."""
        (problem, *_) = problems_of("routes:\n- id: a\n- id: a\n", "route", "a")
        assert problem == "line 3: is defined again; the first time is on line 2"
        assert "line 3" in problems_of("routes:\n  a: {}\n  a: {}\n", "route", "a")[0]

    def test_repeated_field_is_named_at_any_depth(self) -> None:
        """YAML would silently take the last of two."""
        text = "routes:\n  a:\n    match:\n      headers:\n      - name: x\n        name: y\n"
        assert problems_of(text, "route", "a")[0] == "line 6: name is already on line 5"

    def test_entity_without_an_id_is_named_by_its_line(self) -> None:
        """It can't be served, and must not vanish silently either."""
        assert "must have an id" in problems_of("routes:\n- path: /a\n", "route", "line-2")[0]
        assert "must have fields" in problems_of("routes:\n- 5\n", "route", "line-1")[0]

    def test_contradicting_ids_are_named(self) -> None:
        """A name outside and another one inside is a mistake."""
        (problem, *_) = problems_of("routes: {a: {id: b}}", "route", "b")
        assert problem == 'line 1: is called "a" and has id "b"'

    def test_instance_of_another_service_is_named(self) -> None:
        """What is within a service belongs to it."""
        text = "services: {s: {instances: {i: {service_id: t, address: 'http://a'}}}}"
        assert problems_of(text, "instance", "i") == ["line 1: is within service s, not its own"]

    @pytest.mark.parametrize("instances", ["5", "[5]"])
    def test_odd_instances_reject_the_service(self, instances: str) -> None:
        """There is no other entity to name."""
        assert problems_of(f"services: {{s: {{instances: {instances}}}}}", "service", "s")


class FileFaultTests:
    def test_every_fault_of_the_file_is_named(self) -> None:
        """Unknown sections, sections of another type and repeated ones, all at once."""
        text = "routs: []\nroutes: 5\nroutes: []\nsettings: []\n"
        assert file_problems(text) == [
            "line 3: section routes is already on line 2",
            'line 1: routs is not a known section; did you mean "routes"?',
            "line 2: routes must be a list or a mapping, not 5",
            "line 4: settings must be a mapping from names to values",
        ]

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("- a", "must have sections"),
            ("a: [", "did not find"),
            ("a: *b", "*b is not defined"),
            ("a: !!python/object:os.system x", "tags"),
            ("a\n---\nb", "line 2: there must be one document"),
            ("{[a]: b}", "a name must be text"),
            ("a: {<<: 5}", "<< takes mappings"),
            ("[" * (MAX_DEPTH + 1), "nested more than"),
            ("a: \x00", "line 1"),
        ],
    )
    def test_text_that_is_not_understood_is_refused(self, text: str, fault: str) -> None:
        """One sentence says what, and where it can be told on which line."""
        (problem,) = file_problems(text)
        assert fault in problem

    def test_aliases_that_explode_are_refused(self) -> None:
        """Nine lines can stand for a billion values."""
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
        assert "aliases make more than" in file_problems("\n".join(lines))[0]

    def test_huge_file_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file of gigabytes is the wrong file."""
        monkeypatch.setattr("fengling_gateway.configsource.file_entities.MAX_FILE_BYTES", 10)
        assert "at most 10 bytes" in file_problems("routes: {a: {}}")[0]

    @given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
    def test_any_bytes_are_entities_or_an_error(self, content: bytes) -> None:
        """Nothing else comes out, whatever goes in."""
        with suppress(FileError):
            parse_entities(content)

    @given(st.text(alphabet="ab:-[]{}&*<|>'\"#!%@,\n ?0.~", max_size=60))
    def test_yaml_alike_text_is_entities_or_an_error(self, text: str) -> None:
        """The same for text that is full of YAML's own characters."""
        with suppress(FileError):
            parse_entities(f"routes:\n{text}".encode())


class ScalarTests:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("yes", "yes"),
            ("no", "no"),
            ("on", "on"),
            ("1:30", "1:30"),
            ("2026-01-01", "2026-01-01"),
            ("true", True),
            ("FALSE", False),
            ("~", None),
            ("null", None),
            ("", None),
            ("'5'", "5"),
            ("!!str 5", "5"),
            ("5", 5),
            ("-5", -5),
            ("+5", 5),
            ("0x1F", 31),
            ("0o17", 15),
            ("1.5", 1.5),
            ("1e3", 1000.0),
            (".5", 0.5),
            ("1.", 1.0),
            (".inf", float("inf")),
            ("-.INF", float("-inf")),
            ("1" * 50, int("1" * 50)),
            ("1" * 302, float("1" * 302)),
            ("|\n  5\n", "5\n"),
            ("nothing", "nothing"),
            ("-", None),
        ],
    )
    def test_scalar_is_what_yaml_1_2_says(self, text: str, value: object) -> None:
        """Countries, durations and dates stay text."""
        if text == "-":
            assert read_yaml(b"-")[0] == [None]
        else:
            assert read_yaml(f"a: {text}".encode())[0] == {"a": value}

    def test_not_a_number_is_one(self) -> None:
        """It is for validation to refuse it."""
        assert math.isnan(read_yaml(b".nan")[0])

    def test_merge_keys_fill_in_what_is_missing(self) -> None:
        """A mapping's own fields go before merged ones, earlier merged ones before later."""
        text = b"a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 3}\n"
        assert read_yaml(text)[0]["c"] == {"x": 3, "y": 1, "z": 2}

    def test_quoted_merge_key_is_a_name(self) -> None:
        """As any text in quotes is what it is."""
        assert read_yaml(b"a: {'<<': 5, !!str <<: 6}")[0] == {"a": {"<<": 5}}

    def test_names_are_text(self) -> None:
        """As they are in JSON."""
        assert read_yaml(b"{1: a, 0x1F: b, 1.50: c}")[0] == {"1": "a", "0x1F": "b", "1.50": "c"}

    def test_error_knows_its_line(self) -> None:
        """For a tool that points at it."""
        with pytest.raises(YamlError) as caught:
            read_yaml(b"a: 1\nb: [\n")
        assert caught.value.line == 3
