"""Which exchanges an access log has a line of. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fengling_gateway.records.ended import Ended

_STATUSES: Final = 1000


class Filter:
    """
    Args:
        statuses: lowest and highest, of answers that always have a line.
        slower_than: seconds, from which on an exchange always has one.
        sample: of all others, the share that has one: every one at 1, every tenth at 0.1.
        routes: ids; of other routes there are no lines. None: of all.
    """

    def __init__(
        self,
        *,
        statuses: Iterable[tuple[int, int]] = (),
        slower_than: float = float("inf"),
        sample: float = 1.0,
        routes: Iterable[str] | None = None,
    ) -> None:
        always = bytearray(_STATUSES)
        for low, high in statuses:
            always[low : high + 1] = b"\1" * (min(high, _STATUSES - 1) + 1 - low)
        self._always = bytes(always)
        self._slower_than = slower_than
        self._sample = sample
        self._due = 0.0
        self._routes = None if routes is None else frozenset(routes)

    def __repr__(self) -> str:
        return f"<Filter sample={self._sample}>"

    def takes(self, one: Ended) -> bool:
        """Whether there is to be a line; failures that have a name always have one."""
        if self._routes is not None and one.route not in self._routes:
            return False
        if one.error is not None or one.seconds >= self._slower_than:
            return True
        if 0 <= one.status < _STATUSES and self._always[one.status]:
            return True
        self._due += self._sample
        if self._due < 1.0:
            return False
        self._due -= 1.0
        return True
