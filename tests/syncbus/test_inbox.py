"""What arrives is believed or dropped, and counted either way."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from fengling_gateway.syncbus.inbox import Inbox, Receivers
from fengling_gateway.syncbus.messages import (
    ProberBeat,
    encode_command,
    encode_evidence,
    encode_position,
    encode_prober,
)
from fengling_gateway.syncbus.names import Names
from fengling_gateway.syncbus.signing import Keyring
from tests.syncbus.builders import OTHER_KEY, Heard, command, evidence, keyring, position

NOW = 1_700_000_000.0
ANNOUNCE, COMMAND = b"fengling:test:announce", b"fengling:test:command"
EVIDENCE, PROBER = b"fengling:test:evidence", b"fengling:test:prober"


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.heard = Heard()
        self.counters: Counter[str] = Counter()
        self.inbox = Inbox(
            clock=self.clock,
            wall_clock=lambda: NOW,
            keyring=keyring(),
            names=Names("test"),
            receivers=Receivers(**self.heard.receivers()),
            counters=self.counters,
        )


def announcement(ring: Keyring | None = None, at: float = NOW, revision: int = 412) -> bytes:
    return (ring or keyring()).sign(b"announce", encode_position(position(revision)), now=at)


def order(at: float = NOW, command_id: str = "c1") -> bytes:
    return keyring().sign(b"command", encode_command(command(command_id)), now=at)


def seen(at: float = NOW, node: str = "n1") -> bytes:
    return keyring().sign(b"evidence", encode_evidence(node, evidence()), now=at)


def beat(at: float = NOW, holder: str = "c1") -> bytes:
    return keyring().sign(b"prober", encode_prober(ProberBeat(4, holder)), now=at)


def test_announcements_and_commands_reach_their_receivers() -> None:
    """Each on its channel."""
    bench = Bench()
    bench.inbox.received(ANNOUNCE, announcement())
    bench.inbox.received(COMMAND, order())
    assert (bench.heard.positions, bench.heard.commands) == ([position()], [command()])
    assert bench.counters == {"announcements_heard": 1, "commands_heard": 1}


@pytest.mark.parametrize(
    ("channel", "message", "reason"),
    [
        (ANNOUNCE, b'{"revision": 1}', "unsigned"),
        (ANNOUNCE, announcement(keyring(OTHER_KEY)), "wrong signature"),
        (ANNOUNCE, announcement(keyring(cluster="other")), "wrong signature"),
        (ANNOUNCE, order(), "signed for another purpose"),
        (COMMAND, announcement(), "signed for another purpose"),
        (COMMAND, order(at=NOW - 61), "too old, or a clock is wrong"),
        (COMMAND, order(at=NOW + 61), "too old, or a clock is wrong"),
        (ANNOUNCE, announcement(at=NOW - 61), "too old, or a clock is wrong"),
        (ANNOUNCE, announcement(at=NOW + 61), "too old, or a clock is wrong"),
        (ANNOUNCE, keyring().sign(b"announce", b"x" * 4096, now=NOW), "too large"),
        (ANNOUNCE, keyring().sign(b"announce", b"[]", now=NOW), "no object"),
        (EVIDENCE, beat(), "signed for another purpose"),
        (EVIDENCE, seen(at=NOW - 61), "too old, or a clock is wrong"),
        (EVIDENCE, keyring().sign(b"evidence", b"x" * 131_072, now=NOW), "too large"),
        (PROBER, seen(), "signed for another purpose"),
        (PROBER, beat(at=NOW - 61), "too old, or a clock is wrong"),
        (PROBER, keyring().sign(b"prober", b"x" * 4096, now=NOW), "too large"),
    ],
)
def test_what_is_not_believed_is_dropped_and_counted(
    channel: bytes, message: bytes, reason: str
) -> None:
    """By reason."""
    bench = Bench()
    bench.inbox.received(channel, message)
    assert (bench.heard.positions, bench.heard.commands) == ([], [])
    assert bench.counters == {"messages_dropped": 1, f"messages_dropped:{reason}": 1}


def test_a_command_works_once() -> None:
    """A recording of it is dropped, within the minute and after."""
    bench = Bench()
    for _ in range(3):
        bench.inbox.received(COMMAND, order())
    assert bench.heard.commands == [command()]
    assert bench.counters["messages_dropped:a command seen before"] == 2


def test_evidence_and_heartbeats_count_once_and_in_order() -> None:
    """A recording is worth nothing, nor is what another has said since of any worth to it."""
    bench = Bench()
    for at in (NOW, NOW, NOW + 1, NOW):
        bench.inbox.received(EVIDENCE, seen(at=at))
        bench.inbox.received(PROBER, beat(at=at))
    bench.inbox.received(EVIDENCE, seen(node="n2"))
    bench.inbox.received(PROBER, beat(holder="c2"))
    assert bench.heard.evidence == [(node, evidence()) for node in ("n1", "n1", "n2")]
    assert bench.heard.beats == [ProberBeat(4, holder) for holder in ("c1", "c1", "c2")]
    assert bench.counters["messages_dropped:evidence seen before"] == 2
    assert bench.counters["messages_dropped:a prober's heartbeat seen before"] == 2


def test_what_nobody_wants_to_hear_is_not_subscribed_to() -> None:
    """And costs no verification if it comes all the same."""
    inbox = Inbox(
        clock=Clock(),
        wall_clock=lambda: NOW,
        keyring=keyring(),
        names=Names("test"),
        receivers=Receivers(on_evidence=lambda node, instances: None),
        counters=(counters := Counter()),
    )
    assert inbox.channels == (EVIDENCE.decode(),)
    inbox.received(ANNOUNCE, b"noise")
    assert counters == {}


def test_an_announcement_works_once() -> None:
    """Who records it and plays it back again and again makes nobody look."""
    bench = Bench()
    for _ in range(3):
        bench.inbox.received(ANNOUNCE, announcement())
        bench.clock.advance(30)
    assert bench.heard.positions == [position()]
    assert bench.counters["messages_dropped:an announcement seen before"] == 2


def test_a_position_may_be_announced_by_several() -> None:
    """When its first announcer is too slow for the others; that is no recording."""
    bench = Bench()
    for at in (NOW - 1, NOW - 0.5, NOW):
        bench.inbox.received(ANNOUNCE, announcement(at=at))
    assert bench.heard.positions == [position()] * 3


def test_clocks_that_differ_by_less_than_a_minute_do_no_harm() -> None:
    """Announcements are heard, whoever is ahead."""
    bench = Bench()
    for at in (NOW - 59, NOW + 59):
        bench.inbox.received(ANNOUNCE, announcement(at=at))
    assert len(bench.heard.positions) == 2


def test_replaying_everything_that_was_ever_said_is_worth_nothing() -> None:
    """What is recent has been heard, and what is older is dropped; new words are heard."""
    bench = Bench()
    said = [announcement(at=NOW - age, revision=1000 - age) for age in range(0, 600, 5)]
    for message in reversed(said[:13]):
        bench.inbox.received(ANNOUNCE, message)
    heard = list(bench.heard.positions)
    for _ in range(10):
        for message in said:
            bench.inbox.received(ANNOUNCE, message)
    assert bench.heard.positions == heard
    bench.inbox.received(ANNOUNCE, announcement(revision=1001))
    assert bench.heard.positions == [*heard, position(1001)]


def test_a_receiver_that_fails_costs_nothing_else() -> None:
    """The subscription stays, the failure is counted and logged."""
    events: list[object] = []
    bench = Bench()

    def broken(_: object) -> None:
        raise RuntimeError("canary")

    inbox = Inbox(
        clock=bench.clock,
        wall_clock=lambda: NOW,
        keyring=keyring(),
        names=Names("test"),
        receivers=Receivers(broken),
        counters=bench.counters,
    )
    globalLogPublisher.addObserver(events.append)
    try:
        inbox.received(ANNOUNCE, announcement())
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert bench.counters["receiver_errors"] == 1
    assert len(events) == 1


def test_a_flood_is_one_line_in_ten_seconds() -> None:
    """Who can publish can't fill our disk."""
    events: list[object] = []
    bench = Bench()
    globalLogPublisher.addObserver(events.append)
    try:
        for _ in range(1000):
            bench.inbox.received(ANNOUNCE, b"noise")
        bench.clock.advance(10)
        bench.inbox.received(ANNOUNCE, b"noise")
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert len(events) == 2
    assert bench.counters["messages_dropped"] == 1001


@given(channel=st.sampled_from([ANNOUNCE, COMMAND, b"other"]), message=st.binary(max_size=300))
def test_any_message_is_survived(channel: bytes, message: bytes) -> None:
    """Never an exception into the protocol."""
    bench = Bench()
    bench.inbox.received(channel, message)
    assert (bench.heard.positions, bench.heard.commands) == ([], [])
