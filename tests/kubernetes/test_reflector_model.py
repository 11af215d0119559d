"""Whatever happens to a cluster, and to the way there: in the end it is known as it is."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes import listing, objects
from fengling_gateway.kubernetes.errors import ApiError
from fengling_gateway.kubernetes.resources import SERVICES
from tests.kubernetes.memory import MemoryServer
from tests.kubernetes.scripted import Listener, new_reflector
from tests.support.kubernetes_objects import MANAGED, service

TURNS = 200
TURN_SECONDS = 10
"""Longer than two watches: so long it may take to notice that a silent server was set back."""

NAMES = st.sampled_from("abcdef")
ERRORS = st.sampled_from((0, 401, 403, 404, 410, 429, 500, 504)).map(
    lambda status: ApiError(status, "", "no", 3.0 if status == 429 else None)
)
STEPS = st.one_of(
    st.tuples(st.just("apply"), NAMES, st.integers(80, 83), st.booleans()),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("compact")),
    st.tuples(st.just("set_back")),
    st.tuples(st.just("expire_pages")),
    st.tuples(st.just("end"), st.none() | ERRORS),
    st.tuples(st.just("fail"), ERRORS),
    st.tuples(st.just("advance"), st.sampled_from((0.1, 1.0, 40.0, 700.0))),
)


class Play:
    """What happens, step by step."""

    def __init__(self, seed: int) -> None:
        self.clock = Clock()
        self.server = MemoryServer(self.clock)
        self.user = Listener()
        self.reflector = new_reflector(self.clock, self.server, self.user, rng=Random(seed))
        for name in "abc":
            self.apply(name, 80, True)

    def apply(self, name: str, port: int, is_managed: bool) -> None:
        labels = MANAGED if is_managed else {}
        self.server.store.apply(SERVICES, service(name, ports=[port], labels=labels))

    def delete(self, name: str) -> None:
        if any(one["metadata"]["name"] == name for one in self.server.store.all(SERVICES)):
            self.server.store.delete(SERVICES, "shop", name)

    def compact(self) -> None:
        self.server.store.compact()

    def set_back(self) -> None:
        """As a restored cluster does it, all that is open breaks."""
        self.server.store.set_back()
        self.end(ApiError(0, "Broken", "it broke"))

    def expire_pages(self) -> None:
        self.server.store.expire_pages()

    def end(self, error: ApiError | None) -> None:
        self.server.end_watches(error)

    def fail(self, error: ApiError) -> None:
        self.server.failing.append(error)

    def advance(self, seconds: float) -> None:
        self.server.deliver()
        self.clock.advance(seconds)

    def there_is(self) -> dict[str, Any]:
        managed = [
            objects.service(one)
            for one in self.server.store.all(SERVICES)
            if one["metadata"].get("labels")
        ]
        return {str(one.name): one for one in managed}


class ReflectorModelTests(SynchronousTestCase):
    """`Reflector`, by what it tells"""

    def setUp(self) -> None:
        self.patch(listing, "PAGE_OBJECTS", 2)

    @given(st.integers(), st.lists(STEPS, max_size=25))
    def test_in_the_end_all_is_known_as_it_is(self, seed: int, steps: list[Any]) -> None:
        """Whatever has changed, failed, ended and expired before, in whatever order."""
        play = Play(seed)
        play.reflector.start()
        for name, *how in steps:
            getattr(play, name)(*how)
        play.server.failing.clear()
        for _ in range(TURNS):
            play.advance(TURN_SECONDS)
        self.assertEqual(play.user.known, play.there_is())
        self.assertEqual(play.reflector.status()["state"], "watching")
        self.assertIsNone(play.reflector.status()["problem"])
        self.successResultOf(play.reflector.stop())
        self.assertEqual(self.flushLoggedErrors(), [])
