"""
The versions of a configuration file: what a database's log is for its tables.

Each content that the file has had, and that could be used, is a revision. The
newest is the *head*; the *target*, which is served, is the head unless that is
held. Kept across restarts, so that what is held, and what a rejected entity
falls back to, don't depend on how long a gateway has run.

Blocks; used by one thread at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from twisted.logger import Logger

from fengling_gateway.configsource.checked_file import DamagedFileError
from fengling_gateway.configsource.file_entities import FileError, parse_entities
from fengling_gateway.configsource.file_state import Past, Rows, Version, read_past, write_past
from fengling_gateway.configsource.reading import (
    Held,
    NotHeldError,
    Reading,
    RevisionInfo,
    Row,
    SourceError,
)
from fengling_gateway.model.delta import Position
from fengling_gateway.model.entity import Key
from fengling_gateway.model.hold import must_be_held
from fengling_gateway.model.validation import Accepted, validate

_log = Logger(namespace="fengling.config")

KEPT_TARGETS: Final = 4
"""Earlier versions from which a reading can be incremental."""

KEPT_IMAGES: Final = 5
"""Earlier images of one entity that it can fall back to."""


class FileVersions:
    """
    The versions of one file.

    Args:
        path: The file, for its name in the log.
        state: Where to keep what a restart needs; None to forget it.
    """

    def __init__(self, path: Path, state: Path | None) -> None:
        self._path = path
        self._state = state
        self._past = Past()
        self._targets: OrderedDict[Position, Version] = OrderedDict()
        # The content that was refused last, and why: not parsed again at each look.
        self._refused: tuple[str, FileError] | None = None

    def __repr__(self) -> str:
        head = self._past.head
        return f"<FileVersions of {self._path} up to {head.revision if head else 0}>"

    def restore(self) -> None:
        """Go on from where the last run ended; from nothing where that can't be read."""
        if self._state is None:
            return
        try:
            past = read_past(self._state, self._path)
        except DamagedFileError as error:
            _log.warn(
                "{path}: {error}; the earlier versions of the file are forgotten",
                path=str(self._state),
                error=str(error),
                log_id="config.file_state_damaged",
            )
            return
        if past is not None and past.target is not None:
            self._past = past
            self._aim_at(past.target)

    def take(self, content: bytes, committed_at: float, author: str) -> bool:
        """
        Take the file's content; whether it is a new version.

        Raises:
            FileError: it can't be used. What there was stays.
        """
        token = blake2b(content, digest_size=16).hexdigest()
        before = self._past.head
        if before is not None and token == before.token:
            return False
        if self._refused is not None and self._refused[0] == token:
            raise self._refused[1]
        try:
            rows = parse_entities(content).rows
        except FileError as error:
            self._refused = (token, error)
            raise
        head = Version((before.revision if before else 0) + 1, token, rows, content)
        changes = self._remember(before.rows if before else {}, head)
        held = self._is_held(head)
        self._past.head = head
        self._past.log.append(self._info(head, held, changes, committed_at, author))
        if not held:
            self._aim_at(head)
        self._save()
        return True

    def confirm(self, revision: int) -> None:
        """
        Serve the head though it removes a lot.

        Raises:
            NotHeldError: that revision is not held.
        """
        head = self._past.head
        if head is None or head is self._past.target or head.revision != revision:
            raise NotHeldError(f"revision {revision} is not held")
        self._aim_at(head)
        self._save()

    def reading(self, after: Position | None) -> Reading:
        """
        Return what leads from a position to the target; everything from an unknown one.

        Raises:
            SourceError: nothing has been read yet.
        """
        target = self._past.target
        if target is None:
            raise SourceError(f"{self._path} has not been read yet")
        known = self._targets.get(after) if after is not None else None
        if known is None:
            rows = [Row(key, values) for key, values in target.rows.items()]
        else:
            rows = [Row(key, target.rows.get(key)) for key in _changed(known.rows, target.rows)]
        seen = after.revision if after is not None and after.epoch == self._past.epoch else 0
        return Reading(
            target=self._position(target),
            before=after if known is not None else None,
            rows=rows,
            revisions=[one for one in self._past.log if one.revision > seen],
            held=self._held(target),
            rows_read=len(rows),
        )

    def history(self, keys: Iterable[Key], up_to: int) -> dict[Key, list[dict[str, Any]]]:
        """Return earlier images of entities, newest first, of revisions ≤ `up_to`."""
        images = self._past.images
        return {
            key: [image for since, image in images.get(key, ()) if since <= up_to] for key in keys
        }

    def _remember(self, before: Rows, head: Version) -> int:
        """Keep the images that the head replaces; returns how many entities it changes."""
        changed = list(_changed(before, head.rows))
        images, since = self._past.images, self._past.since
        for key in changed:
            image = before.get(key)
            # A row that is wrong in itself is nothing to fall back to.
            if image is not None and isinstance(validate(key, image), Accepted):
                kept = images.setdefault(key, [])
                kept.insert(0, (since.get(key, 0), image))
                del kept[KEPT_IMAGES:]
            since[key] = head.revision
        self._forget_what_is_gone(head)
        return len(changed)

    def _forget_what_is_gone(self, head: Version) -> None:
        target = self._past.target
        for kept in (self._past.images, self._past.since):
            gone = [
                key
                for key in kept
                if key not in head.rows and (target is None or key not in target.rows)
            ]
            for key in gone:
                del kept[key]

    def _is_held(self, head: Version) -> bool:
        target = self._past.target
        return target is not None and must_be_held(target.tally, head.tally)

    def _held(self, target: Version) -> Held | None:
        head = self._past.head
        if head is None or head is target:
            return None
        return Held(head.revision, target.tally.enabled_routes, head.tally.enabled_routes)

    def _aim_at(self, version: Version) -> None:
        self._past.target = version
        self._targets[self._position(version)] = version
        while len(self._targets) > KEPT_TARGETS:
            self._targets.popitem(last=False)

    def _position(self, version: Version) -> Position:
        return Position(self._past.epoch, version.revision, version.token)

    def _info(
        self, head: Version, held: bool, changes: int, committed_at: float, author: str
    ) -> RevisionInfo:
        return RevisionInfo(
            revision=head.revision,
            token=head.token,
            kind="config",
            committed_at=committed_at,
            author=author,
            author_verified=False,
            db_user="",
            application="file",
            client_addr=None,
            comment=None,
            forced=False,
            held=held,
            changes=changes,
        )

    def _save(self) -> None:
        if self._state is None:
            return
        try:
            write_past(self._state, self._path, self._past)
        except OSError as error:
            _log.error(
                "{path} can't be written: {error}; serving goes on",
                path=str(self._state),
                error=str(error),
                log_id="config.file_state_failed",
            )


def _changed(before: Rows, after: Rows) -> Iterator[Key]:
    for key, values in after.items():
        # Python takes true for 1 and 1.0; validation does not.
        if before.get(key) != values or repr(before[key]) != repr(values):
            yield key
    for key in before:
        if key not in after:
            yield key
