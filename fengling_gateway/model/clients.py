"""
What clients and their API keys hold.

A key is ``fgk_<id>_<secret>``, the secret 256 random bits. Only its SHA-256 is
kept: so much randomness needs no salt and no slow hash, and nobody who reads
the configuration can use a key.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import Any, Final

from fengling_gateway.model.checks import Field, Record, boolean, list_of, optional, wrong_type
from fengling_gateway.model.entity import Key
from fengling_gateway.model.names import display_name, slug
from fengling_gateway.model.problems import Report, shown
from fengling_gateway.model.times import ending

PREFIX: Final = "fgk_"
SECRET_BYTES: Final = 32
"""In base64url they are 43 characters."""

FINGERPRINT_CHARACTERS: Final = 12
"""Of a digest that are shown: two of a million keys are alike once in 500."""

MAX_WORDS: Final = 200

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_WORD: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
_KEY: Final = re.compile(rb"fgk_([A-Za-z0-9][A-Za-z0-9._-]{0,99})_[A-Za-z0-9_-]{43}")


def split_key(key: bytes) -> tuple[str, str] | None:
    """Return the id of an API key and the digest of all of it; None for what is none."""
    match = _KEY.fullmatch(key)
    return None if match is None else (match[1].decode(), sha256(key).hexdigest())


def make_key(key_id: str, random_bytes: Callable[[int], bytes]) -> tuple[str, str]:
    """Return a new API key, which is to be shown once, and its digest, which is kept."""
    secret = urlsafe_b64encode(random_bytes(SECRET_BYTES)).rstrip(b"=").decode()
    key = f"{PREFIX}{key_id}_{secret}"
    return key, sha256(key.encode()).hexdigest()


def fingerprint(digest: str) -> str:
    """Return what tells keys apart, of which no key can be told: of a digest the first digits."""
    return digest[:FINGERPRINT_CHARACTERS]


def word(value: Any, report: Report) -> Any:
    """A scope or role: visible ASCII without quotes and backslashes (RFC 6749, 3.3)."""
    if type(value) is not str:
        wrong_type(value, "text", report)
    elif not _WORD.fullmatch(value):
        report.add(
            "bad_text",
            "must be 1 to 200 visible ASCII characters without spaces, quotes and backslashes, "
            f"not {shown(value)}",
        )
    return value


def _digest(value: Any, report: Report) -> Any:
    # What is there may be a key: it is never shown.
    if type(value) is not str or not _DIGEST.fullmatch(value):
        report.add(
            "bad_digest",
            "must be the SHA-256 of the key, 64 lower-case hexadecimal digits, and never the key "
            "(what is there is not shown)",
        )
    return value


CLIENT: Final = Record(
    Field("name", display_name, ""),
    Field("enabled", boolean, True),
    Field("tenant_id", optional(slug), None),
    Field("roles", list_of(word, MAX_WORDS, as_set=True), []),
    Field("scopes", list_of(word, MAX_WORDS, as_set=True), []),
    open_ended=True,
)

API_KEY: Final = Record(
    Field("name", display_name, ""),
    Field("enabled", boolean, True),
    Field("client_id", slug),
    Field("digest", _digest),
    Field("expires_at", optional(ending), None),
    open_ended=True,
)


def ends_of_keys(bodies: Iterable[tuple[Key, bytes]]) -> Iterator[tuple[float, str]]:
    """Yield when API keys expire that are enabled, past or to come, and their ids."""
    for key, body in bodies:
        # (Most have no end, and what need not be read costs nothing.)
        if key.kind == "api_key" and b'"expires_at":null' not in body:
            fields = json.loads(body)
            if fields["enabled"]:
                yield fields["expires_at"], key.id


def client_refs(body: dict[str, Any]) -> frozenset[Key]:
    name = body.get("tenant_id")
    return frozenset((Key("tenant", name),)) if type(name) is str else frozenset()


def api_key_refs(body: dict[str, Any]) -> frozenset[Key]:
    name = body.get("client_id")
    return frozenset((Key("client", name),)) if type(name) is str else frozenset()
