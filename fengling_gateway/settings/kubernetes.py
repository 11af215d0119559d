"""The settings of a console that follows a Kubernetes cluster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pydantic import Field, field_validator

from fengling_gateway.model.names import host, slug
from fengling_gateway.settings.by_namespace import NAMESPACES, Lists, check_lists, read_lists
from fengling_gateway.settings.section import Section
from fengling_gateway.settings.values import refuse

POD_DIRECTORY: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds the token and the authority of its cluster."""

_LABEL: Final = r"(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_VALUE: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"
_SELECTOR: Final = re.compile(rf"{_LABEL}(?:={_VALUE})?(?:,{_LABEL}(?:={_VALUE})?){{0,19}}")
_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_RULE: Final = re.compile(r"[a-z0-9*?-]{1,63}/[a-z0-9*?-]{1,63}")
_LISTENER: Final = re.compile(r"([1-9][0-9]{0,4})=([A-Za-z0-9][A-Za-z0-9._-]{0,99})")
_MAX_PORT: Final = 65535
_PRIORITY: Final = 2**31
"""What priorities of routes are below."""


class KubernetesSettings(Section):
    """A cluster whose Services become services, routes and instances, once somebody has approved them."""

    enabled: bool = Field(
        default=False,
        description="Whether this console may become the one that follows a cluster.",
    )
    api_url: str | None = Field(
        default=None,
        pattern=r"^https?://[A-Za-z0-9.\[\]:-]{1,255}$",
        description="Of the API server. Unset: as pods are told it (KUBERNETES_SERVICE_HOST and "
        "KUBERNETES_SERVICE_PORT).",
        examples=["https://10.96.0.1:443"],
    )
    token_file: Path = Field(
        default=POD_DIRECTORY / "token",
        description="The token of a ServiceAccount; read again when it changes.",
    )
    ca_file: Path | None = Field(
        default=POD_DIRECTORY / "ca.crt",
        description="PEM: whom the API server's certificate must be from.",
    )
    namespaces: list[str] = Field(
        default=[],
        max_length=100,
        description="Those that are looked at; empty: all, for which it needs rights in all.",
        examples=[["shop", "billing"]],
    )
    selector: str = Field(
        default="managed-by=fengling",
        description="Labels of the Services that are discovered.",
    )
    approve: list[str] = Field(
        default=[],
        max_length=1000,
        description="Services that are approved without asking: namespace/name, with * and ?. All "
        "others wait for somebody.",
        examples=[["shop/*", "billing/public-*"]],
    )
    hosts: list[str] = Field(
        default=[],
        max_length=1000,
        description="Which hosts a namespace's objects may take: a pattern of namespaces, with * "
        "and ?, and what they may have; *.x is every host below x, * any host, and none. Empty: "
        "no limit. Else a namespace that no pattern matches may take none.",
        examples=[["shop=shop.example,*.shop.example", "infra=*", "team-*=*.team.example"]],
    )
    tenants: list[str] = Field(
        default=[],
        max_length=1000,
        description="For which tenants a namespace's objects may have routes, in the same form; * "
        "is any, and none: routes without a tenant, which those of HTTPRoutes always are, are for "
        "namespaces with * alone. Empty: no limit.",
        examples=[["shop=acme,acme-eu", "infra=*"]],
    )
    max_priority: int | None = Field(
        default=None,
        ge=-_PRIORITY,
        lt=_PRIORITY,
        description="The highest priority that an annotation may ask for. Unset: any.",
        examples=[100],
    )
    gateway_api: bool = Field(
        default=False,
        description="Whether Gateways and HTTPRoutes of the cluster become routes. Who may make "
        "them there needs nobody's approval here, but has the limits above.",
    )
    gateway_namespaces: list[str] = Field(
        default=[],
        max_length=1000,
        description="Of which namespaces Gateways are served, with * and ?; empty: all.",
        examples=[["infra"]],
    )
    gateway_api_priority: int = Field(
        default=0,
        ge=-_PRIORITY,
        lt=_PRIORITY,
        description="The priority of routes made of HTTPRoutes. With -1 all that have a usual one "
        "come before them.",
    )
    controller: str = Field(
        default="gateway.fengling/controller",
        pattern=r"^[a-z0-9.-]{1,253}/[A-Za-z0-9/._~%!$&'()*+,;=:-]{1,100}$",
        description="The controllerName of GatewayClasses that are ours.",
    )
    listeners: list[str] = Field(
        default=["80=http", "443=https"],
        max_length=50,
        description="The gateway hosts' listeners ([[listeners]] name) by the ports of Gateways.",
    )
    addresses: list[str] = Field(
        default=[],
        max_length=16,
        description="Addresses or names at which gateways are reached, for the status of Gateways.",
        examples=[["203.0.113.7"]],
    )

    @field_validator("namespaces")
    @classmethod
    def _namespaces(cls, value: list[str]) -> list[str]:
        return _each(value, _NAMESPACE, "must be names of namespaces")

    @field_validator("selector")
    @classmethod
    def _selector(cls, value: str) -> str:
        if _SELECTOR.fullmatch(value.replace(" ", "")) is None:
            raise refuse("malformed", 'must be labels like "managed-by=fengling,tier=front"')
        return value.replace(" ", "")

    @field_validator("approve")
    @classmethod
    def _approve(cls, value: list[str]) -> list[str]:
        return _each(value, _RULE, 'must be patterns like "shop/*" (namespace/name)')

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, value: list[str]) -> list[str]:
        check_lists(
            value, host, 'namespaces and their hosts like "shop=shop.example,*.shop.example"'
        )
        return value

    @field_validator("tenants")
    @classmethod
    def _tenants(cls, value: list[str]) -> list[str]:
        check_lists(value, slug, 'namespaces and their tenants like "shop=acme,acme-eu"')
        return value

    @field_validator("gateway_namespaces")
    @classmethod
    def _gateway_namespaces(cls, value: list[str]) -> list[str]:
        return _each(value, NAMESPACES, 'must be patterns of namespaces like "infra" or "edge-*"')

    @field_validator("listeners")
    @classmethod
    def _listeners(cls, value: list[str]) -> list[str]:
        for one in value:
            found = _LISTENER.fullmatch(one)
            if found is None or int(found[1]) > _MAX_PORT:
                raise refuse("malformed", 'must be a port and a listener like "80=http"')
        return value

    def listener_names(self) -> dict[int, str]:
        """Return the names of hosts' listeners by port."""
        pairs = (one.split("=", 1) for one in self.listeners)
        return {int(port): name for port, name in pairs}

    def hosts_by_namespace(self) -> Lists:
        return read_lists(self.hosts, host)

    def tenants_by_namespace(self) -> Lists:
        return read_lists(self.tenants, slug)


def _each(value: list[str], pattern: re.Pattern[str], wanted: str) -> list[str]:
    for one in value:
        if pattern.fullmatch(one) is None:
            raise refuse("malformed", wanted)
    return value
