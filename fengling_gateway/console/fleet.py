"""
What all gateways say of themselves, watched: once a second, and closely while somebody waits.

Without Redis nobody says anything; then that is what is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.console.node_states import is_unknown, readable
from fengling_gateway.model.delta import Position

_log = Logger()

WATCH_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 0.015
"""Between two looks while somebody waits: less than what anybody waits for, more than a look takes."""

PATIENCE_SECONDS: Final = 1.0
"""How long to wait for Redis to tell anything: it may just be connected to."""

MAX_WAITING: Final = 1000
"""Who waits and has hung up waits on, and all are looked after each time: more are told at once."""

COUNTED: Final = ("serving", "starting", "stalled")
"""States of workers that are to serve; those that drain serve what they have."""

States = Mapping[str, Mapping[str, Any]]


class Nodes(Protocol):
    """Whoever knows the states of all nodes: `fengling_gateway.syncbus` does."""

    @property
    def connected(self) -> bool: ...

    @property
    def last_error(self) -> str: ...

    def nodes(self) -> Deferred[dict[str, dict[str, Any]]]: ...


@dataclass(frozen=True, slots=True)
class Convergence:
    """
    Who serves a position.

    Attributes:
        served: workers that serve it or a later one, as ``node/worker``.
        behind: those that do not; a node's name alone stands for workers that can't be read here.
        complete: whether all nodes are known: not so without Redis.
        reason: why not.
    """

    served: tuple[str, ...]
    behind: tuple[str, ...]
    complete: bool = True
    reason: str = ""

    @property
    def is_reached(self) -> bool:
        """Whether every worker that is known serves it, and there is one."""
        return self.complete and bool(self.served) and not self.behind

    def shown(self) -> dict[str, Any]:
        return {
            "served": len(self.served),
            "workers": len(self.served) + len(self.behind),
            "behind": list(self.behind),
            "complete": self.complete,
            **({"reason": self.reason} if self.reason else {}),
        }


@dataclass(slots=True)
class _Waiting:
    position: Position
    done: Deferred[Convergence]
    until: float
    patience: float
    """Until then, while nobody tells anything."""


class FleetWatch:
    """
    Knows the newest states of all nodes.

    Args:
        nodes: None where there is no Redis.

    Attributes:
        states: by node, as each has said itself, as far as it can be read; ``live`` if seen of late.
        problem: why they are not known; empty where they are.
    """

    def __init__(self, *, clock: IReactorTime, nodes: Nodes | None) -> None:
        self._clock = clock
        self._nodes = nodes
        self._timer: IDelayedCall | None = None
        self._asking: Deferred[Any] | None = None
        self._waiting: list[_Waiting] = []
        self._told: list[Callable[[States], None]] = []
        self._told_states: States = {}
        self._tell_again = 0.0
        self._running = False
        self._unread: Mapping[str, Any] = {}
        self.states: States = {}
        self.problem = (
            "" if nodes else "there is no Redis ([redis] url): nobody tells what he serves"
        )

    def __repr__(self) -> str:
        return f"<FleetWatch {len(self.states)} nodes>"

    def start(self) -> None:
        self._running = True
        self._look()

    def stop(self) -> None:
        """Leaves no timer; who waits is told what is known."""
        self._running = False
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()
        for one in self._waiting:
            one.done.callback(self.convergence(one.position))
        self._waiting.clear()

    def on_change(self, told: Callable[[States], None]) -> None:
        """Have somebody told of the states: once a second, and when they have changed."""
        self._told.append(told)

    def convergence(self, position: Position) -> Convergence:
        """Return who serves a position now, as far as is known."""
        if self.problem:
            return Convergence((), (), complete=False, reason=self.problem)
        served: list[str] = []
        behind: list[str] = []
        for node, state in sorted(self.states.items()):
            if not state.get("live") or state.get("pinned"):
                continue  # who is pinned is told not to follow; the summary names it
            if is_unknown(state):
                behind.append(node)
            for worker in state["workers"]:
                if worker["state"] in COUNTED:
                    serves = _serves(worker, position)
                    (served if serves else behind).append(f"{node}/{worker['worker']}")
        return Convergence(tuple(served), tuple(behind))

    def reached(self, position: Position, timeout: float) -> Deferred[Convergence]:
        """
        Wait until every worker serves a position; no longer than ``timeout`` seconds.

        Returns:
            who does then. Never fails.
        """
        now = self._clock.seconds()
        waiting = _Waiting(position, Deferred(), now + timeout, now + PATIENCE_SECONDS)
        if self._nodes is None or not self._running or len(self._waiting) >= MAX_WAITING:
            waiting.done.callback(self.convergence(position))
            return waiting.done
        self._waiting.append(waiting)
        self._look_soon()
        return waiting.done

    def _look_soon(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
            self._timer = self._clock.callLater(0, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._nodes is None:
            self._looked(None)
            return
        self._asking = self._nodes.nodes()
        self._asking.addTimeout(WATCH_SECONDS * 2, self._clock)
        self._asking.addCallbacks(self._found, self._failed).addBoth(self._looked)

    def _found(self, states: dict[str, dict[str, Any]]) -> None:
        self.problem = ""
        self.states = readable(states)
        unread = {node: one["unread"] for node, one in self.states.items() if "unread" in one}
        for node in sorted(unread.keys() - self._unread.keys()):
            _log.warn(
                "{node} says what can't be read here: {fields}; is it of another version?",
                log_id="console.state_unread",
                node=node,
                fields=", ".join(map(repr, unread[node]))[:200],
            )
        self._unread = unread

    def _failed(self, failure: Failure) -> None:
        if not self._running:  # who waits is told what was known
            return
        self.problem = f"Redis does not tell: {failure.getErrorMessage() or repr(failure.value)}"
        self.states = {}

    def _looked(self, _: object) -> None:
        self._asking = None
        self._answer()
        if self._running:
            self._tell()
            self._timer = self._clock.callLater(
                CLOSE_SECONDS if self._waiting else WATCH_SECONDS, self._look
            )

    def _answer(self) -> None:
        """Tell those who wait for something that has come, or for too long."""
        now = self._clock.seconds()
        left, found = [], []
        for one in self._waiting:
            seen = self.convergence(one.position)
            until = one.until if seen.complete else min(one.until, one.patience)
            if seen.is_reached or now >= until:
                found.append((one, seen))
            else:
                left.append(one)
        self._waiting = left
        for one, seen in found:
            one.done.callback(seen)

    def _tell(self) -> None:
        now = self._clock.seconds()
        if self.states == self._told_states and now < self._tell_again:
            return
        self._told_states, self._tell_again = self.states, now + WATCH_SECONDS
        for told in self._told:
            try:
                told(self.states)
            except Exception:
                _log.failure("whoever hears of gateways failed", log_id="console.fleet_unheard")


def _serves(worker: Mapping[str, Any], position: Position) -> bool:
    revision = worker.get("revision")
    return (
        worker.get("epoch") == position.epoch
        and revision is not None
        and bool(revision >= position.revision)
    )
