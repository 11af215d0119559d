"""Text that others have written, made fit for a line of a log and for a terminal."""

from __future__ import annotations

import re
from typing import Final

_OBEYED: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Ends of lines, what terminals obey, what turns the direction of all that follows."""


def plain(text: str) -> str:
    r"""Return it with escapes (``\x1b``) for what would be obeyed rather than shown."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def plain_json(text: str) -> str:
    """Return a JSON text, of one line or several, with such characters as JSON escapes them."""
    return _OBEYED.sub(lambda found: _in_json(found[0]), text)


def _in_json(character: str) -> str:
    # (Between the values of a document there are ends of lines, and within them none.)
    return character if character == "\n" else f"\\u{ord(character):04x}"
