"""How everything is, in sentences: that all is well, or all that is not, the worst first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

SILENT_SECONDS: Final = 10.0
"""Without a heartbeat of who probes: twice of what another one takes to go on."""

_MOODS: Final = ("bad", "warn", "wait", "good")

Summary = Mapping[str, Any]
"""What `fengling_gateway.console.summary` makes."""


class Sentence(NamedTuple):
    """
    What to say.

    Attributes:
        mood: ``good``, ``wait`` (it is under way), ``warn`` or ``bad``.
        about: what somebody may want to look at next: ``fleet``, ``history``, ``deserted``,
            ``rejected``, ``health``, ``switches``, or nothing.
        target: of that, which, where it is one: ``route orders``.
    """

    mood: str
    text: str
    about: str = ""
    target: str = ""


def sentences(summary: Summary) -> list[Sentence]:
    """Return what there is to say of a summary; there is always something."""
    found = [one for wrong in _WRONG for one in wrong(summary)]
    found.sort(key=lambda one: _MOODS.index(one.mood))
    return found or [Sentence("good", _all_is_well(summary))]


def _unread(summary: Summary) -> Iterator[Sentence]:
    if summary["problem"]:
        yield Sentence("bad", f"The configuration can't be read: {summary['problem']}")
    elif summary["position"] is None:
        yield Sentence("warn", "The configuration has not been read yet")


def _unseen(summary: Summary) -> Iterator[Sentence]:
    if summary["fleet_problem"]:
        yield Sentence("warn", f"Nobody knows who serves what: {summary['fleet_problem']}", "fleet")
    elif not summary["nodes"]["live"]:
        yield Sentence("bad", "No gateway has told of itself in the last seconds", "fleet")


def _held(summary: Summary) -> Iterator[Sentence]:
    if summary["held"]:
        text = summary["held"].capitalize()
        if summary["position"] is not None:
            text += f"; revision {_revision(summary)} is served"
        yield Sentence("bad", text, "history")


def _behind(summary: Summary) -> Iterator[Sentence]:
    convergence = summary["convergence"]
    if convergence is None or summary["fleet_problem"] or not summary["nodes"]["live"]:
        return
    late = summary["late"]
    if late:
        count = f"{len(late)} of {_counted(convergence['workers'], 'worker')}"
        verb = "does" if len(late) == 1 else "do"
        text = f"{count} {verb} not serve revision {_revision(summary)}: {_some(late)}"
        yield Sentence("bad", text, "fleet")
    elif convergence["behind"]:
        served = f"{convergence['served']} of {_counted(convergence['workers'], 'worker')}"
        yield Sentence("wait", f"Revision {_revision(summary)} is on its way: {served} serve it")
    elif not convergence["served"] and len(summary["pinned"]) < summary["nodes"]["live"]:
        # (Workers that are pinned serve, and are not waited for.)
        but = " but those that are pinned" if summary["pinned"] else ""
        yield Sentence("bad", f"No worker serves{but}", "fleet")


def _deserted(summary: Summary) -> Iterator[Sentence]:
    deserted = summary["deserted"]
    if deserted["count"]:
        verbs = ("gets", "has") if deserted["count"] == 1 else ("get", "have")
        count = _counted(deserted["count"], "service")
        named = _some(deserted["named"], deserted["count"])
        text = f"{count} {verbs[0]} requests and {verbs[1]} no instance for them: {named}"
        yield Sentence("bad", text, "deserted", f"service {deserted['named'][0]}")


def _unhealthy(summary: Summary) -> Iterator[Sentence]:
    health = summary["health"]
    unhealthy = health["unhealthy"]
    if unhealthy:
        verb = "is" if unhealthy == 1 else "are"
        count = f"{unhealthy} of {_counted(_instances(health), 'instance')}"
        named = _some(health["named"], unhealthy)
        yield Sentence("bad", f"{count} {verb} unhealthy: {named}", "health")


def _rejected(summary: Summary) -> Iterator[Sentence]:
    rejected = summary["rejected"]
    if rejected["count"]:
        verb = "is" if rejected["count"] == 1 else "are"
        count = _counted(rejected["count"], "entity", "entities")
        named = _some(rejected["named"], rejected["count"])
        text = f"{count} {verb} rejected: {named}"
        yield Sentence("bad", text, "rejected", rejected["named"][0])


def _switched_off(summary: Summary) -> Iterator[Sentence]:
    if summary["switches"]:
        target = summary["switches"][0].replace("/", " ", 1)
        yield Sentence("warn", f"Switched off: {_some(summary['switches'])}", "switches", target)


def _draining(summary: Summary) -> Iterator[Sentence]:
    if summary["draining"]:
        yield Sentence("warn", f"Draining: {_some(summary['draining'])}", "fleet")


def _pinned(summary: Summary) -> Iterator[Sentence]:
    if summary["pinned"]:
        yield Sentence("warn", f"Pinned: {_some(summary['pinned'])}", "fleet")


def _unprobed(summary: Summary) -> Iterator[Sentence]:
    prober, stale = summary["prober"], summary["stale"]
    if stale:
        verb = "takes" if len(stale) == 1 else "take"
        what = "what is unhealthy for unknown, as nobody probes instances"
        yield Sentence("warn", f"{_some(stale)} {verb} {what}", "health")
    if prober is None:
        return
    if prober["problem"]:
        yield Sentence("warn", f"Instances can't be probed: {prober['problem']}", "health")
    elif prober["holder"] is None or (prober["heartbeat_age_s"] or 0) > SILENT_SECONDS:
        yield Sentence("warn", "Nobody probes instances", "health")


_WRONG: Final[Sequence[Callable[[Summary], Iterator[Sentence]]]] = (
    *(_unread, _unseen, _held, _behind, _deserted, _unhealthy, _rejected),
    *(_switched_off, _pinned, _draining, _unprobed),
)
"""What may be wrong, the worst of each mood first."""


def _all_is_well(summary: Summary) -> str:
    workers, health = summary["convergence"]["workers"], summary["health"]
    who = "The only worker serves" if workers == 1 else f"All {workers} workers serve"
    parts = [f"{who} revision {_revision(summary)}"]
    instances = _instances(health)
    if health["unknown"] == instances:
        parts.append(
            f"{_counted(instances, 'instance')}, which nobody probes"
            if instances
            else "no instance"
        )
    else:
        parts.append(f"{health['healthy']} of {_counted(instances, 'instance')} healthy")
    return "; ".join([*parts, "nothing rejected"])


def _instances(health: Mapping[str, Any]) -> int:
    return int(health["healthy"] + health["unhealthy"] + health["unknown"])


def _revision(summary: Summary) -> int:
    return int(summary["position"]["revision"])


def _counted(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


def _some(names: Sequence[str], count: int | None = None) -> str:
    shown = list(names[:3])
    more = (len(names) if count is None else count) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
