"""
Writes plain JSON values as YAML: the inverse of `fengling_gateway.configsource.file_yaml`.

PyYAML writes for readers of YAML 1.1, to whom ``1e5`` and ``08`` are text, and
it writes U+0085 as the line break that it is there. So what `read_yaml` would
take for something else than this text is put in quotes here.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from fengling_gateway.configsource.file_yaml import TEXT_TAG, plain_value

WIDTH: Final = 100
"""Columns after which a long text goes on in the next line."""


def write_yaml(document: Any) -> str:
    """Return the text from which `read_yaml` makes an equal document; its names are all text."""
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH
    )
    return text


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Repeat what is shared: anchors are hard to read, and harder to edit."""
        return True


def _represent_text(dumper: _Dumper, text: str) -> Any:
    return dumper.represent_scalar(TEXT_TAG, text, style=_quotes(text))


def _quotes(text: str) -> str | None:
    """Return the quotes that our reader needs; for other reasons PyYAML adds its own."""
    if not text.isprintable() and not text.replace("\n", "").isprintable():
        return '"'
    if _is_block(text):
        return "|"
    return None if plain_value(text) is text else "'"


def _is_block(text: str) -> bool:
    """Whether text is lines that people can read as they are: PEM above all."""
    lines = text.split("\n")
    return (
        len(lines) > 3
        and lines.pop() == ""
        and all(line and line == line.strip() for line in lines)
    )


_Dumper.add_representer(str, _represent_text)
