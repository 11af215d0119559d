"""
Reads X.509 certificates from PEM, for who judges them.

The library that does it is loaded when the first one is read: workers, and
configurations without certificates, never wait for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from fengling_gateway.model.names import canonical_host

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MAX_CERTIFICATES: Final = 100
"""Of one text: chains have two or three, and some authorities bundle their whole house."""

MIN_RSA_BITS: Final = 2048
"""What OpenSSL takes from a host at its usual level of security; less fails in every worker."""

_BLOCK: Final = re.compile(
    r"-----BEGIN ([A-Z0-9 ]{1,60})-----([A-Za-z0-9+/=\s]*)-----END \1-----", re.ASCII
)
_BEGIN: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,60})-----", re.ASCII)


class PemError(ValueError):
    """The text is not what it should be; the message quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """
    What a host's own certificate says.

    Attributes:
        names: DNS names that it is for, in canonical form, sorted; wildcards as ``*.name``.
        not_before, not_after: seconds since the Unix epoch.
        fingerprint: SHA-256 of its DER, hexadecimal: what browsers show.
    """

    names: tuple[str, ...]
    not_before: int
    not_after: int
    fingerprint: str


def read_certificates(text: str) -> list[Certificate]:
    """
    Read all certificates of a text; what stands between them is ignored.

    Raises:
        PemError: there is none, one can't be read, or there is something else,
            a private key above all.
    """
    from cryptography.x509 import load_pem_x509_certificate

    labels = _BEGIN.findall(text)
    if any("PRIVATE KEY" in label for label in labels):
        raise PemError("holds a private key; a key is kept as a secret, and not here")
    others = sorted({label for label in labels if label != "CERTIFICATE"})
    if others:
        raise PemError(f"must hold certificates only, no {others[0]}")
    blocks = [match[0] for match in _BLOCK.finditer(text)]
    if len(blocks) != len(labels):
        raise PemError(f"has an END line missing or odd characters ({_which(labels, blocks)})")
    if not blocks:
        raise PemError("must be PEM: -----BEGIN CERTIFICATE----- and so on")
    if len(blocks) > MAX_CERTIFICATES:
        raise PemError(f"must have at most {MAX_CERTIFICATES} certificates, not {len(blocks)}")
    found = []
    for number, block in enumerate(blocks, 1):
        try:
            found.append(load_pem_x509_certificate(block.encode()))
        except ValueError as error:
            raise PemError(f"certificate {number} can't be read: {_reason(error)}") from None
    return found


def write_certificates(certificates: Iterable[Certificate]) -> str:
    """Return certificates as PEM in its one spelling."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def require_order(chain: list[Certificate]) -> None:
    """
    Make sure that each certificate was issued by the one after it.

    Raises:
        PemError: it names the first that was not.
    """
    from cryptography.exceptions import InvalidSignature

    for number, (one, issuer) in enumerate(pairwise(chain), 1):
        try:
            one.verify_directly_issued_by(issuer)
        except (InvalidSignature, TypeError, ValueError):
            raise PemError(
                f"certificate {number + 1} must be the one that issued certificate {number}: "
                "the host's own goes first, then its issuer, and so on"
            ) from None


def describe_leaf(leaf: Certificate) -> Leaf:
    """
    Return what a host's certificate says.

    Raises:
        PemError: its key is of no use, or it can't be understood.
    """
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        key = leaf.public_key()
        names = _dns_names(leaf)
        begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    except Exception as error:  # it has more than one kind, and some are of no class of their own
        raise PemError(f"certificate 1 can't be understood: {type(error).__name__}") from None
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise PemError(
            f"certificate 1 has an RSA key of {key.key_size} bits; {MIN_RSA_BITS} is the least"
        )
    return Leaf(
        names=names,
        not_before=int(begin.timestamp()),
        not_after=int(end.timestamp()),
        fingerprint=leaf.fingerprint(SHA256()).hex(),
    )


def is_for(names: Iterable[str], host: str) -> bool:
    """Whether a certificate for these names is for a host: a wildcard stands for one label."""
    known = frozenset(names)
    parent = host.partition(".")[2]
    return host in known or (not host.startswith("*.") and f"*.{parent}" in known)


def _dns_names(leaf: Certificate) -> tuple[str, ...]:
    from cryptography.x509 import DNSName, ExtensionNotFound, SubjectAlternativeName

    try:
        extension = leaf.extensions.get_extension_for_class(SubjectAlternativeName)
    except ExtensionNotFound:
        return ()
    found = set()
    for name in extension.value.get_values_for_type(DNSName):
        wildcard = name.startswith("*.")
        host = canonical_host(name[2:] if wildcard else name)
        # (An address as a DNS name is a mistake of its issuer: nobody asks for it by SNI.)
        if host is not None and host[0] != "[" and not host[-1].isdigit():
            found.add(f"*.{host}" if wildcard else host)
    return tuple(sorted(found))


def _which(labels: list[str], blocks: list[str]) -> str:
    return f"{len(labels)} begin, {len(blocks)} are whole"


def _reason(error: ValueError) -> str:
    """Return the first words of the library's error, which quotes nothing of the certificate."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text[:100] if text.isprintable() else type(error).__name__
