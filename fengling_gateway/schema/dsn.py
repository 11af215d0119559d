"""
How to reach the database, as an operator writes it: a URL, or libpq's ``host=… dbname=…``.

Such a text may hold a password, and what libpq says of a malformed one repeats
pieces of it. So every DSN is read here before it is used, and no message of
ours holds any of it. Nor is one accepted of which libpq would take a piece of
the password for a host, a port or a database: its later errors name those.
"""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from typing import Any, Final

import psycopg2
from psycopg2.extensions import parse_dsn

from fengling_gateway.schema import tls

_URL: Final = re.compile(r"postgres(?:ql)?://")
_OTHER_URL: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_NAMED_IN_ERRORS: Final = ("host", "hostaddr", "dbname", "user", "service")

_IN_URLS: Final = "in a user or password, % is written %25, / is %2F, @ is %40"
_IN_WORDS: Final = "a value with spaces is put in '…'"


class DsnError(psycopg2.ProgrammingError):
    """
    A DSN that can't be used. The message holds no part of it.

    Attributes:
        reason: what is wrong, to be put after the name of whatever was set.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database's URL {reason}")
        self.reason = reason


def parse(dsn: str) -> dict[str, str]:
    """
    Return what a DSN says; nothing of an empty one, which leaves it to libpq's environment.

    Raises:
        DsnError: libpq would refuse it, or take it for something else than it seems.
    """
    said, reason = _read(dsn)
    reason = reason or _misread(dsn, said)
    if reason:
        # Not while libpq's own error is being handled: a traceback would show both.
        raise DsnError(reason)
    return said


def connect(dsn: str, **options: Any) -> Any:
    """
    Return a psycopg2 connection; blocks.

    Args:
        options: as of ``psycopg2.connect``; what the DSN says goes before them.

    Raises:
        psycopg2.Error: `DsnError` for the DSN; otherwise what the server or libpq says.
    """
    said = parse(dsn)
    if said.get("sslrootcert") == "system":
        said = {"sslmode": tls.VERIFIED, **said, "sslrootcert": _system_authorities()}
    try:
        return psycopg2.connect(**{**options, **said})
    except psycopg2.OperationalError as error:
        why = tls.why_refused(str(error), said.get("sslrootcert"))
        if not why:
            raise
        failure = psycopg2.OperationalError(f"{str(error).strip()}: {why}")
    raise failure


def _system_authorities() -> str:
    found = tls.system_authorities()
    if found is None:
        raise DsnError("has sslrootcert=system, and the system has no file of authorities")
    return found


def unverified_host(dsn: str) -> str | None:
    """
    Return a host over the network to which the connection is made without verifying it.

    None where there is none: by TLS with ``verify-full``, or on this machine. An
    environment for libpq counts, as it does for the connection.
    """
    said = parse(dsn)
    mode = said.get("sslmode") or os.environ.get("PGSSLMODE")
    if mode == tls.VERIFIED or (mode is None and said.get("sslrootcert") == "system"):
        return None
    addresses = (said.get("hostaddr") or said.get("host") or os.environ.get("PGHOST", "")).split(
        ","
    )
    for place, address in enumerate(addresses):
        if not _is_local(address):
            hosts = said.get("host", "").split(",")
            return hosts[place] if place < len(hosts) and hosts[place] else address
    return None


def _is_local(host: str) -> bool:
    """Whether it is a socket's directory, or loopback."""
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def without_secrets(dsn: str) -> str:
    """Return as much of a DSN as may be shown: user, host, port and database."""
    try:
        said = parse(dsn)
    except DsnError as error:
        return f"({error.reason})"
    user = f"{said['user']}@" if "user" in said else ""
    port = f":{said['port']}" if "port" in said else ""
    return f"postgresql://{user}{said.get('host', '')}{port}/{said.get('dbname', '')}"


def _read(dsn: str) -> tuple[dict[str, str], str]:
    """Return what libpq reads, and what is wrong ("" for nothing)."""
    is_url = _URL.match(dsn) is not None
    if not is_url and (_OTHER_URL.match(dsn) or (dsn.strip() and "=" not in dsn)):
        return {}, "must begin with postgresql:// (or be like host=… dbname=…)"
    if "\0" in dsn:  # where libpq would end it
        return {}, "has a NUL in it"
    try:
        return dict(parse_dsn(dsn)), ""
    except UnicodeEncodeError:
        return {}, "is not all text"
    except psycopg2.Error as error:
        is_unknown = any(one in str(error) for one in ("URI query parameter", "connection option"))
        hint = _IN_URLS if is_url else _IN_WORDS
        what = "has a parameter that PostgreSQL does not know" if is_unknown else "is malformed"
        return {}, f"{what} ({hint})"


def _misread(dsn: str, said: dict[str, str]) -> str:
    """Return what is wrong with a DSN that libpq reads; "" for nothing."""
    if url := _URL.match(dsn):
        before, _, after = dsn[url.end() :].partition("/")
        if before.count("@") > 1 or "@" in after:
            return f"has an @ too many ({_IN_URLS})"
    if any("://" in said.get(name, "") for name in _NAMED_IN_ERRORS):
        return "has a URL within it"
    mode = said.get("sslmode")
    if mode is not None and mode not in tls.MODES:
        return f"has an sslmode that is none of {', '.join(tls.MODES)}"
    if said.get("sslrootcert") == "system" and mode not in (None, tls.VERIFIED):
        return f"has sslrootcert=system, which goes with sslmode={tls.VERIFIED} only"
    for port in said.get("port", "").split(","):
        if port and not (_PORT.fullmatch(port) and 1 <= int(port) <= 65535):
            hint = f" ({_IN_URLS})" if url else ""
            return f"has a port that is no number from 1 to 65535{hint}"
    return ""
