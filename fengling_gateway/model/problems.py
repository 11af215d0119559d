"""
What validation finds wrong, and how it says so.

A check never stops at the first problem: it adds to a `Report` and goes on.
Paths are built on the way back out, so a value without problems costs no path.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from fengling_gateway.model.entity import Key

CODES: Final = {
    "bad_address": "An instance's address is not http://host:port or https://host:port.",
    "bad_certificate": "What should be certificates is none, or they don't belong together.",
    "bad_claim": "The name of a claim, or a pointer to one, is malformed.",
    "bad_digest": "The digest of an API key is not a SHA-256 in lower-case hexadecimal.",
    "bad_duration": "A duration is neither a number of seconds nor text like 3s or PT3S.",
    "bad_header_name": "A header, cookie or query name has characters that none may have.",
    "bad_header_value": "A header value has line breaks, control or non-ASCII characters.",
    "bad_host": "A host name is malformed, or carries a port.",
    "bad_id": "An id is not a slug of at most 100 characters.",
    "bad_issuer": "What tokens say in iss has characters that are not visible ASCII.",
    "bad_keys": "A key set has a key that is weak, private, of no use, or malformed.",
    "bad_location": "A redirect's location is not a URL, or has an unknown placeholder.",
    "bad_name": "The name of a cookie or of a parameter has characters that none may have.",
    "bad_network": "A network is not in CIDR form.",
    "bad_path": "A path or path template is malformed.",
    "bad_rate": "A rate is not a number of requests per time, like 100/s.",
    "bad_regex": "A regular expression is not one that RE2 compiles.",
    "bad_secret": "A secret's value is neither a reference nor encrypted.",
    "bad_text": "Text has characters that cannot be stored or shown.",
    "bad_time": "A point in time is not ISO 8601 with an offset from UTC.",
    "bad_url": "A URL is malformed, or not https:// where it has to be.",
    "body_not_allowed": "A response of this status has no body.",
    "conflict": "Two parts of one entity contradict each other.",
    "duplicate": "The same thing is given twice.",
    "empty": "Something is given but empty.",
    "internal_error": "Validation itself failed: a defect of the gateway.",
    "missing_reference": "The entity refers to another that is not in effect.",
    "more_problems": "There are more problems than are listed.",
    "not_allowed": "A value is not one of those allowed.",
    "not_finite": "A number is infinite or not a number.",
    "one_target": "A route has not exactly one of service_id, split, redirect and respond.",
    "out_of_range": "A number is too small or too large.",
    "protected_header": "The gateway itself sets this header, or framing depends on it.",
    "required": "A field that has no default is missing.",
    "source": "The place where the entity is written is faulty (with its line number).",
    "too_deep": "Values are nested too deeply.",
    "too_large": "The entity as a whole is too large.",
    "too_long": "Text or a list is too long.",
    "unknown_field": "A field is not one of those known here.",
    "unknown_kind": "There is no such kind of entity.",
    "unknown_policy": "There is no such policy; names that begin with x- are free.",
    "unknown_setting": "There is no such setting.",
    "unsupported": "This version of the gateway does not support it.",
    "wrong_type": "A value is of another type than required.",
    "zero_weights": "All weights of a split are 0.",
}
"""Every code a problem can have. Codes are stable: scripts may depend on them."""

MAX_PROBLEMS: Final = 100
"""Most problems kept of one entity; beyond it nobody reads them, and memory counts."""

_SHOWN_CHARACTERS: Final = 60
_USER_OF_URL: Final = re.compile(r"//\S*@")
_LIKE_A_SECRET: Final = re.compile(
    r"[0-9A-Fa-f]{24,}|(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9._-]{24,}"
)
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_./*{}-]{1,60}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one entity: where, a stable code of `CODES`, and a sentence."""

    path: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class Report:
    """Collects what checks find. One is used for one entity and then dropped."""

    __slots__ = ("found", "overflow")

    def __init__(self) -> None:
        self.found: list[tuple[str, str, str]] = []
        self.overflow = 0

    def __repr__(self) -> str:
        return f"<Report of {len(self.found) + self.overflow} problems>"

    def add(self, code: str, message: str) -> None:
        """Add a problem of the value that is being looked at."""
        if len(self.found) < MAX_PROBLEMS:
            self.found.append(("", code, message))
        else:
            self.overflow += 1

    def locate(self, start: int, name: str | int) -> int:
        """
        Say that the problems from number `start` on are within the part `name`.

        Returns:
            The number of problems now, for the next part's `start`.
        """
        found = self.found
        step = f"[{name}]" if isinstance(name, int) else label(name)
        for index in range(start, len(found)):
            path, code, message = found[index]
            joint = "." if path and not path.startswith("[") else ""
            found[index] = (f"{step}{joint}{path}", code, message)
        return len(found)

    def problems(self, subject: str) -> tuple[Problem, ...]:
        """Return what was found, with paths like ``route orders: policies.path.strip``."""
        found = [
            Problem(f"{subject}: {path}" if path else subject, code, message)
            for path, code, message in self.found
        ]
        if self.overflow:
            found.append(
                Problem(subject, "more_problems", f"and {self.overflow} more problems, not listed")
            )
        return tuple(found)


def label(name: object) -> str:
    """Return a field's or an id's name fit for a path: as it is where that is harmless."""
    if isinstance(name, str) and _PLAIN_NAME.fullmatch(name):
        return name
    return shown(name)


def shown(value: Any) -> str:
    """Describe a given value in at most about 80 characters of one line; never fails."""
    kind = type(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is str:
        return _quoted(value)
    if kind is int:
        return str(value) if -(10**30) < value < 10**30 else "a number of more than 30 digits"
    if kind is float:
        return repr(value)
    if kind is list:
        return f"a list of {len(value)}" if value else "an empty list"
    if kind is dict:
        return f"an object with {len(value)} fields" if value else "an empty object"
    return f"a {kind.__name__}"


def suggestion(name: object, known: tuple[str, ...]) -> str:
    """Return `` (did you mean "…"?)`` where a known name is near, else what is known."""
    if isinstance(name, str) and len(name) <= _SHOWN_CHARACTERS:
        near = get_close_matches(name, known, n=1)
        if near:
            return f'did you mean "{near[0]}"?'
    return f"known: {', '.join(known)}" if known else "there are none"


def reference(entity: Key) -> str:
    """Name an entity that is referred to; whoever writes a secret where its id belongs shows none."""
    if entity.kind == "secret" and _LIKE_A_SECRET.fullmatch(entity.id):
        return f"secret {entity.id[:4]}… (an id of {len(entity.id)} characters)"
    return str(entity)


def _quoted(value: str) -> str:
    if "PRIVATE KEY-" in value:
        return "text with a private key in it"
    value = _USER_OF_URL.sub("//…@", value)
    head = value[:_SHOWN_CHARACTERS]
    # Line breaks, lone surrogates and the like are shown escaped: this goes into logs.
    quoted = json.dumps(head, ensure_ascii=not head.isprintable())
    if len(value) > len(head):
        return f"{quoted}… ({len(value)} characters)"
    return quoted
