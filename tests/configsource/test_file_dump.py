"""Values written as YAML, and read again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from fengling_gateway.configsource.file_dump import write_yaml
from fengling_gateway.configsource.file_yaml import read_yaml
from tests.cli.configurations import values


@given(values)
def test_what_is_written_is_what_is_read(value: Any) -> None:
    """Texts, names and numbers, down to the sign of zero."""
    again, _ = read_yaml(write_yaml({"a": value}).encode())
    assert json.dumps(again) == json.dumps({"a": value})


@pytest.mark.parametrize("text", ["08", "1e5", "0o17", "yes", "~", "<<", "2030-01-01"])
def test_text_that_looks_like_something_else_is_quoted(text: str) -> None:
    """For readers of YAML 1.2, and for those of 1.1."""
    assert write_yaml([text, {text: 1}]) == f"- '{text}'\n- '{text}': 1\n"


@pytest.mark.parametrize(
    ("text", "written"),
    [("a\x85b", r'"a\Nb"'), ("a\u2028b", r'"a\Lb"'), ("\ufeffa", r'"\uFEFFa"'), ("風鈴", "風鈴")],
)
def test_what_cannot_be_seen_is_escaped(text: str, written: str) -> None:
    """Other languages stay readable."""
    assert write_yaml({"a": text}) == f"a: {written}\n"


def test_nothing_is_an_alias() -> None:
    """What is shared is written twice."""
    shared = {"b": 1}
    assert write_yaml([shared, shared]) == "- b: 1\n- b: 1\n"
