"""What is done without when memory runs short, and when."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import LogLevel, capturedLogs, formatEvent

from fengling_gateway.dataplane.overload import (
    LOOK_SECONDS,
    TRIM_SECONDS,
    Level,
    Overload,
    judge,
)
from fengling_gateway.http.forward_error import ForwardError
from tests.dataplane.rig import GET, OK, Rig, head_of, make_rig, status_of
from tests.dataplane.snapshots import answering_route

MIB = 1 << 20
HI = answering_route("hi", "/hi", respond={"status": 200, "headers": {}, "body": "hi"})


@pytest.mark.parametrize(
    ("level", "share", "follows"),
    [
        (Level.NONE, 0.849, Level.NONE),
        (Level.NONE, 0.85, Level.SHEDDING),
        (Level.NONE, 0.949, Level.SHEDDING),
        (Level.NONE, 0.95, Level.PAUSED),
        (Level.NONE, 3.0, Level.PAUSED),
        (Level.SHEDDING, 0.849, Level.SHEDDING),
        (Level.SHEDDING, 0.80, Level.SHEDDING),
        (Level.SHEDDING, 0.799, Level.NONE),
        (Level.SHEDDING, 0.949, Level.SHEDDING),
        (Level.SHEDDING, 0.95, Level.PAUSED),
        (Level.PAUSED, 0.90, Level.PAUSED),
        (Level.PAUSED, 0.899, Level.SHEDDING),
        (Level.PAUSED, 0.80, Level.SHEDDING),
        (Level.PAUSED, 0.799, Level.NONE),
    ],
)
def test_level_follows_share_with_hysteresis(level: Level, share: float, follows: Level) -> None:
    """Each level ends below where it begins."""
    assert judge(level, share) is follows


class Memory:
    """Memory that is what a test says; of it, some may be given back."""

    def __init__(self) -> None:
        self.used = 0
        self.free = 0
        self.trims = 0

    def trim(self) -> None:
        self.trims += 1
        self.used -= self.free
        self.free = 0


class TestOverload:
    """Watching."""

    def watch(self, limit: int | None = 100 * MIB) -> tuple[Overload, Memory, list[Level]]:
        memory, changes = Memory(), list[Level]()
        overload = Overload(
            limit_bytes=limit,
            resident=lambda: memory.used,
            trim=memory.trim,
            changed=changes.append,
        )
        return overload, memory, changes

    def test_looks_now_and_then(self) -> None:
        """Between two looks nothing is read."""
        overload, memory, changes = self.watch()
        assert overload.look(1.0)
        memory.used = 90 * MIB
        assert not overload.look(1.0 + LOOK_SECONDS / 2)
        assert changes == []
        assert overload.look(1.0 + LOOK_SECONDS)
        assert changes == [Level.SHEDDING]

    def test_without_limit_nothing_is_judged(self) -> None:
        """Where nobody knows how much there is, nobody knows that it is short."""
        overload, memory, changes = self.watch(None)
        memory.used = 1 << 40
        overload.look(1.0)
        assert (changes, memory.trims) == ([], 0)
        assert overload.resident_bytes == 1 << 40

    def test_memory_that_is_free_is_given_back_first(self) -> None:
        """What the C library only holds is no reason to shed."""
        overload, memory, changes = self.watch()
        memory.used, memory.free = 90 * MIB, 50 * MIB
        overload.look(1.0)
        assert (changes, memory.trims) == ([], 1)
        assert overload.resident_bytes == 40 * MIB

    def test_giving_back_is_repeated_while_it_is_short(self) -> None:
        """Not at every look, but often enough to find out that it is over."""
        overload, memory, changes = self.watch()
        memory.used = 90 * MIB
        now = 1.0
        while now < 1.0 + 2 * TRIM_SECONDS:
            overload.look(now)
            now += LOOK_SECONDS
        assert memory.trims == 2
        memory.free = 60 * MIB
        overload.look(now)
        assert changes == [Level.SHEDDING, Level.NONE]

    def test_giving_back_follows_relief(self) -> None:
        """Where memory begins to be free, all of it that is free counts at once."""
        overload, memory, changes = self.watch()
        memory.used = 96 * MIB
        overload.look(1.0)
        memory.used, memory.free = 89 * MIB, 50 * MIB
        overload.look(1.0 + LOOK_SECONDS)
        assert changes == [Level.PAUSED, Level.NONE]

    def test_each_change_is_one_line(self) -> None:
        """However long a level lasts, it is told once."""
        overload, memory, _ = self.watch()
        with capturedLogs() as events:
            for number, used in enumerate((10, 86, 84, 87, 96, 91, 93, 85, 81, 79, 84)):
                memory.used = used * MIB
                overload.look(1.0 + number)
        assert [(event["log_level"], formatEvent(event)) for event in events] == [
            (LogLevel.warn, "memory: 86 of 100 MiB, 86%: new requests are answered 503"),
            (LogLevel.warn, "memory: 96 of 100 MiB, 96%: no connections are accepted"),
            (LogLevel.warn, "memory: 85 of 100 MiB, 85%: new requests are answered 503"),
            (LogLevel.info, "memory: 79 of 100 MiB, 79%: everything is served again"),
        ]


class TestPlane:
    """What a data plane does about it."""

    def short(self, rig: Rig, memory: Memory, share: int) -> None:
        memory.used = share * MIB
        rig.advance(LOOK_SECONDS + 0.1)

    @pytest.fixture
    def memory(self) -> Memory:
        return Memory()

    @pytest.fixture
    def rig(self, memory: Memory) -> Iterator[Rig]:
        rig = make_rig(HI, max_memory=100 * MIB, resident=lambda: memory.used)
        yield rig
        rig.close()

    def test_new_requests_are_told_and_those_under_way_go_on(
        self, rig: Rig, memory: Memory
    ) -> None:
        """What has begun is answered; what begins is 503, and its connection ends."""
        under_way = rig.ask()
        instance = rig.accept()
        self.short(rig, memory, 86)
        refused = rig.ask()
        assert status_of(refused.sent) == 503
        head = head_of(refused.sent)
        assert head[b"x-gateway-error"] == ForwardError.OVERLOADED.code.encode()
        assert head[b"retry-after"] == b"1"
        assert head[b"connection"] == b"close"
        instance.deliver(OK)
        assert status_of(under_way.sent) == 200
        assert head_of(under_way.sent)[b"connection"] == b"close"
        assert len(rig.dials) == 1
        self.short(rig, memory, 79)
        again = rig.ask()
        instance.deliver(OK)
        assert status_of(again.sent) == 200
        assert b"connection" not in head_of(again.sent)

    def test_what_the_gateway_answers_by_itself_is_answered(self, rig: Rig, memory: Memory) -> None:
        """A route that responds costs no memory, and may be what a balancer looks at."""
        self.short(rig, memory, 86)
        assert status_of(rig.ask(GET.replace(b"/ ", b"/hi ")).sent) == 200

    def test_idle_connections_are_closed_those_that_were_idle_longest_first(
        self, rig: Rig, memory: Memory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some at each look; not one that has just been answered, and none under way."""
        monkeypatch.setattr("fengling_gateway.dataplane.plane.SHED_PER_LOOK", 2)
        idle = []
        for _ in range(5):
            idle.append(rig.ask(GET.replace(b"/ ", b"/hi ")))
            rig.advance(1)
        busy = rig.ask()
        rig.accept()
        fresh = rig.ask(GET.replace(b"/ ", b"/hi "))
        self.short(rig, memory, 86)
        assert [client.ended for client in idle] == ["closed"] * 2 + [None] * 3
        rig.advance(LOOK_SECONDS + 0.1)
        assert [client.ended for client in idle] == ["closed"] * 4 + [None]
        rig.advance(3)
        assert idle[4].ended == fresh.ended == "closed"
        assert busy.ended is None
        assert rig.counters()["connections_shed"] == 6

    def test_accepting_pauses(self, rig: Rig, memory: Memory) -> None:
        """From 95 % on nobody reads the listening sockets, new ones included, until below 90 %."""
        assert rig.is_accepting == [True]
        self.short(rig, memory, 94)
        assert rig.is_accepting == [True]
        self.short(rig, memory, 95)
        assert rig.is_accepting == [False]
        other = rig.listen()
        assert rig.is_accepting == [False, False]
        self.short(rig, memory, 90)
        assert rig.is_accepting == [False, False]
        other.stop_accepting()
        self.short(rig, memory, 89)
        assert rig.is_accepting == [True, False]
        assert rig.counters()["accept_pauses"] == 1

    def test_worker_that_is_late_looks_all_the_same(self, rig: Rig, memory: Memory) -> None:
        """A turn that took so long is no reason to take the next one for early."""
        memory.used = 96 * MIB
        rig.reactor.advance(LOOK_SECONDS)
        assert rig.plane.overload is Level.PAUSED

    def test_nothing_is_forwarded_while_nobody_is_accepted(self, rig: Rig, memory: Memory) -> None:
        """Those who are there already are told."""
        self.short(rig, memory, 95)
        assert status_of(rig.ask().sent) == 503
        self.short(rig, memory, 89)
        assert status_of(rig.ask().sent) == 503

    def test_counters_tell(self, rig: Rig, memory: Memory) -> None:
        """Level, memory and limit are shown."""
        self.short(rig, memory, 86)
        values = rig.counters()
        assert (values["overload_now"], values["memory_now"]) == (1, 86 * MIB)
        assert values["memory_limit_now"] == 100 * MIB
