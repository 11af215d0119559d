"""What whoever approves a service of a cluster may ask for, instead of what the cluster says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.model.checks import Check, list_of
from fengling_gateway.model.names import host, slug
from fengling_gateway.model.paths import route_path
from fengling_gateway.model.problems import Report

MAX_HOSTS: Final = 100
"""Of a service: what is asked for is read by whoever decides of the next one."""

ASKED: Final[dict[str, Check]] = {
    "hosts": list_of(host, MAX_HOSTS, as_set=True),
    "path": route_path,
    "tenant_id": slug,
}

OBJECT_NAME: Final = r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"
"""Of namespaces and services; which of these the cluster takes is its own business."""

_OBJECT: Final = re.compile(f"({OBJECT_NAME})/({OBJECT_NAME})")


def object_name(text: str) -> tuple[str, str] | None:
    """Return namespace and name of text like ``shop/orders``; None if it can't be one."""
    match = _OBJECT.fullmatch(text)
    return None if match is None else (match[1], match[2])


MAY_BE_NONE: Final = ("tenant_id",)
"""What null says something of: a route of no tenant. Of others it says as little as leaving them out."""


def checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what is asked for in canonical form; what is not in it is as the cluster says.

    No hosts are any host.

    Raises:
        ProblemError: with all that is wrong, each with its path, as of a route.
    """
    report, found, start = Report(), {}, 0
    for name, value in fields.items():
        if value is not None:
            found[name] = ASKED[name](value, report)
            start = report.locate(start, name)
        elif name in MAY_BE_NONE:
            found[name] = None
    if report.found:
        problems = [
            {"entity": "", "path": path, "code": code, "message": message}
            for path, code, message in report.found
        ]
        raise ProblemError(
            "invalid", f"{problems[0]['path']}: {problems[0]['message']}", problems=problems
        )
    return found
