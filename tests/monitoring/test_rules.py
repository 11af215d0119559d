"""Rules and dashboards, by what they say themselves; needs no Prometheus."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from fengling_gateway.cli.main import cli
from fengling_gateway.observability import metrics
from fengling_gateway.observability.metrics import Declared
from tests.console.test_metrics import rendered
from tests.monitoring.queries import (
    PROMETHEUS,
    ROOT,
    alerts,
    answering,
    dashboard_queries,
    metric,
    rule_queries,
    rules,
    selectors,
    variable_queries,
)

RUNBOOK = ("summary", "description", "look_at", "command", "what_to_do")
CASES = ("alerts.yml", "alerts_of_days.yml")

OF_PROMETHEUS = {"up", "scrape_duration_seconds"}
PARTS = ("", "_bucket", "_sum", "_count")
"""What the series of a histogram end with."""


def declared() -> set[str]:
    """Return the names of all metrics of a gateway, and of a console."""
    names = set(re.findall(r"^# TYPE (\S+)", rendered(), re.MULTILINE))
    for one in vars(metrics).values():
        found = one.values() if isinstance(one, dict) else [one]
        names |= {each.name for each in found if isinstance(each, Declared)}
    return names


@pytest.mark.parametrize("name", alerts())
class AlertTests:
    def test_alert_is_a_runbook(self, name: str) -> None:
        """What it means, what to look at, what to run, what to do."""
        alert = alerts()[name]
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        assert tuple(alert["annotations"]) == RUNBOOK
        assert all(alert["annotations"].values())

    def test_alert_is_seen_to_fire_and_not_to(self, name: str) -> None:
        """By promtool, of the state ``firing``."""
        fires = set()
        for case in CASES:
            for test in yaml.safe_load((Path(__file__).parent / case).read_text())["tests"]:
                fires |= {
                    bool(one["exp_samples"])
                    for one in test["promql_expr_test"]
                    if f'alertname="{name}"' in one["expr"]
                }
        assert fires == {False, True}

    def test_commands_exist(self, name: str) -> None:
        """Whoever is woken types what stands there."""
        annotations = alerts()[name]["annotations"]
        assert annotations["command"].startswith("fenglingctl ")
        context = click.Context(cli)
        for named in re.findall(r"fenglingctl ([a-z-]+)", str(annotations)):
            assert cli.get_command(context, named) is not None, named
        command, *arguments = shlex.split(re.sub(r"\{\{.*?\}\}", "x", annotations["command"]))[1:]
        found = cli.get_command(context, command)
        while isinstance(found, click.Group):
            found = found.get_command(context, arguments.pop(0))
        assert found is not None
        options = {option for parameter in found.params for option in parameter.opts}
        asked = {one for one in arguments if one.startswith("-")}
        assert asked <= options, asked - options

    def test_alert_is_documented(self, name: str) -> None:
        """In the table of docs/monitoring.md, with its severity."""
        severity = alerts()[name]["labels"]["severity"]
        assert f"| `{name}` | {severity} |" in (ROOT / "docs" / "monitoring.md").read_text()


def test_documentation_names_nothing_else() -> None:
    """An alert that is gone is gone there, too."""
    text = (ROOT / "docs" / "monitoring.md").read_text()
    assert set(re.findall(r"`(Fengling\w+)`", text)) == set(alerts())
    recorded = set(re.findall(r"`(\w+:fengling_\w+:\w+)`", text))
    assert recorded <= {rule["record"] for rule in rules() if "record" in rule}


def test_every_series_is_declared_or_recorded() -> None:
    """A misspelt metric is one that is never there."""
    known = OF_PROMETHEUS | {rule["record"] for rule in rules() if "record" in rule}
    known |= {name + part for name in declared() for part in PARTS}
    asked = {(one.where, name) for one in rule_queries() for name in selectors(one.expr)}
    asked |= {(one.where, name) for one in dashboard_queries() for name in selectors(one.expr)}
    asked |= {(where, series) for where, series, _ in variable_queries()}
    assert len(asked) > 150
    unknown = {(where, name) for where, name in asked if metric(name) not in known}
    assert not unknown


def test_every_expression_takes_something() -> None:
    """That is, `selectors` finds what there is."""
    for one in (*rule_queries(), *dashboard_queries()):
        assert selectors(one.expr), one


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ('up{job="a>b"} == 0', 'up{job="a>b"} == bool 0'),
        ("a < on (b) group_left () c unless on (b) d == 1", None),
        ("a >= 1 and b != 2", "a >= bool 1 and b != bool 2"),
        ("absent(up)", "count(up)"),
    ],
)
def test_alert_is_asked_so_that_it_answers(expr: str, expected: str | None) -> None:
    """The same series and labels, with 0 or 1."""
    if expected is None:
        expected = "a < bool on (b) group_left () c and on (b) d == bool 1"
    assert answering(expr) == expected


def test_selectors_are_names_with_braces() -> None:
    """Neither functions nor labels are any."""
    expr = 'sum by (x) (rate(fengling_a{x="{}", y!="1"}[5m])) / on (x) s:fengling_b:r5 > up'
    assert selectors(expr) == ['fengling_a{x="{}", y!="1"}', "s:fengling_b:r5", "up"]


def test_scrape_asks_where_gateways_and_consoles_answer_by_default() -> None:
    """For the path that is the default of Prometheus."""
    config: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    jobs = {one["job_name"]: one for one in config["scrape_configs"]}
    assert jobs.keys() == {"fengling", "fengling-console"}
    for job, settings in (("fengling", "gateway.toml"), ("fengling-console", "console.toml")):
        [targets] = jobs[job]["static_configs"]
        sample = (ROOT / "etc" / settings).read_text()
        assert f'#address = "{targets["targets"][0]}"' in sample
        assert f'cluster = "{targets["labels"]["cluster"]}"' in sample
