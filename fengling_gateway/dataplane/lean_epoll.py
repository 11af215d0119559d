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
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT
from typing import Any, Final

from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger

_log = Logger()

MAX_EVENTS: Final = 512
"""Events taken from one call of epoll_wait; the rest wait for the next turn."""

_PLAIN: Final = EPOLLIN | EPOLLOUT
_IN: Final = int(EPOLLIN)
_BROKEN: Final = EPOLLHUP | EPOLLERR


class LeanEpollReactor(EPollReactor):
    """Twisted's epoll reactor, with a direct path for plain readiness."""

    seconds = staticmethod(time.monotonic)

    # Twisted's, declared for this class.
    _poller: Any
    _selectables: dict[int, Any]

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events, and act on them."""
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, MAX_EVENTS)
        except OSError as error:
            if error.errno == errno.EINTR:
                return
            raise
        selectables: Any = self._selectables
        for fd, event in events:
            # Twisted keeps descriptors of many kinds here, each with these methods.
            selectable = selectables.get(fd)
            if selectable is None:
                continue
            if event & ~_PLAIN:
                self._act(selectable, fd, event)
                continue
            why: Any = None
            try:
                if event & _IN:
                    why = selectable.doRead()
                    if why is None and event != _IN and selectables.get(fd) is selectable:
                        why = selectable.doWrite()
                        event = EPOLLOUT
                else:
                    why = selectable.doWrite()
            except Exception as error:
                _log.failure("{selectable} failed", selectable=selectable)
                why = error
            if why:
                self._disconnectSelectable(selectable, why, bool(event & _IN))

    doIteration = doPoll

    def _act(self, selectable: Any, fd: int, event: int) -> None:
        """Act on an event that is not plain readiness, as Twisted does."""
        try:
            self._doReadOrWrite(selectable, fd, event)
        except Exception:
            _log.failure("{selectable} failed", selectable=selectable)


def install() -> LeanEpollReactor:
    """Make this the process's reactor."""
    from twisted.internet.main import installReactor

    reactor = LeanEpollReactor()
    installReactor(reactor)
    return reactor
