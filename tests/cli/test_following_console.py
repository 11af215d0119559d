"""Following the log over a console that a test plays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fengling_gateway.cli import following_console
from fengling_gateway.cli.api import AwayError, RefusedError
from fengling_gateway.cli.errors import CommandError
from fengling_gateway.cli.following_console import ConsoleFollower

Story = list[Callable[[], object]]


class PlayedConsole:
    """
    A console with a log, in whose stream something is said after each thing that happens.

    Attributes:
        log: revisions as the API tells them, by number.
        asked: paths.
        forgotten: revisions that go just before they are read.
    """

    url = "http://console"

    def __init__(self) -> None:
        self.log: dict[int, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.forgotten: set[int] = set()
        self.story: Story = []
        self.said = "summary"

    def write(self, number: int, state: str = "served", at: int = 0) -> None:
        self.log[number] = {
            "id": number,
            "kind": "config",
            "author": "ops",
            "author_verified": True,
            "committed_at": f"2026-11-22T10:00:{at:02}.000Z",
            "db_user": "ops",
            "comment": None,
            "application": "",
            "client_addr": None,
            "state": state,
            "forced": False,
            "held": state != "served",
            "confirmed_by": "jane",
            "confirmed_db_user": None,
            "confirmed_at": None,
            "changes": 0,
            "kept": 0,
            "first": [],
        }

    def get(self, path: str, **query: Any) -> Any:
        self.asked.append(path)
        if path == "revisions":
            before = query.get("before") or 10**9
            found = [self.log[one] for one in sorted(self.log, reverse=True) if one < before]
            page = found[: query["limit"]]
            rest = page[-1]["id"] if len(found) > len(page) else None
            newest = max(self.log, default=0)
            return {"items": page, "next": rest, "is_shortened": False, "newest": newest}
        number = int(path.partition("/")[2])
        if number not in self.log or number in self.forgotten:
            raise RefusedError("it is gone", 410, "it is gone", [])
        return {**self.log[number], "changes": [], "change_count": 0, "next": None}

    def listen(self) -> Iterator[str]:
        yield ""
        while self.story:
            self.story.pop(0)()
            yield self.said


@pytest.fixture
def console() -> PlayedConsole:
    console = PlayedConsole()
    for number in range(3):
        console.write(number)
    return console


def told(console: PlayedConsole, count: int, *, back: int = 0) -> list[tuple[str, int]]:
    """Return the first things that are told, with their revisions."""
    api: Any = console
    follower = ConsoleFollower(api, lost=lambda _: None)
    follower.begin(back)
    happened = follower.follow()
    found = [next(happened) for _ in range(count)]
    happened.close()
    return [(one.what, one.revision.id if one.revision else -1) for one in found]


def test_last_ones_are_told_first(console: PlayedConsole) -> None:
    """In the order in which they were committed."""
    assert told(console, 2, back=2) == [("revision", 1), ("revision", 2)]
    assert told(console, 3, back=1000) == [("revision", 0), ("revision", 1), ("revision", 2)]


def test_database_that_is_set_back_is_told(console: PlayedConsole) -> None:
    """It has fewer revisions then."""

    def set_back() -> None:
        del console.log[2]

    console.story = [set_back, lambda: console.write(2, at=9)]
    assert told(console, 2) == [("reset", 1), ("revision", 2)]


def test_database_that_was_set_back_and_went_on_is_told(console: PlayedConsole) -> None:
    """By the time of the revision that both have; with as many, or with more."""

    def another(*numbers: int) -> Callable[[], object]:
        return lambda: [console.write(one, at=9) for one in numbers]

    console.story = [another(2), lambda: console.write(3)]
    assert told(console, 2) == [("reset", 2), ("revision", 3)]
    console.story = [another(3, 4), lambda: console.write(5)]
    assert told(console, 2) == [("reset", 4), ("revision", 5)]


def test_database_that_is_set_back_while_it_is_read_is_told(console: PlayedConsole) -> None:
    """There was a newer revision a moment ago, and is none after the one that both have."""
    usual = console.get

    def get(path: str, **query: Any) -> Any:
        if path == "revisions" and query["limit"] > 1:
            console.log.pop(3, None)
            console.write(2, at=9)
        return usual(path, **query)

    console.get = get  # type: ignore[method-assign]
    console.story = [lambda: console.write(3)]
    assert told(console, 1) == [("reset", 2)]


def test_what_was_held_and_is_forgotten_ends_nothing(console: PlayedConsole) -> None:
    """The log may be shortened meanwhile; what is confirmed is told."""

    def forget() -> None:
        del console.log[3]
        console.write(4, "confirmed")

    console.story = [
        lambda: [console.write(3, "held"), console.write(4, "waiting")],
        forget,
        lambda: console.write(5),
    ]
    assert told(console, 4) == [
        ("revision", 3),
        ("revision", 4),
        ("confirmed", 4),
        ("revision", 5),
    ]


def test_what_has_just_gone_is_told_without_its_changes(console: PlayedConsole) -> None:
    """Between the list and the changes, where somebody begins far back."""
    console.forgotten = {1}
    assert told(console, 2, back=2) == [("revision", 1), ("revision", 2)]


def test_too_many_are_not_caught_up_with(
    console: PlayedConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest are told, and that there were more."""
    monkeypatch.setattr(following_console, "MAX_MISSED", 4)
    monkeypatch.setattr(following_console, "_PAGE", 2)
    lost: list[str] = []
    api: Any = console
    follower = ConsoleFollower(api, lost=lost.append)
    follower.begin(0)
    for number in range(3, 20):
        console.write(number)
    happened = follower.follow()
    found = [next(happened) for _ in range(4)]
    assert [one.revision.id for one in found if one.revision] == [16, 17, 18, 19]
    assert "more than 4 revisions were missed" in lost[0]


def test_what_gateways_say_each_second_is_no_reason_to_look(console: PlayedConsole) -> None:
    """It would be a question each second for nothing."""
    console.said = "fleet"
    seen: list[int] = []
    console.story = [
        *[lambda: seen.append(len(console.asked))] * 3,
        lambda: setattr(console, "said", "revision"),
        lambda: console.write(3),
    ]
    assert told(console, 1) == [("revision", 3)]
    assert seen[0] == seen[2]


def test_stream_that_ends_is_begun_anew(console: PlayedConsole) -> None:
    """A console ends it each hour."""
    streams = iter(
        [[lambda: console.write(3)], [lambda: console.write(4)], [lambda: console.write(5)]]
    )
    listen = console.listen

    def listen_again() -> Iterator[str]:
        console.story = list(next(streams))
        return listen()

    console.listen = listen_again  # type: ignore[method-assign]
    assert told(console, 3) == [("revision", 3), ("revision", 4), ("revision", 5)]


def test_it_gives_up_after_all_tries(
    console: PlayedConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says what was the matter."""

    def away() -> Iterator[str]:
        raise AwayError("nobody answers", "Connection refused", is_sent=False)
        yield ""

    api: Any = console
    said: list[str] = []
    follower = ConsoleFollower(api, lost=said.append)
    follower.begin(0)
    monkeypatch.setattr(follower, "_attempts", iter(range(3)))
    monkeypatch.setattr(console, "listen", away)
    why = "the console at http://console is away (Connection refused)"
    with pytest.raises(CommandError, match=r"away .*; given up"):
        next(follower.follow())
    assert said == [why]
