r"""
Lines of an access log: JSON, or by a template. Pure.

Nothing that a client sends can end a line or a quoted field: JSON escapes it, and
templates have quotes, backslashes and what is not printable ASCII as ``\xNN``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fengling_gateway.http.headers import Pair, value_of
from fengling_gateway.records import fields, known_lines
from fengling_gateway.records.ended import Ended
from fengling_gateway.records.fields import Times, text
from fengling_gateway.records.line_source import (
    DEFAULT_FIELDS,
    MAKER,
    TEMPLATES,
    json_source,
    text_source,
)
from fengling_gateway.records.redaction import Redaction

Line = Callable[[Ended], bytes]
"""Makes a line of an exchange, with its end."""


def make_line(form: str, names: Sequence[str], redaction: Redaction) -> Line:
    """
    Return what makes lines.

    Args:
        form: ``json``, one of `TEMPLATES`, or a template.
        names: fields of lines of JSON.

    Raises:
        LineError: there can be no such lines.
    """
    maker: Any
    if form in TEMPLATES:
        maker = getattr(known_lines, form)
    elif form == "json" and tuple(names) == DEFAULT_FIELDS:
        maker = known_lines.json
    else:
        maker = _maker(json_source(names) if form == "json" else text_source(form))

    def told(head: Any, name: bytes) -> str | None:
        value = None if head is None else value_of(head.headers, name)
        return None if value is None else text(redaction.header(name, value))

    def hidden(pairs: list[Pair], name: bytes) -> bytes | None:
        value = value_of(pairs, name)
        return None if value is None else redaction.header(name, value)

    times = Times()
    # (Nearly everybody wants to know the client's program: that is to cost no more than it has to.)
    said = hidden if redaction.hides(b"user-agent") else value_of
    line: Line = maker(redaction.target, told, said, times.time_of, times.common_time_of)
    return line


def _maker(source: str) -> Any:
    known: dict[str, Any] = {**vars(fields)}
    exec(compile(source, "<line of the access log>", "exec"), known)  # noqa: S102 # see `_source`
    return known[MAKER]
