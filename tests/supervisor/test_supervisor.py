"""What the supervisor does with what its parts tell it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.configsource.reading import (
    ProberRow,
    Reading,
    Row,
    SourceError,
    SourceState,
)
from fengling_gateway.control.frames import Message
from fengling_gateway.dataplane.counters import Counters
from fengling_gateway.model.delta import Delta, Position
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from fengling_gateway.supervisor.bus import NoBus
from fengling_gateway.supervisor.key_fetch import Fetched, FetchError
from fengling_gateway.supervisor.last_resort import PATIENCE_SECONDS
from fengling_gateway.supervisor.launch import Launched
from fengling_gateway.supervisor.link import CatchUp
from fengling_gateway.supervisor.outside import Outside
from fengling_gateway.supervisor.published_keys import Kept
from fengling_gateway.supervisor.span_export import Batch, ExportSettings, Outcome, SpanExport
from fengling_gateway.supervisor.supervisor import Supervisor, SupervisorSettings
from fengling_gateway.syncbus.messages import ProberBeat
from fengling_gateway.syncbus.switches import Switch
from tests.support.forge import rsa_jwk


def at(revision: int) -> Position:
    return Position("e", revision, f"t{revision}")


def route(number: int) -> Row:
    """A valid row of a route that needs nothing else."""
    values = {"id": f"r{number}", "path": f"/r{number}", "respond": {"status": 200}}
    return Row(Key("route", f"r{number}"), values)


def issuer(name: str) -> Row:
    """A valid row of an issuer that publishes its keys."""
    values = {
        "id": name,
        "issuer": f"https://{name}.example",
        "audiences": ["api"],
        "jwks_url": "https://id.example/keys",
    }
    return Row(Key("issuer", name), values)


class Source:
    """Answers when the test says."""

    def __init__(self) -> None:
        self.state = SourceState()
        self.asked: list[Deferred[Reading]] = []

    def start(self) -> None: ...

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def read(self, after: Position | None = None) -> Deferred[Reading]:
        self.asked.append(Deferred())
        return self.asked[-1]

    read_all = read

    def history(self, keys: Any, up_to: int) -> Any: ...

    def confirm(self, revision: int, author: str) -> Any: ...

    def answer(self, target: Position, *rows: Row, before: Position | None = None) -> None:
        self.asked[-1].callback(Reading(target, before, rows, [], None, len(rows)))


class Bus(NoBus):
    """Notes what is announced."""

    def __init__(self, happened: list[str]) -> None:
        self._happened = happened

        self.states: list[dict[str, Any]] = []
        self.evidence: list[dict[str, Any]] = []
        self.words: dict[str, Switch] = {}

    def switches(self) -> Deferred[dict[str, Switch]]:
        return succeed(self.words)

    def publish_evidence(self, instances: dict[str, dict[str, Any]]) -> None:
        self.evidence.append(instances)

    def announce(self, position: Position) -> None:
        self._happened.append(f"announced {position.revision}")

    def publish_node(self, state: dict[str, Any]) -> None:
        self.states.append(state)


class Journal:
    """Holds what the test puts on the disk, and notes what is written."""

    def __init__(self, happened: list[str]) -> None:
        self._happened = happened
        self.good: tuple[Position, dict[Key, bytes]] | None = None
        self.failures, self.is_failing = 0, False

    def load(self) -> Deferred[Any]:
        return succeed(self.good)

    def append(self, delta: Delta, bodies: Callable[[], dict[Key, bytes]]) -> None:
        self._happened.append(f"written {delta.after.revision}")

    def retry(self) -> None: ...

    def stop(self) -> Deferred[None]:
        return succeed(None)


class KeyFile:
    """Holds what the test puts on the disk."""

    failures = 0

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Kept] = {}

    def load(self) -> dict[tuple[str, str], Kept]:
        return self.kept

    def save(self, sets: Any) -> None:
        self.kept = dict(sets)

    def stop(self) -> Deferred[None]:
        return succeed(None)


class Worker:
    """A channel and a process that note what they are sent."""

    can_overlap = True
    bytes_sent = queued = 0

    def __init__(self, happened: list[str]) -> None:
        self._happened = happened
        self.exited: Callable[[str], None] = lambda _: None
        self.overrides: list[dict[str, Any]] = []

    def launch(self, name: str, user: Any, exited: Callable[[str], None]) -> Launched:
        self.exited = exited
        return Launched(self, 1, lambda: exited("signal 9"), {})

    def send(self, message: Any, values: Any = None) -> None:
        if message is Message.KEY_SETS:
            self._happened.append(f"told of {', '.join(values)}")
        if message is Message.OVERRIDES:
            self.overrides.append(values)

    def send_delta(self, delta: Delta) -> None:
        self._happened.append(f"sent {delta.after.revision}")

    def close(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class SupervisorCase(SynchronousTestCase):
    """With a supervisor of one worker, whose parts do what a test says."""

    def supervise(self, **settings: Any) -> None:
        """Start the supervisor that the test is about."""
        self.clock = Clock()
        self.happened: list[str] = []
        self.source, self.journal = Source(), Journal(self.happened)
        self.key_file = KeyFile()
        self.fetches: list[Deferred[Fetched]] = []
        self.broken_off = 0
        self.worker, self.bus = Worker(self.happened), Bus(self.happened)
        self.rows: list[Deferred[ProberRow | None]] = []
        self.batches: list[Batch] = []
        self.spans = SpanExport(
            clock=self.clock,
            settings=ExportSettings(batch_interval=2.0),
            send=self.take_spans,
            rng=random.Random(1),
        )
        self.supervisor = Supervisor(
            reactor=self.clock,
            settings=SupervisorSettings(
                cluster="c",
                node="n",
                workers=1,
                source="database",
                listeners=(),
                runtime_dir=Path(self.mktemp()),
                **settings,
            ),
            outside=lambda _: Outside(
                source=self.source,
                bus=self.bus,
                journal=self.journal,
                launcher=lambda sockets: self.worker,
                read_prober=self.read_prober,
                fetch_keys=self.fetch_keys,
                key_file=self.key_file,
                spans=self.spans,
            ),
            rng=random.Random(1),
        )
        self.supervisor.start()
        self.addCleanup(self.supervisor.costs.stop)

    def take_spans(self, batch: Batch) -> Deferred[Outcome]:
        self.batches.append(batch)
        return succeed(Outcome(200))

    def read_prober(self) -> Deferred[ProberRow | None]:
        self.rows.append(Deferred())
        return self.rows[-1]

    def fetch_keys(self, body: Any) -> Deferred[Fetched]:
        self.fetches.append(Deferred(self.break_off))
        return self.fetches[-1]

    def break_off(self, fetch: Deferred[Fetched]) -> None:
        self.broken_off += 1
        fetch.errback(FetchError("deadline", "cancelled"))


class SupervisorTests(SupervisorCase):
    """`Supervisor`"""

    def setUp(self) -> None:
        self.supervise()

    def test_delta_goes_to_workers_other_hosts_and_the_file_in_this_order(self) -> None:
        """Who waits longest matters least."""
        self.source.answer(at(1), route(1))
        self.assertEqual(self.happened, ["sent 1", "announced 1", "written 1"])

    def test_workers_hear_of_keys_before_they_are_to_use_them(self) -> None:
        """And when they have been fetched; nobody waits for that."""
        self.source.answer(at(1), issuer("corp"))
        self.assertEqual(self.happened[:2], ["told of corp", "told of corp"])
        self.assertEqual(self.happened[2:], ["sent 1", "announced 1", "written 1"])
        self.fetches[0].callback(Fetched({"keys": [rsa_jwk()]}))
        self.assertEqual(self.happened[-1], "told of corp")
        self.assertEqual(list(self.supervisor.key_sets.issuers()), ["https://corp.example"])

    def test_restored_issuers_are_fetched_for_too(self) -> None:
        """The source may be away for longer than its issuers."""
        row = issuer("corp")
        verdict = validate(row.key, row.values)
        assert isinstance(verdict, Accepted), verdict
        self.journal.good = (at(1), {row.key: verdict.body})
        self.clock.advance(PATIENCE_SECONDS)
        self.assertLess(self.happened.index("told of corp"), self.happened.index("sent 1"))
        self.assertEqual(len(self.fetches), 1)

    def test_worker_that_starts_hears_of_all_keys(self) -> None:
        """A replacement serves as its predecessor did."""
        self.source.answer(at(1), issuer("a"), issuer("b"))
        before = len(self.happened)
        self.supervisor.worker_configured(self.supervisor.workers.links()[0])
        self.assertEqual(self.happened[before:], ["told of a", "told of b"])

    def test_worker_that_wants_a_key_is_answered(self) -> None:
        """Whether or not that leads to a fetch."""
        self.source.answer(at(1), issuer("corp"))
        self.fetches[0].callback(Fetched({"keys": [rsa_jwk()]}))
        (link,) = self.supervisor.workers.links()
        before = len(self.happened)
        link.message_received(Message.KEY_WANTED, b'{"issuer": "corp"}')
        self.assertEqual(len(self.fetches), 2)
        self.assertEqual(self.happened[before:], ["told of corp", "told of corp"])
        link.message_received(Message.KEY_WANTED, b'{"issuer": "gone"}')
        self.assertEqual(self.happened[-1], "told of gone")

    def test_hangup_fetches_keys_again(self) -> None:
        """As it reads everything else again."""
        self.source.answer(at(1), issuer("corp"))
        self.fetches[0].callback(Fetched({"keys": [rsa_jwk()]}))
        self.supervisor.renew_certificates()
        self.assertEqual(len(self.fetches), 2)

    def test_no_fetch_outlives_the_supervisor(self) -> None:
        """It is broken off, and nothing is left to happen."""
        self.source.answer(at(1), issuer("corp"))
        self.supervisor.key_sets.stop()
        self.assertEqual(self.broken_off, 1)

    def test_announcement_brings_workers_up_that_were_sent_nothing(self) -> None:
        """Its own, too: what the push does not do, the first sound from Redis does."""
        self.supervise(push=False)
        self.source.answer(at(1), route(1))
        self.supervisor.look("test")
        self.source.answer(at(2), route(2), before=at(1))
        self.assertNotIn("sent 2", self.happened)
        self.supervisor.announced(at(2))
        self.supervisor.announced(at(2))
        self.assertEqual(self.happened.count("sent 2"), 1)

    def test_what_is_expected_is_announced_before_it_is_read(self) -> None:
        """Redis takes its time meanwhile; whoever has heard by then is served with the first."""
        self.supervise(push=False)
        self.source.answer(at(1), route(1))
        looks = self.supervisor.loop.looks
        self.supervisor.hint("expected", {"position": at(2)})
        self.assertEqual(self.happened[-1], "announced 2")
        self.supervisor.announced(at(2))
        self.assertEqual(self.supervisor.loop.looks, looks, "its notification is on the way")
        self.supervisor.hint("notification", {"count": 1})
        self.source.answer(at(2), route(2), before=at(1))
        self.assertEqual(self.happened.count("sent 2"), 1)
        self.supervisor.look("test")
        self.source.answer(at(3), route(3), before=at(2))
        self.assertNotIn("sent 3", self.happened, "of this nobody has heard")

    def test_what_was_expected_and_never_came_is_looked_for(self) -> None:
        """The notification may be lost after all; others may know more."""
        self.source.answer(at(1), route(1))
        looks = self.supervisor.loop.looks
        self.supervisor.hint("expected", {"position": at(2)})
        self.supervisor.announced(at(3))
        self.assertEqual(self.supervisor.loop.looks, looks + 1)
        self.source.answer(at(1), before=at(1))
        self.supervisor.hint("lost", {})
        self.source.answer(at(1), before=at(1))
        self.supervisor.announced(at(2))
        self.assertEqual(self.supervisor.loop.looks, looks + 3)

    def test_another_epoch_is_looked_for_once_a_second(self) -> None:
        """By what other hosts announce, and by what workers have heard of it."""
        self.source.answer(at(1), route(1))
        looks = self.supervisor.loop.looks
        (link,) = self.supervisor.workers.links()
        for revision in range(10):
            foreign = Position("another", revision, "t")
            self.supervisor.announced(foreign)
            self.supervisor.distribution.answer(link, CatchUp("heard", at(1), 0, foreign))
            if not self.source.asked[-1].called:
                self.source.answer(at(1), before=at(1))
        self.assertEqual(self.supervisor.loop.looks, looks + 1)
        self.clock.advance(1)
        self.supervisor.announced(Position("another", 99, "t"))
        self.assertEqual(self.supervisor.loop.looks, looks + 2)

    def test_fault_in_the_narration_keeps_nothing_from_the_workers(self) -> None:
        """Not this revision, and none of the next ones."""
        self.supervisor.narration.read = None  # type: ignore[assignment,method-assign]
        self.source.answer(at(1), route(1))
        self.supervisor.look("test")
        self.source.answer(at(2), route(2), before=at(1))
        self.assertEqual([one for one in self.happened if "sent" in one], ["sent 1", "sent 2"])
        self.flushLoggedErrors(TypeError)

    def test_patience_ends_with_the_last_known_good_and_then_with_the_source(self) -> None:
        """The status says which; also where the source has nothing new."""
        key, values = route(1)
        verdict = validate(key, values or {})
        assert isinstance(verdict, Accepted)
        self.journal.good = (at(1), {key: verdict.body})
        self.clock.advance(PATIENCE_SECONDS)
        self.assertEqual(self.supervisor.served_from, "last-known-good")
        self.assertEqual(self.happened, ["sent 1"])
        self.source.asked[-1].errback(SourceError("away"))
        self.assertEqual(self.supervisor.served_from, "last-known-good")
        self.supervisor.look("connected")
        self.source.answer(at(1), before=at(1))
        self.source.answer(at(1), route(1))
        self.assertEqual(self.supervisor.served_from, "database")

    def test_polling_that_fails_too_is_not_said_to_find_changes(self) -> None:
        """Only that the source can't be read; and when it can, that notifications don't arrive."""
        said: list[str] = []

        def observe(event: LogEvent) -> None:
            said.append(str(event.get("log_id")))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.source.state.notes["listen"] = "Connection refused"
        self.supervisor.hint("lost", {})
        self.source.asked[-1].errback(SourceError("Connection refused"))
        self.assertIn("config.source_failed", said)
        self.assertNotIn("config.source_silent", said)
        self.source.answer(at(1), route(1))
        self.assertIn("config.source_silent", said)

    def test_other_nodes_are_told_of_traffic_each_second(self) -> None:
        """Of all workers, and of each."""
        self.source.answer(at(1), route(1))
        (link,) = self.supervisor.workers.links()
        for number in range(3):
            told = len(self.bus.states)
            self.clock.pump([0.25] * 4)
            self.assertEqual(len(self.bus.states), told + 1)
            totals = {**Counters().totals(), "requests": 40 * number}
            beat = {"lag_ms": 0.0, "blocked_ms": 0.0, "totals": totals}
            link.message_received(Message.HEARTBEAT, json.dumps(beat).encode())
        self.clock.pump([0.25] * 4)
        state = self.bus.states[-1]
        self.assertEqual(state["traffic"]["requests_per_s"], 40.0)
        self.assertEqual(state["workers"][0]["traffic"]["requests_per_s"], 40.0)
        self.assertEqual(state["started_at"], self.supervisor.started_on)

    def test_worker_is_told_what_holds_beside_the_configuration(self) -> None:
        """Before it serves; and other nodes hear of each change."""
        self.assertEqual([one["routes"] for one in self.worker.overrides], [[]])
        self.bus.words = {"route/all": Switch("route", "all", True, "ada", 1.0)}
        self.supervisor.bus_usable()
        self.supervisor.overrides.drain(True, by="ada")
        self.clock.advance(0.1)
        last = self.worker.overrides[-1]
        self.assertEqual((last["routes"], last["is_draining"]), (["all"], True))
        state = self.bus.states[-1]
        self.assertEqual(
            (state["switches"], state["draining"], state["health"]), (["route/all"], True, "none")
        )

    def test_prober_is_asked_for_when_the_source_has_answered(self) -> None:
        """What it says, and what is heard on Redis, decides how fresh verdicts are."""
        self.assertEqual(self.rows, [])
        self.source.answer(at(1), route(1))
        self.rows[0].callback(ProberRow(4, "c1", 59.0))
        self.clock.pump([1.0] * 3)
        self.assertTrue(self.worker.overrides[-1]["health_is_stale"])
        self.supervisor.prober_heard(ProberBeat(5, "c2"))
        self.assertFalse(self.worker.overrides[-1]["health_is_stale"])
        self.clock.advance(0.1)
        self.assertEqual(self.bus.states[-1]["health"], "fresh")

    def test_evidence_of_workers_is_published(self) -> None:
        """As they tell it."""
        (link,) = self.supervisor.workers.links()
        seen = {"failures": 1, "successes": 0, "error": "connect_failed", "ejected_for": None}
        link.message_received(Message.EVIDENCE, json.dumps({"instances": {"i1": seen}}).encode())
        self.clock.advance(0)
        self.assertEqual(self.bus.evidence, [{"i1": seen}])

    def test_spans_of_workers_are_sent(self) -> None:
        """With the name of the worker; what it had to drop is counted."""
        (link,) = self.supervisor.workers.links()
        said = {"spans": [["a"], ["b"]], "dropped": 3}
        link.message_received(Message.SPANS, json.dumps(said).encode())
        self.clock.pump([1.0] * 2)
        self.assertEqual(self.batches, [[(link.name, ["a"]), (link.name, ["b"])]])
        self.assertEqual(self.spans.dropped["worker"], 3)

    def test_revision_is_traced_until_every_worker_serves_it(self) -> None:
        """What is still under way when the gateway stops is told before it is gone."""
        self.source.answer(at(1), route(1))
        (link,) = self.supervisor.workers.links()
        applied = {
            "position": ["e", 1, "t1"],
            "content_hash": f"{self.supervisor.config.content_hash:032x}",
            "applied_at": 1.0,
            "committed_at": None,
            "received_bytes": 1,
            "compiled": {},
            "failed": {},
        }
        link.message_received(Message.APPLIED, json.dumps(applied).encode())
        self.clock.pump([1.0] * 2)
        (batch,) = self.batches
        names = [(worker, row[5]) for worker, row in batch]
        own = [("", "config revision"), ("", "config load"), ("", "config publish")]
        self.assertEqual(names, [*own, (link.name, "config apply")])
        self.supervisor.look("again")
        self.source.answer(at(2), route(2))
        stopped = self.supervisor.stop()
        self.worker.exited("exit 0")
        self.clock.advance(0)
        self.assertTrue(stopped.called)
        self.assertEqual([row[5] for _, row in self.batches[-1]], [name for _, name in own])

    def test_worker_of_an_older_version_tells_no_totals(self) -> None:
        """It drains while the new ones serve."""
        (link,) = self.supervisor.workers.links()
        link.message_received(Message.HEARTBEAT, b'{"lag_ms": 1.0, "blocked_ms": 0.0}')
        self.assertEqual(link.lag_ms, 1.0)

    def test_stop_leaves_no_timer(self) -> None:
        """Whatever was under way."""
        stopped = self.supervisor.stop()
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])
