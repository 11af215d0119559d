"""The kinds of configuration entities, their keys and their canonical bytes.

An accepted entity exists in exactly one form outside validation: its
*canonical body*, the UTF-8 JSON of its validated values with every default
written out, keys sorted and no white space. Equal configuration gives equal
bytes, so bytes are what is compared, hashed, sent to workers and written to
the last-known-good file. ``docs/architecture.md`` lists the fields of each
kind.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any, Final, NamedTuple

KINDS: Final = (
    *("setting", "tenant", "secret", "certificate"),
    *("issuer", "client", "api_key", "management_token"),
    *("service", "instance", "instance_health", "route"),
)
"""Every kind, each after the kinds it may refer to."""

KIND_INDEX: Final = {kind: index for index, kind in enumerate(KINDS)}

NUMBERED_KINDS: Final = (
    *("setting", "tenant", "service", "instance", "instance_health", "route"),
    *("secret", "certificate"),
    *("issuer", "client", "api_key", "management_token"),
)
"""
The kinds by the number they have in encoded deltas and last-known-good files.

New ones come last: a supervisor and its workers may be of different versions.
"""

KINDS_WITHOUT_PAST: Final = frozenset(("client", "api_key"))
"""
Of these a rejected one serves nothing instead of its previous version.

That may be what somebody meant to revoke, and made a mistake in doing so.
"""

MAX_BODY_BYTES: Final = 60_000
"""Largest canonical body. It leaves a record room in one 64 KiB frame."""

_encode: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode

_HASH_BYTES: Final = 16
_HASH_MASK: Final = (1 << (8 * _HASH_BYTES)) - 1


class Key(NamedTuple):
    """What identifies an entity: its kind and its id (a slug of at most 100 characters)."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


def canonical(values: dict[str, Any]) -> bytes:
    """
    Serialise validated values into their canonical body.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot say.
    """
    return _encode(values).encode()


def entity_hash(key: Key, body: bytes) -> int:
    """Return the 128-bit hash of one entity; see `add_hash` for how hashes combine."""
    digest = blake2b(digest_size=_HASH_BYTES)
    digest.update(f"{key.kind}\0{key.id}\0".encode())
    digest.update(body)
    return int.from_bytes(digest.digest(), "big")


def add_hash(content_hash: int, part: int) -> int:
    """
    Add an entity to a content hash.

    The content hash of a configuration is the sum of its entities' hashes
    modulo 2**128: independent of order, and updated at a cost that depends on
    the change and not on the size of the configuration. It protects against
    mistakes; against an attacker the signatures on messages do.
    """
    return (content_hash + part) & _HASH_MASK


def subtract_hash(content_hash: int, part: int) -> int:
    """Remove an entity from a content hash; the inverse of `add_hash`."""
    return (content_hash - part) & _HASH_MASK
