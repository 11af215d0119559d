"""
The policy ``auth``: who may ask a route, and how they show it.

Its modes: *anonymous* lets everybody in and looks at nothing, *optional* takes
whoever can show who they are and lets others in as nobody, *required* lets only
those in who can. What must be true of them (scopes, roles, claims) makes sense
with the last one only.
"""

from __future__ import annotations

import re
from typing import Any, Final

from fengling_gateway.model.checks import (
    Field,
    Record,
    boolean,
    choice,
    list_of,
    mapping_of,
    optional,
    text,
    wrong_type,
)
from fengling_gateway.model.clients import word
from fengling_gateway.model.issuers import claim
from fengling_gateway.model.names import edited_response_header, slug
from fengling_gateway.model.problems import Report, shown

MODES: Final = ("anonymous", "optional", "required")
METHODS: Final = ("api_key", "jwt")

MAX_ISSUERS: Final = 50
MAX_WORDS: Final = 100
MAX_CLAIMS: Final = 20
API_KEY_HEADER: Final = "X-Api-Key"

_PARAMETER: Final = re.compile(r"[!#$&'*+.^_`|~0-9A-Za-z-]{1,100}")


def _parameter(value: Any, report: Report) -> Any:
    """The name of a cookie or of a parameter of a query."""
    if type(value) is not str:
        wrong_type(value, "a name", report)
    elif not _PARAMETER.fullmatch(value):
        report.add("bad_name", f"must be 1 to 100 letters, digits and dashes, not {shown(value)}")
    return value


_fields: Final = Record(
    Field("mode", choice(*MODES)),
    Field("methods", list_of(choice(*METHODS), len(METHODS), as_set=True), list(METHODS)),
    Field("issuers", optional(list_of(slug, MAX_ISSUERS, as_set=True)), None),
    Field("scopes", list_of(word, MAX_WORDS, as_set=True), []),
    Field("roles", list_of(word, MAX_WORDS, as_set=True), []),
    Field(
        "claims",
        mapping_of(claim, list_of(text(200), MAX_WORDS, as_set=True), MAX_CLAIMS),
        {},
    ),
    Field("cookie", optional(_parameter), None),
    Field("query", optional(_parameter), None),
    Field("api_key_header", edited_response_header, API_KEY_HEADER),
    Field("forward", boolean, False),
)


def auth(value: Any, report: Report) -> Any:
    """Judge the policy as a whole."""
    before = len(report.found)
    policy = _fields(value, report)
    if len(report.found) > before:
        return policy
    if not policy["methods"]:
        report.add("empty", "must name at least one")
        report.locate(before, "methods")
    if policy["issuers"] == []:
        report.add("empty", "must name at least one, or be null for any")
        report.locate(len(report.found) - 1, "issuers")
    if policy["mode"] != "required":
        for name in ("scopes", "roles", "claims"):
            if policy[name]:
                report.add(
                    "conflict", 'needs the mode "required": else whoever shows nothing passes'
                )
                report.locate(len(report.found) - 1, name)
    for name, values in policy["claims"].items():
        if not values:
            report.add("empty", "must have at least one value")
            start = report.locate(len(report.found) - 1, name)
            report.locate(start - 1, "claims")
    return policy


CLOSED: Final = {"auth": {"mode": "required"}}
"""Policies by which nobody gets in unknown."""


def keeps_out(policies: Any) -> bool:
    """Whether policies, right or wrong, were written to keep somebody out."""
    if type(policies) is not dict:
        return False
    auth = policies.get("auth")
    is_anonymous = type(auth) is dict and auth.get("mode") == "anonymous"
    return policies.get("access") is not None or not (auth is None or is_anonymous)
