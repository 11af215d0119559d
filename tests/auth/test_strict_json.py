"""JSON from outside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.auth.strict_json import StrictJSONError, loads

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@given(JSON)
def test_what_json_writes_is_read(value: Any) -> None:
    """As long as it has no NUL."""
    text = json.dumps(value).encode()
    if b"\\u0000" not in text:
        assert loads(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 2}',
        b'[{"b": {"a": 1, "a": 1}}]',
        b"[" * 33 + b"]" * 33,
        b'"\\u0000"',
        b"\0",
        b"NaN",
        b"[-Infinity]",
        b'"\xff"',
        b"",
        b"{",
        b"1" * 5000,
        b'{"a" 1}',
    ],
)
def test_what_readers_disagree_about_is_refused(text: bytes) -> None:
    """Duplicates, depth, NUL, NaN, bad UTF-8, and what is no JSON at all."""
    with pytest.raises(StrictJSONError):
        loads(text)


def test_brackets_in_strings_are_no_depth() -> None:
    """Only structure counts."""
    text = json.dumps('[{"' * 100 + "\\").encode()
    assert loads(text) == '[{"' * 100 + "\\"


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    """Nothing else is raised."""
    try:
        loads(text)
    except StrictJSONError:
        pass
