"""
The types of values that settings have, as pydantic sees them.

A value in the environment is text, so every type also takes its text.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from fengling_gateway.auth.keys import WeakKeyError, parse_keys
from fengling_gateway.model.checks import Check
from fengling_gateway.model.clients import word
from fengling_gateway.model.names import canonical_host, network, slug
from fengling_gateway.model.problems import Report, shown
from fengling_gateway.model.times import duration, shortest

_SIZE: Final = re.compile(r"([0-9]{1,15}) ?(B|KiB|MiB|GiB)?")
_UNITS: Final = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
HIDDEN: Final = "text that is not shown, since it may hold a secret"
_MAY_BE_SECRET: Final = re.compile(
    r"@|:/|passw\w*\s*=|[\w.-]{1,64}:[A-Za-z0-9+/=_-]{16,}|[0-9A-Fa-f]{32,}",
    re.IGNORECASE,
)
_MAY_BE_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{40,}")
_WORD_OF_A_PATH: Final = re.compile(r"(?=.{0,24}\Z)[A-Za-z]?[a-z]*[0-9]{0,4}")
_ADDRESS: Final = re.compile(r"(?P<host>\[[^\]]+\]|[^:\[\]]*):(?P<port>[0-9]{1,5})")

_DNS_PORT: Final = 53

Refused = PydanticCustomError


class Unit:
    """Marks how a field's default is written in the sample."""

    def __init__(self, write: Any) -> None:
        self.write = write


def refuse(code: str, message: str) -> PydanticCustomError:
    # The message is an argument, since pydantic would take its braces for fields.
    return PydanticCustomError(code, "{message}", {"message": message})


def may_hold_secret(value: Any) -> bool:
    """
    Whether a given value looks like a URL with a password, or like a key.

    Such text may stand in any place: where ``url_file`` is meant, or a section.
    """
    if not isinstance(value, str):
        return False
    if _MAY_BE_SECRET.search(value) is not None:
        return True
    return not all(map(_is_path, _MAY_BE_BASE64.findall(value)))


def _is_path(text: str) -> bool:
    """Whether what has the letters of base64 is words between slashes, which chance makes none of."""
    return "/" in text and all(map(_WORD_OF_A_PATH.fullmatch, text.split("/")))


def shown_unless_secret(value: Any) -> str:
    """Describe a given value for a message."""
    return HIDDEN if may_hold_secret(value) else shown(value)


def _by(check: Check) -> BeforeValidator:
    """Let a check of configuration values judge a setting."""

    def validate(value: Any) -> Any:
        report = Report()
        checked = check(value, report)
        for _, code, message in report.found:
            raise refuse(code, f"must not be {HIDDEN}" if may_hold_secret(value) else message)
        return checked

    return BeforeValidator(validate)


def _seconds(low: float, high: float) -> BeforeValidator:
    check = duration(low, high)

    def from_text(value: Any, report: Report) -> Any:
        if isinstance(value, str) and len(value) <= 30 and _NUMBER.fullmatch(value):
            value = float(value)
        return check(value, report)

    return _by(from_text)


def size(value: Any) -> Any:
    """
    Read a number of bytes.

    Raises:
        Refused: it is none.
    """
    if type(value) is int:
        return value
    size = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if size is None:
        raise refuse(
            "wrong_type",
            f"must be a size like 65536, 64KiB or 10MiB, not {shown_unless_secret(value)}",
        )
    return int(size[1]) * _UNITS[size[2]]


def write_size(size: int) -> str:
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return str(size)


def split_address(value: str) -> tuple[str, int]:
    """
    Split ``host:port``, where the host may be ``[::]``.

    Raises:
        ValueError: it is no such thing.
    """
    parts = _ADDRESS.fullmatch(value)
    host = canonical_host(parts["host"]) if parts else None
    if parts is None or host is None or not 1 <= int(parts["port"]) <= 65535:
        raise ValueError(
            "must be host:port like 127.0.0.1:8001 or [::]:8000, not " + shown_unless_secret(value)
        )
    return host.strip("[]"), int(parts["port"])


def name_server(value: str) -> tuple[str, int]:
    """
    Split the address of a DNS server, ``10.0.0.53``, ``10.0.0.53:5353`` or ``[fd00::53]:53``.

    Raises:
        ValueError: it is no such thing.
    """
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    try:
        if "]" not in bare:  # where a zone may have anything
            return str(ip_address(bare)), _DNS_PORT
    except ValueError:
        pass
    host, port = split_address(value)
    return str(ip_address(host)), port


def _name_server(value: Any) -> Any:
    try:
        name_server(value if isinstance(value, str) else "")
    except ValueError:
        raise refuse(
            "bad_address",
            "must be an IP address like 10.0.0.53, with or without a port, not "
            + shown_unless_secret(value),
        ) from None
    return value


def _address(value: Any) -> Any:
    try:
        split_address(value if isinstance(value, str) else "")
    except ValueError:
        raise refuse(
            "bad_address",
            "must be host:port like 127.0.0.1:8001 or [::]:8000, not " + shown_unless_secret(value),
        ) from None
    return value


def _directory(value: Any) -> Any:
    # An empty one would be where we happen to stand; as a path it is one like any other.
    if isinstance(value, str) and (not value.strip() or "\0" in value):
        raise refuse("wrong_type", f"must be a path, not {shown_unless_secret(value)}")
    return value


def _redis_url(value: Any) -> Any:
    from fengling_gateway.syncbus.url import parse_redis_url

    try:
        parse_redis_url(value if isinstance(value, str) else "")
    except ValueError as error:
        raise refuse("bad_address", str(error)) from None
    return value


def _database_url(value: Any) -> Any:
    """A URL, or libpq's ``host=… dbname=…``."""
    # Not at the top of the module: a gateway that reads a file needs no driver.
    from fengling_gateway.schema.dsn import DsnError, parse

    try:
        # An empty one would leave it to the environment of libpq.
        parse(value if isinstance(value, str) and value.strip() else "-")
    except DsnError as error:
        raise refuse("bad_address", error.reason) from None
    return value


def _keys(value: Any) -> Any:
    if not isinstance(value, list | tuple) or not all(isinstance(key, str) for key in value):
        raise refuse("wrong_type", 'must be a list of keys, each written "id:secret"')
    try:
        if value:
            parse_keys(value)
    except WeakKeyError as error:
        raise refuse("weak_key", str(error)) from None
    return list(value)


Seconds = Annotated[float, _seconds(0.001, 30 * 86400.0), Unit(shortest)]
"""A duration of some length: ``3s``, ``1m30s``, or a number of seconds."""

Grace = Annotated[float, _seconds(0.0, 30 * 86400.0), Unit(shortest)]
"""A duration that may be 0."""

Silence = Annotated[float, _seconds(2.0, 30 * 86400.0), Unit(shortest)]
"""A duration of two heartbeats, of which there is one each second, or more."""

Size = Annotated[int, BeforeValidator(size), Unit(write_size)]
"""A number of bytes: 65536 or ``64KiB``."""

Directory = Annotated[Path, BeforeValidator(_directory)]
Name = Annotated[str, _by(slug)]
Network = Annotated[str, _by(network)]
Address = Annotated[str, BeforeValidator(_address)]
NameServer = Annotated[str, BeforeValidator(_name_server)]
RedisUrl = Annotated[str, BeforeValidator(_redis_url)]
DatabaseUrl = Annotated[str, BeforeValidator(_database_url)]
Word = Annotated[str, _by(word)]
Keys = Annotated[list[str], BeforeValidator(_keys)]
"""A ring of secret keys; see `fengling_gateway.auth.keys`."""
