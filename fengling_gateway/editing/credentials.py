"""What somebody should know of clients and API keys: those that have expired, or are let in again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fengling_gateway.editing.changes import Planned
from fengling_gateway.model.clients import ends_of_keys
from fengling_gateway.model.entity import KINDS_WITHOUT_PAST, Key
from fengling_gateway.model.times import moment


class OddCredential(NamedTuple):
    """Something about a client or an API key; the message is a sentence about it."""

    code: str
    kind: str
    id: str
    message: str


def find_expired(bodies: Mapping[Key, bytes], now: float) -> list[OddCredential]:
    """Return the API keys that are enabled and let nobody in any more, the oldest first."""
    return [
        OddCredential("expired", "api_key", key_id, f"has expired on {moment(ended)}")
        for ended, key_id in sorted(ends_of_keys(bodies.items()))
        if ended <= now
    ]


def find_let_in_again(
    changes: Iterable[Planned], deleted: Collection[Key], now: float
) -> list[OddCredential]:
    """
    Return those that were shut out and would not be any more.

    Args:
        deleted: keys of entities that there were once, as far as the log tells.
    """
    return [
        OddCredential("let_in_again", *change.key, f"{was}, and is let in again")
        for change in changes
        if change.key.kind in KINDS_WITHOUT_PAST
        for was in _was(change, deleted, now)
    ]


def _was(change: Planned, deleted: Collection[Key], now: float) -> Iterator[str]:
    if change.action == "create" and change.key in deleted and change.values.get("enabled", True):
        yield "was deleted once"
    if change.action != "update":
        return
    for one in change.fields:
        if one.name == "enabled" and one.before is False and one.after is True:
            yield "was revoked" if change.key.kind == "api_key" else "was disabled"
        elif (
            one.name == "expires_at" and _is_over(one.before, now) and not _is_over(one.after, now)
        ):
            yield "had expired"


def _is_over(expires_at: Any, now: float) -> bool:
    return type(expires_at) is float and expires_at <= now
