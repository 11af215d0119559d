"""Where Redis is, as one URL.

``redis://user:password@host:6379/0``, ``rediss://…`` for TLS with a verified
certificate (``?ssl_ca_certs=/path.pem`` for a private authority;
``&ssl_certfile=…&ssl_keyfile=…`` for a certificate of our own),
``unix:///path.sock?db=0``. ``valkey`` and ``valkeys`` mean the same as
``redis`` and ``rediss``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

DEFAULT_PORT: Final = 6379
_TLS: Final = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_FILES: Final = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}
_PARAMETERS: Final = {"db", *_FILES}
_NUMBER: Final = re.compile(r"[0-9]{1,5}")
_MIN_REDACTED: Final = 4  # below it, it would be found within words
_QUOTING: Final = "in a user or password, % is written %25, / is %2F, ? is %3F, # is %23, @ is %40"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """An address with credentials; the text form shows no password."""

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    tls: bool = False
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int | None = None

    def redacted(self, text: str) -> str:
        """Return what a server says, without the credentials that it may repeat."""
        said = text.partition(", with args beginning with")[0]
        if self.password and len(self.password) >= _MIN_REDACTED:
            said = said.replace(self.password, "***")
        return said

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.database or 0}"


def parse_redis_url(url: str) -> RedisAddress:
    """
    Raises:
        ValueError: what is wrong with the URL, to be put after its name; the
            message holds no part of it, for it may hold a password.
    """
    read = _read(url)
    # Not while urllib's error is being handled: a traceback would show both.
    if read is None:
        raise ValueError(f"is malformed, or has no valid port ({_QUOTING})")
    scheme, address, parameters = read
    if scheme != "unix" and scheme not in _TLS:
        raise ValueError("must begin with redis://, rediss:// or unix://")
    if not parameters.keys() <= _PARAMETERS:
        raise ValueError(f"has a parameter that is not known ({_QUOTING})")
    if scheme == "unix" and (address.host or not address.path):
        raise ValueError("must name a socket as unix:///path/to.sock")
    if scheme != "unix" and not (address.host and address.port):
        raise ValueError("has no host, or 0 for a port")
    _check_files(parameters, tls=_TLS.get(scheme, False))
    number = parameters.get("db") if scheme == "unix" else address.path.strip("/")
    return replace(
        address,
        path=address.path if scheme == "unix" else "",
        tls=_TLS.get(scheme, False),
        ca_file=parameters.get("ssl_ca_certs", ""),
        certificate_file=parameters.get("ssl_certfile", ""),
        key_file=parameters.get("ssl_keyfile", ""),
        database=_database(number or parameters.get("db")),
    )


def _check_files(parameters: dict[str, str], *, tls: bool) -> None:
    files = _FILES & parameters.keys()
    if files and not tls:
        raise ValueError(f"has {min(files)}, which means something with rediss:// only")
    for name in sorted(files):
        if not parameters[name].startswith("/"):
            raise ValueError(f"must have an absolute path in {name}")
    if "ssl_keyfile" in files and "ssl_certfile" not in files:
        raise ValueError("has ssl_keyfile without ssl_certfile")


def _read(url: str) -> tuple[str, RedisAddress, dict[str, str]] | None:
    """Return a URL's scheme, parts and parameters; None where urllib can't read it as we would."""
    try:
        url.encode()
        parts = urlsplit(url)
        parameters = parse_qsl(
            parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)
        )
        address = RedisAddress(
            host=parts.hostname or "",
            port=DEFAULT_PORT if parts.port is None else parts.port,
            path=_text(parts.path) or "",
            username=_text(parts.username),
            password=_text(parts.password),
        )
    except ValueError:
        return None
    # A raw # or @ here is the rest of a password.
    if parts.fragment or "@" in parts.path + parts.query:
        return None
    return parts.scheme, address, dict(parameters)


def _text(quoted: str | None) -> str | None:
    return unquote(quoted, errors="strict") if quoted else None


def _database(text: str | None) -> int | None:
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"names a database that is no number ({_QUOTING})")
    return int(text)
