"""Which files the secrets of the settings came from, so that somebody can look who else may read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from fengling_gateway.settings.environment import FROM_FILE, variable

KEYS: Final = (
    *("database.url", "database.listen_url", "redis.url"),
    *("sync.keys", "management.token_keys", "oidc.client_secret", "tracing.headers"),
)
"""What is secret, or may have a password in it. (`secrets.key_file` is refused if others may read it.)"""

_ALWAYS: Final = ("oidc.client_secret", "tracing.headers")
"""Text that is secret whatever it looks like."""

_PASSWORD: Final = re.compile(r"://[^/\s@]*:[^\s]*@|\bpassword\s*=")


def secret_files(
    file: Path | None, raw: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[Path, ...]:
    """
    Return the files with secrets in them, the settings' own first.

    Args:
        raw: what is in `file`, before any other file is read.
    """
    return tuple(dict.fromkeys(_holders(file, raw, environ)))


def _holders(
    file: Path | None, raw: Mapping[str, Any], environ: Mapping[str, str]
) -> Iterator[Path]:
    written = {path: _value(raw, path) for path in KEYS}
    if file is not None and any(_is_secret(*one) for one in written.items()):
        yield file
    for path in KEYS:
        named = _value(raw, f"{path}_file")
        if file is not None and isinstance(named, str):
            yield file.parent / named
        if elsewhere := environ.get(f"{variable(path)}{FROM_FILE}"):
            yield Path(elsewhere)


def _value(raw: Mapping[str, Any], path: str) -> Any:
    section, _, key = path.partition(".")
    values = raw.get(section)
    return values.get(key) if isinstance(values, dict) else None


def _is_secret(path: str, value: Any) -> bool:
    """Whether it is a key, or a URL with a password."""
    if isinstance(value, list) or path in _ALWAYS:
        return bool(value)
    return isinstance(value, str) and _PASSWORD.search(value) is not None
