"""What there is to say of API keys that are served: the day decides it, and no validation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from fengling_gateway.model.clients import ends_of_keys
from fengling_gateway.model.effective import EffectiveConfig

SHOWN: Final = 100
"""Warnings at most."""


class ApiKeyWatch:
    """Looks at the API keys of a configuration, whose ends it reads once each revision."""

    def __init__(self, config: EffectiveConfig) -> None:
        self._config = config
        self._read_of: tuple[int, int] | None = None
        self._ends: list[tuple[float, str]] = []

    def warnings(self, now: float) -> list[dict[str, str]]:
        """Return the keys that are enabled and over, the oldest first; `now` is epoch seconds."""
        over = sorted(one for one in self._all() if one[0] <= now)
        return [
            {
                "kind": "api_key",
                "id": key_id,
                "message": f"API key {key_id} has expired on {_date(ended)}; revoke or delete it",
            }
            for ended, key_id in over[:SHOWN]
        ]

    def _all(self) -> list[tuple[float, str]]:
        config = self._config
        count = config.count("api_key")
        if self._read_of != (config.content_hash, count):
            self._read_of = config.content_hash, count
            self._ends = list(ends_of_keys(config.bodies.items())) if count else []
        return self._ends


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
