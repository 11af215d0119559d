"""What people write in a cluster, as a database takes it. Pure."""

from __future__ import annotations

import math
from typing import Any


def storable(value: Any) -> Any:
    """Return JSON without what jsonb refuses: NUL, halves of surrogate pairs, numbers that are none."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {storable(str(name)): storable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [storable(one) for one in value]
    return value
