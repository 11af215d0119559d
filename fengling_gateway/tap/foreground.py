"""A program in the foreground: no daemon, no pid file, logs on stdout, ends with TERM."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.usage import UsageError

from fengling_gateway.settings import GatewaySettings
from fengling_gateway.tap.command_line import EXIT_BAD_SETTINGS, Options, complain, load_or_exit
from fengling_gateway.tap.programs import GATEWAY, Program, StartError
from fengling_gateway.tap.reactors import keep_monotonic
from fengling_gateway.tap.service import ProgramService

_log = Logger(namespace="fengling.gateway")


def start(options: Options | None = None) -> NoReturn:
    """Run as the command line says."""
    options = options or Options()
    program = options.program
    try:
        options.parseOptions()
    except UsageError as error:
        complain(f"{error} (see {program.name} --help)", program)
        sys.exit(EXIT_BAD_SETTINGS)
    path = options["config"]
    settings = load_or_exit(program, path)
    run_program(program, settings, lambda: program.load(path, os.environ))


def run(settings: GatewaySettings) -> NoReturn:
    """Run a gateway in the foreground until TERM or INT, and exit."""
    run_program(GATEWAY, settings, None)


def run_program(
    program: Program, settings: Any, reread: Callable[[], Any] | None = None
) -> NoReturn:
    """Run a program in the foreground until TERM or INT, and exit."""
    from fengling_gateway.observability.log import fill_standard_descriptors, start_logging

    fill_standard_descriptors()
    if "twisted.internet.reactor" not in sys.modules:
        program.choose_reactor(settings)
    from twisted.internet import reactor  # noqa: TID251

    keep_monotonic(reactor)
    log = start_logging(process=program.process, form=settings.log.format, level=settings.log.level)
    service = program.service()(reactor=reactor, settings=settings, reread=reread, log=log)
    status = _Status()
    reactor.callWhenRunning(_start, program, service, reactor, status)
    reactor.addSystemEventTrigger("before", "shutdown", _stop, service)
    reactor.run()
    sys.exit(status.code)


class _Status:
    code = 0


def _start(program: Program, service: ProgramService, reactor: Any, status: _Status) -> None:
    try:
        service.startService()
    except StartError as error:
        complain(str(error), program)
        status.code = EXIT_BAD_SETTINGS
        reactor.stop()
    except Exception:
        _log.failure(
            "the {process} could not start", process=program.process, log_id="process.not_started"
        )
        status.code = 1
        reactor.stop()


def _stop(service: ProgramService) -> Deferred[None] | None:
    return service.stopService() if service.running else None
