"""What messages show of what was written, and what they don't."""

from __future__ import annotations

import pytest

from fengling_gateway.model.entity import Key
from fengling_gateway.model.problems import reference, shown

CANARY = "hunter2hunter2"


@pytest.mark.parametrize(
    "value",
    [
        f"https://user:{CANARY}@host/path",
        f"http://{CANARY}@host",
        f"postgresql://u:pa/ss{CANARY}/x@host:1/d",
        f"-----BEGIN EC PRIVATE KEY-----\n{CANARY}",
        f"{CANARY}\n-----END PRIVATE KEY-----",
    ],
)
def test_passwords_in_urls_and_private_keys_are_not_shown(value: str) -> None:
    """Whatever field they were written into."""
    assert CANARY not in shown(value)


@pytest.mark.parametrize("value", ["https://host/path", "a@b", "http:/x"])
def test_all_else_is_shown(value: str) -> None:
    assert value in shown(value)


@pytest.mark.parametrize(
    "written", ["8f14e45fceea167a5a36dedd4bea2543", "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW-_xyz012345"]
)
def test_a_secret_in_place_of_its_id_is_not_shown(written: str) -> None:
    """Who shares a secret with an issuer writes it there easily."""
    said = reference(Key("secret", written))
    assert written[5:-5] not in said
    assert said.startswith(f"secret {written[:4]}…")


@pytest.mark.parametrize(
    "key",
    [
        Key("secret", "shop"),
        Key("secret", "shared-with-the-payments-issuer-2026"),
        Key("service", "8f14e45fceea167a5a36dedd4bea2543"),
    ],
)
def test_ids_are_shown(key: Key) -> None:
    assert reference(key) == str(key)
