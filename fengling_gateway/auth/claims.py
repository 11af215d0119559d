"""Finding things in the claims of a token, whatever its issuer calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Claims = Mapping[str, Any]


class ClaimPath:
    """
    Where a claim is: a name, or a JSON pointer (RFC 6901) if it begins with ``/``.

    Names may hold anything but a ``/`` at their beginning, as
    ``https://example.com/roles`` does.
    """

    __slots__ = ("_steps", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps = _steps(text)

    def __repr__(self) -> str:
        return f"<ClaimPath {self.text}>"

    def find(self, claims: Claims) -> Any:
        """Return the claim's value; None if there is none."""
        found: Any = claims
        for step in self._steps:
            if type(found) is not dict or step not in found:
                return None
            found = found[step]
        return found


def _steps(text: str) -> tuple[str, ...]:
    if not text.startswith("/"):
        return (text,)
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))


def as_text(value: Any) -> str | None:
    """Return a text, number or truth as one text; None for what is none."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    return str(value) if type(value) is int else None


def as_texts(value: Any) -> frozenset[str]:
    """
    Return a list of texts, or the words of one, as a set.

    Issuers write scopes as words (RFC 8693, section 4.2) and roles as lists,
    but some of them the other way round. Members of a list that are no texts
    are left out.
    """
    if type(value) is str:
        return frozenset(value.split())
    if type(value) is list:
        return frozenset(one for one in value if type(one) is str and one)
    return frozenset()
