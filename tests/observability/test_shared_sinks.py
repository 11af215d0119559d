"""Where several processes write lines at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fengling_gateway.observability.shared_sinks import SharedFile, SharedPipe

WRITES = """
import sys
from fengling_gateway.observability.shared_sinks import SharedFile, SharedPipe
sink = SharedPipe(1) if sys.argv[1] == "stdout" else SharedFile(sys.argv[1])
line = sys.argv[2].encode() * 150 + b"\\n"
for _ in range(50):
    sink.write(line * 60)
"""


def writers(where: str, stdout: int) -> None:
    """Have two processes write 3,000 lines each, of 151 bytes, sixty at a time."""
    running = [
        subprocess.Popen([sys.executable, "-c", WRITES, where, name], stdout=stdout)
        for name in "ab"
    ]
    assert [one.wait(30) for one in running] == [0, 0]


def check(lines: list[bytes]) -> None:
    assert sorted(set(lines)) == [b"a" * 150, b"b" * 150]
    assert len(lines) == 6000


def test_lines_of_several_processes_stay_whole_in_a_file(tmp_path: Path) -> None:
    """Whatever the order."""
    log = tmp_path / "access.log"
    writers(str(log), subprocess.DEVNULL)
    check(log.read_bytes().splitlines())


def test_lines_of_several_processes_stay_whole_in_a_pipe(tmp_path: Path) -> None:
    """Of which the system promises 4 KiB in one piece."""
    reading, writing = os.pipe()
    copy = tmp_path / "copy"
    with copy.open("wb") as out:
        reader = subprocess.Popen(["cat"], stdin=reading, stdout=out)
    os.close(reading)
    writers("stdout", writing)
    os.close(writing)
    assert reader.wait(30) == 0
    check(copy.read_bytes().splitlines())


def test_line_longer_than_a_piece_is_written(tmp_path: Path) -> None:
    """Though another's may come into it."""
    log = tmp_path / "log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    SharedPipe(descriptor).write(b"x" * 10_000 + b"\ny\n")
    os.close(descriptor)
    assert log.read_bytes() == b"x" * 10_000 + b"\ny\n"


def test_file_that_is_renamed_or_removed_is_made_anew(tmp_path: Path) -> None:
    """Whoever rotates it need tell nobody; what is copied and cut short goes on, too."""
    log = tmp_path / "access.log"
    sink = SharedFile(str(log))
    sink.write(b"1\n")
    log.rename(tmp_path / "access.log.1")
    sink.write(b"2\n")
    log.unlink()
    sink.write(b"3\n")
    log.write_bytes(b"")
    sink.write(b"4\n")
    sink.close()
    assert (tmp_path / "access.log.1").read_bytes() == b"1\n"
    assert log.read_bytes() == b"4\n"
    assert log.stat().st_mode & 0o777 == 0o640


def test_file_that_can_not_be_opened_is_tried_again(tmp_path: Path) -> None:
    """With the next lines."""
    sink = SharedFile(str(tmp_path / "there" / "access.log"))
    with pytest.raises(FileNotFoundError):
        sink.write(b"1\n")
    (tmp_path / "there").mkdir()
    sink.write(b"2\n")
    sink.close()
    assert (tmp_path / "there" / "access.log").read_bytes() == b"2\n"


FILLS = """
import resource, sys
from fengling_gateway.observability.shared_sinks import SharedFile
first, second = (SharedFile(sys.argv[1]) for _ in range(2))
first.write(b"1" * 9 + b"\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (24, resource.RLIM_INFINITY))
for sink in (first, second):
    try:
        sink.write(b"2" * 9 + b"\\n" + b"3" * 9 + b"\\n")
    except OSError as error:
        print(error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
second.write(b"4" * 9 + b"\\n")
first.write(b"5" * 9 + b"\\n")
"""


def test_line_that_a_full_disk_has_cut_ends_before_the_next_one(tmp_path: Path) -> None:
    """Whose of several processes it was, and whoever writes next. (A limit stands for the disk.)"""
    log = tmp_path / "access.log"
    done = subprocess.run(
        [sys.executable, "-c", FILLS, str(log)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "File too large\n" * 2
    whole = [number * 9 for number in ("1", "2")]
    assert log.read_text().splitlines() == [*whole, "3333", "4" * 9, "5" * 9]


def test_named_pipe_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    """A gateway would wait with its start; when somebody does, it is written as a file is."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    sink = SharedFile(str(path))
    with pytest.raises(OSError, match="No such device"):
        sink.write(b"1\n")
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink.write(b"2\n")
    assert os.read(reading, 100) == b"2\n"
    os.close(reading)
    sink.close()
