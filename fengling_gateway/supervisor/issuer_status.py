"""What there is to say of an issuer's keys: for status, metrics and warnings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from fengling_gateway.auth.issuer import Issuer
from fengling_gateway.auth.issuer_store import NO_KEYS_YET
from fengling_gateway.model.entity import Key
from fengling_gateway.model.issuers import KEY_PLACES
from fengling_gateway.supervisor.published_keys import PublishedKeys

MAX_REFUSED_SHOWN: Final = 20


def issuer_status(
    body: Mapping[str, Any], known: Issuer | None, published: PublishedKeys | None
) -> dict[str, Any]:
    """
    Return it, fit for JSON.

    Args:
        known: who is believed for its tokens here: another with the same, perhaps,
            and nobody where they are verified by a secret.
        published: None where its keys are not.
    """
    is_known = known is not None and known.id == body["id"]
    shown: dict[str, Any] = {
        "issuer": body["issuer"],
        "keys_from": next(place for place in KEY_PLACES if body[place]),
        "keys": len(known.keys) if known is not None and is_known else None,
    }
    if published is None:
        return shown
    return {
        **shown,
        "keys": 0 if published.document is None else len(published.document["keys"]),
        "url": published.where,
        "fetching": published.is_fetching,
        "fetched_at": published.fetched_at,
        "failing_since": published.failing_since,
        "reason": published.reason,
        "why": published.why,
        "fetches": published.fetches,
        "failures": dict(published.failures),
        "refused": dict(islice(published.refused.items(), MAX_REFUSED_SHOWN)),
        "refused_total": len(published.refused),
    }


def issuer_warnings(failed: str | None, published: PublishedKeys | None) -> Iterator[str]:
    """Yield what somebody should see to; `failed`: why it can't be used as it is configured."""
    if failed is not None and failed != NO_KEYS_YET:
        yield failed
    if published is None or published.failing_since is None:
        return
    now = "there are none: its tokens are refused"
    if published.fetched_at is not None:
        now = f"those of {_date(published.fetched_at)} go on"
    since = _date(published.failing_since)
    yield f"its keys can't be fetched since {since}: {published.why}; {now}"


def trust_warnings(names: Iterable[str], bodies: Mapping[Key, bytes]) -> Iterator[dict[str, str]]:
    """Yield which issuers the host's settings believe in vain, by the configuration that is served."""
    for name in names:
        body = bodies.get(Key("issuer", name))
        issuer = None if body is None else json.loads(body)
        if issuer is None:
            why = "there is none"
        elif not issuer["enabled"]:
            why = "it is disabled"
        elif issuer["key_secret"]:
            why = "its tokens are verified by a secret, which is opened in workers only"
        else:
            continue
        said = f"management.issuers names {name}, whose tokens are no good there: {why}"
        yield {"kind": "issuer", "id": name, "message": said}


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
