"""What of the configuration is in effect, step by step and as a function of it alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fengling_gateway.model.draft import CLOSED_VERSION
from fengling_gateway.model.effective import (
    NOTHING,
    PREVIOUS_VERSION,
    EffectiveConfig,
    Stage,
    StagedResult,
    hash_of,
)
from fengling_gateway.model.entity import KINDS, KINDS_WITHOUT_PAST, Key
from fengling_gateway.model.hold import HOLD, tally_of
from fengling_gateway.model.staging import STEP_WEIGHT

Row = dict[str, Any]

SERVICE, ROUTE = Key("service", "s"), Key("route", "r")


class Log:
    """A config source in memory: rows as they are, and every version they had."""

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}
        self.images: dict[Key, list[Row]] = {}

    def put(self, key: Key, row: Row | None) -> None:
        if row is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = row
            self.images.setdefault(key, []).insert(0, row)

    def cold(self) -> EffectiveConfig:
        """What a gateway serves that starts now."""
        config = EffectiveConfig()
        self.commit(config, config.stage(self.rows.items(), full=True))
        return config

    def commit(self, config: EffectiveConfig, stage: Stage) -> StagedResult:
        before = dict(config.bodies), dict(config.rejected), config.content_hash
        while True:
            while stage.step():
                pass
            if not stage.wanted:
                break
            stage.supply({key: self.images.get(key, []) for key in stage.wanted})
        assert before == (config.bodies, config.rejected, config.content_hash), "not before commit"
        result = stage.commit()
        assert (result.hash_before, result.hash_after) == (before[2], config.content_hash)
        self.check_changes(before[0], config, result)
        return result

    def check_changes(
        self, before: dict[Key, bytes], config: EffectiveConfig, result: StagedResult
    ) -> None:
        """The changes lead from what was to what is, each entity once and none in vain."""
        assert len({change.key for change in result.changes}) == len(result.changes)
        for key, body in result.changes:
            assert before.get(key) != body
            if body is None:
                del before[key]
            else:
                before[key] = body
        assert before == config.bodies
        assert hash_of(config.bodies) == config.content_hash
        assert config.counts == {
            kind: sum(key.kind == kind for key in config.bodies) for kind in KINDS
        }

    def change(self, config: EffectiveConfig, *changes: tuple[Key, Row | None]) -> StagedResult:
        for key, row in changes:
            self.put(key, row)
        return self.commit(config, config.stage(changes, full=False))


def same(one: EffectiveConfig, other: EffectiveConfig) -> None:
    assert one.bodies == other.bodies
    assert one.rejected == other.rejected
    assert one.content_hash == other.content_hash
    assert one.counts == other.counts
    assert one.tally == other.tally


def started(*rows: tuple[Key, Row]) -> tuple[Log, EffectiveConfig]:
    log = Log()
    for key, row in rows:
        log.put(key, row)
    return log, log.cold()


class EffectiveTests:
    def test_good_rows_are_in_effect(self) -> None:
        """What validates, and refers to what is there, is served."""
        _, config = started((ROUTE, {"service_id": "s"}), (SERVICE, {}))
        assert set(config.bodies) == {SERVICE, ROUTE}
        assert config.rejected == {}

    def test_new_bad_row_stays_out_and_is_named(self) -> None:
        """Nothing can be served for it."""
        _, config = started((SERVICE, {}), (ROUTE, {"service_id": "s", "priority": "x"}))
        assert set(config.bodies) == {SERVICE}
        assert config.rejected[ROUTE].serving == NOTHING
        assert [one.code for one in config.rejected[ROUTE].problems] == ["wrong_type"]

    def test_bad_change_keeps_the_previous_version(self) -> None:
        """Also after a restart: it does not depend on what a host has seen."""
        log, config = started((SERVICE, {}), (ROUTE, {"service_id": "s", "priority": 7}))
        result = log.change(config, (ROUTE, {"service_id": "s", "priority": "x"}))
        assert result.changes == ()
        assert result.newly_rejected == (ROUTE,)
        assert config.rejected[ROUTE].serving == PREVIOUS_VERSION
        assert b'"priority":7' in config.bodies[ROUTE]
        same(config, log.cold())

    def test_repaired_row_recovers(self) -> None:
        """The next good version is served, and the rejection is over."""
        log, config = started((SERVICE, {}), (ROUTE, {"priority": "x"}))
        result = log.change(config, (ROUTE, {"service_id": "s"}))
        assert result.recovered == (ROUTE,)
        assert config.rejected == {}

    def test_unchanged_rejection_is_not_new(self) -> None:
        """Nobody is told twice of the same."""
        log, config = started((ROUTE, {"priority": "x"}))
        assert log.change(config, (ROUTE, {"priority": "x"})).newly_rejected == ()
        assert log.change(config, (ROUTE, {"priority": "y"})).newly_rejected == (ROUTE,)

    def test_deleted_row_is_out_whatever_its_history(self) -> None:
        """Deleting is no mistake to fall back from."""
        log, config = started((SERVICE, {}), (ROUTE, {"service_id": "s"}))
        result = log.change(config, (ROUTE, None))
        assert [change.body for change in result.changes] == [None]
        assert ROUTE not in config.bodies

    def test_deleted_rejected_row_is_forgotten(self) -> None:
        """What does not exist is not rejected."""
        log, config = started((ROUTE, {"priority": "x"}))
        assert log.change(config, (ROUTE, None)).recovered == (ROUTE,)
        assert config.rejected == {}

    def test_missing_service_is_told_beside_other_problems(self) -> None:
        """Whoever mends the path must not then learn of the service; what comes is taken back."""
        row = {
            "path": "/x/{a",
            "service_id": "s",
            "tenant_id": "no id!",
            "split": {"v 1": 1, "v": 1},
        }
        log, config = started((ROUTE, row))

        def codes() -> list[str]:
            return sorted(one.code for one in config.rejected[ROUTE].problems)

        others = codes()
        assert others.count("missing_reference") == 2, (
            "s and v; what is no id is a problem by itself"
        )
        result = log.change(config, (SERVICE, {}))
        assert result.newly_rejected == (ROUTE,)
        assert codes().count("missing_reference") == 1
        assert config.rejected == log.cold().rejected

    def test_route_waits_for_its_service(self) -> None:
        """It comes in by itself when the service does."""
        log, config = started((ROUTE, {"service_id": "s"}))
        assert [one.code for one in config.rejected[ROUTE].problems] == ["missing_reference"]
        result = log.change(config, (SERVICE, {}))
        assert {change.key for change in result.changes} == {SERVICE, ROUTE}
        assert result.recovered == (ROUTE,)

    def test_route_of_a_rejected_service_waits_too(self) -> None:
        """Not being in effect is what counts, for whatever reason."""
        log, config = started((SERVICE, {"balancing": "x"}), (ROUTE, {"service_id": "s"}))
        assert set(config.rejected) == {SERVICE, ROUTE}
        log.change(config, (SERVICE, {}))
        assert config.rejected == {}

    def test_vanished_service_takes_its_routes_along(self) -> None:
        """Unless they have an earlier version that can be served."""
        other = Key("service", "t")
        log, config = started((SERVICE, {}), (other, {}), (ROUTE, {"service_id": "t"}))
        log.change(config, (ROUTE, {"service_id": "s"}))
        result = log.change(config, (SERVICE, None))
        assert config.rejected[ROUTE].serving == PREVIOUS_VERSION
        assert b'"service_id":"t"' in config.bodies[ROUTE]
        assert {change.key for change in result.changes} == {SERVICE, ROUTE}
        log.change(config, (other, None))
        assert config.rejected[ROUTE].serving == NOTHING
        log.change(config, (other, {}))
        assert b'"service_id":"t"' in config.bodies[ROUTE]
        log.change(config, (SERVICE, {}))
        assert b'"service_id":"s"' in config.bodies[ROUTE]
        assert config.rejected == {}

    def test_history_may_leave_out_the_row_itself(self) -> None:
        """A row that waits comes in when it can, also where only older versions were told."""
        log, config = started((SERVICE, {}))
        config_rows = [(ROUTE, {"service_id": "t"})]
        stage = config.stage(config_rows, full=False)
        while stage.step():
            pass
        stage.supply({ROUTE: [{"service_id": "s"}]})
        while stage.step():
            pass
        stage.commit()
        assert b'"service_id":"s"' in config.bodies[ROUTE]
        log.change(config, (Key("service", "t"), {}))
        assert b'"service_id":"t"' in config.bodies[ROUTE]

    def test_chain_of_references_follows(self) -> None:
        """Health waits for its instance, and the instance for its service."""
        instance, health = Key("instance", "i"), Key("instance_health", "i")
        log, config = started(
            (health, {"instance_id": "i", "health": "healthy"}),
            (instance, {"service_id": "s", "address": "http://a"}),
        )
        assert config.bodies == {}
        log.change(config, (SERVICE, {}))
        assert set(config.bodies) == {SERVICE, instance, health}
        log.change(config, (SERVICE, None))
        assert config.bodies == {}

    def test_changed_service_leaves_its_routes_alone(self) -> None:
        """A route does not change with what its service holds."""
        log, config = started((SERVICE, {}), (ROUTE, {"service_id": "s"}))
        result = log.change(config, (SERVICE, {"balancing": "random"}))
        assert [change.key for change in result.changes] == [SERVICE]

    def test_unchanged_row_changes_nothing(self) -> None:
        """Another spelling of the same is the same."""
        log, config = started((SERVICE, {}))
        assert log.change(config, (SERVICE, {"connect_timeout": "PT3S"})).changes == ()

    @pytest.mark.parametrize(
        ("defaults", "closes"),
        [
            ({"auth": {"mode": "required", "scope": ["x"]}}, True),
            ({"auth": "required"}, True),
            ({"auth": {"mode": "required"}, "timeout": {}}, True),
            ({"access": {"allow": ["10.0.0.1/8"]}}, True),
            ({"auth": {"mode": "anonymous"}, "timeout": {}}, False),
            ({"auth": None, "timeout": {}}, False),
            ({"timeout": {}}, False),
            (["auth"], False),
        ],
    )
    def test_defaults_that_keep_somebody_out_fail_closed(self, defaults: Any, closes: bool) -> None:
        """Where they never were right, everybody needs credentials; else nothing is served."""
        key = Key("setting", "defaults")
        _, config = started((key, {"key": "defaults", "value": defaults}))
        assert key in config.rejected
        serving = CLOSED_VERSION if closes else NOTHING
        assert config.rejected[key].serving == serving
        value = json.loads(config.bodies[key])["value"] if closes else None
        assert (value and value["auth"]["mode"]) == ("required" if closes else None)

    def test_row_of_an_unknown_kind_is_rejected(self) -> None:
        """It is named, and in no way of the others."""
        key = Key("plugin", "i")
        log, config = started((SERVICE, {}), (key, {}))
        assert [one.code for one in config.rejected[key].problems] == ["unknown_kind"]
        assert set(config.bodies) == {SERVICE}
        log.change(config, (key, None))
        assert config.rejected == {}

    def test_row_given_twice_counts_once(self) -> None:
        """The last one does."""
        config = EffectiveConfig()
        log = Log()
        rows = [(SERVICE, {"balancing": "x"}), (SERVICE, {}), (SERVICE, {})]
        log.commit(config, config.stage(rows, full=True))
        assert set(config.bodies) == {SERVICE}


ACME, CORP = Key("issuer", "acme"), Key("issuer", "corp")
CLIENT, API_KEY = Key("client", "c"), Key("api_key", "k")
KEY_ROW = {"client_id": "c", "digest": "ab" * 32}


def issuer(iss: str, **fields: Any) -> Row:
    return {"issuer": iss, "audiences": ["a"], "jwks_url": "https://id.example/k", **fields}


class CredentialTests:
    @pytest.mark.parametrize("slip", [{"enabled": "no"}, {"enabled": False, "expires_at": "today"}])
    def test_rejected_key_lets_nobody_in(self, slip: Row) -> None:
        """Who revokes it and makes a mistake in doing so must not find it at work."""
        log, config = started((CLIENT, {}), (API_KEY, KEY_ROW))
        log.change(config, (API_KEY, {**KEY_ROW, **slip}))
        assert config.rejected[API_KEY].serving == NOTHING
        assert API_KEY not in config.bodies
        same(config, log.cold())
        log.change(config, (API_KEY, KEY_ROW))
        assert set(config.bodies) == {CLIENT, API_KEY}

    def test_rejected_client_takes_its_keys_along(self) -> None:
        """And brings them back."""
        log, config = started((CLIENT, {}), (API_KEY, KEY_ROW))
        log.change(config, (CLIENT, {"enabled": "no"}))
        assert config.bodies == {}
        assert config.rejected[API_KEY].serving == NOTHING
        log.change(config, (CLIENT, {}))
        assert set(config.bodies) == {CLIENT, API_KEY}

    def test_key_does_not_fall_back_to_its_former_client(self) -> None:
        """Which may do other things."""
        log, config = started((CLIENT, {}), (API_KEY, KEY_ROW))
        log.change(config, (API_KEY, {**KEY_ROW, "client_id": "gone"}))
        assert set(config.bodies) == {CLIENT}

    def test_rejected_issuer_serves_its_previous_version(self) -> None:
        """As all others do: a slip must not shut everybody out."""
        log, config = started((ACME, issuer("x")))
        log.change(config, (ACME, issuer("x", leeway="1h")))
        assert config.rejected[ACME].serving == PREVIOUS_VERSION


class SameIssuerTests:
    """Tokens say whose they are by ``iss``, so that there can be one of each."""

    def test_first_by_id_counts_whenever_they_came(self) -> None:
        """And the other one is told so."""
        for rows in (((ACME, issuer("x")), (CORP, issuer("x"))),) * 2:
            log, config = started(*rows)
            assert set(config.bodies) == {ACME}
            [problem] = config.rejected[CORP].problems
            assert (str(problem), problem.code) == (
                "issuer corp: issuer: must be another than that of issuer acme, whose id comes first",
                "duplicate",
            )
        log, config = started((CORP, issuer("x")))
        log.change(config, (ACME, issuer("x")))
        assert set(config.bodies) == {ACME}

    def test_other_one_takes_its_place(self) -> None:
        """When it goes, or is called otherwise; being disabled is no going."""
        log, config = started((ACME, issuer("x")), (CORP, issuer("x")))
        log.change(config, (ACME, issuer("x", enabled=False)))
        assert set(config.bodies) == {ACME}
        log.change(config, (ACME, issuer("y")))
        assert set(config.bodies) == {ACME, CORP}
        assert config.rejected == {}
        log.change(config, (ACME, issuer("x")))
        log.change(config, (ACME, None))
        assert set(config.bodies) == {CORP}

    def test_previous_version_counts_where_it_is_alone(self) -> None:
        """The one that is rejected serves what it was before."""
        log, config = started((ACME, issuer("x")), (CORP, issuer("y")))
        log.change(config, (CORP, issuer("x")))
        assert config.rejected[CORP].serving == PREVIOUS_VERSION
        assert b'"issuer":"y"' in config.bodies[CORP]
        log.change(config, (ACME, issuer("y")))
        assert b'"issuer":"x"' in config.bodies[CORP]
        assert config.rejected == {}

    def test_iss_is_told_apart_to_the_letter(self) -> None:
        """A slash more is another issuer (RFC 7519, section 4.1.1)."""
        _, config = started(
            (ACME, issuer("https://id.example")), (CORP, issuer("https://id.example/"))
        )
        assert config.rejected == {}


class FullStageTests:
    def test_what_is_not_among_the_rows_vanishes(self) -> None:
        """A full stage says all there is, rejected entities included."""
        log, config = started((SERVICE, {}), (ROUTE, {"priority": "x"}))
        result = log.commit(config, config.stage([(Key("service", "t"), {})], full=True))
        assert set(config.bodies) == {Key("service", "t")}
        assert result.recovered == (ROUTE,)
        assert len(result.changes) == 2

    def test_same_rows_change_nothing(self) -> None:
        """A slow compare that finds no difference makes no delta, and keeps the very bytes."""
        log, config = started((SERVICE, {}), (ROUTE, {"service_id": "s"}))
        kept = config.bodies[ROUTE]
        result = log.commit(config, config.stage(log.rows.items(), full=True))
        assert (result.changes, result.newly_rejected, result.recovered) == ((), (), ())
        assert config.bodies[ROUTE] is kept

    def test_restored_config_needs_a_full_stage(self) -> None:
        """Bodies alone say nothing of what was rejected."""
        log, config = started((SERVICE, {}), (ROUTE, {"service_id": "s"}))
        restored = EffectiveConfig()
        restored.restore(dict(config.bodies))
        assert not restored.is_complete
        assert (restored.content_hash, restored.counts) == (config.content_hash, config.counts)
        with pytest.raises(ValueError, match="full stage"):
            restored.stage([], full=False)
        result = log.commit(restored, restored.stage(log.rows.items(), full=True))
        assert result.changes == ()
        same(restored, config)
        log.change(restored, (SERVICE, None))
        same(restored, log.cold())


class StageTests:
    def test_work_is_done_in_steps(self) -> None:
        """Each step judges a bounded number of rows."""
        config = EffectiveConfig()
        asked = 0

        def rows() -> Any:
            nonlocal asked
            for number in range(10 * STEP_WEIGHT):
                asked += 1
                yield Key("service", f"s{number}"), {}

        stage = config.stage(rows(), full=True)
        steps = 0
        before = 0
        while stage.step():
            steps += 1
            assert asked - before <= STEP_WEIGHT
            before = asked
        assert steps >= 10
        assert config.bodies == {}
        stage.commit()
        assert config.count("service") == 10 * STEP_WEIGHT

    def test_large_bodies_weigh_more(self) -> None:
        """Sixty rows of 50 KB are more than one step."""
        config = EffectiveConfig()
        big = {"respond": {"body": "x" * 50_000}}
        stage = config.stage(((Key("route", f"r{n}"), big) for n in range(60)), full=True)
        assert stage.step()
        assert len(stage.__repr__()) < 100

    def test_commit_before_the_end_is_refused(self) -> None:
        """Nothing half judged becomes visible."""
        config = EffectiveConfig()
        stage = config.stage([(ROUTE, {"priority": "x"})], full=True)
        with pytest.raises(ValueError, match="can't be committed"):
            stage.commit()
        while stage.step():
            pass
        assert stage.wanted == [ROUTE]
        assert not stage.step()
        with pytest.raises(ValueError, match="can't be committed"):
            stage.commit()

    def test_stage_of_an_older_state_is_refused(self) -> None:
        """Of two stages begun together only one can be committed."""
        config = EffectiveConfig()
        first, second = (config.stage([(SERVICE, {})], full=False) for _ in range(2))
        for stage in (first, second):
            while stage.step():
                pass
        first.commit()
        with pytest.raises(ValueError, match="another state"):
            second.commit()

    def test_counts_are_known_before_the_commit(self) -> None:
        """For the rule that holds what removes too much."""
        log, config = started((SERVICE, {}), (ROUTE, {"service_id": "s"}))
        stage = config.stage([], full=True)
        while stage.step():
            pass
        assert (stage.count("route"), config.count("route")) == (0, 1)
        assert "EffectiveConfig of 2 entities" in repr(config)
        assert "2 changes, finished" in repr(stage)
        assert set(log.rows) == {SERVICE, ROUTE}

    def test_cost_of_one_change_is_that_of_one(self) -> None:
        """Among many entities, one changed row is one step of work."""
        config = EffectiveConfig()
        log = Log()
        rows = [(Key("route", f"r{n}"), {"respond": {}}) for n in range(2000)]
        log.commit(config, config.stage(rows, full=True))
        stage = config.stage([(rows[7][0], {"respond": {"status": 500}})], full=False)
        steps = 0
        while stage.step():
            steps += 1
        assert steps <= 2


# Few ids, so that references meet, vanish and come back.
ids = st.sampled_from("abc")
bad = st.sampled_from([{"enabled": 5}, {"enabled": False, "policies": {"nope": 1}}])
routes = st.one_of(
    st.fixed_dictionaries({"service_id": ids, "priority": st.integers(0, 1)}),
    st.fixed_dictionaries({"service_id": ids, "tenant_id": ids}),
    st.fixed_dictionaries({"split": st.dictionaries(ids, st.just(1), min_size=1)}),
    st.fixed_dictionaries({"respond": st.just({}), "enabled": st.booleans()}),
    bad,
)
instances = st.one_of(
    st.fixed_dictionaries(
        {"service_id": ids, "tenant_id": st.none() | ids, "address": st.just("http://a")}
    ),
    bad,
)
issuers = st.builds(
    issuer,
    st.sampled_from("xyz"),
    tenant_id=st.none() | ids,
    leeway=st.sampled_from([5, 10, 50]),
)
by_kind = {
    "tenant": st.just({}) | bad,
    "issuer": issuers,
    "client": st.fixed_dictionaries({"tenant_id": st.none() | ids}) | bad,
    "api_key": st.fixed_dictionaries(
        {"client_id": ids, "digest": st.just("ab" * 32), "enabled": st.booleans()}
    )
    | bad,
    "service": st.sampled_from([{}, {"balancing": "random"}]) | bad,
    "instance": instances,
    "instance_health": st.sampled_from([{"health": "healthy"}, {"health": "?"}]),
    "route": routes,
}
keys = st.builds(Key, st.sampled_from(sorted(by_kind)), ids)
shares = st.sampled_from([{"value": {"max_removed_share": share}} for share in (0.1, 7)])
changes = st.one_of(
    keys.flatmap(lambda key: st.tuples(st.just(key), st.none() | by_kind[key.kind])),
    st.tuples(st.just(HOLD), st.none() | shares),
)


class IncrementalIsCold(RuleBasedStateMachine):
    """Whatever edits come, good or bad: incremental loading equals a cold start."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self.config = self.log.cold()

    @rule(edits=st.lists(changes, min_size=1, max_size=6))
    def edit(self, edits: list[tuple[Key, Row | None]]) -> None:
        """Some edits, seen one stage later as the entities' latest rows."""
        for key, row in edits:
            self.log.put(key, row)
        rows = [(key, self.log.rows.get(key)) for key in dict(edits)]
        self.log.commit(self.config, self.config.stage(rows, full=False))

    @rule()
    def compare(self) -> None:
        """A full stage, as a slow compare does it, finds nothing new."""
        result = self.log.commit(self.config, self.config.stage(self.log.rows.items(), full=True))
        assert (result.changes, result.newly_rejected, result.recovered) == ((), (), ())

    @rule()
    def restart(self) -> None:
        """A start from the last-known-good file, and then the database."""
        restored = EffectiveConfig()
        restored.restore(dict(self.config.bodies), self.config.content_hash)
        self.log.commit(restored, restored.stage(self.log.rows.items(), full=True))
        self.config = restored

    @invariant()
    def equals_a_cold_start(self) -> None:
        same(self.config, self.log.cold())

    @invariant()
    def tallies_the_rows(self) -> None:
        assert self.config.tally == tally_of(self.log.rows.items())

    @invariant()
    def refers_to_nothing_that_is_not_there(self) -> None:
        from fengling_gateway.model.validation import refs_of

        for key, body in self.config.bodies.items():
            assert refs_of(key, body) <= set(self.config.bodies)

    @invariant()
    def believes_one_issuer_of_each(self) -> None:
        said = [
            json.loads(body)["issuer"]
            for key, body in self.config.bodies.items()
            if key.kind == "issuer"
        ]
        assert len(said) == len(set(said))

    @invariant()
    def lets_in_by_no_rejected_key(self) -> None:
        assert not any(
            key.kind in KINDS_WITHOUT_PAST
            for key in self.config.rejected.keys() & self.config.bodies.keys()
        )


TestIncrementalIsCold = IncrementalIsCold.TestCase
TestIncrementalIsCold.settings = settings(stateful_step_count=15)


class OrderTests:
    @given(st.permutations([
        (Key("tenant", "a"), {}), (Key("service", "a"), {}),
        (Key("instance", "a"), {"service_id": "a", "address": "http://a"}),
        (Key("instance_health", "a"), {"health": "healthy"}),
        (Key("route", "a"), {"service_id": "a", "tenant_id": "a"}),
    ]))  # fmt: skip
    def test_order_of_rows_says_nothing(self, rows: list[tuple[Key, Row]]) -> None:
        """A route may come before its service."""
        _, config = started(*rows)
        assert len(config.bodies) == 5
