"""Every line of the log has an id, and the page names them all."""

from __future__ import annotations

import re

from scripts import log_events


def test_every_line_has_an_id() -> None:
    """By which alerts and searches go, whatever its words come to be."""
    found = list(log_events.said())
    assert len(found) > 100
    assert [one.place for one in found if one.event is None] == []
    odd = [one.event for one in found if not re.fullmatch(r"[a-z_]+\.[a-z_]+", str(one.event))]
    assert odd == []


def test_page_is_up_to_date() -> None:
    """Made by scripts/log_events.py."""
    assert log_events.PAGE.read_text() == log_events.page()
