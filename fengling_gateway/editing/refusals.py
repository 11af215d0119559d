"""Which instances gateways send nothing to because of their address: said before they do it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from fengling_gateway.balancing.instance import split_instance_address
from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.editing.credentials import OddCredential
from fengling_gateway.model.entity import Key
from fengling_gateway.routing.linter import Finding


class RefusedInstance(NamedTuple):
    """An instance at an address that is refused; the message is a sentence about it."""

    code: str
    instance: str
    message: str


Warned = Finding | RefusedInstance | OddCredential


def subject(warned: Warned) -> Key:
    """Return what a warning is about."""
    if isinstance(warned, RefusedInstance):
        return Key("instance", warned.instance)
    if isinstance(warned, OddCredential):
        return Key(warned.kind, warned.id)
    return Key("route", warned.route)


def find_refused(
    bodies: Mapping[Key, bytes], networks: UpstreamNetworks | None = None
) -> list[RefusedInstance]:
    """
    Return the instances at addresses that are refused, by their ids; names are not looked up.

    Args:
        networks: of the host that is to serve it; None: of any that allows nothing.
    """
    whose = "" if networks else " (by gateways that do not allow it)"
    judge = networks or UpstreamNetworks()
    found = []
    for key, body in bodies.items():
        if key.kind == "instance":
            _, host, port = split_instance_address(json.loads(body)["address"])
            reason = judge.refusal(host, port)
            if reason is not None:
                message = f"is sent nothing{whose}: {reason}"
                found.append(RefusedInstance("address_refused", key.id, message))
    return sorted(found, key=lambda one: one.instance)
