"""The ways of choosing an instance."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.balancing.choices import POLICIES, Choice, compile_choice
from fengling_gateway.balancing.instance import InstanceState
from tests.balancing.builders import make_states

POLICY = st.sampled_from(sorted(POLICIES))


def choice_of(policy: str, *weights: int) -> Choice:
    choice = compile_choice(policy, make_states(*weights), Random(1))
    assert choice is not None
    return choice


def picks(choice: Choice, count: int, exclude: InstanceState | None = None) -> Counter[str]:
    rng = Random(7)
    picked = [choice.pick(rng, exclude) for _ in range(count)]
    return Counter(state.id for state in picked if state is not None)


def load(choice: Choice, *in_flight: int) -> None:
    for (state, _), number in zip(choice.candidates, in_flight, strict=True):
        state.in_flight = number


def serve(choice: Choice, count: int, concurrency: int) -> dict[str, float]:
    """Let `choice` place requests of equal length, so many at a time; return the shares."""
    rng = Random(11)
    running: list[InstanceState] = []
    counted = Counter[str]()
    for _ in range(count):
        if len(running) == concurrency:
            running.pop(rng.randrange(concurrency)).in_flight -= 1
        state = choice.pick(rng, None)
        assert state is not None
        state.in_flight += 1
        running.append(state)
        counted[state.id] += 1
    return {name: number / count for name, number in counted.items()}


class EveryPolicyTests:
    @given(POLICY, st.lists(st.integers(1, 9), max_size=6), st.data())
    def test_excluded_instance_is_never_picked(
        self, policy: str, weights: list[int], data: st.DataObject
    ) -> None:
        """A second attempt goes to somebody else, or nowhere where there is nobody else."""
        choice = compile_choice(policy, make_states(*weights), Random(1))
        if choice is None:
            assert not weights
            return
        states = [state for state, _ in choice.candidates]
        for state in states:
            state.in_flight = data.draw(st.integers(0, 3))
        exclude = data.draw(st.sampled_from(states))
        picked = {choice.pick(Random(seed), exclude) for seed in range(20)}
        assert exclude not in picked
        assert (None in picked) == (len(states) == 1)

    @pytest.mark.parametrize("policy", sorted(POLICIES))
    def test_only_candidate_is_picked(self, policy: str) -> None:
        """With one candidate there is nothing to choose."""
        assert picks(choice_of(policy, 5), 3) == {"i0": 3}

    @pytest.mark.parametrize("policy", sorted(POLICIES))
    def test_idle_instances_of_equal_weight_share_evenly(self, policy: str) -> None:
        """Where nothing tells candidates apart, each gets its part."""
        counted = picks(choice_of(policy, 1, 1, 1, 1), 4000)
        assert all(880 < counted[f"i{number}"] < 1120 for number in range(4))

    @pytest.mark.parametrize(
        "policy", ["power_of_two", "least_requests", "random", "weighted_round_robin"]
    )
    def test_idle_instances_share_by_weight(self, policy: str) -> None:
        """One request at a time is shared out by weight: the light one is not starved."""
        counted = picks(choice_of(policy, 90, 10), 4000)
        assert 330 < counted["i1"] < 470

    @pytest.mark.parametrize(
        "policy", ["power_of_two", "least_requests", "random", "weighted_round_robin"]
    )
    def test_each_of_several_has_its_share(self, policy: str) -> None:
        """First, last or between."""
        counted = picks(choice_of(policy, 5, 1, 4), 4000)
        assert 1880 < counted["i0"] < 2120
        assert 330 < counted["i1"] < 470
        assert 1480 < counted["i2"] < 1720

    def test_second_attempt_goes_to_the_least_loaded(self) -> None:
        """The best chance for a retry is whoever has least to do for its weight."""
        choice = choice_of("round_robin", 1, 1, 4)
        load(choice, 1, 2, 3)
        excluded = choice.candidates[0][0]
        counted = picks(choice, 300, excluded)
        assert counted["i2"] > counted["i1"] > 0

    @pytest.mark.parametrize("weights", [(1, 1, 1), (2, 1, 3)])
    @pytest.mark.parametrize("policy", sorted(POLICIES))
    def test_second_attempt_always_finds_somebody(
        self, policy: str, weights: tuple[int, ...]
    ) -> None:
        """Whoever has failed may be the one that the policy prefers: idle, and at its turn."""
        choice = choice_of(policy, *weights)
        load(choice, 0, 9, 1)
        found = picks(choice, 60, choice.candidates[0][0])
        assert found["i1"] + found["i2"] == 60

    def test_second_attempt_counts_itself(self) -> None:
        """Load is what it would be with this request, for the weight."""
        choice = choice_of("round_robin", 1, 1, 4)
        excluded = choice.candidates[0][0]
        load(choice, 0, 0, 4)  # one of 1, or five of 4
        counted = picks(choice, 30, excluded)
        assert counted == {"i1": 20, "i2": 10}
        load(choice, 0, 1, 5)  # two of 1, or six of 4
        counted = picks(choice, 30, excluded)
        assert counted == {"i1": 10, "i2": 20}

    def test_no_candidates_make_no_choice(self) -> None:
        """Where nobody may be picked there is nothing to ask."""
        assert compile_choice("random", [], Random(1)) is None


class PowerOfTwoTests:
    def test_busier_of_two_is_never_picked(self) -> None:
        """Both candidates are drawn, and the one with less in flight is taken."""
        choice = choice_of("power_of_two", 1, 1)
        load(choice, 4, 3)
        assert picks(choice, 200) == {"i1": 200}

    def test_busiest_of_many_is_never_picked(self) -> None:
        """It loses against whoever is drawn with it."""
        choice = choice_of("power_of_two", 1, 1, 1, 1)
        load(choice, 1, 2, 9, 3)
        counted = picks(choice, 2000)
        assert "i2" not in counted
        assert counted["i0"] > counted["i1"] > counted["i3"] > 0

    def test_two_different_candidates_are_drawn(self) -> None:
        """Each pair is as likely as any other."""
        choice = choice_of("power_of_two", 1, 1, 1)
        load(choice, 1, 2, 3)
        counted = picks(choice, 3000)
        # i0 wins two of the three pairs, i1 one.
        assert 1900 < counted["i0"] < 2100
        assert 900 < counted["i1"] < 1100

    @pytest.mark.parametrize("concurrency", [1, 2, 4, 16, 64])
    def test_shares_follow_weights_at_any_load(self, concurrency: int) -> None:
        """A light instance gets about its share of requests, however many run at a time."""
        shares = serve(choice_of("power_of_two", 90, 10), 5000, concurrency)
        assert 0.07 < shares["i1"] < 0.19

    def test_heavy_instance_with_room_is_preferred(self) -> None:
        """Two of 3 are less than one of 1: the light one gets what is drawn for it twice."""
        choice = choice_of("power_of_two", 3, 1)
        load(choice, 2, 1)
        assert picks(choice, 1000)["i1"] < 120

    def test_overloaded_heavy_instance_yields(self) -> None:
        """Load counts for its weight: 30 of 3 is more than 5 of 1."""
        choice = choice_of("power_of_two", 3, 1)
        load(choice, 30, 5)
        assert picks(choice, 1000)["i1"] > 350


class InTurnTests:
    @given(st.lists(st.integers(1, 20), min_size=2, max_size=6))
    def test_weighted_round_robin_is_exact_over_a_cycle(self, weights: list[int]) -> None:
        """Among any as many requests as the weights add up to, each gets its weight."""
        choice = choice_of("weighted_round_robin", *weights)
        expected = {f"i{number}": weight for number, weight in enumerate(weights)}
        assert picks(choice, sum(weights)) == expected
        assert picks(choice, sum(weights)) == expected

    def test_round_robin_does_not_ask_for_weights(self) -> None:
        """Everyone has one turn a cycle."""
        assert picks(choice_of("round_robin", 9, 1, 4), 6) == {"i0": 2, "i1": 2, "i2": 2}


class LeastRequestsTests:
    def test_least_loaded_is_picked(self) -> None:
        """Whoever has the fewest requests in flight gets the next."""
        choice = choice_of("least_requests", 1, 1, 1)
        load(choice, 3, 1, 2)
        assert picks(choice, 30) == {"i1": 30}

    def test_load_counts_for_its_weight(self) -> None:
        """Four of weight 4 are less than two of weight 1."""
        choice = choice_of("least_requests", 4, 1)
        load(choice, 4, 2)
        assert picks(choice, 30) == {"i0": 30}

    def test_equally_loaded_ones_take_turns(self) -> None:
        """Nobody gets all requests for being the first or the last of them."""
        choice = choice_of("least_requests", 1, 1, 1)
        load(choice, 2, 2, 2)
        assert picks(choice, 30) == {"i0": 10, "i1": 10, "i2": 10}
