"""A data plane between clients that send anything and an instance that judges what it gets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.conformance.client import Answer, Client, request
from tests.conformance.instance import RecordingInstance
from tests.conformance.judge import Request
from tests.dataplane.processes import Gateway, forwarding, running_gateway, running_instance
from tests.dataplane.snapshots import Entity
from tests.support.wait import wait_until

_SHORT = 600
"""Requests up to so many bytes are also sent byte by byte."""


class Scene:
    """What a test has: see the methods."""

    def __init__(self, gateway: Gateway, instance: RecordingInstance) -> None:
        self.gateway = gateway
        self.instance = instance
        self._turns = itertools.count()

    def client(self, **given: Any) -> Client:
        """A new connection to the gateway."""
        return Client(self.gateway.connect(**given))

    def ask(self, raw: bytes, method: bytes = b"GET") -> Answer:
        """Send this on a new connection; return its answer."""
        with self.client() as client:
            return client.send(raw).answer(method)

    def forwards(self, raw: bytes, method: bytes = b"GET") -> Request:
        """Send this on a new connection; return what the instance got of it."""
        before = len(self.instance.requests)
        answer = self.ask(raw, method)
        assert answer.status == 200, answer
        # One that an earlier test has cut short may be told of now: it is no whole one.
        got = wait_until(lambda: self._whole(before))
        assert len(got) == 1, got
        return got[0]

    def _whole(self, before: int) -> list[Request]:
        return [got for got in self.instance.requests[before:] if got.is_complete]

    def refuses(self, raw: bytes, status: int = 400, code: str | None = None) -> None:
        """Check that this is answered with a problem, the connection closed, and nothing forwarded."""
        before = len(self.instance.requests)
        for one_by_one in (False, True)[: 1 + (len(raw) <= _SHORT)]:
            with self.client() as client:
                answer = client.send(raw, one_by_one=one_by_one).answer()
                assert answer.status == status, answer
                assert code in (None, answer.code), answer
                assert answer.is_last
                assert client.ends()
        self.serves_others()
        assert [got.target[:6] for got in self._whole(before)] == [b"/turn/"]

    def serves_others(self) -> None:
        """Check that the next connection gets its own answer."""
        target = b"/turn/%d" % next(self._turns)
        answer = self.ask(request(target=target))
        assert answer.body == b"GET " + target, answer

    def counter(self, name: str) -> int:
        """A counter of the gateway."""
        value: int = self.gateway.ask()["counters"][name]
        return value

    def when_still(self, name: str, at_least: int) -> int:
        """A counter, once it is so high and moves no more."""
        last = -1

        def stands_still() -> bool:
            nonlocal last
            before, last = last, self.counter(name)
            return last == before >= at_least

        wait_until(stands_still, interval=0.2)
        return last

    def failures(self, code: str) -> int:
        """How often exchanges have failed with this code."""
        requests = self.gateway.ask()["counters"]["requests"]
        return sum(errors.get(code, 0) for *_, errors in requests)

    def is_clean(self) -> None:
        """Check what holds after every test."""
        wait_until(lambda: self.counter("in_flight_now") == 0)
        wait_until(lambda: self.counter("upstream_queued_now") == 0)
        self.instance.begin()
        self.serves_others()
        assert not self.instance.unsafe, self.instance.unsafe


@contextmanager
def staged(*more: Entity, **settings: Any) -> Iterator[Scene]:
    """
    Run a scene: a route to one service with the recording instance, and more entities.

    Leaving it fails if the gateway has logged a traceback.
    """
    instance = RecordingInstance()
    with (
        running_instance(instance.serve) as address,
        running_gateway(*forwarding(address, *more), **settings) as gateway,
    ):
        yield Scene(gateway, instance)
