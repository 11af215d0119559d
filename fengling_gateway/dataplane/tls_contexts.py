"""TLS towards clients: the certificates of a listener, and which one a client is shown.

A client names the host it wants (SNI). It is shown the certificate for exactly
that name, else one for ``*.`` and the rest of it, else the listener's first
one; of two for the same name, a listener's file wins over the table. Whatever
changes holds for the next handshake; connections keep what they have.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from fengling_gateway.dataplane.tls_certificates import (
    Certificate,
    CertificateError,
    load,
    new_context,
    read_certificate,
    read_file,
)
from fengling_gateway.dataplane.tls_failures import TlsFailure
from fengling_gateway.dataplane.tls_session import TlsSession
from fengling_gateway.dataplane.tls_transport import TlsTransport

CIPHERS: Final = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
"""For TLS 1.2: Mozilla's intermediate ones, without DHE, with which a client can make us sweat."""

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """
    How a listener speaks TLS.

    Attributes:
        certificates: paths of chain and key; the first one is for clients that
            ask for no name, or for one that nobody has.
        min_version: "1.2" or "1.3".
        client_ca: path of the authorities that clients' certificates are verified by.
        client_auth: "none" asks for no certificate, "optional" verifies one that
            is shown, "required" refuses clients without one.
    """

    certificates: tuple[tuple[str, str], ...] = ()
    min_version: str = "1.2"
    client_ca: str | None = None
    client_auth: str = "none"

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        pairs = tuple((one["chain"], one["key"]) for one in values["certificates"])
        return cls(**{**values, "certificates": pairs})


class ServerTls:
    """
    The TLS of one listener.

    Attributes:
        context: for the next handshake.
    """

    __slots__ = (
        "_authorities",
        "_built",
        "_by_name",
        "_files",
        "_report",
        "_settings",
        "_stored",
        "context",
    )

    def __init__(self, settings: TlsSettings, report: Callable[[str], None]) -> None:
        """
        Begin without certificates; `read_files` and `offer` bring them.

        Args:
            report: told of a certificate of the table that can't be used, when it
                is first asked for.
        """
        self._settings = settings
        self._report = report
        self._authorities: str | None = None
        self._files: dict[tuple[str, str], Certificate] = {}
        self._stored: tuple[Certificate, ...] = ()
        self._by_name: dict[str, Certificate] = {}
        self._built: dict[Certificate, Any] = {}
        self.context: Any = self._new_context()
        _say_nothing_of_odd_names()

    def __repr__(self) -> str:
        return f"<ServerTls names={len(self._by_name)}>"

    # What changes

    def read_files(self, settings: TlsSettings) -> list[str]:
        """
        Read all files again.

        What can't be read or used stays as it was.

        Returns:
            what is wrong, a line for each.
        """
        problems: list[str] = []
        authorities = self._read_authorities(settings, problems)
        files = {}
        for paths in settings.certificates:
            try:
                files[paths] = read_certificate(*paths)
            except CertificateError as error:
                problems.append(str(error))
                if paths in self._files:
                    files[paths] = self._files[paths]
        self._built.clear()
        self._settings, self._authorities, self._files = settings, authorities, files
        self._arrange()
        return problems

    def offer(self, certificates: Iterable[Certificate]) -> None:
        """Offer these beside the listener's files, and no others; of one name, the first."""
        self._stored = tuple(certificates)
        self._arrange()

    def _read_authorities(self, settings: TlsSettings, problems: list[str]) -> str | None:
        if settings.client_ca is None:
            return None
        try:
            return check_authorities(settings.client_ca)
        except CertificateError as error:
            problems.append(str(error))
            return self._authorities

    def _arrange(self) -> None:
        by_name: dict[str, Certificate] = {}
        for certificate in (*self._files.values(), *self._stored):
            for name in certificate.hosts:
                by_name.setdefault(name, certificate)
        known = {*self._files.values(), *self._stored}
        self._built = {one: built for one, built in self._built.items() if one in known}
        self._by_name = by_name
        first = next(iter(self._files.values()), None)
        self.context = (first and self._context_of(first)) or self._new_context()

    # Handshakes

    def layer(
        self, build: Callable[[TlsSession], Any], failed: Callable[[TlsFailure], None]
    ) -> TlsTransport:
        """Return what shakes hands with a client; see `TlsTransport`."""
        return TlsTransport(self.context, server_hostname=None, build=build, failed=failed)

    def _choose(self, connection: Any, name: str | None, _: ssl.SSLContext | None) -> None:
        """Show a client the certificate for the name it asks for."""
        certificate = None if name is None else self.certificate_for(name)
        if certificate is not None:
            context = self._context_of(certificate)
            if context is not None:
                self._use(connection, context)

    def _use(self, connection: Any, context: Any) -> None:
        connection.context = context

    def certificate_for(self, name: str) -> Certificate | None:
        """Return the certificate for a name that a client asks for; None: the listener's first."""
        name = name.lower().removesuffix(".")
        found = self._by_name.get(name)
        return found if found is not None else self._by_name.get("*." + name.partition(".")[2])

    def _context_of(self, certificate: Certificate) -> Any:
        """Return the context of a certificate; None where it can't be used."""
        # Made when it is first asked for: it takes a millisecond and 20 KB, and
        # there may be thousands.
        if certificate not in self._built:
            context = self._new_context()
            try:
                self._load(context, certificate)
            except CertificateError as error:
                self._report(str(error))
                self._built[certificate] = None
            else:
                self._built[certificate] = context
        return self._built[certificate]

    def _load(self, context: Any, certificate: Certificate) -> None:
        load(context, certificate)

    def _new_context(self) -> Any:
        settings = self._settings
        context = new_context(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[settings.min_version]
        context.set_ciphers(CIPHERS)
        # All of them are good: who has no hardware for AES may choose what it is fast at.
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        if self._authorities is not None:
            context.load_verify_locations(cadata=self._authorities)
        # With no authorities that could be read, nobody is verified.
        context.verify_mode = _CLIENT_AUTH[settings.client_auth]
        context.sni_callback = self._choose
        return context


def _say_nothing_of_odd_names() -> None:
    """
    Have handshakes that ask for a name which is not ASCII fail as others do, without a traceback.

    `ssl` decodes the name before it calls us. What that raises it cannot raise to anybody, so it
    is printed by a hook of the interpreter: five lines for each client that likes to see them.
    """
    if sys.unraisablehook is not _unraisable:
        _hooks.append(sys.unraisablehook)
        sys.unraisablehook = _unraisable


_hooks: list[Callable[[Any], Any]] = []


def _unraisable(told: Any) -> None:
    is_name = type(told.object) is bytes or "servername" in (told.err_msg or "")
    if not (is_name and told.exc_type is UnicodeDecodeError):
        _hooks[-1](told)


def check_authorities(path: str) -> str:
    """
    Return the certificates of authorities in a file, as PEM.

    Raises:
        CertificateError: it can't be read, or has none.
    """
    text = read_file(path).decode("utf-8", "replace")
    try:
        new_context(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise CertificateError(f"{path} has no certificates in PEM form") from None
    return text


def problems_with(settings: TlsSettings) -> list[str]:
    """Return what is wrong with a listener's files, a line for each."""
    return ServerTls(settings, lambda _: None).read_files(settings)
