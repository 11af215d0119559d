"""
What is to be probed, and how: compiled from canonical bodies. Pure.

`Targets` follows a live configuration at a cost that depends on what changes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from fengling_gateway.balancing.instance import split_instance_address
from fengling_gateway.balancing.service import PLAIN_TRUST, ServiceTls
from fengling_gateway.health.verdicts import HEALTHY, UNHEALTHY, Standing, Thresholds
from fengling_gateway.model.entity import Key

USER_AGENT: Final = "fengling-health-check"

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Bodies(Protocol):
    """Canonical bodies of one kind, by id."""

    def get(self, entity_id: str, /) -> bytes | None: ...

    def __iter__(self) -> Iterator[str]: ...


class LiveBodies(Protocol):
    """The effective configuration as it is now, by kind; a snapshot's bodies are one."""

    def __getitem__(self, kind: str, /) -> Bodies: ...


class Check(NamedTuple):
    """
    How the instances of a service are probed; times in seconds.

    ``request`` is what is sent, but for the value of Host where that is the instance's; ``b""``
    for TCP. ``expected`` are ranges of statuses, ends included.
    """

    interval: float
    timeout: float
    jitter: float
    unhealthy_interval: float
    idle_interval: float
    thresholds: Thresholds
    is_http: bool
    is_head: bool = False
    before_host: bytes = b""
    host: bytes | None = None
    after_host: bytes = b""
    expected: tuple[tuple[int, int], ...] = ()
    body: bytes | None = None

    def expects(self, status: int) -> bool:
        return any(low <= status <= high for low, high in self.expected)

    def pause(self, standing: Standing, is_idle: bool) -> float:
        """Return the seconds from the last probe to the next: short while a verdict is open."""
        if not standing.is_settled:
            return self.interval
        if standing.health == UNHEALTHY:
            return self.unhealthy_interval
        return self.idle_interval if is_idle and standing.health == HEALTHY else self.interval


@dataclass(frozen=True, slots=True)
class Target:
    """
    One instance, and how to probe it.

    Attributes:
        host: of IPv6 without brackets.
        is_named: whether it is a name, and no address.
        tls: how to speak TLS to it; None for ``http://``.
    """

    id: str
    service_id: str
    address: str
    host: str
    port: int
    is_named: bool
    tls: ServiceTls | None
    check: Check

    @property
    def request(self) -> bytes:
        check = self.check
        return check.before_host + (check.host or self._authority()) + check.after_host

    def _authority(self) -> bytes:
        scheme, _, authority = self.address.partition("://")
        return authority.removesuffix(f":{_DEFAULT_PORTS[scheme]}").encode()


class Idle(NamedTuple):
    """An instance of a service with a health check that is not probed now, and why."""

    service_id: str
    why: str


class Changed(NamedTuple):
    """Ids: of whom there is a target now, or another one than before, and of whom none any more."""

    new: list[str]
    other: list[str]
    gone: list[str]


@dataclass
class Targets:
    """
    The targets of a configuration.

    Attributes:
        by_id: of every instance that is to be probed.
        idle: of those that are not now, although their service has a health check.
    """

    by_id: dict[str, Target] = field(default_factory=dict)
    idle: dict[str, Idle] = field(default_factory=dict)
    _of_service: dict[str, set[str]] = field(default_factory=dict)
    _service_of: dict[str, str] = field(default_factory=dict)

    def follow(self, bodies: LiveBodies, changed: Collection[Key] | None = None) -> Changed:
        """Take over the configuration as it is; `changed`: what may be another, None for all."""
        before = dict(self.by_id) if changed is None else {}
        touched = self._touched(bodies, changed)
        if changed is not None:
            before = {one: self.by_id[one] for one in touched if one in self.by_id}
        services: dict[str, tuple[dict[str, Any], Check] | str | None] = {}
        for one in touched:
            self._place(one, bodies, services)
        after = {one: self.by_id[one] for one in touched if one in self.by_id}
        return Changed(
            [one for one in after if one not in before],
            [one for one, target in after.items() if before.get(one, target) != target],
            [one for one in before if one not in after],
        )

    def _touched(self, bodies: LiveBodies, changed: Collection[Key] | None) -> list[str]:
        if changed is None:
            return list({**dict.fromkeys(bodies["instance"]), **self._service_of})
        touched: dict[str, None] = {}
        for key in changed:
            if key.kind == "instance":
                touched[key.id] = None
            elif key.kind == "service":
                touched.update(dict.fromkeys(sorted(self._of_service.get(key.id, ()))))
        return list(touched)

    def _place(
        self,
        instance_id: str,
        bodies: LiveBodies,
        services: dict[str, tuple[dict[str, Any], Check] | str | None],
    ) -> None:
        self._forget(instance_id)
        body = bodies["instance"].get(instance_id)
        if body is None:
            return
        instance = json.loads(body)
        service_id = instance["service_id"]
        self._service_of[instance_id] = service_id
        self._of_service.setdefault(service_id, set()).add(instance_id)
        if service_id not in services:
            services[service_id] = _probed_service(bodies["service"].get(service_id))
        service = services[service_id]
        if service is None:
            return
        if isinstance(service, str):
            self.idle[instance_id] = Idle(service_id, service)
        elif instance["state"] == "maintenance":
            self.idle[instance_id] = Idle(service_id, "it is in maintenance")
        else:
            self.by_id[instance_id] = _target(instance, *service)

    def _forget(self, instance_id: str) -> None:
        self.by_id.pop(instance_id, None)
        self.idle.pop(instance_id, None)
        service_id = self._service_of.pop(instance_id, None)
        if service_id is not None:
            others = self._of_service[service_id]
            others.discard(instance_id)
            if not others:
                del self._of_service[service_id]


def _probed_service(body: bytes | None) -> tuple[dict[str, Any], Check] | str | None:
    """Return a service with its check; why it is not probed; None if it has no check at all."""
    service = None if body is None else json.loads(body)
    if service is None or service["health_check"] is None:
        return None
    if not service["enabled"]:
        return "its service is not enabled"
    return service, compile_check(service["health_check"])


def _target(instance: dict[str, Any], service: dict[str, Any], check: Check) -> Target:
    scheme, host, port = split_instance_address(instance["address"])
    tls = None
    if scheme == "https":
        tls = PLAIN_TRUST if service["tls"] is None else ServiceTls(**service["tls"])
    return Target(
        id=instance["id"],
        service_id=instance["service_id"],
        address=instance["address"],
        host=host,
        port=port,
        # What is canonical and ends in a number is an address; see `names.canonical_host`.
        is_named=not (":" in host or host.rpartition(".")[2].isdigit()),
        tls=tls,
        check=check,
    )


def compile_check(body: dict[str, Any]) -> Check:
    """Compile a canonical health check."""
    interval = body["interval"]
    unhealthy, idle = body["unhealthy_interval"], body["idle_interval"]
    is_http = body["type"] == "http"
    asked = _asked(body) if is_http else {}
    return Check(
        interval=interval,
        timeout=body["timeout"],
        jitter=body["jitter"],
        unhealthy_interval=interval if unhealthy is None else unhealthy,
        idle_interval=interval if idle is None else idle,
        thresholds=Thresholds(body["rise"], body["fall"]),
        is_http=is_http,
        **asked,
    )


def _asked(body: dict[str, Any]) -> dict[str, Any]:
    given = {name.lower() for name in body["headers"]}
    usual = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
    lines = [
        *((name, value) for name, value in usual.items() if name.lower() not in given),
        *body["headers"].items(),
        ("Connection", "close"),
    ]
    head = "".join(f"{name}: {value}\r\n" for name, value in lines)
    return {
        "is_head": body["method"] == "HEAD",
        "before_host": f"{body['method']} {body['path']} HTTP/1.1\r\nHost: ".encode(),
        "host": None if body["host"] is None else body["host"].encode(),
        "after_host": f"\r\n{head}\r\n".encode(),
        "expected": tuple(_ranges(body["expected"])),
        "body": None if body["body"] is None else body["body"].encode(),
    }


def _ranges(expected: Iterable[str]) -> Iterator[tuple[int, int]]:
    for entry in expected:
        low, _, high = entry.partition("-")
        yield int(low), int(high or low)
