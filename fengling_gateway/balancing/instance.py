"""Instances: the compiled value, and the state that outlives revisions."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from fengling_gateway.balancing.upstream_networks import UpstreamNetworks

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Instance(NamedTuple):
    """
    One address of a service, as configured in one revision.

    ``is_named`` says whether its host is a name, and no IP address.
    ``authority`` is what a Host header addressed to it says. ``health`` is what
    the console last reported (unknown, healthy or unhealthy), ``state`` what an
    operator wants (ready, drain or maintenance). ``refused`` says why this host
    must not connect to its address; None where it may.
    """

    id: str
    service_id: str
    tenant_id: str | None
    scheme: str
    host: str
    port: int
    authority: bytes
    weight: int
    state: str
    health: str
    zone: str | None
    is_named: bool = False
    refused: str | None = None

    @property
    def is_ready(self) -> bool:
        """
        Whether operators, of it and of this host, let it have new requests.

        Weight 0 says no, as drain does.
        """
        return self.weight > 0 and self.state == "ready" and self.refused is None

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is known against it: an instance nobody probed is routable."""
        return self.health != "unhealthy"

    @property
    def address(self) -> str:
        """Where it is, as in the configuration."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def has_address_of(self, other: Instance) -> bool:
        return self.port == other.port and self.host == other.host and self.scheme == other.scheme


def split_instance_address(address: str) -> tuple[str, str, int]:
    """Return the scheme, the host (of IPv6 without brackets) and the port of a canonical address."""
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rstrip("/").rpartition(":")
    return scheme, host.strip("[]"), int(port)


def compile_instance(body: dict[str, Any], health: str, networks: UpstreamNetworks) -> Instance:
    """Compile a canonical instance body together with the health reported for it."""
    scheme, bare, number = split_instance_address(body["address"])
    host = f"[{bare}]" if ":" in bare else bare
    authority = host if _DEFAULT_PORTS.get(scheme) == number else f"{host}:{number}"
    return Instance(
        id=body["id"],
        service_id=body["service_id"],
        tenant_id=body["tenant_id"],
        scheme=scheme,
        host=bare,
        port=number,
        authority=authority.encode(),
        weight=body["weight"],
        state=body["state"],
        health=health,
        zone=body["zone"],
        # What is canonical and ends in a number is an address; see `canonical_host`.
        is_named=not (":" in bare or bare.rpartition(".")[2].isdigit()),
        refused=networks.refusal(bare, number),
    )


class InstanceState:
    """
    What a worker knows of an instance from its own traffic.

    There is one per instance id and address. It survives revisions, whatever
    else they change; another address makes another state, so that neither
    connections, load nor failures of the old address count for the new one. The
    data plane maintains ``in_flight``, ``picked``, ``unanswered`` and ``told``;
    balancing only reads them. `ejection.Ejections` maintains ``failures``,
    ``ejections`` and ``ejected_until``.

    Attributes:
        instance: the current configuration of the instance.
        in_flight: requests sent to it that have not ended.
        failures: of its requests, one after the other; 0 after one that it has answered.
        ejections: one after the other, without an answer in between.
        ejected_until: when it may be sent to again, on the clock of whoever ejects;
            0.0 while it is not ejected.
        pool: the data plane's connections to it.
        picked: requests ever sent to it.
        retired: it has left the configuration: keep no idle connection to it.
        unanswered: of those that have ended, how many it has not answered, for
            whatever reason.
        told: `answered`, as of when it was last told of.
    """

    __slots__ = (
        "ejected_until",
        "ejections",
        "failures",
        "id",
        "in_flight",
        "instance",
        "picked",
        "pool",
        "retired",
        "told",
        "unanswered",
    )

    def __init__(self, instance: Instance) -> None:
        self.id = instance.id
        self.instance = instance
        self.in_flight = 0
        self.failures = 0
        self.ejections = 0
        self.ejected_until = 0.0
        self.pool: Any = None
        self.picked = 0
        self.retired = False
        self.unanswered = 0
        self.told = 0

    @property
    def answered(self) -> int:
        """Requests that it has ever answered, as far as they have ended."""
        return self.picked - self.in_flight - self.unanswered

    def __repr__(self) -> str:
        authority = self.instance.authority.decode()
        return f"<InstanceState {self.id} {authority} in_flight={self.in_flight}>"
