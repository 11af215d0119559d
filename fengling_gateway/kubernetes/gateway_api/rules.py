"""
A rule of an HTTPRoute, judged and compiled. Pure.

A rule that says something that is not supported is dropped: what of its matches is understood is
answered with status 500. To leave it out altogether would hand its requests to a rule that comes
after it, which may be there for others: what is before a backend is often before it for a reason.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from fengling_gateway.kubernetes.gateway_api.backends import (
    Backends,
    Referred,
    resolve,
)
from fengling_gateway.kubernetes.gateway_api.filters import Filters, compile_filters
from fengling_gateway.kubernetes.gateway_api.http_routes import Rule
from fengling_gateway.kubernetes.gateway_api.matches import (
    CompiledMatch,
    compile_match,
    has_regex,
)
from fengling_gateway.kubernetes.gateway_api.timeouts import compile_timeouts
from fengling_gateway.kubernetes.gateway_api.world import Problem, Row
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Rejected, validate

DROPPED: Final[dict[str, Any]] = {"respond": {"status": 500, "headers": {}, "body": ""}}

_TARGETS: Final[Row] = dict.fromkeys(("service_id", "split", "redirect", "respond"))


class RuleSource(NamedTuple):
    """
    All that the rules of an HTTPRoute are compiled from: what is equal is compiled to the same.

    Attributes:
        created: when the HTTPRoute was, in seconds since 1970.
    """

    created: int
    rules: tuple[Rule, ...]
    referred: Referred


class CompiledRule(NamedTuple):
    """
    A rule.

    Attributes:
        where: like ``rules[0]``.
        matches: None for those that can't be said.
        problems: why it is dropped; empty if it isn't.
    """

    where: str
    matches: tuple[CompiledMatch | None, ...]
    filters: Filters
    timeouts: Row
    backends: Backends
    problems: tuple[Problem, ...]

    @property
    def is_dropped(self) -> bool:
        return bool(self.problems)

    @property
    def depends_on_listener(self) -> bool:
        """Whether its rows differ with the scheme and port of a listener."""
        return not self.is_dropped and self.filters.redirect is not None

    def row(self, match: CompiledMatch, scheme: str, port: int) -> Row:
        """Return the row of a match, without hosts and listeners."""
        wanted = {
            "headers": list(match.headers),
            "query": list(match.query),
            "counts_as": match.counts_as,
        }
        row = {"path": match.path, "methods": list(match.methods), "match": wanted, **_TARGETS}
        if self.is_dropped:
            return {**row, **DROPPED, "policies": {}}
        policies = self.filters.policies(match)
        if self.timeouts:
            policies["timeouts"] = self.timeouts
        redirect = self.filters.redirect
        if redirect is None:
            return {**row, **self.backends.target, "policies": policies}
        return {**row, "redirect": redirect.target(match, scheme, port), "policies": policies}


def compile_rules(source: RuleSource) -> tuple[CompiledRule, ...]:
    after_regexes = any(has_regex(rule.matches) for rule in source.rules)
    return tuple(
        _checked(_compile(source, rule, f"rules[{at}]", after_regexes=after_regexes))
        for at, rule in enumerate(source.rules)
    )


def _compile(source: RuleSource, rule: Rule, where: str, *, after_regexes: bool) -> CompiledRule:
    problems: list[Problem] = []
    matches = tuple(
        compile_match(
            match,
            f"{where}.matches[{at}]",
            created=source.created,
            after_regexes=after_regexes,
            problems=problems,
        )
        for at, match in enumerate(rule.matches)
    )
    filters = compile_filters(rule.filters, matches, where, problems)
    timeouts = compile_timeouts(rule, where, problems)
    problems += _unsupported(rule, where)
    backends = resolve(rule, where, source.referred)
    return CompiledRule(where, matches, filters, timeouts, backends, tuple(problems))


def _unsupported(rule: Rule, where: str) -> list[Problem]:
    places = [f"{where}.{name}" for name in rule.others]
    places += [
        f"{where}.backendRefs[{at}].filters"
        for at, one in enumerate(rule.backends)
        if one.has_filters
    ]
    found = [Problem("UnsupportedValue", f"{place}: is not supported") for place in places]
    if rule.backends and any(one.type == "RequestRedirect" for one in rule.filters):
        found.append(
            Problem("IncompatibleFilters", f"{where}: both RequestRedirect and backendRefs")
        )
    return found


def _checked(rule: CompiledRule) -> CompiledRule:
    """
    Return the rule with everything in it that gateways would refuse.

    Names of headers, paths, regular expressions: what these may be the configuration knows best.
    """
    problems = list(rule.problems)
    matches = []
    for at, match in enumerate(rule.matches):
        said = [] if match is None else _refused(rule.row(match, "http", 80))
        problems += [
            Problem("UnsupportedValue", f"{rule.where}.matches[{at}]: {one}") for one in said
        ]
        if match is not None and said and _refused({**rule.row(match, "http", 80), **_BARE}):
            match = None
        matches.append(match)
    return rule._replace(matches=tuple(matches), problems=tuple(dict.fromkeys(problems)))


_BARE: Final[Row] = {**_TARGETS, **DROPPED, "policies": {}}


def _refused(row: Row) -> list[str]:
    key = Key("route", "route")
    judged = validate(key, row)
    problems = judged.problems if isinstance(judged, Rejected) else ()
    return [str(one).removeprefix(f"{key}: ") for one in problems]
