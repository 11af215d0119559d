"""The Helm chart, rendered as files of plain manifests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart, lint

import fengling_gateway

KUBERNETES = Path(__file__).resolve().parent.parent.parent / "etc" / "kubernetes"
CHART = KUBERNETES / "chart"
MANIFESTS = KUBERNETES / "manifests"
VALUES = MANIFESTS / "values.yaml"

NAME = "fengling"
"""Of the release, and of the namespace that the manifests are for."""

FILES = {
    "1-migration.yaml": ("migration",),
    "2-console.yaml": ("console", "rights"),
    "3-gateway.yaml": ("gateway",),
    "monitoring.yaml": ("monitoring",),
}
"""Files of manifests, in the order to be applied, and the templates that each is made of."""

_HEADER = (
    "# Made by scripts/manifests from etc/kubernetes/chart: change that, or what you have copied.\n"
)
_HELM = ("helm.sh/", "meta.helm.sh/")
_WARNING = 2


def rendered(values: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the objects of each template, by its name without suffix."""
    with Chart.load(CHART) as chart:
        texts = chart.render(values, name=NAME, namespace=NAME)
    return {
        Path(path).stem: [one for one in yaml.safe_load_all(text) if one]
        for path, text in texts.items()
        if path.endswith(".yaml")
    }


def files() -> dict[str, str]:
    """Return the text of each file of manifests."""
    by_template = rendered(yaml.safe_load(VALUES.read_text()))
    return {
        name: _HEADER + _dump([one for each in templates for one in by_template[each]])
        for name, templates in FILES.items()
    }


def lint_problems() -> Iterator[str]:
    """Return what Helm itself finds wrong with the chart, in its strictest way."""
    report = lint(CHART, yaml.safe_load(VALUES.read_text()), strict=True, kube_version="v1.34.0")
    for message in report["messages"]:
        if message["severity"] >= _WARNING:
            yield f"{message['path']}: {message['error']}"
    yield from report["errors"]


def version_problems() -> Iterator[str]:
    """Return a line if the chart is for another version of the program than this one."""
    told = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    if told != fengling_gateway.__version__:
        yield f"Chart.yaml: appVersion is {told}, the program's {fengling_gateway.__version__}"


def _dump(objects: list[dict[str, Any]]) -> str:
    texts = [
        yaml.dump(_plain(one), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
        for one in objects
    ]
    return "".join(f"---\n{text}" for text in texts)


def _plain(value: Any) -> Any:
    """Return an object without what only Helm reads, and in the namespace of the manifests."""
    for key in ("annotations", "labels"):
        kept = {
            name: text
            for name, text in value["metadata"].get(key, {}).items()
            if not name.startswith(_HELM) and (name, text) != (_MANAGED_BY, "Helm")
        }
        value["metadata"].pop(key, None)
        if kept:
            value["metadata"][key] = kept
    if not value["kind"].startswith("Cluster"):
        value["metadata"].setdefault("namespace", NAME)
    return value


_MANAGED_BY = "app.kubernetes.io/managed-by"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and what is named twice twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
