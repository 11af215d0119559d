"""The gateway in the foreground: no daemon, no pid file, logs on stdout, drain on TERM."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.usage import UsageError

from fengling_gateway.settings import GatewaySettings, load_settings
from fengling_gateway.tap.command_line import EXIT_BAD_SETTINGS, Options, complain, load_or_exit
from fengling_gateway.tap.service import GatewayService

_log = Logger(namespace="fengling.gateway")


def start() -> NoReturn:
    """Run as the command line says."""
    options = Options()
    try:
        options.parseOptions()
    except UsageError as error:
        complain(f"{error} (see fengling-gateway --help)")
        sys.exit(EXIT_BAD_SETTINGS)
    path = options["config"]
    run(load_or_exit(path), lambda: load_settings(path, os.environ))


def run(settings: GatewaySettings, reread: Callable[[], GatewaySettings] | None = None) -> NoReturn:
    """Run a gateway in the foreground until TERM or INT, and exit."""
    from fengling_gateway.observability.log import fill_standard_descriptors, start_logging

    fill_standard_descriptors()
    _choose_reactor(settings)
    from twisted.internet import reactor  # noqa: TID251

    log = start_logging(process="gateway", form=settings.log.format, level=settings.log.level)
    service = GatewayService(reactor=reactor, settings=settings, reread=reread, log=log)
    status = _Status()
    reactor.callWhenRunning(_start, service, reactor, status)
    reactor.addSystemEventTrigger("before", "shutdown", _stop, service)
    reactor.run()
    sys.exit(status.code)


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
            complain(str(error))
            status.code = EXIT_BAD_SETTINGS
            reactor.stop()
    except Exception:
        _log.failure("the gateway could not start")
        status.code = 1
        reactor.stop()


def _stop(service: GatewayService) -> Deferred[None] | None:
    return service.stopService() if service.running else None
