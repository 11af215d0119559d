"""Packs of regexes: many, matched in one pass over a path.

Compiling costs about 8 µs a regex, so a new one makes a small pack, and packs
of like size are merged: adding stays cheap, and the packs to ask stay few.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final

import re2

_ANYTHING: Final = "(?s).*"
"""
Added to every pack, to notice when RE2 gives up: a set whose automaton outgrows
its memory answers "no match" like any other, but then this one is missing too.
"""

PACK_LIMIT: Final = 2048
"""Regexes in one pack: about 15 ms to compile."""

SMALL_PACK: Final = 32
"""Up to this many, a pack is compiled anew rather than given a sibling."""

_MEMORY: Final = 16 << 20
"""
Bytes RE2 may use for one pack. 2048 regexes of the usual kind compile in a
tenth of it; the rest is room for what it remembers of paths seen.
"""


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _MEMORY
    return options


_OPTIONS: Final = _options()


def check_regex(pattern: str) -> None:
    """
    Refuse what cannot be matched.

    Raises:
        ValueError: `pattern` is no regex of RE2, with RE2's reason.
    """
    try:
        re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else b""
        raise ValueError(reason.decode() if isinstance(reason, bytes) else reason) from error


class Pack:
    """
    Distinct regexes, compiled together. Immutable.

    Raises:
        MemoryError: RE2 finds them too large together.
    """

    __slots__ = ("_compiled", "_indexes", "_singly", "patterns")

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self.patterns = patterns
        self._indexes = {pattern: index for index, pattern in enumerate(patterns)}
        self._singly: list[Any] = []
        self._compiled = re2.Set.FullMatchSet(_OPTIONS)
        for pattern in patterns:
            self._compiled.Add(pattern)
        self._compiled.Add(_ANYTHING)
        try:
            self._compiled.Compile()
        except re2.error:
            raise MemoryError from None

    def __len__(self) -> int:
        return len(self.patterns)

    def __contains__(self, pattern: str) -> bool:
        return pattern in self._indexes

    def matching(self, path: bytes) -> list[str]:
        """Return the regexes that match the whole path."""
        found = self._compiled.Match(path)
        if found is None or len(self.patterns) not in found:
            return self._matching_singly(path)
        return [self.patterns[index] for index in found if index < len(self.patterns)]

    def _matching_singly(self, path: bytes) -> list[str]:
        if not self._singly:
            self._singly = [re2.compile(pattern, _OPTIONS) for pattern in self.patterns]
        return [
            pattern
            for pattern, compiled in zip(self.patterns, self._singly, strict=True)
            if compiled.fullmatch(path) is not None
        ]


def _make_packs(patterns: tuple[str, ...]) -> list[Pack]:
    try:
        return [Pack(patterns)]
    except MemoryError:
        half = len(patterns) // 2
        if not half:
            raise
        return _make_packs(patterns[:half]) + _make_packs(patterns[half:])


def add_to_packs(packs: list[Pack], patterns: tuple[str, ...], wanted: Container[str]) -> None:
    """Add regexes to packs, merging what is of like size and dropping what is not wanted."""
    while packs:
        size = len(packs[-1])
        if size > max(SMALL_PACK, len(patterns)) or size + len(patterns) > PACK_LIMIT:
            break
        kept = tuple(pattern for pattern in packs.pop().patterns if pattern in wanted)
        patterns = kept + patterns
    packs += _make_packs(patterns)
