"""What to do about a failure: commands to run, and what they tell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from fengling_gateway.cli.suggested import Asked
from fengling_gateway.cli.target import DEFAULT_MANAGEMENT
from fengling_gateway.records.notable import ANSWERED, SLOW


class Step(NamedTuple):
    """A command, or nothing where there is none, and what it is for."""

    command: str
    purpose: str


_EXPLAIN, _ROUTE, _SERVICE, _INSTANCE = "explain", "route", "service", "instance"
_SAME, _SLOW, _STATUS, _SWITCHES, _TOP = "same", "slow", "status", "switches", "top"
_DOCTOR, _LOG, _SWITCH_OFF, _CLIENT = "doctor", "log", "switch off", "client"
_OVER_CONSOLE: Final = (_SWITCHES, _SWITCH_OFF)

_REACHING: Final = (_INSTANCE, _SAME, _SWITCH_OFF)
_ANSWERING: Final = (_SAME, _LOG, _SWITCH_OFF)
_LATE: Final = (_SLOW, _ROUTE, _INSTANCE)
_POLICY: Final = (_ROUTE, _CLIENT)

_BY_ERROR: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("no_route", "method_refused", "method_unknown"), (_EXPLAIN,)),
    **dict.fromkeys(
        (
            *("address_denied", "unauthorized", "invalid_token", "insufficient_scope", "forbidden"),
            *("tenant_mismatch", "rate_limited", "too_many_at_once", "body_too_large"),
        ),
        _POLICY,
    ),
    **dict.fromkeys(("no_configuration", "keys_unavailable"), (_STATUS, _DOCTOR)),
    "limit_unavailable": (_DOCTOR,),
    "route_switched_off": (_SWITCHES,),
    "no_service": (_ROUTE, _SERVICE),
    "no_instance": (_EXPLAIN, _SERVICE, _SWITCHES),
    **dict.fromkeys(("connection_limit", "overloaded"), (_TOP, _STATUS)),
    **dict.fromkeys(("upstream_busy", "upstream_wait_timeout"), (_SLOW, _INSTANCE, _TOP)),
    **dict.fromkeys(("loop_detected", "address_refused"), (_INSTANCE,)),
    **dict.fromkeys(
        ("resolve_failed", "connect_failed", "tls_failed", "connect_timeout"), _REACHING
    ),
    **dict.fromkeys(("first_byte_timeout", "total_timeout", "request_send_timeout"), _LATE),
    **dict.fromkeys(("client_gone", "client_gone_in_response"), (_SLOW, _CLIENT)),
    "drain_deadline": (_STATUS,),
    "tunnel_withdrawn": (_ROUTE,),
    "internal_error": (_LOG,),
}
"""By its code; of others that are the instance's fault `_ANSWERING`."""


_NOBODY: Final = Asked()


def next_steps(exchange: Mapping[str, Any], asked: Asked = _NOBODY) -> Iterator[Step]:
    """
    Yield what to do next about an exchange, as the management API tells it; the best first.

    Args:
        asked: how the gateway was named that told of it: the commands ask the same.
    """
    for name in _names(exchange):
        step = _step(name, exchange)
        if step is not None:
            yield step._replace(command=_asking(name, step.command, exchange, asked))


def _names(exchange: Mapping[str, Any]) -> tuple[str, ...]:
    if exchange["kind"] == SLOW:
        return (_SLOW, _INSTANCE)
    if exchange["kind"] == ANSWERED:
        return _ANSWERING
    others = _ANSWERING if exchange["fault"] == "instance" else (_CLIENT,)
    return _BY_ERROR.get(exchange["error"], others)


def _step(name: str, exchange: Mapping[str, Any]) -> Step | None:
    """Return a step; None where what it would be about is not known."""
    last = exchange["attempts"][-1] if exchange["attempts"] else {}
    route, service, instance = exchange["route"], exchange["service"], last.get("instance")
    where = _option("--instance", instance) or _option("--service", service)
    steps: dict[str, Step | None] = {
        _EXPLAIN: _explain(exchange),
        _ROUTE: _about(route, f"get routes {route}", "what the route allows and asks for"),
        _SERVICE: _about(service, f"get services {service}", "the service and its policies"),
        _INSTANCE: _about(
            instance, f"get instances {instance}", "where it is, and whether it is healthy"
        ),
        _SAME: _about(where, f"errors --since 1h {where}", "how often it fails, and since when"),
        _SLOW: Step(f"errors --slow --since 1h {where}".rstrip(), "what else is slow there"),
        _STATUS: Step("status", "what this gateway serves, and what it misses"),
        _SWITCHES: Step("switch list", "what somebody has switched off, and why"),
        _TOP: Step("top --routes", "which routes have how much to do"),
        _DOCTOR: Step("doctor", "what is wrong around this gateway"),
        _SWITCH_OFF: _about(
            instance, f"switch off instance/{instance}", "send it nothing, until it is mended"
        ),
        _CLIENT: _about(
            exchange["error"],
            f"errors --since 1h --error {exchange['error']}",
            "which other requests fail of it",
        ),
    }
    if name == _LOG:
        whose = "the gateway's log" if exchange["fault"] == "gateway" else "the instance's own log"
        return Step("", f"{whose} may say more of the request {exchange['request_id']}")
    return steps[name]


def _asking(name: str, command: str, exchange: Mapping[str, Any], asked: Asked) -> str:
    """Return a command with the options that say whom to ask."""
    if not command:
        return command
    if name in _OVER_CONSOLE:
        return asked.of_console(command)
    if name == _DOCTOR and asked.management is None:
        asked = asked._replace(management=_url(exchange))
    return asked.of_gateway(command)


def _url(exchange: Mapping[str, Any]) -> str:
    """Return where the gateway is that was asked: doctor looks at nothing that is not named."""
    gateway = exchange.get("gateway")
    return f"http://{gateway}" if gateway else DEFAULT_MANAGEMENT


def _about(subject: str | None, command: str, purpose: str) -> Step | None:
    return Step(command, purpose) if subject else None


def _option(name: str, value: str | None) -> str:
    return f"{name} {value}" if value else ""


def _explain(exchange: Mapping[str, Any]) -> Step | None:
    if not exchange["target"]:
        return None
    words = ["explain", "-X", exchange["method"]]
    if exchange["route"]:
        words += ["--route", exchange["route"]]
    host = exchange["host"] or "localhost"
    url = f"{exchange['scheme']}://{host}{exchange['target']}"
    purpose = (
        "which route takes it, and why no other" if not exchange["route"] else "who may get it"
    )
    return Step(shlex.join([*words, url]), purpose)
