"""
Whether a request may go where its route leads, by the guards of the route.

They ask in this order: from where it comes, whether it is a browser's
preflight (which has no credentials), how much comes from there, who asks, and
how much they do, at last how many do so at a time. Nothing here waits: what
would have to is said, and asked again later.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.principal import Principal
from fengling_gateway.auth.requirement import REQUIRED, Requirement
from fengling_gateway.dataplane.credentials import find_proof, remove_proof
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.http.cors import ANSWER_HEADERS, Cors
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.head import RequestHead
from fengling_gateway.http.headers import NO_PAIRS, Pair, value_of
from fengling_gateway.http.target import normal_host
from fengling_gateway.limiting.keys import key_of
from fengling_gateway.limiting.limit import ConcurrencyLimit, Limit
from fengling_gateway.limiting.shared import UNAVAILABLE
from fengling_gateway.routing.guards import HTTPS_ONLY, Guards

_BEARER: Final = b'Bearer realm="gateway"'
_API_KEY: Final = b'ApiKey realm="gateway"'
_INVALID: Final = b'error="invalid_token"'
_EXPIRED: Final = _INVALID + b', error_description="it has expired"'
_RETRY_SOON: Final[Pair] = (b"Retry-After", b"1")
_NONE: Final[frozenset[bytes]] = frozenset()
_HTTPS_ONLY: Final = frozenset({HTTPS_ONLY.encode()})


class Admission:
    """
    What the guards find out about a request, for as long as its exchange lasts.

    Attributes:
        error: why it may not go on; None if it may.
        status: with which it is answered at once, as a preflight is; 0 if it goes on.
        refused: why credentials are not good, by the code of `TokenError`; empty if they are.
        waits: whether it is worth asking again when keys have arrived.
        tenant: of the request, with what its credentials say of it.
        identity: headers that tell an instance who asks; none for nobody who is known.
        pairs: what its answer says in addition, whatever it is.
        drops: lower-case names of what an instance can't say beside them.
        hides: the parameter of the query that may hold a token; empty: none does.
    """

    __slots__ = (
        "_counted_from",
        "_counted_to",
        "_entered",
        "_head",
        "_now",
        "_plane",
        "_principal",
        "_proof",
        "_route_id",
        "drops",
        "error",
        "hides",
        "identity",
        "pairs",
        "refused",
        "status",
        "tenant",
        "waits",
    )

    def __init__(
        self, plane: PlaneState, head: RequestHead, route_id: str, tenant: str | None, now: float
    ) -> None:
        """
        Args:
            tenant: what host and path, or a token, said before the route was known.
            now: seconds on the reactor's clock.
        """
        self._plane = plane
        self._head = head
        self._route_id = route_id
        self._now = now
        self._principal: Principal | None = None
        self._proof = b""
        self._counted_from = self._counted_to = 0  # of `pairs`, what early limits said
        self._entered: tuple[ConcurrencyLimit, bytes] | None = None
        self.tenant = tenant
        self.error: ForwardError | None = None
        self.status = 0
        self.refused = ""
        self.waits = False
        self.identity: tuple[Pair, ...] = ()
        self.pairs: list[Pair] = NO_PAIRS
        self.drops = _NONE
        self.hides = b""

    def __repr__(self) -> str:
        return f"<Admission error={self.error} principal={self._principal}>"

    @property
    def subject(self) -> str | None:
        """Who asks, as whoever vouches for him says; None where nobody does."""
        return None if self._principal is None else self._principal.subject

    def edited(self, pairs: list[Pair]) -> list[Pair]:
        """Return the headers of an instance's answer with those that the guards add."""
        if self.drops:
            pairs = [pair for pair in pairs if pair[0].lower() not in self.drops]
        return pairs + self.pairs if self.pairs else pairs

    def ask(self, guards: Guards, is_https: bool, earlier: Admission | None) -> None:
        """
        Let the guards of a route judge the request.

        Credentials that are found good are taken off its head, unless the route
        forwards them.

        Args:
            earlier: what the same guards found out before it waited for keys, and
                has been counted.
        """
        if is_https and guards.https_pairs:
            self.pairs = [*guards.https_pairs]
            self.drops = _HTTPS_ONLY
        if guards.requirement is not None:
            self.hides = guards.requirement.query
        if guards.access is not None and not guards.access.takes(self._head.peer):
            self.error = ForwardError.ADDRESS_DENIED
            return
        if guards.cors is not None and self._is_preflight(guards.cors):
            return
        if guards.early_limits:
            self._count_once(guards.early_limits, earlier)
        if guards.requirement is not None and self.error is None:
            self._authorise(guards.requirement, guards.cors)
        if guards.late_limits and self.error is None:
            self._count(guards.late_limits)
        if guards.concurrency is not None and self.error is None:
            self._enter(guards.concurrency)

    def compare_tenant(self) -> None:
        """Refuse a client that says it is of another tenant than the one that is known."""
        said, tenant = self._head.said_tenant, self.tenant
        if said is not None and tenant is not None and said != tenant.encode():
            self.error = ForwardError.TENANT_MISMATCH

    def is_still_good(self) -> bool:
        """
        Whether by the present configuration somebody still stands for whoever asks.

        That a token has ended meanwhile, or its key, is nothing that a tunnel which
        it has begun is ended for.
        """
        principal, plane = self._principal, self._plane
        row = None if self.tenant is None else plane.snapshot.tenants.get(self.tenant)
        if row is not None and not row.enabled:
            return False
        if principal is None:
            return True
        if principal.method == "jwt":
            return any(one.id == principal.source for one in plane.identities.issuers.values())
        try:
            plane.identities.verify(self._proof, True, plane.wall)
        except TokenError:
            return False
        return True

    def leave(self) -> None:
        """Be no longer among the requests that are under way at a time."""
        if self._entered is not None:
            self._plane.limit_table.release(*self._entered)
            self._entered = None

    # Browsers

    def _is_preflight(self, cors: Cors) -> bool:
        """Answer a preflight; to any other request note what is said to its page."""
        origin = value_of(self._head.headers, b"origin")
        if origin is not None and self._head.preflight is not None:
            self.status = 204
            self.pairs = self.pairs + cors.preflight_pairs(origin)
            return True
        self.pairs = self.pairs + cors.pairs(origin)
        self.drops = self.drops | ANSWER_HEADERS if self.drops else ANSWER_HEADERS
        return False

    def _is_strangers_page(self, cors: Cors | None) -> bool:
        """Whether the page that asks is neither of the host that it asks, nor allowed."""
        origin = value_of(self._head.headers, b"origin")
        if origin is None or (cors is not None and cors.allows(origin)):
            return False
        try:
            return normal_host(origin.partition(b"://")[2]) != self._head.host
        except ValueError:
            return True

    # Limits

    def _count_once(self, limits: tuple[Limit, ...], earlier: Admission | None) -> None:
        """Count the request, unless that was done before it waited."""
        self._counted_from = len(self.pairs)
        if earlier is None:
            self._count(limits)
        else:
            self.pairs = self.pairs + earlier.pairs[earlier._counted_from : earlier._counted_to]
        self._counted_to = len(self.pairs)

    def _count(self, limits: tuple[Limit, ...]) -> None:
        """Count the request, and tell its client what is left."""
        table, now = self._plane.limit_table, self._now
        keys = [self._key(limit) for limit in limits]
        wait = table.take_all(limits, keys, now)
        if wait == UNAVAILABLE:
            self.error = ForwardError.LIMIT_UNAVAILABLE
            return
        self.pairs = self.pairs + table.pairs(limits, keys, now)
        if wait:
            self.error = ForwardError.RATE_LIMITED
            self.pairs.append((b"Retry-After", b"%d" % ceil(wait)))

    def _enter(self, limit: ConcurrencyLimit) -> None:
        key = self._key(limit)
        if self._plane.limit_table.enter(limit, key):
            self._entered = limit, key
        else:
            self.error = ForwardError.TOO_MANY_AT_ONCE
            self.pairs = [*self.pairs, _RETRY_SOON]

    def _key(self, limit: Limit | ConcurrencyLimit) -> bytes:
        head = self._head
        return key_of(limit, head.peer, self._route_id, self.tenant, self._principal, head.headers)

    # Credentials

    def _authorise(self, requirement: Requirement, cors: Cors | None) -> None:
        plane, head = self._plane, self._head
        if head.upgrade is not None and requirement.cookie and self._is_strangers_page(cors):
            # A browser sends cookies with a WebSocket that any page opens, and asks nobody.
            self.error = ForwardError.FORBIDDEN
            return
        proof = find_proof(head, requirement)
        if proof is None:
            if requirement.mode == REQUIRED:
                self._refuse(requirement, ForwardError.UNAUTHORIZED, b"")
            return
        try:
            principal = plane.identities.verify(proof, not requirement.takes_tokens, plane.wall)
        except TokenError as error:
            self._refuse_proof(requirement, error)
            return
        if not requirement.believes(principal):
            self.refused = "other_issuer" if principal.method == "jwt" else "other_method"
            self._refuse(requirement, ForwardError.INVALID_TOKEN, _INVALID)
            return
        if principal.method == "jwt":
            plane.identities.tokens_accepted += 1
        else:
            plane.identities.keys_accepted += 1
        self._principal = principal
        self._proof = proof
        self.identity = principal.pairs
        self._judge(requirement, principal)
        if self.error is None and not requirement.forward:
            remove_proof(head, requirement)

    def _judge(self, requirement: Requirement, principal: Principal) -> None:
        """Judge whether whoever asks may ask this."""
        said = principal.tenant
        if said is not None and not self._is_of(said):
            return
        if not requirement.asks_more or requirement.allows(principal):
            return
        if requirement.scopes <= principal.scopes:
            self.error = ForwardError.FORBIDDEN
            return
        scopes = " ".join(sorted(requirement.scopes)).encode()
        challenge = b'error="insufficient_scope", scope="%b"' % scopes
        self._refuse(requirement, ForwardError.INSUFFICIENT_SCOPE, challenge)

    def _is_of(self, tenant: str) -> bool:
        """Take the tenant of whoever asks for that of the request, if it may be."""
        if self.tenant is not None and self.tenant != tenant:
            self.error = ForwardError.TENANT_MISMATCH
            return False
        row = self._plane.snapshot.tenants.get(tenant)
        if row is not None and not row.enabled:
            self.error = ForwardError.FORBIDDEN
            return False
        self.tenant = tenant
        return True

    def _refuse_proof(self, requirement: Requirement, error: TokenError) -> None:
        """Refuse credentials that are not good; a key that is on its way may show they are."""
        identities, issuer_id = self._plane.identities, error.issuer_id
        self.refused = error.code
        if issuer_id is not None:
            self.waits = identities.want_keys(issuer_id)
            if identities.has_no_keys(issuer_id):
                self.error = ForwardError.KEYS_UNAVAILABLE
                return
        challenge = _EXPIRED if error.code == "expired" else _INVALID
        self._refuse(requirement, ForwardError.INVALID_TOKEN, challenge)

    def _refuse(self, requirement: Requirement, error: ForwardError, challenge: bytes) -> None:
        """Refuse, and say how to ask (RFC 6750, section 3; RFC 9110, section 11.6.1)."""
        self.error = error
        scheme = _BEARER if requirement.takes_tokens else _API_KEY
        value = scheme + b", " + challenge if challenge and requirement.takes_tokens else scheme
        self.pairs = [*self.pairs, (b"WWW-Authenticate", value)]
