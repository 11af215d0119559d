"""What holds beside the configuration."""

from __future__ import annotations

from fengling_gateway.balancing.overrides import NO_OVERRIDES, Overrides


class OverridesTests:
    def test_payload_is_read_field_by_field(self) -> None:
        """As the supervisor tells its workers."""
        payload = {"routes": ["r1", "r2"], "instances": ["i1"], "health_is_stale": True}
        told = Overrides.from_json(payload)
        assert told == (frozenset({"r1", "r2"}), frozenset({"i1"}), True)

    def test_payload_of_nothing_is_no_override(self) -> None:
        """Everything is as configured, and health counts."""
        payload = {"routes": [], "instances": [], "health_is_stale": False}
        assert Overrides.from_json(payload) == NO_OVERRIDES
