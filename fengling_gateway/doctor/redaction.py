"""What of settings may be shown to others, and taking secrets out of everything else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from fengling_gateway.schema.dsn import DsnError, parse, without_secrets
from fengling_gateway.syncbus.url import parse_redis_url

if TYPE_CHECKING:
    from fengling_gateway.settings import GatewaySettings

HIDDEN: Final = "***"
_SUB_DELIMS: Final = "!$&'()*+,;="
"""That a password in a URL may have as they are, and need not (RFC 3986, 3.2.1)."""

_MIN_SECRET: Final = 4
"""Shorter ones would be found within words."""


def shown_settings(settings: GatewaySettings) -> dict[str, Any]:
    """Return settings for JSON, without passwords and keys."""
    values: dict[str, Any] = settings.model_dump(mode="json")
    for name in ("url", "listen_url"):
        if values["database"][name] is not None:
            values["database"][name] = without_secrets(values["database"][name])
    if values["redis"]["url"] is not None:
        values["redis"]["url"] = str(parse_redis_url(values["redis"]["url"]))
    tracing = values["tracing"]
    tracing["headers"] = ",".join(f"{name}={HIDDEN}" for name, _ in settings.tracing.header_pairs())
    if tracing["endpoint"] is not None:
        tracing["endpoint"] = without_path(tracing["endpoint"])
    for section, name in (("sync", "keys"), ("management", "token_keys")):
        values[section][name] = [
            f"{one.partition(':')[0]}:{HIDDEN}" for one in values[section][name]
        ]
    return values


def secrets_of(settings: GatewaySettings) -> Iterator[str]:
    """Yield what is secret of settings: keys, and passwords within URLs."""
    for key in (*settings.sync.keys, *settings.management.token_keys, *settings.secrets.keys):
        yield key.partition(":")[2].strip()
    for url in (settings.database.url, settings.database.listen_url):
        if url is not None:
            yield password_of(url)
    for _, value in settings.tracing.header_pairs():
        yield value
        yield value.rpartition(" ")[2]  # after "Bearer"
    if settings.redis.url is not None:
        yield parse_redis_url(settings.redis.url).password or ""


def password_of(dsn: str) -> str:
    try:
        return parse(dsn).get("password", "")
    except DsnError:
        return ""


def without_path(url: str) -> str:
    """Return where an endpoint is, without what may be a token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/{HIDDEN}"


def _written(secret: str) -> set[str]:
    """Return how a secret may stand in a URL, and within a text of JSON."""
    in_urls = {quote(secret, safe=safe) for safe in ("", _SUB_DELIMS)}
    return in_urls | {json.dumps(secret, ensure_ascii=it)[1:-1] for it in (False, True)}


class Redaction:
    """
    Takes secrets out of text, whoever has put them there.

    It is what stands behind everything that shows none anyway.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {one for one in secrets if len(one) >= _MIN_SECRET}
        forms = found.union(*map(_written, found))
        # (The longest first: one may begin with another.)
        self._forms = [one.encode() for one in sorted(forms, key=len, reverse=True)]

    def __call__(self, content: bytes) -> bytes:
        for form in self._forms:
            content = content.replace(form, HIDDEN.encode())
        return content
