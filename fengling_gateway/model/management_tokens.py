"""
What is known of tokens for the management API: whose they are, and whether they still hold.

A token is signed and carries what it allows. What is kept of it can only take
from that: revoke it, or limit it further. So whoever writes configuration
gets no token by it, and a token of which nothing is kept holds until it ends.
"""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.model.checks import Check, Field, Record, choice, list_of, optional, text
from fengling_gateway.model.names import display_name, slug
from fengling_gateway.model.problems import Report
from fengling_gateway.model.times import ending, instant

READ: Final = "gateway:read"
WRITE: Final = "gateway:write"
ADMIN: Final = "gateway:admin"

SCOPES: Final = (READ, WRITE, ADMIN)
"""What a token may be for, each with all of those before it."""

MAX_TENANTS: Final = 50


def _at_least_one(check: Check) -> Check:
    """Refuse the empty list: it would allow nothing, and look like no limit."""

    def check_list(value: Any, report: Report) -> Any:
        if value == []:
            report.add("empty", "must name at least one")
        return check(value, report)

    return check_list


MANAGEMENT_TOKEN: Final = Record(
    Field("name", display_name, ""),
    Field("subject", optional(text(100)), None),
    Field("scopes", optional(_at_least_one(list_of(choice(*SCOPES), 3, as_set=True))), None),
    Field("tenants", optional(_at_least_one(list_of(slug, MAX_TENANTS, as_set=True))), None),
    Field("created_by", optional(text(200)), None),
    Field("expires_at", optional(ending), None),
    Field("revoked_at", optional(instant), None),
    open_ended=True,
)
"""
Every field has a default that takes nothing away, so that ``{id: …, revoked_at: …}`` is enough.

It refers to nothing: a revocation must not wait for another entity to be right.
"""
