"""The gateway as a Twisted service: starting, stopping, and what signals ask of it."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from fengling_gateway.observability.log import Log
from fengling_gateway.settings import GatewaySettings, SettingsError
from fengling_gateway.tap.advice import advice
from fengling_gateway.tap.when_taken import when_taken

_log = Logger(namespace="fengling.gateway")


class GatewayService(Service):
    """
    The gateway as a service.

    `startService` opens the sockets and returns at once, or raises `StartError`,
    which it has told the log; `stopService` drains.
    """

    name = "fengling-gateway"

    def __init__(
        self,
        *,
        reactor: Any,
        settings: GatewaySettings,
        reread: Callable[[], GatewaySettings] | None,
        log: Log,
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._settings = settings
        self._reread = reread
        self._can_replace_workers = settings.worker_count() > 1
        self._parts: Any = None
        self._signals: dict[int, Any] = {}

    def startService(self) -> None:
        from fengling_gateway.tap.assembly import StartError, assemble

        super().startService()
        if not self._settings.debug.core_dumps:
            _leave_no_cores()
        self._parts = assemble(self._reactor, self._settings, self._log)
        try:
            self._parts.start()
        except StartError as error:
            _log.error("the gateway can't start: {why}", why=str(error), log_id="gateway.no_start")
            raise
        for one in advice(self._settings):
            _log.warn("settings: {advice}", advice=one, log_id="settings.advice")
        self._install_signals()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        if self._parts is None:
            return succeed(None)
        # To the end: a HUP with its default meaning would cut the drain short.
        self._handle(signal.SIGTERM, self._still_draining)
        self._handle(signal.SIGINT, self._still_draining)
        stopped: Deferred[None] = self._parts.stop()
        return stopped.addBoth(self._restore_signals)

    def _install_signals(self) -> None:
        self._handle(signal.SIGHUP, self._reload)
        self._handle(signal.SIGUSR2, self._restart_workers)
        self._handle(signal.SIGUSR1, self._reopen_logs)

    def _handle(self, number: int, act: Callable[[], None]) -> None:
        self._signals[number] = signal.signal(number, lambda *_: self._reactor.callFromThread(act))

    def _restore_signals(self, stopped: Any) -> Any:
        for number, handler in self._signals.items():
            signal.signal(number, handler)
        return stopped

    def _reload(self) -> None:
        """HUP: read settings and certificates again, look at the source; nothing is closed."""
        if self._reread is not None:
            self._reread_settings(self._reread)
        # Also where no setting has changed: what a secret refers to may have.
        self._parts.supervisor.renew_certificates()
        self._parts.supervisor.look("hangup")

    def _reread_settings(self, reread: Callable[[], GatewaySettings]) -> None:
        try:
            settings = reread()
        except SettingsError as error:
            for problem in error.problems:
                _log.error("settings: {problem}; the old ones stay", problem=str(problem))
            return
        changed = self._settings.changed_keys(settings)
        if changed:
            self._settings = settings
            self._parts.settings_changed(settings)
            _log.info(
                "settings: {keys} changed; {when}",
                keys=", ".join(changed),
                when=when_taken(changed, can_replace_workers=self._can_replace_workers),
                log_id="settings.changed",
            )

    def _still_draining(self) -> None:
        _log.warn("still draining; only KILL ends it at once")

    def _reopen_logs(self) -> None:
        _log.info("{outcome}", outcome=self._log.sink.reopen(), log_id="log.reopened")

    def _restart_workers(self) -> None:
        self._parts.supervisor.workers.rolling_restart()


def _leave_no_cores() -> None:
    """Of this process and of workers: a core is everything that they know, in a file."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
