"""What is switched off is somebody's signed word, and the newest word counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail

from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.memory import MemoryHub
from fengling_gateway.syncbus.messages import MessageError
from fengling_gateway.syncbus.names import Names
from fengling_gateway.syncbus.switches import (
    MAX_SWITCHES,
    MAX_TEXT,
    TOMBSTONE_SECONDS,
    Switch,
    Switches,
    decode_switch,
    newest,
)
from tests.syncbus.builders import KEY, NEXT_KEY, OTHER_KEY, keyring

NOW = 1_700_000_000.0
_T = TypeVar("_T")


def result_of(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run what waits for nothing but a hub."""
    found: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(found.append)
    [result] = found
    if hasattr(result, "raiseException"):
        result.raiseException()
    answer: _T = result
    return answer


class Bench:
    """A hub, and writers whose clocks a test sets."""

    def __init__(self) -> None:
        self.now = NOW
        self.hub = MemoryHub()
        self.counters: Counter[str] = Counter()
        self.switches = self.with_key()

    def with_key(self, *keys: str, ahead: float = 0.0) -> Switches:
        return Switches(
            wall_clock=lambda: self.now + ahead,
            names=Names("test"),
            call=self.hub.call,
            keyring=keyring(*keys),
            counters=self.counters,
        )

    def write(self, entity_id: str = "all", *, off: bool = True, by: Switches | None = None) -> Any:
        writer = by or self.switches
        return result_of(writer.write("route", entity_id, off=off, by="ada", comment="why"))

    def read(self) -> dict[str, Switch]:
        return result_of(self.switches.read())


def test_what_is_switched_off_is_on_record_until_it_is_on_again() -> None:
    """And then that is."""
    bench = Bench()
    bench.write()
    assert bench.read() == {"route/all": Switch("route", "all", True, "ada", NOW, "why")}
    bench.now += 5
    bench.write(off=False)
    assert [one.off for one in bench.read().values()] == [False]


def test_a_later_word_is_later_whatever_the_clock_says() -> None:
    """Of two consoles, the clock of one is behind."""
    bench = Bench()
    first = bench.write(by=bench.with_key(ahead=30.0))
    second = bench.write(off=False)
    assert second.at > first.at
    assert newest({"route/all": first}, [second]) == {"route/all": second}


def test_of_two_who_write_at_once_neither_is_lost() -> None:
    """The second one finds that something has been written since it read, and reads again."""
    bench = Bench()
    honest = bench.hub.call
    others = iter([lambda: bench.write("all", by=bench.with_key(ahead=10.0))])

    def call(command: str, *arguments: Any) -> Deferred[Any]:
        other = next(others, None) if command == "EVAL" else None
        if other is not None:
            other()
        return honest(command, *arguments)

    bench.hub.call = call  # type: ignore[method-assign]
    racing = bench.with_key()
    racing._call = call
    written = bench.write(off=False, by=racing)
    assert (written.off, written.at) == (False, NOW + 10.001)
    assert bench.read()["route/all"] == written


def test_a_stranger_switches_nothing() -> None:
    """Another key, an old word in another's place, a kind of message for something else, noise."""
    bench = Bench()
    bench.write("all")
    message = bench.hub.hash[b"route/all"]
    bench.hub.hash.clear()
    bench.write("evil", by=bench.with_key(OTHER_KEY))
    bench.hub.hash[b"route/other"] = message
    payload = message.partition(b"\n")[2]
    bench.hub.hash[b"route/all"] = keyring().sign(b"command", payload, now=NOW)
    bench.hub.hash[b"route/noise"] = b"noise"
    bench.hub.hash[b"route/large"] = keyring().sign(b"switch", b"x" * 5000, now=NOW)
    assert bench.read() == {}
    assert bench.counters["messages_dropped:switch"] == 5


def test_what_nobody_signed_is_no_obstacle() -> None:
    """A field that a stranger has filled is written over."""
    bench = Bench()
    bench.hub.hash[b"route/all"] = b"noise"
    assert bench.write().off
    assert bench.read()["route/all"].off


def test_a_key_that_is_dropped_takes_no_word_with_it() -> None:
    """Whoever reads with a new one first signs anew; the word is the same."""
    bench = Bench()
    written = bench.write()
    assert result_of(bench.with_key(NEXT_KEY, KEY).read()) == {"route/all": written}
    assert result_of(bench.with_key(NEXT_KEY).read()) == {"route/all": written}
    assert bench.read() == {}


def test_a_redis_that_takes_nothing_can_be_read_all_the_same() -> None:
    """One without room, say; the count tells of it."""
    bench = Bench()
    written = bench.write()
    honest = bench.hub.call

    def call(command: str, *arguments: Any) -> Deferred[Any]:
        return fail(BusError("OOM")) if command == "EVAL" else honest(command, *arguments)

    bench.hub.call = call  # type: ignore[method-assign]
    assert result_of(bench.with_key(NEXT_KEY, KEY).read()) == {"route/all": written}
    assert bench.counters["switches_not_signed_anew"] == 1


def test_a_day_later_nothing_is_left_of_what_is_on_again() -> None:
    """What is still off stays for as long as it is."""
    bench = Bench()
    for name, off in (("one", True), ("two", True), ("two", False)):
        bench.write(name, off=off)
    bench.now += TOMBSTONE_SECONDS + 1
    bench.write("three")
    assert sorted(bench.read()) == ["route/one", "route/three"]


def test_there_is_a_bound() -> None:
    """Of what is written, and of what is read."""
    bench = Bench()
    for number in range(MAX_SWITCHES):
        bench.hub.hash[b"route/%d" % number] = b"noise"
    with pytest.raises(ValueError, match="switched off"):
        bench.write()
    for number in range(MAX_SWITCHES, 2 * MAX_SWITCHES + 1):
        bench.hub.hash[b"route/%d" % number] = b"noise"
    with pytest.raises(BusError, match="not ours"):
        bench.read()


def test_what_can_not_be_switched_off_is_said() -> None:
    """A service has instances and routes; a comment is a line."""
    bench = Bench()
    for kind, comment in (("service", ""), ("route", "x" * (MAX_TEXT + 1))):
        with pytest.raises(ValueError, match=r"only a route|at most"):
            result_of(bench.switches.write(kind, "a", off=True, by="ada", comment=comment))
    assert bench.hub.hash == {}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b'{"kind": "route", "id": 7, "off": true, "by": "a", "at": 1.0, "comment": ""}',
        b'{"kind": "tenant", "id": "a", "off": true, "by": "a", "at": 1.0, "comment": ""}',
        b'{"kind": "route", "id": "a", "off": 1, "by": "a", "at": 1.0, "comment": ""}',
        b'{"kind": "route", "id": "a", "off": true, "by": "a", "at": "1", "comment": ""}',
    ],
)
def test_what_is_signed_and_no_switch_is_refused(payload: bytes) -> None:
    """It is from another version."""
    with pytest.raises(MessageError):
        decode_switch(payload)


WORDS = st.lists(
    st.builds(
        Switch,
        st.just("route"),
        st.sampled_from("ab"),
        st.booleans(),
        st.just("ada"),
        st.integers(0, 9).map(float),
    ),
    max_size=6,
)


@given(WORDS)
def test_in_whatever_order_words_are_read_the_newest_counts(words: list[Switch]) -> None:
    """Also when old ones are put back, and when fields vanish."""
    known: dict[str, Switch] = {}
    for one in words:
        known = newest(newest(known, [one]), [])
    latest = {name: max(w.at for w in words if w.field == name) for name in known}
    assert {name: one.at for name, one in known.items()} == latest
    assert known.keys() == {one.field for one in words}


def test_what_has_been_on_for_long_need_not_be_known() -> None:
    """What is off is known for ever."""
    off, on = Switch("route", "a", True, "x", 1.0), Switch("route", "b", False, "x", 1.0)
    assert newest({}, [off, on], until=2.0) == {"route/a": off}
