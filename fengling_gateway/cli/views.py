"""What the management API answers, as tables."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import click
from rich.text import Text

from fengling_gateway.cli.output import ago, cell, print_facts, print_table
from fengling_gateway.model.times import moment
from fengling_gateway.observability.plain import plain

Column = tuple[str, Callable[[Mapping[str, Any]], Any]]


def _field(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda entity: entity.get(name)


def _moment_of(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda entity: None if entity.get(name) is None else moment(entity[name])


def _keys_from(issuer: Mapping[str, Any]) -> str | None:
    """Say where the keys of an issuer are."""
    if issuer.get("discovery"):
        return "discovery"
    if issuer.get("key_secret"):
        return f"secret {issuer['key_secret']}"
    if issuer.get("keys"):
        return f"{len(issuer['keys'].get('keys', ()))} of its own"
    return issuer.get("jwks_url")


def _target(route: Mapping[str, Any]) -> str:
    if route.get("service_id"):
        return f"service {route['service_id']}"
    if route.get("split"):
        return ", ".join(f"{name} {weight}" for name, weight in route["split"].items())
    if route.get("redirect"):
        return f"{route['redirect'].get('status')} {route['redirect'].get('location')}"
    return f"answer {(route.get('respond') or {}).get('status')}"


COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "routes": (
        ("ID", _field("id")),
        ("PRIORITY", _field("priority")),
        ("HOSTS", _field("hosts")),
        ("PATH", _field("path")),
        ("METHODS", _field("methods")),
        ("TARGET", _target),
        ("ACCESS", _field("access")),
        ("TENANT", _field("tenant_id")),
        ("ENABLED", _field("enabled")),
    ),
    "services": (
        ("ID", _field("id")),
        ("NAME", _field("name")),
        ("BALANCING", _field("balancing")),
        ("POLICIES", lambda service: sorted(service.get("policies") or {})),
        ("ENABLED", _field("enabled")),
    ),
    "instances": (
        ("ID", _field("id")),
        ("SERVICE", _field("service_id")),
        ("ADDRESS", _field("address")),
        ("WEIGHT", _field("weight")),
        ("STATE", _field("state")),
        ("HEALTH", lambda instance: (instance.get("health") or {}).get("health")),
        ("REFUSED", lambda instance: "yes" if instance.get("refused") else None),
        ("TENANT", _field("tenant_id")),
        ("ZONE", _field("zone")),
    ),
    "tenants": (
        ("ID", _field("id")),
        ("NAME", _field("name")),
        ("HOSTS", _field("hosts")),
        ("PATH", _field("path_prefix")),
        ("ENABLED", _field("enabled")),
    ),
    "certificates": (
        ("ID", _field("id")),
        ("NAMES", _field("names")),
        ("VALID UNTIL", _moment_of("not_after")),
        ("KEY", _field("key_secret")),
        ("ENABLED", _field("enabled")),
    ),
    "secrets": (
        ("ID", _field("id")),
        ("NAME", _field("name")),
        ("REFERENCE", _field("reference")),
        ("ENCRYPTED WITH", _field("key")),
    ),
    "issuers": (
        ("ID", _field("id")),
        ("ISSUER", _field("issuer")),
        ("AUDIENCES", _field("audiences")),
        ("KEYS", _keys_from),
        ("TENANT", _field("tenant_id")),
        ("ENABLED", _field("enabled")),
    ),
    "clients": (
        ("ID", _field("id")),
        ("NAME", _field("name")),
        ("TENANT", _field("tenant_id")),
        ("ROLES", _field("roles")),
        ("SCOPES", _field("scopes")),
        ("ENABLED", _field("enabled")),
    ),
    "api_keys": (
        ("ID", _field("id")),
        ("NAME", _field("name")),
        ("CLIENT", _field("client_id")),
        ("FINGERPRINT", _field("fingerprint")),
        ("EXPIRES", _moment_of("expires_at")),
        ("ENABLED", _field("enabled")),
    ),
    "settings": (("KEY", _field("key")), ("VALUE", _field("value"))),
    "audit": (
        ("AT", _moment_of("at")),
        ("WHO", lambda record: (record.get("who") or {}).get("subject")),
        ("FROM", _field("address")),
        ("WHAT", _field("what")),
        ("OUTCOME", _field("outcome")),
        ("COUNT", _field("count")),
    ),
    "tokens": (
        ("ID", _field("id")),
        ("NAME", _field("name")),
        ("SUBJECT", _field("subject")),
        ("SCOPES", _field("scopes")),
        ("TENANTS", lambda token: token.get("tenants") or "all"),
        ("EXPIRES", _moment_of("expires_at")),
        ("REVOKED", _moment_of("revoked_at")),
    ),
}

_REJECTED: Final = 20
"""Rejected entities that the status names: more than a screen is read in another way."""

_CANDIDATES: Final = 20
"""Routes with the host and path of a request that are named."""

_INSTANCES: Final = 10
"""Instances of a service that are named in a line."""

_WORKERS: Final[tuple[Column, ...]] = (
    ("NODE", _field("node")),
    ("WORKER", _field("worker")),
    ("PID", _field("pid")),
    ("STATE", lambda worker: "gone" if worker.get("live") is False else worker.get("state")),
    ("REVISION", _field("revision")),
    ("APPLIED", lambda worker: ago(worker.get("applied_at"), time.time())),
    ("LAG", lambda worker: None if worker.get("lag_ms") is None else f"{worker['lag_ms']:.1f} ms"),
)


def print_entities(what: str, items: Iterable[Mapping[str, Any]]) -> None:
    if what == "rejected":
        _print_rejected(items)
        return
    empty = "nothing has been asked for" if what == "audit" else f"no {what.replace('_', ' ')}"
    _print(COLUMNS[what], items, empty=empty)


def print_workers(workers: Iterable[Mapping[str, Any]]) -> None:
    _print(_WORKERS, workers, empty="no workers")


def _print(columns: tuple[Column, ...], items: Iterable[Mapping[str, Any]], *, empty: str) -> None:
    rows = ([value(item) for _, value in columns] for item in items)
    print_table([name for name, _ in columns], rows, empty=empty)


def print_entity(entity: Mapping[str, Any]) -> None:
    """Print the fields of one entity."""
    print_facts(entity.items())


def print_status(status: Mapping[str, Any]) -> None:
    """Print how a node is; what needs somebody's attention stands out."""
    position = status.get("position") or {}
    source = status.get("source") or {}
    redis = status.get("redis") or {}
    print_facts(
        (
            ("node", f"{status.get('node')} (cluster {status.get('cluster')})"),
            ("version", status.get("version")),
            ("state", status.get("state")),
            ("revision", position.get("revision")),
            ("served from", status.get("served_from")),
            ("source", _source(source)),
            ("redis", _redis(redis)),
            ("entities", _counts(status.get("entities") or {})),
            ("rejected", _warning(_counts(_rejected_by_kind(status)))),
            ("held", _warning(_held(status.get("held") or {}))),
            *_beside(status),
            *(("warning", _warning(one["message"])) for one in status.get("warnings") or ()),
        )
    )
    click.echo()
    print_workers({"node": status.get("node"), **worker} for worker in status.get("workers", ()))
    rejected = status.get("rejected") or []
    if rejected:
        click.echo()
        _print_rejected(rejected[:_REJECTED])
    more = status.get("rejected_total", len(rejected)) - len(rejected[:_REJECTED])
    if more > 0:
        click.echo(f"\nand {more} more rejected: fenglingctl get rejected")


def _beside(status: Mapping[str, Any]) -> Iterator[tuple[str, Text]]:
    """Say what else decides about requests, where it does."""
    health = status.get("health") or {}
    if health.get("state") == "stale":
        age = health.get("age_s")
        since = "since it began" if age is None else f"for {age:.0f} s"
        yield "health", _warning(f"stale: nobody has probed {since}; unhealthy counts as unknown")
    if pinned := status.get("pinned"):
        why = f": {pinned['comment']}" if pinned.get("comment") else ""
        yield "pinned", _warning(plain(f"{pinned['message']}, by {pinned['by']}{why}"))
    if status.get("pin_problem"):
        yield "pin", _warning(plain(f"{status['pin_problem']}"))
    if status.get("drained"):
        yield "drained", _warning("says that it is not ready")
    for one in status.get("switched_off") or ():
        why = f": {one['comment']}" if one.get("comment") else ""
        yield "switched off", _warning(plain(f"{one['kind']} {one['id']}, by {one['by']}{why}"))


def _print_rejected(rejected: Iterable[Mapping[str, Any]]) -> None:
    rows = [
        (f"{one['kind']} {one['id']}", one.get("serving"), _why(one, problem))
        for one in rejected
        for problem in one["problems"]
    ]
    print_table(("REJECTED", "SERVING", "WHY"), rows, empty="nothing is rejected")


def _rejected_by_kind(status: Mapping[str, Any]) -> Mapping[str, int]:
    """Return how many are rejected; counted here where a gateway of an older version is asked."""
    counts = status.get("rejected_by_kind")
    return counts or Counter(one["kind"] for one in status.get("rejected") or ())


def _held(held: Mapping[str, Any]) -> str | None:
    """Say what is held, and how it is released."""
    message = str(held.get("message") or "").removeprefix("held: ")
    return f"{message} (to serve it: fenglingctl confirm {held['revision']})" if message else None


def _why(rejected: Mapping[str, Any], problem: Mapping[str, Any]) -> str:
    """Say what is wrong and in which field; the entity has been named."""
    where = str(problem.get("path", "")).removeprefix(f"{rejected['kind']} {rejected['id']}")
    return ": ".join(filter(None, (where.removeprefix(": "), problem["message"])))


def _source(source: Mapping[str, Any]) -> Text:
    if not source.get("connected"):
        return _warning(f"{source.get('kind')}: away ({source.get('last_error')})")
    if source.get("kind") == "file":
        how = "watched"
    else:
        how = "notified of changes" if source.get("listening") else "asked in intervals"
    read_at = source.get("last_read_at")
    when = f", read {moment(read_at)}" if read_at else ""
    return cell(f"{source.get('kind')}: {how}{when}")


def _redis(redis: Mapping[str, Any]) -> Text:
    if redis.get("connected"):
        return cell("connected")
    if redis.get("configured") is False or not redis.get("last_error"):
        return cell("not used" if redis.get("configured") is False else "not connected")
    return _warning(f"away ({redis['last_error']})")


def _counts(entities: Mapping[str, int]) -> str:
    return ", ".join(
        f"{count} {kind.replace('_', ' ')}" + ("" if count == 1 or kind.endswith("health") else "s")
        for kind, count in entities.items()
        if count
    )


def _warning(text: str | None) -> Text:
    return cell(None) if not text else Text(text, style="bold red")


def reload_line(answer: Mapping[str, Any]) -> str:
    """Return one line about a reload."""
    if answer.get("looking"):
        return "the gateway looks"
    revision = (answer.get("position") or {}).get("revision")
    behind = answer.get("behind") or []
    if behind:
        return f"revision {revision} is not served yet by {', '.join(behind)}"
    took = answer.get("took_ms")
    line = f"revision {revision} is served" + (f" ({took:g} ms)" if took is not None else "")
    return f"{line}; {answer['held']}" if answer.get("held") else line


def confirmation_line(answer: Mapping[str, Any]) -> str:
    """Return one line about a confirmation."""
    line = f"revision {answer['confirmed']} is confirmed"
    told = answer.get("told") or []
    if told:
        line += (
            f"; {', '.join(told)}, which held it, {'has' if len(told) == 1 else 'have'} been told"
        )
    elif not answer.get("held"):
        line += ", and served"
    return f"{line}; {answer['held']}" if answer.get("held") else line


def print_explanation(answer: Mapping[str, Any]) -> None:
    """Print which route a request takes, where it goes, and how the first routes were judged."""
    facts = [
        ("tenant", answer.get("tenant")),
        ("route", answer.get("route") or _warning("none: 404")),
    ]
    if answer.get("action"):
        facts.append(("action", _action(answer["action"])))
        facts.append(("access", answer["action"].get("access")))
    print_facts(facts)
    for refused in _refused(answer.get("action") or {})[:_INSTANCES]:
        click.echo(f"instance {refused['instance']} is sent nothing: {refused['reason']}")
    asked = answer.get("asked")
    if asked:
        click.echo(f"\n{asked['route']}: {asked['reason']}")
    click.echo()
    candidates = answer.get("candidates") or []
    shown = [one for at, one in enumerate(candidates) if at < _CANDIDATES or one["chosen"]]
    rows = [
        (Text("✓", style="green") if one["chosen"] else " ", one["route"], one["reason"])
        for one in shown
    ]
    print_table(("", "ROUTE", "WHY"), rows, empty="no route has this host and path")
    more = len(candidates) - len(shown) + answer.get("more_candidates", 0)
    if more:
        click.echo(
            f"\nand {more} more with this host and path, none of which takes the request"
            " (ask for one with --route)"
        )


def _refused(action: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        one
        for service in action.get("services", ())
        for one in (*service.get("refused", ()), *service.get("left_out", ()))
    ]


def _action(action: Mapping[str, Any]) -> str | Text | None:
    if action.get("error"):
        return _warning(action["error"])
    if "services" not in action:
        return action.get("kind")
    services = []
    for service in action["services"]:
        found = service.get("candidates", ())
        instances = ", ".join(one["address"] for one in found[:_INSTANCES])
        more = len(found[_INSTANCES:]) + service.get("more_candidates", 0)
        if more:
            instances += f" and {more} more"
        services.append(f"{service['service']} ({service.get('error') or instances or 'nobody'})")
    return f"{action['kind']} to " + "; ".join(services)
