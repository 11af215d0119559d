"""Where a daemon logs to."""

from __future__ import annotations

import syslog
from pathlib import Path

import pytest

from fengling_gateway.observability.daemon_sinks import FileSink, SyslogSink

# Twisted's log files are never closed, since there is always one more line.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


class FileSinkTests:
    """`FileSink`"""

    def test_file_is_rotated_when_asked(self, tmp_path: Path) -> None:
        """As twistd does: yesterday's is ``log.1``."""
        sink = FileSink(str(tmp_path / "log"))
        sink.write(b"one\n")
        assert sink.reopen() == f"the log goes on in {tmp_path}/log"
        sink.write(b"two\n")
        assert (tmp_path / "log.1").read_bytes() == b"one\n"
        assert (tmp_path / "log").read_bytes() == b"two\n"

    @pytest.mark.parametrize("made_anew", [True, False])
    def test_file_that_was_moved_is_only_opened_again(
        self, tmp_path: Path, made_anew: bool
    ) -> None:
        """logrotate has rotated already, and may have made the next file."""
        sink = FileSink(str(tmp_path / "log"))
        sink.write(b"one\n")
        (tmp_path / "log").rename(tmp_path / "yesterday")
        if made_anew:
            (tmp_path / "log").touch()
        sink.reopen()
        sink.write(b"two\n")
        assert (tmp_path / "yesterday").read_bytes() == b"one\n"
        assert (tmp_path / "log").read_bytes() == b"two\n"
        assert not (tmp_path / "log.1").exists()

    def test_file_that_cannot_be_opened_is_tried_again(self, tmp_path: Path) -> None:
        """With every line, until somebody has mended it."""
        directory = tmp_path / "logs"
        directory.mkdir()
        sink = FileSink(str(directory / "log"))
        directory.rename(tmp_path / "elsewhere")
        sink.reopen()
        for _ in range(2):
            with pytest.raises(OSError, match="No such file"):
                sink.write(b"lost\n")
        directory.mkdir()
        sink.write(b"found\n")
        assert (directory / "log").read_bytes() == b"found\n"


def test_syslog_gets_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback would be one message with line breaks in it."""
    said: list[str] = []
    monkeypatch.setattr(syslog, "syslog", said.append)
    SyslogSink("fengling").write(b"failed\n    Traceback\n    \xc5\xbdofie\n")
    assert said == ["failed", "    Traceback", "    \u017dofie"]
