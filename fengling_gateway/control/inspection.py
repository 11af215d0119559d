"""
What a process is doing at this moment: for who looks closely, and for nobody else.

No value of any variable is in it, no argument of a call that is to come, and no
address: names of our own functions and kinds of things, and how many of each.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any, Final

from fengling_gateway.control.process import resident_bytes

MAX_THREADS: Final = 16
MAX_FRAMES: Final = 40
MAX_CALLS: Final = 100
"""Delayed calls that are named, those that come first; how many there are is told in any case."""

_PROCESS: Final = Path("/proc/self")
_STUCK: Final = ("State", "Threads", "VmRSS", "voluntary_ctxt_switches")


def inspect_process(reactor: Any) -> dict[str, Any]:
    """
    Return it for JSON; takes a millisecond or two. For the reactor thread.

    Args:
        reactor: of which no more is told than it can tell (a clock of tests has no selectables).
    """
    return {
        "pid": os.getpid(),
        "threads": _threads(),
        "delayed_calls": _delayed_calls(reactor),
        "selectables": {
            "readers": _kinds(_listed(reactor, "getReaders")),
            "writers": _kinds(_listed(reactor, "getWriters")),
        },
        "gc": {
            "is_enabled": gc.isenabled(),
            "counts": gc.get_count(),
            "thresholds": gc.get_threshold(),
            "frozen": gc.get_freeze_count(),
            "generations": gc.get_stats(),
        },
        "descriptors": _descriptors(),
        "memory": {"rss_bytes": resident_bytes()},
        "cpu_seconds": round(sum(os.times()[:2]), 3),
    }


def inspect_silent(pid: int) -> dict[str, Any]:
    """Return what the kernel tells of a process of ours that does not answer."""
    place = Path(f"/proc/{pid}")
    found: dict[str, Any] = {"pid": pid}
    try:
        lines = (one.partition(":") for one in (place / "status").read_text().splitlines())
        found["kernel"] = {name: value.strip() for name, _, value in lines if name in _STUCK}
        found["kernel"]["waits_in"] = (place / "wchan").read_text().strip("0\n") or None
    except OSError:
        found["kernel"] = None
    return found


def _threads() -> list[dict[str, Any]]:
    named = {one.ident: one for one in threading.enumerate()}
    found = []
    main = threading.main_thread().ident  # first: it is the reactor's
    frames = sorted(sys._current_frames().items(), key=lambda one: one[0] != main)
    for ident, frame in frames[:MAX_THREADS]:
        thread = named.get(ident)
        found.append(
            {
                "name": "unknown" if thread is None else thread.name,
                "daemon": None if thread is None else thread.daemon,
                "stack": _stack(frame),
            }
        )
    return found


def _stack(frame: FrameType | None) -> list[str]:
    """Return where a thread is, the innermost first."""
    lines: list[str] = []
    while frame is not None and len(lines) < MAX_FRAMES:
        code = frame.f_code
        lines.append(f"{_short(code.co_filename)}:{frame.f_lineno} {code.co_qualname}")
        frame = frame.f_back
    return lines


def _short(path: str) -> str:
    """Leave out where packages are installed."""
    for mark in ("/site-packages/", "/fengling_gateway/"):
        _, found, after = path.rpartition(mark)
        if found:
            return after if mark == "/site-packages/" else f"fengling_gateway/{after}"
    return path


def _delayed_calls(reactor: Any) -> dict[str, Any]:
    now = reactor.seconds()
    calls = sorted(_listed(reactor, "getDelayedCalls"), key=lambda one: one.getTime())
    return {
        "total": len(calls),
        "by_function": dict(Counter(_function(one.func) for one in calls).most_common(MAX_CALLS)),
        "next": [
            {"in_s": round(one.getTime() - now, 3), "function": _function(one.func)}
            for one in calls[:MAX_CALLS]
        ],
    }


def _function(called: Any) -> str:
    """Name what is called, within what it may be wrapped in."""
    while hasattr(called, "func"):  # functools.partial
        called = called.func
    named = called if hasattr(called, "__qualname__") else type(called)
    return f"{named.__module__}.{named.__qualname__}"


def _kinds(things: Iterable[Any]) -> dict[str, int]:
    return dict(Counter(_function(type(one)) for one in things).most_common())


def _listed(reactor: Any, what: str) -> list[Any]:
    ask = getattr(reactor, what, None)
    return [] if ask is None else list(ask())


def _descriptors() -> dict[str, Any]:
    kinds: Counter[str] = Counter()
    try:
        names = os.listdir(_PROCESS / "fd")
    except OSError:
        names = []
    for name in names:
        try:
            kinds[_kind_of(os.readlink(_PROCESS / "fd" / name))] += 1
        except OSError:
            continue  # it was the one by which we looked
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {"open": kinds.total(), "limit": soft, "kinds": dict(kinds)}


def _kind_of(link: str) -> str:
    kind, colon, _ = link.partition(":")
    return kind if colon and not link.startswith("/") else "file"
