"""Live events: who is told, and for how long."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.access.audit import AuditTrail
from fengling_gateway.access.granted import Access, IAccess
from fengling_gateway.auth.operators import Operator
from fengling_gateway.console.call import Call
from fengling_gateway.console.events import LOOK_SECONDS, Events
from tests.signin.requests import person, request

NOW = 1_700_000_000.0


class EventsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.events = Events(clock=self.clock, wall=lambda: NOW)
        self.events.start()
        self.addCleanup(self.events.stop)

    def listen(self, operator: Operator) -> Any:
        asked = request()
        asked.args = {}
        asked.written = []
        asked.write = asked.written.append
        trail = AuditTrail(clock=self.clock.seconds, wall_clock=lambda: NOW)
        asked.setComponent(IAccess, Access(asked, operator, trail))
        return self.events.listen(Call(asked, {})), asked

    def test_event_is_told_to_all_who_listen(self) -> None:
        """In a line."""
        _, asked = self.listen(person())
        self.events.tell("revision", {"revision": 8})
        assert asked.written[-1] == b'event: revision\ndata: {"revision":8}\n\n'

    def test_stream_ends_with_its_credential(self) -> None:
        """Not a moment later than is looked."""
        over, _ = self.listen(person(expires_at=NOW + 30))
        self.clock.pump([LOOK_SECONDS] * 14)
        self.assertNoResult(over)
        self.clock.pump([LOOK_SECONDS] * 2)
        self.successResultOf(over)
        assert len(self.events) == 0

    def test_stream_of_who_has_signed_out_ends(self) -> None:
        """Here or at another console; others go on."""
        ada, _ = self.listen(person(token_id="s1"))
        eve, _ = self.listen(person(token_id="s2"))
        self.events.holds = lambda operator: operator.token_id != "s1"
        self.clock.advance(LOOK_SECONDS)
        self.successResultOf(ada)
        self.assertNoResult(eve)
