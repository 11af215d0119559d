"""The bus over Redis.

A supervisor has a `SyncBus`, and so has a console; a worker has an
`AnnouncementSubscriber`, which only listens. All work the same when Redis is away: nothing is announced or
heard, operations fail in time, and everything is taken up again when it is
back. Called on the reactor thread only.
"""

from __future__ import annotations

import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime

from fengling_gateway.model.delta import Position
from fengling_gateway.syncbus.announcer import Announcer
from fengling_gateway.syncbus.connection import RedisConnection, Subscription
from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.fleet import FleetReader, NodeReport, node_command
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
from fengling_gateway.syncbus.url import parse_redis_url


class AnnouncementSubscriber:
    """
    Hears announcements, across reconnects.

    Args:
        on_announcement: called with every announced position, also with one
            announced before.
        on_subscribed: called after each (re)connect, when announcements may
            have been missed: a reason to ask.
    """

    def __init__(  # noqa: PLR0913 — wired by name, once, by the composition root
        self,
        *,
        reactor: IReactorTime,
        url: str,
        cluster: str,
        keyring: Keyring,
        on_announcement: Callable[[Position], None],
        rng: random.Random,
        on_subscribed: Callable[[], None] = lambda: None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        names = Names(cluster)
        self._keyring = keyring
        self._counts: Counter[str] = Counter()
        inbox = Inbox(
            clock=reactor,
            wall_clock=wall_clock,
            keyring=keyring,
            names=names,
            receivers=Receivers(on_announcement),
            counters=self._counts,
        )
        self._connection = RedisConnection(
            reactor=reactor,
            address=parse_redis_url(url),
            rng=rng,
            subscription=Subscription((names.announcements,), inbox.received),
            on_ready=on_subscribed,
        )

    @property
    def connected(self) -> bool:
        return self._connection.ready

    @property
    def last_error(self) -> str:
        """Why it is not connected, in one line without secrets."""
        return self._connection.last_error

    @property
    def counters(self) -> dict[str, int]:
        return {**self._counts, **_prefixed("subscription", self._connection)}

    def start(self) -> None:
        """Connect, and stay connected. Imports txredisapi, hence the global reactor."""
        self._connection.start()

    def stop(self) -> Deferred[None]:
        """Never fails; leaves no timer and no connection."""
        return self._connection.stop()

    def replace_keys(self, keys: Iterable[str]) -> None:
        """Verify by other keys from now on; see `Keyring.replace`."""
        self._keyring.replace(keys)


class SyncBus:
    """
    Announces, commands, reports and hears.

    A supervisor is a *node*: it announces what it serves, tells its state
    (`publish_node`) and what its requests show of instances (`publish_evidence`).

    A console is none. It never calls these, so that it is in nobody's fleet; its
    ``node``, which commands name as their sender, is ``console/NAME``, which no node
    can be called. It reads the states of nodes (`nodes`), hears evidence, asks nodes
    for something (`ask_node`, `send_command`), switches things off (`switch`) and,
    while it probes instances, says so each second (`publish_prober`).

    What nobody wants to hear is not subscribed to.

    Args:
        node: the name of this node.
        on_announcement: as of `AnnouncementSubscriber`; our own are heard too.
        on_command: called once for each command, our own included.
        on_evidence: called with a node and, by the ids of instances, what requests
            there have shown since the last time: ``failures`` and ``successes``,
            ``error`` (a `ForwardError`'s code, or None), ``ejected_for`` (seconds for
            which a worker there does without the instance, or None).
        on_prober: called with each heartbeat of whoever probes instances.
        on_subscribed: called after each (re)connect: a reason to look.
        on_usable: called after each (re)connect of what operations go over.
    """

    def __init__(  # noqa: PLR0913 — wired by name, once, by the composition root
        self,
        *,
        reactor: IReactorTime,
        url: str,
        cluster: str,
        node: str,
        keyring: Keyring,
        rng: random.Random,
        on_announcement: Callable[[Position], None] | None = None,
        on_command: Callable[[Command], None] | None = None,
        on_evidence: Callable[[str, dict[str, dict[str, Any]]], None] | None = None,
        on_prober: Callable[[ProberBeat], None] | None = None,
        on_subscribed: Callable[[], None] = lambda: None,
        on_usable: Callable[[], None] = lambda: None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._names = names = Names(cluster)
        self._node = node
        self._keyring = keyring
        self._wall_clock = wall_clock
        self._on_announcement = on_announcement
        self._on_subscribed = on_subscribed
        self._on_usable = on_usable
        self._counts: Counter[str] = Counter()
        address = parse_redis_url(url)
        heard = None if on_announcement is None else self._heard
        inbox = Inbox(
            clock=reactor,
            wall_clock=wall_clock,
            keyring=keyring,
            names=names,
            receivers=Receivers(heard, on_command, on_evidence, on_prober),
            counters=self._counts,
        )
        self._subscription = RedisConnection(
            reactor=reactor,
            address=address,
            rng=rng,
            subscription=Subscription(
                inbox.channels, inbox.received, frozenset({names.evidence, names.prober})
            ),
            on_ready=self._subscribed,
        )
        self._commands = RedisConnection(
            reactor=reactor, address=address, rng=rng, on_ready=self._resume
        )
        self._announcer = Announcer(
            clock=reactor,
            rng=rng,
            names=names,
            call=self._commands.call,
            sign=lambda position: self._sign(ANNOUNCE, encode_position(position)),
            counters=self._counts,
        )
        self._report = NodeReport(
            clock=reactor,
            names=names,
            node=node,
            call=self._commands.call,
            sign=self._sign,
            counters=self._counts,
        )
        reading: dict[str, Any] = {
            "wall_clock": wall_clock,
            "names": names,
            "call": self._commands.call,
            "keyring": keyring,
            "counters": self._counts,
        }
        self._fleet = FleetReader(**reading)
        self._switches = Switches(**reading)

    def __repr__(self) -> str:
        return f"<SyncBus {self._names.cluster}/{self._node} {self._commands!r}>"

    @property
    def connected(self) -> bool:
        """Whether we hear and are heard."""
        return self._subscription.ready and self._commands.ready

    @property
    def local_host(self) -> str | None:
        """Our own address on the way to Redis, at which others may reach us; None without one."""
        return self._commands.local_host

    @property
    def last_error(self) -> str:
        """Why it is not connected, in one line without secrets."""
        return self._commands.last_error or self._subscription.last_error

    @property
    def counters(self) -> dict[str, int]:
        return {
            **self._counts,
            **_prefixed("subscription", self._subscription),
            **_prefixed("commands", self._commands),
        }

    def start(self) -> None:
        """Connect, and stay connected. Imports txredisapi, hence the global reactor."""
        self._subscription.start()
        self._commands.start()

    def stop(self) -> Deferred[None]:
        """Take this node out of the fleet and close. Never fails; takes a few seconds at most."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._announcer.stop()
        self._report.stop()
        await self._report.withdraw()
        await gatherResults([self._subscription.stop(), self._commands.stop()])

    def replace_keys(self, keys: Iterable[str]) -> None:
        """Sign and verify by other keys from now on; see `Keyring.replace`."""
        self._keyring.replace(keys)
        # What is on Redis was signed by a key that others may drop next.
        self._report.resume()

    def announce(self, position: Position) -> None:
        """
        Make it known that this position is served here, or is about to be: a reason for others to look.

        Never raises and never waits. While Redis is away the newest position is
        kept, and announced when it is back.
        """
        self._announcer.announce(position)

    def send_command(self, command: Command) -> Deferred[int]:
        """
        Ask something of every node, this one included.

        Returns:
            the number of listening supervisors. Fails with `BusError`.
        """
        message = self._sign(COMMAND, encode_command(command))
        self._counts["commands_sent"] += 1
        return self._commands.call("PUBLISH", self._names.commands, message)

    def ask_node(self, node: str, name: str, **args: Any) -> Deferred[int]:
        """
        Ask something of one node: ``drain`` (``on``: whether) or ``restart``.

        Returns:
            the number of listening supervisors; what the node makes of it is in its
            state. Fails with `BusError`, and with `LookupError` if no such node is live.
        """
        return Deferred.fromCoroutine(self._ask_node(node, name, args))

    async def _ask_node(self, node: str, name: str, args: dict[str, Any]) -> int:
        state = await self._fleet.read_one(node)
        return await self.send_command(node_command(node, state, name, self._node, args))

    def switches(self) -> Deferred[dict[str, Switch]]:
        """
        Return what is on record of things switched off, and on again, by `Switch.field`.

        Fails with `BusError`.
        """
        return Deferred.fromCoroutine(self._read_switches())

    async def _read_switches(self) -> dict[str, Switch]:
        try:
            return await self._switches.read()
        except BusError:
            self._counts["switch_reads_failed"] += 1
            raise

    def switch(
        self, kind: str, entity_id: str, *, off: bool, by: str, comment: str = ""
    ) -> Deferred[Switch]:
        """
        Switch a ``route`` or an ``instance`` off on all nodes at once, or on again.

        Nodes that hear of it act within milliseconds, the others within ten seconds.
        Fails with `BusError`, and with ``ValueError`` if it can't be asked for; see
        `Switches.write`.
        """
        return Deferred.fromCoroutine(self._switch(kind, entity_id, off, by, comment))

    async def _switch(self, kind: str, entity_id: str, off: bool, by: str, comment: str) -> Switch:
        written = await self._switches.write(kind, entity_id, off=off, by=by, comment=comment)
        try:
            await self.send_command(Command(secrets.token_hex(8), "switches", self._node))
        except BusError:
            self._counts["commands_failed"] += 1  # it is written: they find it
        return written

    def publish_evidence(self, instances: dict[str, dict[str, Any]]) -> None:
        """Tell what requests here have shown of instances, once. Never raises, never waits."""
        self._tell(
            "evidence", self._names.evidence, EVIDENCE, encode_evidence(self._node, instances)
        )

    def publish_prober(self, term: int, holder: str) -> None:
        """Tell that this console probes, as it is to each second. Never raises, never waits."""
        self._tell(
            "prober_beats", self._names.prober, PROBER, encode_prober(ProberBeat(term, holder))
        )

    def _tell(self, what: str, channel: str, kind: bytes, payload: bytes) -> None:
        telling = self._commands.call("PUBLISH", channel, self._sign(kind, payload))

        def told(_: object, how: str) -> None:
            self._counts[f"{what}_{how}"] += 1

        telling.addCallbacks(told, told, callbackArgs=("sent",), errbackArgs=("failed",))

    def publish_node(self, state: dict[str, Any]) -> None:
        """Report this state (JSON values) each second from now on, and at once if it is new."""
        self._report.publish(state)

    def nodes(self) -> Deferred[dict[str, dict[str, Any]]]:
        """
        Return the states of all nodes by name, with ``live`` (seen within five
        seconds) and ``seen_seconds_ago`` in each. Fails with `BusError`.
        """
        return Deferred.fromCoroutine(self._fleet.read())

    def _heard(self, position: Position) -> None:
        self._announcer.heard(position)
        assert self._on_announcement is not None, "or nobody would hear"
        self._on_announcement(position)

    def _subscribed(self) -> None:
        # What was announced while nobody was subscribed was announced to nobody.
        self._announcer.resume()
        self._on_subscribed()

    def _resume(self) -> None:
        self._announcer.resume()
        self._report.resume()
        self._on_usable()

    def _sign(self, kind: bytes, payload: bytes) -> bytes:
        return self._keyring.sign(kind, payload, now=self._wall_clock())


def _prefixed(prefix: str, connection: RedisConnection) -> dict[str, int]:
    return {f"{prefix}_{name}": count for name, count in connection.counters.items()}
