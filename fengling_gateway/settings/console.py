"""
The settings of a console's host.

What it shares with gateways (the database, Redis, keys) has the same keys and
variables, so that one environment serves both.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field

from fengling_gateway.model.problems import Problem
from fengling_gateway.settings.contradictions import shared_keys
from fengling_gateway.settings.environment import variable
from fengling_gateway.settings.kubernetes import KubernetesSettings
from fengling_gateway.settings.model import (
    DatabaseSettings,
    DnsSettings,
    IssuersSettings,
    LogSettings,
    ProgramSettings,
    SecretsSettings,
    UpstreamSettings,
)
from fengling_gateway.settings.section import Section
from fengling_gateway.settings.signin import (
    OidcSettings,
    SignInSettings,
    signin_contradictions,
)
from fengling_gateway.settings.values import (
    Address,
    DatabaseUrl,
    Keys,
    Name,
    RedisUrl,
    Seconds,
    Word,
    split_address,
)


class HttpSettings(Section):
    """Where the console is: its API and its pages."""

    address: Address = Field(default="127.0.0.1:8002", description="host:port of its listener.")
    gateway_url: str | None = Field(
        default=None,
        pattern=r"^https?://[A-Za-z0-9.\[\]:-]{1,255}$",
        description='Where "Try it" sends its requests. Unset: to a listener of a gateway that '
        "runs now, as gateways tell it over Redis.",
        examples=["http://127.0.0.1:8000"],
    )


class EditorDatabaseSettings(DatabaseSettings):
    """PostgreSQL, where the configuration is written."""

    url: DatabaseUrl | None = Field(
        default=None,
        repr=False,
        description="Where the configuration is. The role needs what fengling_console may. Over a "
        "network add ?sslmode=verify-full&sslrootcert=<file or system>.",
        examples=["postgresql://console:secret@127.0.0.1:5432/fengling"],
    )
    connections: int = Field(
        default=8, ge=2, le=64, description="Open at most, beside those that listen and probe."
    )


class FleetRedisSettings(Section):
    """Redis or Valkey, over which gateways tell what they serve. Optional, and much is missing without."""

    url: RedisUrl | None = Field(
        default=None,
        repr=False,
        description="That of the gateways. Needs [sync] keys. With rediss:// the server is "
        "verified; ?ssl_ca_certs=, ssl_certfile= and ssl_keyfile= name files for that.",
        examples=["redis://127.0.0.1:6379/0"],
    )


class FleetKeySettings(Section):
    """What messages on Redis are signed with."""

    keys: Keys = Field(
        default=[],
        repr=False,
        description='Those of the gateways: "id:secret". The first one signs, all verify. Better '
        "kept out of this file: keys_file, or the environment.",
        examples=[["2026-11:<openssl rand -hex 32>"]],
    )


class TokenSettings(Section):
    """Whose tokens are good at the console's API."""

    token_keys: Keys = Field(
        default=[],
        repr=False,
        description="The keys of tokens, those of the gateways' management API. Sessions of the "
        "pages are signed with them, too, so that all consoles know each other's.",
        examples=[["2026-11:<openssl rand -hex 32>"]],
    )
    issuers: list[Name] = Field(
        default=[],
        max_length=20,
        description="Ids of issuers in the configuration whose tokens are good here, too, by the "
        "scopes gateway:read, gateway:write and gateway:admin.",
        examples=[["corp"]],
    )
    audience: Word = Field(
        default="fengling-management",
        repr=False,
        description="What their tokens must say in aud, besides what routes ask for.",
    )


class ProbeSettings(Section):
    """Probing of instances, by one console at a time."""

    enabled: bool = Field(
        default=True, description="Whether this console may become the one that probes."
    )
    concurrency: int = Field(default=200, ge=1, le=5000, description="Probes under way at a time.")
    shutdown: Seconds = Field(
        default=5.0, description="How long verdicts may still be written when it stops."
    )


class ProbeSecretsSettings(SecretsSettings):
    """What secrets of the configuration are encrypted with: here, the keys of certificates that probes show to instances."""


class ConsoleSettings(ProgramSettings):
    """All settings of a console."""

    cluster: Name = Field(
        default="default", description="That of the gateways which it is the console of."
    )
    name: Name = Field(
        default_factory=socket.gethostname,
        validate_default=True,
        description="This console's name, as history and status show it. Unset: the host's name.",
        examples=["console-1"],
    )
    http: HttpSettings = HttpSettings()
    database: EditorDatabaseSettings = EditorDatabaseSettings()
    redis: FleetRedisSettings = FleetRedisSettings()
    sync: FleetKeySettings = FleetKeySettings()
    management: TokenSettings = TokenSettings()
    signin: SignInSettings = SignInSettings()
    oidc: OidcSettings = OidcSettings()
    probes: ProbeSettings = ProbeSettings()
    secrets: ProbeSecretsSettings = ProbeSecretsSettings()
    dns: DnsSettings = DnsSettings()
    issuers: IssuersSettings = IssuersSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    log: LogSettings = LogSettings()

    def host_and_port(self) -> tuple[str, int]:
        return split_address(self.http.address)

    def relative_to(self, file: Path | None) -> Self:
        """Return the same with paths that are relative to the settings' file."""
        if file is None:
            return self
        directory = file.absolute().parent
        ours, cluster = self.issuers, self.kubernetes
        if ours.ca_file is not None:
            ours = ours.model_copy(update={"ca_file": directory / ours.ca_file})
        files = {
            name: directory / path
            for name, path in (("token_file", cluster.token_file), ("ca_file", cluster.ca_file))
            if path is not None
        }
        cluster = cluster.model_copy(update=files)
        return self.model_copy(update={"issuers": ours, "kubernetes": cluster})


_NEEDED: Final = (
    ("database", "url", None, "a console writes to a database"),
    ("management", "token_keys", None, "there is no default"),
    ("sync", "keys", ("redis", "url"), "with [redis] url: messages on Redis are signed"),
)


def console_contradictions(raw: dict[str, Any]) -> list[Problem]:
    """Return what is missing because of something else, and what can't be true together."""
    return [*_missing(raw), *signin_contradictions(raw), *shared_keys(raw)]


def _missing(raw: dict[str, Any]) -> Iterator[Problem]:
    for section, key, only_with, why in _NEEDED:
        if (only_with is None or _value(raw, *only_with)) and not _value(raw, section, key):
            path = f"{section}.{key}"
            yield Problem(path, "required", f"is required ({why}); set it or {variable(path)}")


def _value(raw: dict[str, Any], section: str, key: str) -> Any:
    values = raw.get(section)
    return values.get(key) if isinstance(values, dict) else None
