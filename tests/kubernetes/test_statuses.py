"""Statuses, written back to the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.errors import ApiError
from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef
from fengling_gateway.kubernetes.resources import GATEWAY_CLASSES, GATEWAYS
from fengling_gateway.kubernetes.statuses import CONCURRENCY, CONFLICTS, Statuses

EDGE = ObjectRef(GATEWAYS, "shop", "edge")


def accepted(generation: int = 1) -> dict[str, Any]:
    condition = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "observedGeneration": generation,
    }
    return {"conditions": [condition]}


def refused(status: int) -> ApiError:
    return ApiError(status, "Reason", "what the server says")


class Objects:
    """Pretends to get and put; what is put can be refused first."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.put_: list[dict[str, Any]] = []
        self.refusals: list[ApiError] = []
        self.waiting: list[Deferred[dict[str, Any]]] = []
        self.is_slow = False

    def get(self, path: str, /) -> Deferred[dict[str, Any]]:
        if self.is_slow:
            self.waiting.append(Deferred())
            return self.waiting[-1]
        if self.refusals and self.refusals[0].status == 404:
            return fail(self.refusals.pop(0))
        return succeed(dict(self.there.setdefault(path, {"metadata": {"resourceVersion": "1"}})))

    def put(self, path: str, body: Mapping[str, Any], /) -> Deferred[dict[str, Any]]:
        if self.refusals:
            return fail(self.refusals.pop(0))
        self.put_.append(dict(body))
        self.there[path.removesuffix("/status")] = dict(body)
        return succeed(dict(body))


class StatusesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.objects = Objects()
        self.statuses = Statuses(
            clock=self.clock,
            objects=self.objects,
            rng=Random(1),
            controller="gateway.fengling/controller",
            wall=lambda: 1_700_000_000.0,
        )

    def tearDown(self) -> None:
        self.statuses.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_status_is_put_with_what_was_read(self) -> None:
        """The version above all, so that nobody's word is lost."""
        self.statuses.want({EDGE: accepted()})
        [body] = self.objects.put_
        self.assertEqual(body["metadata"], {"resourceVersion": "1"})
        [condition] = body["status"]["conditions"]
        self.assertEqual(condition["lastTransitionTime"], "2023-11-14T22:13:20Z")

    def test_what_is_so_already_is_not_put(self) -> None:
        """Neither at once, nor after a restart."""
        self.statuses.want({EDGE: accepted()})
        self.statuses.want({EDGE: accepted()})
        other = Statuses(
            clock=self.clock,
            objects=self.objects,
            rng=Random(1),
            controller="gateway.fengling/controller",
            wall=lambda: 1_800_000_000.0,
        )
        other.want({EDGE: accepted()})
        self.assertEqual(len(self.objects.put_), 1)

    def test_conflict_is_read_and_put_again(self) -> None:
        """Somebody wrote in between."""
        self.objects.refusals = [refused(409), refused(409)]
        self.statuses.want({EDGE: accepted()})
        self.clock.advance(1)
        self.assertEqual(len(self.objects.put_), 1)
        self.assertEqual(self.statuses.failures, 0)

    def test_conflicts_without_end_are_a_failure(self) -> None:
        """Whoever writes all the time is not to be raced; it is told, and tried later."""
        self.objects.refusals = [refused(409)] * (CONFLICTS + 2)
        self.statuses.want({EDGE: accepted()})
        self.assertEqual((self.statuses.failures, len(self.objects.refusals)), (1, 1))
        self.assertIn("Gateway shop/edge: ", str(self.statuses.problem))
        self.clock.advance(0.2)
        self.assertEqual((self.statuses.failures, len(self.objects.refusals)), (2, 0))
        self.clock.advance(0.4)
        self.assertEqual((len(self.objects.put_), self.statuses.problem), (1, None))

    def test_newest_wish_is_written_after_a_conflict(self) -> None:
        """Not the one that was wanted when the conflict's write began."""
        self.objects.is_slow = True
        self.statuses.want({EDGE: accepted(1)})
        self.statuses.want({EDGE: accepted(2)})
        self.objects.is_slow = False
        self.objects.refusals = [refused(409)]
        self.objects.waiting[0].callback({})
        generations = [
            one["status"]["conditions"][0]["observedGeneration"] for one in self.objects.put_
        ]
        self.assertEqual(generations, [2])

    def test_problem_of_what_is_wanted_no_more_is_forgotten(self) -> None:
        """Nothing will ever be written that would end it."""
        self.objects.refusals = [refused(403)]
        self.statuses.want({EDGE: accepted()})
        self.assertIsNotNone(self.statuses.problem)
        self.statuses.want({})
        self.assertEqual((len(self.statuses), self.statuses.problem), (0, None))

    def test_object_that_is_made_again_is_given_its_status(self) -> None:
        """Though it was gone when the very same one was first written."""
        self.objects.refusals = [refused(404)]
        self.statuses.want({EDGE: accepted()})
        self.statuses.want({EDGE: accepted()})
        self.assertEqual(len(self.objects.put_), 1)

    def test_object_that_is_gone_needs_no_status(self) -> None:
        """Whoever deleted it does not ask."""
        self.objects.refusals = [refused(404)]
        self.statuses.want({EDGE: accepted()})
        self.assertEqual((len(self.statuses), self.statuses.problem), (0, None))

    def test_failure_is_told_and_tried_again(self) -> None:
        """Until it is written."""
        self.objects.refusals = [refused(403), refused(500)]
        self.statuses.want({EDGE: accepted()})
        self.assertIn("Gateway shop/edge: ", str(self.statuses.problem))
        self.clock.pump([0.2, 0.4])
        self.assertEqual((len(self.objects.put_), self.statuses.problem), (1, None))
        self.assertEqual(self.statuses.failures, 2)

    def test_what_is_in_no_namespace_is_named_without_one(self) -> None:
        """As people write it."""
        self.objects.refusals = [refused(403)]
        self.statuses.want({ObjectRef(GATEWAY_CLASSES, "", "fengling"): accepted()})
        self.assertIn("GatewayClass fengling: ", str(self.statuses.problem))
        self.clock.advance(60)

    def test_one_that_is_refused_keeps_no_other_waiting(self) -> None:
        """Each is tried again by itself."""
        other = ObjectRef(GATEWAYS, "shop", "other")
        self.objects.refusals = [refused(422)]
        self.statuses.want({EDGE: accepted(), other: accepted()})
        self.assertEqual(len(self.objects.put_), 1)
        self.clock.advance(0.2)
        self.assertEqual(len(self.objects.put_), 2)

    def test_newest_wish_is_written_after_one_under_way(self) -> None:
        """Never two at a time of one object."""
        self.objects.is_slow = True
        self.statuses.want({EDGE: accepted(1)})
        self.statuses.want({EDGE: accepted(2)})
        self.statuses.want({EDGE: accepted(3)})
        self.assertEqual(len(self.objects.waiting), 1)
        self.objects.is_slow = False
        self.objects.waiting[0].callback({})
        generations = [
            one["status"]["conditions"][0]["observedGeneration"] for one in self.objects.put_
        ]
        self.assertEqual(generations, [1, 3])

    def test_hundreds_may_end_at_once(self) -> None:
        """Well or not: without a token nothing is asked for at all."""
        many = {ObjectRef(GATEWAYS, "shop", f"g{one}"): accepted() for one in range(500)}
        self.objects.refusals = [refused(0)] * 500
        self.statuses.want(many)
        self.assertEqual((self.statuses.failures, len(self.statuses)), (500, 500))
        self.clock.advance(1)
        self.assertEqual((len(self.objects.put_), len(self.statuses)), (500, 0))

    def test_only_so_many_at_a_time(self) -> None:
        """A thousand routes are no reason to ask a thousand times at once."""
        self.objects.is_slow = True
        many = {ObjectRef(GATEWAYS, "shop", f"g{one}"): accepted() for one in range(20)}
        self.statuses.want(many)
        self.assertEqual(len(self.objects.waiting), CONCURRENCY)
        self.statuses.want({})
        self.assertEqual(len(self.statuses), CONCURRENCY)
