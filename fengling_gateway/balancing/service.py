"""A service: a group of instances, and which of them gets the next request."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Final, NamedTuple

from fengling_gateway.balancing.choices import Choice, compile_choice
from fengling_gateway.balancing.ejection_policy import EjectionPolicy
from fengling_gateway.balancing.instance import Instance, InstanceState
from fengling_gateway.balancing.overrides import NO_OVERRIDES, Overrides

PANIC_SHARE: Final = 0.5
"""
Below this share of healthy instances, health is ignored.

When most of a group is reported unhealthy, the report is likelier to be wrong
than the group to be dead, and the few left would drown in everybody's load.
Instances are counted, whatever their weights. Who is ejected is none of the healthy.
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

    What it chooses from is settled when it is compiled, and again (`settle`) when
    that changes while the configuration does not: an instance is ejected or
    reactivated, switched off or on, or health reports cease to count.

    Instances that belong to a tenant are dedicated to it. A tenant with
    dedicated instances gets those only, and all others get the shared ones.
    With ``tenant_spill``, a tenant none of whose dedicated instances is ready
    and healthy gets the shared ones, if one of those is; else it stays with its
    own as long as any is ready.

    Attributes:
        available: how many instances get requests: they are ready, and nothing is known
            against them. In panic others do, too, and are none of these.
        host_header: what the Host header says upstream: None = what the client
            said, `HOST_OF_INSTANCE` = the instance's authority, else this.
        ejection: when its instances are ejected; None: never.
        tls: None where the service says nothing of it.
        states: every instance of the service in the order of their ids, whether
            it may be picked or not.
    """

    __slots__ = (
        "_dedicated",
        "_instances",
        "_overrides",
        "_shared",
        "available",
        "balancing",
        "connect_timeout",
        "ejection",
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

    def __init__(
        self,
        body: dict[str, Any],
        instances: Sequence[Instance],
        states: tuple[InstanceState, ...],
        ejection: EjectionPolicy | None = None,
    ) -> None:
        """Take over a canonical body; `settle` makes the choices."""
        self.id: str = body["id"]
        self.enabled: bool = body["enabled"]
        self.balancing: str = body["balancing"]
        self.host_header = _host_header(body["host_header"])
        self.connect_timeout = float(body["connect_timeout"])
        self.first_byte_timeout = float(body["first_byte_timeout"])
        self.idle_timeout = float(body["idle_timeout"])
        self.tenant_spill: bool = body["tenant_spill"]
        self.tls = None if body["tls"] is None else ServiceTls(**body["tls"])
        self.ejection = ejection
        self.states = states
        self.available = 0
        # Not those of the states, which are brought up to date only when all is compiled.
        self._instances = instances
        self._overrides = NO_OVERRIDES
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

    def settle(
        self, rng: Random, *, overrides: Overrides | None = None, previous: Service | None = None
    ) -> None:
        """
        Choose from those that may be sent to, as things are now.

        Args:
            overrides: what holds beside the configuration; None: as before.
            previous: whose choices are taken over where they are among the same
                instances by the same weights and policy, so that nobody's turn is
                lost; None: this one's own.
        """
        if overrides is not None:
            self._overrides = overrides
        self.available = 0
        if not self.enabled:
            return
        was = self if previous is None else previous
        # Of another policy, no choice is fit to be taken over.
        shared, dedicated = None, None
        if was.balancing == self.balancing:
            shared, dedicated = was._shared, was._dedicated
        groups = self._groups()
        everybody = groups.pop(None, [])
        self._shared = self._choice(everybody, rng, shared)
        if groups:
            may_spill = self.tenant_spill and self._has_healthy(everybody)
            self._dedicated = {
                tenant: self._shared
                if self._spills(group, may_spill=may_spill)
                else self._choice(group, rng, (dedicated or {}).get(tenant))
                for tenant, group in groups.items()
            }

    def group_of(self, state: InstanceState) -> list[InstanceState]:
        """Return the ready instances that stand in for one another with this one, which is one."""
        group = self._groups().get(state.instance.tenant_id, [])
        ready = [one for instance, one in group if self._is_ready(instance)]
        return ready if state in ready else []

    def is_healthy(self, state: InstanceState) -> bool:
        """Whether nothing is known against one of its instances, by requests or by reports."""
        return self._is_healthy(state.instance, state)

    def _groups(self) -> dict[str | None, list[tuple[Instance, InstanceState]]]:
        """Return the instances by the tenant that they are dedicated to."""
        groups: dict[str | None, list[tuple[Instance, InstanceState]]] = {}
        for pair in zip(self._instances, self.states, strict=True):
            groups.setdefault(pair[0].tenant_id, []).append(pair)
        return groups

    def _is_ready(self, instance: Instance) -> bool:
        return instance.is_ready and instance.id not in self._overrides.instances

    def _is_healthy(self, instance: Instance, state: InstanceState) -> bool:
        if state.ejected_until:
            return False
        return instance.is_healthy or self._overrides.health_is_stale

    def _spills(self, group: list[tuple[Instance, InstanceState]], *, may_spill: bool) -> bool:
        """
        Whether a tenant with these instances of its own gets the shared ones.

        Args:
            may_spill: whether there is somebody healthy to spill to. Where not, panic is
                the tenant's own affair; but who has nobody ready has nothing to lose.
        """
        if may_spill:
            return not self._has_healthy(group)
        return self.tenant_spill and not any(self._is_ready(instance) for instance, _ in group)

    def _has_healthy(self, group: list[tuple[Instance, InstanceState]]) -> bool:
        return any(
            self._is_ready(instance) and self._is_healthy(instance, state)
            for instance, state in group
        )

    def _choice(
        self, group: list[tuple[Instance, InstanceState]], rng: Random, was: Choice | None
    ) -> Choice | None:
        available = self._available(group)
        candidates = tuple([(state, instance.weight) for instance, state in available])
        if was is not None and was.candidates == candidates:
            return was
        return compile_choice(self.balancing, candidates, rng)

    def _available(
        self, group: list[tuple[Instance, InstanceState]]
    ) -> list[tuple[Instance, InstanceState]]:
        """Return who may get new requests: the healthy that are ready, in panic all that are."""
        ready = [pair for pair in group if self._is_ready(pair[0])]
        healthy = [pair for pair in ready if self._is_healthy(*pair)]
        # (Of a tenant that gets the shared ones, none of its own is healthy.)
        self.available += len(healthy)
        return healthy if len(healthy) >= PANIC_SHARE * len(ready) else ready

    def __repr__(self) -> str:
        return f"<Service {self.id} {self.balancing} instances={len(self.states)}>"


def compile_service(
    body: dict[str, Any],
    instances: Sequence[Instance],
    states: tuple[InstanceState, ...],
    rng: Random,
    previous: Service | None = None,
    *,
    ejection: EjectionPolicy | None = None,
    overrides: Overrides = NO_OVERRIDES,
) -> Service:
    """
    Compile a canonical service body and its instances.

    Args:
        instances: all of the service, in the order of their ids.
        states: of these instances, in the same order.
        previous: the service as it was, see `Service.settle`.
    """
    service = Service(body, instances, states, ejection)
    service.settle(rng, overrides=overrides, previous=previous)
    return service


def _host_header(mode: str) -> bytes | None:
    if mode == "client":
        return None
    return HOST_OF_INSTANCE if mode == "instance" else mode.encode()
