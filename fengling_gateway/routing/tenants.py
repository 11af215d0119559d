"""Which tenant a request belongs to, as far as its host and path tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fengling_gateway.http.spelling import canonical_path
from fengling_gateway.routing.route import compile_host_pattern
from fengling_gateway.routing.sharding import AnyDict, put


class Tenant:
    """A compiled tenant; immutable once built."""

    __slots__ = ("enabled", "hosts", "id", "limits", "name", "path_prefix")

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.id: str = body["id"]
        self.name: str = body["name"]
        self.enabled: bool = body["enabled"]
        self.hosts = tuple(dict.fromkeys(map(compile_host_pattern, body["hosts"])))
        prefix: str | None = body["path_prefix"]
        self.path_prefix = canonical_path(prefix.rstrip("/").encode()) if prefix else None
        self.limits: Mapping[str, Any] = body["limits"]

    def __repr__(self) -> str:
        return f"<Tenant {self.id}>"


Claims = tuple[str, ...]
"""Ids of the tenants bound to one host or path, sorted: the first has it."""


class TenantIndex:
    """
    Every tenant by id, and the enabled ones by host and path prefix. Immutable.

    A host or prefix claimed by several tenants goes to the first by id, so
    that every worker of every gateway decides alike.
    """

    __slots__ = ("_exact", "_longest", "_prefixes", "_tenants", "_wild")

    def __init__(
        self,
        tenants: AnyDict[str, Tenant],
        exact: AnyDict[bytes, Claims],
        wild: AnyDict[bytes, Claims],
        prefixes: AnyDict[bytes, Claims],
        longest: int,
    ) -> None:
        self._tenants = tenants
        self._exact = exact
        self._wild = wild
        self._prefixes = prefixes
        self._longest = longest

    @classmethod
    def empty(cls) -> TenantIndex:
        return cls({}, {}, {}, {}, 0)

    def __repr__(self) -> str:
        return f"<TenantIndex of {self.size} tenants>"

    @property
    def size(self) -> int:
        """Tenants in it, disabled ones included."""
        return len(self._tenants)

    def get(self, tenant_id: str) -> Tenant | None:
        return self._tenants.get(tenant_id)

    def __iter__(self) -> Iterator[Tenant]:
        return iter(self._tenants.values())

    def apply(self, changes: Iterable[tuple[str, Tenant | None]]) -> TenantIndex:
        """Return the index after some changes: a tenant's id and what it is now, or None."""
        twin = TenantIndex(
            self._tenants.copy(),
            self._exact.copy(),
            self._wild.copy(),
            self._prefixes.copy(),
            self._longest,
        )
        for tenant_id, tenant in changes:
            twin._replace(tenant_id, tenant)
        return twin

    def resolve(self, host: bytes, path: bytes) -> str | None:
        """Return the tenant bound to a host, else to the longest prefix of a path, else None."""
        claims = self._exact.get(host)
        if claims is not None:
            return claims[0]
        if self._wild:
            at = host.find(b".", 1)
            while at > 0:
                claims = self._wild.get(host[at:])
                if claims is not None:
                    return claims[0]
                at = host.find(b".", at + 1)
        if self._prefixes:
            return self._resolve_path(path)
        return None

    def _resolve_path(self, path: bytes) -> str | None:
        path = canonical_path(path)
        end = len(path)
        if end > self._longest:  # nothing longer can be there, however long the path
            end = path.rfind(b"/", 0, self._longest + 1)
        while end > 0:
            claims = self._prefixes.get(path[:end])
            if claims is not None:
                return claims[0]
            end = path.rfind(b"/", 0, end)
        return None

    def _replace(self, tenant_id: str, tenant: Tenant | None) -> None:
        before = self._tenants.get(tenant_id)
        if before is not None:
            del self._tenants[tenant_id]
            self._unbind(before)
        if tenant is not None:
            self._tenants = put(self._tenants, tenant_id, tenant)
            self._bind(tenant)

    def _bind(self, tenant: Tenant) -> None:
        if not tenant.enabled:
            return
        for host in tenant.hosts:
            if host.startswith(b"*."):
                self._wild = _claim(self._wild, host[1:], tenant.id)
            else:
                self._exact = _claim(self._exact, host, tenant.id)
        if tenant.path_prefix:
            self._prefixes = _claim(self._prefixes, tenant.path_prefix, tenant.id)
            self._longest = max(self._longest, len(tenant.path_prefix))

    def _unbind(self, tenant: Tenant) -> None:
        if not tenant.enabled:
            return
        for host in tenant.hosts:
            if host.startswith(b"*."):
                _disclaim(self._wild, host[1:], tenant.id)
            else:
                _disclaim(self._exact, host, tenant.id)
        if tenant.path_prefix:
            _disclaim(self._prefixes, tenant.path_prefix, tenant.id)


def compile_tenant(body: Mapping[str, Any]) -> Tenant:
    """Compile a canonical tenant body."""
    return Tenant(body)


def _claim(claims: AnyDict[bytes, Claims], key: bytes, tenant: str) -> AnyDict[bytes, Claims]:
    return put(claims, key, tuple(sorted((*(claims.get(key) or ()), tenant))))


def _disclaim(claims: AnyDict[bytes, Claims], key: bytes, tenant: str) -> None:
    left = tuple(other for other in claims.get(key) or () if other != tenant)
    if left:
        claims[key] = left
    else:
        del claims[key]
