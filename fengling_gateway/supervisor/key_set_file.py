"""
The file of key sets: what issuers had published when they were last heard.

A host that starts while an issuer is away goes on with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from fengling_gateway.configsource.checked_file import DamagedFileError, read_blocks, write_new
from fengling_gateway.supervisor.published_keys import Kept

_log = Logger(namespace="fengling.issuers")

MAX_BYTES: Final = 16 * 1024 * 1024
"""Room for 64 of the largest key sets, or 5,000 usual ones; what is beyond is not kept."""

_LATEST: Final = 2.0**33
"""Seconds since the epoch, in the 23rd century: what is later, or no number, is no date."""

Sets = Mapping[tuple[str, str], Kept]
"""By an issuer's id and where it publishes its keys: elsewhere there may be others."""


class KeySetFile:
    """
    Reads it at once, and writes it in a thread, one write at a time.

    Args:
        in_thread: runs a function in a thread.
    """

    def __init__(self, directory: Path, in_thread: Callable[..., Deferred[Any]]) -> None:
        self._path = directory / "key-sets"
        self._in_thread = in_thread
        self._next: Sets | None = None
        self._is_writing = False
        self._written: Deferred[None] = succeed(None)
        self.failures = 0
        self.is_failing = False

    def __repr__(self) -> str:
        return f"<KeySetFile {self._path}{', failing' if self.is_failing else ''}>"

    def load(self) -> dict[tuple[str, str], Kept]:
        """Return what there is; nothing where it can't be read, which is told."""
        try:
            if self._path.stat().st_size > MAX_BYTES:
                raise DamagedFileError(f"has more than {MAX_BYTES} bytes")
            return dict(_records(read_blocks(self._path)))
        except FileNotFoundError:
            return {}
        except (
            DamagedFileError,
            OSError,
            ValueError,
            LookupError,
            TypeError,
            RecursionError,
        ) as error:
            _log.warn(
                "{path} can't be used: {error}; keys are fetched anew",
                path=self._path,
                error=str(error),
                log_id="issuer.file_damaged",
            )
            return {}

    def save(self, sets: Sets) -> None:
        """Write all of them, soon; the newest of what is given meanwhile counts."""
        self._next = sets
        if not self._is_writing:
            self._is_writing = True
            self._written = Deferred.fromCoroutine(self._write())

    def stop(self) -> Deferred[None]:
        """Fires when nothing is being written any more."""
        return self._written.addBoth(lambda _: None)

    async def _write(self) -> None:
        while self._next is not None:
            sets, self._next = self._next, None
            try:
                await self._in_thread(self._write_now, sets)
            except Exception as error:
                self._failed(error)
            else:
                self.is_failing = False
        self._is_writing = False

    def _write_now(self, sets: Sets) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_new(self._path, _blocks(sets))

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if not self.is_failing:
            _log.error(
                "{path} can't be written: {error}; a start while issuers are away would be "
                "without their keys",
                path=self._path,
                error=str(error),
                log_id="issuer.file_failed",
            )
        self.is_failing = True


def _blocks(sets: Sets) -> Iterator[bytes]:
    left = MAX_BYTES - 1024
    for (issuer, source), kept in sorted(sets.items()):
        record = {"issuer": issuer, "source": source, **kept._asdict()}
        payload = json.dumps(record, separators=(",", ":")).encode()
        left -= len(payload) + 16
        if left >= 0:
            yield payload


def _records(blocks: Iterable[bytes]) -> Iterator[tuple[tuple[str, str], Kept]]:
    for payload in blocks:
        record = json.loads(payload)
        kept = Kept(dict(record["document"]), float(record["fetched_at"]))
        if not 0 <= kept.fetched_at < _LATEST:
            raise ValueError("a time that is none")
        yield (str(record["issuer"]), str(record["source"])), kept
