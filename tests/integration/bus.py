"""Redis as somebody else sees it, and a console that talks over it: both wait for each answer."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import hiredis
from twisted.internet.defer import Deferred, succeed

from fengling_gateway.syncbus.fleet import node_command
from fengling_gateway.syncbus.messages import (
    COMMAND,
    PROBER,
    Command,
    ProberBeat,
    decode_evidence,
    encode_command,
    encode_prober,
)
from fengling_gateway.syncbus.names import Names
from fengling_gateway.syncbus.signing import Keyring
from fengling_gateway.syncbus.switches import Switches
from tests.integration.gateway import SYNC_KEY

CLUSTER: Final = f"test-{os.getpid()}"
"""That of every `GatewayProcess`."""


class RawRedis:
    """A connection without any knowledge of what is sent over it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), 10)
        self._reader = hiredis.Reader()

    def ask(self, *command: str | bytes | int) -> Any:
        self._socket.sendall(hiredis.pack_command(command))
        return self.receive()

    def receive(self) -> Any:
        while (reply := self._reader.gets()) is False:
            data = self._socket.recv(65536)
            assert data, "Redis has closed the connection"
            self._reader.feed(data)
        return reply

    def waiting(self) -> Iterator[bytes]:
        """Return the messages that have come to a subscription so far."""
        self._socket.settimeout(0.5)
        try:
            while True:
                yield self.receive()[2]
        except TimeoutError:
            self._socket.settimeout(10)

    def close(self) -> None:
        self._socket.close()


class ConsoleOnBus:
    """What a console does over Redis, for tests that have no reactor."""

    def __init__(self, url: str) -> None:
        self.names = Names(CLUSTER)
        self.keyring = Keyring([SYNC_KEY], cluster=CLUSTER)
        self._redis, self._heard = RawRedis(url), RawRedis(url)
        self._heard.ask("SUBSCRIBE", self.names.evidence)
        self._switches = Switches(
            wall_clock=time.time,
            names=self.names,
            call=lambda *command: succeed(self._redis.ask(*command)),
            keyring=self.keyring,
            counters=Counter(),
        )

    def state(self, node: str) -> dict[str, Any]:
        """Return what a node tells of itself."""
        message = self._redis.ask("HGET", self.names.node(node), "state")
        assert message is not None, f"{node} has told nothing"
        state = json.loads(self.keyring.verify(message, now=time.time()).payload)["state"]
        return {**state, "live": True}

    def ask_node(self, node: str, name: str, **args: Any) -> None:
        self._command(node_command(node, self.state(node), name, "console/c1", args))

    def switch(self, kind: str, entity_id: str, *, off: bool) -> None:
        """Switch something off or on, and tell everybody."""
        _result_of(self._switches.write(kind, entity_id, off=off, by="ada", comment="it burns"))
        self._command(Command(secrets.token_hex(8), "switches", "console/c1"))

    def beat(self, term: int, holder: str) -> None:
        """Say that instances are probed."""
        self._publish(self.names.prober, PROBER, encode_prober(ProberBeat(term, holder)))

    def evidence(self) -> dict[str, dict[str, Any]]:
        """Return what has been told since the last time, by instance: failures and successes."""
        found: dict[str, dict[str, Any]] = {}
        for message in self._heard.waiting():
            payload = self.keyring.verify(message, now=time.time()).payload
            found.update(decode_evidence(payload)[1])
        return found

    def _command(self, command: Command) -> None:
        self._publish(self.names.commands, COMMAND, encode_command(command))

    def _publish(self, channel: str, kind: bytes, payload: bytes) -> None:
        self._redis.ask("PUBLISH", channel, self.keyring.sign(kind, payload, now=time.time()))

    def close(self) -> None:
        self._redis.close()
        self._heard.close()


def _result_of(coroutine: Coroutine[Any, Any, Any]) -> Any:
    found: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(found.append)
    if hasattr(found[0], "raiseException"):
        found[0].raiseException()
    return found[0]
