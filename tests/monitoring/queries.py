"""The rules and dashboards of etc/, and what is asked of the expressions in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PROMETHEUS: Final = ROOT / "etc" / "prometheus"
GRAFANA: Final = ROOT / "etc" / "grafana"

_BRACES: Final = r'\{(?:[^{}"]|"[^"]*")*\}'
_SELECTOR: Final = re.compile(
    rf"\b((?:fengling_\w+|\w+:fengling_\w+:\w+|up|scrape_duration_seconds)\b(?!\s*\()(?:{_BRACES})?)"
)
_COMPARISON: Final = re.compile(r"(==|!=|<=|>=|<|>)(?!\s*bool\b)")


class Query(NamedTuple):
    """
    An expression, and where it stands.

    Attributes:
        where: for whoever reads that it failed.
        is_alert: whether it says something only while something is wrong, or happens.
    """

    where: str
    expr: str
    is_alert: bool = False


def rules() -> list[dict[str, Any]]:
    """Return the recording rules, then the alerts."""
    files = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["rule_files"]
    documents = [yaml.safe_load((PROMETHEUS / name).read_text()) for name in files]
    return [rule for one in documents for group in one["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def dashboards() -> dict[str, dict[str, Any]]:
    """Return what Grafana is given, by the names of the files."""
    return {path.name: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("*.json"))}


def rule_queries() -> Iterator[Query]:
    for rule in rules():
        is_alert = "alert" in rule
        yield Query(rule["alert" if is_alert else "record"], rule["expr"], is_alert)


def dashboard_queries() -> Iterator[Query]:
    """Yield what each panel asks, and what marks times, with Grafana's variables in it."""
    for name, one in dashboards().items():
        for panel in one["panels"]:
            for target in panel.get("targets", ()):
                yield Query(f"{name}: {panel['title']}", target["expr"])
        for mark in one["annotations"]["list"]:
            yield Query(f"{name}: {mark['name']}", mark["expr"], is_alert=True)


def variable_queries() -> Iterator[tuple[str, str, str]]:
    """Yield the dashboard, the series and the label of each variable."""
    for name, one in dashboards().items():
        for variable in one["templating"]["list"]:
            if variable["type"] == "query":
                asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
                assert asked is not None, variable
                yield f"{name}: {variable['name']}", asked[1], asked[2]


def selectors(expr: str) -> list[str]:
    """Return what an expression takes from Prometheus: names of series with what is in braces."""
    return _SELECTOR.findall(expr)


def metric(selector: str) -> str:
    """Return the name alone."""
    return selector.partition("{")[0]


def answering(expr: str) -> str:
    """
    Return an alert's expression as one that says something while all is well, too.

    Comparisons answer 0 or 1 (``bool``), what is left out (``unless``) is asked for (``and``),
    and what should not be absent is counted. It has series as long as all that it is about
    is there, and the labels of both sides of each operator fit.
    """
    parts = re.split(rf'({_BRACES}|"[^"]*")', expr)
    parts[::2] = [
        _COMPARISON.sub(r"\1 bool", part).replace("unless", "and").replace("absent(", "count(")
        for part in parts[::2]
    ]
    return "".join(parts)
