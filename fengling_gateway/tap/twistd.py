"""A program within twistd: one log in our format, errors without a traceback, exit status 0."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from twisted.logger import ILogObserver, Logger

from fengling_gateway.observability.daemon_sinks import FileSink, SyslogSink
from fengling_gateway.observability.log import Log, make_log
from fengling_gateway.observability.sinks import STDOUT, DescriptorSink, Sink
from fengling_gateway.tap.command_line import (
    EXIT_BAD_SETTINGS,
    Options,
    complain,
    line_of,
    load_or_exit,
)
from fengling_gateway.tap.programs import Program, StartError
from fengling_gateway.tap.reactors import keep_monotonic
from fengling_gateway.tap.service import ProgramService

_log = Logger(namespace="fengling.gateway")

_DEFAULT_LOG_FILE: Final = "twistd.log"


class WithinTwistd(ProgramService):
    """
    What a program's service does besides where twistd starts and stops it; mixed in before it.

    Args:
        program: which one.
        twistd: the options given to twistd itself.
    """

    def __init__(self, *, program: Program, twistd: Mapping[str, Any], **others: Any) -> None:
        super().__init__(**others)
        self._program = program
        self._twistd = twistd
        # A daemon's own is /dev/null by the time it starts.
        self._stderr = None if twistd.get("nodaemon", True) else _duplicate_of_stderr()

    def setServiceParent(self, parent: Any) -> None:
        # twistd logs to what its application has as a component, and else in its own way.
        if _is_ours(self._twistd):
            parent.setComponent(ILogObserver, self._log.observer)
        super().setServiceParent(parent)

    def startService(self) -> None:
        self._log.writer.start()  # no earlier: twistd has forked meanwhile
        try:
            super().startService()
        except StartError as error:
            self._complain(str(error))
            self._remove_pid_file()
            sys.exit(EXIT_BAD_SETTINGS)
        self._close_stderr()
        if not self._twistd.get("debug"):
            self._reactor.callWhenRunning(self._install_stop_signals)

    def _install_stop_signals(self) -> None:
        # twistd's own would have it die of the signal again when all is drained.
        for number in (signal.SIGTERM, signal.SIGINT):
            self._handle(number, self._reactor.stop)

    def _complain(self, problem: str) -> None:
        if self._stderr is None:
            complain(problem, self._program)
            return
        with suppress(OSError):  # whoever has started it may be gone
            os.write(
                self._stderr, line_of(problem, self._program).encode(errors="backslashreplace")
            )
        # Its first process waits for word from this one; of it, twistd shows 98 bytes.
        status_pipe = self._twistd.get("statusPipe")
        if status_pipe is not None:
            with suppress(OSError):
                os.write(status_pipe, b"1 it does not start, as said above")

    def _close_stderr(self) -> None:
        stderr, self._stderr = self._stderr, None
        if stderr is not None:
            os.close(stderr)

    def _remove_pid_file(self) -> None:
        """Do what twistd does only after an exception, which would come with a traceback."""
        if self._twistd.get("pidfile"):
            with suppress(OSError):
                os.unlink(self._twistd["pidfile"])


def _duplicate_of_stderr() -> int | None:
    try:
        return os.dup(2)
    except OSError:  # it is closed
        return None


def make_service(options: Options) -> WithinTwistd:
    """Make the service from its options; exits where the settings are bad."""
    path, program = options["config"], options.program
    settings = load_or_exit(program, path)
    from twisted.internet import reactor  # noqa: TID251

    keep_monotonic(reactor)
    twistd: Mapping[str, Any] = {} if options.parent is None else options.parent
    service = type("TwistdService", (WithinTwistd, program.service()), {})
    made: WithinTwistd = service(
        program=program,
        twistd=twistd,
        reactor=reactor,
        settings=settings,
        reread=lambda: program.load(path, os.environ),
        log=_make_log(
            twistd, process=program.process, form=settings.log.format, level=settings.log.level
        ),
    )
    return made


def _make_log(twistd: Mapping[str, Any], *, process: str, form: str, level: str) -> Log:
    log = make_log(process=process, form=form, level=level, sink=_sink(twistd))
    return replace(log, worker_lines=_log_worker_line) if twistd.get("logger") else log


def _sink(twistd: Mapping[str, Any]) -> Sink:
    """Return where twistd would log to."""
    if not _is_ours(twistd):
        return DescriptorSink(STDOUT)
    if twistd.get("syslog"):
        return SyslogSink(twistd["prefix"])
    name, foreground = twistd.get("logfile"), twistd.get("nodaemon", True)
    if foreground and name in {None, "", "-"}:
        return DescriptorSink(STDOUT)
    return FileSink(name or _DEFAULT_LOG_FILE)


def _is_ours(twistd: Mapping[str, Any]) -> bool:
    """Whether the log is ours to write; a daemon that is to log to stdout is twistd's to refuse."""
    refused = twistd.get("logfile") == "-" and not twistd.get("nodaemon", True)
    return not refused and not twistd.get("logger")


def _log_worker_line(line: bytes) -> None:
    """Pass a line on to a logger that the operator has named."""
    _log.info(
        "{line}", line=line.decode(errors="backslashreplace").rstrip("\n"), log_id="process.told"
    )
