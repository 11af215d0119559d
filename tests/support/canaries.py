"""Secrets planted for a test, and a search for them in every form that they might have somewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from urllib.parse import quote


class Canaries:
    """
    Secrets by what they are.

    What is looked for is the middle half of each: a message that shows the
    beginning or the end of one, or cuts it short, has shown it.
    """

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}

    def plant(self, name: str, secret: str) -> str:
        """Remember a secret, and return it."""
        self._secrets[name] = secret
        return secret

    @property
    def names(self) -> list[str]:
        return list(self._secrets)

    def needles(self, name: str) -> set[bytes]:
        """Return what to look for: as it is, and as it is in URLs, JSON, base64 and hexadecimal."""
        return set().union(*map(_forms, _kernels(self._secrets[name])))

    def found(self, outputs: Mapping[str, bytes]) -> list[str]:
        """Say which secret is in which output, and where there."""
        return [
            f"{name} in {where}: {_around(content, needle)}"
            for name in self._secrets
            for needle in self.needles(name)
            for where, content in outputs.items()
            if needle in content
        ]


def _kernels(secret: str) -> Iterable[str]:
    if "-----BEGIN" in secret:
        # A line of its own is what a dump of it would show.
        lines = [line for line in secret.splitlines() if "-----" not in line]
        secret = lines[len(lines) // 2]
    length = len(secret)
    return [secret[length // 4 : length - length // 4]]


def _forms(kernel: str) -> set[bytes]:
    raw = kernel.encode()
    forms = {raw, quote(kernel, safe="").encode(), raw.hex().encode(), repr(kernel)[1:-1].encode()}
    for shift in range(3):  # base64 depends on where it begins in a longer text
        encoded = base64.b64encode(b"\0" * shift + raw)
        forms.add(encoded[4 : len(encoded) - 4])
    try:
        decoded = bytes.fromhex(kernel)
    except ValueError:
        return forms
    return forms | {decoded, repr(decoded)[2:-1].encode(), base64.b64encode(decoded)[:-4]}


def _around(content: bytes, needle: bytes) -> str:
    at = content.index(needle)
    return repr(content[max(0, at - 120) : at + 40])
