"""
What the console shows to the cluster's API server, and what it believes it by.

The kubelet renews a pod's token long before it expires, and writes it where the old one was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import X509
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.iweb import IPolicyForHTTPS

from fengling_gateway.kubernetes.errors import CREDENTIALS, ApiError

T = TypeVar("T")

MAX_FILE_BYTES: Final = 1024 * 1024
"""A token has 1 KB, a bundle of authorities some hundred."""


class Credentials:
    """
    A bearer token, and the authorities of the cluster.

    Both files are looked at whenever they are needed, and read where they have changed.

    Args:
        token_file: None where none is needed, as behind ``kubectl proxy``.
        ca_file: PEM; None for the system's authorities.
    """

    def __init__(self, *, token_file: Path | None, ca_file: Path | None) -> None:
        self._token = None if token_file is None else _Read(token_file, _token)
        self._policy = None if ca_file is None else _Read(ca_file, _policy)
        self._of_system: IPolicyForHTTPS | None = None

    def token(self) -> str | None:
        """
        Raises:
            ApiError: it can't be read.
        """
        return None if self._token is None else self._token.value()

    def policy(self) -> IPolicyForHTTPS:
        """
        Return how servers are verified.

        Raises:
            ApiError: the authorities can't be read.
        """
        if self._policy is not None:
            return self._policy.value()
        if self._of_system is None:
            self._of_system = BrowserLikePolicyForHTTPS()
        return self._of_system

    def forget(self) -> None:
        """Read the token anew, though its file seems to be the same: it was refused."""
        if self._token is not None:
            self._token.forget()


class _Read(Generic[T]):
    """What a file says, read when it is another one."""

    def __init__(self, path: Path, make: Callable[[bytes], T]) -> None:
        self._path = path
        self._make = make
        self._known: tuple[tuple[int, ...], T] | None = None

    def value(self) -> T:
        try:
            stat = self._path.stat()
            # (Where it is a link to a link, as in a pod, this is of what they lead to.)
            mark = (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if self._known is None or self._known[0] != mark:
                self._known = (mark, self._make(self._content()))
        except OSError as error:
            raise ApiError(0, CREDENTIALS, f"{self._path}: {error.strerror}") from None
        except ValueError as error:
            raise ApiError(0, CREDENTIALS, f"{self._path} {error}") from None
        return self._known[1]

    def forget(self) -> None:
        self._known = None

    def _content(self) -> bytes:
        with self._path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"has more than {MAX_FILE_BYTES} bytes")
        return content


def _token(content: bytes) -> str:
    token = content.strip().decode("ascii", "replace")
    if not token:
        raise ValueError("has no token")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("has something that is no token")
    return token


def _policy(content: bytes) -> IPolicyForHTTPS:
    try:
        found = load_pem_x509_certificates(content)
    except ValueError:
        raise ValueError("has no certificates in PEM") from None
    trusted = trustRootFromCertificates([Certificate(X509.from_cryptography(one)) for one in found])
    return BrowserLikePolicyForHTTPS(trusted)
