"""
What dashboards are made of: panels, queries, variables, as Grafana's JSON has them.

In queries ``<gateway>`` and ``<service>`` stand for what is chosen above: clusters and gateways, and
these and services.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GATEWAY = 'cluster=~"$cluster", instance=~"$instance"'
SERVICE = GATEWAY + ', service=~"$service"'
WIDTH = 24
"""Of a dashboard, in Grafana's units."""

Json = dict[str, Any]


def query(expr: str, legend: str = "") -> Json:
    return {
        "datasource": SOURCE,
        "expr": expr.replace("<gateway>", GATEWAY).replace("<service>", SERVICE),
        "legendFormat": legend,
    }


def graph(
    title: str,
    queries: dict[str, str],
    unit: str = "short",
    *,
    about: str = "",
    stacked: bool = False,
    width: int = 8,
) -> Json:
    """
    Return a graph over time.

    Args:
        queries: by the legend of their series.
        unit: as Grafana calls it: reqps, s, bytes, percentunit …
        about: what a reader should know, behind the i.
    """
    custom: Json = {"fillOpacity": 10, "lineWidth": 1, "showPoints": "never"}
    if stacked:
        custom |= {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 40}
    return {
        "type": "timeseries",
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": list(_named(query(expr, legend) for legend, expr in queries.items())),
    }


def number(
    title: str, expr: str, unit: str = "short", *, about: str = "", red: float | None = None
) -> Json:
    """
    Return one number, as it is now.

    Args:
        red: from where on it is; None: never.
    """
    steps: list[Json] = [{"color": "green", "value": None}]
    if red is not None:
        steps.append({"color": "red", "value": red})
    return {
        "type": "stat",
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": {"w": 4, "h": 4},
        "fieldConfig": {
            "defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": {
            "colorMode": "value",
            "graphMode": "area",
            "reduceOptions": {"calcs": ["lastNotNull"]},
        },
        "targets": list(_named([query(expr)])),
    }


def heat(title: str, expr: str, *, about: str = "", width: int = 8) -> Json:
    """Return how often values of a histogram (by ``le``) have come, over time."""
    return {
        "type": "heatmap",
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": 8},
        "options": {
            "calculate": False,
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
            "yAxis": {"unit": "s"},
            "cellGap": 1,
        },
        "targets": list(_named([{**query(expr, "{{le}}"), "format": "heatmap"}])),
    }


def table(title: str, expr: str, unit: str = "short", *, about: str = "", width: int = 12) -> Json:
    """Return the labels and value of each series, as they are now."""
    target = {**query(expr), "format": "table", "instant": True}
    return {
        "type": "table",
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": 8},
        "fieldConfig": {
            "defaults": {},
            "overrides": [
                {
                    "matcher": {"id": "byName", "options": "Value"},
                    "properties": [{"id": "unit", "value": unit}],
                }
            ],
        },
        "transformations": [
            {"id": "organize", "options": {"excludeByName": {"Time": True, "__name__": True}}}
        ],
        "targets": list(_named([target])),
    }


def dashboard(uid: str, title: str, rows: dict[str, list[Json]], *, services: bool = False) -> Json:
    """
    Return a dashboard.

    Args:
        rows: panels by the heading above them.
        services: whether there are queries with ``<service>``.
    """
    variables = [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        _variable("cluster", "fengling_build_info"),
        _variable("instance", 'fengling_build_info{cluster=~"$cluster"}'),
    ]
    if services:
        variables.append(_variable("service", f"fengling_http_requests_total{{{GATEWAY}}}"))
    changed = "sum by (cluster) (changes(fengling_config_revision{<gateway>}[1m])) > 0"
    return {
        "uid": uid,
        "title": title,
        "tags": ["fengling"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables},
        "annotations": {
            "list": [
                {
                    "datasource": SOURCE,
                    "expr": query(changed)["expr"],
                    "name": "configuration changed",
                    "enable": True,
                    "iconColor": "purple",
                    "titleFormat": "configuration changed",
                }
            ]
        },
        "links": [
            {
                "title": "Fengling",
                "type": "dashboards",
                "tags": ["fengling"],
                "keepTime": True,
                "includeVars": True,
            }
        ],
        "panels": list(_placed(rows)),
    }


def _variable(name: str, series: str) -> Json:
    asked = f"label_values({series}, {name})"
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": asked, "refId": name},
        "definition": asked,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        # Also what has no such label: requests that came to no service, gateways of no cluster.
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _named(queries: Iterable[Json]) -> Iterator[Json]:
    for letter, one in zip("ABCDEFGH", queries, strict=False):
        yield {"refId": letter, **one}


def _placed(rows: dict[str, list[Json]]) -> Iterator[Json]:
    """Yield the panels with numbers and places, a new line where one does not fit any more."""
    panel_id, y = 0, 0
    for title, panels in rows.items():
        panel_id += 1
        place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        yield {"id": panel_id, "type": "row", "title": title, "gridPos": place, "panels": []}
        x, y, height = 0, y + 1, 0
        for panel in panels:
            size = panel["gridPos"]
            if x + size["w"] > WIDTH:
                x, y, height = 0, y + height, 0
            panel_id += 1
            yield {"id": panel_id, **panel, "gridPos": {"x": x, "y": y, **size}}
            x, height = x + size["w"], max(height, size["h"])
        y += height


def quantile(share: float, histogram: str, chosen: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    rates = f"rate({histogram}_bucket{{<{chosen}>}}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by ({labels}) ({rates}))"


def quantiles(histogram: str, chosen: str) -> dict[str, str]:
    return {
        f"p{share * 100:.0f}": quantile(share, histogram, chosen) for share in (0.5, 0.95, 0.99)
    }


def rate(counter: str, chosen: str = "gateway", by: str = "") -> str:
    grouped = f"sum by ({by})" if by else "sum"
    return f"{grouped} (rate({counter}{{<{chosen}>}}[$__rate_interval]))"
