r"""
Lines of an access log: JSON, or by a template. Pure.

Nothing that a client sends can end a line or a quoted field: JSON escapes it, and
templates have quotes, backslashes and what is not printable ASCII as ``\xNN``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from fengling_gateway.records.ended import Ended
from fengling_gateway.records.fields import (
    LIST,
    LOCALS,
    NOBODY,
    NUMBER,
    SAFE,
    Field,
    Times,
    document,
    field,
    ms,
    text,
)
from fengling_gateway.records.redaction import Redaction

Line = Callable[[Ended], bytes]
"""Makes a line of an exchange, with its end."""

DEFAULT_FIELDS: Final = (
    *(
        "time",
        "request_id",
        "trace_id",
        "client",
        "method",
        "host",
        "target",
        "protocol",
        "status",
        "error",
    ),
    *("route", "service", "tenant", "subject", "instance", "address", "attempts", "tried"),
    *("received", "sent", "duration_ms", "connect_ms", "first_byte_ms", "user_agent", "revision"),
)
"""Of a line of JSON."""

COMMON: Final = (
    '{client} - {subject} [{time_common}] "{method} {target} {protocol}" {status} {sent}'
)
TEMPLATES: Final = {
    "common": COMMON,
    "combined": COMMON + ' "{referer}" "{user_agent}"',
}

_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_PLAIN: Final = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")


class LineError(ValueError):
    """There can be no such lines; the message says why."""


def json_line(names: Sequence[str], redaction: Redaction) -> Line:
    """
    Return what makes lines of JSON, with these fields in this order.

    Raises:
        LineError: there is no such field.
    """
    fields = [_field(name) for name in names]
    keys = [json.dumps(name).replace("%", "%%") for name in names]
    places = [
        f'{key}:"%s"' if one.kind == SAFE else f"{key}:%s"
        for key, one in zip(keys, fields, strict=True)
    ]
    pattern = "{" + ",".join(places) + "}\n"
    return _made(pattern, [_in_json(one) for one in fields], redaction)


def text_line(template: str, redaction: Redaction) -> Line:
    """
    Return what makes lines by a template: text with ``{fields}``; of what is not there, ``-``.

    Raises:
        LineError: there is no such field, or a brace too many.
    """
    fields = [_field(name) for name in _PLACE.findall(template)]
    between = _PLACE.split(template)[::2]
    if any(brace in text for text in between for brace in "{}"):
        raise LineError("it has a brace that begins or ends no field")
    if not template.isprintable():
        raise LineError("it must be printable, and on one line")
    pattern = "%s".join(text.replace("%", "%%") for text in between) + "\n"
    return _made(pattern, [_in_text(one) for one in fields], redaction)


def make_line(form: str, names: Sequence[str], redaction: Redaction) -> Line:
    """
    Return what makes lines.

    Args:
        form: ``json``, one of `TEMPLATES`, or a template.
        names: fields of lines of JSON.

    Raises:
        LineError: there can be no such lines.
    """
    if form == "json":
        return json_line(names, redaction)
    return text_line(TEMPLATES.get(form, form), redaction)


def _field(name: str) -> Field:
    try:
        return field(name)
    except KeyError:
        raise LineError(f"there is no field {name!r}") from None


def _made(pattern: str, values: Sequence[str], redaction: Redaction) -> Line:
    """Put together the function that fills a pattern with the values of some expressions."""
    source = (
        f"def line(one):\n    {LOCALS}"
        f"    return (PATTERN % ({', '.join(values)}{',' if values else ''})).encode()\n"
    )
    times = Times()

    def told(head: Any, name: bytes) -> str | None:
        value = None if head is None else head.header(name)
        return None if value is None else text(redaction.header(name, value))

    known: dict[str, Any] = {
        "PATTERN": pattern,
        "NOBODY": NOBODY,
        "quoted": json.encoder.encode_basestring_ascii,
        "listed": lambda value: json.dumps(value, separators=(",", ":")),
        "plain": _plain,
        "text": text,
        "ms": ms,
        "document": document,
        "time_of": times.time_of,
        "common_time_of": times.common_time_of,
        "redacted": redaction.target,
        "told": told,
    }
    # Of the expressions in `fields` only: what settings say is in constants.
    exec(compile(source, "<line of the access log>", "exec"), known)  # noqa: S102
    line: Line = known["line"]
    return line


def _in_json(one: Field) -> str:
    if one.kind == SAFE:
        return one.expression
    write = {NUMBER: "value", LIST: "listed(value)"}.get(one.kind, "quoted(value)")
    return f"('null' if (value := {one.expression}) is None else {write})"


def _in_text(one: Field) -> str:
    if one.kind == SAFE:
        return one.expression
    write = {NUMBER: "value", LIST: "plain(listed(value))"}.get(one.kind, "plain(value)")
    return f"('-' if (value := {one.expression}) is None else {write})"


def _plain(value: str) -> str:
    """Return text as a quoted field has it."""
    return value if _PLAIN.fullmatch(value) else "".join(map(_escaped, value))


def _escaped(character: str) -> str:
    if _PLAIN.fullmatch(character):
        return character
    return "".join(f"\\x{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
