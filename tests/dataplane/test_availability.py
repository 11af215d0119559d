"""What a worker tells of how many instances its services have, and how many get requests."""

from __future__ import annotations

from random import Random

import pytest

from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.dataplane.availability import MAX_SHORT, SERVICES_AT_ONCE, Availability
from fengling_gateway.dataplane.counters import OTHER
from fengling_gateway.routing.snapshot import CompileContext, Snapshot
from tests.dataplane.snapshots import Entity, instance, make_snapshot, service
from tests.dataplane.test_ejection import EjectionCase


def snapshot_of(*names: str, short: frozenset[str] = frozenset()) -> Snapshot:
    """Services of two instances each, of which some have one drained."""
    entities: list[Entity] = []
    for name in names:
        state = "drain" if name in short else "ready"
        entities += [
            service(name),
            instance(f"{name}-1", service_id=name),
            instance(f"{name}-2", service_id=name, state=state),
        ]
    return make_snapshot(*entities, context=CompileContext(Random(1), UpstreamNetworks()))


def looked(
    snapshot: Snapshot, *, most: int, measured: frozenset[str] = frozenset()
) -> dict[str, list[int]]:
    availability = Availability(most)
    for _ in range(1 + len(snapshot.services) // SERVICES_AT_ONCE):
        availability.look(snapshot, measured)
    return availability.standings


class AvailabilityTests:
    def test_services_are_told_of_by_name(self) -> None:
        """Also those that nobody has asked for yet."""
        found = looked(snapshot_of("a", "b", short=frozenset("b")), most=10)
        assert found == {"a": [2, 2], "b": [2, 1]}

    def test_services_that_are_switched_off_are_not(self) -> None:
        """Nobody misses their instances."""
        snapshot = make_snapshot(service("s", enabled=False), instance(service_id="s"))
        assert looked(snapshot, most=10) == {}

    def test_where_there_are_many_the_others_are_told_together(self) -> None:
        """Whoever has histograms has a name, however late it comes."""
        names = [f"s{number}" for number in range(9)]
        found = looked(snapshot_of(*names), most=3, measured=frozenset({"s7"}))
        assert found == {"s0": [2, 2], "s1": [2, 2], "s7": [2, 2], OTHER: [12, 12]}

    def test_whoever_lacks_instances_has_a_name(self) -> None:
        """Among hundreds that are whole nobody would see it."""
        found = looked(snapshot_of("a", "b", "c", short=frozenset("c")), most=1)
        assert found == {"a": [2, 2], "c": [2, 1], OTHER: [2, 2]}

    def test_not_all_of_many_that_lack_some_have_names(self) -> None:
        """Series are bounded, whatever has failed."""
        names = [f"s{number}" for number in range(MAX_SHORT + 5)]
        found = looked(snapshot_of(*names, short=frozenset(names)), most=0)
        assert len(found) == MAX_SHORT + 1
        assert found[OTHER] == [10, 5]

    def test_service_that_is_called_other_makes_no_second_series(self) -> None:
        """It is one of the others."""
        assert looked(snapshot_of(OTHER, "a"), most=10) == {"a": [2, 2], OTHER: [2, 2]}

    @pytest.mark.parametrize("extra", [0, 1])
    def test_many_services_are_looked_at_some_at_a_time(self, extra: int) -> None:
        """What is told is of the last whole look, also while the configuration changes."""
        names = [f"s{number}" for number in range(SERVICES_AT_ONCE + extra)]
        snapshot, availability = snapshot_of(*names), Availability(10_000)
        availability.look(snapshot, ())
        assert availability.standings == {}
        availability.look(Snapshot.empty(), ())
        assert len(availability.standings) == len(names)
        availability.look(Snapshot.empty(), ())
        assert availability.standings == {}


class EjectedTests(EjectionCase):
    def test_ejected_instance_is_missing_until_it_is_back(self) -> None:
        """So is an unhealthy one; and both are configured."""
        rig = self.two()
        rig.advance(0.1)
        assert rig.counters()["instances_now"] == {"s": [2, 2]}
        self.fail_some(rig)
        rig.advance(0.1)
        assert rig.counters()["instances_now"] == {"s": [2, 1]}
        rig.advance(60)
        assert rig.counters()["instances_now"] == {"s": [2, 2]}
        self.report(rig, "unhealthy")
        rig.advance(0.1)
        assert rig.counters()["instances_now"] == {"s": [2, 1]}
