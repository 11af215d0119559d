"""Who looks on at requests."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.supervisor.taps import MAX_SECONDS, MAX_TAPS, WORKER_GRACE_SECONDS, Taps


class Link:
    """A worker that remembers what it is told."""

    def __init__(self) -> None:
        self.taps: dict[int, dict[str, Any]] = {}

    def tap(self, values: dict[str, Any]) -> None:
        self.taps[values["id"]] = values

    def untap(self, number: int) -> None:
        del self.taps[number]


class Audience:
    """Somebody who looks on."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.left_out = 0
        self.why: str | None = None
        self.fails = False

    def requests(self, requests: list[Any], left_out: int) -> None:
        if self.fails:
            raise RuntimeError("a defect")
        self.seen += requests
        self.left_out += left_out

    def over(self, why: str) -> None:
        assert self.why is None
        self.why = why


class TapsTests(SynchronousTestCase):
    """`Taps`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.links = [Link(), Link()]
        links: Any = lambda: self.links  # noqa: E731
        self.taps = Taps(clock=self.clock, links=links)

    def tearDown(self) -> None:
        self.taps.stop()
        self.clock.advance(0)
        assert self.clock.getDelayedCalls() == []
        assert all(link.taps == {} for link in self.links)

    def begin(self, seconds: float = 60.0) -> tuple[Audience, Any]:
        audience = Audience()
        return audience, self.taps.begin({"routes": ["a"]}, seconds=seconds, audience=audience)

    def test_workers_are_told_and_tell(self) -> None:
        """Each audience what is its own."""
        first, _ = self.begin()
        second, _ = self.begin(5.0)
        for link in self.links:
            assert [one["filter"] for one in link.taps.values()] == [{"routes": ["a"]}] * 2
        assert self.links[0].taps[2]["seconds"] == 5.0 + WORKER_GRACE_SECONDS
        self.taps.told({"id": 1, "requests": [1, 2], "left_out": 3})
        self.taps.told({"id": 2, "requests": [4], "left_out": 0})
        self.taps.told({"id": 3, "requests": [5], "left_out": 0})
        assert (first.seen, first.left_out, second.seen) == ([1, 2], 3, [4])

    def test_end_when_nobody_looks_on(self) -> None:
        """What a worker tells all the same is nobody's; to end it twice is nothing."""
        audience, end = self.begin()
        end()
        end()
        self.taps.told({"id": 1, "requests": [1], "left_out": 0})
        assert (audience.seen, audience.why, len(self.taps)) == ([], None, 0)
        assert self.links[0].taps == {}

    def test_end_after_their_time(self) -> None:
        """However much is asked for."""
        short, _ = self.begin(1.0)
        long, _ = self.begin(1e9)
        self.clock.advance(1.0)
        assert (short.why, long.why) == ("time", None)
        self.clock.advance(MAX_SECONDS - 1.0)
        assert long.why == "time"

    def test_worker_that_is_new_is_told_what_is_on(self) -> None:
        """For as long as it goes on yet."""
        self.begin(60.0)
        self.clock.advance(20.0)
        link: Any = Link()
        self.links.append(link)
        self.taps.tell(link)
        assert link.taps[1]["seconds"] == 40.0 + WORKER_GRACE_SECONDS

    def test_there_are_only_so_many(self) -> None:
        """Until one of them ends."""
        ends = [self.begin()[1] for _ in range(MAX_TAPS)]
        with self.assertRaisesRegex(ValueError, "8 taps are on"):
            self.begin()
        ends[3]()
        self.begin()

    def test_end_with_the_gateway(self) -> None:
        """And none begins after it."""
        audience, _ = self.begin()
        stopped = self.taps.stop()
        assert audience.why == "stopped"
        self.assertNoResult(stopped)
        self.clock.advance(0)
        self.successResultOf(stopped)
        with self.assertRaisesRegex(ValueError, "being stopped"):
            self.begin()

    def test_one_that_fails_ends_alone(self) -> None:
        """The others are told as ever."""
        broken, _ = self.begin()
        other, _ = self.begin()
        broken.fails = True
        for number in (1, 2):
            self.taps.told({"id": number, "requests": [1], "left_out": 0})
        assert (broken.why, other.seen) == ("failed", [1])
        assert len(self.flushLoggedErrors(RuntimeError)) == 1
