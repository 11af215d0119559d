"""
Issuers with their keys, wherever those come from: what tokens are verified by.

Keys stand in an issuer's own body, are published and fetched by the supervisor,
or are a secret that is shared with the issuer. What can't be had on this host is
told, and its issuer verifies nothing, or nothing new.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from fengling_gateway.auth.issuer import Issuer
from fengling_gateway.auth.jwt_transform import JwtTransform
from fengling_gateway.auth.key_material import Bodies
from fengling_gateway.auth.secrets import SecretError, SecretResolver
from fengling_gateway.model.key_sets import KeyRefusedError, KeySet, hmac_key, read_key_set

NO_KEYS_YET: Final = "it has no keys yet: they are published, and have not been fetched"

_NONE: Final = KeySet(())


class Published(NamedTuple):
    """
    What an issuer has published.

    Attributes:
        source: where, as `key_source` says it. What comes from elsewhere says
            nothing about an issuer, whatever its id.
        document: a JWK Set.
    """

    source: str
    document: Any


def key_source(body: Mapping[str, Any]) -> str | None:
    """Return where an issuer publishes its keys; None where they are not published."""
    if body["jwks_url"]:
        return f"jwks {body['jwks_url']}"
    return f"discovery {body['issuer']}" if body["discovery"] else None


@dataclass(frozen=True, slots=True)
class _Secret:
    """The content of a secret, if it was ever had, and why it can't be had now."""

    content: bytes | None = field(repr=False)
    why: str | None


@dataclass(frozen=True, slots=True)
class _Made:
    """An issuer, what is wrong with its keys, and all that it was made of."""

    of: tuple[Any, ...] = field(repr=False)
    issuer: Issuer
    why: str | None


class IssuerStore:
    """
    Keeps issuers up to date with the configuration, with secrets and what is published.

    An issuer of which nothing has changed stays the same object.

    Args:
        resolver: opens secrets; None where they can't be: issuers that share one
            are left out there.

    Attributes:
        issuers: by what their tokens say in ``iss``. One that waits for its keys
            is among them, and verifies nothing.
        failed: what can't be used as it is configured, by id, and why.
    """

    def __init__(self, resolver: SecretResolver | None) -> None:
        self._resolver = resolver
        self._from: tuple[Bodies, Bodies, Mapping[str, str]] = ({}, {}, {})
        self._published: dict[str, Published] = {}
        self._made: dict[str, _Made] = {}
        self._read: dict[str, tuple[bytes, dict[str, Any]]] = {}
        # By the ids and bodies of secrets.
        self._contents: dict[tuple[str, bytes], _Secret] = {}
        self.issuers: dict[str, Issuer] = {}
        self.failed: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<IssuerStore of {len(self.issuers)}, {len(self.failed)} failed>"

    def apply(
        self, issuers: Bodies, secrets: Bodies, identity_headers: Mapping[str, str]
    ) -> dict[str, Issuer]:
        """Return the issuers of a configuration; the same object where nothing has changed."""
        given = issuers, secrets, identity_headers
        if any(one is not before for one, before in zip(given, self._from, strict=True)):
            self._from = given
            self._update()
        return self.issuers

    def publish(self, published: Mapping[str, Published | None]) -> dict[str, Issuer]:
        """Take what issuers have published, by id; None: nothing (any more)."""
        for name, one in published.items():
            if one is None:
                self._published.pop(name, None)
            else:
                self._published[name] = one
        self._update()
        return self.issuers

    def renew(self, resolver: SecretResolver) -> dict[str, Issuer]:
        """Read all secrets again: files may have others' content now."""
        self._resolver = resolver
        self._update(again=True)
        return self.issuers

    def _update(self, *, again: bool = False) -> None:
        bodies, secrets, headers = self._from
        made: dict[str, _Made] = {}
        headers = dict(headers)
        issuers: dict[str, Issuer] = {}
        failed: dict[str, str] = {}
        contents: dict[tuple[str, bytes], _Secret] = {}
        self._read = {
            name: self._parsed(name, bodies.get(name) or b"{}") for name in sorted(bodies)
        }
        for name, (body, fields) in self._read.items():
            if not fields.get("enabled") or (self._resolver is None and fields["key_secret"]):
                continue
            secret = None
            if fields["key_secret"]:
                place = fields["key_secret"], secrets.get(fields["key_secret"]) or b""
                if place not in contents:
                    contents[place] = self._content(*place, again=again)
                secret = contents[place]
            one = made[name] = self._make(fields, body, secret, headers)
            why = one.why if secret is None or secret.why is None else secret.why
            if why is not None:
                failed[name] = why
            first = issuers.setdefault(one.issuer.issuer, one.issuer)
            if first is not one.issuer:
                failed[name] = f"its tokens are those of issuer {first.id}, whose id comes first"
        self._made, self._contents, self.failed = made, contents, failed
        if issuers != self.issuers:
            self.issuers = issuers

    def _parsed(self, name: str, body: bytes) -> tuple[bytes, dict[str, Any]]:
        before = self._read.get(name)
        return before if before is not None and before[0] == body else (body, json.loads(body))

    def _content(self, name: str, body: bytes, *, again: bool) -> _Secret:
        """
        Return what a secret holds.

        What can't be read again keeps its content, but only that of this very
        secret: whoever has put another in its place does not want the old one
        to be believed any longer.
        """
        before = self._contents.get((name, body))
        if before is not None and not again:
            return before
        assert self._resolver is not None, "issuers with secrets are left out without"
        try:
            if not body:
                raise SecretError(f"secret {name} does not exist")
            content = self._resolver.resolve(name, json.loads(body)["value"])
        except SecretError as error:
            return _Secret(None if before is None else before.content, str(error))
        return _Secret(without_line_end(content), None)

    def _make(
        self,
        fields: Mapping[str, Any],
        body: bytes,
        secret: _Secret | None,
        headers: Mapping[str, str],
    ) -> _Made:
        published = self._published.get(fields["id"])
        if published is not None and published.source != key_source(fields):
            published = None
        before = self._made.get(fields["id"])
        of = body, None if secret is None else secret.content, published, headers
        if before is not None and before.of == of:
            return before
        keys, why = _keys(fields, secret, published)
        transform = JwtTransform(headers, fields["headers"])
        if transform.left_out and why is None:
            why = f"its header {transform.left_out[0]} is one of the setting identity_headers"
        return _Made(of, Issuer(fields, keys, transform), why)


def _keys(
    fields: Mapping[str, Any], secret: _Secret | None, published: Published | None
) -> tuple[KeySet, str | None]:
    """Return the keys of an issuer, and why they are not what is configured."""
    if secret is not None:
        return _shared_key(fields, secret)
    document = fields["keys"]
    if document is None:
        if published is None:
            return _NONE, NO_KEYS_YET
        document = published.document
    try:
        keys = read_key_set(document, fields["algorithms"])
    except KeyRefusedError as error:
        return _NONE, f"its key set {error}"
    return keys, None if len(keys) else "it has published no key that can be used"


def _shared_key(fields: Mapping[str, Any], secret: _Secret) -> tuple[KeySet, str | None]:
    if secret.content is None:
        return _NONE, secret.why
    try:
        return KeySet((hmac_key(secret.content, fields["algorithms"]),)), None
    except KeyRefusedError as error:
        return _NONE, f"secret {fields['key_secret']} {error}"


def without_line_end(content: bytes) -> bytes:
    """Return the text that a file holds without the end of its line; other bytes as they are."""
    text = content.rstrip(b"\r\n")
    is_text = text.isascii() and text.decode("latin-1").isprintable()
    return text if is_text else content
