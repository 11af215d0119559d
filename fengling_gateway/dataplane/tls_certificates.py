"""Certificates with their keys, and how they come into the contexts of `ssl`.

`ssl` reads keys from files only. What is in memory is handed to it in a file
that has no name on any disk; where the system has none of those, in one that
only this user can read, and that is gone before anything else happens.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class CertificateError(Exception):
    """A certificate can't be used; the message says why, and nothing of the key."""


class Certificate(NamedTuple):
    """
    A certificate chain, the leaf first, and its key, both as PEM.

    Attributes:
        name: what problems call it: a path, or an id in the table.
        hosts: names it is offered for, in lower case, ``*.`` for any one label.
    """

    name: str
    hosts: tuple[str, ...]
    chain: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"<Certificate {self.name}>"


def read_certificate(chain: str, key: str) -> Certificate:
    """
    Read a certificate from two files (or one that holds both), with the names in it.

    Raises:
        CertificateError: it says which file, and what is the matter with it.
    """
    parts = [read_file(path) for path in (chain, key)]
    try:
        hosts = names_in(parts[0])
    except ValueError:
        raise CertificateError(f"{chain} has no certificate in PEM form") from None
    certificate = Certificate(chain, hosts, *parts)
    load(new_context(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    return certificate


def read_file(path: str) -> bytes:
    """
    Return what is in a file.

    Raises:
        CertificateError: it can't be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CertificateError(f"{path} can't be read: {error.strerror}") from None


def names_in(chain: bytes) -> tuple[str, ...]:
    """
    Return the DNS names that the first certificate is for.

    Raises:
        ValueError: it is none.
    """
    from cryptography.x509 import (  # 60 ms, for those who need it
        DNSName,
        ExtensionNotFound,
        SubjectAlternativeName,
        load_pem_x509_certificate,
    )

    try:
        extensions = load_pem_x509_certificate(chain).extensions
        found = extensions.get_extension_for_class(SubjectAlternativeName)
    except ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in found.value.get_values_for_type(DNSName))


def new_context(protocol: int) -> ssl.SSLContext:
    """Return a context for either side, with what both have in common."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def load(context: ssl.SSLContext, certificate: Certificate, key_name: str = "its key") -> None:
    """
    Load a certificate and its key into a context.

    Args:
        key_name: what problems call the key.

    Raises:
        CertificateError: they are no such thing, or don't belong together.
    """
    # The key first: OpenSSL takes the first certificate and the first key that it finds.
    with as_file(certificate.key + b"\n" + certificate.chain) as path:
        try:
            context.load_cert_chain(path, password=_no_passphrase)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                why = f"{key_name} does not fit the certificate {certificate.name}"
            elif b"ENCRYPTED" in certificate.key:
                why = f"{key_name} is encrypted; nobody is there to be asked for a passphrase"
            elif b"PRIVATE KEY-----" not in certificate.key:
                why = f"{key_name} is no private key in PEM form"
            else:
                reason = (error.reason or "malformed").replace("_", " ").lower()
                why = f"{certificate.name} or {key_name} can't be used: {reason}"
            raise CertificateError(why) from None


def _no_passphrase() -> bytes:
    return b""  # or OpenSSL would ask the terminal


@contextmanager
def as_file(content: bytes) -> Iterator[str]:
    """Give the path of a file that holds `content` and that nobody else can read, for a moment."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as named:  # mode 0600
            named.write(content)
            named.flush()
            yield named.name
