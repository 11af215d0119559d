"""An exchange that has ended as a document: small, redacted, ready for JSON. Pure."""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.http.headers import value_of
from fengling_gateway.records.ended import Ended
from fengling_gateway.records.fields import document, ms, text
from fengling_gateway.records.notable import waited
from fengling_gateway.records.redaction import Redaction

MAX_TARGET: Final = 1024
"""Characters of a target that are told: of a longer one, its end is of no help to anybody."""

MAX_TEXT: Final = 256
"""Characters of anything else that a client may choose: a host has no more."""

MAX_ATTEMPTS: Final = 8
"""That are told of; of more, the last ones."""

USER_AGENT: Final = b"user-agent"


def to_json(ended: Ended, redaction: Redaction) -> dict[str, Any]:
    """
    Return what is told of an exchange: at most some 6 KiB, and mostly 700 bytes.

    ``at`` is in seconds since the epoch, times that end in ``_ms`` are in milliseconds. What
    is not there is null. ``waited_ms``: until the first byte of the answer. ``attempts`` are as
    in `fields.document`, oldest first. ``asked``: how many there were.
    """
    head, error = ended.head, ended.error
    return {
        "request_id": _short(ended.request_id),
        "at": round(ended.at, 3),
        "duration_ms": ms(ended.seconds),
        "waited_ms": ms(waited(ended)),
        "method": None if head is None else _short(head.method),
        "scheme": _short(ended.scheme),
        "host": None if head is None else _short(head.host_header),
        "target": None if head is None else _short(redaction.target(head.target), MAX_TARGET),
        "protocol": None if head is None else f"HTTP/1.{head.minor}",
        "user_agent": None if head is None else _told(ended, USER_AGENT, redaction),
        "listener": ended.listener,
        "client": ended.client,
        "peer": ended.peer,
        "status": ended.status,
        "error": None if error is None else error.code,
        "route": ended.route or None,
        "service": ended.service or None,
        "tenant": ended.tenant,
        "subject": None if ended.subject is None else _cut(ended.subject, MAX_TEXT),
        "revision": ended.revision,
        "asked": len(ended.attempts),
        "attempts": [document(one) for one in ended.attempts[-MAX_ATTEMPTS:]],
        "received": ended.received,
        "sent": ended.sent,
        "trace_id": text(ended.trace_id),
    }


def _told(ended: Ended, name: bytes, redaction: Redaction) -> str | None:
    assert ended.head is not None, "the caller has looked"
    value = value_of(ended.head.headers, name)
    return None if value is None else _short(redaction.header(name, value))


def _short(raw: bytes | None, most: int = MAX_TEXT) -> str | None:
    written = text(raw)
    return None if written is None else _cut(written, most)


def _cut(written: str, most: int) -> str:
    return written if len(written) <= most else written[: most - 1] + "…"
