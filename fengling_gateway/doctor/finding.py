"""What has been found, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

State = Literal["ok", "note", "wrong"]

STATES: Final = ("wrong", "note", "ok")
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that was looked at.

    Attributes:
        about: what, as ``database.listen``; stays the same from version to version.
        state: ``ok``; ``note``: it works, and somebody should know; ``wrong``.
        said: what was found, in one line without secrets.
        cure: what to do, in one line; empty where there is nothing to do.
    """

    about: str
    state: State
    said: str
    cure: str = ""

    def values(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def ok(about: str, said: str) -> Finding:
    return Finding(about, "ok", said)


def note(about: str, said: str, cure: str) -> Finding:
    return Finding(about, "note", said, cure)


def wrong(about: str, said: str, cure: str) -> Finding:
    return Finding(about, "wrong", said, cure)


def worst_of(findings: Iterable[Finding]) -> State:
    """Return the worst state; ``ok`` of none."""
    states = {one.state for one in findings}
    return next((state for state in STATES if state in states), "ok")
