"""
What brings one entity back to what it was, and what of it can't come back. Pure.

It does what ``fengling.undo`` does (0003/undo.sql), but where that refuses everything because of one
value that nobody has any more, here the rest comes back and that is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from fengling_gateway.editing.changes import FieldChange, Planned
from fengling_gateway.editing.images import BOOKKEEPING, IDS, Image
from fengling_gateway.editing.stored import DURATIONS, INSTANTS, differ
from fengling_gateway.model.entity import Key
from fengling_gateway.model.times import parse_duration
from fengling_gateway.model.validation import SOURCE_PROBLEMS

Code = Literal["secret_value", "not_let_in", "revoked", "registered", "unreadable"]


class Left(NamedTuple):
    """Something that does not come back; the message is a sentence about the entity."""

    code: Code
    key: Key
    message: str


class Return(NamedTuple):
    """What to change of one entity, if anything, and what is left as it is."""

    change: Planned | None
    left: list[Left]


def return_to(
    key: Key, target: Image | None, current: Image | None, columns: Collection[str]
) -> Return:
    """
    Plan how an entity becomes again what it was.

    Args:
        target: the row of then, as the log has it; None where there was none.
        current: the row of now, of a secret with the fingerprint of its value; None for none.
        columns: those that its table has.
    """
    possible: Image | None = target
    left: list[Left] = []
    if key.kind in _POSSIBLE:
        possible, left = _POSSIBLE[key.kind](key, target, current)
    if possible is not None and SOURCE_PROBLEMS in possible:
        left = [Left("unreadable", key, f"stays as it is: {possible[SOURCE_PROBLEMS][0]}")]
        return Return(None, left)
    return Return(_change(key, possible, current, columns), left)


def _change(
    key: Key, wanted: Image | None, current: Image | None, columns: Collection[str]
) -> Planned | None:
    if wanted is None:
        if current is None:
            return None
        fields = [FieldChange(n, _read(n, v), None) for n, v in current.items() if _is_written(n)]
        return Planned(key, "delete", tuple(fields), {}, current["version"])
    if current is None:
        values = {name: wanted[name] for name in wanted if name in columns and name != "version"}
        fields = [FieldChange(n, None, _read(n, v)) for n, v in values.items() if _is_written(n)]
        return Planned(key, "create", tuple(one for one in fields if one.after is not None), values)
    values = {
        name: value
        for name, value in wanted.items()
        if name in current and _is_written(name) and differ(current[name], value)
    }
    fields = [FieldChange(n, _read(n, current[n]), _read(n, v)) for n, v in values.items()]
    return Planned(key, "update", tuple(fields), values, current["version"]) if values else None


def _is_written(name: str) -> bool:
    return name not in BOOKKEEPING and name not in IDS and name != "fingerprint"


def _read(name: str, value: Any) -> Any:
    """Return intervals and points in time as everywhere in plans: as floats."""
    if type(value) is not str:
        return value
    if name in DURATIONS:
        return parse_duration(value) or value
    if name in INSTANTS:
        try:
            return datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError):
            return value
    return value


def _secret(key: Key, target: Image | None, current: Image | None) -> tuple[Any, list[Left]]:
    if target is None:
        return None, []
    if current is None:
        message = "does not come back: nobody has its value any more; set it anew"
        return None, [Left("secret_value", key, message)]
    if target.get("fingerprint") == current.get("fingerprint"):
        return target, []
    message = "keeps the value that it has now: nobody has the one of then any more"
    return target, [Left("secret_value", key, message)]


def _management_token(
    key: Key, target: Image | None, current: Image | None
) -> tuple[Any, list[Left]]:
    if current is None:
        return target, []
    revoked_at = current.get("revoked_at")
    stays = [Left("revoked", key, "is revoked, and stays so")]
    if target is None:
        if revoked_at is None:
            message = "stays registered: without its row the token would be good all the same"
            stays = [Left("registered", key, message)]
        return current, stays
    if revoked_at is None or target.get("revoked_at") == revoked_at:
        return target, []
    return {**target, "revoked_at": revoked_at}, stays


def _client(key: Key, target: Image | None, current: Image | None) -> tuple[Any, list[Left]]:
    # (One that was deleted comes back as it was: its keys, which can't, let nobody in.)
    return (target, []) if current is None else _without_access(key, target, current)


def _without_access(
    key: Key, target: Image | None, current: Image | None
) -> tuple[Any, list[Left]]:
    """Return a client or key as it was, but no more open than it is now."""
    if target is None:
        return None, []
    now = current or {}
    enabled = target.get("enabled") is True and now.get("enabled") is True
    wanted = {**target, "enabled": enabled}
    if "digest" in now:
        wanted["digest"] = now["digest"]
    if _ends_sooner(now.get("expires_at"), target.get("expires_at")):
        wanted["expires_at"] = now["expires_at"]
    if not differ(wanted, dict(target)):
        return wanted, []
    return wanted, [Left("not_let_in", key, "is not let in again")]


def _ends_sooner(a: str | None, b: str | None) -> bool:
    return a is not None and (b is None or _instant(a) < _instant(b))


def _instant(text: str) -> float:
    named = {"infinity": float("inf"), "-infinity": float("-inf")}
    return named[text] if text in named else datetime.fromisoformat(text).timestamp()


_Possible = Callable[[Key, "Image | None", "Image | None"], "tuple[Any, list[Left]]"]

_POSSIBLE: Final[dict[str, _Possible]] = {
    "secret": _secret,
    "management_token": _management_token,
    "client": _client,
    "api_key": _without_access,
}
"""By kind, what of a target is possible: kinds of which not all may or can come back."""
