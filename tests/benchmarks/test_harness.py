"""The pure parts of the benchmarks: parsers, judgements, tables. No time is asserted."""

from __future__ import annotations

import json

import pytest

from benchmarks import idle, propagation, proxy
from benchmarks.harness import (
    changes,
    cores,
    load,
    load_python,
    malformed,
    node,
    prober,
    proc,
    quantiles,
    report,
    traffic,
    upstream_python,
)
from benchmarks.peers import PEERS
from fengling_gateway.settings import load_settings

WRK = """\
Running 2s test @ http://127.0.0.1:8000/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   601.93us  208.66us   6.23ms   92.02%
    Req/Sec    52.81k     3.13k   58.19k    75.00%
  Latency Distribution
     50%  570.00us
     75%  650.00us
     90%    1.10ms
     99%    1.53s
  105119 requests in 2.10s, 26.27MB read
"""


class WrkTests:
    def test_plain_output_gives_all_figures_in_their_units(self):
        """Microseconds and seconds become milliseconds; nothing failed."""
        outcome = load.parse_wrk(WRK)
        assert (outcome.requests, outcome.seconds, outcome.failed) == (105119, 2.1, 0)
        assert (round(outcome.p50_ms, 6), outcome.p99_ms) == (0.57, 1530.0)

    def test_errors_of_every_sort_add_up(self):
        """Broken connections, timeouts and bad statuses all count as failed."""
        text = WRK + (
            "  Socket errors: connect 1, read 2, write 3, timeout 4\n"
            "  Non-2xx or 3xx responses: 50\n"
        )
        assert load.parse_wrk(text).failed == 60

    @pytest.mark.parametrize("text", ["", "unable to connect to 127.0.0.1:1", WRK[:250]])
    def test_anything_else_is_refused(self, text):
        """A generator that did not run yields no figures."""
        with pytest.raises(load.LoadError):
            load.parse_wrk(text)

    def test_own_generator_speaks_json(self):
        """Its outcome is read field by field; something else is refused."""
        values = {"requests": 1, "seconds": 1.0, "p50_ms": 2.0, "p99_ms": 3.0, "failed": 0}
        assert load.parse_outcome(json.dumps(values)) == load.LoadOutcome(**values)
        for text in ("", "[]", "{}"):
            with pytest.raises(load.LoadError):
                load.parse_outcome(text)


class ProcTests:
    def stat(self, pid, *, parent=1, session=1, name="x", ticks=(0, 0)):
        middle = "0 " * 7
        return (
            f"{pid} ({name}) S {parent} {pid} {session} {middle}{ticks[0]} {ticks[1]} "
            "0 0 20 0 1 0 777 0 0\n"
        )

    def test_name_with_spaces_and_parentheses_is_skipped(self):
        """Fields are counted from the last parenthesis."""
        record = proc.parse_stat(self.stat(7, parent=3, session=5, name="a) b (c", ticks=(11, 22)))
        assert record == proc.ProcessRecord(7, 3, 5, 33, 777)

    def test_tree_holds_descendants_and_the_session(self):
        """Grandchildren belong, so do orphans of the session, strangers do not."""
        processes = [
            proc.parse_stat(self.stat(pid, parent=parent, session=session))
            for pid, parent, session in [
                (10, 1, 10), (11, 10, 10), (12, 11, 12), (13, 1, 10), (14, 1, 9), (15, 12, 12),
            ]
        ]  # fmt: skip
        assert [p.pid for p in proc.tree_of(10, processes)] == [10, 11, 12, 13, 15]

    def test_tree_of_a_process_that_is_gone_is_empty(self):
        """No pid, no members."""
        assert proc.tree_of(10, []) == []


class QuantileTests:
    def test_percentile_is_the_nearest_rank(self):
        """The 99th of a hundred values is the 99th, not the largest."""
        values = list(range(1, 101))
        assert quantiles.percentile(values, 50) == 50
        assert quantiles.percentile(values, 99) == 99
        assert quantiles.percentile(values, 100) == 100
        assert quantiles.percentile([3.0], 1) == 3.0

    def test_median_of_an_even_count_is_between(self):
        """The mean of the two middle values."""
        assert quantiles.median([4, 1, 3, 2]) == 2.5
        assert quantiles.median([9, 1, 5]) == 5

    def test_no_values_are_refused(self):
        """There is nothing to make up."""
        for function in (quantiles.median, lambda values: quantiles.percentile(values, 50)):
            with pytest.raises(ValueError, match="no values"):
                function([])


class CoreTests:
    def test_proxy_has_a_core_of_its_own(self):
        """Load and upstream get the rest."""
        assert cores.divide([2, 0, 1]) == cores.Cores(frozenset({2}), frozenset({0, 1}))

    def test_one_core_pins_nothing(self):
        """And the description says what that means."""
        assert cores.divide([0]) == cores.Cores(None, None)
        assert "say little" in cores.divide([0]).describe()


class TrafficTests:
    def test_targets_differ_and_have_queries(self):
        """A few dozen, each with a query string, the same in every run."""
        targets = traffic.targets()
        assert len(set(targets)) == traffic.PATHS
        assert all("?" in target for target in targets)
        assert targets == traffic.targets()

    def test_heads_carry_what_an_ordinary_client_sends(self):
        """An Authorization value of 200 bytes, and the traceparent comes last."""
        for head in traffic.heads():
            lines = head.split("\r\n")
            values = dict(line.split(": ", 1) for line in lines[1:])
            assert len(values["Authorization"]) == 200
            assert lines[-1] == "traceparent: "
            assert {"Host", "User-Agent", "Accept", "Accept-Encoding"} <= set(values)

    def test_traceparents_are_well_formed_and_differ(self):
        """Two numbers, two contexts, of the length that W3C asks for."""
        first, second = traffic.traceparent(1), traffic.traceparent(2)
        assert first != second
        assert [len(part) for part in first.split("-")] == [2, 32, 16, 2]

    def test_wrk_script_paces_only_when_asked(self):
        """The pause is a function that wrk calls before each request."""
        assert "delay" not in traffic.wrk_script()
        assert "return 5" in traffic.wrk_script(pause_ms=5)
        assert traffic.wrk_script().count('  "GET ') == traffic.PATHS


class AnswerTests:
    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"

    def test_incomplete_answers_have_no_length(self):
        """Neither half a head nor half a body is an answer."""
        for cut in (0, 10, len(self.ANSWER) - 1):
            assert load_python.answer_length(self.ANSWER[:cut]) is None

    def test_whole_answers_end_where_the_next_begins(self):
        """Bytes of the next answer are left alone."""
        assert load_python.answer_length(self.ANSWER * 2) == len(self.ANSWER)

    def test_upstream_counts_heads(self):
        """Pipelined requests are answered one by one; half a head is kept."""
        assert upstream_python.take_heads(b"a\r\n\r\nb\r\n\r\nc") == (2, b"c")
        assert upstream_python.take_heads(b"abc") == (0, b"abc")


class MalformedTests:
    def request(self, name):
        return next(request for request in malformed.MALFORMED if request.name == name)

    def test_every_case_is_malformed_as_it_says(self):
        """The bytes that make it so are in it."""
        assert b"1\nX-Two" in self.request("bare-lf").content
        assert b"Transfer-Encoding : " in self.request("space-before-colon").content
        both = self.request("content-length-and-chunked").content
        assert b"Content-Length: " in both
        assert b"Transfer-Encoding: " in both

    def test_refused_requests_are_innocent(self):
        """A 400 and a silent upstream: nothing got through."""
        for request in malformed.MALFORMED:
            assert not malformed.got_through(request, b"HTTP/1.1 400 Bad Request\r\n\r\n", [])
            assert not malformed.got_through(request, b"", [])

    def test_success_or_a_note_of_the_upstream_convicts(self):
        """An answer of 2xx does, and so does its arrival upstream."""
        request = self.request("bare-lf")
        assert malformed.got_through(request, b"HTTP/1.1 204 No Content\r\n\r\n", [])
        assert malformed.got_through(request, b"", ["200 GET /malformed/bare-lf HTTP/1.1"])

    def test_streamed_head_alone_is_innocent(self):
        """Where only the body is malformed, the head may have gone ahead; a second request not."""
        request = self.request("bad-chunk-size")
        assert not malformed.got_through(request, b"", ["200 POST /malformed/bad-chunk-size"])
        assert malformed.got_through(request, b"", ["200 GET /malformed/smuggled HTTP/1.1"])


class ReportTests:
    def test_columns_line_up(self):
        """Names flush left, numbers flush right, a rule beneath the headings."""
        text = report.table(["", "µs"], [["a", "1.5"], ["long", "10.25"]])
        assert text.splitlines() == ["         µs", "----  -----", "a       1.5", "long  10.25"]

    def test_what_was_not_measured_is_a_dash(self):
        """Neither a number nor a ratio is made up."""
        assert report.number(None) == "-"
        assert report.ratio(1.0, None) == report.ratio(None, 1.0) == "-"
        assert report.number(1234.56) == "1,234.6"

    def test_ratios_keep_three_figures(self):
        """Small ones in hundredths, large ones in tenths."""
        assert report.ratio(31, 20) == "1.55 x"
        assert report.ratio(310, 20) == "15.5 x"

    def test_document_names_the_bench_and_holds_the_rows(self):
        """The form that scripts/bench --json promises."""
        values = json.loads(report.document("proxy", [{"name": "nginx", "p50_ms": 1.5}], {"n": 2}))
        assert values["bench"] == "proxy"
        assert values["rows"] == [{"name": "nginx", "p50_ms": 1.5}]
        assert values["conditions"]["n"] == 2


class ProxyBenchTests:
    def contestant(self, name, cpu_seconds=(0.1, 0.3, 0.2), **kwargs):
        outcome = load.LoadOutcome(10_000, 1.0, 0.5, 2.0, kwargs.get("failed", 0))
        samples = [proxy.Sample(outcome, seconds) for seconds in cpu_seconds]
        return proxy.Contestant(name, None, 0, kwargs.get("passes", []), samples)

    def test_row_is_the_median_of_the_rounds(self):
        """CPU per request, with its spread beside it."""
        row = self.contestant("nginx").row()
        assert row["cpu_us_per_request"] == 20.0
        assert (row["cpu_us_per_request_min"], row["cpu_us_per_request_max"]) == (10.0, 30.0)
        assert row["requests_per_second"] == 10_000
        assert row["core_busy_share"] == 0.2

    def test_table_has_ratios_to_nginx_and_the_baseline(self):
        """The cheapest comes first."""
        rows = [
            self.contestant("baseline", (0.8,)).row(),
            self.contestant("fengling", (0.4,)).row(),
            self.contestant("nginx", (0.2,)).row(),
        ]
        lines = proxy.format_rows(rows, {"baseline": ["bare-lf"]}).splitlines()
        assert [line.split()[0] for line in lines[2:]] == ["nginx", "fengling", "baseline"]
        assert "2.00 x" in lines[3]
        assert [line.split()[-1] for line in lines[2:]] == ["none", "none", "bare-lf"]

    def test_only_our_own_faults_fail_the_run(self):
        """What a peer passes on is shown; what we pass on, or fail, is a verdict."""
        passes = {"nginx": ["bare-lf"]}
        rows = [self.contestant("nginx", failed=1).row()]
        assert proxy.verdict(rows, passes) == []
        ours = self.contestant("fengling", failed=1).row()
        assert len(proxy.verdict([*rows, ours], {**passes, "fengling": ["bare-lf"]})) == 2

    def test_idle_connections_of_ours_have_a_budget(self):
        """More than 12 KiB for one of ours is a verdict; the cheapest is shown first."""
        rows = [
            {"name": name, "bytes_per_connection": cost, "connections": 10, "base_mb": 1, "mb": 2}
            for name, cost in (("caddy", 99_999), ("fengling", 12_288), ("nginx", 500))
        ]
        shown = idle.format_rows(rows).splitlines()[2:]
        assert [line.split()[0] for line in shown] == ["nginx", "fengling", "caddy"]
        assert idle.verdict(rows) == []
        rows[1]["bytes_per_connection"] += 1
        assert len(idle.verdict(rows)) == 1

    def test_unknown_peer_is_named(self):
        """A misspelt name does not silently measure nothing."""
        with pytest.raises(ValueError, match="unknown: nginks"):
            proxy.choose("nginks,envoy")
        assert [peer.name for peer in proxy.choose("envoy,fengling")] == ["fengling", "envoy"]

    def test_every_peer_says_how_to_install_it(self):
        """The line for a peer that is skipped has something to say."""
        assert all(peer.install for peer in PEERS)
        assert {peer.name for peer in PEERS} == {
            "fengling", "nginx", "haproxy", "envoy", "traefik", "caddy", "baseline",
        }  # fmt: skip


class ProberTests:
    def test_answer_names_worker_revision_and_instance(self):
        """From the headers that debug.worker_header adds, and the upstream's own."""
        content = (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Gateway-Worker: w1\r\n"
            b"X-Gateway-Revision: 41\r\nX-Instance: beta\r\n\r\nok"
        )
        assert prober.parse_answer(content) == prober.Answer(200, "w1", 41, "beta", closing=False)

    def test_closing_answers_are_told_apart(self):
        """The connection is not used again; what is missing is empty."""
        content = b"HTTP/1.1 503 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        assert prober.parse_answer(content) == prober.Answer(503, "", 0, "", closing=True)


class NodeTests:
    def test_settings_are_what_the_gateway_reads(self, tmp_path):
        """Every variant's file is accepted, and says what it should."""
        cluster = node.new_cluster("postgresql://postgres@127.0.0.1/x", "redis://127.0.0.1/0")
        for wanted in [one for nodes in propagation.VARIANTS.values() for one in nodes]:
            path = tmp_path / f"{wanted.name}.toml"
            path.write_text(node.settings_text(wanted, cluster, tmp_path, (1234, 1235)))
            settings = load_settings(path, environ={})
            assert settings.debug.worker_header
            assert settings.worker_count() == wanted.workers
            assert settings.sync.push == wanted.push
            assert settings.database.listen == wanted.listen
            assert (settings.redis.url is not None) == wanted.redis


class PropagationBenchTests:
    def test_percentiles_are_of_the_time_to_the_last_worker(self):
        """Milliseconds from before COMMIT, and the part that COMMIT itself took."""
        samples = [changes.ChangeSample(n / 1000, n / 2000, 0.001) for n in range(1, 101)]
        metrics = changes.change_metrics(samples)
        assert (metrics["p50_ms"], metrics["p99_ms"], metrics["max_ms"]) == (50.0, 99.0, 100.0)
        assert metrics["commit_p50_ms"] == 1.0

    def test_rows_go_to_the_table_of_their_sort(self):
        """A size has routes, a burst has changes; a burst without samples shows dashes."""
        rows = [
            {"name": "fengling", "routes": 10_000, "p50_ms": 4.2, "failed_requests": 0},
            {"name": "fengling", "changes": 1_000, "converged_ms": 80.0, "failed_requests": 3},
        ]
        text = propagation.format_rows(rows)
        assert "10,000" in text.split("\n\n")[0]
        assert "1,000" in text.split("\n\n")[1]
        assert len(propagation.verdict(rows)) == 1

    def test_quick_run_is_short(self):
        """Fewer changes and smaller sizes; bursts where there are routes enough."""
        options = propagation.parse(["--quick"])
        assert options.changes == 30
        assert max(options.routes) == 10_000
        assert options.burst < options.burst_routes <= 10_000
        assert propagation.parse(["--routes", "10"]).burst_routes is None
        assert propagation.parse(["--burst", "0"]).burst_routes is None

    def test_unknown_variant_is_refused(self, capsys):
        """A misspelt name does not silently measure nothing."""
        with pytest.raises(SystemExit):
            propagation.parse(["--variants", "carrier-pigeon"])
        assert "unknown: carrier-pigeon" in capsys.readouterr().err
