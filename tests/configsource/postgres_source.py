"""Sources on real databases, for tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fengling_gateway.configsource.postgres import PostgresSource
from fengling_gateway.configsource.reading import Reading
from fengling_gateway.model.delta import Position
from tests.configsource.postgres_loop import ThreadLoop


@dataclass(frozen=True)
class Settings:
    """What a source asks its settings for, with patience fit for tests."""

    url: str | None
    listen_url: str | None = None
    listen: bool = True
    connect_timeout: float = 2.0
    statement_timeout: float = 20.0


class SourceInTest:
    """A running source, its hints, and a session beside it."""

    def __init__(self, dsn: str, **settings: Any) -> None:
        self.loop = ThreadLoop()
        self.hints: list[tuple[str, dict[str, Any]]] = []
        self.on_hint: Callable[[str, dict[str, Any]], object] = lambda *_: None
        self.source = PostgresSource(
            reactor=self.loop,
            settings=Settings(dsn, **settings),
            on_hint=self._hinted,
            rng=random.Random(1),
            wall=lambda: 1795334400.0,
        )
        self.dsn = dsn
        self.source.start()

    def _hinted(self, reason: str, details: dict[str, Any]) -> None:
        self.hints.append((reason, details))
        self.on_hint(reason, details)

    @property
    def state(self) -> Any:
        return self.source.state

    def read(self, after: Position | None = None) -> Reading:
        return self.loop.result(self.source.read(after))

    def read_all(self) -> Reading:
        return self.loop.result(self.source.read_all())

    def listening(self) -> None:
        """Wait until it listens, and forget the hints so far."""
        self.loop.until(lambda: self.state.listening)
        self.hints.clear()

    def hint(self, reason: str, *, timeout: float = 20.0) -> dict[str, Any]:
        """Wait for a hint; return its details and forget it and those before it."""

        def found() -> list[dict[str, Any]]:
            return [details for one, details in self.hints if one == reason]

        [details, *_] = self.loop.until(found, timeout=timeout)
        self.hints.clear()
        return details

    def stop(self) -> None:
        self.loop.result(self.source.stop())


def contents(reading: Reading) -> dict[str, Any]:
    """Return the rows by "kind id", without their bookkeeping."""
    ignored = {"version", "created_at", "updated_at"}
    return {
        str(key): values and {name: value for name, value in values.items() if name not in ignored}
        for key, values in reading.rows
    }
