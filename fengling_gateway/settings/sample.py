"""
Writes the annotated samples of the settings files from the settings models.

    python -m fengling_gateway.settings.sample > etc/gateway.toml
    python -m fengling_gateway.settings.sample console > etc/console.toml

Defaults are shown commented out; what has to be set is not.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fengling_gateway.settings.console import ConsoleSettings
from fengling_gateway.settings.environment import section_of
from fengling_gateway.settings.model import GatewaySettings, ListenerSettings, ProgramSettings
from fengling_gateway.settings.values import Unit

_WIDTH: Final = 96
_HEADER: Final = """\
# Settings of a Fengling gateway: this host's own. Routes, services and instances
# are configuration, which all hosts share and which is kept in PostgreSQL.
#
# Every key can also come from the environment, [database] url as
# FENGLING_DATABASE__URL, or from a file that url_file here or
# FENGLING_DATABASE__URL_FILE names. What is commented out is the default.
#
# Made by: python -m fengling_gateway.settings.sample
"""

_CONSOLE_HEADER: Final = """\
# Settings of a Fengling console: this host's own. What it shares with gateways has the
# same keys and variables there.
#
# Every key can also come from the environment, [database] url as
# FENGLING_DATABASE__URL, or from a file that url_file here or
# FENGLING_DATABASE__URL_FILE names. What is commented out is the default.
#
# Made by: python -m fengling_gateway.settings.sample console
"""

_SET: Final = ("database.url",)
"""What a first start needs, and so is not commented out."""


def sample() -> str:
    """Return the text of ``etc/gateway.toml``."""
    return "\n".join(_lines(GatewaySettings, _HEADER)) + "\n"


def console_sample() -> str:
    """Return the text of ``etc/console.toml``."""
    return "\n".join(_lines(ConsoleSettings, _CONSOLE_HEADER)) + "\n"


def _lines(model: type[ProgramSettings], header: str) -> Iterator[str]:
    yield header
    sections = []
    for name, field in model.model_fields.items():
        if section_of(field.annotation) is not None or name == "listeners":
            sections.append((name, field))
        else:
            yield from _field_lines(name, name, field)
    for name, field in sections:
        section = ListenerSettings if name == "listeners" else section_of(field.annotation)
        assert section is not None
        yield ""
        yield from _comment(section.__doc__ or "")
        yield "[[listeners]]" if name == "listeners" else f"[{name}]"
        for key, inner in section.model_fields.items():
            yield from _field_lines(f"{name}.{key}", key, inner)


def _field_lines(path: str, key: str, field: FieldInfo) -> Iterator[str]:
    yield from _comment(field.description or "")
    is_set = path in _SET or field.is_required()
    has_default = not field.is_required() and field.default_factory is None and field.default
    example = field.examples[0] if field.examples else None
    value = field.default if has_default or field.default is False else example
    if value is None or isinstance(value, BaseModel):
        value = example or field.default
    yield f"{'' if is_set else '#'}{key} = {_written(value, field)}"


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(" ".join(text.split()), _WIDTH, break_on_hyphens=False):
        yield f"# {line}"


def _written(value: Any, field: FieldInfo) -> str:
    for unit in field.metadata:
        if isinstance(unit, Unit):
            text = unit.write(value)
            return str(text) if text.isdigit() else json.dumps(text)
    return _toml(value)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{key} = {_toml(inner)}" for key, inner in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(str(value) if isinstance(value, Path) else value)


if __name__ == "__main__":
    sys.stdout.write(console_sample() if sys.argv[1:] == ["console"] else sample())
