"""
Reads settings: a TOML file, with the environment over it.

Everything that is wrong is found in one go, and each problem names the key and
where its value came from. Secrets are in no message.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar, get_args

from pydantic import ValidationError

from fengling_gateway.model.problems import Problem, label, suggestion
from fengling_gateway.settings.access_log import STDOUT
from fengling_gateway.settings.console import ConsoleSettings, console_contradictions
from fengling_gateway.settings.contradictions import contradictions
from fengling_gateway.settings.environment import (
    known_keys,
    read_environment,
    read_value,
    section_of,
)
from fengling_gateway.settings.key_file import KeyFileError, read_key_file
from fengling_gateway.settings.model import GatewaySettings, ListenerSettings, ProgramSettings
from fengling_gateway.settings.secret_files import secret_files
from fengling_gateway.settings.values import HIDDEN, may_hold_secret, shown_unless_secret

_MESSAGES: Final = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "finite_number": "must be a number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "list_type": "must be a list",
    "model_type": "must be a section",
    "model_attributes_type": "must be a section",
    "path_type": "must be a path",
    "string_type": "must be text",
    "too_short": "must not be empty",
}
_SECRET: Final = ("keys", "token_keys", "url", "listen_url", "client_secret", "headers")
_OWN_FIELDS: Final = "_file"

Raw = dict[str, Any]
S = TypeVar("S", bound=ProgramSettings)
T = TypeVar("T", GatewaySettings, ConsoleSettings)


class SettingsError(Exception):
    """Settings with which nothing can be started; ``problems`` are all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


def load_settings(path: str | Path | None, environ: Mapping[str, str]) -> GatewaySettings:
    """
    Read the settings of a gateway.

    Args:
        path: The TOML file; None: from the environment alone.
        environ: Usually ``os.environ``.

    Raises:
        SettingsError: with every problem there is.
    """
    return _load(_GATEWAY, path, environ)


def load_console_settings(path: str | Path | None, environ: Mapping[str, str]) -> ConsoleSettings:
    """Read the settings of a console; otherwise like `load_settings`."""
    return _load(_CONSOLE, path, environ)


class _Program(NamedTuple, Generic[S]):
    """
    A program's settings.

    `contradictions` finds what no single key shows, in the raw values; `finish` reads paths as
    relative to the file, and what they name.
    """

    model: type[S]
    beside: type[ProgramSettings]
    contradictions: Callable[[Raw], list[Problem]]
    finish: Callable[[S, Path | None, Mapping[str, str], list[Problem]], S]


def _load(program: _Program[S], path: str | Path | None, environ: Mapping[str, str]) -> S:
    problems: list[Problem] = []
    file = None if path is None else Path(path)
    raw = {} if file is None else _read_toml(file, problems)
    unread = bool(problems)
    holders = secret_files(file, raw, environ)
    missing = _read_file_keys(program.model, raw, file, problems)
    found = read_environment(environ, problems, program.model, (program.beside,))
    missing |= {path for path, (_, value) in found.items() if value is None}
    origins = _overlay(raw, found)
    settings = _validated(program.model, raw, origins, problems)
    if not unread:  # of a file that can't be read, nothing is known to be missing
        problems += [
            replace(one, path=_with_origin(one.path, origins))
            for one in program.contradictions(raw)
            if one.code != "required" or one.path not in missing
        ]
    if settings is not None:
        settings = program.finish(settings, file, origins, problems)
    if problems or settings is None:
        raise SettingsError(problems)
    return settings.with_secret_files(holders)


def _read_toml(file: Path, problems: list[Problem]) -> Raw:
    try:
        return tomllib.loads(file.read_bytes().decode())
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        problems.append(Problem(str(file), "source", f"can't be read: {reason}"))
        return {}


def _read_file_keys(
    model: type[ProgramSettings], raw: Raw, file: Path | None, problems: list[Problem]
) -> set[str]:
    """
    Replace ``url_file = "…"`` by ``url`` with the file's content, in every section.

    Returns:
        the keys whose file can't be read.
    """
    unread = set()
    keys = known_keys(model)
    for section, values in list(raw.items()):
        if not isinstance(values, dict):
            continue
        for name in [name for name in values if name.endswith(_OWN_FIELDS)]:
            key = name.removesuffix(_OWN_FIELDS)
            path = f"{section}.{key}"
            if path not in keys or not isinstance(values[name], str):
                continue  # pydantic will name it
            named = Path(values.pop(name))
            if key in values:
                problems.append(Problem(f"{section}.{name}", "conflict", f"is set beside {key}"))
                continue
            content = read_value(
                named if file is None else file.parent / named, f"{section}.{name}", problems
            )
            if content is None:
                unread.add(path)
            else:
                values[key] = content.split() if keys[path] else content
    return unread


def _overlay(raw: Raw, found: Mapping[str, tuple[str, Any]]) -> dict[str, str]:
    """Put the environment's values over the file's; return where each came from."""
    origins = {}
    for path, (name, value) in found.items():
        section, _, key = path.rpartition(".")
        target = raw.setdefault(section, {}) if section else raw
        if isinstance(target, dict) and value is not None:
            target[key] = value
            origins[path] = name
    return origins


def _validated(
    model: type[S], raw: Raw, origins: Mapping[str, str], problems: list[Problem]
) -> S | None:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems.extend(_problem(model, one, origins) for one in found)
    return None


def _problem(model: type[ProgramSettings], found: Any, origins: Mapping[str, str]) -> Problem:
    location = tuple(part for part in found["loc"] if not _is_branch(part))
    path = _path(location)
    kind, context, given = found["type"], found.get("ctx", {}), found.get("input")
    if kind == "extra_forbidden":
        code, message = "unknown_field", f"is not a known setting; {_near(model, location)}"
    elif kind == "missing":
        code, message = "required", "is required"
    elif kind == "literal_error":
        code, message = "not_allowed", f"must be {context['expected']}"
    elif kind in {"greater_than_equal", "less_than_equal"}:
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        code, message = "out_of_range", f"must be {bound}"
    elif kind in _MESSAGES:
        code, message = "wrong_type", _MESSAGES[kind]
    else:
        return Problem(_with_origin(path, origins), kind, found["msg"])
    if kind not in {"extra_forbidden", "missing"} and location[-1:] not in [(s,) for s in _SECRET]:
        message = f"{message}, not {shown_unless_secret(given)}"
    return Problem(_with_origin(path, origins), code, message)


def _is_branch(part: object) -> bool:
    """Whether a step names an alternative of a type rather than a key."""
    return isinstance(part, str) and (part.startswith(("literal[", "function-", "constrained-")))


def _path(location: Sequence[str | int]) -> str:
    path = ""
    for part in location:
        joint = "." if path else ""
        path += f"[{part}]" if isinstance(part, int) else f"{joint}{_name(part)}"
    return path


def _name(part: str) -> str:
    """Name a key, unless what is there looks as if it were meant for a value."""
    return f"({HIDDEN})" if may_hold_secret(part) else label(part)


def _with_origin(path: str, origins: Mapping[str, str]) -> str:
    """Name the variable that a value has come from, also one within a list."""
    given = path.partition("[")[0]
    return f"{path} ({origins[given]})" if given in origins else path


def _near(model: Any, location: Sequence[str | int]) -> str:
    """Name what may be meant by the last part of a location."""
    for part in location[:-1]:
        if isinstance(part, str):
            model = _section_within(model.model_fields[part].annotation)
    return suggestion(location[-1], tuple(model.model_fields))


def _finish_gateway(
    settings: GatewaySettings,
    file: Path | None,
    origins: Mapping[str, str],
    problems: list[Problem],
) -> GatewaySettings:
    return _with_secret_keys(_resolved(settings, file), file, origins, problems)


def _finish_console(
    settings: ConsoleSettings,
    file: Path | None,
    origins: Mapping[str, str],
    problems: list[Problem],
) -> ConsoleSettings:
    return _with_secret_keys(settings.relative_to(file), file, origins, problems)


def _with_secret_keys(
    settings: T,
    file: Path | None,
    origins: Mapping[str, str],
    problems: list[Problem],
) -> T:
    """Read the keys of secrets."""
    named = settings.secrets.key_file
    if named is None:
        return settings
    key = "secrets.key_file"
    path = named if file is None or key in origins else file.parent / named
    try:
        secrets = settings.secrets.with_keys(path, read_key_file(path))
    except KeyFileError as error:
        problems.append(Problem(_with_origin(key, origins), "source", str(error)))
        return settings
    return settings.model_copy(update={"secrets": secrets})


def _section_within(annotation: Any) -> Any:
    """Return the section that a field is, may be, or is a list of."""
    found = map(section_of, (annotation, *get_args(annotation)))
    return next(one for one in found if one is not None)


def _resolved(settings: GatewaySettings, file: Path | None) -> GatewaySettings:
    """Read paths as relative to the settings file."""
    if file is None:
        return settings
    update: dict[str, Any] = {"listeners": [_listener(one, file) for one in settings.listeners]}
    if settings.file.path is not None:
        path = file.parent / settings.file.path
        update["file"] = settings.file.model_copy(update={"path": path})
    log = settings.access_log
    if log.path and log.path != STDOUT:
        # (Workers open it, wherever they are by then.)
        path = file.absolute().parent / log.path
        update["access_log"] = log.model_copy(update={"path": str(path)})
    return settings.model_copy(update=update)


def _listener(listener: ListenerSettings, file: Path) -> ListenerSettings:
    tls = listener.tls
    if tls is None:
        return listener
    directory = file.absolute().parent  # workers read them again, wherever they are by then
    certificates = [
        one.model_copy(update={"chain": directory / one.chain, "key": directory / one.key})
        for one in tls.certificates
    ]
    client_ca = None if tls.client_ca is None else directory / tls.client_ca
    update = {"certificates": certificates, "client_ca": client_ca}
    return listener.model_copy(update={"tls": tls.model_copy(update=update)})


_GATEWAY: Final = _Program(GatewaySettings, ConsoleSettings, contradictions, _finish_gateway)
_CONSOLE: Final = _Program(
    ConsoleSettings, GatewaySettings, console_contradictions, _finish_console
)
