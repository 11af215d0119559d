"""Writing lines where writing may take any time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from fengling_gateway.observability.line_writer import LineWriter
from fengling_gateway.observability.sinks import DescriptorSink
from tests.support.wait import wait_until


class Gate:
    """Takes lines once it is open; `broken`: fails instead."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.open = threading.Event()
        self.came = threading.Event()
        self.broken = False

    def write(self, line: bytes) -> None:
        self.came.set()
        self.open.wait(30)
        if self.broken:
            raise OSError(28, "No space left on device")
        self.taken.append(line)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Return a closed gate, opened in the end so that no thread stays behind it."""
    gate = Gate()
    yield gate
    gate.open.set()


def told(count: int) -> bytes:
    return b"%d missing" % count


def begun(gate: Gate, **bounds: int) -> LineWriter:
    """Return a writer that is stuck with a first line."""
    writer = LineWriter(gate.write, tell_dropped=told, **bounds)
    writer.start()
    writer.put(b"first")
    assert gate.came.wait(15)
    return writer


class LineWriterTests:
    """`LineWriter`"""

    def test_lines_are_written_in_order(self, gate: Gate) -> None:
        """However they are caught."""
        gate.open.set()
        writer = LineWriter(gate.write, tell_dropped=told)
        lines = [b"%d" % number for number in range(1000)]
        for line in lines[:10]:
            writer.put(line)  # before there is a thread
        writer.start()
        for line in lines[10:]:
            writer.put(line)
        assert writer.flush(15)
        assert (gate.taken, writer.dropped) == (lines, 0)

    @pytest.mark.parametrize("bounds", [{"max_lines": 2}, {"max_bytes": 10}])
    def test_what_does_not_fit_is_counted_and_told_where_it_is_missing(
        self, gate: Gate, bounds: dict[str, int]
    ) -> None:
        """Behind what was kept, before what comes later."""
        writer = begun(gate, **bounds)
        for line in (b"line2", b"line3", b"line4", b"line5"):
            writer.put(line)
        assert writer.dropped == 2
        gate.open.set()
        assert writer.flush(15)
        writer.put(b"later")
        assert writer.flush(15)
        assert gate.taken == [b"first", b"line2", b"line3", b"2 missing", b"later"]

    def test_what_cannot_be_written_is_told_when_writing_goes_on(self, gate: Gate) -> None:
        """A disk that was full for a while."""
        gate.broken = True
        writer = begun(gate)
        gate.open.set()
        assert writer.flush(15)
        writer.put(b"second")
        assert writer.flush(15)
        assert (gate.taken, writer.dropped) == ([], 2)
        gate.broken = False
        writer.put(b"third")
        assert writer.flush(15)
        assert (gate.taken, writer.dropped) == ([b"third", b"2 missing"], 2)

    def test_flush_gives_up_in_time(self, gate: Gate) -> None:
        """Nobody reads: the end of the process must not wait for that."""
        writer = begun(gate)
        assert not writer.flush(0.01)

    def test_line_may_come_while_another_is_put(self, gate: Gate) -> None:
        """A finalizer or a signal logs in the same thread, at any place."""
        writer = begun(gate)
        with writer._changed:  # as within put
            writer.put(b"from a finalizer")
        gate.open.set()
        assert writer.flush(15)
        assert gate.taken == [b"first", b"from a finalizer"]


LOGS_AND_ENDS = """
import sys
from twisted.logger import Logger
from fengling_gateway.observability.log import start_logging
start_logging(process="w0")
for number in range(int(sys.argv[1])):
    Logger().info("line {number}", number=number)
if sys.argv[2] == "raise":
    raise RuntimeError("the end")
sys.exit(int(sys.argv[2]))
"""


class EndTests:
    """What a process leaves when it ends."""

    @pytest.mark.parametrize(("end", "status"), [("0", 0), ("3", 3), ("raise", 1)])
    def test_queued_lines_are_written(self, end: str, status: int) -> None:
        """Whatever it ends by."""
        ran = subprocess.run(
            [sys.executable, "-c", LOGS_AND_ENDS, "1000", end],
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert ran.returncode == status
        assert [line.split()[-1] for line in ran.stdout.splitlines()] == [
            b"%d" % number for number in range(1000)
        ]

    def test_stuck_reader_does_not_keep_it(self) -> None:
        """The pipe is full, and stays so."""
        with subprocess.Popen(
            [sys.executable, "-c", LOGS_AND_ENDS, "5000", "3"], stdout=subprocess.PIPE
        ) as process:
            assert process.wait(60) == 3
            assert process.stdout is not None
            assert len(process.stdout.read()) <= 65536


class DescriptorSinkTests:
    """`DescriptorSink`"""

    def test_pipe_that_does_not_block_is_waited_for(self) -> None:
        """Who shares our stdout may have made it so."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        line = b"x" * 200_000
        sink = DescriptorSink(writing)
        thread = threading.Thread(target=sink.write, args=(line,), daemon=True)
        thread.start()
        got = b""
        while len(got) < len(line):
            got += os.read(reading, 65536)
        thread.join(15)
        assert got == line
        wait_until(lambda: not thread.is_alive())
        os.close(reading)
        os.close(writing)

    def test_closed_pipe_is_an_error(self) -> None:
        """Which the writer counts; serving goes on."""
        reading, writing = os.pipe()
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            DescriptorSink(writing).write(b"to whom it may concern")
        os.close(writing)
