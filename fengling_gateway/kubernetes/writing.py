"""
Writing what the cluster wants: a plain function of a connection, which blocks.

One transaction, in the term of who watches the cluster: a console that was
stopped and goes on after another has taken over writes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from fengling_gateway.editing import transaction
from fengling_gateway.editing.changes import Planned
from fengling_gateway.editing.rows import read_some, snapshot
from fengling_gateway.kubernetes import table
from fengling_gateway.kubernetes.merging import Merged, merge
from fengling_gateway.kubernetes.removing import confirm_loss, require_few
from fengling_gateway.kubernetes.wants import Want
from fengling_gateway.kubernetes.withheld import Going
from fengling_gateway.model.entity import Key

AUTHOR: Final = "kubernetes"
"""Of all these revisions."""

APPLICATION: Final = "fengling-kubernetes"
"""What they are written with; a person may be called as the author is."""

_NAMED: Final = 3
"""Things that are named in a revision's comment."""


class RefusedError(Exception):
    """The database refuses what is to be written, as often as it is tried; nothing is written."""


@dataclass(frozen=True, slots=True)
class Written:
    """
    What a batch became.

    Attributes:
        revision: None: nothing had to be written.
        left: what is managed by somebody else, and by whom; nothing of it is written.
        refused: what can't be written, and why.
        lost: how many enabled routes are gone that nobody has confirmed, less those that are new.
    """

    revision: int | None = None
    held: str | None = None
    left: Mapping[Key, str] = field(default_factory=dict)
    refused: Mapping[Key, str] = field(default_factory=dict)
    lost: int = 0


def write(
    connection: Any, term: int, batch: Mapping[Key, Want], going: Going | None = None
) -> Written:
    """
    Write a batch, as far as it is not so already.

    Args:
        going: routes that go, beside those in the batch that nobody has confirmed.

    Raises:
        TooManyGoError: so many routes go that the revision would be held, and with it all that is
            written after it; nothing is written.
        TermOverError: somebody else watches the cluster.
        ConflictError, BusyError, UncertainError: of `editing.transaction`; try again.
    """
    found = _read(connection, batch)
    merged = {
        key: merge(key, want.row, found.rows.get(key), found.said.get(key))
        for key, want in batch.items()
    }
    refused = {**_without_service(merged, found), **_still_needed(connection, merged)}
    good = {key: one for key, one in merged.items() if key not in refused}
    left = {key: one.left_to for key, one in good.items() if one.left_to is not None}
    changes = [one.change for one in good.values() if one.change is not None]
    said = _new_words(good, batch, found.said)
    if not changes and not said:
        return Written(left=left, refused=refused)
    loss = require_few(connection, changes, going or Going())
    signature = transaction.Signature(
        author=AUTHOR,
        comment=comment(changes, batch),
        is_verified=True,
        application=APPLICATION,
    )

    def in_term(cursor: Any) -> None:
        table.require_term(cursor, term)
        table.write_said(cursor, said)

    committed = transaction.write(
        connection,
        changes,
        signature,
        also=in_term,
        at_end=partial(confirm_loss, loss=loss) if loss.is_any else None,
    )
    return Written(committed.revision, committed.held, left, refused, loss.now - loss.made)


@dataclass(frozen=True, slots=True)
class _Found:
    rows: Mapping[Key, dict[str, Any]]
    said: Mapping[Key, Mapping[str, Any]]


def _read(connection: Any, batch: Mapping[Key, Want]) -> _Found:
    """Read the entities of a batch, and the services that they need, as of one moment."""
    services = {Key("service", one) for want in batch.values() for one in services_of(want.row)}
    with snapshot(connection):
        rows = read_some(connection, services | batch.keys())
        said = {key: one.fields for key, one in table.read_said(connection, batch).items()}
    return _Found(rows, said)


def services_of(row: Mapping[str, Any] | None) -> set[str]:
    """Return the services that an instance or a route needs."""
    if row is None:
        return set()
    named = row.get("service_id")
    return {*(row.get("split") or ()), *([named] if named else ())}


def _without_service(merged: Mapping[Key, Merged], found: _Found) -> dict[Key, str]:
    """Say what can't be made because its service is not there, and not made either."""
    made = {
        key
        for key, one in merged.items()
        if one.change is not None and one.change.action == "create"
    }
    there = {key for key in found.rows if merged.get(key) is None or not _goes(merged[key])}
    refused = {}
    for key, one in merged.items():
        if one.change is None or one.change.action == "delete":
            continue
        needed = {Key("service", name) for name in services_of(one.change.values)}
        if missing := sorted(needed - made - there):
            refused[key] = f"{missing[0]} is not there"
    return refused


def _goes(one: Merged) -> bool:
    return one.change is not None and one.change.action == "delete"


_NEEDED_BY: Final = """
SELECT s.id, min(n.what) FROM unnest(%(services)s::text[]) AS s (id) JOIN (
    SELECT r.service_id AS service, 'route ' || r.id AS what FROM fengling.route AS r
    WHERE r.service_id = ANY (%(services)s) AND r.id <> ALL (%(routes)s)
    UNION ALL
    SELECT w.key, 'route ' || r.id FROM fengling.route AS r, jsonb_object_keys(r.split) AS w (key)
    WHERE r.split ?| %(services)s AND r.id <> ALL (%(routes)s)
    UNION ALL
    SELECT i.service_id, 'instance ' || i.id FROM fengling.instance AS i
    WHERE i.service_id = ANY (%(services)s) AND i.id <> ALL (%(instances)s)
) AS n ON n.service = s.id GROUP BY s.id
"""


def _still_needed(connection: Any, merged: Mapping[Key, Merged]) -> dict[Key, str]:
    """Say which services can't go, because something that is not the cluster's needs them."""
    going: dict[str, list[str]] = {"service": [], "route": [], "instance": []}
    for key, one in merged.items():
        if _goes(one):
            going[key.kind].append(key.id)
    if not going["service"]:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            _NEEDED_BY,
            {
                "services": going["service"],
                "routes": going["route"],
                "instances": going["instance"],
            },
        )
        found = {Key("service", name): f"{what} needs it" for name, what in cursor}
    connection.rollback()
    return found


def _new_words(
    merged: Mapping[Key, Merged],
    batch: Mapping[Key, Want],
    said: Mapping[Key, Mapping[str, Any]],
) -> dict[Key, table.Said | None]:
    """Return what is to be kept of what the cluster says; None: nothing any more."""
    words: dict[Key, table.Said | None] = {}
    for key, one in merged.items():
        if one.said is None:
            if key in said:
                words[key] = None
        elif said.get(key) != json.loads(json.dumps(one.said)):
            words[key] = table.Said(batch[key].origin, one.said)
    return words


def comment(changes: Iterable[Planned], batch: Mapping[Key, Want]) -> str:
    """Say in a line what happens: history is read by people."""
    signs = {"create": "new", "update": "changed", "delete": "gone"}
    counts = Counter((one.key.kind, signs[one.action]) for one in changes)
    what = ", ".join(
        f"{count} {kind}{'s' if count > 1 else ''} {sign}"
        for (kind, sign), count in sorted(counts.items())
    )
    origins = sorted({batch[one.key].origin for one in changes} - {""})
    named = ", ".join(origins[:_NAMED])
    more = f" and {len(origins) - _NAMED} more" if len(origins) > _NAMED else ""
    return f"{named}{more}: {what}" if named else what
