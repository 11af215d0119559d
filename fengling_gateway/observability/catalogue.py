"""
Writes the tables of docs/metrics.md from the declarations in `metrics`.

    python -m fengling_gateway.observability.catalogue

Between two marks of the page; what is around them is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fengling_gateway.observability import metrics
from fengling_gateway.observability.metrics import Declared

PAGE: Final = Path("docs/metrics.md")
BEGIN: Final = "<!-- from here on: python -m fengling_gateway.observability.catalogue -->\n"
END: Final = "<!-- until here -->\n"

GROUPS: Final = (
    ("Requests and clients", ("http",)),
    ("Instances and connections to them", ("upstream", "dns")),
    ("TLS", ("tls",)),
    ("Limits", ("limit",)),
    ("Configuration", ("config",)),
    ("Issuers of tokens", ("issuer",)),
    ("Workers and processes", ("workers", "worker", "process")),
    ("This node", ("build", "node", "health")),
    ("Redis", ("bus",)),
    ("Logs, traces and what is kept of requests", ("access", "failures", "log", "tracing")),
    ("Management API", ("management",)),
)
"""Titles, each with the subsystems that are in the names of its metrics."""


def declarations() -> list[Declared]:
    """Return every metric, in the order in which they are declared."""
    found: list[Declared] = []
    for value in vars(metrics).values():
        if isinstance(value, Declared):
            found.append(value)
        elif isinstance(value, dict):
            found += [one for one in value.values() if isinstance(one, Declared)]
    return found


def subsystem(declared: Declared) -> str:
    return declared.name.split("_")[1]


def type_of(declared: Declared) -> str:
    """Return its type, by the words of Prometheus."""
    if declared.name.endswith("_total"):
        return "counter"
    histograms = (*metrics.SERVICE_HISTOGRAMS.values(), *metrics.HISTOGRAMS.values())
    return "histogram" if declared in histograms else "gauge"


def tables() -> str:
    """Return a table for each group."""
    return "\n".join(_lines())


def page(text: str) -> str:
    """Return the page with its tables as they are to be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{tables()}\n{END}{after}"


def _lines() -> Iterator[str]:
    every = declarations()
    for title, subsystems in GROUPS:
        yield f"\n### {title}\n"
        yield "| name | type | labels | what it says |"
        yield "| --- | --- | --- | --- |"
        for one in every:
            if subsystem(one) in subsystems:
                labels = ", ".join(f"`{label}`" for label in one.labels) or "–"
                yield f"| `{one.name}` | {type_of(one)} | {labels} | {one.help} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
