"""What is told of a process that somebody looks at closely."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest
from twisted.internet.task import Clock

from fengling_gateway.control import inspection
from fengling_gateway.control.inspection import inspect_process, inspect_silent


def wait_here(secret: str, begun: threading.Event, end: threading.Event) -> None:
    begun.set()
    end.wait()


@pytest.fixture
def waiting() -> Iterator[str]:
    """Lend what a thread that waits has in a variable."""
    secret, begun, end = "hunter2-hunter2", threading.Event(), threading.Event()
    thread = threading.Thread(target=wait_here, args=(secret, begun, end), name="waits")
    thread.start()
    begun.wait()
    yield secret
    end.set()
    thread.join()


class ProcessTests:
    """This very process."""

    def test_stacks_of_all_threads_are_told_without_values(self, waiting: str) -> None:
        """Where they are, by our own names."""
        shown = inspect_process(Clock())
        [stack] = [one["stack"] for one in shown["threads"] if one["name"] == "waits"]
        assert any(line.endswith(" wait_here") and "test_inspection.py:" in line for line in stack)
        [main] = [one["stack"] for one in shown["threads"] if one["name"] == "MainThread"]
        assert "inspect_process" in " ".join(main)
        assert waiting not in json.dumps(shown)

    def test_thread_of_the_reactor_is_told_first(self) -> None:
        """However many others there are: only so many are told."""
        begun, end = threading.Event(), threading.Event()
        others = [
            threading.Thread(target=wait_here, args=("", begun, end))
            for _ in range(inspection.MAX_THREADS + 1)
        ]
        for one in others:
            one.start()
        shown = inspect_process(Clock())["threads"]
        end.set()
        for one in others:
            one.join()
        assert [one["name"] for one in shown].index("MainThread") == 0
        assert len(shown) == inspection.MAX_THREADS

    def test_delayed_calls_are_told_by_function_without_arguments(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Those that come first, and how many there are of each."""
        monkeypatch.setattr(inspection, "MAX_CALLS", 2)
        clock = Clock()
        for seconds in (3.0, 1.0, 2.0):
            clock.callLater(seconds, partial(wait_here, "hunter2"), "hunter2")
        clock.callLater(9.0, clock.advance, 1)
        calls = inspect_process(clock)["delayed_calls"]
        assert calls["total"] == 4
        name = f"{__name__}.wait_here"
        assert calls["by_function"] == {name: 3, "twisted.internet.task.Clock.advance": 1}
        assert calls["next"] == [{"in_s": 1.0, "function": name}, {"in_s": 2.0, "function": name}]
        assert "hunter2" not in json.dumps(calls)

    def test_selectables_are_counted_by_kind(self) -> None:
        class Reactor(Clock):
            def getReaders(self) -> list[object]:
                return [Clock(), Clock(), self]

        shown = inspect_process(Reactor())["selectables"]
        assert shown["readers"]["twisted.internet.task.Clock"] == 2
        assert shown["writers"] == {}

    def test_descriptors_are_counted_by_kind(self) -> None:
        before = inspect_process(Clock())["descriptors"]
        with closing(socket.socket()):
            after = inspect_process(Clock())["descriptors"]
        assert after["kinds"]["socket"] == before["kinds"].get("socket", 0) + 1
        assert after["open"] == sum(after["kinds"].values())
        assert after["limit"] > 0

    def test_numbers_of_the_process_are_there(self) -> None:
        shown = inspect_process(Clock())
        assert shown["pid"] == os.getpid()
        assert shown["memory"]["rss_bytes"] > 1 << 20
        assert len(shown["gc"]["counts"]) == len(shown["gc"]["thresholds"]) == 3

    def test_answer_fits_a_frame(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However deep the stack, and however many calls are to come."""
        clock = Clock()
        for number in range(1000):
            clock.callLater(number, wait_here)

        def deep(levels: int) -> int:
            return deep(levels - 1) if levels else len(json.dumps(inspect_process(clock)))

        assert deep(200) < 60_000


class SilentTests:
    """A process that does not answer."""

    def test_kernel_says_what_a_silent_process_does(self) -> None:
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            found = inspect_silent(process.pid)
            assert found["pid"] == process.pid
            assert {"State", "Threads", "waits_in"} <= found["kernel"].keys()
        finally:
            process.kill()
            process.communicate()
        assert inspect_silent(process.pid)["kernel"] is None
