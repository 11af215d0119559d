"""How people sign in to a console: settings that are part of the console's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from fengling_gateway.model.issuers import claim, is_web_address
from fengling_gateway.model.names import canonical_host
from fengling_gateway.model.problems import Problem, Report
from fengling_gateway.settings.environment import variable
from fengling_gateway.settings.section import Section
from fengling_gateway.settings.values import Network, Seconds, refuse, shown_unless_secret

ROLES: Final = ("admin", "editor", "viewer")
"""From the one that may most."""

_MAX_WORD: Final = 200


def _origin(value: Any) -> Any:
    """A URL of nothing but a scheme, a host and perhaps a port; a slash at its end is left out."""
    text = value.rstrip("/").lower() if isinstance(value, str) else ""
    scheme, _, rest = text.partition("://")
    host, colon, port = rest.rpartition(":") if not rest.endswith("]") else (rest, "", "")
    name = host if colon else rest
    is_port = not colon or (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536)
    if scheme not in {"http", "https"} or canonical_host(name) != name or not is_port:
        raise refuse(
            "bad_url",
            "must be like https://console.example or http://10.0.0.5:8002, without a path, not "
            + shown_unless_secret(value),
        )
    return text


def _issuer(value: Any) -> Any:
    if not isinstance(value, str) or not is_web_address(value):
        raise refuse(
            "bad_url",
            "must be https://host/path, or http:// for what runs on this very host, not "
            + shown_unless_secret(value),
        )
    return value


def _claim(value: Any) -> Any:
    report = Report()
    claim(value, report)
    for _, code, message in report.found:
        raise refuse(code, message)
    return value


Text = Annotated[str, Field(min_length=1, max_length=_MAX_WORD, pattern=r"^[^\x00-\x1f\x7f]+$")]
Claim = Annotated[str, BeforeValidator(_claim)]
Groups = Annotated[list[Text], Field(max_length=100)]


class SignInSettings(Section):
    """How people sign in, and for how long."""

    external_urls: list[Annotated[str, BeforeValidator(_origin)]] = Field(
        default=[],
        max_length=20,
        description="Where browsers reach this console, the usual one first: what they change "
        "must come from a page there. Unset: from the very host and port that they ask; so name "
        "them behind a proxy that asks by another name, and for OIDC.",
        examples=[["https://console.example"]],
    )
    secure_cookies: bool | None = Field(
        default=None,
        description="Whether cookies are sent over HTTPS only. Unset: if external_urls has "
        "nothing but https://.",
        examples=[True],
    )
    trusted_proxies: list[Network] = Field(
        default=[],
        max_length=1000,
        description="Proxies in front of this console whose X-Forwarded-For is believed: for the "
        "audit trail, and for the limits of attempts, which otherwise are those of all who come "
        "through one proxy together.",
        examples=[["10.0.0.0/8"]],
    )
    session_lifetime: Annotated[Seconds, Field(ge=60, le=7 * 86400)] = Field(
        default=12 * 3600.0, description="After that everybody has to sign in again."
    )
    session_idle: Annotated[Seconds, Field(ge=60, le=7 * 86400)] = Field(
        default=2 * 3600.0,
        description="Without a request of somebody's, a session ends so soon. Pages that are left "
        "open do not count.",
    )

    def is_secure(self) -> bool:
        """Whether browsers come by HTTPS, as far as is known."""
        if self.secure_cookies is not None:
            return self.secure_cookies
        urls = self.external_urls
        return bool(urls) and all(one.startswith("https://") for one in urls)


class OidcSettings(Section):
    """One provider of OpenID Connect with which people sign in. Without one there are links only."""

    issuer: Annotated[str, BeforeValidator(_issuer)] | None = Field(
        default=None,
        description="The provider, as it calls itself. It describes itself below that address "
        "(/.well-known/openid-configuration).",
        examples=["https://id.example/realms/corp"],
    )
    name: Text = Field(default="single sign-on", description="What the page calls it.")
    client_id: Text | None = Field(
        default=None,
        description="What the provider calls this console. It sends people back to the first of "
        "external_urls, /login/oidc/callback.",
        examples=["fengling-console"],
    )
    client_secret: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        repr=False,
        description="That the provider has given with it, if any. Better kept out of this file: "
        "client_secret_file, or the environment.",
        examples=["<of the provider>"],
    )
    scopes: list[Text] = Field(
        default=["openid", "profile", "email"],
        max_length=20,
        description="What the provider is asked for. Some need one more to tell groups.",
    )
    subject_claim: Claim = Field(
        default="sub",
        description="The claim by which history and the audit trail name somebody. email reads "
        "better, where the provider lets nobody choose his own.",
    )
    groups_claim: Claim = Field(
        default="groups",
        description="The claim with somebody's groups or roles: a name, or a JSON pointer.",
        examples=["/realm_access/roles"],
    )
    admin_groups: Groups = Field(
        default=[],
        description="Who is in one of these may do everything.",
        examples=[["gw-admins"]],
    )
    editor_groups: Groups = Field(
        default=[], description="These may write the configuration.", examples=[["gw-editors"]]
    )
    viewer_groups: Groups = Field(
        default=[], description="And these may look.", examples=[["staff"]]
    )
    default_role: Literal["none", "viewer", "editor", "admin"] = Field(
        default="none", description="What all others may, whom the provider lets in."
    )
    tenants_claim: Claim | None = Field(
        default=None,
        description="The claim that names the tenants to which somebody is limited; * is all. "
        "Who has none is refused then. Unset: nobody is limited.",
        examples=["tenants"],
    )

    @model_validator(mode="after")
    def _is_whole(self) -> OidcSettings:
        if self.issuer is None:
            return self
        if self.client_id is None:
            raise refuse("required", "must have a client_id beside issuer")
        if "openid" not in self.scopes:
            raise refuse("required", "must have openid among its scopes")
        groups = self.admin_groups or self.editor_groups or self.viewer_groups
        if not groups and self.default_role == "none":
            raise refuse(
                "required",
                "lets nobody in: name admin_groups, editor_groups or viewer_groups, or a "
                "default_role",
            )
        return self

    def role_of(self, groups: frozenset[str]) -> str | None:
        """Return the most that groups allow; None: not even to look."""
        named = (self.admin_groups, self.editor_groups, self.viewer_groups)
        for role, its_groups in zip(ROLES, named, strict=True):
            if self.default_role == role or groups.intersection(its_groups):
                return role
        return None


def signin_contradictions(raw: dict[str, Any]) -> Iterator[Problem]:
    """Return what is missing because of something else."""
    oidc, signin = (raw.get(name) for name in ("oidc", "signin"))
    has_provider = isinstance(oidc, dict) and oidc.get("issuer")
    has_urls = isinstance(signin, dict) and signin.get("external_urls")
    if has_provider and not has_urls:
        path = "signin.external_urls"
        why = "with [oidc] issuer: it sends people back there"
        yield Problem(path, "required", f"is required {why}; set it or {variable(path)}")
