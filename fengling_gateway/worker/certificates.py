"""The certificates of a worker: read with each configuration, and again when told to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from twisted.logger import Logger

from fengling_gateway.auth.key_material import NO_MATERIALS, CertificateStore, KeyMaterials
from fengling_gateway.auth.secrets import SecretResolver
from fengling_gateway.dataplane.tls_certificates import Certificate
from fengling_gateway.routing.snapshot import Snapshot
from fengling_gateway.worker.applier import MAX_FAILED_NAMED

_log = Logger(namespace="fengling.certificates")


class Certificates:
    """
    Keeps the data plane up to date with what can be used.

    Args:
        offer: takes the certificates, whenever one has changed, with the names
            that each is offered for.
    """

    def __init__(
        self, *, resolver: SecretResolver, offer: Callable[[Iterable[Certificate]], None]
    ) -> None:
        self._store = CertificateStore(resolver)
        self._offer = offer
        self._told = NO_MATERIALS

    def apply(self, snapshot: Snapshot) -> None:
        """Take the certificates and secrets of a snapshot that is about to be served."""
        self._tell(self._store.apply(snapshot.bodies["certificate"], snapshot.bodies["secret"]))

    def renew(self, resolver: SecretResolver) -> None:
        """Read everything again."""
        self._tell(self._store.renew(resolver))

    def failed(self) -> dict[str, str]:
        """Return what can't be used as it is configured, and why; the first of them."""
        failed = islice(self._told.failed.items(), MAX_FAILED_NAMED)
        return {f"certificate {name}": why for name, why in failed}

    def _tell(self, materials: KeyMaterials) -> None:
        if materials is self._told:
            return
        before, self._told = self._told, materials
        for name, why in materials.failed.items():
            if before.failed.get(name) != why:
                _log.error(
                    "certificate {certificate} can't be used as it is configured: {why}; {now}",
                    certificate=name,
                    why=why,
                    now="what it was before is used"
                    if name in materials.by_id
                    else "it is left out",
                    log_id="certificate.failed",
                )
        for name in before.failed:
            if name in materials.by_id and name not in materials.failed:
                _log.info(
                    "certificate {certificate} can be used again",
                    certificate=name,
                    log_id="certificate.recovered",
                )
        self._offer(_offered(materials))


def _offered(materials: KeyMaterials) -> list[Certificate]:
    """Return all certificates, each with the names that are its and no other's."""
    names: dict[str, list[str]] = {}
    for name, material in materials.by_name.items():
        names.setdefault(material.id, []).append(name)
    return [
        Certificate(one.id, tuple(names.get(one.id, ())), one.chain, one.key)
        for _, one in sorted(materials.by_id.items())
    ]
