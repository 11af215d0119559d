"""Parts of a configuration, chosen by the labels of entities. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Selector = Mapping[str, str]
"""Labels that an entity must have, all of them; none: any will do."""


def parse_selector(texts: Iterable[str]) -> dict[str, str]:
    """
    Read ``team=shop,tier=1``; several of them count together.

    Raises:
        ValueError: it is something else; the message says what is wrong.
    """
    selector: dict[str, str] = {}
    for text in texts:
        for pair in text.split(","):
            label, equals, value = (part.strip() for part in pair.partition("="))
            if not (label and equals):
                raise ValueError(f"{pair.strip() or text!r} is not like label=value")
            if selector.setdefault(label, value) != value:
                raise ValueError(f"label {label} can't have two values")
    return selector


def has_labels(row: Mapping[str, Any] | None, selector: Selector) -> bool:
    """Whether a row has all labels of a selector; numbers and the like as JSON writes them."""
    if not selector:
        return True
    labels = (row or {}).get("labels")
    if type(labels) is not dict:
        return False
    return all(name in labels and _text(labels[name]) == value for name, value in selector.items())


def _text(value: Any) -> str:
    return value if type(value) is str else json.dumps(value)
