"""How many routes have which priority: kept up cheaply as routes come and go."""

from __future__ import annotations

from typing import Final

from fengling_gateway.routing.ascending import Ascending
from fengling_gateway.routing.sharding import AnyDict, put

NO_PRIORITY: Final = -(1 << 62)
"""The highest priority of no routes at all: below every real one."""


class Levels:
    """
    A count of routes by priority.

    Attributes:
        top: the highest priority; `NO_PRIORITY` without routes.
        count: routes that have it.
    """

    # Routes of one priority, the usual case, need neither.
    __slots__ = ("_lower", "_order", "count", "top")

    def __init__(self) -> None:
        self.top = NO_PRIORITY
        self.count = 0
        self._lower: AnyDict[int, int] | None = None
        """Counts of the priorities below the top."""
        self._order: Ascending | None = None
        """The same priorities."""

    @property
    def is_flat(self) -> bool:
        """Whether all routes have one priority."""
        return not self._lower

    def copy(self) -> Levels:
        twin = Levels()
        twin.top = self.top
        twin.count = self.count
        if self._lower:
            assert self._order is not None
            twin._lower = self._lower.copy()
            twin._order = self._order.copy()
        return twin

    def add(self, priority: int) -> None:
        if priority == self.top:
            self.count += 1
            return
        if not self.count:
            self.top, self.count = priority, 1
            return
        if priority > self.top:
            self._put_below(self.top, self.count)
            self.top, self.count = priority, 1
        else:
            self._put_below(priority, 1)

    def _put_below(self, priority: int, count: int) -> None:
        lower: AnyDict[int, int] = {} if self._lower is None else self._lower
        before = lower.get(priority)
        if before is None:
            if self._order is None:
                self._order = Ascending()
            self._order.add(priority)
        self._lower = put(lower, priority, (before or 0) + count)

    def subtract(self, priority: int) -> None:
        """Take back an `add` of the same priority."""
        if priority == self.top:
            self.count -= 1
            if not self.count:
                self._fall()
            return
        assert self._lower is not None
        left = (self._lower.get(priority) or 0) - 1
        if left:
            self._lower[priority] = left
        else:
            self._drop(priority)

    def _drop(self, priority: int) -> None:
        assert self._lower is not None
        assert self._order is not None
        del self._lower[priority]
        self._order.remove(priority)

    def _fall(self) -> None:
        self.top = NO_PRIORITY
        if self._lower and self._order:
            self.top = self._order.last
            self.count = self._lower.get(self.top) or 0
            self._drop(self.top)
