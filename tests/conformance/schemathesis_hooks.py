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
def map_body(context: Any, body: Any) -> Any:
    """Have an answer that would take minutes end at once."""
    seconds = body.get("seconds") if isinstance(body, dict) else None
    if type(seconds) in (int, float) and 1 < seconds <= 600:
        return {**body, "seconds": 1}
    return body
