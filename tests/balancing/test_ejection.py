"""Who is ejected, for how long, and what ends it: against a model that replays all that was."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.balancing.ejection import GATEWAY_ERRORS, MAX_SECONDS, NEVER, Ejections
from fengling_gateway.balancing.ejection_policy import EjectionPolicy, compile_ejection
from fengling_gateway.balancing.instance import InstanceState
from fengling_gateway.balancing.overrides import NO_OVERRIDES, Overrides
from fengling_gateway.balancing.service import Service, compile_service
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.model.ejection import DEFAULT_EJECTION
from tests.balancing.builders import make_instance, make_service_body

POLICY = EjectionPolicy(**DEFAULT_EJECTION)


def make(
    count: int,
    policy: EjectionPolicy | None = POLICY,
    overrides: Overrides = NO_OVERRIDES,
    **given: Any,
) -> Service:
    """A service of instances 0, 1, …"""
    instances = [make_instance(str(number), **given) for number in range(count)]
    states = tuple(InstanceState(one) for one in instances)
    return compile_service(
        make_service_body(), instances, states, Random(1), ejection=policy, overrides=overrides
    )


def fail(ejections: Ejections, service: Service, index: int, times: int, now: float = 0.0) -> bool:
    """Fail so often; whether the last one ejected."""
    return [ejections.failed(service.states[index], service, None, now) for _ in range(times)][-1]


def candidates(service: Service) -> str:
    return "".join(state.id for state in service.candidates(None))


class EjectionTests:
    def test_failures_in_a_row_eject_for_a_while(self) -> None:
        """Five, by default for half a minute."""
        ejections, service = Ejections(), make(4)
        assert not fail(ejections, service, 2, 4)
        assert fail(ejections, service, 2, 1, now=10.0)
        service.settle(Random(1))
        assert (candidates(service), ejections.due) == ("013", 40.0)
        assert ejections.reactivate(39.9) == []
        assert ejections.reactivate(40.0) == [service.states[2]]
        service.settle(Random(1))
        assert (candidates(service), ejections.due) == ("0123", NEVER)

    def test_answer_begins_the_count_anew(self) -> None:
        """Whatever its status: only what fails in a row counts."""
        ejections, service = Ejections(), make(2)
        fail(ejections, service, 0, 4)
        ejections.answered(service.states[0])
        assert not fail(ejections, service, 0, 4)
        assert fail(ejections, service, 0, 1)

    def test_next_failure_after_reactivation_ejects_for_longer(self) -> None:
        """One client finds out that it is as before, not five; never for more than five minutes."""
        ejections, service = Ejections(), make(2)
        fail(ejections, service, 0, 5)
        now, seconds = ejections.due, []
        for _ in range(12):
            assert len(ejections.reactivate(now)) == 1
            assert fail(ejections, service, 0, 1, now)
            seconds.append(ejections.due - now)
            now = ejections.due
        assert seconds == [min(30.0 * n, MAX_SECONDS) for n in range(2, 14)]

    def test_answer_after_reactivation_begins_the_row_anew(self) -> None:
        """It takes five failures again, and the first time is short again."""
        ejections, service = Ejections(), make(2)
        fail(ejections, service, 0, 5)
        ejections.reactivate(30.0)
        ejections.answered(service.states[0])
        assert not fail(ejections, service, 0, 4, 30.0)
        assert fail(ejections, service, 0, 1, 30.0)
        assert ejections.due == 60.0

    @pytest.mark.parametrize(("count", "most"), [(1, 0), (2, 1), (3, 1), (4, 2), (7, 3)])
    def test_no_more_than_a_share_is_ejected(self, count: int, most: int) -> None:
        """Half of those that stand in for one another, however many fail; who is alone never is."""
        ejections, service = Ejections(), make(count)
        for index in range(count):
            fail(ejections, service, index, 9)
        assert len(ejections.ejected) == most
        service.settle(Random(1))
        assert len(candidates(service)) == count - most

    def test_place_that_gets_free_goes_to_the_next_that_fails(self) -> None:
        """Its failures have counted all the while."""
        ejections, service = Ejections(), make(2)
        fail(ejections, service, 0, 5)
        assert not fail(ejections, service, 1, 7)
        ejections.reactivate(30.0)
        assert fail(ejections, service, 1, 1, 30.0)

    def test_ejection_is_never_what_causes_panic(self) -> None:
        """Of four of which two are reported unhealthy, the others stay, whatever they do."""
        instances = [
            make_instance(str(number), "unhealthy" if number > 1 else "healthy")
            for number in range(4)
        ]
        states = tuple(InstanceState(one) for one in instances)
        service = compile_service(
            make_service_body(), instances, states, Random(1), ejection=POLICY
        )
        ejections = Ejections()
        assert not fail(ejections, service, 0, 9)
        service.settle(Random(1))
        assert candidates(service) == "01"
        service.settle(Random(1), overrides=Overrides(health_is_stale=True))
        assert fail(ejections, service, 0, 1)
        service.settle(Random(1))
        assert candidates(service) == "123"

    def test_only_those_who_may_be_sent_to_make_a_share(self) -> None:
        """Who drains or is switched off stands in for nobody; neither do another tenant's."""
        assert not fail(Ejections(), make(2, overrides=Overrides(instances=frozenset("1"))), 0, 9)
        instances = [
            make_instance("0"),
            make_instance("1", state="drain"),
            make_instance("2", tenant_id="t"),
            make_instance("3", tenant_id="t"),
        ]
        states = tuple(InstanceState(one) for one in instances)
        service = compile_service(
            make_service_body(), instances, states, Random(1), ejection=POLICY
        )
        ejections = Ejections()
        assert [fail(ejections, service, index, 5) for index in range(4)] == [
            *(False, False),
            *(True, False),
        ]

    def test_ejected_count_as_unhealthy_in_the_panic_rule(self) -> None:
        """Below half healthy all are used: one of four is ejected, then two are reported unhealthy."""
        instances = [make_instance(str(n), "unhealthy" if n > 1 else "healthy") for n in range(4)]
        states = tuple(InstanceState(one) for one in instances)
        service = compile_service(
            make_service_body(),
            instances,
            states,
            Random(1),
            ejection=POLICY,
            overrides=Overrides(health_is_stale=True),
        )
        assert fail(Ejections(), service, 0, 5)
        service.settle(Random(1))
        assert candidates(service) == "123"
        service.settle(Random(1), overrides=NO_OVERRIDES)
        assert candidates(service) == "0123"

    def test_nobody_is_ejected_without_a_policy(self) -> None:
        """Null is off."""
        assert not fail(Ejections(), make(4, None), 0, 99)

    def test_failure_of_a_service_that_is_gone_ejects_nobody(self) -> None:
        """It is counted, for whoever comes back."""
        ejections, service = Ejections(), make(4)
        state = service.states[0]
        assert not any(ejections.failed(state, None, None, 0.0) for _ in range(9))
        assert state.failures == 9
        assert ejections.failed(state, service, None, 0.0)

    def test_ejections_tell_how_many_they_are(self) -> None:
        """In a log."""
        ejections, service = Ejections(), make(2)
        assert repr(ejections) == "<Ejections of 0>"
        fail(ejections, service, 0, 5)
        assert repr(ejections) == "<Ejections of 1>"

    def test_policy_is_compiled_of_what_is_effective(self) -> None:
        """As canonical bodies have it."""
        assert compile_ejection({"ejection": DEFAULT_EJECTION}) == POLICY
        assert compile_ejection({"ejection": None}) is compile_ejection({}) is None

    def test_tunnels_and_whoever_is_not_to_blame_count_nothing(self) -> None:
        """How tunnels end is between client and instance; clients that leave are no failures."""
        for error in ForwardError:
            if error in GATEWAY_ERRORS:
                assert error.blames_instance
        assert ForwardError.CONNECT_FAILED in GATEWAY_ERRORS
        assert ForwardError.FIRST_BYTE_TIMEOUT in GATEWAY_ERRORS
        assert ForwardError.TUNNEL_IDLE_TIMEOUT not in GATEWAY_ERRORS
        assert ForwardError.CLIENT_GONE not in GATEWAY_ERRORS
        assert ForwardError.UPSTREAM_BUSY not in GATEWAY_ERRORS


class AppliedTests:
    def ejected(self, report: bytes | None = b"was") -> tuple[Ejections, Service]:
        ejections, service = Ejections(), make(2)
        for _ in range(5):
            ejections.failed(service.states[0], service, report, 0.0)
        return ejections, service

    def apply(self, ejections: Ejections, service: Service | None, report: bytes | None) -> int:
        return len(ejections.applied(lambda _: service, lambda _: report))

    def test_newer_word_that_it_is_healthy_ends_it(self) -> None:
        """And begins anew; one that was known before the ejection does not."""
        ejections, service = self.ejected()
        assert self.apply(ejections, service, b"was") == 0
        assert self.apply(ejections, service, b"is") == 1
        state = service.states[0]
        assert (state.ejected_until, state.failures, state.ejections) == (0.0, 0, 0)
        assert ejections.due == NEVER

    def test_word_that_it_is_unhealthy_makes_the_next_one_newer(self) -> None:
        """Even if that says what was said before."""
        ejections, service = self.ejected()
        state = service.states[0]
        state.instance = state.instance._replace(health="unhealthy")
        assert self.apply(ejections, service, b"sick") == 0
        state.instance = state.instance._replace(health="healthy")
        assert self.apply(ejections, service, b"was") == 1

    def test_word_that_was_known_stays_known(self) -> None:
        """However often the configuration changes meanwhile."""
        ejections, service = self.ejected()
        assert [self.apply(ejections, service, b"was") for _ in range(3)] == [0, 0, 0]

    def test_each_is_judged_by_its_own_service_and_report(self) -> None:
        """One is healthy again, one's service ejects nobody any more; the third waits."""
        ejections = Ejections()
        services = {str(number): make(2) for number in range(3)}
        states = {name: service.states[0] for name, service in services.items()}
        for name, state in states.items():
            for _ in range(5):
                ejections.failed(state, services[name], b"was", float(name))
        services["1"].ejection = None
        reports = {"0": b"is", "1": b"was", "2": b"was"}
        name_of = {id(state): name for name, state in states.items()}
        ended = ejections.applied(
            lambda state: services[name_of[id(state)]], lambda state: reports[name_of[id(state)]]
        )
        assert ended == [states["0"], states["1"]]
        assert (list(ejections.ejected), ejections.due) == ([states["2"]], 32.0)

    def test_policy_that_is_switched_off_ends_it(self) -> None:
        """Nobody would else know why."""
        ejections, service = self.ejected()
        service.ejection = None
        assert self.apply(ejections, service, b"was") == 1

    def test_instance_that_is_gone_is_forgotten(self) -> None:
        """With its service, or alone."""
        ejections, _ = self.ejected()
        assert self.apply(ejections, None, None) == 1
        ejections, service = self.ejected()
        service.states[0].retired = True
        assert self.apply(ejections, service, b"was") == 1
        assert not fail(ejections, service, 0, 9)


class Model:
    """The rule, told event by event of one instance among `count`."""

    def __init__(self, count: int, policy: EjectionPolicy) -> None:
        self.policy = policy
        self.rows = [0] * count
        self.times = [0] * count
        self.until: dict[int, float] = {}

    def failed(self, index: int, now: float) -> None:
        self.rows[index] += 1
        room = len(self.until) + 1 <= self.policy.max_share * len(self.rows)
        if index not in self.until and self.rows[index] >= self.policy.consecutive and room:
            self.times[index] += 1
            self.until[index] = now + min(300, self.policy.base * self.times[index])

    def answered(self, index: int) -> None:
        self.rows[index] = self.times[index] = 0

    def passed(self, now: float) -> None:
        self.until = {index: at for index, at in self.until.items() if at > now}


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("failed"), st.integers(0, 3)),
        st.tuples(st.just("failed"), st.integers(0, 3)),
        st.tuples(st.just("answered"), st.integers(0, 3)),
        st.tuples(st.just("passes"), st.sampled_from([1, 20, 100])),
    ),
    max_size=60,
)


@given(
    st.integers(1, 4),
    EVENTS,
    st.builds(
        EjectionPolicy,
        st.integers(1, 3),
        st.sampled_from([1.0, 30.0, 300.0]),
        st.sampled_from([0.0, 0.25, 0.34, 0.5]),
    ),
)
def test_ejections_are_as_the_rule_says(
    count: int, events: list[tuple[str, int]], policy: EjectionPolicy
) -> None:
    """Whatever happens, and those ejected are the ones that choices leave out."""
    ejections, service, model = Ejections(), make(count, policy), Model(count, policy)
    now = 0.0
    for what, number in events:
        if what == "passes":
            now += number
            ejections.reactivate(now)
            model.passed(now)
        else:
            state = service.states[number % count]
            if what == "failed":
                ejections.failed(state, service, None, now)
                model.failed(number % count, now)
            elif state.failures:  # nothing else is told of
                ejections.answered(state)
                model.answered(number % count)
        assert {int(state.id): state.ejected_until for state in ejections.ejected} == model.until
        assert ejections.due == min(model.until.values(), default=NEVER)
        service.settle(Random(1))
        left = "".join(str(n) for n in range(count) if n not in model.until)
        assert candidates(service) == left
