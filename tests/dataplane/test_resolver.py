"""Names of instances over time: a clock that is moved, and lookups that end when told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from fengling_gateway.dataplane import resolver as module
from fengling_gateway.dataplane.accepting import RESERVED_DESCRIPTORS
from fengling_gateway.dataplane.counters import Counters
from fengling_gateway.dataplane.dns_configuration import MAX_SERVERS
from fengling_gateway.dataplane.dns_outcome import Found, Missing, Outcome, Unknown
from fengling_gateway.dataplane.resolver import Resolver, ResolverLimits

LIMITS = ResolverLimits(timeout=2.0, min_ttl=1.0, max_ttl=300.0, max_stale=3600.0)
ONE, TWO, SIX = "10.0.0.1", "10.0.0.2", "fd00::1"
NOBODY = Unknown("nobody answers")
WAITS = "waits"


class FakeLookup:
    def __init__(self, name: str, done: Callable[[Outcome], None]) -> None:
        self.name = name
        self.done = done
        self.state = "in line"

    def start(self) -> None:
        assert self.state == "in line"
        self.state = "running"

    def cancel(self) -> None:
        self.state = "over"


class FakeConnection:
    is_retired = False

    def retire(self) -> None:
        self.is_retired = True


class Names:
    """A resolver, and what it asks for."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.counters = Counters()
        self.hosts: dict[str, str] = {}
        self.lookups: list[FakeLookup] = []
        self.told: list[Any] = []
        self.resolver = Resolver(
            clock=self.clock, lookups=self, limits=LIMITS, counters=self.counters
        )

    # Lookups

    def at_once(self, name: str) -> Found | None:
        return Found((self.hosts[name],), 5.0) if name in self.hosts else None

    def new(self, name: str, done: Callable[[Outcome], None]) -> FakeLookup:
        self.lookups.append(FakeLookup(name, done))
        return self.lookups[-1]

    # What tests do

    def ask(self, name: str = "orders", user: str = "i") -> Any:
        """What is known at once, else that it `WAITS`; then `told` has it later."""

        def tell(addresses: list[str]) -> None:
            self.told.append(addresses)

        found = self.resolver.ask(name, user, tell)
        return WAITS if found is None else found

    def under_way(self, *states: str) -> list[FakeLookup]:
        return [one for one in self.lookups if one.state in (states or ("in line", "running"))]

    def end(self, outcome: Outcome, name: str = "orders") -> None:
        """Let the lookup of a name that is running end."""
        (lookup,) = (one for one in self.under_way("running") if one.name == name)
        lookup.done(outcome)

    def found(self, *addresses: str, ttl: float = 60.0) -> None:
        self.end(Found(addresses or (ONE,), ttl))

    def resolve(self, *addresses: str, ttl: float = 60.0) -> None:
        """Have ``orders`` resolved."""
        assert self.ask() == WAITS
        self.found(*addresses, ttl=ttl)

    def pass_(self, seconds: float) -> None:
        self.clock.pump([0.05] * round(seconds * 20))


@pytest.fixture
def names() -> Iterator[Names]:
    names = Names()
    yield names
    names.resolver.stop()
    assert not names.clock.getDelayedCalls()
    assert not names.under_way()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    events: list[str] = []

    def note(event: Any) -> None:
        if str(event.get("log_id", "")).startswith("dns."):
            events.append(event["log_id"])

    globalLogPublisher.addObserver(note)
    yield events
    globalLogPublisher.removeObserver(note)


class AskingTests:
    def test_everybody_shares_one_lookup(self, names: Names) -> None:
        """All who wait are told the same addresses, each beginning with another."""
        assert names.ask() == names.ask() == WAITS
        assert len(names.lookups) == 1
        names.found(ONE, TWO)
        assert names.told == [[ONE, TWO], [TWO, ONE]]
        assert names.ask() == [ONE, TWO]
        assert names.counters.dns_lookups == 1

    def test_names_do_not_wait_for_one_another(self, names: Names) -> None:
        """Each has a lookup of its own."""
        names.ask("slow")
        names.resolve(ONE)
        assert names.told == [[ONE]]

    def test_who_gives_up_is_not_told(self, names: Names) -> None:
        """Others who wait are."""
        told: list[Any] = []
        names.resolver.ask("orders", "i", told.append)
        names.ask()
        names.resolver.forget("orders", told.append)
        names.found(ONE)
        assert names.told == [[ONE]]
        assert told == []

    def test_file_answers_at_once_and_again(self, names: Names) -> None:
        """What it says is followed within seconds; servers are not asked."""
        names.hosts["orders"] = ONE
        assert names.ask() == [ONE]
        names.hosts["orders"] = TWO
        names.pass_(6)
        assert names.ask() == [TWO]
        assert names.lookups == []

    def test_lookups_at_a_time_are_bounded(self, names: Names) -> None:
        """Others wait in line, and have their turn; the time in line counts."""
        for number in range(module.MAX_LOOKUPS + 2):
            assert names.ask(f"n{number}") == WAITS
        assert len(names.under_way("running")) == module.MAX_LOOKUPS
        names.end(Found((ONE,), 60.0), "n0")
        assert len(names.under_way("running")) == module.MAX_LOOKUPS
        assert [one.name for one in names.under_way("in line")] == [f"n{module.MAX_LOOKUPS + 1}"]
        names.pass_(2.1)
        assert names.told.count([]) == module.MAX_LOOKUPS + 1
        assert not names.under_way()

    def test_name_that_leaves_the_line_leaves_no_gap(self, names: Names) -> None:
        """Nobody looks up what it is about, and its turn is somebody else's."""
        many = range(module.MAX_LOOKUPS)
        for number in many:
            names.ask(f"n{number}")
        told: list[Any] = []
        names.resolver.ask("late", "i", told.append)
        names.resolver.forget("late", told.append)
        names.resolver.release("late", "i")
        for number in many:
            names.end(Found((ONE,), 60.0), f"n{number}")
            names.ask(f"m{number}")
        assert len(names.under_way("running")) == module.MAX_LOOKUPS

    def test_lookups_leave_descriptors_for_others(self) -> None:
        """However silent the servers are."""
        assert module.MAX_LOOKUPS * 2 * MAX_SERVERS < RESERVED_DESCRIPTORS

    def test_waiters_are_bounded(self, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever comes then fails at once; who has given up does not count."""
        monkeypatch.setattr(module, "MAX_WAITERS", 2)
        told: list[Any] = []
        names.resolver.ask("orders", "i", told.append)
        names.resolver.forget("orders", told.append)
        assert [names.ask(), names.ask("others"), names.ask()] == [WAITS, WAITS, []]
        names.found(ONE)
        assert names.ask("others") == WAITS

    def test_names_are_bounded(self, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
        """The one looked up longest ago goes."""
        monkeypatch.setattr(module, "MAX_NAMES", 2)
        for name in ("a", "b"):
            names.ask(name)
            names.end(Found((ONE,), 10.0), name)
            names.pass_(1)
        names.pass_(6.5)
        names.end(Found((ONE,), 60.0), "a")
        names.ask("c")
        assert [one["name"] for one in names.resolver.to_json(10)] == ["a", "c"]
        assert [names.ask("a"), names.ask("b")] == [[ONE], WAITS]

    def test_stopped_resolver_knows_nothing(self, names: Names) -> None:
        """Who waits is told so."""
        names.ask()
        names.resolver.stop()
        assert names.told == [[]]
        assert names.ask() == []


class TtlTests:
    def test_answer_is_kept_for_its_ttl(self, names: Names) -> None:
        """Unused meanwhile, it is looked up again when it is needed."""
        names.resolve(ONE, ttl=100.0)
        names.pass_(60)
        assert names.ask() == [ONE]
        names.pass_(5)
        assert len(names.lookups) == 1

    def test_name_in_use_is_looked_up_before_its_ttl_ends(self, names: Names) -> None:
        """Nobody waits for that, and nobody's connection goes to the old address afterwards."""
        names.resolve(ONE, ttl=10.0)
        names.pass_(8.1)
        assert len(names.lookups) == 2
        assert names.ask() == [ONE]
        names.found(TWO, ttl=10.0)
        assert names.ask() == [TWO]
        assert names.counters.dns_stale_uses == 0

    def test_nobody_waits_for_a_lookup_that_takes_longer_than_the_ttl(self, names: Names) -> None:
        """The last good address goes on until it is known whether there is another."""
        names.resolve(ONE, ttl=1.0)
        names.pass_(1.1)
        assert len(names.under_way()) == 1
        assert names.ask() == [ONE]
        names.found(TWO)
        assert names.ask() == [TWO]

    def test_name_out_of_use_is_looked_up_no_more(self, names: Names) -> None:
        """A minute after its last use."""
        names.resolve(ONE, ttl=10.0)
        for _ in range(20):
            names.pass_(8.5)
            if names.under_way():
                names.found(ONE, ttl=10.0)
        assert len(names.lookups) == 8
        assert names.ask() == WAITS

    def test_name_with_connections_is_in_use(self, names: Names) -> None:
        """However long they are kept alive, a change is followed."""
        names.resolve(ONE, ttl=10.0)
        connection = FakeConnection()
        names.resolver.connected("orders", ONE, connection)
        for _ in range(20):
            names.pass_(8.5)
            names.found(ONE, ttl=10.0)
        names.resolver.disconnected("orders", connection)
        names.pass_(8.5)
        assert not names.under_way()

    @pytest.mark.parametrize(("ttl", "kept"), [(0.0, 1.0), (1e9, 300.0)])
    def test_ttl_has_bounds(self, names: Names, ttl: float, kept: float) -> None:
        """Nothing is looked up all the time, and nothing is kept for ever."""
        names.resolve(ONE, ttl=ttl)
        assert names.resolver.to_json(1)[0]["ttl_s"] == kept

    def test_addresses_of_one_kind_are_kept_for_a_moment(self, names: Names) -> None:
        """If nobody could tell the others: those may be the ones that can be reached."""
        assert names.ask() == WAITS
        names.end(Found((SIX,), 60.0, is_whole=False))
        assert names.ask() == [SIX]
        names.pass_(1.7)
        names.found(ONE, SIX)
        assert names.ask() == [ONE, SIX]


class FailureTests:
    def test_name_that_never_was_fails(self, names: Names, logged: list[str]) -> None:
        """At once for a moment, then it is tried again; the log has one line, and one at the end."""
        assert names.ask() == WAITS
        names.end(NOBODY)
        assert names.told == [[]]
        assert names.ask() == []
        names.pass_(1.1)
        assert names.ask() == WAITS
        names.end(NOBODY)
        assert logged == ["dns.failed"]
        names.pass_(1.1)
        names.resolve(ONE)
        assert logged == ["dns.failed", "dns.resolved"]
        assert names.counters.dns_lookups_failed == 2

    def test_lookup_that_takes_too_long_fails(self, names: Names) -> None:
        """And is given up."""
        names.ask()
        names.pass_(1.9)
        assert names.told == []
        names.pass_(0.2)
        assert names.told == [[]]
        assert not names.under_way()
        assert names.resolver.to_json(1)[0]["last_error"] == "no answer in 2 s"

    @pytest.mark.parametrize(("ttl", "seconds"), [(0.0, 1.0), (3.0, 3.0), (900.0, 5.0)])
    def test_missing_name_is_believed_for_a_short_time(
        self, names: Names, ttl: float, seconds: float
    ) -> None:
        """As long as its zone says, within bounds."""
        names.ask()
        names.end(Missing(ttl))
        names.pass_(seconds - 0.1)
        assert names.ask() == []
        names.pass_(0.2)
        assert names.ask() == WAITS

    @pytest.mark.parametrize("outcome", [NOBODY, Missing(0.0), Missing(9.0, exists=False)])
    def test_last_good_address_goes_on(
        self, names: Names, outcome: Outcome, logged: list[str]
    ) -> None:
        """Nobody waits where looking it up has begun to fail, and each use is counted."""
        names.resolve(ONE, ttl=10.0)
        names.pass_(8.1)
        names.end(outcome)
        assert names.ask() == [ONE]
        assert names.counters.dns_stale_uses == 0
        for _ in range(30):
            names.pass_(1)
            assert names.ask() == [ONE]
            if names.under_way():
                names.end(outcome)
        assert names.counters.dns_stale_uses >= 28
        assert names.counters.dns_lookups > 5
        assert logged == ["dns.failed"]

    def test_name_heals_by_itself(self, names: Names) -> None:
        """It is tried again every few seconds although nobody asks."""
        names.resolve(ONE, ttl=10.0)
        names.pass_(8.1)
        names.end(NOBODY)
        names.pass_(0.9)
        assert not names.under_way()
        names.pass_(0.2)
        names.pass_(2.1)
        names.pass_(1.1)
        names.found(TWO)
        assert names.ask() == [TWO]
        assert names.resolver.to_json(1)[0]["last_error"] is None

    def test_last_good_address_goes_in_the_end(self, names: Names) -> None:
        """Whose it is then, nobody knows."""
        names.resolve(ONE, ttl=10.0)
        names.pass_(100)
        assert names.ask() == [ONE]
        names.end(NOBODY)
        names.clock.advance(3600)
        assert names.ask() == WAITS
        names.end(NOBODY)
        assert names.told == [[ONE], []]


class AddressTests:
    def test_address_that_failed_is_tried_last(self, names: Names) -> None:
        """For some seconds, or until it is there again."""
        names.resolve(ONE, TWO)
        names.resolver.not_connected("orders", ONE)
        assert [names.ask(), names.ask()] == [[TWO, ONE], [TWO, ONE]]
        names.resolver.connected("orders", ONE, FakeConnection())
        firsts = [names.ask()[0], names.ask()[0]]
        assert sorted(firsts) == [ONE, TWO]
        names.resolver.not_connected("orders", TWO)
        names.pass_(10.1)
        firsts = [names.ask()[0], names.ask()[0]]
        assert sorted(firsts) == [ONE, TWO]

    def test_connections_to_addresses_that_are_gone_are_retired(self, names: Names) -> None:
        """Some seconds later; others stay."""
        names.resolve(ONE, TWO, ttl=10.0)
        gone, stays = FakeConnection(), FakeConnection()
        names.resolver.connected("orders", ONE, gone)
        names.resolver.connected("orders", TWO, stays)
        names.pass_(8.1)
        names.found(TWO, SIX, ttl=100.0)
        names.pass_(4.9)
        assert not gone.is_retired
        names.pass_(0.2)
        assert gone.is_retired
        assert not stays.is_retired

    def test_address_that_is_named_now_and_then_stays(self, names: Names) -> None:
        """As by a server that names a few of many each time."""
        names.resolve(ONE, ttl=1.0)
        connection = FakeConnection()
        names.resolver.connected("orders", ONE, connection)
        for number in range(60):
            names.pass_(0.85)
            names.found(ONE if number % 5 == 0 else TWO, ttl=1.0)
        assert not connection.is_retired

    def test_connections_stay_while_nobody_can_tell(self, names: Names) -> None:
        """The last good address is still the best there is."""
        names.resolve(ONE, ttl=10.0)
        connection = FakeConnection()
        names.resolver.connected("orders", ONE, connection)
        names.pass_(8.1)
        names.end(Missing(60.0))
        names.pass_(20)
        assert not connection.is_retired


class ReleaseTests:
    def test_name_without_users_is_forgotten(self, names: Names) -> None:
        """With everything: it is looked up anew if it comes back."""
        names.resolve(ONE)
        names.resolver.connected("orders", ONE, FakeConnection())
        names.ask(user="other")
        names.resolver.release("orders", "i")
        assert names.ask(user="other") == [ONE]
        names.resolver.release("orders", "other")
        assert names.resolver.to_json(10) == []
        assert not names.clock.getDelayedCalls()
        assert names.ask() == WAITS

    def test_lookup_that_nobody_waits_for_ends_with_it(self, names: Names) -> None:
        """And its place in line is another's."""
        names.resolve(ONE, ttl=10.0)
        names.pass_(8.1)
        assert names.under_way()
        names.resolver.release("orders", "i")
        assert not names.under_way()

    def test_who_waits_is_told_all_the_same(self, names: Names) -> None:
        """An exchange under way ends by what it began with."""
        names.ask()
        names.resolver.release("orders", "i")
        names.found(ONE)
        assert names.told == [[ONE]]
        assert names.resolver.to_json(10) == []


def test_shown_first_is_what_fails(names: Names) -> None:
    """Then by name; up to as many as are asked for."""
    for name, outcome in (("b", NOBODY), ("a", Found((ONE, SIX), 60.0)), ("c", NOBODY)):
        names.ask(name)
        names.end(outcome, name)
    names.pass_(2)
    assert names.resolver.to_json(3) == [
        *(
            {
                "name": name,
                "addresses": [],
                "age_s": None,
                "ttl_s": None,
                "last_error": "nobody answers",
            }
            for name in "bc"
        ),
        {
            "name": "a",
            "addresses": [ONE, SIX],
            "age_s": 2.0,
            "ttl_s": 60.0,
            "last_error": None,
        },
    ]
    assert len(names.resolver.to_json(1)) == 1


NAMES = st.sampled_from("abc")
OUTCOMES = st.sampled_from(
    [Found((ONE,), 3.0), Found((ONE, TWO), 60.0), Found((TWO,), 0.0), NOBODY, Missing(2.0)]
)


class ResolverMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order, everybody who asks is told once, and nothing is left."""

    def __init__(self) -> None:
        super().__init__()
        self.names = Names()
        self.expected = 0
        self.connections: list[tuple[str, FakeConnection]] = []

    @rule(name=NAMES, user=st.sampled_from("xy"))
    def ask(self, name: str, user: str) -> None:
        if self.names.ask(name, user) == WAITS:
            self.expected += 1

    @precondition(lambda self: self.names.under_way("running"))
    @rule(outcome=OUTCOMES, data=st.data())
    def end(self, outcome: Outcome, data: Any) -> None:
        data.draw(st.sampled_from(self.names.under_way("running"))).done(outcome)

    @rule(seconds=st.sampled_from([0.05, 0.9, 2.0, 30.0, 4000.0]))
    def pass_(self, seconds: float) -> None:
        self.names.clock.advance(seconds)

    @rule(name=NAMES, address=st.sampled_from([ONE, TWO]))
    def connect(self, name: str, address: str) -> None:
        self.connections.append((name, FakeConnection()))
        self.names.resolver.connected(name, address, self.connections[-1][1])

    @precondition(lambda self: self.connections)
    @rule()
    def disconnect(self) -> None:
        self.names.resolver.disconnected(*self.connections.pop())

    @rule(name=NAMES, user=st.sampled_from("xy"))
    def release(self, name: str, user: str) -> None:
        self.names.resolver.release(name, user)

    @invariant()
    def one_lookup_of_a_name_has_those_who_wait(self) -> None:
        waiting = self.expected - len(self.names.told)
        assert waiting >= 0
        assert not waiting or self.names.under_way()

    def teardown(self) -> None:
        self.names.resolver.stop()
        assert len(self.names.told) == self.expected
        assert not self.names.clock.getDelayedCalls()
        assert not self.names.under_way()


ResolverMachine.TestCase.settings = settings(stateful_step_count=40)
ResolverModelTests = ResolverMachine.TestCase
