"""What became of what discovered Services want, as people are told it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fengling_gateway.kubernetes.catalog import APPROVED, PENDING, Entry
from fengling_gateway.kubernetes.wants import Want
from fengling_gateway.kubernetes.writing import Written
from fengling_gateway.model.entity import Key

SERVED: Final = "served"
REFUSED: Final = "refused"
REMOVED: Final = "removed"

_NAMED: Final = 5
"""Problems of one Service that are told; ten thousand instances may have the same."""


class Results:
    """
    What became of wants, by origin.

    Attributes:
        revisions: the last one that touched more than instances.
    """

    def __init__(self) -> None:
        self._problems: dict[str, dict[Key, str]] = {}
        self.revisions: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Results of {len(self.revisions)}>"

    def written(self, batch: Mapping[Key, Want], written: Written) -> set[str]:
        """Take in what became of a batch; returns the origins of which there is something new to tell."""
        touched = set()
        for key, want in batch.items():
            why = written.refused.get(key)
            if key in written.left:
                why = f"{key} is managed by {written.left[key]}: it is left alone"
            elif why is not None and not why.startswith(str(key)):
                why = f"{key}: {why}"
            problems = self._problems.setdefault(want.origin, {})
            if problems.get(key) != why:
                touched.add(want.origin)
            if why is None:
                problems.pop(key, None)
            else:
                problems[key] = why
            if written.revision is not None and key.kind != "instance":
                self.revisions[want.origin] = written.revision
                touched.add(want.origin)
        return touched

    def problems(self, origin: str) -> list[str]:
        found = [why for _, why in sorted(self._problems.get(origin, {}).items())]
        more = [f"and {len(found) - _NAMED} more"] if len(found) > _NAMED else []
        return found[:_NAMED] + more

    def forget(self, origin: str) -> None:
        self._problems.pop(origin, None)
        self.revisions.pop(origin, None)

    def document(self, entry: Entry) -> dict[str, Any]:
        """Return what there is to tell of an entry; `decision` is the one that it follows."""
        effective = entry.effective
        problems = [] if effective is None else [*effective.problems, *self._of(entry)]
        backend = None if effective is None else effective.backend
        is_route = backend is not None and effective is not None and effective.route is not None
        return {
            "decision": entry.number,
            "state": _state(entry, problems),
            "revision": self.revisions.get(str(entry.service.name)),
            "service_id": None if backend is None else backend.id,
            "route_ids": [backend.id] if is_route and backend is not None else [],
            "problems": problems,
            "asks_for_more": entry.is_changed,
        }

    def _of(self, entry: Entry) -> Iterable[str]:
        return self.problems(str(entry.service.name))


def _state(entry: Entry, problems: list[str]) -> str:
    if entry.state == PENDING:
        return PENDING
    if entry.state != APPROVED:
        return REMOVED
    return REFUSED if problems else SERVED
