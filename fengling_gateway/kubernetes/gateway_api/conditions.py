"""Conditions, as statuses have them; without a time, which whoever writes them knows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

Condition = dict[str, Any]

ACCEPTED: Final = "Accepted"
PROGRAMMED: Final = "Programmed"
RESOLVED_REFS: Final = "ResolvedRefs"
CONFLICTED: Final = "Conflicted"
PARTIALLY_INVALID: Final = "PartiallyInvalid"

OWN_TYPES: Final = frozenset((ACCEPTED, PROGRAMMED, RESOLVED_REFS, CONFLICTED, PARTIALLY_INVALID))
"""Conditions that are ours to set, and to take away; all others are somebody else's."""

_MAX_MESSAGE: Final = 2000
"""Characters: an API server takes 32768, and nobody reads so many."""


def condition(
    kind: str, reason: str, message: str, generation: int, *, is_true: bool = True
) -> Condition:
    """
    Return a condition.

    Args:
        generation: of the object that it is about.
    """
    return {
        "type": kind,
        "status": "True" if is_true else "False",
        "reason": reason,
        "message": shortened(message),
        "observedGeneration": generation,
    }


def shortened(message: str) -> str:
    return message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 1] + "…"


def sentences(problems: Sequence[str]) -> str:
    """Return problems as one message."""
    return "; ".join(dict.fromkeys(problems))
