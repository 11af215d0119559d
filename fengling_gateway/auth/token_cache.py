"""
What is known of tokens that were seen before, so that each is verified once.

Tokens are known by their SHA-256, and only those in use right now by themselves. Those that were refused are
kept apart, so that whoever sends many can't drive out those that are good.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, Generic, TypeVar

from fengling_gateway.auth.compact import TokenError, parse
from fengling_gateway.auth.issuer import Issuer, verify
from fengling_gateway.auth.principal import Principal

V = TypeVar("V")

Verified = tuple[Principal, Issuer]
Recent = tuple[bytes, Principal, Issuer]

MAX_VERIFIED: Final = 20_000
"""Some 2 KB each, most of it claims."""

MAX_RECENT: Final = 2_000
"""Verified tokens that are known by themselves: a digest costs more than all the rest."""

_TAIL_BYTES: Final = 32
"""
By which they are looked up, and then compared as a whole: of two good ones the ends differ,
being of signatures, and whoever makes up others with the same end finds nothing.
"""

MAX_REFUSED: Final = 20_000

REFUSED_SECONDS: Final = 5.0
"""How long a refusal holds: a key may be published, and a clock reach ``nbf``."""


class Generations(Generic[V]):
    """
    A bounded mapping that forgets what nobody has asked for longest, roughly.

    Two generations: what is asked for moves to the younger; when that is full it
    becomes the older, and what was there is forgotten. So nothing is ever sorted.
    """

    __slots__ = ("_half", "_older", "_younger")

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._younger: dict[bytes, V] = {}
        self._older: dict[bytes, V] = {}

    def __len__(self) -> int:
        return len(self._younger) + len(self._older)

    def get(self, key: bytes) -> V | None:
        found = self._younger.get(key)
        if found is None:
            found = self._older.pop(key, None)
            if found is not None:
                self.set(key, found)
        return found

    def set(self, key: bytes, value: V) -> None:
        if len(self._younger) >= self._half and key not in self._younger:
            self._older = self._younger
            self._younger = {}
        self._younger[key] = value

    def drop(self, key: bytes) -> None:
        self._younger.pop(key, None)
        self._older.pop(key, None)


class TokenCache:
    """
    Verifies tokens, each once until it ends or its issuer or keys change.

    Attributes:
        issuers: by what their tokens say in ``iss``. Set this to change them: what
            was verified by an issuer that is not in it any more, or has other
            keys, counts for nothing.
        verified: how many tokens were looked at in full.
    """

    def __init__(self, *, max_verified: int = MAX_VERIFIED, max_refused: int = MAX_REFUSED) -> None:
        self._issuers: dict[str, Issuer] = {}
        self._max_refused = max_refused
        self._recent: Generations[Recent] = Generations(min(MAX_RECENT, max_verified))
        self._good: Generations[Verified] = Generations(max_verified)
        self._bad: Generations[tuple[TokenError, float]] = Generations(max_refused)
        self.verified = 0

    def __repr__(self) -> str:
        return f"<TokenCache {len(self._good)} verified, {len(self._bad)} refused>"

    @property
    def issuers(self) -> dict[str, Issuer]:
        return self._issuers

    @issuers.setter
    def issuers(self, issuers: dict[str, Issuer]) -> None:
        if _are_same(issuers, self._issuers):
            return
        self._issuers = issuers
        # What was refused may be good now.
        self._bad = Generations(self._max_refused)

    def verify(self, token: bytes, now: float) -> Principal:
        """
        Return whom a token speaks for.

        Args:
            now: seconds since the epoch.

        Raises:
            TokenError: it is refused.
        """
        tail = token[-_TAIL_BYTES:]
        recent = self._recent.get(tail)
        if recent is not None and recent[0] == token and self._counts(recent[1], recent[2], now):
            return recent[1]
        digest = sha256(token).digest()
        known = self._good.get(digest)
        if known is not None:
            principal, issuer = known
            if self._counts(principal, issuer, now):
                self._recent.set(tail, (token, principal, issuer))
                return principal
            self._good.drop(digest)
        refused = self._bad.get(digest)
        if refused is not None and 0.0 <= now - refused[1] < REFUSED_SECONDS:
            raise TokenError(refused[0].code, refused[0].issuer_id)
        return self._verify(token, digest, now)

    def _counts(self, principal: Principal, issuer: Issuer, now: float) -> bool:
        """Whether what was verified before still holds."""
        return now < principal.expires_at and self._issuers.get(issuer.issuer) is issuer

    def _verify(self, token: bytes, digest: bytes, now: float) -> Principal:
        self.verified += 1
        try:
            compact = parse(token)
            principal = verify(compact, self._issuers, now)
        except TokenError as error:
            # Another one, without what was on the way here, tokens among it.
            kept = TokenError(error.code, error.issuer_id)
            self._bad.set(digest, (kept, now))
            raise
        self._good.set(digest, (principal, self._issuers[compact.claims["iss"]]))
        return principal


def _are_same(some: dict[str, Issuer], others: dict[str, Issuer]) -> bool:
    return len(some) == len(others) and all(others.get(name) is one for name, one in some.items())
