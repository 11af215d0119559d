"""Which Gateways are ours, and the status of them and of their GatewayClasses. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from fengling_gateway.kubernetes.gateway_api.conditions import ACCEPTED, PROGRAMMED, condition
from fengling_gateway.kubernetes.gateway_api.features import FEATURES
from fengling_gateway.kubernetes.gateway_api.listeners import (
    JudgedListener,
    judge_listeners,
    listener_status,
)
from fengling_gateway.kubernetes.gateway_api.objects import Gateway, GatewayClass
from fengling_gateway.kubernetes.gateway_api.world import (
    GatewayObjects,
    Name,
    Problem,
    Row,
    Settings,
)

_ADDRESS_TYPES: Final = ("IPAddress", "Hostname")


class GatewaySource(NamedTuple):
    """All that a Gateway of ours is judged from."""

    gateway: Gateway
    gateway_class: GatewayClass
    settings: Settings


class JudgedGateway(NamedTuple):
    """
    A Gateway of ours.

    Attributes:
        refused: why it is not accepted as a whole; None if it is.
        unusable: what is asked of its addresses and is not so; None for nothing.
    """

    gateway: Gateway
    listeners: tuple[JudgedListener, ...]
    refused: Problem | None
    unusable: Problem | None

    def serves(self, judged: JudgedListener) -> bool:
        """Whether requests to one of its listeners are served."""
        return self.refused is None and judged.is_programmed


def own_classes(known: GatewayObjects, controller: str) -> dict[str, GatewayClass]:
    """Return our GatewayClasses by name."""
    return {
        one.metadata.name.name: one
        for one in known.gateway_classes.values()
        if one.controller == controller
    }


def own_gateways(known: GatewayObjects, settings: Settings) -> dict[Name, GatewaySource]:
    """Return the Gateways of our classes, whether they are in order or not."""
    classes = own_classes(known, settings.controller)
    return {
        gateway.metadata.name: GatewaySource(gateway, classes[gateway.class_name], settings)
        for gateway in known.gateways.values()
        if gateway.class_name in classes
    }


def judge_gateway(source: GatewaySource) -> JudgedGateway:
    gateway, gateway_class, settings = source
    return JudgedGateway(
        gateway=gateway,
        listeners=judge_listeners(gateway, settings),
        refused=_foreign(gateway, settings) or _refusal(gateway, gateway_class),
        unusable=_unusable(gateway, settings),
    )


def class_status(gateway_class: GatewayClass) -> Row:
    if gateway_class.has_parameters:
        about = Problem("InvalidParameters", "spec.parametersRef is not supported")
    else:
        about = Problem(ACCEPTED, "accepted by the console of Fengling Gateway")
    generation = gateway_class.metadata.generation
    accepted = condition(ACCEPTED, *about, generation, is_true=not gateway_class.has_parameters)
    return {"conditions": [accepted], "supportedFeatures": [{"name": name} for name in FEATURES]}


def gateway_status(judged: JudgedGateway, attached: Mapping[str, int], settings: Settings) -> Row:
    """
    Return the status of a Gateway.

    Args:
        attached: how many routes are attached to a listener, by its name.
    """
    generation = judged.gateway.metadata.generation
    accepted, is_accepted = _acceptance(judged)
    served = any(map(judged.serves, judged.listeners))
    if is_accepted and judged.unusable is not None:
        programmed, is_programmed = judged.unusable, False
    elif served:
        programmed, is_programmed = Problem(PROGRAMMED, "served by the gateways"), True
    else:
        programmed, is_programmed = (
            Problem("Invalid", f"nothing is served: {accepted.message}"),
            False,
        )
    status: Row = {
        "conditions": [
            condition(ACCEPTED, *accepted, generation, is_true=is_accepted),
            condition(PROGRAMMED, *programmed, generation, is_true=is_programmed),
        ],
        "listeners": [
            listener_status(
                one, attached.get(one.listener.name, 0), generation, of_gateway=judged.refused
            )
            for one in judged.listeners
        ],
    }
    if settings.addresses:
        status["addresses"] = [_address(one) for one in settings.addresses]
    return status


def _foreign(gateway: Gateway, settings: Settings) -> Problem | None:
    namespace = gateway.metadata.name.namespace
    if settings.limits.may_have_gateways(namespace):
        return None
    return Problem(
        "NamespaceNotAllowed",
        f"Gateways of namespace {namespace} are not served (the setting "
        "kubernetes.gateway_namespaces of the console says whose are)",
    )


def _refusal(gateway: Gateway, gateway_class: GatewayClass) -> Problem | None:
    if gateway_class.has_parameters:
        return Problem(
            "InvalidParameters",
            f"GatewayClass {gateway.class_name} has an unsupported parametersRef",
        )
    if gateway.has_parameters:
        return Problem("InvalidParameters", "spec.infrastructure.parametersRef is not supported")
    if gateway.shows_certificate:
        return Problem("Invalid", "spec.tls.backend.clientCertificateRef is not supported")
    for kind, _ in gateway.addresses:
        if kind not in _ADDRESS_TYPES:
            return Problem("UnsupportedAddress", f"addresses of type {kind} are not supported")
    return None


def _unusable(gateway: Gateway, settings: Settings) -> Problem | None:
    for _, value in gateway.addresses:
        if not value and not settings.addresses:
            return Problem("AddressNotAssigned", "no addresses of the gateways are known")
        if value and value not in settings.addresses:
            return Problem("AddressNotUsable", f"{value} is no known address of the gateways")
    return None


def _acceptance(judged: JudgedGateway) -> tuple[Problem, bool]:
    if judged.refused is not None:
        return judged.refused, False
    refused = [one for one in judged.listeners if one.refused is not None]
    if not refused:
        return Problem(ACCEPTED, "accepted"), True
    said = "; ".join(
        f"{one.listener.name}: {one.refused.message}" for one in refused if one.refused
    )
    some = len(refused) < len(judged.listeners)
    return Problem("ListenersNotValid", f"listeners that are not accepted: {said}"), some


def _address(value: str) -> Row:
    is_ip = ":" in value or value.replace(".", "").isdigit()
    return {"type": "IPAddress" if is_ip else "Hostname", "value": value}
