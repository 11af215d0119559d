"""Where a request may show who it comes from, and how that is taken off it again."""

from __future__ import annotations

from typing import Final

from fengling_gateway.auth.requirement import Requirement
from fengling_gateway.http.head import RequestHead
from fengling_gateway.http.headers import Pair, value_of
from fengling_gateway.http.redacting import redacted_query
from fengling_gateway.model.clients import PREFIX

_AUTHORIZATION: Final = b"authorization"
_BEARER: Final = b"bearer"
_ENDS: Final = (b" ", b"\t", b"")
_PREFIX: Final = PREFIX.encode()
"""With nothing behind it no key at all: what is in the place of one is judged as one."""


def bearer(authorization: bytes) -> bytes | None:
    """
    Return the token of an Authorization header; None if it is of another scheme.

    The scheme's case means nothing (RFC 9110, section 11.1). What only some would
    read as a token, behind a tab or with nothing behind the scheme, is a bad one.
    """
    return authorization[6:].strip(b" ") if _is_bearer(authorization) else None


def _is_bearer(authorization: bytes) -> bool:
    return authorization[:6].lower() == _BEARER and authorization[6:7] in _ENDS


def find_proof(head: RequestHead, requirement: Requirement) -> bytes | None:
    """
    Return what a request shows; None for nothing that the route looks for.

    In this order: Authorization, the header for API keys, the cookie and the
    parameter of the query that are configured for tokens. Of a cookie or
    parameter that is there twice the first counts, of a header none does.
    """
    if head.authorization is not None:
        token = bearer(head.authorization)
        if token is None and _is_repeated(head.headers, _AUTHORIZATION):
            token = b""  # an instance might read another line than we
        if token is not None:
            return token
    if requirement.takes_keys:
        key = value_of(head.headers, requirement.api_key_header)
        if key is not None:
            return key if key.startswith(_PREFIX) else _PREFIX
    if requirement.takes_tokens:
        return _cookie(head, requirement.cookie) or _parameter(head.query, requirement.query)
    return None


def remove_proof(head: RequestHead, requirement: Requirement) -> None:
    """Take everything off a request that the route looks at for credentials."""
    authorization = head.authorization
    is_shown = authorization is not None and _is_bearer(authorization)
    key_name = requirement.api_key_header if requirement.takes_keys else b""
    kept: list[Pair] = []
    for pair in head.forward:
        name = pair[0]
        length = len(name)
        if (is_shown and length == len(_AUTHORIZATION) and name.lower() == _AUTHORIZATION) or (
            length == len(key_name) and name.lower() == key_name
        ):
            continue
        kept.append(pair)
    head.forward = kept
    if requirement.cookie:
        _remove_cookie(head, requirement.cookie)
    if requirement.query:
        _remove_parameter(head, requirement.query)


def hide_proof(head: RequestHead, name: bytes) -> None:
    """Take the value of a parameter out of the target, which is to be told of from now on."""
    path, mark, query = head.target.partition(b"?")
    if query:
        head.target = path + mark + redacted_query(query, (name.lower(),))


def _is_repeated(pairs: list[Pair], lower_name: bytes) -> bool:
    return sum(name.lower() == lower_name for name, _ in pairs) > 1


def _cookie(head: RequestHead, wanted: bytes) -> bytes | None:
    if not wanted:
        return None
    for name, value in head.headers:
        if name.lower() == b"cookie":
            for crumb in value.split(b";"):
                crumb_name, equals, token = crumb.partition(b"=")
                if equals and crumb_name.strip() == wanted:
                    return token.strip().strip(b'"')
    return None


def _remove_cookie(head: RequestHead, unwanted: bytes) -> None:
    kept: list[Pair] = []
    for pair in head.forward:
        if pair[0].lower() != b"cookie":
            kept.append(pair)
            continue
        crumbs = pair[1].split(b";")
        left = [crumb for crumb in crumbs if crumb.partition(b"=")[0].strip() != unwanted]
        if len(left) == len(crumbs):
            kept.append(pair)
        elif left:
            kept.append((pair[0], b";".join(left).strip()))
    head.forward = kept


def _parameter(query: bytes, wanted: bytes) -> bytes | None:
    """Return the first value of a parameter as it is: a token needs no escapes."""
    if not wanted or wanted not in query:
        return None
    for part in query.split(b"&"):
        name, equals, value = part.partition(b"=")
        if equals and name == wanted:
            return value
    return None


def _remove_parameter(head: RequestHead, unwanted: bytes) -> None:
    parts = head.query.split(b"&")
    left = [part for part in parts if part.partition(b"=")[0] != unwanted]
    if len(left) == len(parts):
        return
    head.query = b"&".join(left)
    path = head.target.partition(b"?")[0]
    head.target = path + b"?" + head.query if left else path
