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


def make_options(max_mem: int = _MEMORY) -> Any:
    """Return RE2's options; `max_mem` in bytes for one pack."""
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = max_mem
    return options


_OPTIONS: Final = make_options()


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

    `compiled` is None where RE2 finds them too large together.
    """

    __slots__ = ("_compiled", "_indexes", "_singly", "patterns")

    def __init__(self, patterns: tuple[str, ...], compiled: Any) -> None:
        self.patterns = patterns
        self._indexes = {pattern: index for index, pattern in enumerate(patterns)}
        self._compiled = compiled
        self._singly: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self.patterns)

    def __contains__(self, pattern: str) -> bool:
        return pattern in self._indexes

    def matching(self, path: bytes) -> list[str]:
        """Return the regexes that match the whole path."""
        found = None if self._compiled is None else self._compiled.Match(path)
        if found is None or len(self.patterns) not in found:
            return self._matching_singly(path)
        return [self.patterns[index] for index in found if index < len(self.patterns)]

    def _matching_singly(self, path: bytes) -> list[str]:
        if not self._singly:
            self._singly = {one: re2.compile(one, _OPTIONS) for one in self.patterns}
        return [one for one, compiled in self._singly.items() if compiled.fullmatch(path)]


def _make_packs(patterns: tuple[str, ...]) -> list[Pack]:
    compiled = _compile(patterns)
    half = len(patterns) // 2
    if compiled is None and half:
        return _make_packs(patterns[:half]) + _make_packs(patterns[half:])
    return [Pack(patterns, compiled)]


def _compile(patterns: tuple[str, ...]) -> Any:
    compiled = re2.Set.FullMatchSet(_OPTIONS)
    for pattern in (*patterns, _ANYTHING):
        compiled.Add(pattern)
    try:
        compiled.Compile()
    except re2.error:
        return None
    return compiled


def add_to_packs(packs: list[Pack], patterns: tuple[str, ...], wanted: Container[str]) -> None:
    """Add regexes to packs, merging what is of like size and dropping what is not wanted."""
    while packs:
        size = len(packs[-1])
        if size > max(SMALL_PACK, len(patterns)) or size + len(patterns) > PACK_LIMIT:
            break
        kept = tuple(pattern for pattern in packs.pop().patterns if pattern in wanted)
        patterns = kept + patterns
    packs += _make_packs(patterns)
