"""The policy ``access``: from which addresses a route may be asked."""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.model.checks import Field, Record, list_of
from fengling_gateway.model.names import network
from fengling_gateway.model.problems import Report

MAX_NETWORKS: Final = 1000

_networks: Final = list_of(network, MAX_NETWORKS, as_set=True)
_fields: Final = Record(Field("allow", _networks, []), Field("deny", _networks, []))


def access(value: Any, report: Report) -> Any:
    """Judge the policy: who is denied stays out, and where some are allowed all others, too."""
    before = len(report.found)
    lists = _fields(value, report)
    if len(report.found) == before and not any(lists.values()):
        report.add("empty", "must have networks to allow or to deny")
    return lists
