"""How log events become lines: text for people, JSON for machines.

Events are made with `twisted.logger`, with format strings and named fields;
those that operators look for carry a stable ``log_id``. `line_writer` writes
the lines, to one of `sinks`.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    globalLogBeginner,
)
from zope.interface import provider

from fengling_gateway.observability.line_writer import LineWriter
from fengling_gateway.observability.plain import plain, plain_json
from fengling_gateway.observability.sinks import STDOUT, DescriptorSink, Sink

LEVELS: Final = ("debug", "info", "warn", "error")
FORMATS: Final = ("text", "json")

_OWN_FIELDS: Final = frozenset(
    ("log_format", "log_flattened", "log_logger", "log_source", "log_trace", "log_failure")
)
_RENAMED: Final = {"log_time": "", "log_level": "", "log_namespace": "", "log_id": ""}


@dataclass(frozen=True, slots=True)
class Log:
    """
    The log of this process: what makes lines of events, what writes them, and where.

    Attributes:
        worker_lines: takes a line that a worker has written; None where workers
            write to where we do.
    """

    observer: ILogObserver
    writer: LineWriter
    sink: Sink
    worker_lines: Callable[[bytes], object] | None = None


def start_logging(*, process: str, form: str = "text", level: str = "info") -> Log:
    """Send every log event of this process to stdout; see `make_log`."""
    log = make_log(process=process, form=form, level=level, sink=DescriptorSink(STDOUT))
    log.writer.start()
    globalLogBeginner.beginLoggingTo([log.observer], redirectStandardIO=False)
    return log


def make_log(*, process: str, form: str, level: str, sink: Sink) -> Log:
    """
    Make a log, of which nothing is written before its writer is started.

    What it holds when the process ends is still written, if that goes quickly.

    Args:
        process: what the lines are marked with: ``gateway``, ``w0``.
        form: one of `FORMATS`.
        level: the lowest of `LEVELS` that is written.
    """
    threshold = LogLevelFilterPredicate(defaultLogLevel=LogLevel.levelWithName(level))
    # Twisted's ports and factories announce their starting and stopping one by one.
    for namespace in ("twisted", "log_legacy"):
        threshold.setLogLevelForNamespace(namespace, LogLevel.warn)
    render = renderer(process=process, form=form)
    writer = LineWriter(sink.write, tell_dropped=lambda count: render(_dropped(count)))
    atexit.register(writer.flush)
    observer = FilteringLogObserver(line_observer(render, writer.put), [threshold])
    shared = isinstance(sink, DescriptorSink)
    return Log(observer, writer, sink, None if shared else writer.put)


def fill_standard_descriptors() -> None:
    """
    Open stdin, stdout and stderr on /dev/null where they are closed.

    Whatever is opened first would come to be stdout otherwise, also that of the
    processes started from here. Called before anything stays open.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def line_observer(
    render: Callable[[LogEvent], bytes], put: Callable[[bytes], object]
) -> ILogObserver:
    """Return an observer that puts out one line an event, its traceback below it."""

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        # One line at a time: those of several processes don't mix on a shared stdout.
        put(render(event))

    return observe


def renderer(*, process: str, form: str) -> Callable[[LogEvent], bytes]:
    """Return what makes lines of events, with the letters that stdout has."""
    render = _json_line if form == "json" else _text_line
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"  # there may be no stdout

    def line(event: LogEvent) -> bytes:
        # A line must not fail for its letters.
        return render(event, process).encode(encoding, errors="backslashreplace")

    return line


def _dropped(count: int) -> LogEvent:
    return {
        "log_time": time.time(),
        "log_level": LogLevel.warn,
        "log_namespace": "fengling.log",
        "log_id": "log.dropped",
        "log_format": "{count} lines of the log are missing here: they could not be written",
        "count": count,
    }


def _text_line(event: LogEvent, process: str) -> str:
    at = datetime.fromtimestamp(event["log_time"], UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    level = event["log_level"].name.upper()
    failure = event.get("log_failure")
    trace = _indented(failure.getTraceback()) if failure is not None else ""
    # Comments, ids and the like are written by others: no line of theirs may pass for ours.
    message = plain(formatEvent(event))
    return f"{at}Z {level:<5} {process:<8} {message}{trace}".rstrip() + "\n"


def _indented(trace: str) -> str:
    """Set a traceback off from the lines that are ours: what was raised may be others' text."""
    return "".join(f"\n    {plain(line)}" for line in trace.splitlines())


def _json_line(event: LogEvent, process: str) -> str:
    failure = event.get("log_failure")
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(event["log_time"], UTC).isoformat(timespec="milliseconds"),
        "level": event["log_level"].name,
        "process": process,
        "pid": os.getpid(),
        "event": event.get("log_id"),
        "message": formatEvent(event),
    }
    for name, value in event.items():
        if name not in _OWN_FIELDS and name not in _RENAMED and not name.startswith("log_"):
            line[name] = value if isinstance(value, (str, int, float, bool)) else str(value)
    if failure is not None:
        line["traceback"] = failure.getTraceback()
    # (Half a surrogate pair is no UTF-8 either.)
    return plain_json(json.dumps(line, ensure_ascii=False)) + "\n"
