"""What of settings is shown to others."""

from __future__ import annotations

from fengling_gateway.doctor.redaction import Redaction, secrets_of, shown_settings
from fengling_gateway.settings import load_settings
from tests.settings.test_settings import ENOUGH

TRACING = {
    "FENGLING_TRACING__ENDPOINT": "https://otel.example/t0ken/v1/traces",
    "FENGLING_TRACING__HEADERS": "authorization=Bearer%20s3cret,x-org=hush",
}


def test_headers_of_traces_are_not_shown() -> None:
    """Nor the path that they go to, which may be a token; that there are any is."""
    shown = shown_settings(load_settings(None, {**ENOUGH, **TRACING}))["tracing"]
    assert shown["headers"] == "authorization=***,x-org=***"
    assert shown["endpoint"] == "https://otel.example/***"


def test_headers_of_traces_are_taken_out_of_everything() -> None:
    """With or without the word before them."""
    redact = Redaction(secrets_of(load_settings(None, {**ENOUGH, **TRACING})))
    assert redact(b"Bearer s3cret, only s3cret, hush") == b"***, only ***, ***"
