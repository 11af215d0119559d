"""
The source of functions that make lines: put together of the expressions in `fields`. Pure.

Those of lines that most ask for are kept in `known_lines`, which is compiled:

    python -m fengling_gateway.records.line_source > fengling_gateway/records/known_lines.py
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from fengling_gateway.records.fields import (
    BYTES,
    LIST,
    LOCALS,
    NAME,
    NUMBER,
    SAFE,
    SECONDS,
    Field,
    field,
)

DEFAULT_FIELDS: Final = (
    *("time", "request_id", "trace_id", "client", "method", "host", "target", "protocol"),
    "tls_version",
    "status",
    *("error", "route", "service", "tenant", "subject", "instance", "address", "attempts", "tried"),
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

MAKER: Final = "maker"
"""What the function in a source is called: it takes what `ARGUMENTS` are, and returns a line's."""

ARGUMENTS: Final = "redacted, told, said, time_of, common_time_of"

_WRITTEN: Final = {"null": "Written(quoted, 'null')", "-": "Written(plain, '-')"}
"""How names are written, by what is written of None."""

_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_BARE: Final = {NUMBER: "a{0}", SECONDS: "milliseconds(a{0})"}
"""What is written of values that need no quotes."""

_HEAD: Final = '''\
"""
Makes lines of an access log, by the formats that most ask for.

Made by: python -m fengling_gateway.records.line_source
"""
# mypy: ignore-errors

from fengling_gateway.records.fields import (
    NOBODY,
    PROTOCOLS,
    Written,
    document,
    listed,
    milliseconds,
    plain,
    plain_bytes,
    quoted,
    quoted_bytes,
)
'''


class LineError(ValueError):
    """There can be no such lines; the message says why."""


def json_source(names: Sequence[str], maker: str = MAKER) -> str:
    """
    Return the source for lines of JSON, with these fields in this order.

    Raises:
        LineError: there is no such field.
    """
    fields = [_field(name) for name in names]
    texts, before = [], "{"
    for name, one in zip(names, fields, strict=True):
        quote = '"' if one.kind == SAFE else ""
        texts.append(f"{before}{json.dumps(name)}:{quote}")
        before = f"{quote},"
    texts.append(before.removesuffix(",") + "}\n")
    return _source(
        maker,
        texts,
        fields,
        nothing="null",
        writes={LIST: "listed(a{0})", BYTES: "quoted_bytes(a{0})"},
    )


def text_source(template: str, maker: str = MAKER) -> str:
    """
    Return the source for lines by a template: text with ``{fields}``; of what is not there, ``-``.

    Raises:
        LineError: there is no such field, or a brace too many.
    """
    fields = [_field(name) for name in _PLACE.findall(template)]
    texts = _PLACE.split(template)[::2]
    if any(brace in text for text in texts for brace in "{}"):
        raise LineError("it has a brace that begins or ends no field")
    if not template.isprintable():
        raise LineError("it must be printable, and on one line")
    texts[-1] += "\n"
    writes = {LIST: "plain(listed(a{0}))", BYTES: "plain_bytes(a{0})", "": "plain(a{0})"}
    return _source(maker, texts, fields, nothing="-", writes=writes)


def known_source() -> str:
    """Return the source of `known_lines`."""
    sources = [json_source(DEFAULT_FIELDS, "json")]
    sources += [text_source(template, name) for name, template in TEMPLATES.items()]
    return "\n\n".join([_HEAD, *sources])


def _field(name: str) -> Field:
    try:
        return field(name)
    except KeyError:
        raise LineError(f"there is no field {name!r}") from None


def _source(
    maker: str,
    texts: Iterable[str],
    fields: Sequence[Field],
    *,
    nothing: str,
    writes: dict[str, str],
) -> str:
    """
    Return the source of a maker.

    What settings say is in it as constants only: the texts between the values, by `repr`.

    Args:
        texts: one more than there are fields.
        nothing: is written of None.
        writes: by kind, and "" for all others, expressions with ``{0}`` for the number of a field.
    """
    values = []
    for number, one in enumerate(fields):
        if one.kind == SAFE:
            values.append(f"v{number} = {one.expression}")
            continue
        if one.kind == NAME:
            values.append(f"v{number} = written[{one.expression}]")
            continue
        write = {"": "quoted(a{0})", **_BARE, **writes}
        how = write.get(one.kind, write[""]).format(number)
        values += [
            f"a{number} = {one.expression}",
            f"v{number} = {nothing!r} if a{number} is None else {how}",
        ]
    first, *others = map(repr, texts)
    pieces = [f'f"{{v{number}}}" {text}' for number, text in enumerate(others)]
    lines = [*LOCALS, *values, f"return ({' '.join([first, *pieces])}).encode()"]
    body = "\n".join(f"        {line}" for line in lines)
    return (
        f"def {maker}({ARGUMENTS}):\n    written = {_WRITTEN[nothing]}\n\n"
        f"    def line(one):\n{body}\n\n    return line\n"
    )


if __name__ == "__main__":
    sys.stdout.write(known_source())
