"""
Every kind of entity as the API takes it and shows it: one description, four forms.

``wanted`` is what replaces an entity, ``created`` what makes one, ``patch`` changes one, and
``shown`` is what is shown of it. See `fengling_gateway.console.forms` for what is made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, WithJsonSchema
from pydantic.fields import FieldInfo

from fengling_gateway.console import entity_callers as callers
from fengling_gateway.console import entity_routing as routing
from fengling_gateway.console.entity_derivation import (
    Fields,
    combined,
    fields_of,
    optional,
    patch_form,
    shown_form,
)
from fengling_gateway.console.entity_parts import AnyObject, Part, Slug, about

Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


def _told(description: str) -> Any:
    """A field that is shown, and may be sent back."""

    def read_only(schema: dict[str, Any]) -> None:
        schema.pop("default", None)
        schema["readOnly"] = True

    return about(description, None, json_schema_extra=read_only)


class _Owned(Part):
    """What every entity has that can be written, and is no part of what gateways serve."""

    labels: AnyObject = about("For people and scripts: any object.", {})
    managed_by: Annotated[str, Field(min_length=1, max_length=200)] | None = about(
        "Whose it is: others change it only if they say so.", None
    )


class _Kept(Part):
    """What the database keeps of every entity."""

    version: int = _told("Changes with every change of the entity; its ETag.")
    created_at: Moment = _told("When it was made.")
    updated_at: Moment = _told("When it was changed.")


class _OfSecret(Part):
    reference: str | None = _told("Its value, if that says where it is.")
    key: str | None = _told("The id of the key with which it is encrypted.")


class _OfApiKey(Part):
    fingerprint: str = _told("The first digits of its digest.")


class _OfCertificate(Part):
    names: list[str] = _told("What it is offered for; none where it can't be read.")
    not_before: Moment | None = _told("From when on it is good.")
    not_after: Moment | None = _told("Until when it is good.")
    fingerprint: str | None = _told("Its SHA-256, as browsers show it.")


class Rejected(Part):
    """Why the newest version of an entity is not in effect, and what is served in its place."""

    serving: str = about("The version before it, or nothing.")
    problems: list[dict[str, str]] = about("What is wrong with it.")


class _OfAll(Part):
    rejected: Rejected = _told("Only of what is not in effect as it is here.")


class _OfRoute(_OfAll):
    access: Literal["public", "optional", "required"] = _told("Who may ask it, in effect.")


class _OfInstance(_OfAll):
    health: AnyObject = _told("What probes have found.")


BOOKKEEPING: Final = tuple(_Kept.model_fields)
"""What the database keeps of every entity; who sends it back is not asked why."""

OWNED: Final = tuple(_Owned.model_fields)
"""What can be written of every entity beside what is validated."""

_OF_KINDS: Final[dict[str, type[Part]]] = {
    "secret": _OfSecret,
    "api_key": _OfApiKey,
    "certificate": _OfCertificate,
}

_FOUND_OUT: Final[dict[str, type[Part]]] = {"route": _OfRoute, "instance": _OfInstance}


def _found_out(kind: str) -> dict[str, Any]:
    """Return what the configuration as a whole makes of an entity; it may be missing."""
    return fields_of(_FOUND_OUT.get(kind, _OfAll))


DERIVED: Final = {kind: tuple(model.model_fields) for kind, model in _OF_KINDS.items()}
"""By kind, what is shown beside what can be written."""

WRITE_ONLY: Final = {"secret": "value", "api_key": "digest"}
"""By kind, what can be written and is never shown."""


@dataclass(frozen=True, slots=True)
class EntityForms:
    """The models of one kind of entity, or of one setting."""

    wanted: type[BaseModel]
    created: type[BaseModel]
    patch: type[BaseModel]
    shown: type[BaseModel]


_MODELS: Final[dict[str, type[Part]]] = {
    "tenant": routing.Tenant,
    "secret": callers.Secret,
    "certificate": callers.Certificate,
    "issuer": callers.Issuer,
    "client": callers.Client,
    "api_key": callers.ApiKey,
    "management_token": callers.ManagementToken,
    "service": routing.Service,
    "instance": routing.Instance,
    "route": routing.Route,
}

_SETTINGS: Final[dict[str, type[Part]]] = {
    "defaults": routing.Defaults,
    "hold": routing.HoldSetting,
    "identity_headers": routing.IdentityHeadersSetting,
    "trusted_proxies": routing.TrustedProxies,
}


def _forms(kind: str, model: type[Part]) -> EntityForms:
    name, doc = model.__name__, model.__doc__
    fields = fields_of(model)
    if kind == "setting":
        identity = {"key": fields.pop("key")}
    else:
        identity = {"id": (Slug, about("Its id, as in the path."))}
    derived = fields_of(_OF_KINDS[kind]) if kind in _OF_KINDS else {}
    rest = {**fields_of(_Owned), **derived, **fields_of(_Kept)}
    found_out = _found_out(kind)
    hidden = WRITE_ONLY.get(kind)
    wanted = combined(
        f"{name}Form",
        doc,
        {**_may_miss(identity), **_may_miss(fields, hidden), **rest, **found_out},
    )
    # (Who makes an instance may leave it to us to find an id.)
    new_identity = _may_miss(identity) if kind == "instance" else identity
    seen = {one: field for one, field in fields.items() if one != hidden}
    return EntityForms(
        wanted=wanted,
        created=combined(f"New{name}", doc, {**new_identity, **fields, **rest, **found_out}),
        patch=patch_form(wanted),
        shown=shown_form(name, doc, {**identity, **seen, **rest}, found_out),
    )


def _may_miss(fields: Fields, *names: str | None) -> dict[str, Any]:
    """Return fields of which some, or all if none is named, may be missing."""
    return {
        name: (kind, optional(_info(field)) if not names or name in names else field)
        for name, (kind, field) in fields.items()
    }


def _info(field: Any) -> FieldInfo:
    assert isinstance(field, FieldInfo)
    return field


FORMS: Final[Mapping[str, EntityForms]] = {
    kind: _forms(kind, model) for kind, model in _MODELS.items()
}
"""By kind, but for settings."""

SETTING_FORMS: Final[Mapping[str, EntityForms]] = {
    key: _forms("setting", model) for key, model in _SETTINGS.items()
}
"""By the setting's key."""


def forms_of(kind: str, entity_id: str) -> EntityForms | None:
    """Return the models of an entity; None for what is of no known kind, or no known setting."""
    return SETTING_FORMS.get(entity_id) if kind == "setting" else FORMS.get(kind)
