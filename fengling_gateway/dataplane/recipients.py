"""Who is told of exchanges that have ended: the access log, whoever looks on, records of failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from fengling_gateway.records.ended import Ended
from fengling_gateway.records.notable import SERVER_ERROR

if TYPE_CHECKING:
    from fengling_gateway.dataplane.state import PlaneState

Tell = Callable[[Ended], None]
"""Is told of an exchange that has ended, in the reactor's thread, and must not raise."""

ALL: Final = 0.0
"""Every exchange takes as long."""

NEVER: Final = float("inf")


class Recipients:
    """
    Keeps what a data plane needs to know to tell each exchange to those who want it.

    One that nobody wants costs a comparison; what is told of it is not made.
    """

    def __init__(self, state: PlaneState) -> None:
        self._state = state
        self._wanted: dict[Tell, float] = {}

    def __repr__(self) -> str:
        return f"<Recipients {len(self._wanted)}>"

    def add(self, tell: Tell, *, slower_than: float) -> None:
        """
        Have exchanges told.

        Args:
            slower_than: seconds that one has to have taken (`ALL`: it need not); of those
                that have failed, or were answered with 500 or more, all are told (`NEVER`:
                only these).
        """
        self._wanted[tell] = slower_than
        self._settle()

    def remove(self, tell: Tell) -> None:
        """Have no more told; nothing happens to who is told nothing."""
        self._wanted.pop(tell, None)
        self._settle()

    def _settle(self) -> None:
        wanted, state = self._wanted, self._state
        state.tells_slower_than = min(wanted.values(), default=NEVER)
        if not wanted:
            state.tell_ended = None
        elif len(wanted) == 1:
            state.tell_ended = next(iter(wanted))
        else:
            state.tell_ended = self._tell

    def _tell(self, one: Ended) -> None:
        has_failed, seconds = one.error is not None or one.status >= SERVER_ERROR, one.seconds
        # (A copy: one that is told may have itself removed.)
        for tell, slower_than in tuple(self._wanted.items()):
            if has_failed or seconds >= slower_than:
                tell(one)
