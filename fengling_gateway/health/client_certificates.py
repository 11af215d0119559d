"""
The certificates that probes show to instances, with their keys in the clear.

Only those that a probe has wanted, and from then on: a console needs no other
key, and one that does not probe needs none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from twisted.logger import Logger

from fengling_gateway.auth.key_material import read_material
from fengling_gateway.auth.secrets import SecretError, SecretResolver
from fengling_gateway.dataplane.tls_certificates import Certificate, CertificateError
from fengling_gateway.model.entity import Key

_log = Logger(namespace="fengling.health")


@dataclass(frozen=True, slots=True)
class _Known:
    """
    What was found of a certificate when it was looked at last.

    Attributes:
        body: of the certificate.
        secret: the body of its key, empty where there was none.
        certificate: may be what it was before; None: it never could be used.
        problem: why it can't be used as it is configured; empty if it can.
        is_current: whether files and keys have not been read again since.
    """

    body: bytes
    secret_id: str
    secret: bytes
    certificate: Certificate | None
    problem: str
    is_current: bool = True


class ClientCertificates:
    """
    Finds certificates, in the configuration as it is when somebody asks.

    One whose key can't be had any more is what it was before, as in workers.

    Args:
        bodies: returns those of all entities.
    """

    def __init__(
        self, *, bodies: Callable[[], Mapping[Key, bytes]], resolver: SecretResolver
    ) -> None:
        self._bodies = bodies
        self._resolver = resolver
        self._known: dict[str, _Known] = {}

    def __repr__(self) -> str:
        return f"<ClientCertificates known={len(self._known)}>"

    def find(self, certificate_id: str) -> Certificate:
        """
        Return a certificate with its key.

        Raises:
            CertificateError: it can't be used here; the message says why.
        """
        bodies = self._bodies()
        body = bodies.get(Key("certificate", certificate_id))
        if body is None:
            self._known.pop(certificate_id, None)
            raise CertificateError(f"there is no certificate {certificate_id} to show")
        known = self._known.get(certificate_id)
        if known is None or not _is_as_it_was(known, body, bodies):
            known = self._read(certificate_id, body, bodies, known)
        if known.certificate is None:
            raise CertificateError(
                f"this console can't show certificate {certificate_id}: {known.problem}"
            )
        return known.certificate

    def renew(self, resolver: SecretResolver) -> None:
        """Look at each again when it is wanted: other keys, or files with other content."""
        self._resolver = resolver
        self._known = {one: replace(was, is_current=False) for one, was in self._known.items()}

    def _read(
        self, certificate_id: str, body: bytes, bodies: Mapping[Key, bytes], before: _Known | None
    ) -> _Known:
        fields = json.loads(body)
        secret_id = fields["key_secret"]
        secret = bodies.get(Key("secret", secret_id), b"")
        certificate, problem = None, ""
        try:
            material = read_material(fields, secret, self._resolver)
            certificate = Certificate(certificate_id, (), material.chain, material.key)
        except SecretError as error:
            problem = str(error)
            certificate = None if before is None else before.certificate
        known = _Known(body, secret_id, secret, certificate, problem)
        _tell(certificate_id, known, "" if before is None else before.problem)
        # (Of those that are gone, nobody asks any more.)
        self._known = {
            one: was for one, was in self._known.items() if Key("certificate", one) in bodies
        }
        self._known[certificate_id] = known
        return known


def _is_as_it_was(known: _Known, body: bytes, bodies: Mapping[Key, bytes]) -> bool:
    if not known.is_current or known.body != body:
        return False
    return bodies.get(Key("secret", known.secret_id), b"") == known.secret


def _tell(certificate_id: str, known: _Known, before: str) -> None:
    if known.problem == before:
        return
    if known.problem:
        _log.error(
            "certificate {certificate} can't be used for probes as it is configured: {why}; {now}",
            certificate=certificate_id,
            why=known.problem,
            now="who wants it is not probed"
            if known.certificate is None
            else "what it was before is used",
            log_id="health.certificate_failed",
        )
    else:
        _log.info(
            "certificate {certificate} can be used for probes again",
            certificate=certificate_id,
            log_id="health.certificate_recovered",
        )
