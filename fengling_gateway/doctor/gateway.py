"""A gateway, by what its management API says of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fengling_gateway.doctor.clocks import clock
from fengling_gateway.doctor.finding import Finding, note, ok, wrong

SHOWN: Final = 3
"""Of what is many; the rest is a number, and `fenglingctl status` has it."""

_LOG: Final = "see its log; `fenglingctl status` has more"


def gateway(
    status: Mapping[str, Any], fleet: Mapping[str, Any], *, before: float, after: float
) -> Iterator[Finding]:
    """
    Yield what there is to say of a gateway.

    Args:
        status: of the management API, asked for `before` and answered `after` those times by this
            host's clock.
        fleet: the workers of every node, of the same.
    """
    node, version = status.get("node"), status.get("version")
    yield ok("gateway.reach", f"{node} answers (version {version})")
    age, read_at = status.get("config_age_s"), (status.get("source") or {}).get("last_read_at")
    if age is not None and read_at is not None:
        yield clock("management", read_at + age, before=before, after=after)
    yield _state(status)
    yield _workers(status)
    yield _positions(status)
    yield _fleet(status, fleet)
    yield _source(status)
    yield _served_from(status)
    yield _pinned(status)
    yield _held(status)
    yield _rejected(status)
    yield from _warnings(status)
    yield _redis(status)
    yield _file(status)
    yield _log_lines(status)


def _state(status: Mapping[str, Any]) -> Finding:
    state, about = status.get("state"), "gateway.state"
    if status.get("drained"):
        return note(
            about,
            "it is drained: it says that it is not ready",
            f"`fenglingctl drain {status.get('node')} --off` has it take requests again",
        )
    if state != "serving":
        return wrong(about, f"it is {state}, and does not serve", _LOG)
    return ok(about, "it serves")


def _workers(status: Mapping[str, Any]) -> Finding:
    workers, about = status.get("workers") or [], "gateway.workers"
    ailing = [one for one in workers if one["state"] == "stalled"]
    if ailing:
        named = ", ".join(f"{one['worker']} (pid {one['pid']})" for one in ailing[:SHOWN])
        return wrong(
            about,
            f"silent: {named}",
            "see what keeps it, by /api/gateway/debug; it is replaced if it stays silent",
        )
    serving = sum(one["state"] == "serving" for one in workers)
    if not serving:
        return wrong(about, "no worker serves", _LOG)
    deaths = status.get("deaths") or 0
    if deaths:
        plural = "" if deaths == 1 else "s"
        return note(
            about,
            f"{serving} serve; {deaths} death{plural} of workers since it was started",
            "see its log for why; with too little memory the kernel's has it (`dmesg`)",
        )
    return ok(about, f"{serving} serve, none has died")


def _positions(status: Mapping[str, Any]) -> Finding:
    about, position = "gateway.positions", status.get("position")
    if position is None:
        return wrong(
            about, "it has no configuration", "see gateway.source, and `fenglingctl apply`"
        )
    wanted = (position["epoch"], position["revision"], status.get("content_hash"))
    serving = [one for one in status.get("workers") or [] if one["state"] == "serving"]
    behind = [
        one for one in serving if (one["epoch"], one["revision"], one["content_hash"]) != wanted
    ]
    revision = position["revision"]
    if behind:
        named = ", ".join(f"{one['worker']} at {one['revision']}" for one in behind[:SHOWN])
        return wrong(
            about,
            f"its workers do not all serve revision {revision}: {named}",
            "ask once more: a change takes milliseconds; if it stays so, "
            f"`fenglingctl restart {status.get('node')}`",
        )
    return ok(about, f"all its workers serve revision {revision}")


def _fleet(status: Mapping[str, Any], fleet: Mapping[str, Any]) -> Finding:
    about = "gateway.fleet"
    if not fleet.get("complete", True):
        return note(
            about, f"of other nodes nothing is known: {fleet.get('reason')}", "see redis.reach"
        )
    position = status.get("position") or {}
    others = [one for one in fleet.get("workers") or [] if one.get("node") != status.get("node")]
    nodes = {one["node"] for one in others}
    behind = {
        f"{one['node']}/{one['worker']} at {one.get('revision')}"
        for one in others
        if one.get("live", True)
        and one.get("state") == "serving"
        and (one.get("epoch"), one.get("revision"))
        != (position.get("epoch"), position.get("revision"))
    }
    if behind:
        return note(
            about,
            f"serving something else: {_some(sorted(behind))}",
            "ask once more: a change takes milliseconds; then run doctor there",
        )
    return ok(about, f"{len(nodes)} other node{'' if len(nodes) == 1 else 's'}, none elsewhere")


def _source(status: Mapping[str, Any]) -> Finding:
    about, source = "gateway.source", status.get("source") or {}
    if not source.get("connected"):
        return wrong(
            about,
            f"its source ({source.get('kind')}) is away: {source.get('last_error')}",
            "see database.reach, on that host; what was known is served on",
        )
    if not source.get("listening"):
        why = (source.get("notes") or {}).get("listen") or "database.listen is off"
        return wrong(
            about, f"it polls, and does not LISTEN: {why}", "see database.listen, on that host"
        )
    return ok(about, "its source is connected, and tells of changes")


def _served_from(status: Mapping[str, Any]) -> Finding:
    about, served_from = "gateway.served_from", status.get("served_from")
    if served_from == "last-known-good":
        return wrong(
            about,
            "it serves from its last-known-good file: its source has not been read since the start",
            "see gateway.source",
        )
    return ok(about, f"it serves from its {served_from}")


def _pinned(status: Mapping[str, Any]) -> Finding:
    about, pinned = "gateway.pinned", status.get("pinned")
    if status.get("pin_problem"):
        return wrong(
            about, f"a pin is not kept: {status['pin_problem']}", "see host.state_dir there"
        )
    if pinned:
        said = f"it is {pinned['message']}, by {pinned['by']}"
        return note(about, said, "`fenglingctl unpin` has it serve what is newest")
    return ok(about, "it is not pinned")


def _held(status: Mapping[str, Any]) -> Finding:
    held = status.get("held")
    if not held:
        return ok("gateway.held", "no revision is held")
    said = str(held["message"]).removeprefix("held: ")
    return wrong(
        "gateway.held",
        f"a revision is held: {said}",
        f"`fenglingctl confirm {held['revision']}` serves it; `fenglingctl rollback` undoes it",
    )


def _rejected(status: Mapping[str, Any]) -> Finding:
    rejected = status.get("rejected") or []
    total = status.get("rejected_total", len(rejected))
    if not total:
        return ok("gateway.rejected", "nothing is rejected")
    first = rejected[0]
    why = (first.get("problems") or [{}])[0].get("message", "")
    return wrong(
        "gateway.rejected",
        f"{total} rejected, first {first['kind']} {first['id']}: {why}",
        "put it right; `fenglingctl get rejected` names them all",
    )


def _warnings(status: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield certificates that expire, keys that can't be had, and the like, as the gateway says it."""
    by_kind: dict[str, list[str]] = {}
    for one in status.get("warnings") or []:
        by_kind.setdefault(str(one.get("kind")), []).append(str(one.get("message")))
    for kind, said in by_kind.items():
        yield wrong(
            f"gateway.{kind}",
            _some(said),
            "renew what expires or is refused; `fenglingctl status` has all warnings",
        )
    if "certificate" not in by_kind:
        yield ok("gateway.certificate", "no certificate expires within 14 days")


def _redis(status: Mapping[str, Any]) -> Finding:
    about, redis = "gateway.redis", status.get("redis") or {}
    if not redis.get("configured"):
        return ok(about, "it has no Redis, and needs none")
    if not redis.get("connected"):
        return wrong(
            about, f"it has lost Redis: {redis.get('last_error')}", "see redis.reach, on that host"
        )
    dropped = (redis.get("counters") or {}).get("messages_dropped", 0)
    if dropped:
        return note(
            about,
            f"it did not believe {dropped} messages",
            "see its log for why; all hosts need the same [sync] keys, and one time",
        )
    return ok(about, "it is connected to Redis")


def _file(status: Mapping[str, Any]) -> Finding:
    about = "gateway.last_known_good"
    if (status.get("last_known_good") or {}).get("failing"):
        return wrong(
            about,
            "it can't write its last-known-good file",
            "see host.state_dir, on that host, and its log",
        )
    return ok(about, "it keeps what it serves")


def _log_lines(status: Mapping[str, Any]) -> Finding:
    lost = (status.get("log") or {}).get("dropped_lines") or 0
    if lost:
        return note(
            "gateway.log",
            f"{lost} lines of its log are lost: who takes them is too slow",
            "see what its standard output goes to",
        )
    return ok("gateway.log", "no line of its log is lost")


def _some(said: Sequence[str]) -> str:
    more = f"; and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
    return "; ".join(said[:SHOWN]) + more
