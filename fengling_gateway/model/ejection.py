"""
The policy ``ejection``: when a worker stops sending to an instance by what it sees itself.

It is of services, and of the setting ``defaults``: a route has no instances of its own.
"""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.model.checks import Field, Record, integer, number
from fengling_gateway.model.problems import Report
from fengling_gateway.model.times import duration

NAME: Final = "ejection"

MAX_CONSECUTIVE: Final = 1000
MIN_BASE: Final = 1.0
MAX_BASE: Final = 300.0
"""As long as any ejection lasts: who is away for longer is for whoever probes to judge."""

MAX_SHARE: Final = 0.5
"""Beyond it the panic rule would bring all of them back."""

DEFAULT_EJECTION: Final = {"consecutive": 5, "base": 30.0, "max_share": 0.5}

ejection: Final = Record(
    Field("consecutive", integer(1, MAX_CONSECUTIVE), DEFAULT_EJECTION["consecutive"]),
    Field("base", duration(MIN_BASE, MAX_BASE), DEFAULT_EJECTION["base"]),
    Field("max_share", number(0.0, MAX_SHARE), DEFAULT_EJECTION["max_share"]),
)


def refuse_on_route(policies: Any, report: Report) -> None:
    """Add a problem where the policies of a route have this one."""
    if type(policies) is dict and NAME in policies:
        start = len(report.found)
        report.add("not_allowed", "is a policy of services, or of defaults, and not of routes")
        report.locate(start, NAME)
        report.locate(start, "policies")
