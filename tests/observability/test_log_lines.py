"""What an event looks like as a line."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from twisted.logger import Logger

from fengling_gateway.observability.log import line_observer, renderer


def logger(form: str, out: list[bytes]) -> Logger:
    """Return what logs to a list of lines."""
    return Logger(observer=line_observer(renderer(process="gateway", form=form), out.append))


def lines(form: str, message: str, **fields: object) -> list[str]:
    """Return the lines that one event makes."""
    out: list[bytes] = []
    logger(form, out).info(message, **fields)
    return b"".join(out).decode().splitlines()


class LineTests:
    """One event, one line."""

    def test_text_has_time_level_process_and_message(self) -> None:
        """In that order, aligned."""
        [line] = lines("text", "revision {revision} is served", revision=7)
        assert line.endswith("Z INFO  gateway  revision 7 is served")

    @pytest.mark.parametrize(
        "character", ["\n", "\r", "\x1b", "\x85", "\x9b", "\u2028", "\u202e", "\ud800"]
    )
    def test_text_of_others_cannot_begin_a_line(self, character: str) -> None:
        """Comments, authors and ids are written by whoever may write them."""
        given = f"canary{character}2026-01-01T00:00:00Z ERROR gateway  all is lost"
        [line] = lines("text", '"{comment}"', comment=given)
        assert character not in line
        assert character.encode("unicode_escape").decode() in line

    @pytest.mark.parametrize("character", ["\n", "\x7f", "\x9b", "\u2028", "\u202e", "\ud800"])
    def test_json_keeps_the_text_of_others(self, character: str) -> None:
        """Escaped as JSON has it, so that neither terminals nor who splits lines are told anything."""
        [line] = lines("json", "{comment}", comment=f"a{character}b", log_id="config.revision")
        assert character not in line
        document = json.loads(line)
        assert (document["comment"], document["event"]) == (f"a{character}b", "config.revision")

    def test_traceback_of_others_text_cannot_begin_a_line(self) -> None:
        """What is raised may quote a database, a file or a request."""
        out: list[bytes] = []
        log = logger("text", out)
        try:
            raise ValueError("bad\n2026-01-01T00:00:00Z ERROR gateway  all is lost\x1b[2J")
        except ValueError:
            log.failure("it failed")
        [event] = out
        first, *others = event.decode().splitlines()
        assert first.endswith("it failed")
        assert all(line.startswith("    ") for line in others)
        assert b"\x1b" not in event

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_line_is_written_whatever_letters_stdout_has(self, form: str) -> None:
        """A locale without them must not swallow the line."""
        program = (
            "from twisted.logger import Logger\n"
            "from fengling_gateway.observability.log import start_logging\n"
            f"start_logging(process='w0', form='{form}')\n"
            "Logger().info('revision 7 by {author}', author='\u017dofie')\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
            stdout=subprocess.PIPE,
            check=True,
        )
        assert b"revision 7 by \\u017dofie" in ran.stdout


class StandardDescriptorTests:
    """`fill_standard_descriptors`"""

    def test_closed_ones_lead_to_dev_null(self) -> None:
        """``fengling-gateway >&- 2>&-``: no socket may come to be a worker's stdout."""
        program = (
            "import os; os.close(1); os.close(2)\n"
            "from fengling_gateway.observability.log import fill_standard_descriptors\n"
            "fill_standard_descriptors()\n"
            "paths = {os.readlink(f'/proc/self/fd/{number}') for number in (1, 2)}\n"
            "os._exit(paths != {'/dev/null'})\n"
        )
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
