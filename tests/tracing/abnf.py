"""
A model of the grammar of Trace Context, level 1, read character by character; of keys, that of
level 2, which has what was two parts around an @ as one in which it may be anywhere.

It follows the rules of the specification by their names, and has nothing of how they
are implemented: no regular expressions, no splitting.
"""

from __future__ import annotations

_HEXDIGLC = "0123456789abcdef"
_LCALPHA = "abcdefghijklmnopqrstuvwxyz"
_DIGIT = "0123456789"
_KEY_CHARS = _LCALPHA + _DIGIT + "_-*/@"
_OWS = " \t"


def _hex(text: str, start: int, count: int) -> str | None:
    """*count* of HEXDIGLC at a place."""
    found = text[start : start + count]
    return found if len(found) == count and all(c in _HEXDIGLC for c in found) else None


def traceparent(text: str) -> tuple[str, str, bool] | None:
    """Return trace-id, parent-id and whether it is sampled, of what is to be used."""
    version = _hex(text, 0, 2)
    if version is None or version == "ff" or text[2:3] != "-" or len(text) < 55:
        return None
    trace_id, parent_id, flags = _hex(text, 3, 32), _hex(text, 36, 16), _hex(text, 53, 2)
    if trace_id is None or parent_id is None or flags is None:
        return None
    if text[35] != "-" or text[52] != "-":
        return None
    if len(text) > 55 and (version == "00" or text[55] != "-"):
        return None
    if set(trace_id) == {"0"} or set(parent_id) == {"0"}:
        return None
    return trace_id, parent_id, bool(int(flags, 16) % 2)


class _MalformedError(Exception):
    pass


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def some(self, among: str) -> str:
        begin = self.at
        while self.peek() and self.peek() in among:
            self.at += 1
        return self.text[begin : self.at]


def tracestate(values: list[str], *, unique: bool = True) -> list[tuple[str, str]] | None:
    """
    Return the keys and values of a combined header; None where it is malformed.

    `unique`: whether a key that is there twice makes it so.
    """
    reader = _Reader(",".join(values))
    found: list[tuple[str, str]] = []
    count = 0
    try:
        while True:
            count += 1
            member = _list_member(reader)
            if member is not None:
                found.append(member)
            if not reader.peek():
                break
            if reader.peek() != ",":
                raise _MalformedError
            reader.at += 1
    except _MalformedError:
        return None
    keys = [key for key, _ in found]
    if count > 32 or (unique and len(set(keys)) != len(keys)):
        return None
    return found


def _list_member(reader: _Reader) -> tuple[str, str] | None:
    reader.some(_OWS)
    if reader.peek() in {"", ","}:
        return None
    key = _key(reader)
    if reader.peek() != "=":
        raise _MalformedError
    reader.at += 1
    return key, _value(reader)


def _key(reader: _Reader) -> str:
    key = reader.some(_KEY_CHARS)
    if not 1 <= len(key) <= 256 or key[0] not in _LCALPHA + _DIGIT:
        raise _MalformedError
    return key


def _value(reader: _Reader) -> str:
    chars = []
    while reader.peek() and reader.peek() != ",":
        chars.append(reader.peek())
        reader.at += 1
    while chars and chars[-1] in _OWS:  # around the member, and none of it
        chars.pop()
    if not 1 <= len(chars) <= 256:
        raise _MalformedError
    if any(not 0x20 <= ord(char) <= 0x7E or char == "=" for char in chars):
        raise _MalformedError
    return "".join(chars)
