"""Changes of configuration and of the gateway's state, in words.

Pure: rows and status documents in, sentences out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_NOT_TOLD: Final = frozenset({"id", "version", "created_at", "updated_at", "key"})
_MOST_CHANGES: Final = 3
_LONGEST_VALUE: Final = 60


@dataclass(frozen=True)
class ChangeRow:
    """One row of ``fengling.revision_change``."""

    entity: str
    entity_id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass(frozen=True)
class RevisionRow:
    """One row of ``fengling.revision`` with its first changes; times in epoch seconds."""

    id: int
    kind: str
    committed_at: float
    author: str
    application: str
    comment: str
    held: bool
    count: int
    changes: tuple[ChangeRow, ...] = field(default=())


def who(revision: RevisionRow) -> str:
    """Say who made a revision, and with what."""
    return (
        f"{revision.author} via {revision.application}" if revision.application else revision.author
    )


def what(revision: RevisionRow) -> str:
    """Say what a revision changed: each change when they are few, else how many of what."""
    if len(revision.changes) == revision.count <= _MOST_CHANGES:
        return "; ".join(change_words(change) for change in revision.changes)
    kinds = Counter((change.entity, _done(change)) for change in revision.changes)
    if kinds.total() < revision.count:
        return f"{revision.count:,} " + ("change" if revision.count == 1 else "changes")
    return ", ".join(f"{_counted(number, kind)} {done}" for (kind, done), number in kinds.items())


def change_words(change: ChangeRow) -> str:
    """Say what became of one entity, field by field for an update."""
    name = f"{change.entity.replace('_', ' ')} {change.entity_id}"
    if change.before is None or change.after is None:
        return f"{name} {_done(change)}"
    fields = list(_field_words(change.entity_id, change.before, change.after))
    return f"{name}: {', '.join(fields)}" if fields else f"{name} touched"


def _done(change: ChangeRow) -> str:
    if change.before is None:
        return "created"
    return "removed" if change.after is None else "changed"


def _field_words(
    entity_id: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterable[str]:
    for name in sorted({*before, *after} - _NOT_TOLD):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if name == "digest":
            yield "another key"
            continue
        if (
            name in ("policies", "match", "limits")
            and isinstance(old, dict)
            and isinstance(new, dict)
        ):
            for key in sorted({*old, *new}):
                if old.get(key) != new.get(key):
                    yield f"{name}.{key} {_value(old.get(key))} → {_value(new.get(key))}"
        elif name == "split":
            yield f"split {_split(entity_id, old)} → {_split(entity_id, new)}"
        else:
            yield f"{name} {_value(old)} → {_value(new)}"


def _split(route_id: str, weights: Any) -> str:
    """Say a split without repeating the route's name in each service's."""
    if not isinstance(weights, dict):
        return _value(weights)
    return ", ".join(
        f"{service.removeprefix(route_id + '-')} {weight}" for service, weight in weights.items()
    )


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "on" if value else "off"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _counted(number: int, kind: str) -> str:
    word = kind.replace("_", " ")
    return f"{number} {word}" + ("" if number == 1 or word.endswith("health") else "s")


def served(status: Mapping[str, Any], revision: RevisionRow) -> str | None:
    """
    Say how many workers serve a revision and after what time; None: not all of them yet.

    What of it is rejected is served by nobody, and said so. The time is from the
    commit, by the database's clock, to the last worker's swap; both clocks are
    this machine's.
    """
    workers = status.get("workers") or []
    there = [worker for worker in workers if (worker.get("revision") or 0) >= revision.id]
    if not workers or len(there) < len(workers):
        return None
    refused = _refused(status, revision)
    if len(refused) == revision.count:
        return "rejected: no change in what is served"
    text = f"served by {len(there)}/{len(workers)} workers"
    times = [worker.get("applied_at") for worker in there if worker.get("revision") == revision.id]
    if times and all(times):
        text += f" in {max(0.0, max(times) - revision.committed_at) * 1000:.1f} ms"
    if refused:
        few = len(refused) <= _MOST_CHANGES
        text += f", but for what is rejected: {', '.join(refused) if few else len(refused)}"
    return text


def _refused(status: Mapping[str, Any], revision: RevisionRow) -> list[str]:
    """Return the entities of a revision that are rejected."""
    rejected = {(one.get("kind"), one.get("id")) for one in status.get("rejected") or []}
    return [
        f"{change.entity.replace('_', ' ')} {change.entity_id}"
        for change in revision.changes
        if (change.entity, change.entity_id) in rejected
    ]


@dataclass(frozen=True)
class Sight:
    """
    What one look at the gateway's status shows, reduced to what is worth telling.

    Attributes:
        workers: pid of each live worker by its name.
        rejected: for each rejected entity what is wrong and what serves instead.
    """

    workers: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, str] = field(default_factory=dict)
    held: str | None = None
    connected: bool = True
    redis: bool = True

    @classmethod
    def of(cls, status: Mapping[str, Any]) -> Sight:
        """Read a status document of the management API."""
        redis = status.get("redis") or {}
        held = status.get("held")
        return cls(
            workers={
                str(worker.get("worker")): int(worker.get("pid") or 0)
                for worker in status.get("workers") or []
                if worker.get("state") in (None, "serving", "ready")
            },
            rejected={
                f"{entity.get('kind')} {entity.get('id')}": _rejection(entity)
                for entity in status.get("rejected") or []
            },
            held=None if not held else str(held.get("message")),
            connected=bool((status.get("source") or {}).get("connected", True)),
            redis=bool(redis.get("connected", True)) or not redis.get("configured", True),
        )


def _rejection(entity: Mapping[str, Any]) -> str:
    problems = entity.get("problems") or [{}]
    first = problems[0]
    text = str(first.get("message") or first.get("code") or "not valid")
    name = f"{entity.get('kind')} {entity.get('id')}"
    where = str(first.get("path") or "").removeprefix(name).removeprefix(": ")
    if where:
        text = f"{where}: {text}"
    if len(problems) > 1:
        text += f" (and {len(problems) - 1} more)"
    serving = entity.get("serving")
    return text + (f" · {serving} keeps serving" if serving == "previous version" else "")


@dataclass(frozen=True)
class Remark:
    """A sentence for the narration; `mood` chooses its mark and colour: good, bad or plain."""

    mood: str
    text: str


def remarks(before: Sight, now: Sight) -> list[Remark]:
    """Say what has changed between two looks."""
    found = [*_worker_remarks(before, now), *_rejected_remarks(before, now)]
    if now.held and now.held != before.held:
        found.append(Remark("bad", f"{now.held} · what was before keeps serving"))
    if before.held and not now.held:
        found.append(Remark("good", "nothing is held any more"))
    if before.connected != now.connected:
        found.append(
            Remark("good", "PostgreSQL is back; the gateway listens and has read what it missed")
            if now.connected
            else Remark("bad", "PostgreSQL is gone; the gateway serves what it has")
        )
    if before.redis != now.redis:
        found.append(
            Remark("good", "Redis is back")
            if now.redis
            else Remark("bad", "Redis is gone; the control channel and LISTEN carry on")
        )
    return found


def _worker_remarks(before: Sight, now: Sight) -> Iterable[Remark]:
    for name, pid in before.workers.items():
        if name not in now.workers:
            yield Remark(
                "bad", f"worker {name} (pid {pid}) is gone; the others take its connections"
            )
        elif now.workers[name] != pid:
            yield Remark(
                "good", f"worker {name}: pid {pid} is gone, pid {now.workers[name]} serves"
            )
    if before.workers:
        for name in now.workers.keys() - before.workers.keys():
            yield Remark("good", f"worker {name} (pid {now.workers[name]}) serves")


def _rejected_remarks(before: Sight, now: Sight) -> Iterable[Remark]:
    for name, reason in now.rejected.items():
        if before.rejected.get(name) != reason:
            yield Remark("bad", f"rejected: {name}: {reason}")
    for name in before.rejected.keys() - now.rejected.keys():
        yield Remark("good", f"{name} is no longer rejected")
