"""The states of nodes: each node publishes its own, anyone reads all.

One hash per node under a key that expires, and a set with the nodes' names. Age
is told by what is left of the expiry, so that no clocks are compared. States
are signed like everything else: who can write to Redis can hide a node from
the others' view, not put words in its mouth, nor such as it has said before.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from fengling_gateway.model.delta import Position
from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.messages import (
    NODE,
    NODE_WINDOW_SECONDS,
    NOWHERE,
    Command,
    MessageError,
    decode_node,
    encode_node,
)
from fengling_gateway.syncbus.names import Names
from fengling_gateway.syncbus.signing import Keyring, SignatureError

EXPIRY_SECONDS: Final = 60
"""How long a node that vanished is still listed, as not live."""

LIVE_SECONDS: Final = 5.0
"""A node seen within this time is live: five times the interval of its reports."""

REPORT_INTERVAL_SECONDS: Final = 1.0
CHANGE_GAP_SECONDS: Final = 0.05
"""Between two reports when the state keeps changing: what `wait=all` waits for comes at once."""

_READ_AT_ONCE: Final = 32
"""Nodes read in one go: two operations each stay well below the connection's bound."""

MAX_NODES: Final = 1000

CLOCKS_DIFFER_SECONDS: Final = 60.0
"""
A state whose own time is further from ours is shown, and not as live: it may be a
recording. (Other messages from a host with such a clock are not heard at all.)
"""

_REMEMBERED_SECONDS: Final = 60.0
"""How long no older state of a node is believed, so that a clock that is set back costs no more."""


class NodeReport:
    """Publishes the state of this node: each second, and soon after a change."""

    def __init__(
        self,
        *,
        clock: IReactorTime,
        names: Names,
        node: str,
        call: Callable[..., Deferred[Any]],
        sign: Callable[[bytes, bytes], bytes],
        counters: Counter[str],
    ) -> None:
        self._clock = clock
        self._names = names
        self._node = node
        self._call = call
        self._sign = sign
        self._counters = counters
        self._state: dict[str, Any] | None = None
        self._sent: bytes = b""
        self._sent_at = float("-inf")
        self._timer: IDelayedCall | None = None

    def publish(self, state: dict[str, Any]) -> None:
        """Report this state from now on. Never raises, never waits."""
        self._state = state
        self._schedule()

    def resume(self) -> None:
        """Redis is back: report at once."""
        if self._state is not None:
            self._sent_at = float("-inf")
            self._schedule()

    def stop(self) -> None:
        """Leaves no timer."""
        self._state = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def withdraw(self) -> None:
        """Take this node out of the fleet, if it ever was in it; best effort."""
        if not self._sent:
            return
        try:
            await self._call("DEL", self._names.node(self._node))
            await self._call("SREM", self._names.nodes, self._node)
        except BusError:
            self._counters["reports_failed"] += 1

    def _schedule(self) -> None:
        payload = encode_node(self._node, self._state or {})
        gap = REPORT_INTERVAL_SECONDS if payload == self._sent else CHANGE_GAP_SECONDS
        if self._timer is not None:
            self._timer.cancel()
        wait = max(0.0, self._sent_at + gap - self._clock.seconds())
        self._timer = self._clock.callLater(wait, self._report)

    def _report(self) -> None:
        self._timer = None
        if self._state is None:
            return
        self._sent = encode_node(self._node, self._state)
        self._sent_at = self._clock.seconds()
        key = self._names.node(self._node)
        # In one go: a state without its expiry lives for the time of a packet.
        operations = [
            self._call("HSET", key, "state", self._sign(NODE, self._sent)),
            self._call("PEXPIRE", key, EXPIRY_SECONDS * 1000),
            self._call("SADD", self._names.nodes, self._node),
        ]
        gatherResults(operations, consumeErrors=True).addCallbacks(self._reported, self._failed)
        self._schedule()

    def _reported(self, _: object) -> None:
        self._counters["reports_sent"] += 1

    def _failed(self, _: object) -> None:
        self._counters["reports_failed"] += 1


class FleetReader:
    """Reads the states of all nodes."""

    def __init__(
        self,
        *,
        wall_clock: Callable[[], float],
        names: Names,
        call: Callable[..., Deferred[Any]],
        keyring: Keyring,
        counters: Counter[str],
    ) -> None:
        self._wall_clock = wall_clock
        self._names = names
        self._call = call
        self._keyring = keyring
        self._counters = counters
        self._newest = NewestOnly()

    async def read(self) -> dict[str, dict[str, Any]]:
        """
        Return each node's state with ``live`` and ``seen_seconds_ago`` added.

        Raises:
            BusError: Redis does not tell.
        """
        reply = await self._call("SMEMBERS", self._names.nodes)
        members = sorted(name for name in reply or () if isinstance(name, bytes))[:MAX_NODES]
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(members), _READ_AT_ONCE):
            part = [name.decode(errors="replace") for name in members[start:][:_READ_AT_ONCE]]
            states = await _all([Deferred.fromCoroutine(self.read_one(node)) for node in part])
            found.update({n: state for n, state in zip(part, states, strict=True) if state})
        return found

    async def read_one(self, node: str) -> dict[str, Any] | None:
        """
        Return the state of one node as `read` does; None where there is none.

        Raises:
            BusError: Redis does not tell.
        """
        key, now = self._names.node(node), self._wall_clock()
        message, left = await _all([self._call("HGET", key, "state"), self._call("PTTL", key)])
        if not isinstance(message, bytes) or not isinstance(left, int) or left < 0:
            await self._call("SREM", self._names.nodes, node)
            return None
        age = max(0.0, EXPIRY_SECONDS - left / 1000)
        try:
            signed = self._keyring.verify(message, now=now - age, max_age=NODE_WINDOW_SECONDS)
            if signed.kind != NODE:
                raise SignatureError("signed for another purpose")
            state = decode_node(signed.payload, node=node)
            if not self._newest.admit(node, signed.sent_at, now=now):
                raise SignatureError("a state older than one seen before")
        except (SignatureError, MessageError):
            self._counters["messages_dropped"] += 1
            self._counters["messages_dropped:state of a node"] += 1
            return None
        live = age <= LIVE_SECONDS and abs(now - age - signed.sent_at) <= CLOCKS_DIFFER_SECONDS
        return {**state, "live": live, "seen_seconds_ago": round(age, 3)}


class NewestOnly:
    """
    Remembers when the newest state of each node was made, by its own clock; pure.

    Args:
        once: whether the newest itself is admitted once only.
    """

    def __init__(self, *, once: bool = False) -> None:
        self._once = once
        self._seen: dict[str, tuple[float, float]] = {}

    def admit(self, node: str, sent_at: float, *, now: float) -> bool:
        """Whether no newer one has been seen within the last minute."""
        newest, seen_at = self._seen.get(node, (float("-inf"), now))
        is_older = sent_at <= newest if self._once else sent_at < newest
        if is_older and abs(now - seen_at) < _REMEMBERED_SECONDS:
            return False
        self._seen.pop(node, None)  # so that the first one is the one seen longest ago
        self._seen[node] = (sent_at, now)
        if len(self._seen) > MAX_NODES:
            self._seen.pop(next(iter(self._seen)))
        return True


def node_command(
    node: str, state: dict[str, Any] | None, name: str, sender: str, args: dict[str, Any]
) -> Command:
    """
    Return a command for one node, that means nothing to it after its next start.

    Args:
        state: of the node, as it tells it.

    Raises:
        LookupError: no such node is live.
    """
    if state is None or not state.get("live"):
        raise LookupError(f"no gateway of the name {node} is live")
    position = state.get("position")
    about = {"node": node, "started_at": state.get("started_at")}
    return Command(
        id=secrets.token_hex(8),
        name=name,
        sender=sender,
        position=NOWHERE if position is None else Position(**position),
        args={**args, **about},
    )


async def _all(waiting: list[Deferred[Any]]) -> list[Any]:
    try:
        return await gatherResults(waiting, consumeErrors=True)
    except FirstError as error:
        raise BusError(error.subFailure.getErrorMessage()) from error
