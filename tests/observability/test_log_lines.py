"""What an event looks like as a line."""

from __future__ import annotations

import io
import json

import pytest
from twisted.logger import Logger

from fengling_gateway.observability.log import line_observer


def lines(form: str, message: str, **fields: object) -> list[str]:
    """Return the lines that one event makes."""
    out = io.StringIO()
    Logger(observer=line_observer(process="gateway", form=form, out=out)).info(message, **fields)
    out.getvalue().encode()  # as stdout does
    return out.getvalue().splitlines()


class LineTests:
    """One event, one line."""

    def test_text_has_time_level_process_and_message(self) -> None:
        """In that order, aligned."""
        [line] = lines("text", "revision {revision} is served", revision=7)
        assert line.endswith("Z INFO  gateway  revision 7 is served")

    @pytest.mark.parametrize("character", ["\n", "\r", "\x1b", "\x85", "\u2028", "\ud800"])
    def test_text_of_others_cannot_begin_a_line(self, character: str) -> None:
        """Comments, authors and ids are written by whoever may write them."""
        given = f"canary{character}2026-01-01T00:00:00Z ERROR gateway  all is lost"
        [line] = lines("text", '"{comment}"', comment=given)
        assert character not in line
        assert character.encode("unicode_escape").decode() in line

    @pytest.mark.parametrize("character", ["\n", "\ud800"])
    def test_json_keeps_the_text_of_others(self, character: str) -> None:
        """Escaped as JSON has it."""
        [line] = lines("json", "{comment}", comment=f"a{character}b", log_id="config.revision")
        document = json.loads(line)
        assert (document["comment"], document["event"]) == (f"a{character}b", "config.revision")
