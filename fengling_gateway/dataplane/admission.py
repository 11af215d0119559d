"""
Whether a request may go where its route leads, by the guards of the route.

They ask in this order: from where it comes, whether it is a browser's
preflight (which has no credentials), how much comes from there, who asks, and
how much they do, at last how many do so at a time. Nothing here waits: what
would have to is said, and asked again later.
"""

from __future__ import annotations

from math import ceil
from typing import Final, NamedTuple

from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.principal import Principal
from fengling_gateway.auth.requirement import REQUIRED, Requirement
from fengling_gateway.dataplane.credentials import Proof, find_proof, remove_proof
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.http.cors import ANSWER_HEADERS
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.head import RequestHead
from fengling_gateway.http.headers import Pair
from fengling_gateway.limiting.keys import key_of
from fengling_gateway.limiting.limit import ConcurrencyLimit, Limit
from fengling_gateway.limiting.shared import UNAVAILABLE
from fengling_gateway.limiting.table import LimitTable
from fengling_gateway.routing.guards import Guards

_REALM: Final = b'realm="gateway"'
_BEARER: Final = b"Bearer " + _REALM
_RETRY_SOON: Final[Pair] = (b"Retry-After", b"1")
_OPTIONS: Final = b"OPTIONS"
_NONE: Final[frozenset[bytes]] = frozenset()


class Admission:
    """
    What the guards have found out about a request, for as long as its exchange lasts.

    Attributes:
        error: why it may not go on; None if it may.
        status: with which it is answered at once, as a preflight is; 0 if it goes on.
        refused: why credentials are not good, by the code of `TokenError`; empty if they are.
        waits: whether it is worth asking again when keys have arrived.
        principal: who asks; None for nobody who is known.
        tenant: of the request, with what its credentials say of it.
        pairs: what its answer says in addition, whatever it is.
        drops: lower-case names of what an instance can't say beside them.
    """

    __slots__ = (
        "_entered",
        "drops",
        "error",
        "pairs",
        "principal",
        "refused",
        "status",
        "tenant",
        "waits",
    )

    def __init__(self, tenant: str | None) -> None:
        """
        Args:
            tenant: what host and path, or a token, said before the route was known.
        """
        self.tenant = tenant
        self.error: ForwardError | None = None
        self.status = 0
        self.refused = ""
        self.waits = False
        self.principal: Principal | None = None
        self.pairs: list[Pair] = []
        self.drops = _NONE
        self._entered: tuple[ConcurrencyLimit, bytes] | None = None

    def __repr__(self) -> str:
        return f"<Admission error={self.error} principal={self.principal}>"

    def edited(self, pairs: list[Pair]) -> list[Pair]:
        """Return the headers of an instance's answer with those that the guards add."""
        drops = self.drops
        if drops:
            pairs = [pair for pair in pairs if pair[0].lower() not in drops]
        return pairs + self.pairs

    def enter(self, table: LimitTable, limit: ConcurrencyLimit, key: bytes) -> bool:
        """Count among the requests that are under way, if there may be one more."""
        if not table.enter(limit, key):
            return False
        self._entered = limit, key
        return True

    def leave(self, table: LimitTable) -> None:
        """Count no longer among them."""
        entered, self._entered = self._entered, None
        if entered is not None:
            table.release(*entered)


class Asked(NamedTuple):
    """A request, and where its route was found."""

    head: RequestHead
    route_id: str
    is_https: bool
    now: float
    """Seconds on the reactor's clock."""
    is_again: bool
    """Whether it has waited for keys, and been counted before."""


def admit(plane: PlaneState, asked: Asked, guards: Guards | None, tenant: str | None) -> Admission:
    """
    Let the guards of a route judge a request.

    Credentials that have been found good are taken off its head, unless the
    route forwards them.
    """
    admission = Admission(tenant)
    if guards is not None:
        _ask(plane, asked, guards, admission)
    if admission.error is None and not admission.status:
        if _contradicts(asked.head, admission.tenant):
            admission.error = ForwardError.TENANT_MISMATCH
        elif guards is not None and guards.concurrency is not None:
            _enter(plane, asked, guards.concurrency, admission)
    return admission


def _contradicts(head: RequestHead, tenant: str | None) -> bool:
    """Whether the client says it is of another tenant than the one that is known."""
    said = head.said_tenant
    return said is not None and tenant is not None and said != tenant.encode()


def _ask(plane: PlaneState, asked: Asked, guards: Guards, admission: Admission) -> None:
    if asked.is_https:
        admission.pairs += guards.https_pairs
    if guards.access is not None and not guards.access.takes(asked.head.peer):
        admission.error = ForwardError.ADDRESS_DENIED
        return
    if guards.cors is not None and _is_preflight(asked.head, guards, admission):
        return
    if guards.early_limits and not asked.is_again:
        _count(plane, asked, guards.early_limits, admission)
    if guards.requirement is not None and admission.error is None:
        _authorise(plane, asked.head, guards.requirement, admission)
    if guards.late_limits and admission.error is None:
        _count(plane, asked, guards.late_limits, admission)


def _count(
    plane: PlaneState, asked: Asked, limits: tuple[Limit, ...], admission: Admission
) -> None:
    """Count a request, and tell its client what is left."""
    table, now = plane.limit_table, asked.now
    keys = [_key(asked, limit, admission) for limit in limits]
    wait = table.take_all(limits, keys, now)
    if wait == UNAVAILABLE:
        admission.error = ForwardError.LIMIT_UNAVAILABLE
        return
    admission.pairs += table.pairs(limits, keys, now)
    if wait:
        admission.error = ForwardError.RATE_LIMITED
        admission.pairs.append((b"Retry-After", b"%d" % ceil(wait)))


def _enter(plane: PlaneState, asked: Asked, limit: ConcurrencyLimit, admission: Admission) -> None:
    if not admission.enter(plane.limit_table, limit, _key(asked, limit, admission)):
        admission.error = ForwardError.TOO_MANY_AT_ONCE
        admission.pairs.append(_RETRY_SOON)


def _key(asked: Asked, limit: Limit | ConcurrencyLimit, admission: Admission) -> bytes:
    head = asked.head
    return key_of(
        limit, head.peer, asked.route_id, admission.tenant, admission.principal, head.headers
    )


def _is_preflight(head: RequestHead, guards: Guards, admission: Admission) -> bool:
    """Answer a preflight; to any other request note what is said to its page."""
    cors = guards.cors
    assert cors is not None
    origin = next((value for name, value in head.headers if name.lower() == b"origin"), None)
    if origin is not None and head.preflight is not None and head.method == _OPTIONS:
        admission.status = 204
        admission.pairs += cors.preflight_pairs(origin)
        return True
    admission.pairs += cors.pairs(origin)
    admission.drops = ANSWER_HEADERS
    return False


def _authorise(
    plane: PlaneState, head: RequestHead, requirement: Requirement, admission: Admission
) -> None:
    proof = find_proof(head, requirement)
    if proof is None:
        if requirement.mode == REQUIRED:
            _refuse(admission, requirement, ForwardError.UNAUTHORIZED)
        return
    try:
        principal = _verified(plane, proof)
    except TokenError as error:
        _refuse_proof(plane, requirement, admission, error)
        return
    if not requirement.believes(principal):
        admission.refused = "other_issuer" if principal.method == "jwt" else "other_method"
        _refuse(admission, requirement, ForwardError.INVALID_TOKEN, b'error="invalid_token"')
        return
    admission.principal = principal
    _judge(plane, requirement, principal, admission)
    if not requirement.forward:
        remove_proof(head, requirement)


def _verified(plane: PlaneState, proof: Proof) -> Principal:
    if proof.is_key:
        return plane.identities.of_key(proof.value, plane.wall)
    return plane.identities.of_bearer(proof.value, plane.wall)


def _judge(
    plane: PlaneState, requirement: Requirement, principal: Principal, admission: Admission
) -> None:
    """Judge whether whoever asks may ask this."""
    said = principal.tenant
    if said is not None:
        if admission.tenant is not None and admission.tenant != said:
            admission.error = ForwardError.TENANT_MISMATCH
            return
        row = plane.snapshot.tenants.get(said)
        if row is not None and not row.enabled:
            admission.error = ForwardError.FORBIDDEN
            return
        admission.tenant = said
    missing = requirement.missing_scopes(principal)
    if missing:
        scopes = " ".join(sorted(requirement.scopes)).encode()
        challenge = b'error="insufficient_scope", scope="%b"' % scopes
        _refuse(admission, requirement, ForwardError.INSUFFICIENT_SCOPE, challenge)
    elif not requirement.allows(principal):
        admission.error = ForwardError.FORBIDDEN


def _refuse_proof(
    plane: PlaneState, requirement: Requirement, admission: Admission, error: TokenError
) -> None:
    """Refuse credentials that are not good; a key that is on its way may show that they are."""
    issuer_id = error.issuer_id
    admission.refused = error.code
    admission.waits = issuer_id is not None and plane.identities.want_keys(issuer_id)
    if issuer_id is not None and plane.identities.has_no_keys(issuer_id):
        admission.error = ForwardError.KEYS_UNAVAILABLE
        return
    challenge = b'error="invalid_token"'
    if error.code == "expired":
        challenge += b', error_description="it has expired"'
    _refuse(admission, requirement, ForwardError.INVALID_TOKEN, challenge)


def _refuse(
    admission: Admission, requirement: Requirement, error: ForwardError, challenge: bytes = b""
) -> None:
    """Refuse, and say how to ask (RFC 6750, section 3; RFC 9110, section 11.6.1)."""
    admission.error = error
    if requirement.takes_tokens:
        value = _BEARER + b", " + challenge if challenge else _BEARER
    else:
        value = b"ApiKey " + _REALM
    admission.pairs.append((b"WWW-Authenticate", value))
