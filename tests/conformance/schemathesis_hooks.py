"""
Tells schemathesis that after five wrong tokens a second, 429 is a refusal like any other, and that
nobody looks on at requests for longer than a second.
"""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.specs.openapi import checks

checks.AUTH_REJECTION_STATUSES |= {429}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Have an answer that would take minutes end at once."""
    body = case.body
    seconds = body.get("seconds") if isinstance(body, dict) else None
    if type(seconds) in (int, float) and 1 < seconds <= 600:
        case.body = {**body, "seconds": 1}
