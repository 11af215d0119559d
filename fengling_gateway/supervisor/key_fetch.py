"""Key sets as issuers publish them: where they are, and what is taken of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from fengling_gateway.auth.strict_json import StrictJSONError, loads
from fengling_gateway.model.issuers import is_web_address
from fengling_gateway.model.key_sets import KeyRefusedError, read_key, read_key_set
from fengling_gateway.model.problems import shown

MAX_DOCUMENT_BYTES: Final = 256 * 1024
"""A hundred keys with their certificates have less."""

FETCH_SECONDS: Final = 5.0
"""All of it: names, connections, and both steps of discovery."""

WELL_KNOWN: Final = "/.well-known/openid-configuration"

_PUBLIC: Final = ("kty", "crv", "n", "e", "x", "y", "kid", "use", "alg", "key_ops")
"""What is taken of a key. Certificates, the most of it, are not looked at."""


REASONS: Final = (
    *("name", "address", "connect", "tls", "deadline", "redirect", "status"),
    *("too_large", "content", "broken", "discovery", "keys"),
)


class FetchError(Exception):
    """
    Keys can't be had from where they are published.

    Attributes:
        reason: one of `REASONS`, which ``docs/tokens.md`` explains.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        assert reason in REASONS, reason
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Fetched:
    """
    A key set, with nothing in it but what verifies tokens.

    Attributes:
        refused: keys that can't be used, by their ids or places, and why.
    """

    document: dict[str, Any]
    refused: Mapping[str, str] = field(default_factory=dict)


class KeyFetch:
    """
    Fetches the key sets of issuers.

    Args:
        get: returns what is found at a URL; fails with `FetchError`.
    """

    def __init__(self, *, clock: IReactorTime, get: Callable[[str], Deferred[bytes]]) -> None:
        self._clock = clock
        self._get = get

    def fetch(self, issuer: Mapping[str, Any]) -> Deferred[Fetched]:
        """
        Fetch what an issuer publishes; its canonical body says where.

        Fails with `FetchError`, after `FETCH_SECONDS` at the latest; with whatever
        it was doing when it is cancelled.
        """
        fetching = Deferred.fromCoroutine(self._fetch(issuer))
        return fetching.addTimeout(FETCH_SECONDS, self._clock, _late)

    async def _fetch(self, issuer: Mapping[str, Any]) -> Fetched:
        url = issuer["jwks_url"]
        if not url:
            described = await self._get(issuer["issuer"].rstrip("/") + WELL_KNOWN)
            url = discovered(described, issuer["issuer"])
        return read_published(await self._get(url), issuer["algorithms"])


def _late(value: Any, seconds: float) -> Any:
    # (What a request says that has been broken off depends on how far it had got.)
    if isinstance(value, Failure):
        return Failure(FetchError("deadline", f"it has not answered within {seconds:g} s"))
    return value


def discovered(content: bytes, issuer: str) -> str:
    """
    Return where an issuer's description of itself says that its keys are.

    (OpenID Connect Discovery 1.0, sections 4.2 and 4.3.)

    Raises:
        FetchError: it is none, or one of another issuer, or names what keys are
            not fetched from.
    """
    found = _json(content)
    said = found.get("issuer") if type(found) is dict else None
    if said != issuer:
        raise FetchError(
            "discovery", f"it describes the issuer {shown(said)}, which is not {shown(issuer)}"
        )
    url = found.get("jwks_uri")
    # Nobody outside may have this host ask itself.
    goes_inside = urlsplit(issuer).scheme == "https" and str(url)[:6].lower() != "https:"
    if type(url) is not str or not is_web_address(url) or goes_inside:
        raise FetchError(
            "discovery", f"it names {shown(url)} for its keys, which must be https://host/path"
        )
    return url


def read_published(content: bytes, algorithms: Collection[str]) -> Fetched:
    """
    Return what can be used of a published key set.

    Raises:
        FetchError: it is none, or nothing in it can be used. An empty one is an
            accident rather than a decision: who wants an issuer to be
            believed no more disables it.
    """
    document = _json(content)
    try:
        refused = read_key_set(document, algorithms).refused
    except KeyRefusedError as error:
        raise FetchError("keys", f"what it answers {error}") from None
    usable = [
        {name: jwk[name] for name in _PUBLIC if name in jwk}
        for jwk in document["keys"]
        if _is_usable(jwk, algorithms)
    ]
    if not usable:
        first = next(iter(refused.items()), None)
        more = f": {first[0]} {first[1]}" if first else ", it is empty"
        raise FetchError("keys", f"no key that it publishes can be used{more}")
    return Fetched({"keys": usable}, refused)


def _is_usable(jwk: Any, algorithms: Collection[str]) -> bool:
    try:
        read_key(jwk, algorithms)
    except KeyRefusedError:
        return False
    return True


def _json(content: bytes) -> Any:
    try:
        return loads(content)
    except StrictJSONError as error:
        raise FetchError("content", f"what it answers can't be read: {error}") from None
