"""Where the content of a revision comes from that somebody wants to be served."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fengling_gateway.configsource.judging import judge
from fengling_gateway.configsource.pin_file import Pin
from fengling_gateway.configsource.reading import SourceError
from fengling_gateway.model.delta import Position
from fengling_gateway.model.effective import EffectiveConfig, hash_of
from fengling_gateway.model.entity import Key

if TYPE_CHECKING:
    from fengling_gateway.supervisor.supervisor import Supervisor


class Contents:
    """Finds them: what is served, what is newest, what this host has kept, what the database has."""

    def __init__(self, supervisor: Supervisor, clock: Any) -> None:
        self._supervisor = supervisor
        self._clock = clock

    async def find(self, revision: int | None, *, by: str, comment: str) -> Pin:
        """
        Return what to pin.

        Args:
            revision: of the epoch that is served; None: what is served.

        Raises:
            ValueError: nothing is served yet.
            LookupError: it can't be had; says why, of each place where it might have been.
        """
        position, bodies, content_hash = await self._found(revision)
        return Pin(position, by, round(time.time(), 3), comment, content_hash, bodies)

    async def _found(self, revision: int | None) -> tuple[Position, dict[Key, bytes], int]:
        supervisor = self._supervisor
        served, newest = supervisor.position, supervisor.loop.position
        if served is None:
            raise ValueError("this node serves nothing yet that could be pinned")
        for position, config in ((served, supervisor.config), (newest, supervisor.loop.config)):
            if position is not None and revision in (None, position.revision):
                return position, dict(config.bodies), config.content_hash
        assert revision is not None, "or it has been found"
        kept = await supervisor.journal.find((newest or served).epoch, revision)
        if kept is not None:
            return *kept, hash_of(kept[1])
        try:
            return await self._of_source(revision)
        except SourceError as error:
            raise LookupError(
                f"revision {revision} can't be had: this host has not kept it; {error}"
            ) from error

    async def _of_source(self, revision: int) -> tuple[Position, dict[Key, bytes], int]:
        source: Any = self._supervisor.source
        if not hasattr(source, "read_at"):
            raise SourceError("and a file has no past")
        reading = await source.read_at(revision)
        config = EffectiveConfig()
        stage = config.stage(reading.rows, full=True)
        await judge(stage, history=lambda keys: source.history(keys, revision), clock=self._clock)
        stage.commit()
        return reading.target, dict(config.bodies), config.content_hash
