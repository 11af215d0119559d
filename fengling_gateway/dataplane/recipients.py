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
        self._of_all: tuple[Tell, ...] = ()
        self._of_some: tuple[tuple[Tell, float], ...] = ()

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
        self._of_all = tuple(tell for tell, slower_than in wanted.items() if slower_than <= ALL)
        self._of_some = tuple(one for one in wanted.items() if one[1] > ALL)
        state.tells_slower_than = min(wanted.values(), default=NEVER)
        if not wanted:
            state.tell_ended = None
        elif len(wanted) == 1:
            state.tell_ended = next(iter(wanted))
        else:
            state.tell_ended = self._tell

    def _tell(self, one: Ended) -> None:
        # (One that is told may have itself removed: there are other tuples then.)
        for tell in self._of_all:
            tell(one)
        if self._of_some:
            has_failed = one.error is not None or one.status >= SERVER_ERROR
            for tell, slower_than in self._of_some:
                if has_failed or one.seconds >= slower_than:
                    tell(one)
