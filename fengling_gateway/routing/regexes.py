"""Regex routes of one host pattern, all asked in one pass over the path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import re2

from fengling_gateway.routing.leaf import Leaf, with_route, without_route
from fengling_gateway.routing.route import Route

_ANYTHING: Final = "(?s).*"
"""
Added to every set, to notice when RE2 gives up: a set whose automaton outgrows
its memory answers "no match" like any other, but then this one is missing too.
"""


def regex_options() -> Any:
    """Options under which regexes are both validated and matched."""
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    return options


def check_regex(pattern: str) -> None:
    """
    Refuse what is no regex of RE2.

    Raises:
        ValueError: `pattern` does not compile; the message is RE2's.
    """
    try:
        re2.compile(pattern, regex_options())
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(text) from error


class RegexSet:
    """Distinct regexes, compiled together. Immutable."""

    __slots__ = ("_compiled", "patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        self._compiled = re2.Set.FullMatchSet(regex_options())
        for pattern in self.patterns:
            self._compiled.Add(pattern)
        self._compiled.Add(_ANYTHING)
        self._compiled.Compile()

    def matching(self, path: bytes) -> list[str]:
        """Return the regexes that match the whole path."""
        found = self._compiled.Match(path)
        if found is None or len(self.patterns) not in found:
            return self._matching_one_by_one(path)
        return [self.patterns[index] for index in found if index < len(self.patterns)]

    def _matching_one_by_one(self, path: bytes) -> list[str]:
        options = regex_options()
        return [
            pattern
            for pattern in self.patterns
            if re2.compile(pattern, options).fullmatch(path) is not None
        ]


class RegexIndex:
    """
    The regex routes of one host pattern; changed under an edit like a path tree.

    After a change, `settle` has to be called before `leaf`.
    """

    __slots__ = ("_leaves", "_set", "owner")

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self._leaves: dict[str, Leaf] = {}
        self._set: RegexSet | None = None

    def owned_by(self, edit: object) -> RegexIndex:
        """Return this index if the edit made it, else a copy that it may change."""
        if self.owner is edit:
            return self
        twin = RegexIndex(edit)
        twin._leaves = self._leaves.copy()
        twin._set = self._set
        return twin

    def insert(self, pattern: str, route: Route) -> None:
        if pattern not in self._leaves:
            self._set = None
        self._leaves[pattern] = with_route(self._leaves.get(pattern), route)

    def remove(self, pattern: str, route: Route) -> None:
        leaf = without_route(self._leaves.get(pattern), route)
        if leaf is None:
            del self._leaves[pattern]
            self._set = None
        else:
            self._leaves[pattern] = leaf

    def settle(self) -> None:
        """Compile what has changed."""
        if self._set is None:
            self._set = RegexSet(self._leaves)

    def __bool__(self) -> bool:
        return bool(self._leaves)

    def routes(self) -> Iterator[Route]:
        for leaf in self._leaves.values():
            yield from leaf

    def leaf(self, path: bytes) -> Leaf | None:
        """Return the routes whose regexes match the path, in the order they are tried."""
        assert self._set is not None
        found = self._set.matching(path)
        if not found:
            return None
        if len(found) == 1:
            return self._leaves[found[0]]
        return tuple(
            sorted(
                (route for pattern in found for route in self._leaves[pattern]),
                key=lambda route: route.leaf_key,
            )
        )
