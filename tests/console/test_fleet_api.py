"""What is asked of gateways by the API."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.auth.operators import Operator
from fengling_gateway.console.fleet_api import FleetApi


class FullBus:
    """One on which as many things are switched off as may be."""

    def switch(self, *_: Any, **__: Any) -> Deferred[Any]:
        return fail(ValueError("1000 things are switched off, or were of late"))


class Asks:
    """A call by somebody who may."""

    path = {"switched": "route", "id": "r1"}

    def __init__(self) -> None:
        self.access = self
        self.operator = Operator("ada", frozenset(), "x", "t", 2e9)

    def require(self, scope: str) -> None:
        pass

    def require_all_tenants(self) -> None:
        pass

    def only(self, *names: str) -> None:
        pass

    def text(self, name: str) -> str:
        return ""

    def began(self, what: str, before: Any) -> None:
        pass

    def ended(self, record: Any, outcome: str, after: Any) -> None:
        self.outcome = outcome


class SwitchTests(SynchronousTestCase):
    def test_one_switch_too_many_is_refused(self) -> None:
        """With what is wrong, and not as a mistake of ours."""
        bus: Any = FullBus()
        none: Any = None
        asked: Any = Asks()
        api = FleetApi(store=none, mirror=none, fleet=none, bus=bus)
        failure = self.failureResultOf(Deferred.fromCoroutine(api.switch_off(asked)), ProblemError)
        self.assertEqual(failure.value.code, "conflict")
        self.assertIn("1000 things", failure.value.detail)
        self.assertEqual(asked.outcome, "failed")
