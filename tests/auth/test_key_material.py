"""Certificates with their keys, from what a configuration says of them."""

from __future__ import annotations

import json
from typing import Any
from unittest import TestCase

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from fengling_gateway.auth.key_material import CertificateStore, require_pair
from fengling_gateway.auth.keys import SecretKey
from fengling_gateway.auth.sealing import MAX_SECRET_BYTES, Sealer
from fengling_gateway.auth.secrets import SecretError, SecretResolver
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from tests.support.issued import SHOP, Issued, issue

KEY = SecretKey("k1", bytes(range(32)))
OTHER = issue("other.example")
NEWER = issue("shop.example", seed="newer")


def body(kind: str, name: str, **values: Any) -> bytes:
    verdict = validate(Key(kind, name), values)
    assert isinstance(verdict, Accepted), verdict
    return verdict.body


class Host:
    """The files and variables of a host, and a store that reads them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.environment: dict[str, str] = {}
        self.reads = 0
        self.certificates: dict[str, bytes] = {}
        self.secrets: dict[str, bytes] = {}
        self.store = CertificateStore(self.resolver())

    def resolver(self, *keys: SecretKey) -> SecretResolver:
        return SecretResolver(keys, read_file=self._read, environment=self.environment)

    def _read(self, path: str) -> bytes:
        self.reads += 1
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory")
        return self.files[path]

    def secret(self, name: str, value: str) -> None:
        self.secrets = {**self.secrets, name: body("secret", name, value=value)}

    def certificate(self, name: str, issued: Issued, secret: str, **more: Any) -> None:
        row = {"chain": issued.chain, "key_secret": secret, **more}
        self.certificates = {**self.certificates, name: body("certificate", name, **row)}

    def apply(self) -> Any:
        return self.store.apply(self.certificates, self.secrets)


@pytest.fixture
def host() -> Host:
    """Return a host with the shop's certificate, whose key is in a file."""
    host = Host()
    host.files["/shop.key"] = SHOP.key.encode()
    host.secret("shop", "file:/shop.key")
    host.certificate("shop", SHOP, "shop")
    return host


class ResolverTests:
    def test_three_forms_are_resolved(self) -> None:
        """A file, a variable, and what is encrypted."""
        host = Host()
        host.files["/a b"] = b"in a file\n"
        host.environment["NAME"] = "in a variable \udcff"
        sealed = Sealer([KEY], random_bytes=bytes).seal("s", b"sealed")
        resolver = host.resolver(KEY)
        assert resolver.resolve("s", "file:/a b") == b"in a file\n"
        assert resolver.resolve("s", "env:NAME") == b"in a variable \xff"
        assert resolver.resolve("s", sealed) == b"sealed"

    @pytest.mark.parametrize(
        ("value", "why"),
        [
            ("file:/gone", "secret s can't be read from /gone: No such file or directory"),
            ("file:/empty", "secret s is empty (/empty)"),
            ("file:/large", f"secret s is larger than {MAX_SECRET_BYTES} bytes (/large)"),
            (
                "env:GONE",
                "secret s is in the variable GONE, which is not set for this process",
            ),
            (
                "env:EMPTY",
                "secret s is in the variable EMPTY, which is empty for this process",
            ),
            ("env:LARGE", f"secret s is larger than {MAX_SECRET_BYTES} bytes (LARGE)"),
            ("hunter2", "secret s is not encrypted as it should be"),
        ],
    )
    def test_what_cannot_be_had_is_named_without_its_content(self, value: str, why: str) -> None:
        """In words for who is woken by it."""
        host = Host()
        host.files.update({"/empty": b"", "/large": b"x" * (MAX_SECRET_BYTES + 1)})
        host.environment.update({"EMPTY": "", "LARGE": "x" * (MAX_SECRET_BYTES + 1)})
        with pytest.raises(SecretError) as caught:
            host.resolver(KEY).resolve("s", value)
        assert str(caught.value) == why


class PairTests:
    @pytest.mark.parametrize("kind", ["ec", "2048", "ed25519"])
    def test_key_fits_its_certificate_and_no_other(self, kind: str) -> None:
        """Of every kind that is used."""
        pair = issue("a.example", key=kind)
        require_pair("s", pair.key.encode(), pair.chain.encode())
        with pytest.raises(SecretError, match="secret s is the private key of another certificate"):
            require_pair("s", OTHER.key.encode(), pair.chain.encode())

    def test_key_may_have_company(self) -> None:
        """OpenSSL writes the parameters of a curve before it, and people a comment."""
        pair = issue("a.example", key="ec")
        parameters = (
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        )
        require_pair("s", f"the key\n{parameters}{pair.key}".encode(), pair.chain.encode())

    def test_what_is_no_key_is_refused(self) -> None:
        """One that wants a passphrase among them."""
        form = Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2")
        locked = SHOP.private.private_bytes(*form)
        with pytest.raises(SecretError, match="with a passphrase; take that off first"):
            require_pair("s", locked, SHOP.chain.encode())
        for content in (b"", b"hunter2", SHOP.chain.encode(), SHOP.key.encode()[:-40], b"\xff\0"):
            with pytest.raises(SecretError, match="secret s is not a private key in PEM"):
                require_pair("s", content, SHOP.chain.encode())


class StoreTests:
    def test_certificate_is_found_by_its_names(self, host: Host) -> None:
        """A wildcard stands for one label, and an exact name goes first."""
        host.files["/other.key"] = OTHER.key.encode()
        host.secret("other", "file:/other.key")
        materials = host.apply()
        assert materials.find("shop.example") == materials.by_id["shop"]
        assert materials.find("a.shop.example").key == SHOP.key.encode()
        assert materials.find("a.b.shop.example") is None
        assert materials.find("example") is None
        assert materials.failed == {}

    def test_nothing_is_read_again_while_nothing_changes(self, host: Host) -> None:
        """Not for another certificate, nor for the same configuration."""
        first = host.apply()
        assert host.apply() is first
        host.certificate("second", SHOP, "shop", enabled=False)
        second = host.apply()
        assert second is not first
        assert second.by_id["shop"] is first.by_id["shop"]
        assert host.reads == 2

    def test_certificate_that_is_not_enabled_is_for_services_only(self, host: Host) -> None:
        """They name it as their client certificate."""
        host.certificate("shop", SHOP, "shop", enabled=False)
        materials = host.apply()
        assert set(materials.by_id) == {"shop"}
        assert materials.by_name == {}

    def test_what_cannot_be_used_keeps_what_it_was(self, host: Host) -> None:
        """Until the key is there that fits."""
        before = host.apply().by_id["shop"]
        host.certificate("shop", NEWER, "shop")
        materials = host.apply()
        assert materials.failed == {"shop": "secret shop is the private key of another certificate"}
        assert materials.find("shop.example") is before
        host.files["/shop.key"] = NEWER.key.encode()
        after = host.store.renew(host.resolver())
        assert after.failed == {}
        assert after.find("shop.example").key == NEWER.key.encode()

    def test_new_one_that_cannot_be_used_is_left_out(self, host: Host) -> None:
        """Another one for its names is offered in its place."""
        host.certificate("a", SHOP, "nowhere")
        materials = host.apply()
        assert materials.failed == {"a": "secret nowhere does not exist"}
        assert materials.find("shop.example").id == "shop"
        host.certificates = {}
        assert host.apply().by_name == host.apply().failed == {}

    def test_encrypted_key_waits_for_the_key_that_opens_it(self, host: Host) -> None:
        """A host may get its key file after the configuration."""
        host.secret("shop", Sealer([KEY], random_bytes=bytes).seal("shop", SHOP.key.encode()))
        assert 'encrypted with key "k1", which is not here' in host.apply().failed["shop"]
        materials = host.store.renew(host.resolver(KEY))
        assert (dict(materials.failed), materials.by_id["shop"].key) == ({}, SHOP.key.encode())
        assert host.store.renew(host.resolver(KEY)) is materials

    def test_keys_are_in_no_representation(self, host: Host) -> None:
        """They end in tracebacks."""
        host.apply()
        shown = f"{host.store!r} {host.store.materials!r}"
        assert "PRIVATE" not in shown
        assert "MC4C" not in shown

    def test_body_is_what_was_judged(self, host: Host) -> None:
        """The chain goes to OpenSSL as validation wrote it."""
        TestCase().assertEqual(
            host.apply().by_id["shop"].chain.decode(),
            json.loads(host.certificates["shop"])["chain"],
        )
