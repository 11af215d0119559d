"""Path templates as written in a route, and the form in which paths are compared.

Both sides of a comparison go through `canonical_path`: the literals of a
template when it is parsed, the path of a request before it is matched. What is
forwarded is not touched here, and whether a path is fit to be matched at all
(dot segments, encoded slashes) is judged before, by the data plane.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from fengling_gateway.http.spelling import canonical_path

EXACT: Final = 0
TEMPLATE: Final = 1
PREFIX: Final = 2
REGEX: Final = 3


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


def covers(one: PathTemplate, other: PathTemplate) -> bool:
    """
    Whether a template matches every path that another matches.

    Of regexes only the very same is known to.
    """
    if one.kind == REGEX:
        return other.kind == REGEX and one.pattern == other.pattern
    if one.kind == PREFIX:
        if len(one.segments) > len(other.segments):
            return False
    elif other.kind in (PREFIX, REGEX) or len(one.segments) != len(other.segments):
        return False
    return all(
        segment == theirs or (segment is None and theirs != b"")
        for segment, theirs in zip(one.segments, other.segments, strict=False)
    )


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
