"""JSON from outside, read without surprises.

Refused: a name that occurs twice in an object (readers disagree about which one
counts), numbers that JSON does not have, nesting deeper than anybody writes, a
NUL character in a string.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 32

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKET: Final = re.compile(rb"[\[{]|[\]}]")


class StrictJSONError(ValueError):
    """The text is refused; the message says why and repeats nothing of it."""


def loads(text: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """
    Return the value of a JSON text in UTF-8.

    Raises:
        StrictJSONError: it is no JSON, or refused.
    """
    _check_depth(text, max_depth)
    try:
        return json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except StrictJSONError:
        raise
    except RecursionError:
        raise StrictJSONError("nested too deeply") from None
    except UnicodeDecodeError:
        raise StrictJSONError("not UTF-8") from None
    except ValueError as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise StrictJSONError(f"not JSON{where}") from None


def _check_depth(text: bytes, max_depth: int) -> None:
    if b"\\u0000" in text or b"\0" in text:
        raise StrictJSONError("a NUL character")
    if text.count(b"{") + text.count(b"[") <= max_depth:
        return  # wherever they are
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", text)):
        depth += 1 if bracket in b"[{" else -1
        if depth > max_depth:
            raise StrictJSONError("nested too deeply")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise StrictJSONError("a name occurs twice in an object")
    return fields


def _no_constant(_: str) -> NoReturn:
    raise StrictJSONError("NaN and Infinity are no numbers of JSON")
