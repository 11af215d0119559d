"""A service: a group of instances, and which of them gets the next request."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Final, NamedTuple

from fengling_gateway.balancing.choices import Choice, compile_choice
from fengling_gateway.balancing.instance import Instance, InstanceState

PANIC_SHARE: Final = 0.5
"""
Below this share of healthy instances, health is ignored.

When most of a group is reported unhealthy, the report is likelier to be wrong
than the group to be dead, and the few left would drown in everybody's load.
Instances are counted, whatever their weights.
"""

HOST_OF_INSTANCE: Final = b""
"""The value of `Service.host_header` that asks for the authority of the instance."""


class ServiceTls(NamedTuple):
    """
    How to speak TLS to instances whose address is ``https://``.

    ``ca`` is PEM, in place of the system's authorities. ``client_certificate``
    is the id of the certificate to show. ``sni`` is the name to ask for and to
    verify, in place of the instance's host.
    """

    verify: bool = True
    ca: str | None = None
    client_certificate: str | None = None
    sni: str | None = None


PLAIN_TRUST: Final = ServiceTls()
"""What holds where a service says nothing."""


class Service:
    """
    A compiled service.

    Instances that belong to a tenant are dedicated to it. A tenant with
    dedicated instances gets those only, and all others get the shared ones.
    With ``tenant_spill``, a tenant none of whose dedicated instances is ready
    and healthy gets the shared ones too.

    Attributes:
        host_header: what the Host header says upstream: None = what the client
            said, `HOST_OF_INSTANCE` = the instance's authority, else this.
        tls: None where the service says nothing of it.
        states: every instance of the service in the order of their ids, whether
            it may be picked or not.
    """

    __slots__ = (
        "_dedicated",
        "_shared",
        "balancing",
        "connect_timeout",
        "enabled",
        "first_byte_timeout",
        "host_header",
        "id",
        "idle_timeout",
        "states",
        "tenant_spill",
        "tls",
    )

    _shared: Choice | None
    _dedicated: dict[str | None, Choice | None] | None

    def __init__(self, body: dict[str, Any], states: tuple[InstanceState, ...]) -> None:
        """Take over a canonical body; `compile_service` makes the choices."""
        self.id: str = body["id"]
        self.enabled: bool = body["enabled"]
        self.balancing: str = body["balancing"]
        self.host_header = _host_header(body["host_header"])
        self.connect_timeout = float(body["connect_timeout"])
        self.first_byte_timeout = float(body["first_byte_timeout"])
        self.idle_timeout = float(body["idle_timeout"])
        self.tenant_spill: bool = body["tenant_spill"]
        self.tls = None if body["tls"] is None else ServiceTls(**body["tls"])
        self.states = states
        self._shared = None
        self._dedicated = None

    def pick(
        self, tenant: str | None, rng: Random, exclude: InstanceState | None = None
    ) -> InstanceState | None:
        """
        Return the instance for a request of `tenant`; None where there is none.

        Picking counts nothing: whoever sends the request does.

        Args:
            exclude: an instance that has just failed this request; somebody
                else is wanted.
        """
        dedicated = self._dedicated
        if dedicated is None or tenant not in dedicated:
            choice = self._shared
        else:
            choice = dedicated[tenant]
        return None if choice is None else choice.pick(rng, exclude)

    def candidates(self, tenant: str | None) -> tuple[InstanceState, ...]:
        """Return the instances that `pick` chooses from."""
        dedicated = self._dedicated
        if dedicated is not None and tenant in dedicated:
            choice = dedicated[tenant]
        else:
            choice = self._shared
        return () if choice is None else tuple(state for state, _ in choice.candidates)

    def __repr__(self) -> str:
        return f"<Service {self.id} {self.balancing} instances={len(self.states)}>"


def compile_service(
    body: dict[str, Any],
    instances: Sequence[Instance],
    states: tuple[InstanceState, ...],
    rng: Random,
    previous: Service | None = None,
) -> Service:
    """
    Compile a canonical service body and its instances.

    Args:
        instances: all of the service, in the order of their ids.
        states: of these instances, in the same order.
        previous: the service as it was. Where it chose among the same instances
            by the same weights and policy, its choice is taken over, so that
            nobody's turn is lost.
    """
    service = Service(body, states)
    if not service.enabled:
        return service
    groups: dict[str | None, list[tuple[Instance, InstanceState]]] = {}
    for pair in zip(instances, states, strict=True):
        groups.setdefault(pair[0].tenant_id, []).append(pair)
    if previous is not None and previous.balancing != service.balancing:
        previous = None
    shared = groups.pop(None, [])
    was = None if previous is None else previous._shared
    service._shared = _choice(service.balancing, shared, rng, was)
    if groups:
        service._dedicated = {
            tenant: _dedicated_choice(service, tenant, group, rng, previous)
            for tenant, group in groups.items()
        }
    return service


def _dedicated_choice(
    service: Service,
    tenant: str | None,
    group: list[tuple[Instance, InstanceState]],
    rng: Random,
    previous: Service | None,
) -> Choice | None:
    if service.tenant_spill and not any(
        instance.is_ready and instance.is_healthy for instance, _ in group
    ):
        return service._shared
    was = None
    if previous is not None and previous._dedicated is not None:
        was = previous._dedicated.get(tenant)
    return _choice(service.balancing, group, rng, was)


def _choice(
    balancing: str,
    group: list[tuple[Instance, InstanceState]],
    rng: Random,
    previous: Choice | None,
) -> Choice | None:
    candidates = tuple([(state, instance.weight) for instance, state in available(group)])
    if previous is not None and previous.candidates == candidates:
        return previous
    return compile_choice(balancing, candidates, rng)


def available(
    group: list[tuple[Instance, InstanceState]],
) -> list[tuple[Instance, InstanceState]]:
    """Return who may get new requests: the healthy that are ready, in panic all that are ready."""
    ready = [pair for pair in group if pair[0].is_ready]
    healthy = [pair for pair in ready if pair[0].is_healthy]
    return healthy if len(healthy) >= PANIC_SHARE * len(ready) else ready


def _host_header(mode: str) -> bytes | None:
    if mode == "client":
        return None
    return HOST_OF_INSTANCE if mode == "instance" else mode.encode()
