"""
Reads YAML into plain JSON values, remembering on which lines they are.

The scalars are those of YAML 1.2: ``yes``, ``on`` and ``1:30`` are text, so that
a country or a duration is not taken for something else. Names of fields are
text, also where they look like numbers. Anchors, aliases and merge keys work;
tags don't, nor does a second document. Values may be shared (by aliases), so
they are to be copied before they are changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

MAX_DEPTH: Final = 100
MAX_VALUES: Final = 10_000_000
"""Most values, with each alias counted as what it stands for; ten times 100,000 routes."""

MAX_LINED_DEPTH: Final = 4
"""Lines are remembered of mappings up to here: entities and their fields."""

_NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS: Final = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
# (As long as the largest that a free value may be; a longer one is read as a float.)
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,301}")
_OTHER_BASE: Final = re.compile(r"0o[0-7]{1,20}|0x[0-9a-fA-F]{1,20}")
_FLOAT: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,4})?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_DIGITS_AND_DOT: Final = "0123456789."
TEXT_TAG: Final = "tag:yaml.org,2002:str"
_MERGE: Final = "<<"
_ID: Final = "id"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlError(Exception):
    """The text is no YAML that is understood here; the message names the line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line


@dataclass(slots=True)
class Lines:
    """What the values don't say, by a mapping's `id`: on which lines it and its fields begin."""

    starts: dict[int, int] = field(default_factory=dict)
    fields: dict[int, dict[Any, int]] = field(default_factory=dict)
    # Fields that a mapping has twice: name, line, and line of the first.
    repeated: dict[int, list[tuple[Any, int, int]]] = field(default_factory=dict)
    # What a mapping has as its "id", where that is read as a number: 8, though 08 is written.
    ids: dict[int, str] = field(default_factory=dict)
    # Keeps alive what is known by its `id`.
    kept: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been seen yet."""

    value: Any
    line: int
    anchor: str | None
    depth: int
    lines: dict[Any, int]
    size: int = 1
    key: Any = None
    has_key: bool = False
    merges: bool = False
    merged: list[Any] = field(default_factory=list)
    id_text: str | None = None


def read_yaml(content: bytes) -> tuple[Any, Lines]:
    """
    Return the value of one YAML document; None for an empty one.

    Raises:
        YamlError: the first thing that is wrong with the text.
    """
    builder = _Builder()
    try:
        for event in yaml.parse(content, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 1, error.problem or "is no YAML") from error
    except (yaml.YAMLError, ValueError) as error:
        raise YamlError(1, " ".join(str(error).split())) from error
    return builder.root, builder.lines


class _Builder:
    """Puts values together from the parser's events; no recursion, so no depth can hurt."""

    def __init__(self) -> None:
        self.root: Any = None
        self.lines = Lines()
        self._documents = 0
        # What anchors name, its size (how many values it comes to), and a number as written.
        self._anchors: dict[str, tuple[Any, int, str | None]] = {}
        self._open: list[_Open] = []

    def take(self, event: Any) -> None:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            value = _scalar(event)
            text = event.value if type(value) is int or type(value) is float else None
            if event.anchor is not None:
                self._anchors[event.anchor] = (value, 1, text)
            self._add(value, 1, text, event)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self._begin({} if kind is yaml.MappingStartEvent else [], event)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._end(event)
        elif kind is yaml.AliasEvent:
            if event.anchor not in self._anchors:
                raise YamlError(_line(event), f"*{event.anchor} is not defined before it")
            value, size, text = self._anchors[event.anchor]
            self._add(value, size, text, event)
        elif kind is yaml.DocumentStartEvent:
            self._documents += 1
            if self._documents > 1:
                raise YamlError(_line(event), "there must be one document, and a second begins")

    def _begin(self, value: Any, event: Any) -> None:
        if event.tag is not None:
            raise YamlError(_line(event), f"tags like {event.tag[:50]} are not supported")
        if len(self._open) >= MAX_DEPTH:
            raise YamlError(_line(event), f"is nested more than {MAX_DEPTH} deep")
        self._open.append(_Open(value, _line(event), event.anchor, len(self._open), {}))

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        if done.merged:
            self._merge(done)
        if type(done.value) is dict and done.depth <= MAX_LINED_DEPTH:
            self.lines.starts[id(done.value)] = done.line
            self.lines.fields[id(done.value)] = done.lines
            self.lines.kept.append(done.value)
        if done.id_text is not None:
            self.lines.ids[id(done.value)] = done.id_text
            self.lines.kept.append(done.value)
        if done.anchor is not None:
            self._anchors[done.anchor] = (done.value, done.size, None)
        self._add(done.value, done.size, None, event)

    def _merge(self, done: _Open) -> None:
        own = dict(done.value)
        done.value.clear()
        for source in reversed(done.merged):
            done.value.update(source)
            if _ID in source and _ID not in own:
                done.id_text = self.lines.ids.get(id(source))
        done.value.update(own)

    def _add(self, value: Any, size: int, text: str | None, event: Any) -> None:
        """Put a value where it belongs; ``text`` is how a number is written."""
        if not self._open:
            self.root = value
            return
        parent = self._open[-1]
        parent.size += size
        if parent.size > MAX_VALUES:
            raise YamlError(_line(event), f"aliases make more than {MAX_VALUES} values of it")
        if type(parent.value) is list:
            parent.value.append(value)
        elif not parent.has_key:
            self._take_key(parent, value if text is None else text, event)
        else:
            parent.has_key = False
            if parent.merges:
                self._take_merge(parent, value, event)
            elif parent.key not in parent.value:
                parent.value[parent.key] = value
                if parent.key == _ID:
                    parent.id_text = text

    def _take_key(self, parent: _Open, key: Any, event: Any) -> None:
        if type(key) is list or type(key) is dict:
            raise YamlError(_line(event), "a name must be text")
        if key in parent.lines:
            repeated = self.lines.repeated.setdefault(id(parent.value), [])
            repeated.append((key, _line(event), parent.lines[key]))
            self.lines.kept.append(parent.value)
        else:
            parent.lines[key] = _line(event)
        parent.key, parent.has_key = key, True
        parent.merges = key == _MERGE and type(event) is yaml.ScalarEvent and _is_plain(event)

    def _take_merge(self, parent: _Open, value: Any, event: Any) -> None:
        sources = value if type(value) is list else [value]
        if not all(type(source) is dict for source in sources):
            raise YamlError(_line(event), "<< takes mappings only")
        parent.merged.extend(sources)


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.tag is not None:
        if event.tag == TEXT_TAG:
            return text
        raise YamlError(_line(event), f"tags like {event.tag[:50]} are not supported")
    return plain_value(text) if _is_plain(event) else text


def _is_plain(event: Any) -> bool:
    """Whether a scalar is neither in quotes nor a block, and has no tag."""
    return not event.style and bool(event.implicit[0])


def plain_value(text: str) -> Any:
    """Return what a scalar means that is written without quotes."""
    first = text[:1]
    if first.isalpha() and first not in "nNtTfF":
        return text
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    return _number(text) if first in "0123456789+-." else text


def _number(text: str) -> Any:
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        # Python's names of what is not finite have no dot in front.
        return float(text if text[-1] in _DIGITS_AND_DOT else text.lower().replace(".", ""))
    return text
