"""What of settings is shown to others."""

from __future__ import annotations

import pytest

from fengling_gateway.doctor.redaction import Redaction, secrets_of, shown_settings
from fengling_gateway.settings import load_settings
from tests.settings.test_settings import ENOUGH

TRACING = {
    "FENGLING_TRACING__ENDPOINT": "https://otel.example/t0ken/v1/traces",
    "FENGLING_TRACING__HEADERS": "authorization=Bearer%20s3cret,x-org=hush",
}


@pytest.mark.parametrize(
    "written",
    ['p"ss\\wörd!', "p%22ss%5Cw%C3%B6rd%21", "p%22ss%5Cw%C3%B6rd!", '{"said": "p\\"ss\\\\wörd!"}'],
)
def test_secret_is_found_however_it_is_written(written: str) -> None:
    """As it is, in URLs with what need not be quoted quoted or not, and in JSON."""
    said = Redaction(['p"ss\\wörd!'])(written.encode())
    assert said in (b"***", b'{"said": "***"}')


def test_headers_of_traces_are_not_shown() -> None:
    """Nor the path that they go to, which may be a token; that there are any is."""
    shown = shown_settings(load_settings(None, {**ENOUGH, **TRACING}))["tracing"]
    assert shown["headers"] == "authorization=***,x-org=***"
    assert shown["endpoint"] == "https://otel.example/***"


def test_headers_of_traces_are_taken_out_of_everything() -> None:
    """With or without the word before them."""
    redact = Redaction(secrets_of(load_settings(None, {**ENOUGH, **TRACING})))
    assert redact(b"Bearer s3cret, only s3cret, hush") == b"***, only ***, ***"
