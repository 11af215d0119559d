"""Reading objects of the API: what is left out is what the API says it is then. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from fengling_gateway.kubernetes.objects import ObjectName, name_of

Shape = Mapping[str, Any]

NOTHING: Final[Shape] = {}


class Metadata(NamedTuple):
    """
    What every object has.

    Attributes:
        generation: of what somebody wants of it; statuses say which one they are about.
        created: seconds since 1970; 0 where it is unknown.
    """

    name: ObjectName
    generation: int
    created: int


def metadata(obj: Shape) -> Metadata:
    """
    Raises:
        ValueError: the object has no name.
    """
    name = name_of(obj)
    found = obj["metadata"]
    return Metadata(
        name=name,
        generation=whole(found, "generation", 0),
        created=_seconds(text(found, "creationTimestamp")),
    )


def text(obj: Shape, key: str, default: str = "") -> str:
    value = obj.get(key)
    return value if isinstance(value, str) and value else default


def some_text(obj: Shape, key: str) -> str | None:
    """Return text, or None where there is none."""
    value = obj.get(key)
    return value if isinstance(value, str) and value else None


def whole(obj: Shape, key: str, default: int) -> int:
    value = obj.get(key)
    return value if type(value) is int else default


def some_whole(obj: Shape, key: str) -> int | None:
    value = obj.get(key)
    return value if type(value) is int else None


def part(obj: Shape, key: str) -> Shape:
    """Return an object within an object; an empty one where there is none."""
    value = obj.get(key)
    return value if isinstance(value, dict) else NOTHING


def some_part(obj: Shape, key: str) -> Shape | None:
    value = obj.get(key)
    return value if isinstance(value, dict) else None


def parts(obj: Shape, key: str) -> tuple[Shape, ...]:
    """
    Return a list of objects.

    Raises:
        ValueError: there is something else.
    """
    value = obj.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError(f"{key} is no list of objects")
    return tuple(value)


def texts(obj: Shape, key: str) -> tuple[str, ...]:
    value = obj.get(key)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _seconds(when: str) -> int:
    try:
        return int(datetime.fromisoformat(when).astimezone(UTC).timestamp()) if when else 0
    except ValueError:
        return 0
