"""A program as a Twisted service: starting, stopping, and what signals ask of it."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from fengling_gateway.observability.log import Log
from fengling_gateway.settings import SettingsError
from fengling_gateway.tap.advice import advice
from fengling_gateway.tap.programs import StartError
from fengling_gateway.tap.when_taken import when_taken

_log = Logger(namespace="fengling.gateway")


class ProgramService(Service):
    """
    A program as a service.

    `startService` opens the sockets and returns at once, or raises `StartError`,
    which it has told the log; `stopService` ends what there is to end.

    Args:
        reread: reads the settings again; None where they can't change.

    Attributes:
        process: what log lines call it.
    """

    process: str

    def __init__(
        self, *, reactor: Any, settings: Any, reread: Callable[[], Any] | None, log: Log
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._settings = settings
        self._reread = reread
        self._parts: Any = None
        self._signals: dict[int, Any] = {}

    def assemble(self) -> Any:
        """Make the program's parts, not yet started."""
        raise NotImplementedError

    def started(self) -> None:
        """All parts have been started."""

    def when_taken(self, changed: list[str]) -> str:
        """Say what it takes for changed settings to be in use."""
        raise NotImplementedError

    def startService(self) -> None:
        super().startService()
        self._parts = self.assemble()
        try:
            self._parts.start()
        except StartError as error:
            _log.error(
                "the {what} can't start: {why}",
                what=self.process,
                why=str(error),
                log_id="gateway.no_start",
            )
            raise
        self.started()
        self._install_signals()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        if self._parts is None:
            return succeed(None)
        # To the end: a HUP with its default meaning would cut the drain short.
        self._handle(signal.SIGTERM, self._still_stopping)
        self._handle(signal.SIGINT, self._still_stopping)
        stopped: Deferred[None] = self._parts.stop()
        return stopped.addBoth(self._restore_signals)

    def _install_signals(self) -> None:
        self._handle(signal.SIGHUP, self._reload)
        self._handle(signal.SIGUSR1, self._reopen_logs)

    def _handle(self, number: int, act: Callable[[], None]) -> None:
        self._signals[number] = signal.signal(number, lambda *_: self._reactor.callFromThread(act))

    def _restore_signals(self, stopped: Any) -> Any:
        for number, handler in self._signals.items():
            signal.signal(number, handler)
        return stopped

    def _reload(self) -> None:
        """HUP: read settings again; nothing is closed."""
        if self._reread is not None:
            self._reread_settings(self._reread)

    def _reread_settings(self, reread: Callable[[], Any]) -> None:
        try:
            settings = reread()
        except SettingsError as error:
            for problem in error.problems:
                _log.error(
                    "settings: {problem}; the old ones stay",
                    problem=str(problem),
                    log_id="settings.refused",
                )
            return
        changed = self._settings.changed_keys(settings)
        if changed:
            self._settings = settings
            self._parts.settings_changed(settings)
            _log.info(
                "settings: {keys} changed; {when}",
                keys=", ".join(changed),
                when=self.when_taken(changed),
                log_id="settings.changed",
            )

    def _still_stopping(self) -> None:
        _log.warn("still stopping; only KILL ends it at once", log_id="gateway.still_stopping")

    def _reopen_logs(self) -> None:
        _log.info("{outcome}", outcome=self._log.sink.reopen(), log_id="log.reopened")


class GatewayService(ProgramService):
    """The gateway; stopping drains."""

    name = "fengling-gateway"
    process = "gateway"

    def assemble(self) -> Any:
        from fengling_gateway.tap.assembly import assemble

        self._can_replace_workers = self._settings.worker_count() > 1
        if not self._settings.debug.core_dumps:
            leave_no_cores()
        return assemble(self._reactor, self._settings, self._log)

    def started(self) -> None:
        for one in advice(self._settings):
            _log.warn("settings: {advice}", advice=one, log_id="settings.advice")

    def when_taken(self, changed: list[str]) -> str:
        return when_taken(changed, can_replace_workers=self._can_replace_workers)

    def _install_signals(self) -> None:
        super()._install_signals()
        self._handle(signal.SIGUSR2, self._restart_workers)

    def _reload(self) -> None:
        """HUP: read settings and certificates again, look at the source; nothing is closed."""
        super()._reload()
        # Also where no setting has changed: what a secret refers to may have.
        self._parts.supervisor.renew_certificates()
        self._parts.supervisor.look("hangup")

    def _still_stopping(self) -> None:
        _log.warn("still draining; only KILL ends it at once", log_id="gateway.still_draining")

    def _restart_workers(self) -> None:
        self._parts.supervisor.workers.rolling_restart()


def leave_no_cores() -> None:
    """Of this process and of workers: a core is everything that they know, in a file."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
