"""
What issuers hold: whose tokens are believed, and which keys verify them.

Keys come from exactly one place: an address that publishes them, the issuer's
own description of itself (OpenID Connect Discovery), this very entity, or a
secret that is shared with the issuer. Those that are here are judged here;
those that are published, when they arrive.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final
from urllib.parse import urlsplit

from fengling_gateway.model.checks import (
    Field,
    Record,
    boolean,
    choice,
    list_of,
    mapping_of,
    optional,
    some_text,
    storable,
    unique,
    wrong_type,
)
from fengling_gateway.model.entity import Key
from fengling_gateway.model.key_sets import ALGORITHMS, HMAC_BYTES, KeyRefusedError, read_key_set
from fengling_gateway.model.names import canonical_host, display_name, own_identity_header, slug
from fengling_gateway.model.problems import Report, shown
from fengling_gateway.model.times import duration

MAX_AUDIENCES: Final = 50
MAX_CLAIMS: Final = 50
MAX_LEEWAY: Final = 30.0
"""Seconds that clocks may differ by: one that is off by more has to be put right."""

MAX_LIFETIME: Final = 366 * 86400.0
MIN_REFRESH: Final = 30.0
MAX_REFRESH: Final = 86400.0

CLAIMS: Final = {
    "name": "name",
    "roles": "roles",
    "scopes": "scope",
    "subject": "sub",
    "tenant": "tenant",
}
"""What is read from a token, and the claim that says it unless an issuer's own is configured."""

KEY_PLACES: Final = ("jwks_url", "discovery", "keys", "key_secret")

_CLAIM: Final = re.compile(
    r"[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,199}|(?:/[^/\x00-\x1f\x7f]{1,100}){1,8}"
)
_ISSUER: Final = re.compile(r"[\x21-\x7e]{1,500}")
_LOOPBACK: Final = re.compile(r"127(?:\.[0-9]{1,3}){3}")


def claim(value: Any, report: Report) -> Any:
    """A claim's name, or a JSON pointer to it (RFC 6901) if it begins with a slash."""
    if type(value) is not str:
        wrong_type(value, "the name of a claim", report)
    elif not _CLAIM.fullmatch(value) or not storable(value):
        report.add(
            "bad_claim",
            'must be a name like "roles" or a pointer like "/realm_access/roles", '
            f"not {shown(value)}",
        )
    return value


def _issuer(value: Any, report: Report) -> Any:
    if type(value) is not str:
        wrong_type(value, "what tokens say in iss", report)
    elif not _ISSUER.fullmatch(value):
        report.add("bad_issuer", f"must be 1 to 500 visible ASCII characters, not {shown(value)}")
    return value


def _url(value: Any, report: Report) -> Any:
    if type(value) is not str:
        wrong_type(value, "a URL", report)
    elif not is_web_address(value):
        report.add(
            "bad_url",
            "must be https://host/path, or http:// for what runs on this very host; without a "
            f"user, a fragment or white space, not {shown(value)}",
        )
    else:
        return _with_plain_host(value)
    return value


def _with_plain_host(value: str) -> str:
    """Return a web address with scheme and host in their one spelling; the rest is as it was."""
    parts = urlsplit(value)
    name, colon, port = parts.netloc, "", ""
    if parts.port or parts.netloc.endswith(":"):
        name, colon, port = parts.netloc.rpartition(":")
    rest = value[len(parts.scheme) + len("://") + len(parts.netloc) :]
    return f"{parts.scheme}://{canonical_host(name)}{colon if port else ''}{port}{rest}"


def is_loopback(host: str) -> bool:
    """Whether a name or address can only be this host."""
    # (127.example.com is a name, and anybody's.)
    return host in {"localhost", "[::1]"} or bool(_LOOPBACK.fullmatch(host))


def is_web_address(value: str) -> bool:
    """Whether keys may be fetched from there: by HTTPS, or from this very host."""
    if not _ISSUER.fullmatch(value):
        return False
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return False
    if "@" in parts.netloc or parts.fragment or port == 0:
        return False
    host = canonical_host(parts.netloc.rpartition(":")[0] if port else parts.netloc.rstrip(":"))
    if host is None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def _keys(value: Any, report: Report) -> Any:
    if type(value) is not dict:
        wrong_type(value, 'a key set, like {"keys": […]}', report)
    return value


_headers: Final = mapping_of(own_identity_header, claim, MAX_CLAIMS)


def _extra_headers(value: Any, report: Report) -> Any:
    before = len(report.found)
    headers = _headers(value, report)
    if len(report.found) == before:
        unique(headers, "header", report)
    return headers


ISSUER: Final = Record(
    Field("name", display_name, ""),
    Field("enabled", boolean, True),
    Field("issuer", _issuer),
    Field("audiences", list_of(some_text(200), MAX_AUDIENCES, as_set=True)),
    Field(
        "algorithms",
        list_of(choice(*ALGORITHMS), len(ALGORITHMS), as_set=True),
        ["ES256", "EdDSA", "PS256", "RS256"],
    ),
    Field("jwks_url", optional(_url), None),
    Field("discovery", boolean, False),
    Field("keys", optional(_keys), None),
    Field("key_secret", optional(slug), None),
    Field("refresh", duration(MIN_REFRESH, MAX_REFRESH), 600.0),
    Field("leeway", duration(0.0, MAX_LEEWAY), MAX_LEEWAY),
    Field("max_lifetime", optional(duration(1.0, MAX_LIFETIME)), None),
    Field("required_claims", list_of(claim, MAX_CLAIMS, as_set=True), []),
    Field("claims", Record(*(Field(what, claim, name) for what, name in CLAIMS.items())), CLAIMS),
    Field("headers", _extra_headers, {}),
    Field("tenant_id", optional(slug), None),
    open_ended=True,
)


def finish_issuer(body: dict[str, Any], _row: dict[str, Any], report: Report) -> None:
    """Judge whether keys and algorithms go together, and the keys that are given here."""
    if report.found:
        return
    for name in ("audiences", "algorithms"):
        if not body[name]:
            report.add("empty", "must name at least one")
            report.locate(len(report.found) - 1, name)
    _judge_place(body, report)
    _judge_algorithms(body, report)
    if body["keys"] is not None and not report.found:
        _judge_keys(body, report)


def _judge_place(body: dict[str, Any], report: Report) -> None:
    given = [place for place in KEY_PLACES if body[place]]
    if len(given) != 1:
        found = "none of them is given" if not given else f"there are {' and '.join(given)}"
        report.add("conflict", f"must have one of {', '.join(KEY_PLACES)}: {found}")
    if body["discovery"] and not is_web_address(body["issuer"]):
        report.add("bad_url", "must be a URL, https://…, for discovery to ask at it")
        report.locate(len(report.found) - 1, "issuer")


def _judge_algorithms(body: dict[str, Any], report: Report) -> None:
    shared = [one for one in body["algorithms"] if one in HMAC_BYTES]
    if body["key_secret"] is None and shared:
        report.add("conflict", f"{shared[0]} needs a secret: give key_secret")
    elif body["key_secret"] is not None and len(shared) != len(body["algorithms"]):
        report.add("conflict", f"must be of {', '.join(HMAC_BYTES)}: a secret can't verify others")
    else:
        return
    report.locate(len(report.found) - 1, "algorithms")


def _judge_keys(body: dict[str, Any], report: Report) -> None:
    start = len(report.found)
    try:
        keys = read_key_set(body["keys"], body["algorithms"])
    except KeyRefusedError as error:
        report.add("bad_keys", str(error))
    else:
        for label, why in keys.refused.items():
            report.add("bad_keys", f"{label} {why}")
        if not keys.refused and not len(keys):
            report.add("empty", "must have at least one key")
    report.locate(start, "keys")


def said_by_tokens(body: bytes) -> str:
    """Return what tokens say in ``iss`` of the issuer with a canonical body."""
    said: str = json.loads(body)["issuer"]
    return said


def own_headers(body: bytes) -> tuple[str, ...]:
    """Return the headers of its own that an issuer with a canonical body has."""
    if b'"headers":{}' in body:  # most, and what need not be read costs nothing
        return ()
    return tuple(json.loads(body)["headers"])


def issuer_refs(body: dict[str, Any]) -> frozenset[Key]:
    refs = (("secret", body.get("key_secret")), ("tenant", body.get("tenant_id")))
    return frozenset(Key(kind, name) for kind, name in refs if type(name) is str)
