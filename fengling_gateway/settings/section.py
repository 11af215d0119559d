"""What all sections of settings are."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def keys_unlike(self, other: Section, prefix: str) -> list[str]:
        """Name the keys in which two sections differ."""
        fields = type(self).model_fields
        return [prefix + key for key in fields if getattr(self, key) != getattr(other, key)]
