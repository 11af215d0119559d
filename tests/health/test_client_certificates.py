"""The certificates that probes show: found in the configuration, with keys that are on this host."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.auth.keys import SecretKey
from fengling_gateway.auth.sealing import Sealer
from fengling_gateway.auth.secrets import SecretResolver
from fengling_gateway.dataplane.tls_certificates import CertificateError
from fengling_gateway.health.client_certificates import ClientCertificates
from fengling_gateway.model.entity import Key
from tests.health.builders import body
from tests.support.issued import SHOP, Issued, issue

KEY = SecretKey("k1", bytes(range(32)))
NEWER = issue("shop.example", seed="newer")


class Host:
    """A configuration, and the files of a host that reads it."""

    def __init__(self) -> None:
        self.bodies: dict[Key, bytes] = {}
        self.files = {"/shop.key": SHOP.key.encode()}
        self.reads = 0
        self.put("secret", "shop", value="file:/shop.key")
        self.put_certificate(SHOP)
        self.certificates = ClientCertificates(bodies=lambda: self.bodies, resolver=self.resolver())

    def resolver(self, *keys: SecretKey) -> SecretResolver:
        return SecretResolver(keys, read_file=self._read, environment={})

    def put(self, kind: str, name: str, **values: Any) -> None:
        self.bodies = {**self.bodies, Key(kind, name): body(kind, name, **values)}

    def put_certificate(self, issued: Issued) -> None:
        self.put("certificate", "shop", chain=issued.chain, key_secret="shop")

    def drop(self, kind: str, name: str) -> None:
        self.bodies = {key: one for key, one in self.bodies.items() if key != Key(kind, name)}

    def key(self) -> str:
        return self.certificates.find("shop").key.decode()

    def problem(self) -> str:
        with pytest.raises(CertificateError) as caught:
            self.certificates.find("shop")
        return str(caught.value)

    def _read(self, path: str) -> bytes:
        self.reads += 1
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory")
        return self.files[path]


class FindingTests:
    def test_key_is_read_when_it_is_wanted_and_once(self) -> None:
        """The same object each time: contexts of TLS are found by it."""
        host = Host()
        assert host.reads == 0
        first = host.certificates.find("shop")
        assert (first.chain, first.key) == (SHOP.chain.encode(), SHOP.key.encode())
        assert host.certificates.find("shop") is first
        assert host.reads == 1

    def test_other_entities_make_no_difference(self) -> None:
        """Only the certificate's own row and that of its secret."""
        host = Host()
        host.key()
        host.put("secret", "other", value="file:/other")
        host.key()
        assert host.reads == 1

    def test_renewed_row_is_taken_at_the_next_probe(self) -> None:
        """With no hangup: chain and key from the configuration."""
        host = Host()
        assert host.key() == SHOP.key
        host.files["/newer.key"] = NEWER.key.encode()
        host.put("secret", "shop", value="file:/newer.key")
        host.put_certificate(NEWER)
        found = host.certificates.find("shop")
        assert (found.chain, found.key) == (NEWER.chain.encode(), NEWER.key.encode())

    def test_encrypted_key_is_opened_once_its_key_is_here(self) -> None:
        """Which a hangup brings; until then it is said what is missing."""
        host = Host()
        sealer = Sealer([KEY], random_bytes=bytes)
        host.put("secret", "shop", value=sealer.seal("shop", SHOP.key.encode()))
        assert host.problem() == (
            'this console can\'t show certificate shop: secret shop is encrypted with key "k1", '
            "which is not here (there is none)"
        )
        host.certificates.renew(host.resolver(KEY))
        assert host.key() == SHOP.key

    def test_file_is_read_again_after_a_renewal_only(self) -> None:
        """One that has gone meanwhile takes nothing away."""
        host = Host()
        del host.files["/shop.key"]
        assert "shop.key: No such file or directory" in host.problem()
        host.files["/shop.key"] = SHOP.key.encode()
        assert "No such file" in host.problem()
        host.certificates.renew(host.resolver())
        assert host.key() == SHOP.key
        del host.files["/shop.key"]
        host.certificates.renew(host.resolver())
        assert host.key() == SHOP.key

    def test_what_does_not_exist_is_not_shown(self) -> None:
        """Nor is what has ceased to."""
        host = Host()
        assert host.key() == SHOP.key
        host.drop("certificate", "shop")
        assert host.problem() == "there is no certificate shop to show"
        host.put_certificate(NEWER)
        assert "is the private key of another certificate" in host.problem()

    def test_representation_tells_no_key(self) -> None:
        """Of a private key, no line is in it."""
        host = Host()
        found = host.certificates.find("shop")
        assert "PRIVATE" not in f"{found!r} {host.certificates!r}"
