"""A gateway that serves what objects of the Gateway API are translated to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from fengling_gateway.kubernetes.gateway_api.world import Settings, Translation
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from tests.conformance.client import Answer, Client, request
from tests.conformance.instance import RecordingInstance
from tests.conformance.judge import Request
from tests.dataplane.processes import Gateway, running_gateway, running_instance
from tests.dataplane.snapshots import Entity, instance, service
from tests.kubernetes.gateway_api.builders import CONTROLLER, Obj, translated

SETTINGS = Settings(CONTROLLER, {80: "http", 8080: "http"})
"""Of its one listener."""


class Seen(NamedTuple):
    """What came of a request: the answer, and the service and request of the instance that got it."""

    answer: Answer
    service: str | None
    request: Request | None

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def location(self) -> str:
        return (self.answer.one("Location") or b"").decode()


class Cluster:
    """What a test has: see the methods."""

    def __init__(
        self, gateway: Gateway, instances: dict[str, RecordingInstance], translation: Translation
    ) -> None:
        self.gateway = gateway
        self.instances = instances
        self.translation = translation

    def client(self) -> Client:
        return Client(self.gateway.connect())

    def ask(
        self, host: str, target: str, *lines: str, method: str = "GET", body: bytes = b""
    ) -> Seen:
        """Ask for this on a connection of its own."""
        for one in self.instances.values():
            one.requests = []
        raw = request(
            *(line.encode() for line in lines),
            method=method.encode(),
            target=target.encode(),
            host=host.encode(),
            body=body,
        )
        with self.client() as client:
            answer = client.send(raw).answer(method.encode())
        for name, one in self.instances.items():
            if one.requests:
                return Seen(answer, name, one.requests[-1])
        return Seen(answer, None, None)


@contextmanager
def clustered(*objects: Obj) -> Iterator[Cluster]:
    """Run a gateway with what these are translated to, and an instance for each service."""
    translation = translated(*objects, settings=SETTINGS)
    with ExitStack() as stack:
        instances: dict[str, RecordingInstance] = {}
        entities: list[Entity] = []
        for name, backend in translation.services.items():
            entities.append(service(name))
            if backend.name:
                instances[name] = RecordingInstance()
                address = stack.enter_context(running_instance(instances[name].serve))
                entities.append(instance(name, service_id=name, address=address))
        entities += [
            ("route", canonical_row(name, row)) for name, row in translation.routes.items()
        ]
        yield Cluster(stack.enter_context(running_gateway(*entities)), instances, translation)


def canonical_row(route_id: str, row: dict[str, Any]) -> dict[str, Any]:
    judged = validate(Key("route", route_id), row)
    assert isinstance(judged, Accepted), judged
    body: dict[str, Any] = json.loads(judged.body)
    return body
