"""Serves what was served last, where the source is slow or away at the start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.configsource.reload import ReloadLoop
from fengling_gateway.model.delta import Position
from fengling_gateway.model.entity import Key
from fengling_gateway.supervisor.outside import Journal

_log = Logger()

PATIENCE_SECONDS: Final = 1.0
"""How long a start waits for the source before it serves from the last-known-good file."""


class LastResort:
    """
    Restores the reload loop from the last-known-good file.

    Args:
        restored: told what the loop has been restored to.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        journal: Journal,
        loop: ReloadLoop,
        restored: Callable[[Position, dict[Key, bytes]], None],
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._loop = loop
        self._restored = restored
        self._patience: Any = None
        self._has_warned = False

    def start(self) -> None:
        """Wait for the source, but not for long."""
        self._patience = self._clock.callLater(PATIENCE_SECONDS, self.use)

    def cancel(self) -> None:
        """The source has answered, or nobody waits any more."""
        if self._patience is not None and self._patience.active():
            self._patience.cancel()

    def use(self) -> None:
        """Restore now; the loop says whether the source was faster."""
        self.cancel()
        loading = self._journal.load()
        loading.addCallback(self._loaded)
        loading.addErrback(
            lambda failure: _log.failure(
                "last-known-good", failure=failure, log_id="config.file_unread"
            )
        )

    def _loaded(self, good: tuple[Position, dict[Key, bytes]] | None) -> None:
        if good is not None:
            if self._loop.restore(*good):
                self._restored(*good)
        elif self._loop.position is None and not self._has_warned:
            self._has_warned = True
            _log.warn(
                "there is no last-known-good file; waiting for the config source",
                log_id="config.no_file",
            )
