"""Issuers are what is configured, shared and published, and stay themselves while nothing changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fengling_gateway.auth.compact import TokenError, parse
from fengling_gateway.auth.issuer import Issuer, verify
from fengling_gateway.auth.issuer_store import (
    NO_KEYS_YET,
    IssuerStore,
    Published,
    key_source,
    without_line_end,
)
from fengling_gateway.auth.secrets import SecretResolver
from fengling_gateway.model.entity import Key
from fengling_gateway.model.names import IDENTITY_HEADERS
from fengling_gateway.model.validation import Accepted, validate
from tests.support.forge import AUDIENCE, ISSUER, NOW, rsa_jwk, rsa_key, token

URL = "https://id.example/keys"
SECRET = bytes(range(40, 72))
KEYS = {"keys": [rsa_jwk()]}
PUBLISHED = Published(f"jwks {URL}", KEYS)


def body(name: str = "acme", **changed: Any) -> bytes:
    """The canonical body of an issuer whose keys are published."""
    values = {"issuer": ISSUER, "audiences": [AUDIENCE], "jwks_url": URL, **changed}
    verdict = validate(Key("issuer", name), values)
    assert isinstance(verdict, Accepted), verdict
    return verdict.body


def shared(name: str = "acme", **changed: Any) -> bytes:
    """That of one who shares a secret with us."""
    values = {"jwks_url": None, "key_secret": "s", "algorithms": ["HS256"], **changed}
    return body(name, **values)


def secret(value: str) -> dict[str, bytes]:
    verdict = validate(Key("secret", "s"), {"value": value})
    assert isinstance(verdict, Accepted), verdict
    return {"s": verdict.body}


class Host:
    """A host with files, and a store on it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"/s": SECRET}
        self.read: list[str] = []
        self.store = IssuerStore(self.resolver())

    def resolver(self) -> SecretResolver:
        return SecretResolver((), read_file=self._read_file, environment={})

    def _read_file(self, path: str) -> bytes:
        self.read.append(path)
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory")
        return self.files[path]

    def apply(self, *bodies: bytes, secrets: dict[str, bytes] | None = None) -> dict[str, Issuer]:
        named = {json.loads(one)["id"]: one for one in bodies}
        return self.store.apply(named, secrets or {}, IDENTITY_HEADERS)


def verdict(issuers: dict[str, Issuer], raw: bytes) -> str:
    """Whom a token speaks for, or why it is refused."""
    try:
        return verify(parse(raw), issuers, NOW).subject
    except TokenError as error:
        return error.code


def test_published_keys_verify_once_they_are_there() -> None:
    """Until then their issuer is known, and its keys are not."""
    store = Host()
    assert verdict(store.apply(body()), token()) == "unknown_key"
    assert store.store.failed == {"acme": NO_KEYS_YET}
    assert verdict(store.store.publish({"acme": PUBLISHED}), token()) == "ada"
    assert store.store.failed == {}
    assert verdict(store.store.publish({"acme": None}), token()) == "unknown_key"


def test_keys_may_be_there_before_their_issuer() -> None:
    """The two arrive on their own."""
    store = Host()
    assert store.store.publish({"acme": PUBLISHED}) == {}
    assert verdict(store.apply(body()), token()) == "ada"


@pytest.mark.parametrize(
    "changed", [{"jwks_url": URL + "2"}, {"jwks_url": None, "discovery": True}]
)
def test_keys_from_another_place_count_for_nothing(changed: dict[str, Any]) -> None:
    """Who has changed the address does not want the keys of the old one to be believed."""
    store = Host()
    store.apply(body())
    assert verdict(store.store.publish({"acme": PUBLISHED}), token()) == "ada"
    assert verdict(store.apply(body(**changed)), token()) == "unknown_key"
    assert store.store.failed == {"acme": NO_KEYS_YET}
    assert verdict(store.apply(body()), token()) == "ada"


@pytest.mark.parametrize("document", [[], {"keys": {}}, {"keys": [{}] * 101}, {"keys": [{}]}])
def test_bad_key_set_is_told(document: Any) -> None:
    """And verifies nothing."""
    store = Host()
    store.apply(body())
    issuers = store.store.publish({"acme": Published(f"jwks {URL}", document)})
    assert verdict(issuers, token()) == "unknown_key"
    assert "key" in store.store.failed["acme"]


def test_issuer_stays_the_same_object_while_nothing_of_it_changes() -> None:
    """What was verified before goes by that."""
    store = Host()
    other = body("other", issuer="https://other.example", keys=KEYS, jwks_url=None)
    store.apply(body(), other)
    first = store.store.publish({"acme": PUBLISHED})
    assert (
        store.store.publish({"acme": Published(PUBLISHED.source, {"keys": [rsa_jwk()]})}) is first
    )
    assert store.apply(body(), other) is first
    assert store.store.renew(store.resolver()) is first
    after = store.apply(body(), body("other", issuer="https://other.example"))
    assert after[ISSUER] is first[ISSUER]
    assert after["https://other.example"] is not first["https://other.example"]
    rotated = store.store.publish(
        {"acme": Published(PUBLISHED.source, {"keys": [rsa_jwk(rsa_key(number=1))]})}
    )
    assert rotated[ISSUER] is not first[ISSUER]
    headers = {**IDENTITY_HEADERS, "user": "X-Who"}
    renamed = store.store.apply({"acme": body()}, {}, headers)
    assert renamed[ISSUER] is not rotated[ISSUER]


def test_inline_keys_need_nobody() -> None:
    store = Host()
    assert verdict(store.apply(body(keys=KEYS, jwks_url=None)), token()) == "ada"


def test_issuer_that_is_not_enabled_is_nobody() -> None:
    store = Host()
    store.apply(body(enabled=False, keys=KEYS, jwks_url=None))
    assert (store.store.issuers, store.store.failed) == ({}, {})


def test_of_two_issuers_of_the_same_tokens_the_first_counts() -> None:
    """By their ids, whenever they were made; the other one is told."""
    store = Host()
    mine, theirs = (body(name, keys=KEYS, jwks_url=None) for name in ("a", "b"))
    assert store.apply(theirs, mine)[ISSUER].id == "a"
    assert store.store.failed == {"b": "its tokens are those of issuer a, whose id comes first"}


def test_shared_secret_verifies() -> None:
    """Read once, whatever changes elsewhere."""
    store = Host()
    raw = token(key=SECRET, algorithm="HS256")
    assert verdict(store.apply(shared(), secrets=secret("file:/s")), raw) == "ada"
    store.store.publish({"other": PUBLISHED})
    assert store.read == ["/s"]


def test_secret_without_its_end_of_line() -> None:
    """Editors put one behind it; random bytes have what they have."""
    store = Host()
    text = b"a secret that has more than 32 bytes"
    store.files["/s"] = text + b"\r\n"
    issuers = store.apply(shared(), secrets=secret("file:/s"))
    assert verdict(issuers, token(key=text, algorithm="HS256")) == "ada"
    assert without_line_end(b"\x00\xff\n") == b"\x00\xff\n"


def test_secret_that_is_renewed_is_another_key() -> None:
    """And the old one is none any more; one that is as before leaves its issuer as it is."""
    store = Host()
    first = store.apply(shared(), secrets=secret("file:/s"))
    assert store.store.renew(store.resolver()) is first
    store.files["/s"] = SECRET[::-1]
    issuers = store.store.renew(store.resolver())
    assert verdict(issuers, token(key=SECRET[::-1], algorithm="HS256")) == "ada"
    assert verdict(issuers, token(key=SECRET, algorithm="HS256")) == "wrong_signature"


def test_secret_that_can_not_be_read_again_stays() -> None:
    """Its issuer is the same, and the reason is told."""
    store = Host()
    first = store.apply(shared(), secrets=secret("file:/s"))
    del store.files["/s"]
    assert store.store.renew(store.resolver()) is first
    assert store.store.failed == {
        "acme": "secret s can't be read from /s: No such file or directory"
    }
    store.files["/s"] = SECRET
    assert store.store.renew(store.resolver()) is first
    assert store.store.failed == {}


@pytest.mark.parametrize("value", ["file:/missing", "env:NOT_SET", "file:/short"])
def test_secret_that_replaces_another_is_believed_or_nothing(value: str) -> None:
    """Not the old one: it may be known to somebody."""
    store = Host()
    store.files["/short"] = b"short"
    store.apply(shared(), secrets=secret("file:/s"))
    issuers = store.apply(shared(), secrets=secret(value))
    assert verdict(issuers, token(key=SECRET, algorithm="HS256")) == "unknown_key"
    assert "secret s" in store.store.failed["acme"]
    assert "short" not in store.store.failed["acme"].replace("/short", "")


def test_secret_that_is_gone_is_told() -> None:
    store = Host()
    store.apply(shared())
    assert store.store.failed == {"acme": "secret s does not exist"}


def test_without_a_resolver_issuers_with_secrets_are_left_out() -> None:
    """Where secrets must not be opened."""
    store = IssuerStore(None)
    assert store.apply({"acme": shared()}, secret("file:/s"), IDENTITY_HEADERS) == {}
    assert store.failed == {}


def test_secrets_stay_out_of_representations() -> None:
    store = Host()
    store.files["/s"] = b"canary-canary-canary-canary-canary"
    store.apply(shared(), secrets=secret("file:/s"))
    assert "canary" not in repr((store.store, store.store._made, store.store._contents))


@pytest.mark.parametrize(
    ("changed", "source"),
    [
        ({}, f"jwks {URL}"),
        ({"jwks_url": None, "discovery": True}, f"discovery {ISSUER}"),
        ({"jwks_url": None, "keys": KEYS}, None),
    ],
)
def test_keys_are_published_in_one_place(changed: dict[str, Any], source: str | None) -> None:
    assert key_source(json.loads(body(**changed))) == source


def test_header_that_it_can_not_have_is_told() -> None:
    """The setting may have come after it; its tokens are verified all the same."""
    host = Host()
    rows = {"acme": body(headers={"X-Org": "org"}, jwks_url=None, keys=KEYS)}
    issuers = host.store.apply(rows, {}, {**IDENTITY_HEADERS, "tenant": "x_org"})
    assert host.store.failed == {"acme": "its header X-Org is one of the setting identity_headers"}
    assert verdict(issuers, token()) == "ada"
    host.store.apply(rows, {}, IDENTITY_HEADERS)
    assert host.store.failed == {}
