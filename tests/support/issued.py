"""Certificates made for a test; the same ones in every run where they are of Ed25519."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
END: Final = datetime(2046, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Issued:
    """
    A certificate with its key.

    Attributes:
        pem: the certificate alone; ``chain``: with those that issued it, without the root.
        key: the private key, PEM.
    """

    certificate: x509.Certificate
    private: Any
    above: str = ""

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def chain(self) -> str:
        return self.pem + self.above

    @property
    def key(self) -> str:
        form = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        text: str = self.private.private_bytes(*form).decode()
        return text


def issue(
    *names: str,
    by: Issued | None = None,
    key: str = "ed25519",
    begin: datetime = BEGIN,
    end: datetime = END,
    seed: str = "",
) -> Issued:
    """
    Issue a certificate for DNS names; without any, one of an authority.

    Args:
        by: who issues it; None: it is self-signed.
        key: ``ed25519``, ``ec``, or the bits of an RSA key.
        seed: two for the same names differ by it.
    """
    subject = names[0] if names else f"authority {seed}"
    private = _private(key, f"{subject} {seed}")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    issuer = name if by is None else by.certificate.subject
    signer = private if by is None else by.private
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(private.public_key())
        .serial_number(int.from_bytes(sha256(f"{subject} {seed}".encode()).digest()[:15], "big"))
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False
        )
    digest = None if isinstance(signer, Ed25519PrivateKey) else SHA256()
    certificate = builder.sign(signer, digest)
    above = "" if by is None or by.certificate.subject == by.certificate.issuer else by.chain
    return Issued(certificate, private, above)


def _private(kind: str, seed: str) -> Any:
    if kind == "ed25519":
        return Ed25519PrivateKey.from_private_bytes(sha256(seed.encode()).digest())
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, int(kind))


ROOT: Final = issue(seed="root")
MIDDLE: Final = issue(by=ROOT, seed="middle")
SHOP: Final = issue("shop.example", "*.shop.example", by=MIDDLE)
"""Good for a name and a wildcard, with one certificate between it and its root."""

SEALED: Final = "aes256gcm:2026-11:" + "A" * 80
"""What an encrypted secret looks like, from outside."""
