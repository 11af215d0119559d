"""The bus in memory: the same promises without Redis, for tests and for one process.

A `MemoryHub` stands for Redis; nodes that share it hear each other, one
reactor turn later. Messages are signed and verified as over Redis, so that
keyrings, replays and counters behave the same.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime

from fengling_gateway.model.delta import Position
from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.fleet import EXPIRY_SECONDS, LIVE_SECONDS, node_command
from fengling_gateway.syncbus.inbox import Inbox, Receivers
from fengling_gateway.syncbus.messages import (
    ANNOUNCE,
    COMMAND,
    EVIDENCE,
    PROBER,
    Command,
    ProberBeat,
    encode_command,
    encode_evidence,
    encode_position,
    encode_prober,
)
from fengling_gateway.syncbus.names import Names
from fengling_gateway.syncbus.signing import Keyring
from fengling_gateway.syncbus.switches import Switch, Switches


class MemoryHub:
    """What is between the nodes; ``up`` False is a Redis that is away."""

    def __init__(self) -> None:
        self.up = True
        self.listeners: list[Callable[[bytes, bytes], None]] = []
        self.states: dict[str, tuple[float, dict[str, Any]]] = {}
        self.announced: set[Position] = set()
        self.hash: dict[bytes, bytes] = {}
        """Of the things that are switched off: the one that Redis would have."""

    def publish(self, channel: str, message: bytes) -> int:
        """Give a message to everybody who listens now."""
        for listener in list(self.listeners):
            listener(channel.encode(), message)
        return len(self.listeners)

    def call(self, command: str, *arguments: Any) -> Deferred[Any]:
        """Do what Redis does with the few commands that `Switches` sends."""
        if not self.up:
            return fail(BusError("the hub is down"))
        if command == "HLEN":
            return succeed(len(self.hash))
        if command == "HGETALL":
            return succeed([part for pair in self.hash.items() for part in pair])
        if command == "HDEL":
            return succeed(
                sum(self.hash.pop(one.encode(), None) is not None for one in arguments[1:])
            )
        field, before, after = arguments[-3].encode(), *arguments[-2:]
        if self.hash.get(field, b"") != before:
            return succeed(0)
        self.hash[field] = after
        return succeed(1)


class MemoryBus:
    """`SyncBus` over a `MemoryHub`."""

    def __init__(  # noqa: PLR0913 — the same as of its twin
        self,
        *,
        reactor: IReactorTime,
        hub: MemoryHub,
        cluster: str,
        node: str,
        keyring: Keyring,
        on_announcement: Callable[[Position], None] | None = None,
        on_command: Callable[[Command], None] | None = None,
        on_evidence: Callable[[str, dict[str, dict[str, Any]]], None] | None = None,
        on_prober: Callable[[ProberBeat], None] | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self._hub = hub
        self._names = Names(cluster)
        self._node = node
        self._keyring = keyring
        self._wall_clock = wall_clock
        self._counts: Counter[str] = Counter()
        self._started = False
        self._inbox = Inbox(
            clock=reactor,
            wall_clock=wall_clock,
            keyring=keyring,
            names=self._names,
            receivers=Receivers(on_announcement, on_command, on_evidence, on_prober),
            counters=self._counts,
        )
        self._switches = Switches(
            wall_clock=wall_clock,
            names=self._names,
            call=hub.call,
            keyring=keyring,
            counters=self._counts,
        )

    @property
    def connected(self) -> bool:
        return self._started and self._hub.up

    @property
    def last_error(self) -> str:
        return "" if self.connected else "the hub is down"

    @property
    def local_host(self) -> str | None:
        return None

    @property
    def counters(self) -> dict[str, int]:
        return dict(self._counts)

    def start(self) -> None:
        self._started = True
        self._hub.listeners.append(self._received)

    def stop(self) -> Deferred[None]:
        self._started = False
        self._hub.states.pop(self._node, None)
        if self._received in self._hub.listeners:
            self._hub.listeners.remove(self._received)
        return succeed(None)

    def replace_keys(self, keys: Iterable[str]) -> None:
        self._keyring.replace(keys)

    def announce(self, position: Position) -> None:
        if not self.connected:
            self._counts["announcements_failed"] += 1
        elif position in self._hub.announced:
            self._counts["announcements_suppressed"] += 1
        else:
            self._hub.announced.add(position)
            self._counts["announcements_sent"] += 1
            message = self._sign(ANNOUNCE, encode_position(position))
            self._hub.publish(self._names.announcements, message)

    def send_command(self, command: Command) -> Deferred[int]:
        if not self.connected:
            return fail(BusError("the hub is down"))
        self._counts["commands_sent"] += 1
        message = self._sign(COMMAND, encode_command(command))
        return succeed(self._hub.publish(self._names.commands, message))

    def ask_node(self, node: str, name: str, **args: Any) -> Deferred[int]:
        def asked(states: dict[str, dict[str, Any]]) -> Deferred[int]:
            return self.send_command(node_command(node, states.get(node), name, self._node, args))

        return self.nodes().addCallback(asked)

    def switches(self) -> Deferred[dict[str, Switch]]:
        return Deferred.fromCoroutine(self._switches.read())

    def switch(
        self, kind: str, entity_id: str, *, off: bool, by: str, comment: str = ""
    ) -> Deferred[Switch]:
        return Deferred.fromCoroutine(self._switch(kind, entity_id, off, by, comment))

    async def _switch(self, kind: str, entity_id: str, off: bool, by: str, comment: str) -> Switch:
        written = await self._switches.write(kind, entity_id, off=off, by=by, comment=comment)
        await self.send_command(Command(secrets.token_hex(8), "switches", self._node))
        return written

    def publish_evidence(self, instances: dict[str, dict[str, Any]]) -> None:
        payload = encode_evidence(self._node, instances)
        self._tell("evidence", self._names.evidence, EVIDENCE, payload)

    def publish_prober(self, term: int, holder: str) -> None:
        self._tell(
            "prober_beats", self._names.prober, PROBER, encode_prober(ProberBeat(term, holder))
        )

    def _tell(self, what: str, channel: str, kind: bytes, payload: bytes) -> None:
        self._counts[f"{what}_{'sent' if self.connected else 'failed'}"] += 1
        if self.connected:
            self._hub.publish(channel, self._sign(kind, payload))

    def publish_node(self, state: dict[str, Any]) -> None:
        self._hub.states[self._node] = (self._reactor.seconds(), state)
        self._counts["reports_sent"] += 1

    def nodes(self) -> Deferred[dict[str, dict[str, Any]]]:
        if not self.connected:
            return fail(BusError("the hub is down"))
        now = self._reactor.seconds()
        return succeed(
            {
                node: {
                    **state,
                    "live": now - seen <= LIVE_SECONDS,
                    "seen_seconds_ago": round(now - seen, 3),
                }
                for node, (seen, state) in sorted(self._hub.states.items())
                if now - seen < EXPIRY_SECONDS
            }
        )

    def _received(self, channel: bytes, message: bytes) -> None:
        if self._hub.up:
            self._reactor.callLater(0, self._inbox.received, channel, message)

    def _sign(self, kind: bytes, payload: bytes) -> bytes:
        return self._keyring.sign(kind, payload, now=self._wall_clock())
