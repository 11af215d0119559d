"""Configuration files as a command reads them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fengling_gateway.cli.errors import CommandError
from fengling_gateway.configsource.file_entities import FileError, parse_entities
from fengling_gateway.configsource.reading import SourceError
from fengling_gateway.model.entity import Key


def read_files(
    paths: Iterable[str], *, may_be_empty: bool = True
) -> tuple[dict[Key, dict[str, Any]], dict[Key, str]]:
    """
    Return the entities of all files, and where each one is; ``-`` is stdin.

    Args:
        may_be_empty: whether a file may say nothing at all, not even ``{}``.

    Raises:
        CommandError: a file can't be used, or an entity is in two files.
    """
    rows: dict[Key, dict[str, Any]] = {}
    places: dict[Key, str] = {}
    for path in paths:
        try:
            entities = parse_entities(_content(path), may_be_empty=may_be_empty)
        except FileError as error:
            raise CommandError(f"{path}: {'; '.join(error.problems[:10])}") from error
        except SourceError as error:
            raise CommandError(f"{path}: {error}") from error
        for key, values in entities.rows.items():
            place = f"{path}:{entities.lines.get(key, 1)}"
            if key in rows:
                raise CommandError(f"{key} is in two files: {places[key]} and {place}")
            rows[key], places[key] = values, place
    return rows, places


def _content(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
