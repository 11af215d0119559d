"""What status warns of."""

from __future__ import annotations

from typing import Any

from fengling_gateway.model.effective import EffectiveConfig
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from fengling_gateway.supervisor.api_keys import SHOWN, ApiKeyWatch

NOW = 1_767_225_600.0  # 2026-01-01


def bodies(**ends: Any) -> dict[Key, bytes]:
    found = {}
    for name, fields in ends.items():
        values = fields if isinstance(fields, dict) else {"expires_at": fields}
        verdict = validate(Key("api_key", name), {"client_id": "c", "digest": "ab" * 32, **values})
        assert isinstance(verdict, Accepted), verdict
        found[Key("api_key", name)] = verdict.body
    return found


class WarningTests:
    def setup_method(self) -> None:
        self.config = EffectiveConfig()
        self.watch = ApiKeyWatch(self.config)

    def warned(self, now: float = NOW) -> list[str]:
        return [one["id"] for one in self.watch.warnings(now)]

    def test_keys_that_are_over_are_named_the_oldest_first(self) -> None:
        """Not those that are revoked, that have no end, or whose end is to come."""
        gone = {"expires_at": NOW - 5, "enabled": False}
        self.config.restore(bodies(a=NOW - 1, b=NOW - 86400, c=NOW + 1, d=None, e=gone, f=NOW))
        assert self.warned() == ["b", "a", "f"]
        assert self.watch.warnings(NOW)[0] == {
            "kind": "api_key",
            "id": "b",
            "message": "API key b has expired on 2025-12-31 00:00:00Z; revoke or delete it",
        }

    def test_time_passes_without_a_revision(self) -> None:
        """And a revision counts as soon as it is in effect."""
        self.config.restore(bodies(a=NOW + 5))
        assert self.warned() == []
        assert self.warned(NOW + 5) == ["a"]
        self.config.restore(bodies(a={"expires_at": NOW + 5, "enabled": False}))
        assert self.warned(NOW + 5) == []
        self.config.restore({})
        assert self.warned() == []

    def test_warnings_are_bounded(self) -> None:
        """Nobody reads a thousand."""
        self.config.restore(bodies(**{f"k{number}": NOW - number for number in range(SHOWN + 9)}))
        assert len(self.warned()) == SHOWN
