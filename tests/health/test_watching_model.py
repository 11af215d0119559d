"""Whatever happens in whatever order: in the end the table says of everybody what is so."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.internet.task import Clock

from fengling_gateway.health.outcomes import Failed, Outcome, Passed
from fengling_gateway.health.table import Known, Term
from fengling_gateway.health.targets import Target
from fengling_gateway.health.verdicts import MAX_HOLD_SECONDS, Report
from fengling_gateway.health.watched import World
from fengling_gateway.health.watching import ECHO_SECONDS, Watch
from fengling_gateway.health.writing import Finding
from tests.health.builders import Configuration

CHECK = {"interval": "5s", "timeout": "1s", "rise": 2, "fall": 2}
names = st.sampled_from(["a", "b", "c"])
services = st.sampled_from(["checked", "checked", "checked", "plain"])
places = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"])


class Probe:
    def __init__(self, world: Simulation, target: Target, done: Callable[[Outcome], None]) -> None:
        self.world, self.target, self.done = world, target, done

    def start(self) -> None:
        self.world.running.append(self)

    def cancel(self) -> None:
        if self in self.world.running:
            self.world.running.remove(self)


class Simulation(RuleBasedStateMachine):
    """A watch among instances that come and go, operators, other writers, and a slow mirror."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.configuration = Configuration()
        self.running: list[Probe] = []
        self.up: set[str] = set()
        self.table: dict[str, tuple[str, str, str | None, bool]] = {}
        self.unheard: list[str] = []
        self.waiting: set[str] = set()
        self.term = 1
        self.is_probing = True
        self.watch = Watch(
            World(self.clock, self.clock.seconds, Random(1)),
            configuration=self.configuration,
            prober=self,
            verdicts=self,
            may_judge=lambda: self.is_probing,
            limit=2,
        )
        self.configuration.put("service", "checked", health_check=CHECK)
        self.configuration.put("service", "plain")
        for number, name in enumerate("abc"):
            self.write_instance(name, f"10.0.0.{number + 1}", "checked")
        self.watch.begin(Term(1, (), ()), goes_on=False)
        self.configuration.when_changed(self.follow)

    def follow(self, keys: object) -> None:
        if self.is_probing:
            self.watch.follow(keys)  # type: ignore[arg-type]

    # What a watch needs

    def new(self, target: Target, done: Callable[[Outcome], None]) -> Probe:
        return Probe(self, target, done)

    def release(self, target: Target) -> None: ...

    def __contains__(self, instance_id: str) -> bool:
        return False

    def put(self, finding: Finding) -> None:
        """Write it; the configuration will have it after a while."""
        name = finding.instance_id
        if name not in self.configuration.bodies["instance"]:
            return
        if finding.health is None:
            if name in self.table and self.table[name][3]:
                del self.table[name]
        else:
            self.table[name] = finding.health, finding.reason, finding.address, True
        self.unheard.append(name)

    # What happens

    @rule(name=names, place=places, service=services)
    def write_instance(self, name: str, place: str, service: str) -> None:
        self.configuration.put("instance", name, service_id=service, address=f"http://{place}:80")

    @rule(name=names, state=st.sampled_from(["ready", "ready", "maintenance"]))
    def set_state(self, name: str, state: str) -> None:
        if name in self.configuration.bodies["instance"]:
            self.configuration.change("instance", name, state=state)

    @rule(name=names)
    def delete_instance(self, name: str) -> None:
        if name in self.configuration.bodies["instance"]:
            self.table.pop(name, None)
            self.configuration.drop("instance", name)
            if name in self.configuration.bodies["instance_health"]:
                self.configuration.drop("instance_health", name)

    @rule(checked=st.sampled_from([True, True, False]))
    def switch_check(self, checked: bool) -> None:
        self.configuration.change("service", "checked", health_check=CHECK if checked else None)

    @rule(place=places)
    def come_or_go(self, place: str) -> None:
        self.up ^= {f"http://{place}:80"}

    @rule(name=names, failures=st.integers(0, 9), ejected=st.booleans())
    def report(self, name: str, failures: int, ejected: bool) -> None:
        if self.is_probing:
            self.watch.hear("n", {name: Report(failures, 3, "x", ejected)})

    @rule(name=names, health=st.sampled_from(["healthy", "unhealthy"]))
    def somebody_writes(self, name: str, health: str) -> None:
        if name in self.configuration.bodies["instance"]:
            # (A row that is there keeps its address.)
            before = self.table.get(name)
            self.table[name] = (health, "by hand", before and before[2], bool(before and before[3]))
            self.unheard.append(name)

    @rule()
    def hear(self) -> None:
        """The mirror has caught up."""
        unheard, self.unheard = self.unheard, []
        for name in unheard:
            row = self.table.get(name)
            if row is not None:
                self.configuration.put("instance_health", name, health=row[0], reason=row[1])
            elif name in self.configuration.bodies["instance_health"]:
                self.configuration.drop("instance_health", name)

    @rule(goes_on=st.booleans(), others=st.booleans())
    def another_term(self, goes_on: bool, others: bool) -> None:
        self.is_probing = False
        self.watch.end()
        assert self.running == []
        assert self.clock.getDelayedCalls() == []
        if others and not goes_on:
            for name in self.table:
                self.somebody_writes(name, "unhealthy")
        self.clock.advance(4)
        self.term += 1
        rows = [
            Known(name, health, reason, 1.0, 1 if ours else None, address)
            for name, (health, reason, address, ours) in self.table.items()
        ]
        self.is_probing = True
        self.watch.begin(Term(self.term, tuple(rows), ()), goes_on=goes_on)

    @rule(seconds=st.integers(1, 20))
    def wait(self, seconds: int) -> None:
        for _ in range(2 * seconds):
            self.clock.advance(0.5)
            while self.running:
                probe = self.running.pop()
                is_up = probe.target.address in self.up
                probe.done(Passed("x", 0.1) if is_up else Failed("x", 0.1))

    # What is always so

    @invariant()
    def everybody_has_a_turn(self) -> None:
        assert self.watch.watched.keys() == self.watch.targets.by_id.keys()
        for name, watched in self.watch.watched.items():
            is_running = any(probe.target.id == name for probe in self.running)
            assert is_running or self.watch.next_probe(name) is not None
            assert watched.target == self.watch.targets.by_id[name]

    def teardown(self) -> None:
        """Left alone, with a mirror that keeps up, the table becomes true."""
        self.hear()
        self.wait(int(ECHO_SECONDS))
        self.hear()
        for _ in range(3):
            self.wait(int(MAX_HOLD_SECONDS / 2))
            self.hear()
        for name, target in self.watch.targets.by_id.items():
            expected = "healthy" if target.address in self.up else "unhealthy"
            assert self.table[name][0] == expected, (name, self.table[name])
            assert self.watch.watched[name].standing.health == expected
        for name, row in self.table.items():
            if name not in self.watch.targets.by_id and name not in self.watch.targets.idle:
                assert row[1] == "by hand", row


SimulationTests = Simulation.TestCase
SimulationTests.settings = settings(stateful_step_count=40, max_examples=100)
