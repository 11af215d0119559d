"""
The last-known-good file: what a host starts from when all else is down.

Generations in one directory, each a whole configuration and what came after it:

    base-00000007.lkg       position, content hash, every body
    journal-00000007.lkg    deltas, appended

`LastKnownGood.rebase` begins a generation; the older ones stay for a while. A
base counts only if it is complete and its content hash is right, a delta of a
journal only if it is whole and its hashes fit. So a crash at any byte, a torn
sector or a flipped bit costs the newest deltas, or at worst a generation.

Everything here blocks: call it in a thread, one call at a time.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from twisted.logger import Logger

from fengling_gateway.configsource.checked_file import (
    MARK,
    DamagedFileError,
    block,
    read_blocks,
    sync_directory,
    write_fully,
    write_new,
)
from fengling_gateway.model.delta import (
    Change,
    Delta,
    Position,
    decode_changes,
    encode_changes,
)
from fengling_gateway.model.effective import hash_of
from fengling_gateway.model.entity import Key, add_hash, entity_hash, subtract_hash
from fengling_gateway.model.validation import CANONICAL_FORM, Accepted, validate

_log = Logger(namespace="fengling.config")

KEPT_GENERATIONS: Final = 3
MOST_GENERATIONS: Final = 20
OLDER_BYTES: Final = 64 * 1024 * 1024
"""For generations beyond those, from which what was served once can be had again (`find`)."""

KEPT_DAMAGED: Final = 3

MIN_JOURNAL_BYTES: Final = 4 * 1024 * 1024
"""A journal may grow to this, or to the size of its base, before a new base is due."""

_NAME: Final = re.compile(r"(?:base|journal)-([0-9]{8,15})\.lkg")
_DAMAGED: Final = ".damaged"
_TEMPORARY: Final = ".tmp"

Bodies = dict[Key, bytes]


class OutOfStepError(Exception):
    """A delta does not follow from what was written last."""


@dataclass(slots=True)
class _Restored:
    """What has been read back so far."""

    position: Position
    bodies: Bodies
    content_hash: int
    form: int


class LastKnownGood:
    """
    The last-known-good file of one node.

    Args:
        directory: Its own; created when something is first written.
    """

    def __init__(self, directory: Path | str) -> None:
        self._directory = Path(directory)
        self._generation = 0
        self._base_bytes = 0
        self._journal_bytes = 0
        # Where the newest generation ends. None before the first write, and
        # after one that failed.
        self._end: tuple[Position, int] | None = None
        self.quarantined = 0
        self.content_hash = 0

    def __repr__(self) -> str:
        return f"<LastKnownGood {self._directory} generation {self._generation}>"

    @property
    def wants_rebase(self) -> bool:
        """Whether the next write has to be, or should be, a `rebase`."""
        return self._end is None or self._journal_bytes > max(MIN_JOURNAL_BYTES, self._base_bytes)

    # Reading

    def load(self) -> tuple[Position, Bodies] | None:
        """
        Return the newest configuration that is whole; None where there is none.

        `content_hash` is then that of the bodies. Damaged files are set aside
        under another name, for somebody to look at.
        """
        for generation in self._generations():
            try:
                restored = self._read_base(generation)
            except FileNotFoundError:
                continue
            except (DamagedFileError, ValueError, LookupError, TypeError) as error:
                self._quarantine(self._path("base", generation), error)
                continue
            self._replay(generation, restored)
            if restored.form != CANONICAL_FORM:
                restored.bodies = _brought_up_to_date(restored.bodies)
                restored.content_hash = hash_of(restored.bodies)
            self.content_hash = restored.content_hash
            return restored.position, restored.bodies
        return None

    def find(self, epoch: str, revision: int) -> tuple[Position, Bodies] | None:
        """Return what was served at a revision of an epoch, if that is still kept."""
        for generation in self._generations():
            try:
                restored = self._read_base(generation)
            except (OSError, DamagedFileError, ValueError, LookupError, TypeError):
                continue
            wanted = (epoch, revision)
            if restored.position[:2] != wanted:
                self._replay(generation, restored, until=wanted)
            if restored.position[:2] == wanted:
                if restored.form != CANONICAL_FORM:
                    restored.bodies = _brought_up_to_date(restored.bodies)
                return restored.position, restored.bodies
        return None

    def _read_base(self, generation: int) -> _Restored:
        blocks = read_blocks(self._path("base", generation))
        meta = json.loads(next(blocks, b"null"))
        if meta is None:
            raise DamagedFileError("has no whole block")
        bodies: Bodies = {}
        for _ in range(meta["parts"]):
            for key, body in decode_changes(next(blocks, b"")):
                if body is not None:
                    bodies[key] = body
        content_hash = hash_of(bodies)
        if len(bodies) != meta["entities"] or content_hash != int(meta["content_hash"], 16):
            raise DamagedFileError("is not complete")
        return _Restored(_position(meta["position"]), bodies, content_hash, meta["form"])

    def _replay(
        self, generation: int, restored: _Restored, *, until: tuple[str, int] | None = None
    ) -> None:
        """
        Apply the deltas of a journal, up to the first that is not whole or does not fit.

        Args:
            until: an epoch and a revision after which to end.
        """
        path = self._path("journal", generation)
        try:
            blocks = read_blocks(path)
            for encoded in blocks:
                meta = json.loads(encoded)
                parts = [next(blocks, b"") for _ in range(meta["parts"])]
                changes = [change for part in parts for change in decode_changes(part)]
                if not _apply(restored, meta, changes):
                    raise DamagedFileError("ends with a delta that is not whole")
                if restored.position[:2] == until:
                    return
        except FileNotFoundError:
            return
        except (DamagedFileError, ValueError, LookupError, TypeError) as error:
            # What has been applied is whole, so this costs the newest deltas only.
            _log.warn(
                "last-known-good journal {path}: {error}; it counts up to revision {revision}",
                path=str(path),
                error=str(error),
                revision=restored.position.revision,
                log_id="config.journal_damaged",
            )

    # Writing

    def rebase(self, position: Position, bodies: Bodies) -> None:
        """
        Begin a generation with a whole configuration.

        Raises:
            OSError: it could not be written; what was there before still is.
        """
        self._end = None
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        content_hash = hash_of(bodies)
        generation = max(self._generations(), default=0) + 1
        meta = {
            "form": CANONICAL_FORM,
            "position": position,
            "entities": len(bodies),
            "content_hash": f"{content_hash:032x}",
        }
        self._base_bytes = write_new(
            self._path("base", generation),
            _with_parts(meta, [Change(key, body) for key, body in bodies.items()]),
        )
        self._generation = generation
        self._journal_bytes = 0
        self._end = (position, content_hash)
        self._remove_old()

    def append(self, delta: Delta) -> None:
        """Append one delta; see `append_all`."""
        self.append_all([delta])

    def append_all(self, deltas: Iterable[Delta]) -> None:
        """
        Append deltas, each following from the one before, and make them durable at once.

        Raises:
            OutOfStepError: they don't follow from what was written last.
            OSError: they could not be written; a `rebase` is needed now.
        """
        if self._end is None:
            raise OutOfStepError("nothing has been written yet that a delta could follow from")
        end, self._end = self._end, None
        content = bytearray()
        for delta in deltas:
            if (delta.before, delta.hash_before) != end:
                raise OutOfStepError(f"a delta begins at {delta.before}, and {end[0]} is the end")
            meta = {"position": delta.after, "content_hash": f"{delta.hash_after:032x}"}
            for encoded in _with_parts(meta, delta.changes):
                content += block(encoded)
            end = (delta.after, delta.hash_after)
        self._append(content)
        self._end = end

    def _append(self, content: bytearray) -> None:
        path = self._path("journal", self._generation)
        is_new = self._journal_bytes == 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        flags |= os.O_TRUNC if is_new else os.O_APPEND
        descriptor = os.open(path, flags, 0o600)
        try:
            self._journal_bytes += write_fully(descriptor, MARK + content if is_new else content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            sync_directory(self._directory)

    # Files

    def _path(self, kind: str, generation: int) -> Path:
        return self._directory / f"{kind}-{generation:08}.lkg"

    def _generations(self) -> list[int]:
        """Return the numbers of all generations, newest first."""
        found = {int(match[1]) for name in self._names() if (match := _NAME.match(name))}
        return sorted(found, reverse=True)

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._directory)
        except FileNotFoundError:
            return []

    def _quarantine(self, path: Path, error: Exception) -> None:
        self.quarantined += 1
        _log.error(
            "last-known-good file {path}: {error}; it is set aside, and an older one used",
            path=str(path),
            error=str(error),
            log_id="config.file_damaged",
        )
        try:
            os.replace(path, path.with_name(path.name + _DAMAGED))
        except OSError:
            pass  # it is skipped without that, too

    def _remove_old(self) -> None:
        """Remove generations and damaged files beyond those that are kept, and stale ones."""
        kept = set(self._kept())
        names = sorted(self._names(), reverse=True)
        damaged = [name for name in names if name.endswith(_DAMAGED)]
        for name in names:
            match = _NAME.match(name)
            is_old = match is not None and int(match[1]) not in kept
            if (is_old and name not in damaged) or name.endswith(_TEMPORARY):
                self._remove(name)
        for name in damaged[KEPT_DAMAGED:]:
            self._remove(name)

    def _kept(self) -> Iterator[int]:
        """Yield the generations that stay: the newest, and older ones as far as they are small."""
        room = OLDER_BYTES
        for place, generation in enumerate(self._generations()[:MOST_GENERATIONS]):
            if place >= KEPT_GENERATIONS:
                room -= self._size(generation)
            if room < 0:
                return
            yield generation

    def _size(self, generation: int) -> int:
        size = 0
        for kind in ("base", "journal"):
            try:
                size += self._path(kind, generation).stat().st_size
            except OSError:
                continue  # without a change there is no journal
        return size

    def _remove(self, name: str) -> None:
        try:
            (self._directory / name).unlink(missing_ok=True)
        except OSError as error:
            _log.warn(
                "can't remove {name}: {error}",
                name=name,
                error=str(error),
                log_id="config.file_not_removed",
            )


def _with_parts(meta: dict[str, Any], changes: Iterable[Change]) -> Iterator[bytes]:
    """Yield a block that says how many parts follow, and these."""
    parts = list(encode_changes(changes))
    yield json.dumps({**meta, "parts": len(parts)}).encode()
    yield from parts


def _position(value: list[Any]) -> Position:
    epoch, revision, token = value
    return Position(str(epoch), int(revision), str(token))


def _apply(restored: _Restored, meta: dict[str, Any], changes: list[Change]) -> bool:
    """Apply a delta if the hash of the result is what it should be; else change nothing."""
    content_hash = restored.content_hash
    after = dict(changes)
    for key, body in after.items():
        before = restored.bodies.get(key)
        if before is not None:
            content_hash = subtract_hash(content_hash, entity_hash(key, before))
        if body is not None:
            content_hash = add_hash(content_hash, entity_hash(key, body))
    if content_hash != int(meta["content_hash"], 16):
        return False
    restored.position, restored.content_hash = _position(meta["position"]), content_hash
    for key, body in after.items():
        if body is None:
            restored.bodies.pop(key, None)
        else:
            restored.bodies[key] = body
    return True


def _brought_up_to_date(bodies: Bodies) -> Bodies:
    """Give bodies that another version of the gateway wrote the form of this one."""
    current = {}
    for key, body in bodies.items():
        verdict = validate(key, json.loads(body))
        if isinstance(verdict, Accepted):
            current[key] = verdict.body
    return current
