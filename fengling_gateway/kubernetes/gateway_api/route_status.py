"""The status of an HTTPRoute: one part for each of its parents that is ours. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from fengling_gateway.kubernetes.gateway_api.attachment import Attachment
from fengling_gateway.kubernetes.gateway_api.conditions import (
    ACCEPTED,
    PARTIALLY_INVALID,
    RESOLVED_REFS,
    Condition,
    condition,
    sentences,
)
from fengling_gateway.kubernetes.gateway_api.rules import CompiledRule
from fengling_gateway.kubernetes.gateway_api.world import Problem, Row


def is_invalid(rules: Sequence[CompiledRule]) -> bool:
    """Whether nothing of a route can be served, so that it is not accepted anywhere."""
    return bool(rules) and all(rule.is_dropped for rule in rules)


def route_status(
    attachments: Sequence[Attachment],
    rules: Sequence[CompiledRule],
    left_out: Sequence[str],
    generation: int,
    controller: str,
) -> Row:
    """
    Return the status of a route.

    Args:
        left_out: what is to be said of matches that another route has.
    """
    return {
        "parents": [
            {
                "parentRef": dict(one.parent.written),
                "controllerName": controller,
                "conditions": _conditions(one, rules, left_out, generation),
            }
            for one in attachments
        ]
    }


def _conditions(
    attachment: Attachment, rules: Sequence[CompiledRule], left_out: Sequence[str], generation: int
) -> list[Condition]:
    accepted, is_accepted = _acceptance(attachment, rules, left_out)
    unresolved = [problem for rule in rules for problem in rule.backends.unresolved]
    found = [
        condition(ACCEPTED, *accepted, generation, is_true=is_accepted),
        condition(RESOLVED_REFS, *_resolution(unresolved), generation, is_true=not unresolved),
    ]
    dropped = [rule for rule in rules if rule.is_dropped]
    if is_accepted and dropped:
        said = sentences([problem.message for rule in dropped for problem in rule.problems])
        names = ", ".join(rule.where for rule in dropped)
        message = f"Dropped Rule(s) {names}, answered with status 500: {said}"
        found.append(condition(PARTIALLY_INVALID, "UnsupportedValue", message, generation))
    return found


def _acceptance(
    attachment: Attachment, rules: Sequence[CompiledRule], left_out: Sequence[str]
) -> tuple[Problem, bool]:
    if not attachment.is_accepted:
        return attachment.outcome, False
    if is_invalid(rules):
        problems = [problem for rule in rules for problem in rule.problems]
        return Problem(problems[0].reason, sentences([one.message for one in problems])), False
    return Problem(ACCEPTED, sentences([attachment.outcome.message, *left_out])), True


def _resolution(unresolved: Sequence[Problem]) -> Problem:
    if not unresolved:
        return Problem(RESOLVED_REFS, "all references are resolved")
    return Problem(unresolved[0].reason, sentences([one.message for one in unresolved]))
