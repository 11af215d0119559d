"""How a reflector gets on, as operators are told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fengling_gateway.editing.revisions import iso
from fengling_gateway.kubernetes.known import NOBODY
from fengling_gateway.kubernetes.objects import ObjectName

State = Literal["listing", "watching", "waiting", "forbidden", "absent"]
"""
Waiting, after a failure; forbidden, by the API server's rights; absent, where the cluster has no such
resource. In these three it tries again by itself.
"""


@dataclass(slots=True)
class Standing:
    """
    Times are seconds on the reactor's clock, which may begin anywhere.

    Attributes:
        problem: what is wrong, for operators; None if nothing is.
        synced_at: when everything was listed last.
        heard_at: when the API server said anything last.
        lists, watches: how many were begun.
        events: how many objects watches have told of.
        heard: how many lines, marks of the version included.
    """

    state: State = "waiting"
    problem: str | None = None
    synced_at: float | None = None
    heard_at: float | None = None
    lists: int = 0
    watches: int = 0
    events: int = 0
    heard: int = 0

    def to_json(self, refused: Mapping[ObjectName, str], epoch: float) -> dict[str, Any]:
        """
        Args:
            epoch: when the clock was 0, in seconds since 1970.
        """
        return {
            "state": self.state,
            "synced_at": _instant(self.synced_at, epoch),
            "heard_at": _instant(self.heard_at, epoch),
            "problem": self.problem or _of_objects(refused),
            "relists": max(0, self.lists - 1),
            "restarts": max(0, self.watches - 1),
            "events": self.events,
            "refused": len(refused),
        }


def _instant(at: float | None, epoch: float) -> str | None:
    return None if at is None else iso(at + epoch)


def _of_objects(refused: Mapping[ObjectName, str]) -> str | None:
    if not refused:
        return None
    name, why = next(iter(refused.items()))
    what = "one without a name" if name == NOBODY else str(name)
    return f"what can't be read stays as it was: {what} ({why}), {len(refused)} in all"
