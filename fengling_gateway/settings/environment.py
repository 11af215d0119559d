"""
Settings from the environment: ``[database] url`` is ``FENGLING_DATABASE__URL``.

With ``_FILE`` after the name the value is a file's content, as container
platforms hand out secrets. A variable that looks like one of ours and is none
is a problem, except for what our own tools read (`OTHERS`) and what Kubernetes
adds for a service of such a name (``FENGLING_GATEWAY_PORT``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Final, get_origin

from fengling_gateway.model.problems import Problem, label
from fengling_gateway.settings.model import GatewaySettings
from fengling_gateway.settings.section import Section
from fengling_gateway.settings.values import HIDDEN, may_hold_secret

PREFIX: Final = "FENGLING_"
FROM_FILE: Final = "_FILE"

OTHERS: Final = frozenset(
    (
        # fenglingctl, scripts/reload-api
        *("FENGLING_CONTEXT", "FENGLING_DATABASE", "FENGLING_MANAGEMENT"),
        "FENGLING_CONSOLE",
        *("FENGLING_TOKEN", "FENGLING_TOKEN_FILE"),
        # scripts/quickstart
        *("FENGLING_CALLED_AS", "FENGLING_CALLED_FROM"),
        # setup.py, scripts/test
        *("FENGLING_EXTENSIONS", "FENGLING_NO_EXTENSIONS", "FENGLING_HYPOTHESIS"),
    )
)
"""Variables that are no settings of a gateway, and may be in its environment all the same."""

_KUBERNETES: Final = re.compile(
    r"FENGLING_([A-Z0-9]+_)*"
    r"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9]+)*|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""What every container gets for a service in its namespace, here for ``fengling-…``."""

MAX_FILE_BYTES: Final = 64 * 1024
"""Values are keys and URLs; what is larger is the wrong file."""


def variable(path: str) -> str:
    """Return the variable of a key: ``database.url`` → ``FENGLING_DATABASE__URL``."""
    return PREFIX + path.replace(".", "__").upper()


def known_keys(model: type[Section] = GatewaySettings) -> dict[str, bool]:
    """Return every key's path, and whether it is a list."""
    keys: dict[str, bool] = {}
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is None:
            keys[name] = get_origin(field.annotation) is list
            continue
        for key, inner in section.model_fields.items():
            keys[f"{name}.{key}"] = get_origin(inner.annotation) is list
    return keys


def section_of(annotation: Any) -> type[Section] | None:
    is_section = isinstance(annotation, type) and issubclass(annotation, Section)
    return annotation if is_section else None


def read_environment(
    environ: Mapping[str, str],
    problems: list[Problem],
    model: type[Section] = GatewaySettings,
    beside: Iterable[type[Section]] = (),
) -> dict[str, tuple[str, Any]]:
    """
    Return the values found, by path, each with the name of its variable.

    Args:
        beside: settings of other programs, whose variables may be in the same environment.
    """
    found: dict[str, tuple[str, Any]] = {}
    keys = known_keys(model)
    by_variable = {variable(path): path for path in keys}
    others = {variable(path) for one in beside for path in known_keys(one)}
    for name, text in environ.items():
        base = name.removesuffix(FROM_FILE) if name not in by_variable else name
        path = by_variable.get(base)
        if path is None:
            if name.removesuffix(FROM_FILE) not in others:
                _refuse_unknown(name, by_variable, problems)
        elif path in found:
            problems.append(Problem(name, "conflict", f"is set beside {found[path][0]}"))
        else:
            value = text if base == name else read_value(Path(text), name, problems)
            found[path] = (name, _parsed(value, name, problems) if keys[path] else value)
    return found


def _refuse_unknown(name: str, known: dict[str, str], problems: list[Problem]) -> None:
    if not name.startswith(PREFIX) or name in OTHERS or _KUBERNETES.fullmatch(name):
        return
    section, _, _ = name.partition("__")
    among = tuple(one for one in known if one.startswith(f"{section}__")) or tuple(known)
    if name.endswith(FROM_FILE):
        among = tuple(one + FROM_FILE for one in among)
    nearest = max(among, key=lambda one: SequenceMatcher(None, one, name).ratio())
    problems.append(
        Problem(
            f"{PREFIX}… ({HIDDEN})" if may_hold_secret(name) else label(name),
            "unknown_field",
            f"is not a known setting; the nearest one is {nearest}",
        )
    )


def read_value(path: Path, subject: str, problems: list[Problem]) -> str | None:
    """Return a file's content without its last line break."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"is larger than {MAX_FILE_BYTES} bytes")
        return content.decode().rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        named = HIDDEN if may_hold_secret(str(path)) else path
        problems.append(Problem(subject, "source", f"can't be read from {named}: {reason}"))
        return None


def _parsed(text: str | None, name: str, problems: list[Problem]) -> Any:
    """Return a list: JSON, or what commas and line breaks separate."""
    if text is None:
        return None
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            problems.append(Problem(name, "source", f"is no JSON: {error}"))
            return None
    return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]
