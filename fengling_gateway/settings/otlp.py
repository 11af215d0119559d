"""The types of settings that say where spans go, and with which headers."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator

from fengling_gateway.model.names import canonical_host
from fengling_gateway.settings.values import refuse, shown_unless_secret

TRACES_PATH: Final = "/v1/traces"
"""Of an endpoint without a path (OTLP 1.x, section OTLP/HTTP)."""

_URL: Final = re.compile(r"https?://[\x21-\x7e]{1,2000}")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE: Final = re.compile(r"[\x20-\x7e]{1,4096}")
_OURS: Final = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host", "te"}
    | {"transfer-encoding", "upgrade"}
)


def endpoint(value: Any) -> str:
    """
    Return the whole URL that spans are posted to.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, str) and _URL.fullmatch(value):
        parts = urlsplit(value)
        port = parts.port  # raises ValueError, too
        host = parts.netloc.rpartition(":")[0] if port else parts.netloc.rstrip(":")
        is_bare = "@" not in parts.netloc and not parts.fragment and port != 0
        if is_bare and canonical_host(host) is not None:
            return value if parts.path not in {"", "/"} else _with_path(value)
    raise ValueError("no URL")


def _with_path(value: str) -> str:
    return urlsplit(value)._replace(path=TRACES_PATH).geturl()


def _endpoint(value: Any) -> Any:
    try:
        return endpoint(value)
    except ValueError:
        raise refuse(
            "bad_address",
            "must be a URL like http://127.0.0.1:4318 or https://otel.example/v1/traces, "
            f"not {shown_unless_secret(value)}",
        ) from None


def parse_headers(text: str) -> list[tuple[str, str]]:
    """
    Read headers as OTEL_EXPORTER_OTLP_HEADERS has them: ``name=value,name=value``.

    Both sides may have percent signs for what has a meaning here.

    Raises:
        ValueError: they can't be read, or sent; the message repeats nothing of them.
    """
    found = []
    for number, pair in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        name, equals, value = (unquote(part).strip() for part in pair.partition("="))
        if not equals or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(
                f"must be name=value,name=value with %2C for a comma, and number {number} is not"
            )
        if name.lower() in _OURS:
            raise ValueError(f"must not have number {number}: that header is the gateway's own")
        found.append((name, value))
    return found


def _headers(value: Any) -> Any:
    if not isinstance(value, str):
        raise refuse("wrong_type", "must be text, name=value,name=value")
    try:
        parse_headers(value)
    except ValueError as error:
        raise refuse("bad_header", str(error)) from None
    return value


OtlpEndpoint = Annotated[str, BeforeValidator(_endpoint)]
"""An address of http or https; without a path it is that of OTLP."""

OtlpHeaders = Annotated[str, BeforeValidator(_headers)]
"""Headers in one text; they may be secret."""
