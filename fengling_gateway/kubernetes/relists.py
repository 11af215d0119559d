"""
Lists that lack much of what was known: believed once everything else has been listed anew as well.

An API server that has lost its objects, or has got those of another cluster, is
listed resource by resource. Taken one by one, the pods of a service would be gone
before it is seen that its Service is: as if a service that is served had none. So
such a list waits for the others, for a while, and they are told in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

_log = Logger()

WAIT_SECONDS: Final = 45.0
"""Longer than the longest pause of a reflector that tries to reach its API server again."""

MAX_SHARE: Final = 0.5
"""Of what was known; a list that lacks more of it waits."""


class _Source(NamedTuple):
    """What is listed by itself: a resource, in all namespaces or in one."""

    tell: Callable[[], None]
    size: Callable[[], int]


class Relists:
    """
    Args:
        told: called after lists that have waited have been told.
    """

    def __init__(self, clock: IReactorTime, told: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._told = told
        # (In this order they are told: Services before what belongs to them.)
        self._sources: dict[object, _Source] = {}
        self._waiting: set[object] = set()
        # Those that have been listed since the first one of these waits.
        self._listed: set[object] = set()
        self._call: Any = None

    def __repr__(self) -> str:
        return f"<Relists: {len(self._waiting)} of {len(self._sources)} wait>"

    def add(
        self,
        source: object,
        *,
        tell: Callable[[], None],
        size: Callable[[], int],
    ) -> None:
        """
        Watch over the lists of a source.

        Args:
            tell: tells all that is known of its resource by then; of sources that wait, what was
                told last. Several sources may have the same.
            size: says how many objects are known of the source.
        """
        self._sources[source] = _Source(tell, size)

    def is_waiting(self, source: object) -> bool:
        """Whether of a source that is told which was told last."""
        return source in self._waiting

    def listed(self, source: object, before: Collection[Any], now: Collection[Any]) -> None:
        """
        Have a list told: at once, or where it lacks much, together with those of the others.

        Args:
            before, now: names of the objects that were told last, and that there are.
        """
        self._listed.add(source)
        if _lacks_much(before, now):
            self._wait(source)
        else:
            self._waiting.discard(source)
            self._sources[source].tell()
        if not self._waiting:
            self._cancel()
        elif all(map(self._is_listed, self._sources)):
            self._release()

    def stop(self) -> None:
        """Tell nothing any more."""
        self._waiting.clear()
        self._cancel()

    def _wait(self, source: object) -> None:
        if not self._waiting:
            self._listed = {source}
            self._call = self._clock.callLater(WAIT_SECONDS, self._waited)
        self._waiting.add(source)

    def _is_listed(self, source: object) -> bool:
        # (Where there is nothing, nothing can be lost.)
        return source in self._listed or not self._sources[source].size()

    def _waited(self) -> None:
        self._call = None
        self._release()

    def _release(self) -> None:
        self._cancel()
        waiting, self._waiting = self._waiting, set()
        told = (one.tell for source, one in self._sources.items() if source in waiting)
        for tell in dict.fromkeys(told):
            try:
                tell()
            except Exception:  # or the others would not be told
                _log.failure("telling of a list", log_id="kubernetes.list_not_told")
        self._told()

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None


def _lacks_much(before: Collection[Any], now: Collection[Any]) -> bool:
    lost = sum(one not in now for one in before)
    return lost > MAX_SHARE * len(before)
