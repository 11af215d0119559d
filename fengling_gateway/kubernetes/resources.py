"""Resources of the API that are read, and where they are. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import quote


class Resource(NamedTuple):
    """
    A kind of object.

    Attributes:
        group: empty of the core's.
        version: the newest that is read.
        older: versions that say the same, the newest first, for clusters that do not serve that one.
    """

    group: str
    version: str
    plural: str
    kind: str
    is_namespaced: bool = True
    older: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def versions(self) -> tuple[Resource, ...]:
        """The resource as it is in each version by itself, the newest first."""
        return tuple(self._replace(version=one, older=()) for one in (self.version, *self.older))

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """Return the path of all of them, of those of a namespace, of one, or of a part of one."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if namespace is not None and self.is_namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(one, safe="") for one in (name, subresource) if one is not None]
        return "/".join(parts)


SERVICES: Final = Resource("", "v1", "services", "Service")
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", is_namespaced=False)
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")

GATEWAY_API: Final = "gateway.networking.k8s.io"
GATEWAY_CLASSES: Final = Resource(
    GATEWAY_API, "v1", "gatewayclasses", "GatewayClass", is_namespaced=False
)
GATEWAYS: Final = Resource(GATEWAY_API, "v1", "gateways", "Gateway")
HTTP_ROUTES: Final = Resource(GATEWAY_API, "v1", "httproutes", "HTTPRoute")
# (v1 since version 1.5 of the Gateway API.)
REFERENCE_GRANTS: Final = Resource(
    GATEWAY_API, "v1", "referencegrants", "ReferenceGrant", older=("v1beta1",)
)
