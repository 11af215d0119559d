"""What ``scripts/bench policy`` and ``flood`` ask and judge. No time is asserted."""

from __future__ import annotations

import os
import random
import secrets
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import flood, policy
from benchmarks.harness import features, forge, guarded, proc, traffic
from benchmarks.harness.children import StartError
from benchmarks.harness.flood_python import NOTHING, request_maker
from benchmarks.harness.flooding import FloodOutcome, parse_flood
from benchmarks.harness.load import LoadError, LoadOutcome
from fengling_gateway.auth.compact import TokenError, parse
from fengling_gateway.auth.issuer import Issuer, verify
from fengling_gateway.auth.jwt_transform import JwtTransform
from fengling_gateway.model.issuers import CLAIMS
from fengling_gateway.model.key_sets import hmac_key, read_key_set
from fengling_gateway.model.policies import policies
from fengling_gateway.model.problems import Report
from fengling_gateway.settings import load_settings

ISSUER = "https://id.example"
CREDENTIALS = features.Credentials.make()
FEATURES = features.features(CREDENTIALS)
PER_KIND = {
    "wrong signature": "wrong_signature",
    "malformed": "malformed",
    "unknown key": "unknown_key",
    "expired": "expired",
}


def issuers() -> dict[str, Issuer]:
    """Those whom the benchmark's gateway believes."""
    body = {
        "id": "corp",
        "issuer": ISSUER,
        "tenant_id": None,
        "audiences": [forge.AUDIENCE],
        "algorithms": ["RS256", "ES256"],
        "leeway": 30.0,
        "max_lifetime": None,
        "required_claims": [],
        "claims": CLAIMS,
    }
    names = {"user": "X-User-Id", "name": "X-User-Name", "roles": "X-Roles"}
    transform = JwtTransform(names)
    public = {"keys": [CREDENTIALS.rsa.public, CREDENTIALS.ec.public]}
    corp = Issuer(body, read_key_set(public, body["algorithms"]), transform)
    secret = hmac_key(CREDENTIALS.secret.encode(), ["HS256"])
    other = {**body, "issuer": CREDENTIALS.shared.issuer, "algorithms": ["HS256"]}
    shared = Issuer(other, type(corp.keys)((secret,)), transform)
    return {one.issuer: one for one in (corp, shared)}


class ForgeTests:
    @pytest.mark.parametrize("name", ["rsa", "ec", "shared"])
    def test_good_tokens_are_good_and_differ(self, name):
        """Else what is measured would be refusals, or one token that is known."""
        signer = getattr(CREDENTIALS, name)
        tokens = [signer.token(number) for number in range(3)]
        assert len(set(tokens)) == 3
        for number, token in enumerate(tokens):
            found = verify(parse(token.encode()), issuers(), time.time())
            assert found.subject == f"user-{number}"

    @pytest.mark.parametrize("kind", forge.FORGERIES)
    def test_forgeries_are_refused_for_what_they_are_called(self, kind):
        """So does a flood of one kind get as far as it should."""
        rng = random.Random(1)
        key_id = CREDENTIALS.rsa.key_id
        tokens = [forge.forgery(ISSUER, key_id, kind, number, rng) for number in range(10)]
        assert len(set(tokens)) == 10
        for token in tokens:
            with pytest.raises(TokenError) as caught:
                verify(parse(token.encode()), issuers(), time.time())
            assert caught.value.code == PER_KIND[kind]


class FeatureTests:
    @pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
    def test_policies_are_what_a_gateway_takes(self, feature):
        """None is rejected, which would leave its route out."""
        report = Report()
        policies(dict(feature.policies), report)
        assert report.found == []

    def test_plain_route_gets_the_same_requests(self):
        """But for the first segment, which is as long."""
        for feature in FEATURES:
            plain = feature.heads(features.PLAIN, 0, 2)
            own = feature.heads("v07", 0, 2)
            if feature.name != "jwt_first_es256":  # whose signatures are never the same
                own_names = [
                    head.replace("/v07/", "/v00/", 1).replace(feature.last, "traceparent")
                    for head in own
                ]
                assert [one.replace(feature.last, "traceparent") for one in plain] == own_names
            assert list(map(len, own)) == list(map(len, plain))

    def test_names_are_those_that_others_read(self):
        """The rows that the budget of the project names, and limits on some of them."""
        names = {feature.name for feature in FEATURES}
        assert names >= {
            "jwt_cached", "jwt_first", "api_key", "rate_limit_local", "rate_limit_redis",
            "concurrency", "cors", "access", "security_headers",
        }  # fmt: skip
        limits = {one.name: one.limit_us for one in FEATURES if one.limit_us is not None}
        assert limits == {
            "jwt_cached": 3.0, "rate_limit_local": 2.0,
            "metrics": 2.0, "access_log": 5.0, "tracing_0": 1.5, "tracing_1": 3.0,
        }  # fmt: skip

    def test_what_is_of_a_gateway_is_of_no_route(self):
        """Its routes are like those of the gateway that is compared with."""
        for feature in FEATURES:
            assert not (feature.is_of_gateway and feature.policies)
            assert not (feature.beside and feature.settings)

    def test_unknown_feature_is_named(self):
        """A misspelt name does not silently measure nothing."""
        assert [one.name for one in policy.choose("cors,api_key", FEATURES)] == ["api_key", "cors"]
        with pytest.raises(StartError, match="unknown: korse"):
            policy.choose("korse", FEATURES)


class GuardedTests:
    @pytest.mark.parametrize("redis", [None, "redis://127.0.0.1:1/0"])
    def test_settings_are_what_the_gateway_reads(self, redis, tmp_path):
        """One worker, the file, and Redis where there is one."""
        path = tmp_path / "gateway.toml"
        routes = tmp_path / "routes.yaml"
        key = f"bench:{secrets.token_hex(32)}"
        text = guarded.settings_text(tmp_path, routes, (1234, 1235), redis=redis, token_key=key)
        path.write_text(text)
        settings = load_settings(path, environ={})
        assert settings.worker_count() == 1
        assert Path(settings.file.path) == routes
        assert (settings.redis.url is not None) == (redis is not None)


class ScriptTests:
    def test_script_ends_when_each_was_sent_only_if_asked(self):
        """So is no token of those that are new sent again."""
        assert "stop()" not in traffic.wrk_script()
        script = traffic.wrk_script(["GET /a HTTP/1.1\r\n"], is_once=True)
        assert "wrk.thread:stop()" in script
        assert script.count('  "GET ') == 1


class PolicyBenchTests:
    def measured(self, name="cors", pairs=((20.0, 21.0), (20.0, 23.0), (40.0, 42.0)), **kwargs):
        feature = next(one for one in FEATURES if one.name == name)
        found = [policy.Pair(*pair) for pair in pairs]
        return policy.Measured(feature, "v01", policy.Gateways(None, None), found, **kwargs)

    def test_what_is_added_is_the_median_of_differences(self):
        """Within a pair: a slow moment of the machine is in both of its rounds."""
        row = self.measured().row()
        assert row["added_cpu_us_per_request"] == 2.0
        assert (row["added_cpu_us_per_request_p25"], row["added_cpu_us_per_request_p75"]) == (1, 3)
        assert (row["plain_cpu_us_per_request"], row["added_share"]) == (20.0, 0.1)

    def test_table_has_a_line_for_each_and_its_limit(self):
        """A dash where there is none."""
        rows = [self.measured("jwt_cached").row(), self.measured().row()]
        lines = policy.format_rows(rows).splitlines()[2:]
        assert [line.split()[0] for line in lines] == ["jwt_cached", "cors"]
        assert [line.split()[5] for line in lines] == ["3", "-"]

    def test_limits_and_failures_fail_the_run(self):
        """Nothing else does, and a quick run judges no microseconds."""
        slow = ((20.0, 23.1),)
        assert policy.verdict([self.measured("cors", slow).row()], is_quick=False) == []
        over = [self.measured("jwt_cached", slow).row()]
        assert len(policy.verdict(over, is_quick=False)) == 1
        assert policy.verdict(over, is_quick=True) == []
        failed = [self.measured("cors", failed=1).row()]
        assert len(policy.verdict(failed, is_quick=True)) == 1


def windows(p99_ms: float = 4.0, **given: Any) -> flood.Windows:
    def seen(p99: float, failed: int = 0) -> flood.Seen:
        return flood.Seen(LoadOutcome(100, 1.0, 1.0, p99, failed), 0.2, 0.1)

    refused = given.get("refused", 2000)
    floods = [FloodOutcome(1.0, {"401": refused, **given.get("others", {})}, 0)]
    quiet = [seen(1.0), seen(2.0), seen(9.0)]
    return flood.Windows(quiet, [seen(p99_ms, given.get("failed", 0))], floods)


class FloodBenchTests:
    def verdict(self, *args: Any, **given: Any) -> list[str]:
        return flood.verdict([windows(*args, **given).row("mixed")], 2000.0)

    def test_ratio_is_of_the_medians(self):
        """One bad moment of a busy machine decides nothing."""
        row = windows().row("mixed")
        assert (row["quiet_p99_ms"], row["p99_ms"], row["p99_ratio"]) == (2.0, 4.0, 2.0)
        assert row["quiet_p99_ms_of_windows"] == [1.0, 2.0, 9.0]
        assert "mixed" in flood.format_rows([row])

    def test_what_makes_a_run_fail(self):
        """More than twice the time, a good request that failed, a bad one that did not."""
        assert self.verdict() == []
        assert len(self.verdict(4.01)) == 1
        assert len(self.verdict(failed=1)) == 1
        assert len(self.verdict(others={"200": 1})) == 1

    def test_flood_that_was_none_proves_nothing(self):
        """It has to keep to its rate."""
        assert self.verdict(refused=1900) == []
        assert len(self.verdict(refused=1899)) == 1

    def test_each_is_all_kinds(self):
        """Mixed, alone, and requests that show nothing, to compare with."""
        assert flood.parse([]).kinds == ["mixed"]
        assert flood.parse(["--kind", "each"]).kinds == ["mixed", *forge.FORGERIES, NOTHING]

    def test_requests_take_turns_among_kinds(self):
        """All different; the kind that shows nothing has no credentials."""
        make = request_maker(["expired", NOTHING], ISSUER, "rsa-1", 1)
        made = [make(number) for number in range(4)]
        assert [b"Authorization: Bearer " in one for one in made] == [True, False, True, False]
        assert len(set(made)) == 4

    def test_outcome_is_json_or_refused(self):
        """What broke without an answer was not refused."""
        outcome = parse_flood('{"seconds": 2.0, "answers": {"401": 10, "502": 1}, "broken": 2}')
        assert (outcome.refused, outcome.others, outcome.rate) == (10, 3, 5.0)
        for text in ("", "[]", "{}"):
            with pytest.raises(LoadError):
                parse_flood(text)


def test_cpu_of_a_process_is_that_of_its_clock() -> None:
    """Our own, as `time.process_time` has it."""
    before = time.process_time()
    found = proc.process_cpu_seconds(os.getpid())
    assert before <= found <= time.process_time()
    assert proc.waited_seconds(os.getpid()) >= 0
    with pytest.raises(OSError, match="rgument"):
        proc.process_cpu_seconds(2**22 + 1)
