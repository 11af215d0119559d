"""What is said of instances that are sent nothing because of where they are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.logger import capturedLogs

from fengling_gateway.supervisor.link import WorkerState
from fengling_gateway.supervisor.refused_instances import SHOWN, RefusedInstances


def link(*ids: str, total: int | None = None) -> Any:
    refused = {one: f"{one} is loopback" for one in ids}
    total = len(ids) if total is None else total
    served = SimpleNamespace(refused=refused, refused_total=total)
    return SimpleNamespace(served=served, state=WorkerState.SERVING)


def messages(links: list[Any]) -> list[str]:
    return [one["message"] for one in RefusedInstances(lambda: links).warnings()]


class WarningTests:
    def test_each_is_named_once(self) -> None:
        """However many workers say it, in the order of ids."""
        assert messages([link("b", "a"), link("b")]) == [
            "instance a is sent nothing: a is loopback",
            "instance b is sent nothing: b is loopback",
        ]

    def test_without_any_there_is_nothing_to_say(self) -> None:
        """As mostly."""
        assert messages([link(), link()]) == []

    def test_worker_that_drains_is_not_asked(self) -> None:
        """Its successors may have been started with other settings."""
        old = link("a")
        old.state = WorkerState.DRAINING
        assert messages([old, link("b")]) == ["instance b is sent nothing: b is loopback"]

    def test_many_are_counted(self) -> None:
        """A status has no place for 10,000."""
        said = messages([link(*(f"i{number:03}" for number in range(100)), total=10_000)])
        assert len(said) == SHOWN
        assert said[-1] == "and 9901 more instances are sent nothing"


class LogTests:
    def test_each_is_logged_once_until_it_is_over(self) -> None:
        """By whichever worker says it first."""
        first, second = link("a"), link("a")
        watch = RefusedInstances(lambda: [first, second])
        with capturedLogs() as logged:
            for one in (first, second, first):
                watch.applied(one)
            assert [event["id"] for event in logged] == ["a"]
            assert logged[0]["reason"] == "a is loopback"
            for one in (first, second):
                one.served.refused = {}
                watch.applied(one)
            first.served.refused = {"a": "a is link-local"}
            watch.applied(first)
            assert [event["reason"] for event in logged] == ["a is loopback", "a is link-local"]
