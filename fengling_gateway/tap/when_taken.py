"""What it takes for changed settings to be in use, after a HUP has had them read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_TOLD_TO_NEW_WORKERS: Final = (
    *(
        "limits.",
        "dns.",
        "upstream.",
        "debug.worker_header",
        "access_log.",
        "transport.fast",
        "transport.tls",
    ),
    *("listeners.tls", "listeners.proxy_protocol", "listeners.limits"),
    *("drain.deadline", "supervision.orphan_grace", "redis.limit_", "metrics.count_requests"),
    *("tracing.sample_ratio", "tracing.redact_query", "tracing.trust"),
    *("failures.per_second", "failures.slower_than"),
)
"""Keys, or how they begin; what the supervisor uses, too, stays as it was until a restart."""

_TAKEN_AT_ONCE: Final = (
    *("secrets.key_file", "listeners.tls."),
    *("management.token_keys", "sync.keys", "tracing.headers"),
)
"""Keys, or how they begin, that everybody is told of with the HUP itself."""


def when_taken(changed: Sequence[str], *, can_replace_workers: bool) -> str:
    """
    Say which keys a rolling restart takes, and which need a restart.

    Args:
        changed: at least one, like ``limits.max_headers``.
        can_replace_workers: False where the only worker is in the supervisor's process.
    """
    at_once = [key for key in changed if key.startswith(_TAKEN_AT_ONCE)]
    later = [key for key in changed if key not in at_once]
    if not later:
        return "it is in use at once"
    said = _when_taken(later, can_replace_workers=can_replace_workers)
    return f"{', '.join(at_once)}: in use at once; {said}" if at_once else said


def _when_taken(changed: Sequence[str], *, can_replace_workers: bool) -> str:
    rolling = [
        key for key in changed if can_replace_workers and key.startswith(_TOLD_TO_NEW_WORKERS)
    ]
    others = [key for key in changed if key not in rolling]
    if not others:
        return "a rolling restart (USR2) takes what has changed"
    if not rolling:
        return "only a restart takes what has changed"
    return (
        f"a rolling restart (USR2) takes {', '.join(rolling)}; "
        f"only a restart takes {', '.join(others)}"
    )
