"""
Checks of names: ids, hosts, addresses, networks, headers, methods.

All are ASCII after the check, with one spelling each, so that equal
configuration has equal bytes, and the request path compares bytes.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any, Final

from fengling_gateway.model.checks import text, wrong_type
from fengling_gateway.model.problems import Report, shown, suggestion

MAX_HEADER_NAME: Final = 100
MAX_HEADER_VALUE: Final = 4096
"""Longest header value an edit may add: half of the longest header line accepted."""

METHODS: Final = tuple(
    "ACL BIND CHECKOUT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL "
    "MOVE NOTIFY OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SOURCE "
    "SUBSCRIBE UNBIND UNLINK UNLOCK UNSUBSCRIBE".split()
)
"""The methods that can be forwarded: those of the HTTP parser without CONNECT and TRACE."""

IDENTITY_HEADERS: Final = {
    "name": "X-User-Name",
    "roles": "X-Roles",
    "tenant": "X-Tenant-Id",
    "user": "X-User-Id",
}
"""Default names of the headers that tell an instance who was verified."""

_METHODS: Final = frozenset(METHODS)
_FRAMING: Final = frozenset(
    "connection content-length expect host http2-settings keep-alive proxy-authenticate "
    "proxy-authorization proxy-connection te trailer transfer-encoding upgrade".split()
)
_OF_REQUESTS: Final = frozenset(
    "access-control-request-headers access-control-request-method authorization cookie forwarded "
    "origin via x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-real-ip "
    "x-request-id".split()
)
"""Headers that clients send, or we set, for reasons of their own."""

_IDENTITY: Final = frozenset(name.lower() for name in IDENTITY_HEADERS.values())

_SLUG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_ADDRESS: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<user>[^/?#]*@)?"
    r"(?P<host>\[[^/?#\]]*\]|[^/?#:\[\]@]*)(?P<port>:[^/?#]*)?(?P<rest>[/?#].*)?",
    re.DOTALL,
)
_AUTHORITY: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
NEVER_UPGRADED: Final = frozenset({"h2c", "h2", "http", "tls"})
"""Protocols, in any version, that carry requests which nobody here would judge."""

_PROTOCOL: Final = re.compile(
    r"\*|[!#$%&'+.^_`|~0-9A-Za-z-]{1,50}(/[!#$%&'+.^_`|~0-9A-Za-z-]{1,50})?"
)
_FIELD_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_USUAL_PORTS: Final = {"http": 80, "https": 443}
_some_text: Final = text(200)
_MAX_HOST: Final = 253
_MAX_ADDRESS: Final = 300


def is_slug(value: object) -> bool:
    """Whether a value is right for an id."""
    return type(value) is str and _SLUG.fullmatch(value) is not None


def slug(value: Any, report: Report) -> Any:
    """An id: readable in a URL, a log line, a file name and a shell."""
    if type(value) is not str:
        wrong_type(value, "an id", report)
    elif not is_slug(value):
        report.add(
            "bad_id",
            "must be 1 to 100 letters, digits, dots, underscores or dashes, "
            f"the first a letter or digit, not {shown(value)}",
        )
    return value


def display_name(value: Any, report: Report) -> Any:
    """What people call something; null for nothing."""
    return "" if value is None else _some_text(value, report)


def owner(value: Any, report: Report) -> Any:
    """Who manages an entity; null is nobody."""
    if value == "":
        report.add("empty", "must not be empty; null is nobody")
    return None if value is None else _some_text(value, report)


def canonical_host(value: str) -> str | None:
    """
    Return the one spelling of a host name or address literal; None for what is neither.

    International names get the ASCII form that clients send.
    """
    if len(value) > _MAX_HOST + 1:
        return None
    name = (value if value.isascii() else _ascii_host(value)).lower().removesuffix(".")
    if name.startswith("[") and name.endswith("]"):
        try:
            return f"[{IPv6Address(name[1:-1]).compressed}]" if "%" not in name else None
        except ValueError:
            return None
    if len(name) > _MAX_HOST or not _HOST.fullmatch(name):
        return None
    last = name.rpartition(".")[2]
    if last[0].isdigit() and (last.isdigit() or last.startswith("0x")):
        # What ends in a number is an IPv4 address to every resolver, or an error.
        try:
            return str(IPv4Address(name))
        except ValueError:
            return None
    return name


def _ascii_host(value: str) -> str:
    import idna  # its tables take time to load, and few need them

    try:
        return idna.encode(value, uts46=True).decode()
    except UnicodeError:
        return ""


def host(value: Any, report: Report) -> Any:
    """A host that requests ask for: a name, ``*.name`` for all names below it, or an address."""
    if type(value) is not str:
        wrong_type(value, "a host name", report)
        return None
    wildcard = value.startswith("*.")
    name = canonical_host(value[2:] if wildcard else value)
    # (Of names below one that long there are none.)
    if name is None or (
        wildcard and (name[0] == "[" or name[-1].isdigit() or len(name) > _MAX_HOST - 2)
    ):
        report.add("bad_host", _host_advice(value))
        return None
    return f"*.{name}" if wildcard else name


def _host_advice(value: str) -> str:
    if value == "*":
        return "must be a host name; for any host leave the list empty"
    if canonical_host(value.rpartition(":")[0]) is not None:
        return f"must be a host name without a port, not {shown(value)}"
    return f"must be a host name like shop.example or *.shop.example, not {shown(value)}"


def address(value: Any, report: Report) -> Any:
    """An instance's address; the canonical form always has a port."""
    if type(value) is not str:
        wrong_type(value, "an address like http://10.0.0.5:8080", report)
        return None
    short = len(value) <= _MAX_ADDRESS and value.isascii()
    parts = _ADDRESS.fullmatch(value.lower()) if short else None
    if parts is None:
        report.add(
            "bad_address", f"must be an address like http://10.0.0.5:8080, not {shown(value)}"
        )
        return None
    scheme = parts["scheme"]
    name = canonical_host(parts["host"])
    port = _port(parts["port"], _USUAL_PORTS.get(scheme, 0))
    if scheme not in _USUAL_PORTS:
        report.add("bad_address", f"must begin with http:// or https://, not {shown(value)}")
    elif parts["user"] is not None:
        # The value may hold a password, so it is not repeated.
        report.add("bad_address", "must have no user or password")
    elif parts["rest"] is not None:
        report.add(
            "bad_address",
            f"must end after the port (the path policy sets paths), not {shown(value)}",
        )
    elif name is None:
        report.add("bad_host", f"must name a host or an IP address, not {shown(value)}")
    elif port is None:
        report.add("bad_address", f"must have a port from 1 to 65535, not {shown(value)}")
    return f"{scheme}://{name}:{port}"


def _port(given: str | None, usual: int = 0) -> int | None:
    if given is None:
        return usual
    digits = given[1:]
    if digits.isascii() and digits.isdigit() and len(digits) <= 5 and 1 <= int(digits) <= 65535:
        return int(digits)
    return None


def host_header(value: Any, report: Report) -> Any:
    """``client``, ``instance``, or the literal host (and port) that instances are to see."""
    if type(value) is not str:
        wrong_type(value, "client, instance or a host name", report)
        return None
    if value in {"client", "instance"}:
        return value
    return _authority(value, "client, instance or a host (and port)", report)


def literal_host(value: Any, report: Report) -> Any:
    """What a Host header says: a host, and a port where there is one."""
    if type(value) is not str:
        wrong_type(value, "a host name", report)
        return None
    return _authority(value, "a host (and port)", report)


def _authority(value: str, wanted: str, report: Report) -> str | None:
    parts = _AUTHORITY.fullmatch(value) if len(value) <= _MAX_ADDRESS else None
    name = canonical_host(parts["host"]) if parts else None
    port = parts["port"] if parts else None
    if name is None or (port is not None and _port(f":{port}") is None):
        report.add("bad_host", f"must be {wanted}, not {shown(value)}")
        return None
    return name if port is None else f"{name}:{int(port)}"


def network(value: Any, report: Report) -> Any:
    """A network in CIDR form; a bare address is a network of one."""
    if type(value) is not str:
        wrong_type(value, "a network like 10.0.0.0/8", report)
        return None
    short = len(value) <= 50 and "%" not in value
    try:
        return str(ip_network(value)) if short else _bad_network(value, report)
    except ValueError:
        return _bad_network(value, report)


def _bad_network(value: str, report: Report) -> None:
    advice = "must be a network like 10.0.0.0/8"
    try:
        if len(value) <= 50:
            advice = f"must have no bits beyond its prefix: {ip_network(value, strict=False)}"
    except ValueError:
        pass
    report.add("bad_network", f"{advice}, not {shown(value)}")


def method(value: Any, report: Report) -> Any:
    if type(value) is not str:
        wrong_type(value, "a method like GET", report)
        return None
    name = value.upper() if len(value) <= 20 and value.isascii() else value
    if name not in _METHODS:
        report.add(
            "not_allowed", f"must be a method that is forwarded: {suggestion(name, METHODS)}"
        )
    return name


def token(value: Any, report: Report) -> Any:
    """A name as HTTP spells headers and cookies (RFC 9110, section 5.6.2), case kept."""
    if type(value) is not str:
        wrong_type(value, "a name", report)
    elif not _TOKEN.fullmatch(value):
        report.add(
            "bad_header_name",
            f"must be 1 to {MAX_HEADER_NAME} letters, digits or !#$%&'*+-.^_`|~, not {shown(value)}",
        )
    return value


def lower_token(value: Any, report: Report) -> Any:
    """A header name that is compared: headers have no case."""
    name = token(value, report)
    return name.lower() if type(name) is str else name


def query_name(value: Any, report: Report) -> Any:
    """A query parameter's name, decoded."""
    if type(value) is not str or not 0 < len(value) <= 200 or not value.isprintable():
        report.add("bad_header_name", f"must be 1 to 200 printable characters, not {shown(value)}")
    return value


def plain_name(name: str) -> str:
    """Return a header's name in lower case and with ``-`` for ``_``, as CGI-like servers take it."""
    return name.lower().replace("_", "-")


def edited_response_header(value: Any, report: Report) -> Any:
    """A header that an operator may set or remove: not one that framing depends on."""
    name = token(value, report)
    if type(name) is str and plain_name(name) in _FRAMING:
        report.add("protected_header", "is set by the gateway itself and can't be edited")
    return name


def identity_header(value: Any, report: Report) -> Any:
    """A header that tells instances what was verified; what clients send by its name is dropped."""
    name = edited_response_header(value, report)
    if type(name) is str and plain_name(name) in _OF_REQUESTS:
        report.add("protected_header", "has a meaning of its own and can't hold a claim")
    return name


def own_identity_header(value: Any, report: Report) -> Any:
    """The same of one issuer, beside those of the setting."""
    before = len(report.found)
    name = edited_request_header(value, report)
    return name if len(report.found) > before else identity_header(name, report)


def edited_request_header(value: Any, report: Report) -> Any:
    """
    The same towards instances, where identity headers are protected too.

    Instances trust them, and many take ``X_Tenant_Id`` for ``X-Tenant-Id``.
    """
    name = edited_response_header(value, report)
    if type(name) is str and plain_name(name) in _IDENTITY:
        report.add("protected_header", "says who was verified and can't be edited")
    return name


def upgrade_protocol(value: Any, report: Report) -> Any:
    """A protocol that a client may go on in (RFC 9110, 7.8), in lower case; ``*`` is any."""
    if type(value) is not str:
        wrong_type(value, "text", report)
    elif not _PROTOCOL.fullmatch(value):
        report.add(
            "bad_protocol", f'must be a protocol like "websocket", or "*", not {shown(value)}'
        )
    elif value.lower().partition("/")[0] in NEVER_UPGRADED:
        report.add(
            "bad_protocol", f"{shown(value)} is never passed on: its requests would be unseen"
        )
    else:
        return value.lower()
    return None


def header_value(value: Any, report: Report) -> Any:
    """Text on one line of printable ASCII; surrounding white space is not part of it."""
    if type(value) is not str:
        wrong_type(value, 'text (in quotes: "5", "true")', report)
    elif len(value) > MAX_HEADER_VALUE:
        report.add("too_long", f"must have at most {MAX_HEADER_VALUE} characters, not {len(value)}")
    elif not _FIELD_VALUE.fullmatch(value):
        report.add(
            "bad_header_value",
            f"must be printable ASCII without line breaks or NUL, not {shown(value)}",
        )
    else:
        return value.strip(" \t")
    return None
