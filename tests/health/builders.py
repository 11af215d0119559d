"""Configurations for tests of probing."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from fengling_gateway.dataplane.tls_certificates import Certificate, CertificateError
from fengling_gateway.model.entity import KINDS, Key
from fengling_gateway.model.validation import Accepted, validate


def body(kind: str, entity_id: str, **values: Any) -> bytes:
    verdict = validate(Key(kind, entity_id), values)
    assert isinstance(verdict, Accepted), verdict
    return verdict.body


def no_certificate(certificate_id: str) -> Certificate:
    """Stand for a console that has no keys."""
    raise CertificateError(f"there is no key of {certificate_id} here")


class Configuration:
    """A live configuration, changed by hand."""

    def __init__(self) -> None:
        self.bodies: dict[str, dict[str, bytes]] = {kind: {} for kind in KINDS}
        self._told: list[Callable[[Collection[Key] | None], None]] = []

    def when_changed(self, told: Callable[[Collection[Key] | None], None]) -> Callable[[], None]:
        self._told.append(told)
        return lambda: self._told.remove(told)

    def put(self, kind: str, entity_id: str, **values: Any) -> Key:
        self.bodies[kind][entity_id] = body(kind, entity_id, **values)
        return self._tell(Key(kind, entity_id))

    def drop(self, kind: str, entity_id: str) -> Key:
        del self.bodies[kind][entity_id]
        return self._tell(Key(kind, entity_id))

    def change(self, kind: str, entity_id: str, **values: Any) -> Key:
        before = json.loads(self.bodies[kind][entity_id])
        return self.put(kind, entity_id, **{**before, **values})

    def _tell(self, key: Key) -> Key:
        for told in list(self._told):
            told({key})
        return key


def probed(check: dict[str, Any] | None = None, *addresses: str, **service: Any) -> Configuration:
    """Return a configuration with a service `s` and its instances `i0`, `i1` …"""
    configuration = Configuration()
    configuration.put("service", "s", health_check={} if check is None else check, **service)
    for number, address in enumerate(addresses):
        configuration.put("instance", f"i{number}", service_id="s", address=address)
    return configuration
