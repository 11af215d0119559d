"""What callers are known by, and what must not be seen: issuers, keys, tokens, secrets, certificates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fengling_gateway.console.entity_parts import (
    AnyObject,
    Claim,
    Instant,
    Name,
    Part,
    Pem,
    Slug,
    Token,
    Word,
    about,
    at_most,
    lasting,
)

Algorithm = Literal[
    "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
    "PS256", "PS384", "PS512", "RS256", "RS384", "RS512",
]  # fmt: skip
Words = Annotated[list[Word], at_most(200)]


class Secret(Part):
    """A reference to what nobody is to see, or that, encrypted."""

    name: Name | None = about("What people call it.", "")
    value: Annotated[str, Field(max_length=44_000, examples=["file:/etc/shop.key"])] = about(
        "`file:/path`, `env:NAME` or what `fenglingctl secret set` writes. It is never shown; "
        "where an entity is replaced without it, it stays.",
        json_schema_extra={"writeOnly": True},
    )


class Certificate(Part):
    """A chain, the names that it is offered for, and its key."""

    name: Name | None = about("What people call it.", "")
    enabled: bool = True
    hosts: Annotated[list[Annotated[str, at_most(256)]], at_most(500)] = about(
        "Names that clients ask for; none: those that the certificate itself is for.", []
    )
    chain: Pem = about("PEM, the certificate of the host first.")
    key_secret: Slug = about("The secret that is its private key.")


class IssuerClaims(Part):
    """Which claim says what, by its name or a JSON pointer."""

    name: Claim = "name"
    roles: Claim = "roles"
    scopes: Claim = "scope"
    subject: Claim = "sub"
    tenant: Claim = "tenant"


class Issuer(Part):
    """Whose tokens are believed; its keys come from jwks_url, discovery, keys or key_secret."""

    name: Name | None = about("What people call it.", "")
    enabled: bool = about("false: its tokens prove nothing.", True)
    issuer: Annotated[
        str, Field(pattern=r"^[\x21-\x7e]{1,500}$", examples=["https://id.example/"])
    ] = about("What its tokens say in `iss`, to the letter.")
    audiences: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]],
        Field(min_length=1, max_length=50),
    ] = about("Of which a token names one in `aud`.")
    algorithms: Annotated[list[Algorithm], Field(min_length=1, max_length=13)] = about(
        "What its tokens are signed with.", ["ES256", "EdDSA", "PS256", "RS256"]
    )
    jwks_url: Annotated[str, at_most(500)] | None = about("Where its keys are published.", None)
    discovery: bool = about("Whether its own description says where its keys are.", False)
    keys: AnyObject | None = about("Its public keys themselves (RFC 7517).", None)
    key_secret: Slug | None = about("The secret that it shares with us.", None)
    refresh: Annotated[str | float, lasting(30.0, 86400.0)] = about(
        "How often published keys are fetched again.", 600.0
    )
    leeway: Annotated[str | float, lasting(0.0, 30.0)] = about("By which clocks may differ.", 30.0)
    max_lifetime: Annotated[str | float, lasting(1.0, 366 * 86400.0)] | None = about(
        "Tokens that are made to live longer are refused.", None
    )
    required_claims: Annotated[list[Claim], at_most(50)] = about("Besides `exp`.", [])
    claims: IssuerClaims = about("Which claim says what.", {})
    headers: Annotated[dict[Token, Claim], at_most(50)] = about(
        "More headers for instances, and the claim of each.", {}
    )
    tenant_id: Slug | None = about("That all its tokens are of; null: they say so.", None)


class Client(Part):
    """A program with API keys, and what it may do."""

    name: Name | None = about("What people call it.", "")
    enabled: bool = about("false: none of its keys lets in.", True)
    tenant_id: Slug | None = about("Whose it is.", None)
    roles: Words = about("What it may do.", [])
    scopes: Words = about("What it may do.", [])


class ApiKey(Part):
    """A key of a client: its digest, and until when it lets in."""

    name: Name | None = about("What people call it.", "")
    enabled: bool = about("false: revoked.", True)
    client_id: Slug = about("Whose it is.")
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] = about(
        "SHA-256 of the whole key. It is never shown; where an entity is replaced without it, "
        "it stays.",
        json_schema_extra={"writeOnly": True},
    )
    expires_at: Instant | None = about("From when it is refused; null: never.", None)


Scopes = Annotated[
    list[Literal["gateway:read", "gateway:write", "gateway:admin"]],
    Field(min_length=1, max_length=3),
]


class ManagementToken(Part):
    """What is known of a token for the management API: it can only take from what that allows."""

    name: Name | None = about("What people call it.", "")
    subject: Annotated[str, at_most(100)] | None = about("Whose it is.", None)
    scopes: Scopes | None = about("What is left of its scopes; null: all of them.", None)
    tenants: Annotated[list[Slug], Field(min_length=1, max_length=50)] | None = about(
        "Whose entities it is for; null: as the token says.", None
    )
    created_by: Annotated[str, at_most(200)] | None = about("Who made it.", None)
    expires_at: Instant | None = about("When it ends.", None)
    revoked_at: Instant | None = about(
        "Refused, at once, whatever the time. Once it is set it stays.", None
    )
