"""Services: who may be picked, for whom, and what survives a revision."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.balancing.instance import InstanceState
from fengling_gateway.balancing.service import HOST_OF_INSTANCE, Service
from tests.balancing.builders import make_instance, make_service, make_service_body

HEALTH = st.sampled_from(["unknown", "healthy", "unhealthy"])
STATE = st.sampled_from(["ready", "drain", "maintenance"])


def names(service: Service, tenant: str | None = None) -> str:
    return " ".join(state.id for state in service.candidates(tenant))


class CompiledServiceTests:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("client", None),
            ("instance", HOST_OF_INSTANCE),
            ("shop.internal", b"shop.internal"),
        ],
    )
    def test_host_header_says_whose_name_goes_upstream(
        self, given: str, expected: bytes | None
    ) -> None:
        """The client's, the instance's, or a name of its own."""
        assert make_service(host_header=given).host_header == expected

    def test_timeouts_are_floats(self) -> None:
        """Whole seconds in a body compile to what the request path adds up."""
        service = make_service(connect_timeout=1, first_byte_timeout=2, idle_timeout=3)
        timeouts = (service.connect_timeout, service.first_byte_timeout, service.idle_timeout)
        assert timeouts == (1.0, 2.0, 3.0)
        assert {type(timeout) for timeout in timeouts} == {float}

    def test_disabled_service_has_no_candidates(self) -> None:
        """Nothing is picked, and its instances keep their states."""
        service = make_service(make_instance(), enabled=False)
        assert service.pick(None, Random(1)) is None
        assert [state.id for state in service.states] == ["i"]
        assert repr(service) == "<Service s power_of_two instances=1>"

    def test_service_without_instances_has_none_to_pick(self) -> None:
        """Nobody is there."""
        assert make_service().pick(None, Random(1)) is None

    def test_what_is_said_of_tls_is_compiled(self) -> None:
        """Nothing, where nothing is said."""
        assert make_service().tls is None
        said = {"verify": False, "ca": "PEM", "client_certificate": "c1", "sni": "shop"}
        tls = make_service(tls=said).tls
        assert tls is not None
        assert (tls.verify, tls.ca, tls.client_certificate, tls.sni) == (False, "PEM", "c1", "shop")

    def test_service_is_settled_without_a_word_on_overrides(self) -> None:
        """There are none until somebody says so."""
        instance = make_instance()
        service = Service(make_service_body(), [instance], (InstanceState(instance),))
        assert service.pick(None, Random(1)) is None
        service.settle(Random(1))
        assert names(service) == "i"


class PickTests:
    def test_second_attempt_goes_to_somebody_else(self) -> None:
        """Who has just failed the request is not asked again, of shared and of dedicated ones."""
        service = make_service(
            *(make_instance(name) for name in "ab"),
            *(make_instance(name, tenant_id="t") for name in "cd"),
        )
        for tenant in (None, "t"):
            first, second = service.states[:2] if tenant is None else service.states[2:]
            for seed in range(9):
                assert service.pick(tenant, Random(seed), first) is second

    def test_nobody_is_left_for_a_second_attempt_at_the_only_one(self) -> None:
        """Then the first failure stands."""
        service = make_service(make_instance())
        assert service.pick(None, Random(1), service.states[0]) is None


class GroupTests:
    def test_ready_ones_of_one_tenant_stand_in_for_one_another(self) -> None:
        """Who drains stands in for nobody, and nobody for it; whoever is unhealthy does."""
        service = make_service(
            make_instance("a"),
            make_instance("b", "unhealthy"),
            make_instance("c", state="drain"),
            make_instance("d", tenant_id="t"),
        )
        groups = ["".join(one.id for one in service.group_of(state)) for state in service.states]
        assert groups == ["ab", "ab", "", "d"]

    def test_instance_that_has_moved_on_stands_in_for_nobody(self) -> None:
        """Its state knows already of a tenant that the service, as compiled, has nothing for."""
        service = make_service(make_instance())
        (state,) = service.states
        state.instance = state.instance._replace(tenant_id="t")
        assert service.group_of(state) == []


class AvailableTests:
    @pytest.mark.parametrize("given", [{"state": "drain"}, {"state": "maintenance"}, {"weight": 0}])
    def test_instance_that_is_not_ready_gets_nothing(self, given: dict[str, object]) -> None:
        """Even alone it gets nothing new."""
        assert names(make_service(make_instance("a"), make_instance("b", **given))) == "a"
        assert names(make_service(make_instance("b", **given))) == ""

    def test_unhealthy_minority_gets_nothing(self) -> None:
        """Half of the instances healthy is enough to do without the rest."""
        service = make_service(make_instance("a"), make_instance("b", "unhealthy"))
        assert names(service) == "a"

    def test_below_half_healthy_all_ready_are_used(self) -> None:
        """One of three is panic; who drains still gets nothing."""
        service = make_service(
            make_instance("a"),
            make_instance("b", "unhealthy"),
            make_instance("c", "unhealthy"),
            make_instance("d", state="drain"),
        )
        assert names(service) == "a b c"

    def test_panic_counts_instances_not_weights(self) -> None:
        """A heavy healthy instance does not outvote two light ones."""
        service = make_service(
            make_instance("a", weight=1000),
            make_instance("b", "unhealthy"),
            make_instance("c", "unhealthy"),
        )
        assert names(service) == "a b c"

    @given(st.lists(st.tuples(HEALTH, STATE, st.integers(0, 3)), max_size=7))
    def test_candidates_are_as_the_rule_says(self, drawn: list[tuple[str, str, int]]) -> None:
        """Ready ones only; healthy ones only unless fewer than half of the ready ones are."""
        instances = [
            make_instance(f"i{number}", health, state=state, weight=weight)
            for number, (health, state, weight) in enumerate(drawn)
        ]
        ready = [one for one in instances if one.state == "ready" and one.weight]
        healthy = [one for one in ready if one.health != "unhealthy"]
        expected = ready if 2 * len(healthy) < len(ready) else healthy
        service = make_service(*instances)
        assert names(service) == " ".join(one.id for one in expected)
        assert service.available == len(healthy)

    def test_available_ones_of_all_tenants_are_counted_anew_each_time(self) -> None:
        """Spilling or not; of a service that is switched off there are none."""
        instances = (
            make_instance("a"),
            make_instance("b", tenant_id="t1"),
            make_instance("c", "unhealthy", tenant_id="t2"),
        )
        assert make_service(*instances).available == 2
        service = make_service(*instances, tenant_spill=True)
        service.states[1].ejected_until = 1.0
        service.settle(Random(1))
        assert service.available == 1
        assert make_service(*instances, enabled=False).available == 0


class TenantTests:
    def test_dedicated_instances_serve_their_tenant_only(self) -> None:
        """A tenant with instances of its own gets those, everybody else the shared ones."""
        service = make_service(make_instance("a"), make_instance("b", tenant_id="t1"))
        assert names(service, "t1") == "b"
        assert names(service, "t2") == "a"
        assert names(service) == "a"
        assert {service.pick("t1", Random(seed)).id for seed in range(9)} == {"b"}  # type: ignore[union-attr]

    def test_tenant_whose_instances_are_all_out_gets_nothing(self) -> None:
        """Without spill, a dedicated tenant stays off the shared instances."""
        service = make_service(
            make_instance("a"), make_instance("b", tenant_id="t1", state="drain")
        )
        assert service.pick("t1", Random(1)) is None

    def test_unhealthy_dedicated_instances_are_used_in_panic(self) -> None:
        """Without spill, all unhealthy is panic within the dedicated ones."""
        service = make_service(make_instance("a"), make_instance("b", "unhealthy", tenant_id="t1"))
        assert names(service, "t1") == "b"

    @pytest.mark.parametrize(("health", "state"), [("healthy", "drain"), ("unhealthy", "ready")])
    def test_spill_opens_the_shared_instances(self, health: str, state: str) -> None:
        """With spill, a tenant with no ready and healthy instance of its own gets the shared ones."""
        dedicated = make_instance("b", health, tenant_id="t1", state=state)
        assert names(make_service(make_instance("a"), dedicated, tenant_spill=True), "t1") == "a"

    @pytest.mark.parametrize("shared", [{"health": "unhealthy"}, {"state": "drain"}])
    def test_tenant_does_not_spill_to_where_nobody_is_healthy(self, shared: dict[str, str]) -> None:
        """Its own are used in panic, and those of all others are left to them."""
        service = make_service(
            make_instance("a", **shared),
            make_instance("b", "unhealthy", tenant_id="t1"),
            make_instance("c", "unhealthy", tenant_id="t1"),
            tenant_spill=True,
        )
        assert names(service, "t1") == "b c"

    def test_tenant_with_nobody_ready_spills_to_whoever_is(self) -> None:
        """It has nothing else; without spill, it gets nothing."""
        for state in ("drain", "maintenance"):
            own = make_instance("b", tenant_id="t1", state=state)
            shared = make_instance("a", "unhealthy")
            assert names(make_service(shared, own, tenant_spill=True), "t1") == "a"
            assert names(make_service(shared, own), "t1") == ""

    def test_tenant_spills_when_somebody_is_healthy_again(self) -> None:
        """And is back with its own when one of them is."""
        instances = [
            make_instance("a", "unhealthy"),
            make_instance("b", "unhealthy", tenant_id="t"),
        ]
        service = make_service(*instances, tenant_spill=True)
        assert names(service, "t") == "b"
        instances[0] = make_instance("a")
        service = make_service(*instances, previous=service, tenant_spill=True)
        assert names(service, "t") == "a"
        instances[1] = make_instance("b", tenant_id="t")
        service = make_service(*instances, previous=service, tenant_spill=True)
        assert names(service, "t") == "b"

    def test_spill_leaves_a_served_tenant_where_it_is(self) -> None:
        """One dedicated instance in order is enough."""
        service = make_service(
            make_instance("a"),
            make_instance("b", tenant_id="t1"),
            make_instance("c", "unhealthy", tenant_id="t1"),
            tenant_spill=True,
        )
        assert names(service, "t1") == "b"

    def test_only_dedicated_instances_serve_nobody_else(self) -> None:
        """Without shared instances others have none."""
        service = make_service(make_instance("b", tenant_id="t1"))
        assert service.pick(None, Random(1)) is None


class RevisionTests:
    def test_turns_go_on_while_weights_are_equal(self) -> None:
        """A revision that changes something else does not give anybody a turn twice."""
        rng = Random(1)
        instances = [make_instance("a", weight=3), make_instance("b", weight=1)]
        service = make_service(*instances, balancing="weighted_round_robin")
        picked = Counter[str]()
        for revision in range(8):
            picked[service.pick(None, rng).id] += 1  # type: ignore[union-attr]
            service = make_service(
                *instances,
                previous=service,
                seed=revision,
                balancing="weighted_round_robin",
                idle_timeout=float(revision),
            )
        assert picked == {"a": 6, "b": 2}

    def test_other_weights_begin_a_new_cycle(self) -> None:
        """A cycle of other weights is exact from its first turn."""
        rng = Random(1)
        first = make_service(
            make_instance("a", weight=3), make_instance("b"), balancing="weighted_round_robin"
        )
        first.pick(None, rng)
        second = make_service(
            make_instance("a"),
            make_instance("b"),
            previous=first,
            balancing="weighted_round_robin",
        )
        picked = [second.pick(None, rng).id for _ in range(4)]  # type: ignore[union-attr]
        assert Counter(picked) == {"a": 2, "b": 2}

    def test_other_policy_makes_another_choice(self) -> None:
        """The same candidates are chosen from in the new way."""
        instances = [make_instance("a", weight=9), make_instance("b")]
        first = make_service(*instances, balancing="weighted_round_robin")
        second = make_service(*instances, previous=first, balancing="round_robin")
        picked = [second.pick(None, Random(1)).id for _ in range(4)]  # type: ignore[union-attr]
        assert Counter(picked) == {"a": 2, "b": 2}

    def test_dedicated_turns_go_on_too(self) -> None:
        """Each group of a service keeps its own place."""
        instances = [make_instance(name, tenant_id="t1") for name in "ab"]
        first = make_service(*instances, balancing="round_robin")
        one = first.pick("t1", Random(1))
        second = make_service(*instances, previous=first, seed=2, balancing="round_robin")
        assert second.pick("t1", Random(1)) is not one
