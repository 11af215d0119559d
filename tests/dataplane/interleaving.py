"""Clients, instances, time and the reactor, each taking a step at random."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from zope.interface import provider

from tests.dataplane.peers import Client, Instance
from tests.dataplane.rig import Rig
from tests.dataplane.snapshots import Entity, instance, route, service
from tests.dataplane.talk import Asked, plain_answer, random_answer, random_request, words
from tests.dataplane.wires import FastWire, StockWire, WireReactor, connect

STEPS = (50, 150, 400)
SILENCE_SECONDS = 150
"""By then every deadline there is has passed, whatever the peers do."""

_TIMEOUTS = {"connect": 2, "first_byte": 3, "idle": 3, "total": 20, "tunnel": 4}


class World:
    """
    A data plane, whoever is around it, and a random order of what happens.

    Attributes:
        failures: what was logged as an error.
    """

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        self._memory = 0
        # Else hardly a connection lives long enough to be used twice.
        self._is_calm = rng.random() < 0.4
        self.rig = Rig(
            *self._entities(),
            reactor=WireReactor(),
            high_water_bytes=rng.choice((100, 5000, 65_536)),
            keepalive_idle=5.0,
            header_deadline=5.0,
            keepalive_requests=rng.choice((1, 3, 1000)),
            min_body_rate=rng.choice((0, 1000)),
            body_grace=rng.choice((1.0, 10.0)),
            max_memory=rng.choice((*[1 << 40] * 19, 1000)),
            resident=lambda: self._memory,
            upstream_max_connections=rng.choice((1, 2, 100)),
            upstream_queue=rng.choice((0, 1, 100)),
            upstream_queue_timeout=2.0,
            upstream_max_idle=rng.choice((0, 1, 64)),
            upstream_idle_timeout=rng.choice((0.5, 3.0, 3.0)),
        )
        self.reactor: Any = self.rig.reactor
        high = rng.choice((100, 5000, 65_536))
        self._marks = {"bufferSize": high, "low_water_bytes": high // 2}
        self._kind: type[Any] = rng.choice((StockWire, FastWire))
        self.clients: list[Client] = []
        self.instances: list[Instance] = []
        self._by_name: dict[bytes, tuple[Client, Asked]] = {}
        self._states: dict[int, Any] = {}
        self._remember_states()
        self.failures: list[Any] = []

    def _entities(self) -> list[Entity]:
        rng = self.rng
        policies = {
            "timeouts": _TIMEOUTS,
            "upgrade": {"protocols": ["*"]},
            "retry": {"attempts": rng.choice((0, 1))},
            "limits": {"max_request_body": rng.choice((None, 10_000))},
        }
        instances = [
            instance(f"i{number}", address=f"http://192.0.2.{number}:80")
            for number in range(1, rng.choice((2, 3)))
        ]
        return [service(), *instances, route(policies=policies)]

    def _remember_states(self) -> None:
        service = self.rig.plane._state.snapshot.services.get("s")
        for one in () if service is None else service.states:
            self._states[id(one)] = one

    # Steps

    def run(self) -> None:
        """Take steps at random, then come to an end, and check what is left."""
        with self._logging():
            steps = self._steps()
            for _ in range(self.rng.randrange(self.rng.choice(STEPS))):
                self.rng.choice(steps)()
                self.check()
            self._end()
        assert not self.failures, self.failures

    def _steps(self) -> list[Callable[[], None]]:
        weights: dict[Callable[[], None], int] = {
            self._open: 3,
            self._speak: 8,
            self._leave: 0 if self._is_calm else 1,
            self._read: 6,
            self._dialled: 6,
            self._instance_acts: 12,
            self._report: 20,
            self.rig.settle: 2,
            self._wait: 4,
            self._use_memory: 1,
            self._reconfigure: self.rng.choice((0, 0, 0, 1)),
            self._drain: self.rng.choice((0, 0, 0, 0, 1)),
        }
        return [step for step, weight in weights.items() for _ in range(weight)]

    def _open(self) -> None:
        if len(self.clients) >= 5 or self.rig.plane._state.is_draining:
            return
        number = len(self.clients)
        asked = [
            random_request(self.rng, b"/%d-%d" % (number, one))
            for one in range(self.rng.choice((1, 2, 5, 10)))
        ]
        protocol = self.rig._factory.buildProtocol(IPv4Address("TCP", "198.51.100.7", 1))
        client = Client(self.rng, *connect(self.reactor, protocol, self._kind, self._marks), asked)
        self.clients.append(client)
        for one in asked:
            self._by_name[one.name] = (client, one)

    def _some_client(self) -> Client | None:
        return self.rng.choice(self.clients) if self.clients else None

    def _speak(self) -> None:
        client = self._some_client()
        if client is None:
            return
        if not client.unsent and client.asked[-1].protocol and self.rng.random() < 0.2:
            client.speak(words(self.rng, client.asked[-1].name))
        client.send(self.rng.choice((1, 5, 100, 100_000, 100_000)))

    def _leave(self) -> None:
        client = self._some_client()
        if client is None:
            return
        if self.rng.random() < 0.5:
            client.half_close()
        else:
            client.has_left_early = True
            client.leave()

    def _read(self) -> None:
        peers = [*self.clients, *self.instances]
        if peers:
            self.rng.choice(peers).read(self.rng.choice((1, 100, 100_000)))

    def _dialled(self) -> None:
        if not any(one.state == "connecting" for one in self.reactor.connectors):
            return
        if self.rng.random() < 0.1:
            self.rig.refuse()
            return
        greeting = b"220 hello\r\n" if self.rng.random() < 0.03 else b""
        protocol = self.rig._next_connector().connected()
        wire, end = connect(self.reactor, protocol, self._kind, self._marks, greeting)
        answer = plain_answer if self._is_calm else random_answer
        self.instances.append(Instance(self.rng, wire, end, by_name=self._by_name, answer=answer))

    def _instance_acts(self) -> None:
        if not self.instances:
            return
        one = self.rng.choice(self.instances)
        way = self.rng.random()
        if way < (0.1 if one.is_idle else 0.02):
            if one.said is not None:
                one.said.was_cut_short = one.said.ends_with_connection
            one.leave() if self.rng.random() < 0.5 else one.half_close()
        else:
            if way < 0.7:
                one.read(1 << 20)
            one.act()

    def _report(self) -> None:
        ready = self.reactor.ready()
        if ready:
            self.reactor.report(*self.rng.choice(ready))

    def _report_all(self) -> None:
        for _ in range(1000):
            ready = self.reactor.ready()
            if not ready:
                return
            self.reactor.report(*self.rng.choice(ready))

    def _wait(self) -> None:
        for _ in range(self.rng.choice((1, 1, 1, 5, 15))):
            self.reactor.advance(self.rng.choice((0.01, 0.1, 0.45)))

    def _use_memory(self) -> None:
        self._memory = self.rng.choice((0, 900, 990))

    def _reconfigure(self) -> None:
        more = self._entities() if self.rng.random() < 0.7 else []
        self.rig.apply(*more)
        self._remember_states()

    def _drain(self) -> None:
        self.rig.plane.start_draining(self.rng.choice((0.5, 5.0)))

    # What holds at any time

    def check(self) -> None:
        """Check the gauges against what there is."""
        counters = self.rig.plane._state.counters
        open_clients = sum(one.wire.connected for one in self.clients)
        assert counters.connections_now == open_clients
        opening = sum(one.state == "connecting" for one in self.reactor.connectors)
        open_instances = sum(one.wire.connected for one in self.instances)
        assert counters.upstream_connections_now == opening + open_instances
        asked = [one.in_flight for one in self._states.values()]
        assert min(asked) >= 0, asked
        assert 0 <= sum(asked) <= counters.in_flight_now <= open_clients
        assert counters.upstream_queued_now >= 0

    # The end

    def _end(self) -> None:
        way = self.rng.choice(("silence", "silence", "politeness", "leaving", "stop"))
        if way == "stop":
            self.rig.plane.stop()
        if way in {"leaving", "stop"}:
            for one in [*self.clients, *self.instances]:
                one.leave()
        self._let_pass(is_polite=way == "politeness")
        self._judge()

    def _let_pass(self, *, is_polite: bool) -> None:
        """Let time pass until nothing is left, or every deadline has passed."""
        seconds = 0.0
        while not self._is_over():
            assert seconds < SILENCE_SECONDS, self._left()
            if is_polite:
                self._be_polite()
            self._report_all()
            self.reactor.advance(0.45)
            seconds += 0.45
            self.check()

    def _be_polite(self) -> None:
        for client in self.clients:
            client.read_all()
            client.send(1 << 20)
        for one in self.instances:
            one.read_all()
            one.be_polite()

    def _is_over(self) -> bool:
        return not self.rig.plane._state.sweeper.items and not self._left_now()

    def _left_now(self) -> dict[str, int]:
        counters = self.rig.plane._state.counters
        names = ("connections_now", "in_flight_now", "upstream_queued_now")
        left = {name: getattr(counters, name) for name in names}
        left["upstream_connections_now"] = counters.upstream_connections_now
        left["tunnels"] = len(self.rig.plane._state.tunnels)
        left["pools"] = len(self.rig.plane._state.pools)
        left["in_flight"] = sum(one.in_flight for one in self._states.values())
        return {name: number for name, number in left.items() if number}

    def _left(self) -> tuple[Any, ...]:
        items = [(one, one.deadline) for one in self.rig.plane._state.sweeper.items]
        wires = [
            one.wire.protocol for one in [*self.clients, *self.instances] if one.wire.connected
        ]
        return self._left_now(), items, wires, self.rig.plane._state.sweeper.now

    def _judge(self) -> None:
        state = self.rig.plane._state
        begun = int(state.new_request_id().split(b"-")[1], 16) - 1
        counted = sum(sum(counts.by_class) for counts in state.counters.routes.values())
        assert counted == begun, (counted, begun)
        for peer in [*self.clients, *self.instances]:
            peer.read_all()
        for client in self.clients:
            client.judge()
        self.rig.close()
        for peer in [*self.clients, *self.instances]:
            peer.leave()

    @contextlib.contextmanager
    def _logging(self) -> Iterator[None]:
        @provider(ILogObserver)
        def observe(event: dict[str, Any]) -> None:
            if event["log_level"] >= LogLevel.error or "log_failure" in event:
                self.failures.append(event.get("log_failure") or event)

        globalLogPublisher.addObserver(observe)
        try:
            yield
        finally:
            globalLogPublisher.removeObserver(observe)
