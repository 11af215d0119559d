"""Path templates as written in a route, and the form in which paths are compared.

Both sides of a comparison go through `canonical_path`: the literals of a
template when it is parsed, the path of a request before it is matched. What is
forwarded is not touched here, and whether a path is fit to be matched at all
(dot segments, encoded slashes) is judged before, by the data plane.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

EXACT: Final = 0
TEMPLATE: Final = 1
PREFIX: Final = 2
REGEX: Final = 3

_PERCENT: Final = 0x25

# These keep a meaning of their own when they are encoded: separators, and the
# semicolon, at which some servers cut a segment only when it is bare.
_KEPT_ENCODED: Final = frozenset(b"/\\;?#%")

_BEYOND_ASCII: Final = re.compile(rb"[^\x00-\x7f]")


def _spell(code: int) -> bytes:
    if 0x20 < code < 0x7F and code not in _KEPT_ENCODED:
        return bytes((code,))
    return b"%%%02X" % code


_SPELLINGS: Final = {
    f"{high}{low}".encode(): _spell(int(high + low, 16))
    for high in "0123456789abcdefABCDEF"
    for low in "0123456789abcdefABCDEF"
}
"""By the two digits after a ``%``, what it is in a canonical path."""


class TemplateError(ValueError):
    """A path template that cannot be parsed; the message says what is wrong with it."""


class PathTemplate(NamedTuple):
    """
    A parsed template.

    Attributes:
        kind: `EXACT`, `TEMPLATE`, `PREFIX` or `REGEX`, in order of precedence.
        segments: canonical literals, None for a ``{parameter}``; without the
            ``{**rest}`` of a prefix. Empty for a regex.
        pattern: the regex; empty for the other kinds.
    """

    kind: int
    segments: tuple[bytes | None, ...]
    pattern: str = ""

    @property
    def rank(self) -> tuple[int, int, tuple[bool, ...]]:
        """
        Sort key among templates that match the same path.

        Kind first, then more segments first, then, segment by segment from the
        left, a literal before a parameter.
        """
        return (self.kind, -len(self.segments), tuple(part is None for part in self.segments))


def parse_template(text: str) -> PathTemplate:
    """
    Parse a route's ``path``.

    Raises:
        TemplateError: `text` is neither a template nor a regex.
    """
    if text.startswith("~"):
        return PathTemplate(REGEX, (), text[1:])
    if not text.startswith("/"):
        raise TemplateError(f"a path starts with '/' or '~', not {text[:1]!r}")
    parts = text[1:].split("/")
    is_prefix = _is_rest(parts[-1])
    if is_prefix:
        parts.pop()
    segments = tuple(map(_parse_segment, parts))
    if is_prefix:
        return PathTemplate(PREFIX, segments)
    return PathTemplate(TEMPLATE if None in segments else EXACT, segments)


def _is_rest(part: str) -> bool:
    return part == "**" or (part.startswith("{**") and part.endswith("}"))


def _parse_segment(part: str) -> bytes | None:
    if part.startswith("{") and part.endswith("}"):
        name = part[1:-1]
        if not name or name.startswith("*") or "{" in name or "}" in name:
            raise TemplateError(f"{part!r} is not a parameter; '{{**rest}}' goes last")
        return None
    if "{" in part or "}" in part or part == "**":
        raise TemplateError(f"in {part!r} a parameter is not a whole segment")
    return canonical_path(part.encode())


def canonical_path(path: bytes) -> bytes:
    """
    Return the one spelling of a path in which paths are compared.

    Percent-encoded printable ASCII is decoded, other encodings have upper-case
    digits, and bytes beyond ASCII are encoded. A stray ``%`` stays.
    """
    if not path.isascii():
        path = _BEYOND_ASCII.sub(lambda found: _spell(found.group()[0]), path)
    # An integer is looked for four times faster than a byte string is.
    if _PERCENT not in path:
        return path
    first, *rest = path.split(b"%")
    spelled = [first]
    for part in rest:
        digits = part[:2]
        spelled += (_SPELLINGS.get(digits) or b"%" + digits, part[2:])
    return b"".join(spelled)
