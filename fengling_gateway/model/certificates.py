"""
What certificates, secrets and the TLS of services hold.

A certificate's key is a secret, and a secret is here what it is in the
database: a reference, or encrypted. No problem that is found with one quotes
it: who has put plain text there has made one mistake already.

Whether a certificate is still valid, and whether its key fits it, is not
judged: the first depends on the day and the second on the host, and what is
served is a function of the configuration alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from fengling_gateway.model import pem
from fengling_gateway.model.checks import (
    Check,
    Field,
    Record,
    boolean,
    list_of,
    optional,
    wrong_type,
)
from fengling_gateway.model.entity import Key
from fengling_gateway.model.names import display_name, host, is_slug, slug
from fengling_gateway.model.problems import Report, shown

MAX_NAMES: Final = 500
MAX_PEM: Final = 50_000
"""Characters of a chain or of a service's authorities; the entity as a whole has a limit, too."""

MAX_VALUE: Final = 44_000
"""Characters of a secret's value: 32 KiB, encrypted."""

DERIVED: Final = ("names", "not_before", "not_after", "fingerprint")
"""
Fields of a certificate's canonical body that nobody writes.

``names`` are those that it is offered for: ``hosts``, or else its own.
"""

FORMS: Final = {
    # (Without control characters, as any database takes them, and what UTF-8 can't say.)
    "file": re.compile(r"file:(/[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,4000})"),
    "env": re.compile(r"env:((?!FENGLING_)[A-Za-z_][A-Za-z0-9_]{0,199})"),
    "encrypted": re.compile(
        r"aes256gcm:([A-Za-z0-9][A-Za-z0-9._-]{0,63}):"
        r"((?:[A-Za-z0-9+/]{4}){9,}(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==))"
    ),
}
"""The forms that a secret's value may have; their groups are path, variable, key id and content."""


def is_sealed(value: Any) -> bool:
    """Whether a secret's value is encrypted, and no reference."""
    return type(value) is str and FORMS["encrypted"].fullmatch(value) is not None


def is_reference(value: Any) -> bool:
    """Whether a secret's value says where it is, which anybody may know."""
    return type(value) is str and any(FORMS[one].fullmatch(value) for one in ("file", "env"))


def secret_value(value: Any, report: Report) -> Any:
    """Judge a secret's value; nothing of it is ever shown."""
    if type(value) is not str:
        report.add("wrong_type", "must be text (what is there is not shown)")
    elif len(value) > MAX_VALUE:
        report.add("too_long", f"must have at most {MAX_VALUE} characters, not {len(value)}")
    elif value.startswith("env:FENGLING_"):
        report.add(
            "bad_secret",
            "must not be a variable that begins with FENGLING_: workers don't have the settings "
            "of the gateway",
        )
    elif not any(form.fullmatch(value) for form in FORMS.values()):
        report.add(
            "bad_secret",
            "must be file:/path, env:NAME or what `fenglingctl secret set` writes; plain text is "
            "refused (what is there is not shown)",
        )
    return value


def _secret_id(value: Any, report: Report) -> Any:
    """Judge the name of a secret; a key that stands in its place is not shown either."""
    if type(value) is str and not is_slug(value):
        report.add(
            "bad_id",
            "must be the id of a secret: 1 to 100 letters, digits, dots, underscores or dashes "
            "(what is there is not shown)",
        )
        return value
    return slug(value, report)


def sni_name(value: Any, report: Report) -> Any:
    """Judge a name that clients may ask for by SNI: never an address (RFC 6066, section 3)."""
    before = len(report.found)
    name = host(value, report)
    if len(report.found) == before and (name[0] == "[" or name[-1].isdigit()):
        report.add("bad_host", f"must be a name: no client asks for an address, like {shown(name)}")
    return name


def _exact_name(value: Any, report: Report) -> Any:
    before = len(report.found)
    name = sni_name(value, report)
    if len(report.found) == before and name.startswith("*."):
        report.add("bad_host", f"must be one name, not {shown(name)}")
    return name


def _not_too_long(text: str, report: Report) -> str:
    """Judge what is kept, which has more lines perhaps than what was given."""
    if len(text) > MAX_PEM:
        report.add(
            "too_long", f"must have at most {MAX_PEM} characters in lines of 64, not {len(text)}"
        )
    return text


def _pem(*, is_chain: bool) -> Check:
    def check(value: Any, report: Report) -> Any:
        if type(value) is not str:
            wrong_type(value, "text (PEM)", report)
        elif len(value) > MAX_PEM:
            report.add("too_long", f"must have at most {MAX_PEM} characters, not {len(value)}")
        else:
            try:
                certificates = pem.read_certificates(value)
                if is_chain:
                    pem.require_order(certificates)
                    pem.describe_leaf(certificates[0])
                return _not_too_long(pem.write_certificates(certificates), report)
            except pem.PemError as error:
                report.add("bad_certificate", str(error))
        return None

    return check


SECRET: Final = Record(
    Field("name", display_name, ""),
    Field("value", secret_value),
    open_ended=True,
)

CERTIFICATE: Final = Record(
    Field("name", display_name, ""),
    Field("enabled", boolean, True),
    Field("hosts", list_of(sni_name, MAX_NAMES, as_set=True), []),
    Field("chain", _pem(is_chain=True)),
    Field("key_secret", _secret_id),
    open_ended=True,
)

service_tls: Final = optional(
    Record(
        Field("verify", boolean, True),
        Field("ca", optional(_pem(is_chain=False)), None),
        Field("client_certificate", optional(slug), None),
        Field("sni", optional(_exact_name), None),
    )
)
"""How to speak TLS to instances; null is the same as all defaults."""


def finish_certificate(body: dict[str, Any], row: dict[str, Any], report: Report) -> None:
    """Judge whether hosts and certificate fit, and add what the certificate says of itself."""
    if report.found:
        return
    leaf = pem.describe_leaf(pem.read_certificates(body["chain"])[0])
    start = len(report.found)
    for index, name in enumerate(row.get("hosts") or ()):
        if not pem.is_for(leaf.names, _canonical(name)):
            report.add("conflict", f"must be a name of the certificate, which is for {_few(leaf)}")
            report.locate(start, index)
            start = report.locate(start, "hosts")
    body["names"] = body["hosts"] or list(leaf.names)
    body["not_before"], body["not_after"] = leaf.not_before, leaf.not_after
    body["fingerprint"] = leaf.fingerprint


def _canonical(name: Any) -> str:
    canonical: str = host(name, Report())
    return canonical


def _few(leaf: pem.Leaf) -> str:
    names = ", ".join(leaf.names[:5]) or "no name at all"
    return names if len(leaf.names) <= 5 else f"{names} and {len(leaf.names) - 5} more"


def certificate_refs(body: Mapping[str, Any]) -> frozenset[Key]:
    name = body.get("key_secret")
    return frozenset() if name is None else frozenset((Key("secret", name),))


def service_refs(body: Mapping[str, Any]) -> frozenset[Key]:
    name = (body.get("tls") or {}).get("client_certificate")
    return frozenset((Key("certificate", name),)) if type(name) is str else frozenset()


def names_taken(certificates: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """
    Return for each name the certificates that are to be offered for it, by id.

    Args:
        certificates: canonical bodies, as objects.

    Returns:
        Names with ids in order. The first one is offered: of several certificates for
        the same name it is the one whose id comes first, whenever they were made.
        Those that are not enabled are in no list.
    """
    found: dict[str, list[str]] = {}
    for body in sorted(certificates, key=lambda one: str(one["id"])):
        if body["enabled"]:
            for name in body["names"]:
                found.setdefault(name, []).append(body["id"])
    return found
