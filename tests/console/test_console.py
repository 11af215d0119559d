"""A console as a whole: what it tells of changes, and that its parts start and stop together."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from fengling_gateway.configsource.reading import RevisionInfo
from fengling_gateway.console.console import Console, Parts
from fengling_gateway.console.mirror import Applied
from fengling_gateway.model.delta import Change, Position
from fengling_gateway.model.entity import Key

TOGETHER = ("store", "mirror", "bus", "fleet", "events", "first", "second")


class Part:
    """Does what it is told, and says so."""

    def __init__(self, name: str, said: list[str]) -> None:
        self._name = name
        self._said = said
        self.stopping: Any = None

    def start(self) -> None:
        self._said.append(f"start {self._name}")

    def stop(self) -> Any:
        self._said.append(f"stop {self._name}")
        if isinstance(self.stopping, Exception):
            raise self.stopping
        return self.stopping


class Watched(Part):
    """One that tells others what changes."""

    def on_change(self, told: Callable[[Any], None]) -> None:
        self.changed = told


class Heard(Part):
    """The streams of pages that are open."""

    pages = 1

    def __init__(self, name: str, said: list[str]) -> None:
        super().__init__(name, said)
        self.told: list[tuple[str, Any, bool]] = []

    def __len__(self) -> int:
        return self.pages

    def tell(self, name: str, value: Any, *, changes_only: bool = False) -> None:
        self.told.append((name, value, changes_only))


class Summary:
    def value(self) -> dict[str, Any]:
        return {"sentences": ["well"]}


class Port:
    def __init__(self, said: list[str]) -> None:
        self._said = said

    def stopListening(self) -> None:
        self._said.append("stop listening")


class Reactor:
    """One that listens where it is told to."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def adoptStreamPort(self, *_: Any) -> Any:
        self._said.append("start listening")
        return Port(self._said)


class ConsoleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.said: list[str] = []
        made: dict[str, Any] = {name: Part(name, self.said) for name in TOGETHER}
        self.mirror = made["mirror"] = Watched("mirror", self.said)
        self.fleet = made["fleet"] = Watched("fleet", self.said)
        self.events = made["events"] = Heard("events", self.said)
        self.parts = made

    def console(self, bind: Callable[[], socket.socket] = socket.socket) -> Console:
        parts = dict(self.parts)
        others = (parts.pop("first"), parts.pop("second"))
        summary: Any = Summary()
        return Console(
            reactor=Reactor(self.said),
            parts=Parts(**parts, summary=summary, others=others),
            bind=bind,
            resource=Resource(),
            refusals=Counter(),
            replace_keys=lambda settings: self.said.append(f"keys of {settings}"),
            url="http://console",
        )


class LifeTests(ConsoleTests):
    def test_parts_stop_in_the_other_order(self) -> None:
        """Who uses another part ends before it: pages and probes, and last what asks the database."""
        console = self.console()
        console.start()
        self.assertEqual(self.said[0], "start listening")
        self.assertEqual(set(self.said[1:]), {f"start {name}" for name in TOGETHER})
        del self.said[:]
        self.successResultOf(console.stop())
        self.assertEqual(
            self.said,
            [
                *("stop listening", "stop events", "stop second", "stop first"),
                *("stop fleet", "stop mirror", "stop bus", "stop store"),
            ],
        )

    def test_part_that_takes_its_time_is_waited_for(self) -> None:
        """Before that goes which it uses."""
        console = self.console()
        console.start()
        slow: Deferred[None] = Deferred()
        self.parts["second"].stopping = slow
        stopped = console.stop()
        self.assertIn("stop first", self.said)
        self.assertNotIn("stop fleet", self.said)
        slow.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.said[-1], "stop store")

    def test_part_that_fails_keeps_no_other_from_ending(self) -> None:
        """Each failure is logged."""
        console = self.console()
        console.start()
        self.parts["events"].stopping = ZeroDivisionError()
        self.parts["mirror"].stopping = fail(KeyError("x"))
        self.successResultOf(console.stop())
        self.assertEqual(self.said[-1], "stop store")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError, KeyError)), 2)

    def test_address_that_is_taken_ends_the_start(self) -> None:
        """Before anything else has begun; what has not begun can be stopped."""

        def bind() -> socket.socket:
            raise OSError("it is taken")

        console = self.console(bind)
        self.assertRaises(OSError, console.start)
        self.assertEqual(self.said, [])
        self.successResultOf(console.stop())
        self.assertNotIn("stop listening", self.said)

    def test_without_redis_there_is_no_bus(self) -> None:
        self.parts["bus"] = None
        console = self.console()
        console.start()
        self.successResultOf(console.stop())
        self.assertEqual(self.said.count("stop fleet"), 1)
        self.assertNotIn("stop bus", self.said)

    def test_new_keys_are_taken(self) -> None:
        self.console().settings_changed("new settings")
        self.assertEqual(self.said, ["keys of new settings"])


class TellingTests(ConsoleTests):
    def setUp(self) -> None:
        super().setUp()
        self.console()

    def applied(self, changes: int = 1, revisions: int = 1, rejected: int = 0) -> Applied:
        routes = [Key("route", f"r{number}") for number in range(changes)]
        return Applied(
            Position("e", 8, "t"),
            tuple(Change(key, None if number else b"{}") for number, key in enumerate(routes)),
            tuple(revision(number) for number in range(revisions)),
            tuple(Key("route", f"x{number}") for number in range(rejected)),
            (),
            False,
        )

    def test_change_is_told_with_who_made_it(self) -> None:
        """And how everything is then."""
        self.mirror.changed(self.applied(2, 1, 1))
        (name, told, _), summary = self.events.told
        self.assertEqual(name, "revision")
        self.assertEqual(told["position"], {"epoch": "e", "revision": 8, "token": "t"})
        self.assertEqual(
            told["changes"],
            [
                {"kind": "route", "id": "r0", "deleted": False},
                {"kind": "route", "id": "r1", "deleted": True},
            ],
        )
        self.assertEqual((told["change_count"], told["rejected"]), (2, ["route x0"]))
        [made] = told["revisions"]
        self.assertEqual((made["id"], made["author"], made["comment"]), (0, "ada", "c"))
        self.assertEqual(summary, ("summary", {"sentences": ["well"]}, True))

    def test_large_change_is_told_in_a_few_words(self) -> None:
        """Every page gets it; who wants to know more asks for it."""
        self.mirror.changed(self.applied(10_000, 1000, 1000))
        _, told, _ = self.events.told[0]
        self.assertEqual(told["change_count"], 10_000)
        self.assertLess(len(str(told)), 8_000)
        self.assertEqual([one["id"] for one in told["revisions"]], list(range(990, 1000)))

    def test_fleet_is_told_to_pages_that_are_open(self) -> None:
        """By node; nothing is summed up for nobody."""
        self.fleet.changed({"b": {"node": "b"}, "a": {"node": "a"}})
        [_, (name, told, changes_only)] = self.events.told
        self.assertEqual((name, told), ("fleet", {"nodes": [{"node": "a"}, {"node": "b"}]}))
        self.assertTrue(changes_only)
        self.events.pages = 0
        del self.events.told[:]
        self.fleet.changed({})
        self.mirror.changed(self.applied())
        self.assertEqual([name for name, *_ in self.events.told], ["revision"])


def revision(number: int) -> RevisionInfo:
    return RevisionInfo(
        revision=number,
        token="t",
        kind="config",
        committed_at=0.0,
        author="ada",
        author_verified=True,
        db_user="ada",
        application="psql",
        client_addr=None,
        comment="c",
        forced=False,
        held=False,
        changes=1,
    )
