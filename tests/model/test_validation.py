"""What is accepted, in which form; what is rejected, why, and where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.model.entity import MAX_BODY_BYTES, Key, canonical
from fengling_gateway.model.problems import CODES, MAX_PROBLEMS, Problem
from fengling_gateway.model.validation import (
    SOURCE_PROBLEMS,
    Accepted,
    Rejected,
    Verdict,
    refs_of,
    validate,
)
from tests.model.strategies import GOOD, any_json, any_text, key_of, rows, settings_rows
from tests.support.issued import SHOP


def judge(kind: str, **changes: Any) -> Verdict:
    """Judge a good row with some fields changed; a field that is `...` is left out."""
    row = {**GOOD[kind], **changes}
    return validate(key_of(kind), {k: v for k, v in row.items() if v is not ...})


def body(kind: str, **changes: Any) -> dict[str, Any]:
    verdict = judge(kind, **changes)
    assert isinstance(verdict, Accepted), verdict
    found: dict[str, Any] = json.loads(verdict.body)
    return found


def problems(kind: str, **changes: Any) -> list[tuple[str, str]]:
    """The path within the entity and the code of each problem."""
    verdict = judge(kind, **changes)
    assert isinstance(verdict, Rejected), verdict
    subject = f"{kind} {key_of(kind).id}"
    assert all(one.path.startswith(subject) for one in verdict.problems)
    return [
        (one.path.removeprefix(subject).removeprefix(": "), one.code) for one in verdict.problems
    ]


def check_verdict(key: Key, verdict: Verdict) -> None:
    """What holds of every verdict, whatever was judged."""
    if isinstance(verdict, Rejected):
        assert 0 < len(verdict.problems) <= MAX_PROBLEMS + 1
        for problem in verdict.problems:
            assert problem.code in CODES
            assert problem.code != "internal_error", problem
            assert problem.path.startswith(str(key).split()[0])
            assert len(problem.message) < 800
            assert problem.message.isprintable(), problem.message
            assert problem.path.isprintable(), problem.path
        return
    values = json.loads(verdict.body)
    assert canonical(values) == verdict.body
    assert len(verdict.body) <= MAX_BODY_BYTES
    assert validate(key, values) == verdict, "a canonical body validates to itself"
    assert refs_of(key, verdict.body) == verdict.refs


class TotalTests:
    @given(rows())
    def test_any_row_gets_a_verdict(self, keyed: tuple[Key, Any]) -> None:
        """Good, spoilt or anything: it is accepted or rejected, and nothing is raised."""
        check_verdict(keyed[0], validate(*keyed))

    @given(settings_rows())
    def test_any_setting_gets_a_verdict(self, keyed: tuple[Key, Any]) -> None:
        """The same for settings."""
        check_verdict(keyed[0], validate(*keyed))

    @given(any_text, any_text | st.none() | st.integers(), any_json)
    def test_any_key_gets_a_verdict(self, kind: str, name: Any, row: Any) -> None:
        """A kind that does not exist, and an id that is none."""
        for one in (kind, *GOOD, "setting"):
            verdict = validate(Key(one, name), row)
            if isinstance(verdict, Rejected):
                assert "internal_error" not in {problem.code for problem in verdict.problems}

    @pytest.mark.parametrize("kind", sorted(GOOD))
    def test_depth_and_size_do_no_harm_anywhere(self, kind: str) -> None:
        """Lists nested 100,000 deep, and texts and lists of a million, in every field."""
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        monsters = (deep, {"x-a": deep}, "x" * 1_000_000, [1] * 1_000_000, 10**5000, float("nan"))
        for name in [*GOOD[kind], SOURCE_PROBLEMS, "health_check", "policies"]:
            for monster in monsters:
                verdict = judge(kind, **{name: monster})
                if isinstance(verdict, Rejected):
                    assert "internal_error" not in {one.code for one in verdict.problems}

    def test_values_that_are_no_json_are_rejected(self) -> None:
        """A tuple, bytes or an object of Python gets into no body."""
        for odd in ((1,), b"x", object(), {1: 2}, {None: 1}, {("a",): 1}):
            assert problems("service", health_check={"a": odd})
            assert problems("route", match=odd)
            assert problems("route", policies={"x-a": [odd]})

    def test_defect_of_validation_rejects_one_entity(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A surprise is a problem with a name, not the end of all configuration."""

        def surprise(*_: Any) -> None:
            raise RuntimeError("of ours")

        monkeypatch.setattr("fengling_gateway.model.validation._check_id", surprise)
        assert problems("tenant") == [("", "internal_error")]

    def test_many_problems_are_cut_off(self) -> None:
        """A hundred are enough for anybody."""
        found = problems("route", hosts=["*"] * 300, methods=[5] * 30)
        assert len(found) == MAX_PROBLEMS + 1
        assert found[-1] == ("", "more_problems")

    def test_fields_that_came_later_are_only_where_they_are_said(self) -> None:
        """Bodies that were made before have the same bytes now."""
        row = {
            **GOOD["route"],
            "match": {"listeners": ["a"], "counts_as": None},
            "split": None,
            "redirect": {"location": "/a", "path": None},
            "policies": {"path": {"strip": "/a", "replace": None}},
        }
        judged = validate(key_of("route"), row)
        assert isinstance(judged, Accepted)
        for name in (b"counts_as", b'"path":null', b"replace"):
            assert name not in judged.body

    @given(st.dictionaries(any_text, any_json, max_size=5))
    def test_unknown_columns_are_ignored(self, more: dict[str, Any]) -> None:
        """A newer schema may have columns that this version does not know."""
        more = {f"later {name}": value for name, value in more.items()}
        assert judge("route", **more) == judge("route")


class CanonicalTests:
    def test_everything_is_written_out_and_in_one_spelling(self) -> None:
        """Equal configuration has equal bytes."""
        assert body("route") == {
            "id": "orders",
            "tenant_id": "acme",
            "enabled": True,
            "priority": -1,
            "hosts": ["[::1]", "shop.example"],
            "path": "/api/orders/{id}/{**rest}",
            "methods": ["GET", "POST"],
            "match": {
                "headers": [
                    {"name": "x-version", "op": "equals", "value": "2", "ignore_case": False}
                ],
                "query": [{"name": "q", "op": "exists", "value": None, "ignore_case": False}],
                "cookies": [{"name": "c", "op": "prefix", "value": "v", "ignore_case": True}],
                "client_ip": ["10.0.0.0/8", "::1/128"],
                "listeners": ["http"],
                "counts_as": 7,
            },
            "service_id": None,
            "split": {"orders": 90, "orders-2": 10},
            "redirect": None,
            "respond": None,
            "policies": {
                "path": {"strip": "/api", "prefix": None, "encoded_slashes": False},
                "request_headers": {"set": {"X-A": "a"}, "add": {}, "remove": ["x-b"]},
                "response_headers": None,
                "timeouts": {
                    "connect": None,
                    "first_byte": None,
                    "idle": None,
                    "total": 5.0,
                    "tunnel": None,
                },
                "retry": {"attempts": 2},
                "auth": {
                    "mode": "required",
                    "methods": ["api_key", "jwt"],
                    "issuers": None,
                    "scopes": ["a", "b"],
                    "roles": [],
                    "claims": {"d": ["x"]},
                    "cookie": None,
                    "query": None,
                    "api_key_header": "X-Api-Key",
                    "forward": False,
                },
            },
            "valid_from": 1767225600.0,
            "valid_to": None,
        }

    @pytest.mark.parametrize(
        ("field", "given", "meant"),
        [
            ("valid_from", "-infinity", None),
            ("valid_from", "infinity", 253402300799.0),
            ("valid_to", "infinity", None),
            ("valid_to", "-infinity", 0.0),
            ("valid_to", "9999-12-31T23:59:59.9999999Z", 253402300799.0),
            ("valid_to", "9999-12-31T23:59:59-23:59", 253402300799.0),
        ],
    )
    def test_infinity_is_no_bound_on_its_own_side_only(
        self, field: str, given: str, meant: float | None
    ) -> None:
        """A route from never on, or until always ago, takes nothing."""
        verdict = validate(Key("route", "r"), {"path": "/", "service_id": "s", field: given})
        assert isinstance(verdict, Accepted)
        assert json.loads(verdict.body)[field] == meant

    @pytest.mark.parametrize(("given", "meant"), [("infinity", None), ("-infinity", 0.0)])
    def test_key_that_has_always_been_over_has_ended(self, given: str, meant: float | None) -> None:
        """It is not one without an end."""
        row = {"client_id": "c", "digest": "0" * 64, "expires_at": given}
        verdict = validate(Key("api_key", "k"), row)
        assert isinstance(verdict, Accepted)
        assert json.loads(verdict.body)["expires_at"] == meant

    def test_service_has_its_defaults(self) -> None:
        """What is not said is said in the body."""
        verdict = validate(Key("service", "s"), {})
        assert isinstance(verdict, Accepted)
        assert json.loads(verdict.body) == {
            "id": "s",
            "name": "",
            "enabled": True,
            "balancing": "power_of_two",
            "protocol": "http1",
            "host_header": "client",
            "connect_timeout": 3.0,
            "first_byte_timeout": 30.0,
            "idle_timeout": 60.0,
            "tenant_spill": False,
            "health_check": None,
            "affinity": None,
            "tls": None,
            "policies": {},
        }

    def test_instance_gets_a_port_and_a_whole_weight(self) -> None:
        """An address always says its port."""
        assert body("instance") == {
            "id": "orders-1",
            "service_id": "orders",
            "tenant_id": "acme",
            "address": "http://10.0.0.5:80",
            "weight": 100,
            "state": "drain",
            "zone": "north",
        }

    def test_health_is_known_by_its_instance(self) -> None:
        """The id of health is that of the instance."""
        found = {"id": "orders-1", "health": "healthy", "reason": None}
        assert body("instance_health", source="probe", since="2026-01-01") == found

    def test_settings_have_key_and_value(self) -> None:
        """Defaults within a setting's value are written out too."""
        verdict = validate(
            Key("setting", "identity_headers"),
            {"key": "identity_headers", "value": {"tenant": "X-T"}},
        )
        assert isinstance(verdict, Accepted)
        assert json.loads(verdict.body) == {
            "key": "identity_headers",
            "value": {
                "tenant": "X-T",
                "user": "X-User-Id",
                "name": "X-User-Name",
                "roles": "X-Roles",
            },
        }

    def test_references_are_told(self) -> None:
        """What has to be there for an entity to be in effect."""
        verdict = judge("route")
        assert isinstance(verdict, Accepted)
        assert verdict.refs == {
            Key("tenant", "acme"),
            Key("service", "orders"),
            Key("service", "orders-2"),
        }
        health = judge("instance_health")
        assert isinstance(health, Accepted)
        assert health.refs == {Key("instance", "orders-1")}

    def test_plain_route_needs_little(self) -> None:
        """An id and a target."""
        verdict = validate(Key("route", "r"), {"service_id": "s"})
        assert isinstance(verdict, Accepted)
        assert json.loads(verdict.body)["path"] == "/{**rest}"


TARGETS: dict[str, Any] = {"split": None}


class RejectedTests:
    @pytest.mark.parametrize(
        ("changes", "found"),
        [
            ({"id": "other"}, [("id", "conflict")]),
            ({"enabled": 1}, [("enabled", "wrong_type")]),
            ({"enabled": None}, [("enabled", "wrong_type")]),
            ({"priority": True}, [("priority", "wrong_type")]),
            ({"priority": 1.5}, [("priority", "wrong_type")]),
            ({"priority": 2**31}, [("priority", "out_of_range")]),
            ({"tenant_id": "../x"}, [("tenant_id", "bad_id")]),
            ({"tenant_id": "a\n"}, [("tenant_id", "bad_id")]),
            ({"hosts": "a"}, [("hosts", "wrong_type")]),
            ({"hosts": ["a", "b:80", 5]}, [("hosts[1]", "bad_host"), ("hosts[2]", "wrong_type")]),
            ({"hosts": ["a"] * 501}, [("hosts", "too_long")]),
            ({"methods": ["FETCH"]}, [("methods[0]", "not_allowed")]),
            ({"methods": ["CONNECT", "TRACE"]}, [
                ("methods[0]", "not_allowed"), ("methods[1]", "not_allowed"),
            ]),
            ({"match": {"claims": {}}}, [("match.claims", "unsupported")]),
            ({"match": {"heders": []}}, [("match.heders", "unknown_field")]),
            ({"match": {"headers": [{"name": "a b"}]}}, [
                ("match.headers[0].name", "bad_header_name"),
            ]),
            ({"match": {"headers": [{"name": "a"}]}}, [("match.headers[0]", "required")]),
            ({"match": {"headers": [{"name": "a", "op": "is"}]}}, [
                ("match.headers[0].op", "not_allowed"),
            ]),
            ({"match": {"headers": [{"name": "a", "op": "absent", "value": "x"}]}}, [
                ("match.headers[0]", "conflict"),
            ]),
            ({"match": {"headers": [{}]}}, [("match.headers[0].name", "required")]),
            ({"match": {"query": [{"name": "", "op": "exists"}]}}, [
                ("match.query[0].name", "bad_header_name"),
            ]),
            ({"match": {"client_ip": ["10.0.0.1/8"]}}, [("match.client_ip[0]", "bad_network")]),
            ({"match": {"client_ip": ["fe80::1%eth0"]}}, [("match.client_ip[0]", "bad_network")]),
            ({"match": {"client_ip": [5]}}, [("match.client_ip[0]", "wrong_type")]),
            ({"split": {}}, [("split", "empty")]),
            ({"split": {"a": 0, "b": 0}}, [("split", "zero_weights")]),
            ({"split": {"a": -1, "b": 65536}}, [
                ("split.a", "out_of_range"), ("split.b", "out_of_range"),
            ]),
            ({"split": {"a b": 1}}, [('split."a b"', "bad_id")]),
            ({"split": {str(n): 1 for n in range(101)}}, [("split", "too_long")]),
            ({"split": None}, [("", "one_target")]),
            ({"service_id": "s"}, [("", "one_target")]),
            ({"valid_from": "2026-01-01T00:00:00"}, [("valid_from", "bad_time")]),
            ({"valid_from": "tomorrow"}, [("valid_from", "bad_time")]),
            ({"valid_from": "1960-01-01T00:00:00Z"}, [("valid_from", "bad_time")]),
            ({"valid_from": -1}, [("valid_from", "out_of_range")]),
            ({"valid_from": []}, [("valid_from", "wrong_type")]),
            ({"valid_to": "2025-01-01T00:00:00Z"}, [("", "conflict")]),
            ({"policies": []}, [("policies", "wrong_type")]),
            ({SOURCE_PROBLEMS: ["line 3: is odd", 5]}, [("", "source"), ("", "source")]),
        ],
    )  # fmt: skip
    def test_route_is_rejected(self, changes: dict[str, Any], found: list[tuple[str, str]]) -> None:
        """Each fault has its place and its code."""
        assert problems("route", **changes) == found

    @pytest.mark.parametrize(
        ("policies", "found"),
        [
            ({"timeout": {}}, [("timeout", "unknown_policy")]),
            ({"x-": {}, "X-a": 1}, [("x-", "unknown_policy"), ("X-a", "unknown_policy")]),
            ({"path": {}}, [("path", "empty")]),
            ({"path": {"strip": "api"}}, [("path.strip", "bad_path")]),
            ({"path": {"prefix": "/"}}, [("path.prefix", "bad_path")]),
            ({"path": {"prefix": "/a/../b"}}, [("path.prefix", "bad_path")]),
            ({"path": {"prefix": "/a//b"}}, [("path.prefix", "bad_path")]),
            ({"path": {"prefix": "/a?b"}}, [("path.prefix", "bad_path")]),
            ({"path": {"prefix": "/" + "a" * 1000}}, [("path.prefix", "too_long")]),
            ({"path": {"prefix": 5}}, [("path.prefix", "wrong_type")]),
            ({"path": {"replace": "a"}}, [("path.replace", "bad_path")]),
            ({"path": {"replace": "/a?b"}}, [("path.replace", "bad_path")]),
            ({"path": {"replace": 5}}, [("path.replace", "wrong_type")]),
            ({"path": {"replace": "/a", "strip": "/b"}}, [("path", "conflict")]),
            ({"host_header": {"value": "a b"}}, [("host_header.value", "bad_host")]),
            ({"host_header": {}}, [("host_header.value", "required")]),
            ({"timeouts": {"total": 0}}, [("timeouts.total", "out_of_range")]),
            ({"timeouts": {"total": float("nan")}}, [("timeouts.total", "out_of_range")]),
            ({"timeouts": {"total": "3 s"}}, [("timeouts.total", "bad_duration")]),
            ({"timeouts": {"total": "P1M"}}, [("timeouts.total", "bad_duration")]),
            ({"timeouts": {"total": "PT"}}, [("timeouts.total", "bad_duration")]),
            ({"timeouts": {"total": True}}, [("timeouts.total", "wrong_type")]),
            ({"timeouts": {"connect": "1h"}}, [("timeouts.connect", "out_of_range")]),
            ({"retry": {"attempts": 4}}, [("retry.attempts", "out_of_range")]),
            ({"retry": {}}, [("retry.attempts", "required")]),
            ({"limits": {"max_request_body": -1}}, [("limits.max_request_body", "out_of_range")]),
            ({"x-a": float("inf")}, [("x-a", "not_finite")]),
            ({"x-a": 10**301}, [("x-a", "out_of_range")]),
            ({"x-a": ["\ud800"]}, [("x-a", "bad_text")]),
            ({"x-a": ["x" * 70_000]}, [("", "too_large")]),
            ({"x-a": [0] * 20_001}, [("x-a", "too_large")]),
        ],
    )  # fmt: skip
    def test_policy_is_rejected(self, policies: Any, found: list[tuple[str, str]]) -> None:
        """Policies are refused by name, and so is what is wrong within them."""
        expected = [(f"policies.{path}" if path else "", code) for path, code in found]
        assert problems("route", policies=policies) == expected

    @pytest.mark.parametrize(
        ("edits", "found"),
        [
            ({"set": {"Host": "a"}}, [("set.Host", "protected_header")]),
            ({"set": {"content-length": "1"}}, [("set.content-length", "protected_header")]),
            ({"add": {"Transfer-Encoding": "x"}}, [("add.Transfer-Encoding", "protected_header")]),
            ({"remove": ["Connection"]}, [("remove[0]", "protected_header")]),
            ({"remove": ["X-Tenant-Id"]}, [("remove[0]", "protected_header")]),
            ({"set": {"x_user_id": "1"}}, [("set.x_user_id", "protected_header")]),
            ({"set": {"X-A": "a\r\nB: c"}}, [("set.X-A", "bad_header_value")]),
            ({"set": {"X-A": "a\0"}}, [("set.X-A", "bad_header_value")]),
            ({"set": {"X-A": "é"}}, [("set.X-A", "bad_header_value")]),
            ({"set": {"X-A": 5}}, [("set.X-A", "wrong_type")]),
            ({"set": {"X-A": "a" * 4097}}, [("set.X-A", "too_long")]),
            ({"set": {"X\r\nA": "a"}}, [('set."X\\r\\nA"', "bad_header_name")]),
            ({"set": {"": "a"}}, [('set.""', "bad_header_name")]),
            ({"set": {"X-A": "1", "x-a": "2"}}, [("", "duplicate")]),
            ({"set": {"X-A": "1"}, "remove": ["x-a"]}, [("", "conflict")]),
            ({"set": []}, [("set", "wrong_type")]),
            ({"replace": {}}, [("replace", "unknown_field")]),
            ([], [("", "wrong_type")]),
        ],
    )
    def test_header_edit_is_rejected(self, edits: Any, found: list[tuple[str, str]]) -> None:
        """No edit breaks framing, forges an identity or splits a header."""
        expected = [(f"policies.request_headers{'.' if p else ''}{p}", code) for p, code in found]
        assert problems("route", policies={"request_headers": edits}) == expected

    def test_response_may_carry_identity_headers(self) -> None:
        """Towards clients they are names like any other."""
        assert body("route", policies={"response_headers": {"set": {"X-Tenant-Id": "a"}}})

    @pytest.mark.parametrize(
        ("target", "found"),
        [
            ({"redirect": {}}, [("redirect.location", "required")]),
            ({"redirect": {"location": "//evil"}}, [("redirect.location", "bad_location")]),
            ({"redirect": {"location": "/{path}"}}, [("redirect.location", "bad_location")]),
            ({"redirect": {"location": "{path}"}}, [("redirect.location", "bad_location")]),
            ({"redirect": {"location": "https://{path}"}}, [("redirect.location", "bad_location")]),
            ({"redirect": {"location": "https://{hostname2}/"}}, [("redirect.location", "bad_location")]),
            ({"redirect": {"location": "/a", "path": {}}}, [("redirect.path", "empty")]),
            (
                {"redirect": {"location": "/a", "path": {"strip": "/"}}},
                [("redirect.path.strip", "bad_path")],
            ),
            ({"redirect": {"location": "https://u@h/"}}, [("redirect.location", "bad_location")]),
            ({"redirect": {"location": "javascript:x"}}, [("redirect.location", "bad_location")]),
            ({"redirect": {"location": "/a{tenant}"}}, [("redirect.location", "bad_location")]),
            ({"redirect": {"location": "/a\r\nSet-Cookie: x"}}, [
                ("redirect.location", "bad_location"),
            ]),
            ({"redirect": {"location": 5}}, [("redirect.location", "wrong_type")]),
            ({"redirect": {"location": "/a", "status": 305}}, [("redirect.status", "not_allowed")]),
            ({"redirect": {"location": "/a", "status": 200}}, [
                ("redirect.status", "out_of_range"),
            ]),
            ({"respond": {"status": 101}}, [("respond.status", "out_of_range")]),
            ({"respond": {"status": 204, "body": "x"}}, [("respond", "body_not_allowed")]),
            ({"respond": {"headers": {"Content-Length": "5"}}}, [
                ("respond.headers.Content-Length", "protected_header"),
            ]),
            ({"respond": {"headers": {"A": "1", "a": "1"}}}, [("respond.headers", "duplicate")]),
            ({"respond": {"body": "x" * 60_001}}, [("respond.body", "too_long")]),
            ({"respond": {"body": "é" * 30_000}}, [("", "too_large")]),
            ({"respond": {"body": "\ud800"}}, [("respond.body", "bad_text")]),
        ],
    )  # fmt: skip
    def test_answer_is_rejected(self, target: dict[str, Any], found: list[tuple[str, str]]) -> None:
        """Redirects that a client could aim, and answers that break framing."""
        assert problems("route", **{**TARGETS, **target}) == found

    @pytest.mark.parametrize(
        "location",
        [
            "https://new.example{path}{query}",
            "https://{host}{path}{query}",
            "http://h:8080/a",
            "https://[::1]/x#y",
            "/new{path}",
            "/",
        ],
    )
    def test_location_is_accepted(self, location: str) -> None:
        """Other hosts, other schemes, and paths of this one."""
        assert body("route", split=None, redirect={"location": location})["redirect"] == {
            "status": 302,
            "location": location,
        }

    @pytest.mark.parametrize(
        ("kind", "changes", "found"),
        [
            ("tenant", {"path_prefix": "/"}, [("path_prefix", "bad_path")]),
            ("tenant", {"limits": {"rate": 1}}, [("limits.rate", "unknown_field")]),
            ("tenant", {"name": "x" * 201}, [("name", "too_long")]),
            ("service", {"balancing": "best"}, [("balancing", "not_allowed")]),
            ("service", {"balancing": []}, [("balancing", "wrong_type")]),
            ("service", {"protocol": "http2"}, [("protocol", "not_allowed")]),
            ("service", {"host_header": "a b"}, [("host_header", "bad_host")]),
            ("service", {"host_header": "a:0"}, [("host_header", "bad_host")]),
            ("service", {"host_header": 5}, [("host_header", "wrong_type")]),
            ("service", {"connect_timeout": "PT0S"}, [("connect_timeout", "out_of_range")]),
            ("service", {"connect_timeout": None}, [("connect_timeout", "wrong_type")]),
            ("service", {"affinity": {}}, [("affinity", "unsupported")]),
            ("service", {"tls": {"verfy": False}}, [("tls.verfy", "unknown_field")]),
            ("service", {"tls": {"verify": "no"}}, [("tls.verify", "wrong_type")]),
            ("service", {"tls": {"ca": "/etc/ca.pem"}}, [("tls.ca", "bad_certificate")]),
            ("service", {"tls": {"ca": SHOP.key}}, [("tls.ca", "bad_certificate")]),
            ("service", {"tls": {"client_certificate": "a b"}}, [
                ("tls.client_certificate", "bad_id"),
            ]),
            ("service", {"tls": {"sni": "*.shop.example"}}, [("tls.sni", "bad_host")]),
            ("service", {"tls": {"sni": "10.0.0.1"}}, [("tls.sni", "bad_host")]),
            ("service", {"tls": True}, [("tls", "wrong_type")]),
            ("secret", {"value": ...}, [("value", "required")]),
            ("secret", {"name": "x" * 201}, [("name", "too_long")]),
            ("certificate", {"key_secret": ...}, [("key_secret", "required")]),
            ("certificate", {"key_secret": None}, [("key_secret", "wrong_type")]),
            ("certificate", {"hosts": ["1.2.3.4"]}, [("hosts[0]", "bad_host")]),
            ("certificate", {"hosts": ["[::1]", "a b"]}, [
                ("hosts[0]", "bad_host"), ("hosts[1]", "bad_host"),
            ]),
            ("certificate", {"hosts": ["a.shop.example", "a.b.shop.example", "*.example"]}, [
                ("hosts[1]", "conflict"), ("hosts[2]", "conflict"),
            ]),
            ("certificate", {"chain": ...}, [("chain", "required")]),
            ("certificate", {"chain": ""}, [("chain", "bad_certificate")]),
            ("certificate", {"chain": "x" * 50_001}, [("chain", "too_long")]),
            ("service", {"health_check": 5}, [("health_check", "wrong_type")]),
            ("instance", {"service_id": ...}, [("service_id", "required")]),
            ("instance", {"service_id": None}, [("service_id", "wrong_type")]),
            ("instance", {"weight": -1}, [("weight", "out_of_range")]),
            ("instance", {"weight": 65536}, [("weight", "out_of_range")]),
            ("instance", {"weight": float("nan")}, [("weight", "wrong_type")]),
            ("instance", {"state": "READY"}, [("state", "not_allowed")]),
            ("instance", {"zone": "\0"}, [("zone", "bad_text")]),
            ("instance", {"zone": ""}, [("zone", "empty")]),
            ("instance", {"zone": "a" * 101}, [("zone", "too_long")]),
            ("secret", {"value": "file:/a\x85b"}, [("value", "bad_secret")]),
            ("secret", {"value": "file:/a\ud800b"}, [("value", "bad_secret")]),
            ("tenant", {"path_prefix": "/a" * 101 + "/b?c"}, [("path_prefix", "bad_path")]),
            ("tenant", {"hosts": [f"*.{'a.' * 126}a"]}, [("hosts[0]", "bad_host")]),
            ("issuer", {"required_claims": ["a\ud800b"]}, [("required_claims[0]", "bad_claim")]),
            ("route", {"valid_from": 1e9 + 1e-7, "valid_to": 1e9 + 3e-7}, [("route orders", "conflict")]),
            ("instance_health", {"health": "sick"}, [("health", "not_allowed")]),
            ("instance_health", {"instance_id": "x", "id": "y"}, [
                ("id", "conflict"), ("id", "conflict"),
            ]),
        ],
    )  # fmt: skip
    def test_entity_is_rejected(
        self, kind: str, changes: dict[str, Any], found: list[tuple[str, str]]
    ) -> None:
        """The same for the other kinds."""
        verdict_key = key_of(kind)
        row = {**GOOD[kind], **changes}
        row = {k: v for k, v in row.items() if v is not ...}
        verdict = validate(verdict_key, row)
        assert isinstance(verdict, Rejected), verdict
        subject = f"{kind} {verdict_key.id}: "
        assert [(p.path.removeprefix(subject), p.code) for p in verdict.problems] == found

    @pytest.mark.parametrize(
        "address",
        [
            "", "10.0.0.5:80", "http://", "http:///a", "http://h/", "http://h/a", "http://h?a",
            "http://h#a", "http://u@h", "http://u:p@h", "http://h:0", "http://h:65536", "http://h:",
            "http://h:8x", "http://h:٣", "https://h/", "ftp://h", "http://a_b c", "http://1.2.3",
            "http://999.1.1.1", "http://[::1", "http://[::g]", "http://::1", "http://h:80\n",
            "http://h\r\n", "unix:/a", "http://-a", "http://a..b", "http://é b", "http://" + "a" * 300,
            "http://[fe80::1%25eth0]:80", 5, None, [],
        ],
    )  # fmt: skip
    def test_address_is_rejected(self, address: Any) -> None:
        """Only http(s)://host:port, and one problem that says so."""
        ((path, _),) = problems("instance", address=address)
        assert path == "address"

    @pytest.mark.parametrize(
        ("address", "canonical_address"),
        [
            ("http://h", "http://h:80"),
            ("HTTP://Orders.Internal:8080", "http://orders.internal:8080"),
            ("http://10.0.0.5:1", "http://10.0.0.5:1"),
            ("http://[0:0::1]:80", "http://[::1]:80"),
            ("http://my_service:65535", "http://my_service:65535"),
            ("http://h:0080", "http://h:80"),
            ("https://h", "https://h:443"),
            ("HTTPS://h:80", "https://h:80"),
        ],
    )
    def test_address_is_accepted(self, address: str, canonical_address: str) -> None:
        """In one spelling, with its port."""
        assert body("instance", address=address)["address"] == canonical_address

    def test_password_in_an_address_is_not_repeated(self) -> None:
        """Problems go to logs and status pages."""
        verdict = judge("instance", address="http://user:hunter2@h")
        assert isinstance(verdict, Rejected)
        assert "hunter2" not in str(verdict)

    def test_setting_is_rejected(self) -> None:
        """Unknown settings by name; values like everything else."""
        cases: list[tuple[str, Any, str]] = [
            ("defualts", {}, "unknown_setting"),
            ("hold", {"max_removed_share": 1.5}, "out_of_range"),
            ("hold", {"max_removed_share": "half"}, "wrong_type"),
            ("trusted_proxies", ["nowhere"], "bad_network"),
            ("identity_headers", {"user": "Host"}, "protected_header"),
            ("identity_headers", {"user": "Authorization"}, "protected_header"),
            ("identity_headers", {"tenant": "x_forwarded_for"}, "protected_header"),
            ("identity_headers", {"user": "x-roles"}, "duplicate"),
            ("defaults", {"retries": 1}, "unknown_policy"),
        ]
        for name, value, code in cases:
            verdict = validate(Key("setting", name), {"key": name, "value": value})
            assert isinstance(verdict, Rejected)
            assert [one.code for one in verdict.problems] == [code]

    def test_every_problem_is_told_at_once(self) -> None:
        """Nobody wants to find them one by one."""
        found = problems(
            "route",
            enabled="yes",
            hosts=["*"],
            path="x",
            service_id="",
            valid_to="soon",
            priority=[],
        )
        assert [path for path, _ in found] == [
            "enabled", "priority", "hosts[0]", "path", "service_id", "valid_to", "",
        ]  # fmt: skip

    def test_problem_reads_well(self) -> None:
        """Where, what is allowed, what was given."""
        verdict = judge("route", priority="high")
        assert isinstance(verdict, Rejected)
        assert str(verdict.problems[0]) == (
            "route orders: priority: must be a whole number from -2147483648 to 2147483647, "
            'not "high"'
        )

    def test_name_that_is_near_is_suggested(self) -> None:
        """A typo is found faster with the right word beside it."""
        verdict = judge("route", policies={"request_header": {}})
        assert isinstance(verdict, Rejected)
        assert verdict.problems == (
            Problem(
                "route orders: policies.request_header",
                "unknown_policy",
                'is not a known policy; did you mean "request_headers"?',
            ),
        )


class PathTests:
    @pytest.mark.parametrize(
        ("path", "canonical_path"),
        [
            ("/", "/"),
            ("/a/", "/a/"),
            ("/a/b.c-d_e~f", "/a/b.c-d_e~f"),
            ("/**", "/{**rest}"),
            ("/a/**", "/a/{**rest}"),
            ("/a/{**all}", "/a/{**all}"),
            ("/{a}/{b}/{**c}", "/{a}/{b}/{**c}"),
            ("/%C3%A9/@x:y;z=1,2", "/%C3%A9/@x:y;z=1,2"),
            ("~^/v[0-9]+/(a|b)$", "~^/v[0-9]+/(a|b)$"),
            ("/.well-known/x", "/.well-known/x"),
            ("/café/{x}", "/caf%C3%A9/{x}"),
        ],
    )
    def test_path_is_accepted(self, path: str, canonical_path: str) -> None:
        """Literals, parameters, rests and expressions."""
        assert body("route", path=path)["path"] == canonical_path

    @pytest.mark.parametrize(
        ("path", "code"),
        [
            ("", "bad_path"),
            ("a", "bad_path"),
            ("/a//b", "bad_path"),
            ("//", "bad_path"),
            ("/a/../b", "bad_path"),
            ("/a/%2e%2E", "bad_path"),
            ("/a/./b", "bad_path"),
            ("/a?b", "bad_path"),
            ("/a#b", "bad_path"),
            ("/a b", "bad_path"),
            ("/é\u200b", "bad_path"),
            ("/" + "é" * 200, "too_long"),
            ("/a\r\n", "bad_path"),
            ("/\ud800", "bad_path"),
            ("/a%zz", "bad_path"),
            ("/a%00", "bad_path"),
            ("/a/*", "bad_path"),
            ("/**/a", "bad_path"),
            ("/{**a}/b", "bad_path"),
            ("/{a", "bad_path"),
            ("/x{a}", "bad_path"),
            ("/{}", "bad_path"),
            ("/{1}", "bad_path"),
            ("/{a}/{a}", "duplicate"),
            ("/{a}/{**a}", "duplicate"),
            ("/" + "a" * 1000, "too_long"),
            ("/" + "a/" * 100, "too_long"),
            ("~", "empty"),
            ("~(", "bad_regex"),
            ("~(a", "bad_regex"),
            ("~(?=a)", "bad_regex"),
            ("~(a)\\1", "bad_regex"),
            ("~a{1,1001}", "bad_regex"),
            ("~((((a{1,100}){1,100}){1,100}){1,100})", "bad_regex"),
            ("~é", "bad_regex"),
            ("~a\0", "bad_regex"),
            ("~" + "a" * 1001, "too_long"),
            (5, "wrong_type"),
            (None, "wrong_type"),
        ],
    )
    def test_path_is_rejected(self, path: Any, code: str) -> None:
        """What no request can have, or nobody can mean, or costs too much to match."""
        assert problems("route", path=path) == [("path", code)]

    def test_rejected_expression_writes_nothing_to_stderr(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """RE2 would log by itself, past every log format."""
        problems("route", path="~(")
        assert capfd.readouterr().err == ""


class HostTests:
    @pytest.mark.parametrize(
        ("host", "canonical_host"),
        [
            ("Shop.Example", "shop.example"),
            ("shop.example.", "shop.example"),
            ("*.Shop.Example", "*.shop.example"),
            ("xn--tda.example", "xn--tda.example"),
            ("localhost", "localhost"),
            ("a_b.c", "a_b.c"),
            ("10.0.0.1", "10.0.0.1"),
            ("[2001:DB8::0:1]", "[2001:db8::1]"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("*.straße.example", "*.xn--strae-oqa.example"),
            ("shop。example", "shop.example"),
        ],
    )
    def test_host_is_accepted(self, host: str, canonical_host: str) -> None:
        """Lower case, no trailing dot, addresses in their short form."""
        assert body("route", hosts=[host])["hosts"] == [canonical_host]

    @pytest.mark.parametrize(
        "host",
        [
            "", "*", "*.", "*.*.a", "a.*", "a*", ".a", "a..b", "-a", "a-", "a:80", "[::1]:80", "[::1",
            "1.2.3", "1.2.3.256", "0x7f.1", "a.0x7f", "\u200b.de", "a\u2215b", "é:80", "a b", "a\n", "a/b",
            "u@a", "*.10.0.0.1", "*.[::1]", "a" * 64, "a." * 127 + "aa", "x" * 100_000, "ü" * 100_000,
        ],
    )  # fmt: skip
    def test_host_is_rejected(self, host: str) -> None:
        """What no Host header is compared with."""
        assert problems("route", hosts=[host]) == [("hosts[0]", "bad_host")]

    @pytest.mark.parametrize(
        ("given", "kept"),
        [("client", "client"), ("instance", "instance"), ("A.b:080", "a.b:80"), ("[::1]", "[::1]")],
    )
    def test_host_header_is_accepted(self, given: str, kept: str) -> None:
        """A mode, or a literal with or without a port."""
        assert body("service", host_header=given)["host_header"] == kept


class DurationTests:
    @pytest.mark.parametrize(
        ("given", "seconds"),
        [
            ("3s", 3.0),
            ("500ms", 0.5),
            ("1m30s", 90.0),
            ("1h", 3600.0),
            ("1d", 86400.0),
            ("0.5s", 0.5),
            ("PT3S", 3.0),
            ("PT0.25S", 0.25),
            ("PT1H1M1S", 3661.0),
            ("P1D", 86400.0),
            ("P0DT5S", 5.0),
            ("00:00:03", 3.0),
            ("00:01:30.5", 90.5),
            (3, 3.0),
            (0.5, 0.5),
        ],
    )
    def test_duration_is_accepted(self, given: Any, seconds: float) -> None:
        """As people, ISO 8601 and PostgreSQL write it; always seconds in the body."""
        assert body("service", idle_timeout=given)["idle_timeout"] == seconds

    @pytest.mark.parametrize(
        "given",
        ["", "3", "s", "3 s", "-3s", "3S", "1y", "P1Y", "P1M", "P", "PT", "P1DT", "PT-3S", "-PT3S",
         "00:60:00", "1:2", "infinity", "³s", "9" * 100 + "s", "1" * 1_000_000],
    )  # fmt: skip
    def test_duration_is_rejected(self, given: str) -> None:
        """What is ambiguous, negative or no duration."""
        assert problems("service", idle_timeout=given) == [("idle_timeout", "bad_duration")]
