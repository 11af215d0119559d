"""What somebody who has passed the gate may do: asked for at each operation."""

from __future__ import annotations

import re
from typing import Any, Final

from zope.interface import Attribute, Interface

from fengling_gateway.access.audit import Asked, AuditTrail, Record
from fengling_gateway.access.problems import ProblemError, request_id
from fengling_gateway.auth.operators import Operator

CHALLENGE: Final = b'Bearer realm="fengling-gateway"'
"""What every refusal of a credential says in ``WWW-Authenticate``, and some say more (RFC 6750, 3)."""

_SHOWN_METHOD: Final = re.compile(rb"[A-Z]{1,20}")
_SHOWN_PATH: Final = re.compile(rb"(?:/[A-Za-z0-9._-]{1,40}){1,6}")
"""What is quoted of a path: no text of strangers, and nothing that is as long as a token."""


class IAccess(Interface):
    """The component of a request that has passed the gate: an `Access`."""

    operator = Attribute("Who asks.")


class Access:
    """
    Somebody's access, in one request.

    Attributes:
        operator: who asks, and with which limits.
    """

    __slots__ = ("_request", "_trail", "operator")

    def __init__(self, request: Any, operator: Operator, trail: AuditTrail) -> None:
        self._request = request
        self._trail = trail
        self.operator = operator

    def require(self, scope: str) -> None:
        """
        Raises:
            ProblemError: the credential has not this scope.
        """
        if self.operator.may(scope):
            return
        more = b', error="insufficient_scope", scope="%s"' % scope.encode()
        self._request.setHeader(b"www-authenticate", CHALLENGE + more)
        raise self._refused(ProblemError("insufficient_scope", f"this needs the scope {scope}"))

    def require_all_tenants(self) -> None:
        """
        Raises:
            ProblemError: the credential is limited to some tenants.
        """
        if self.operator.tenants is not None:
            detail = "this is about the whole gateway, and the credential is limited to tenants"
            raise self._refused(ProblemError("forbidden", detail))

    def narrow(self, tenant: str | None) -> None:
        """
        See the objects of one tenant only from now on; None changes nothing.

        Raises:
            ProblemError: the credential is limited to others.
        """
        if tenant is None:
            return
        mine = self.operator.tenants
        if not tenant or (mine is not None and tenant not in mine):
            detail = "the header X-Tenant-Id names another tenant than the credential"
            raise self._refused(ProblemError("tenant_mismatch", detail))
        self.operator = self.operator.limited(tenants=(tenant,))

    def kept_from(self) -> None:
        """Note that there is what was asked for, but of another tenant: the answer won't say so."""
        self._trail.refused(asked_by(self._request, self.operator), "other_tenant")

    def began(self, what: str, before: Any) -> Record:
        """Note a change; tell the end to the trail's `ended`."""
        asked = asked_by(self._request, self.operator)
        return self._trail.began(
            Asked(what, asked.address, asked.request_id, self.operator), before
        )

    def ended(self, record: Record, outcome: str, after: Any) -> None:
        self._trail.ended(record, outcome, after)

    def _refused(self, problem: ProblemError) -> ProblemError:
        self._trail.refused(asked_by(self._request, self.operator), problem.code)
        return problem


def access_of(request: Any) -> Access:
    """Return the access of a request that has passed the gate."""
    access: Access = request.getComponent(IAccess)
    return access


def asked_by(request: Any, operator: Operator | None) -> Asked:
    """Say what a request is for, and from where: what the gate has found out of that, or the peer."""
    peer = str(getattr(request.getClientAddress(), "host", "unix"))
    method = request.method if _SHOWN_METHOD.fullmatch(request.method) else b"?"
    path = request.path if _SHOWN_PATH.fullmatch(request.path) else b"(another path)"
    return Asked(
        what=f"{method.decode()} {path.decode()}",
        address=getattr(request, "asked_from", peer),
        request_id=request_id(request),
        operator=operator,
    )
