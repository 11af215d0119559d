"""
Certificates with their keys in the clear, for who makes TLS contexts of them.

What a configuration's certificates are worth on this host: a key may lie in a
file that is not here, or be encrypted with a key that this host doesn't have.
Such a certificate keeps what this worker had of it before, if anything, and
the reason is kept for status and metric.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from fengling_gateway.auth.secrets import SecretError, SecretResolver
from fengling_gateway.model.certificates import names_taken


class Bodies(Protocol):
    """Canonical bodies by id, as a snapshot has them (``snapshot.bodies["certificate"]``)."""

    def get(self, key: str, /) -> bytes | None: ...

    def __iter__(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """
    One certificate, ready for use.

    ``chain`` and ``key`` are PEM; the key stays out of every representation.
    """

    id: str
    chain: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyMaterials:
    """
    What a worker has of all certificates. Immutable.

    Attributes:
        by_id: every certificate that can be used, also those that are not
            enabled: a service may name one as its client certificate.
        by_name: who is offered to a client that asks for a name, by SNI name;
            ``*.name`` stands for one label.
        failed: what can't be used as it is configured, by id, and why. An id may
            be in ``by_id`` all the same, with what it was before.
    """

    by_id: Mapping[str, KeyMaterial] = field(default_factory=dict)
    by_name: Mapping[str, KeyMaterial] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> KeyMaterial | None:
        """Return what to offer to a client that asks for `name` (lower case); None for nothing."""
        return self.by_name.get(name) or self.by_name.get(f"*.{name.partition('.')[2]}")


NO_MATERIALS: Final = KeyMaterials()

_Read = tuple[bytes, bytes]


class CertificateStore:
    """
    Keeps key materials up to date with the configuration.

    Call `apply` with each snapshot. It costs nothing where no certificate or
    secret has changed, and otherwise a look at each and the work for what has.
    """

    def __init__(self, resolver: SecretResolver) -> None:
        self._resolver = resolver
        self._from: tuple[Any, Any] = (None, None)
        # Of each certificate the bodies, its own and its secret's, that were looked at last.
        self._read: dict[str, _Read] = {}
        self.materials = NO_MATERIALS

    def __repr__(self) -> str:
        return f"<CertificateStore of {len(self.materials.by_id)}, {len(self.materials.failed)} failed>"

    def apply(self, certificates: Bodies, secrets: Bodies) -> KeyMaterials:
        """Return the materials of a configuration; the same object where nothing has changed."""
        if self._from[0] is not certificates or self._from[1] is not secrets:
            self._from = certificates, secrets
            self._update(certificates, secrets)
        return self.materials

    def renew(self, resolver: SecretResolver) -> KeyMaterials:
        """Look at everything again, with other keys perhaps: files may have others' content now."""
        self._resolver = resolver
        self._read = {}
        certificates, secrets = self._from
        if certificates is not None:
            self._update(certificates, secrets)
        return self.materials

    def _update(self, certificates: Bodies, secrets: Bodies) -> None:
        before = self.materials
        by_id: dict[str, KeyMaterial] = {}
        failed: dict[str, str] = {}
        read: dict[str, _Read] = {}
        bodies: list[dict[str, Any]] = []
        for one in certificates:
            body = certificates.get(one) or b"{}"
            fields = json.loads(body)
            bodies.append(fields)
            read[one] = (body, secrets.get(fields["key_secret"]) or b"")
            material = before.by_id.get(one)
            if read[one] == self._read.get(one):
                why = before.failed.get(one)
            else:
                material, why = self._material(fields, read[one][1], material)
            if material is not None:
                by_id[one] = material
            if why is not None:
                failed[one] = why
        self._read = read
        after = KeyMaterials(by_id, _by_name(bodies, by_id), failed)
        if after != before:
            self.materials = after

    def _material(
        self, certificate: dict[str, Any], secret: bytes, before: KeyMaterial | None
    ) -> tuple[KeyMaterial | None, str | None]:
        """Return what a certificate is worth now, and why it is not what is configured."""
        try:
            return read_material(certificate, secret, self._resolver), None
        except SecretError as error:
            return before, str(error)


def read_material(
    certificate: Mapping[str, Any], secret: bytes, resolver: SecretResolver
) -> KeyMaterial:
    """
    Return a certificate with its key.

    Args:
        secret: the body of what it names as its key; empty where there is none.

    Raises:
        SecretError: the key can't be had here, or is another certificate's.
    """
    name = certificate["key_secret"]
    if not secret:
        raise SecretError(f"secret {name} does not exist")
    key = resolver.resolve(name, json.loads(secret)["value"])
    chain = certificate["chain"].encode()
    require_pair(name, key, chain)
    return KeyMaterial(certificate["id"], chain, key)


def require_pair(secret_id: str, key: bytes, chain: bytes) -> None:
    """
    Make sure that a secret is the private key of a chain's first certificate.

    Raises:
        SecretError: it is not, or no private key at all.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )
    from cryptography.x509 import load_pem_x509_certificate

    try:
        # (Its own consistency is OpenSSL's to check; for RSA that takes milliseconds.)
        private = load_pem_private_key(key, None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        raise SecretError(
            f"secret {secret_id} is a private key with a passphrase; take that off first"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise SecretError(f"secret {secret_id} is not a private key in PEM") from None
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    public = load_pem_x509_certificate(chain).public_key()
    if private.public_key().public_bytes(*form) != public.public_bytes(*form):
        raise SecretError(f"secret {secret_id} is the private key of another certificate")


def _by_name(
    bodies: Iterable[Mapping[str, Any]], by_id: Mapping[str, KeyMaterial]
) -> dict[str, KeyMaterial]:
    """Return who is offered for each name: the first that can be used."""
    found = {}
    for name, ids in names_taken(bodies).items():
        usable = [by_id[one] for one in ids if one in by_id]
        if usable:
            found[name] = usable[0]
    return found
