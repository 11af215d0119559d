"""Certificates for tests, made when they are asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Issued(NamedTuple):
    """A certificate and its key, as PEM."""

    chain: bytes
    key: bytes

    def write(self, directory: Path, name: str) -> dict[str, str]:
        """Write both, readable by nobody else; gives the paths as a listener's settings have them."""
        paths = {"chain": directory / f"{name}.pem", "key": directory / f"{name}.key"}
        for path, content in zip(paths.values(), self, strict=True):
            path.write_bytes(content)
            path.chmod(0o600)
        return {kind: str(path) for kind, path in paths.items()}


class Authority:
    """Issues certificates that are valid today, unless asked for others."""

    def __init__(self, name: str = "Test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._build(self._name, self._key.public_key(), 1, None)
        self.pem = certificate.public_bytes(Encoding.PEM)

    def issue(self, *hosts: str, name: str = "", ends_in_days: int = 1) -> Issued:
        """
        Issue a certificate.

        Args:
            hosts: names and addresses.
            ends_in_days: negative for one that has expired.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name or hosts[0])])
        made = self._build(subject, key.public_key(), ends_in_days, hosts)
        return Issued(
            made.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )

    def _build(
        self, subject: x509.Name, key: Any, ends_in_days: int, hosts: tuple[str, ...] | None
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=10))
            .not_valid_after(now + timedelta(days=ends_in_days))
            .add_extension(x509.BasicConstraints(hosts is None, None), critical=True)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_name_of(host) for host in hosts]), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())


def _name_of(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
