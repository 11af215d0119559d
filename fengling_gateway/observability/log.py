"""How log events become lines on stdout: text for people, JSON for machines.

Events are made with `twisted.logger`, with format strings and named fields;
those that operators look for carry a stable ``log_id``.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

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

LEVELS: Final = ("debug", "info", "warn", "error")
FORMATS: Final = ("text", "json")

_OWN_FIELDS: Final = frozenset(
    ("log_format", "log_flattened", "log_logger", "log_source", "log_trace", "log_failure")
)
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_RENAMED: Final = {"log_time": "", "log_level": "", "log_namespace": "", "log_id": ""}


def start_logging(
    *, process: str, form: str = "text", level: str = "info", out: TextIO | None = None
) -> None:
    """
    Send every log event of this process to stdout.

    Args:
        process: what the lines are marked with: ``gateway``, ``w0``.
        form: one of `FORMATS`.
        level: the lowest of `LEVELS` that is written.
    """
    threshold = LogLevelFilterPredicate(defaultLogLevel=LogLevel.levelWithName(level))
    # Twisted's ports and factories announce their starting and stopping one by one.
    for namespace in ("twisted", "log_legacy"):
        threshold.setLogLevelForNamespace(namespace, LogLevel.warn)
    # (There is no stdout where it was closed before we came.)
    stdout = out or sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    observer = line_observer(process=process, form=form, out=stdout)
    globalLogBeginner.beginLoggingTo(
        [FilteringLogObserver(observer, [threshold])], redirectStandardIO=False
    )


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


def line_observer(*, process: str, form: str, out: TextIO) -> ILogObserver:
    """Return an observer that writes one line an event, and its traceback below where it has one."""
    render = _json_line if form == "json" else _text_line
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="backslashreplace")  # a line must not fail for its letters

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        try:
            # One write per event: lines of several processes don't mix on a shared stdout.
            out.write(render(event, process))
            out.flush()
        except (OSError, ValueError):
            pass  # nobody reads our stdout any more; serving goes on

    return observe


def _text_line(event: LogEvent, process: str) -> str:
    time = datetime.fromtimestamp(event["log_time"], UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    level = event["log_level"].name.upper()
    failure = event.get("log_failure")
    trace = _indented(failure.getTraceback()) if failure is not None else ""
    # Comments, ids and the like are written by others: no line of theirs may pass for ours.
    message = _UNPRINTABLE.sub(_escaped, formatEvent(event))
    return f"{time}Z {level:<5} {process:<8} {message}{trace}".rstrip() + "\n"


def _indented(trace: str) -> str:
    """Set a traceback off from the lines that are ours: what was raised may be others' text."""
    lines = (_UNPRINTABLE.sub(_escaped, line) for line in trace.splitlines())
    return "".join(f"\n    {line}" for line in lines)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


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
    text = json.dumps(line, ensure_ascii=False) + "\n"
    # Half a surrogate pair is no UTF-8; its escape is the same in JSON.
    return text.encode(errors="backslashreplace").decode()
