"""An epoll reactor with a shorter way from readiness to the transport.

Twisted's wraps every event in a logging context and asks for each whether the
descriptor is still the same. Here plain readiness goes straight to `doRead` or
`doWrite`; anything else (hang-ups, errors) takes Twisted's way.

Its clock is the monotonic one, so that setting the system's time neither
expires all deadlines nor postpones them.
"""

from __future__ import annotations

import errno
import time
from select import EPOLLIN, EPOLLOUT
from typing import Any, Final

from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger

_log = Logger()

MAX_EVENTS: Final = 512
"""Events taken from one call of epoll_wait; the rest wait for the next turn."""

_IN: Final = int(EPOLLIN)
_OUT: Final = int(EPOLLOUT)


class LeanEpollReactor(EPollReactor):
    """Twisted's epoll reactor, with a direct path for plain readiness."""

    seconds = staticmethod(time.monotonic)

    # Twisted's, declared for this class.
    _poller: Any
    _selectables: Any
    _doReadOrWrite: Any

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events, and act on them."""
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, MAX_EVENTS)
        except OSError as error:
            if error.errno == errno.EINTR:
                return
            raise
        _dispatch(self, self._selectables, events)

    doIteration = doPoll


def _dispatch(
    reactor: LeanEpollReactor, selectables: dict[int, Any], events: list[tuple[int, int]]
) -> None:
    """Act on each event; one descriptor's fault is not the others'."""
    for fd, event in events:
        # Closed by what an event before it led to.
        selectable = selectables.get(fd)
        if selectable is None:
            continue
        try:
            if event == _IN:
                why = selectable.doRead()
                if why is not None:
                    reactor._disconnectSelectable(selectable, why, isRead=True)
            elif event == _OUT:
                why = selectable.doWrite()
                if why is not None:
                    reactor._disconnectSelectable(selectable, why, isRead=False)
            else:
                reactor._doReadOrWrite(selectable, fd, event)
        except Exception as error:
            _log.failure("{selectable} failed", selectable=selectable, log_id="reactor.failed")
            reactor._disconnectSelectable(selectable, error, isRead=False)


def install() -> LeanEpollReactor:
    """Make this the process's reactor."""
    from twisted.internet.main import installReactor

    reactor = LeanEpollReactor()
    installReactor(reactor)
    return reactor
