"""Which listeners of a Gateway are served, and what their status says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from fengling_gateway.kubernetes.gateway_api.conditions import (
    ACCEPTED,
    CONFLICTED,
    PROGRAMMED,
    RESOLVED_REFS,
    Condition,
    condition,
)
from fengling_gateway.kubernetes.gateway_api.objects import Gateway, GatewayListener, Kind
from fengling_gateway.kubernetes.gateway_api.references import HTTP_ROUTE
from fengling_gateway.kubernetes.gateway_api.world import Problem, Row, Settings

SCHEMES: Final = {"HTTP": "http", "HTTPS": "https"}
"""The protocols that are supported."""

OWN_CERTIFICATES: Final = "gateway.fengling/certificates"
"""The option of a listener's ``tls`` that, with the value ``own``, takes the gateways' certificates."""

_OWN: Final = "own"


class JudgedListener(NamedTuple):
    """
    A listener of a Gateway, and what is to be thought of it.

    Attributes:
        host_listener: the name of the gateway hosts' listener that it is; empty for none.
        refused: why it is not accepted; None if it is.
        unresolved: what it refers to and is not there, or not supported; None for nothing.
        kinds: of routes that may be attached.
    """

    listener: GatewayListener
    host_listener: str
    refused: Problem | None
    unresolved: Problem | None
    kinds: tuple[Kind, ...]

    @property
    def is_programmed(self) -> bool:
        """Whether requests to it are served."""
        has_certificates = self.unresolved is None or self.unresolved.reason == "InvalidRouteKinds"
        return self.refused is None and has_certificates and bool(self.kinds)

    @property
    def scheme(self) -> str:
        return SCHEMES.get(self.listener.protocol, "")


def judge_listeners(gateway: Gateway, settings: Settings) -> tuple[JudgedListener, ...]:
    return tuple(_judge(one, gateway, settings) for one in gateway.listeners)


def listener_status(
    judged: JudgedListener, attached: int, generation: int, *, of_gateway: Problem | None
) -> Row:
    """
    Return the status of a listener that so many routes are attached to.

    Args:
        of_gateway: why the Gateway is not accepted as a whole, so that nothing of it is served.
    """
    return {
        "name": judged.listener.name,
        "supportedKinds": [{"group": kind.group, "kind": kind.kind} for kind in judged.kinds],
        "attachedRoutes": attached,
        "conditions": _conditions(judged, generation, of_gateway),
    }


def _judge(listener: GatewayListener, gateway: Gateway, settings: Settings) -> JudgedListener:
    is_known = listener.protocol in SCHEMES
    kinds = listener.kinds or (HTTP_ROUTE,)
    return JudgedListener(
        listener=listener,
        host_listener=settings.listeners.get(listener.port, ""),
        refused=_refusal(listener, gateway, settings),
        unresolved=_unresolved(listener) if is_known else None,
        kinds=(HTTP_ROUTE,) if is_known and HTTP_ROUTE in kinds else (),
    )


def _refusal(listener: GatewayListener, gateway: Gateway, settings: Settings) -> Problem | None:
    if listener.protocol not in SCHEMES:
        return Problem(
            "UnsupportedProtocol", f"protocol {listener.protocol} is none of {', '.join(SCHEMES)}"
        )
    if listener.port not in settings.listeners:
        known = ", ".join(map(str, sorted(settings.listeners))) or "none"
        return Problem(
            "PortUnavailable",
            f"gateways have no listener for port {listener.port} (the setting kubernetes.listeners "
            f"of the console names those for {known})",
        )
    return (
        _conflict(listener, gateway.listeners)
        or _tls_refusal(listener, gateway)
        or _outside(listener, gateway, settings)
    )


def _outside(listener: GatewayListener, gateway: Gateway, settings: Settings) -> Problem | None:
    """
    Return what a listener takes that its namespace may not have.

    Its hostname is kept from wider ones, with 404 for what no route takes (`rows.isolating_rows`).
    Without a hostname it takes nothing by itself: routes do, and are judged by their own namespaces.
    """
    limits, namespace = settings.limits, gateway.metadata.name.namespace
    if listener.hostname is None:
        return None
    if limits.hosts_outside(namespace, (listener.hostname,)):
        return Problem(
            "HostNotAllowed",
            f"{listener.hostname}: not for namespace {namespace} (the setting kubernetes.hosts of "
            "the console)",
        )
    if not limits.may_have_tenant(namespace, None):
        return Problem(
            "TenantNotAllowed",
            f"listeners with a hostname are of no tenant, which is not for namespace {namespace} "
            "(the setting kubernetes.tenants of the console)",
        )
    return None


def _conflict(
    listener: GatewayListener, all_listeners: Sequence[GatewayListener]
) -> Problem | None:
    others = [
        one
        for one in all_listeners
        if one.name != listener.name and one.port == listener.port and one.protocol in SCHEMES
    ]
    for one in others:
        if one.protocol != listener.protocol:
            return Problem(
                "ProtocolConflict", f"listener {one.name} has port {one.port} for {one.protocol}"
            )
    for one in others:
        if one.hostname == listener.hostname:
            return Problem(
                "HostnameConflict", f"listener {one.name} has the same port, protocol and hostname"
            )
    return None


def _tls_refusal(listener: GatewayListener, gateway: Gateway) -> Problem | None:
    if listener.protocol != "HTTPS":
        return None
    tls = listener.tls
    if tls is not None and tls.mode != "Terminate":
        return Problem("UnsupportedValue", f"tls.mode {tls.mode} is not supported, only Terminate")
    if gateway.validates_clients or (tls is not None and tls.has_frontend_validation):
        # (To serve without asking would let everybody in.)
        return Problem(
            "UnsupportedValue",
            "certificates of clients are not validated here: "
            "tls.frontend and frontendValidation are not supported",
        )
    return None


def _unresolved(listener: GatewayListener) -> Problem | None:
    unknown = [str(kind) for kind in listener.kinds if kind != HTTP_ROUTE]
    if unknown:
        return Problem(
            "InvalidRouteKinds", f"allowedRoutes.kinds: not supported: {', '.join(unknown)}"
        )
    tls = listener.tls
    if listener.protocol != "HTTPS":
        return None
    if (
        tls is not None
        and tls.options.get(OWN_CERTIFICATES) == _OWN
        and not tls.has_certificate_refs
    ):
        return None
    return Problem(
        "InvalidCertificateRef",
        "Secrets of the cluster are not read: put the certificate in the gateway's table of "
        "certificates, or in files of its hosts, and instead of tls.certificateRefs write "
        f"tls.options {OWN_CERTIFICATES}: {_OWN}",
    )


def _conditions(
    judged: JudgedListener, generation: int, of_gateway: Problem | None
) -> list[Condition]:
    refused, unresolved = judged.refused, judged.unresolved
    conflict = refused if refused is not None and refused.reason.endswith("Conflict") else None
    is_programmed = judged.is_programmed and of_gateway is None
    if is_programmed:
        served = Problem(PROGRAMMED, f"served by the gateways' listener {judged.host_listener}")
    else:
        why = of_gateway or refused or unresolved or Problem("", "no kind of route is supported")
        served = Problem("Invalid", why.message)
    accepted = refused or Problem(ACCEPTED, "accepted")
    resolved = unresolved or Problem(RESOLVED_REFS, "all references are resolved")
    conflicted = conflict or Problem("NoConflicts", "no other listener is in its way")
    return [
        condition(ACCEPTED, *accepted, generation, is_true=refused is None),
        condition(PROGRAMMED, *served, generation, is_true=is_programmed),
        condition(RESOLVED_REFS, *resolved, generation, is_true=unresolved is None),
        condition(CONFLICTED, *conflicted, generation, is_true=conflict is not None),
    ]
