"""Whether all who have counted have counted the same, by every dimension that they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tests.integration.numbers import said
from tests.integration.numbers.clients import Clients, Outcome
from tests.integration.numbers.instance import Asked, Ledger
from tests.integration.numbers.said import Line, Metrics, class_of, name_of

LEFT = {"client_gone", "client_gone_in_response", "malformed_request_body", "first_byte_timeout"}
"""How what clients have left ends, as they do it."""

DRAINED = "drain_deadline"
"""Of tunnels, which were asked to end; to both sides that is an end like any other."""

Told = Iterator[str]


def same(what: str, one: Mapping[Any, Any], other: Mapping[Any, Any]) -> Told:
    """Tell what two count differently."""
    for key in sorted(one.keys() | other.keys(), key=str):
        left, right = one.get(key, 0), other.get(key, 0)
        if left != right:
            yield f"{what}, {key}: {left} and {right}"


def metrics_and_log(metrics: Metrics, lines: list[Line]) -> Told:
    """Tell where these differ."""
    no = {"route": "", "service": ""}
    named = [{**one, **{name: one[name] or no[name] for name in no}} for one in lines]

    def of_lines(*key: str, only: str | None = None) -> Counter[Any]:
        rows = [one for one in named if only is None or one[only] is not None]
        return Counter(tuple(one[name] for name in key) for one in rows)

    def sums(name: str) -> Counter[Any]:
        total: Counter[Any] = Counter()
        for one in named:
            total[one["service"],] += one[name]
        return +total

    by_class: Counter[Any] = Counter()
    for (route, service, status), number in of_lines("route", "service", "status").items():
        by_class[route, service, class_of(status)] += number
    yield from same("requests", metrics.by(said.REQUESTS, "route", "service", "status"), by_class)
    errors = of_lines("route", "service", "error", only="error")
    yield from same("errors", metrics.by(said.ERRORS, "route", "service", "error"), errors)
    by_service = of_lines("service")
    for name, field in ((said.SENT, "sent"), (said.RECEIVED, "received")):
        yield from same(f"{name} count", metrics.by(f"{name}_count", "service"), by_service)
        yield from same(f"{name} sum", metrics.by(f"{name}_sum", "service"), sums(field))
    yield from same("durations", metrics.by(f"{said.DURATIONS}_count", "service"), by_service)
    first = of_lines("service", only="first_byte_ms")
    yield from same("first bytes", metrics.by(f"{said.FIRST_BYTES}_count", "service"), first)
    yield from same("totals", _totals_told(metrics), _totals_of(named))


def _totals_told(metrics: Metrics) -> dict[str, float]:
    names = (said.RETRIES, said.LINES, said.DROPPED, said.CONNECTS_FAILED, said.CREDENTIALS)
    return {name: metrics.total(name) for name in names}


def _totals_of(lines: list[Line]) -> dict[str, float]:
    every = [one["error"] for line in lines for one in (*(line["tried"] or ()), line)]
    return {
        said.RETRIES: sum(max(0, one["attempts"] - 1) for one in lines),
        said.LINES: len(lines),
        said.DROPPED: 0,
        said.CONNECTS_FAILED: every.count("connect_failed"),
        said.CREDENTIALS: every.count("invalid_token"),
    }


def log_and_instances(lines: list[Line], ledger: Ledger) -> Told:
    """Tell where these differ: each attempt, and of the last one what it came to."""
    by_name = {name_of(one): one for one in lines if name_of(one) is not None}
    for name in sorted(ledger.asked.keys() - by_name.keys()):
        yield f"{name} was asked of {ledger.asked[name]}, and has no line"
    for name, line in by_name.items():
        asked = ledger.asked.get(name, [])
        wanted = [address for address, _ in said.attempts_of(line)]
        if [one.address for one in asked] != wanted:
            yield f"attempts of {line}: {asked}"
        elif asked:
            yield from (f"{what} of {line}: {asked[-1]}" for what in _differing(line, asked[-1]))


def _differing(line: Line, asked: Asked) -> Iterator[str]:
    if line["method"] != asked.method or line["target"] != asked.target:
        yield "the request"
    if asked.status and line["error"] is None and line["status"] != asked.status:
        yield "the status"
    if line["status"] == 101 and line["error"] is not None:
        # It was asked to end: what either side said after that went no further.
        if line["sent"] > asked.sent or line["received"] < asked.received:
            yield "bytes"
        return
    if asked.is_over and _was_passed_on(line, asked) and line["sent"] != asked.sent:
        yield "bytes sent"
    if asked.is_whole and line["received"] != asked.received:
        yield "bytes received"


def _was_passed_on(line: Line, asked: Asked) -> bool:
    """Whether the client was to have the answer, and stayed, and was not told of a failure instead."""
    return line["status"] == asked.status and line["error"] not in LEFT


def log_and_clients(lines: list[Line], clients: Clients) -> Told:
    """Tell where these differ: each request, and what came of it."""
    numbers = Counter(name_of(one) for one in lines)
    nameless: Counter[Any] = Counter()
    for line in lines:
        name = name_of(line)
        outcome = clients.outcomes.get(name)
        if name is None:
            nameless[line["status"], line["error"]] += 1
        elif outcome is None:
            yield f"nobody has asked {line}"
        else:
            yield from (f"{what} of {line}: {outcome}" for what in _unlike(line, outcome))
    yield from same("no requests", nameless, clients.nameless)
    for name in clients.unserved:
        if numbers[name]:
            yield f"{name} was served, but not answered"
    for name, outcome in clients.outcomes.items():
        if numbers[name] != 1:
            yield f"{name} has {numbers[name]} lines: {outcome}"


def _unlike(line: Line, outcome: Outcome) -> Iterator[str]:
    has_left = outcome.planned.leaves and not outcome.is_whole
    if has_left and (outcome.status or line["error"] not in LEFT):
        if not (outcome.status == line["status"] and line["error"] in LEFT):
            yield "what was left"
    elif not has_left and outcome.status != line["status"]:
        yield "the status"
    if outcome.is_whole and outcome.error != line["error"] and line["error"] != DRAINED:
        yield "the error"
    if outcome.is_whole and outcome.received != line["sent"]:
        yield "bytes sent"
    if not outcome.is_whole and outcome.received > line["sent"]:
        yield "bytes sent"
    if not outcome.is_whole and line["error"] is None:
        yield "the end"
    if outcome.sent is not None and _took_all(line, outcome) and line["received"] != outcome.sent:
        yield "bytes received"


def _took_all(line: Line, outcome: Outcome) -> bool:
    """Whether the gateway has read all of the request: it need not where it knows the answer."""
    return outcome.is_whole and line["error"] is None and outcome.planned.kind != "early"


def differences(metrics: Metrics, lines: list[Line], ledger: Ledger, clients: Clients) -> list[str]:
    """Return all that does not agree."""
    checks: Iterable[Callable[[], Told]] = (
        lambda: metrics_and_log(metrics, lines),
        lambda: log_and_instances(lines, ledger),
        lambda: log_and_clients(lines, clients),
        lambda: same("connections", {"": metrics.total(said.ACCEPTED)}, {"": clients.connections}),
    )
    return [one for check in checks for one in check()]
