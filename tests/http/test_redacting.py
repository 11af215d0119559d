"""Values of query parameters that nobody is to read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.http.redacting import (
    MAX_PAIRS,
    names_to_redact,
    redacted_query,
    without_credentials,
)

NAMES = names_to_redact(["token", "X-Amz-Signature"])


@pytest.mark.parametrize(
    ("query", "redacted"),
    [
        (b"", b""),
        (b"a=1&b=2", b"a=1&b=2"),
        (b"a=1&token=secret&b=2", b"a=1&token=REDACTED&b=2"),
        (b"TOKEN=secret", b"TOKEN=REDACTED"),
        (b"x-amz-signature=abc", b"x-amz-signature=REDACTED"),
        (b"t%6fken=secret", b"t%6fken=REDACTED"),
        (b"+token=secret", b"+token=REDACTED"),
        (b"a=1;token=secret;b", b"a=1;token=REDACTED;b"),
        (b"token=a=b", b"token=REDACTED"),
        (b"token=&token", b"token=&token"),
        (b"tokens=1", b"tokens=1"),
    ],
)
def test_value_is_taken_out(query: bytes, redacted: bytes) -> None:
    """Of the parameters that are named, however they are written; all else stays as it was."""
    assert redacted_query(query, NAMES) == redacted


def test_query_of_very_many_parameters_is_taken_out_whole() -> None:
    """However they are told apart: who sends them is not to have us look at each."""
    assert redacted_query(b"a=1&" * 300 + b"a;" * 300, NAMES) == b"REDACTED"
    assert redacted_query(b"&" * (MAX_PAIRS - 1), NAMES) == b"&" * (MAX_PAIRS - 1)


@given(st.binary(max_size=60))
def test_query_without_such_names_stays(query: bytes) -> None:
    """Byte by byte, whatever it is."""
    assert redacted_query(query, names_to_redact([])) == query
    assert redacted_query(query, names_to_redact(["none-that-chance-makes"])) == query


JWT = b".".join((b"eyJhbGciOiJIUzI1NiJ9", b"eyJzdWIiOiJhIn0", b"c2lnbmF0dXJl"))
KEY = b"fgk_shop-1_" + b"x" * 43


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (b"/" + JWT, b"/REDACTED"),
        (b"/a/" + JWT + b"/b?c=1", b"/a/REDACTED/b?c=1"),
        (b"/a?unheard-of=" + JWT + b"&b", b"/a?unheard-of=REDACTED&b"),
        (b"/a;k=" + KEY, b"/a;k=REDACTED"),
        (b"/" + JWT + JWT + b".x.y", b"/REDACTED"),
        (b"/eyJhbGciOiJIUzI1NiJ9", b"/eyJhbGciOiJIUzI1NiJ9"),
        (b"/fgk_short", b"/fgk_short"),
    ],
)
def test_what_is_a_credential_by_its_form_is_taken_out(target: bytes, told: bytes) -> None:
    """Wherever it is; what only begins like one stays."""
    assert without_credentials(target) == told
