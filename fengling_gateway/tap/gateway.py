"""Puts a gateway together: for twistd, and for ``fengling-gateway`` in the foreground.

`makeService` and `Options` are what the twistd plugin names; `main` is the
console script: no daemon, no pid file, logs on stdout, drain on TERM, fit for
PID 1.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, ClassVar, Final, NoReturn

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from fengling_gateway import __version__
from fengling_gateway.settings import GatewaySettings, SettingsError, load_settings

_log = Logger(namespace="fengling.gateway")

EXIT_BAD_SETTINGS: Final = 2


_CONFIG_HELP: Final = (
    "The settings file (TOML). Every key can also come from the environment: "
    "[database] url is FENGLING_DATABASE__URL."
)


class Options(UsageOptions):
    """What ``twistd fengling-gateway`` takes."""

    longdesc = (
        "An HTTP API gateway whose routes, services and instances live in PostgreSQL. "
        "Signals: TERM drains and stops; HUP reads settings and configuration again; "
        "USR1 reopens logs; USR2 replaces the workers one by one."
    )
    optParameters: ClassVar = [["config", "c", None, _CONFIG_HELP]]

    def opt_version(self) -> NoReturn:
        """Print the gateway's version and exit."""
        sys.stdout.write(f"fengling-gateway {__version__}\n")
        sys.exit(0)


class GatewayService(Service):
    """
    The gateway as a service.

    `startService` opens the sockets and returns at once; `stopService` drains.
    """

    name = "fengling-gateway"

    def __init__(
        self,
        *,
        reactor: Any,
        settings: GatewaySettings,
        reread: Callable[[], GatewaySettings] | None,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._reread = reread
        self._parts: Any = None
        self._signals: dict[int, Any] = {}

    def startService(self) -> None:
        from fengling_gateway.tap.assembly import assemble

        super().startService()
        self._parts = assemble(self._reactor, self._settings)
        self._parts.start()
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
        if not callable(signal.getsignal(signal.SIGUSR1)):  # twistd has log files of its own
            self._handle(signal.SIGUSR1, self._reopen_logs)

    def _handle(self, number: int, act: Callable[[], None]) -> None:
        self._signals[number] = signal.signal(number, lambda *_: self._reactor.callFromThread(act))

    def _restore_signals(self, stopped: Any) -> Any:
        for number, handler in self._signals.items():
            signal.signal(number, handler)
        return stopped

    def _reload(self) -> None:
        """HUP: read the settings again and look at the source; nothing is closed."""
        if self._reread is not None:
            self._reread_settings(self._reread)
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
                "settings: {keys} changed; workers take them with a rolling restart (USR2), "
                "the supervisor with a restart",
                keys=", ".join(changed),
            )

    def _still_draining(self) -> None:
        _log.warn("still draining; only KILL ends it at once")

    def _reopen_logs(self) -> None:
        _log.info("logs go to stdout: nothing to reopen", log_id="log.reopened")

    def _restart_workers(self) -> None:
        self._parts.supervisor.workers.rolling_restart()


class _TwistdService(GatewayService):
    """The gateway within twistd, which would answer a taken port with a traceback."""

    def startService(self) -> None:
        from fengling_gateway.tap.assembly import StartError

        try:
            super().startService()
        except StartError as error:
            _complain(str(error))
            sys.exit(EXIT_BAD_SETTINGS)


def makeService(options: UsageOptions) -> GatewayService:
    """
    Make the service for twistd.

    Exits with status 2 and a list of every problem when the settings are bad.
    """
    from twisted.internet import reactor  # noqa: TID251

    path = options["config"]
    settings = _load_or_exit(path)
    return _TwistdService(
        reactor=reactor, settings=settings, reread=lambda: load_settings(path, os.environ)
    )


def run(settings: GatewaySettings, reread: Callable[[], GatewaySettings] | None = None) -> NoReturn:
    """Run a gateway in the foreground until TERM or INT, and exit."""
    from fengling_gateway.observability.log import fill_standard_descriptors, start_logging

    fill_standard_descriptors()
    _choose_reactor(settings)
    from twisted.internet import reactor  # noqa: TID251

    start_logging(process="gateway", form=settings.log.format, level=settings.log.level)
    service = GatewayService(reactor=reactor, settings=settings, reread=reread)
    status = _Status()
    reactor.callWhenRunning(_start, service, reactor, status)
    reactor.addSystemEventTrigger("before", "shutdown", _stop, service)
    reactor.run()
    sys.exit(status.code)


def _complain(problem: str) -> None:
    sys.stderr.write(f"fengling-gateway: {problem}\n")


def _choose_reactor(settings: GatewaySettings) -> None:
    """The only worker, which runs in this process, gets the reactor of workers."""
    chosen_already = "twisted.internet.reactor" in sys.modules
    if settings.worker_count() == 1 and settings.transport.reactor == "lean" and not chosen_already:
        from fengling_gateway.dataplane import lean_epoll

        lean_epoll.install()


class _Status:
    code = 0


def _start(service: GatewayService, reactor: Any, status: _Status) -> None:
    try:
        from fengling_gateway.tap.assembly import StartError

        try:
            service.startService()
        except StartError as error:
            _complain(str(error))
            status.code = EXIT_BAD_SETTINGS
            reactor.stop()
    except Exception:
        _log.failure("the gateway could not start")
        status.code = 1
        reactor.stop()


def _stop(service: GatewayService) -> Deferred[None] | None:
    return service.stopService() if service.running else None


def _load_or_exit(path: str | None) -> GatewaySettings:
    try:
        return load_settings(path, os.environ)
    except SettingsError as error:
        for problem in error.problems:
            _complain(str(problem))
        sys.exit(EXIT_BAD_SETTINGS)


def main() -> None:
    """Run ``fengling-gateway`` (the console script)."""
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # until there is somebody to handle it
    options = Options()
    try:
        options.parseOptions()
    except UsageError as error:
        _complain(f"{error} (see fengling-gateway --help)")
        sys.exit(EXIT_BAD_SETTINGS)
    path = options["config"]
    run(_load_or_exit(path), lambda: load_settings(path, os.environ))


if __name__ == "__main__":
    main()
