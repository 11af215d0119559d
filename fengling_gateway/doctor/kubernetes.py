"""How watching a Kubernetes cluster goes, by what a console says of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fengling_gateway.doctor.finding import Finding, note, ok, wrong

SILENT_SECONDS: Final = 10.0
"""Since the last heartbeat: another console would have taken over within five."""

LONG_SECONDS: Final = 3600.0
"""For how long a service may wait for somebody to decide."""

MANY_WAITING: Final = 5000
"""Entities that wait to be written: that many are five full transactions, more than a second's work."""

SHOWN: Final = 3
"""Of what is many; the rest is a number."""

_RIGHTS: Final = (
    "give the console's ServiceAccount the right to list and watch them"
    " (docs/kubernetes.md#settings-and-rights); nothing has to be restarted"
)
_DATABASE: Final = (
    "see that the console that watches reaches its database (`fenglingctl doctor --database URL`),"
    " and its log"
)


def kubernetes(
    told: Mapping[str, Any], waiting: Sequence[tuple[str, float]] = ()
) -> Iterator[Finding]:
    """
    Yield what there is to say; nothing where no console has to do with a cluster.

    Args:
        told: what a console's API answers to ``GET /kubernetes``.
        waiting: services of which nobody has decided, and for how many seconds.
    """
    if not told.get("enabled"):
        return
    leader = told.get("leader") or {}
    if (silent := _silent(leader)) is not None:
        yield silent
        return
    yield ok("kubernetes.leader", f"{leader.get('holder')} watches (term {leader.get('term')})")
    status, counts = told.get("status") or {}, told.get("counts") or {}
    yield _server(status)
    yield _resources(status.get("resources") or [])
    yield from _gateway_api(status.get("gateway_api"))
    yield from _limits(status.get("gateway_api"))
    yield _writing(status.get("writing") or {})
    yield from _removal((status.get("writing") or {}).get("removal"))
    yield from _telling(status.get("telling"))
    yield _services(counts)
    yield _pending(waiting, counts.get("changed", 0))


def _silent(leader: Mapping[str, Any]) -> Finding | None:
    age = leader.get("heartbeat_age_s")
    if age is not None and age <= SILENT_SECONDS:
        return None
    why = f"; this console can't: {leader['problem']}" if leader.get("problem") else ""
    said = "nobody has ever watched the cluster"
    if age is not None:
        said = f"nobody has watched the cluster for {age:.0f} s: new pods get no requests"
    return wrong(
        "kubernetes.leader",
        f"{said}{why}",
        "see that a console runs with [kubernetes] enabled, that it reaches its database ([database]"
        " listen_url, where there is a pooler), and its log",
    )


def _server(status: Mapping[str, Any]) -> Finding:
    about = "kubernetes.api"
    problem = (status.get("api_server") or {}).get("problem")
    if problem:
        return wrong(
            about,
            f"nothing can be read of the API server: {problem}; what was known is served on",
            "see that the console that watches reaches it ([kubernetes] api_url), that its token is"
            " accepted and may list and watch (docs/kubernetes.md#settings-and-rights), and its log",
        )
    return ok(about, "its API server answers")


def _resources(resources: Sequence[Mapping[str, Any]]) -> Finding:
    about = "kubernetes.resources"
    forbidden = [_named(one) for one in resources if one.get("state") == "forbidden"]
    if forbidden:
        said = f"the console that watches may not read {_some(forbidden)}"
        return wrong(about, f"{said}; what was known of them is served on", _RIGHTS)
    failing = [
        f"{_named(one)}: {one['problem']}"
        for one in resources
        if one.get("problem") and one.get("state") != "absent"
    ]
    if failing:
        return wrong(
            about,
            f"not all can be read: {_some(failing)}; what was known is served on",
            "see that the console that watches reaches the API server, and what it says of an object"
            " that can't be read",
        )
    absent = [
        _named(one)
        for one in resources
        if one.get("state") == "absent" and not one.get("is_optional")
    ]
    if absent:
        return wrong(
            about,
            f"the cluster has no {_some(absent)}: nothing of the Gateway API is followed, nor the"
            " pods of what was served of it",
            "install the custom resource definitions of the Gateway API, or set [kubernetes]"
            " gateway_api to false",
        )
    return ok(about, f"{len(resources)} kinds of objects are followed")


def _gateway_api(side: Mapping[str, Any] | None) -> Iterator[Finding]:
    if side is None:
        return
    about = "kubernetes.gateway_api"
    if side.get("problem"):
        yield wrong(
            about,
            f"not all of the Gateway API can be followed, or told in its statuses: {side['problem']}",
            "where it is a 403, give the console's ServiceAccount the right to update the status"
            " (docs/kubernetes.md#settings-and-rights); else see the log of the console that watches."
            " What was known is served on",
        )
    elif not side.get("is_synced", True):
        yield note(
            about,
            "it is not known yet what follows from the Gateway API; what was served of it is served on",
            "after a start that is so for seconds; else `fenglingctl kubernetes status` says which of"
            " its resources can't be watched",
        )
    else:
        yield ok(about, f"{side.get('routes', 0)} routes follow the Gateway API")


def _limits(side: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Yield whether namespaces are kept apart; nothing where the console that watches does not tell."""
    if side is None or "has_host_limits" not in side:
        return
    about = "kubernetes.limits"
    if side["has_host_limits"]:
        yield ok(about, "namespaces have limits of hosts")
        return
    of_people = "those of routes that people have written included"
    if side.get("priority", 0) < 0:
        of_people = f"but for what routes with a higher priority than {side['priority']} take"
    yield note(
        about,
        f"an HTTPRoute of any namespace may take any host that its Gateway allows, {of_people}",
        "say which namespace may have which hosts: hosts of [kubernetes] in the settings of all"
        ' consoles (docs/kubernetes.md#who-may-take-what); hosts = ["*=*"] says that all may have'
        " any, and ends this note",
    )


def _writing(writing: Mapping[str, Any]) -> Finding:
    about = "kubernetes.writing"
    waiting, refused = writing.get("waiting", 0), writing.get("refused", 0)
    held = writing.get("held")
    if held and writing.get("problem") == held:
        return wrong(
            about,
            f"what follows from the cluster is written, and not served: {held}",
            "`fenglingctl confirm` with the number of the revision that removes so much serves it and"
            " all since; `fenglingctl rollback` with it takes it back",
        )
    if writing.get("problem"):
        more = f"; {waiting} entities wait" if waiting else ""
        said = f"what follows from the cluster can't be written: {writing['problem']}{more}"
        return wrong(about, f"{said}; gateways serve what was before", _DATABASE)
    if waiting > MANY_WAITING:
        return wrong(
            about,
            f"{waiting} entities wait to be written: gateways serve what was before",
            f"after a start that is so for seconds; where it gets no less, {_DATABASE}",
        )
    if refused:
        plural = "y" if refused == 1 else "ies"
        return wrong(
            about,
            f"{refused} entit{plural} can't be written as the cluster wants",
            "`fenglingctl kubernetes list --state problems` and the status of HTTPRoutes say why; it is"
            " tried again by itself, and what was right before is served",
        )
    return ok(about, "what follows from the cluster is written")


def _telling(problem: str | None) -> Iterator[Finding]:
    if problem:
        yield wrong(
            "kubernetes.telling",
            f"nobody is shown what is new in the cluster, or what came of a decision: {problem}",
            _DATABASE,
        )


def _removal(waiting: Mapping[str, Any] | None) -> Iterator[Finding]:
    if waiting is not None:
        yield wrong(
            "kubernetes.removal",
            f"{waiting['routes']} of {waiting['of']} routes are no longer in the cluster, and are kept"
            " until somebody confirms that they go",
            "`fenglingctl kubernetes status` names them. If they are missing by mistake, bring them back"
            f" in the cluster; if not, `fenglingctl kubernetes confirm {waiting['id']}` removes them",
        )


def _services(counts: Mapping[str, int]) -> Finding:
    about, ailing = "kubernetes.services", counts.get("problems", 0)
    if ailing:
        plural = "" if ailing == 1 else "s"
        return wrong(
            about,
            f"{ailing} service{plural} can't be routed to as the cluster describes",
            "`fenglingctl kubernetes list --state problems` says why; what was right before is served",
        )
    return ok(about, f"{counts.get('approved', 0)} services are approved, none has problems")


def _pending(waiting: Sequence[tuple[str, float]], changed: int) -> Finding:
    about = "kubernetes.pending"
    long = [name for name, seconds in waiting if seconds > LONG_SECONDS]
    if long:
        return note(
            about,
            f"nobody has decided for more than an hour of {_some(long)}",
            "`fenglingctl kubernetes approve` or `reject` decides",
        )
    if changed:
        return note(
            about,
            f"{changed} service{'s ask' if changed > 1 else ' asks'} for something else than was approved;"
            " what was approved is served",
            "`fenglingctl kubernetes list --state changed` names them; approving them again takes what"
            " they ask for now",
        )
    return ok(about, "nothing has waited long for a decision")


def _named(one: Mapping[str, Any]) -> str:
    namespace = one.get("namespace")
    return f"{one.get('resource')} in {namespace}" if namespace else str(one.get("resource"))


def _some(said: Sequence[str]) -> str:
    more = f" and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
    return ", ".join(said[:SHOWN]) + more
