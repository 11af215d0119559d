"""The worker's half of the conversation, against a data plane that only remembers."""

from __future__ import annotations

import gc
import json
import random
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.auth.issuer import Issuer
from fengling_gateway.auth.sealing import Sealer, parse_sealing_keys
from fengling_gateway.auth.secrets import SecretResolver
from fengling_gateway.balancing.instance import InstanceState
from fengling_gateway.control.encoding import delta_frames
from fengling_gateway.control.frames import MAX_PAYLOAD_BYTES, FrameError, Message
from fengling_gateway.control.heap import Heap
from fengling_gateway.control.local_channel import LocalChannel
from fengling_gateway.dataplane.counters import RouteCounts, ServiceCounts
from fengling_gateway.dataplane.counters_in_parts import ROWS, CountersInParts
from fengling_gateway.dataplane.overload import Level
from fengling_gateway.dataplane.recipients import NEVER, Recipients
from fengling_gateway.dataplane.tls_certificates import Certificate
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.entity import Key, add_hash, entity_hash
from fengling_gateway.model.validation import Accepted, validate
from fengling_gateway.records.tap_filter import TapFilter
from fengling_gateway.routing.guards import SWITCHED_OFF
from fengling_gateway.routing.snapshot import CompileContext
from fengling_gateway.worker.agent import HEARSAY_SECONDS, LAST_WORDS_SECONDS, WorkerAgent
from fengling_gateway.worker.applier import Applier
from tests.records.test_lines import ended
from tests.support.forge import rsa_jwk
from tests.support.issued import SHOP
from tests.tracing.recording import recorded


def at(revision: int) -> Position:
    return Position("e", revision, f"t{revision}")


def a_route(number: int) -> Change:
    key = Key("route", f"r{number}")
    values = {"id": key.id, "path": f"/r{number}", "respond": {"status": 200}}
    verdict = validate(key, values)
    assert isinstance(verdict, Accepted), verdict
    return Change(key, verdict.body)


def certificate(value: str) -> list[Change]:
    """Return the shop's certificate, with its key as a secret of this value."""
    found = []
    for key, values in (
        (Key("secret", "shop"), {"value": value}),
        (Key("certificate", "shop"), {"chain": SHOP.chain, "key_secret": "shop"}),
    ):
        verdict = validate(key, values)
        assert isinstance(verdict, Accepted), verdict
        found.append(Change(key, verdict.body))
    return found


def issuer(**values: Any) -> list[Change]:
    """Return an issuer, and a secret of a file."""
    found = []
    for key, fields in (
        (Key("secret", "shared"), {"value": "file:/shared"}),
        (Key("issuer", "corp"), {"issuer": "https://id.example", "audiences": ["a"], **values}),
    ):
        verdict = validate(key, fields)
        assert isinstance(verdict, Accepted), verdict
        found.append(Change(key, verdict.body))
    return found


def hash_of(changes: list[Change]) -> int:
    total = 0
    for key, body in changes:
        assert body is not None
        total = add_hash(total, entity_hash(key, body))
    return total


def full(revision: int, changes: list[Change]) -> Delta:
    return Delta(None, at(revision), 0, hash_of(changes), tuple(changes))


class FakePort:
    def __init__(self, plane: FakePlane, key: tuple[str, Any]) -> None:
        self.plane, self.key = plane, key
        plane.listening.append(key)

    def accept_pending(self) -> None: ...

    def stop_accepting(self) -> None:
        self.plane.listening.remove(self.key)


class FakePlane:
    """Remembers what it is told."""

    overload = Level.NONE

    def __init__(self) -> None:
        self.applied: list[Any] = []
        self.rows = 0
        self.values: dict[str, Any] = {"retries": 3}
        self.certificates: list[dict[str, Certificate]] = []
        self.issuers: list[dict[str, Issuer]] = []
        self.want_keys: Any = None
        self.debug_id_in: Any = None
        self.tracing: Any = None
        self.files_read: list[Any] = []
        self.listening: list[tuple[str, Any]] = []
        self.drained: Deferred[None] = Deferred()
        self.sent_away: list[bool] = []
        self.evidence: dict[str, Any] | None = None
        self.tell_ended: Any = None
        self.tells_slower_than = NEVER
        itself: Any = self
        self.recipients = Recipients(itself)

    def take_evidence(self) -> dict[str, Any] | None:
        found, self.evidence = self.evidence, None
        return found

    def ejected_for(self, state: InstanceState) -> float | None:
        return 7.0 if state.ejected_until else None

    def offer_certificates(self, certificates: Iterable[Certificate]) -> None:
        self.certificates.append({one.name: one for one in certificates})

    def offer_issuers(self, issuers: dict[str, Issuer]) -> None:
        self.issuers.append(issuers)

    def read_certificates(self, listeners: dict[str, Any]) -> list[str]:
        self.files_read.append(listeners)
        return []

    def apply(self, snapshot: Any) -> None:
        self.applied.append(snapshot)

    def listen(self, name: str, sock: Any) -> FakePort:
        return FakePort(self, (name, sock))

    def start_draining(self, deadline: float) -> Deferred[None]:
        return self.drained

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def send_away(self, away: bool) -> None:
        self.sent_away.append(away)

    def totals(self) -> dict[str, int]:
        return {"requests": 7}

    def counters(self) -> dict[str, Any]:
        return self.values

    def counters_in_parts(self) -> CountersInParts:
        pairs = [(f"r{number}", "s") for number in range(self.rows)]
        counts = [RouteCounts(ServiceCounts())] * self.rows
        return CountersInParts(self.values, pairs, counts, lambda: None)

    def resolved_names(self) -> list[dict[str, str]]:
        return [{"name": "orders"}]


class FaultyContext(CompileContext):
    """Compiles until the test says that it has had enough."""

    def __init__(self) -> None:
        super().__init__(random.Random(1))
        self.compiles_left = 1_000_000

    def compile(self, key: Key, compile_it: Any) -> Any:
        self.compiles_left -= 1
        if self.compiles_left < 0:
            raise RecursionError("deeper than anybody thought")
        return super().compile(key, compile_it)


class FakeSync:
    """Remembers what became of it."""

    def __init__(self) -> None:
        self.lived: list[str] = []

    def start(self) -> None:
        self.lived.append("started")

    def stop(self) -> Deferred[None]:
        self.lived.append("stopped")
        return succeed(None)

    def replace_keys(self, keys: list[str]) -> None:
        self.lived.append(f"has {len(keys)} keys")


class FakeDebugValues(FakeSync):
    """Believes one value."""

    def id_in(self, value: bytes) -> str | None:
        return "id" if value == b"good" else None


class Parts:
    """Makes the fakes."""

    def __init__(self) -> None:
        self.plane = FakePlane()
        self.context = FaultyContext()
        self.heard: Any = None
        self.sync = FakeSync()
        self.debug = FakeDebugValues()
        self.files: dict[str, str] = {}

    def resolver(self, secrets: dict[str, Any]) -> SecretResolver:
        keys = parse_sealing_keys(secrets["keys"]) if secrets.get("keys") else ()
        return SecretResolver(keys, read_file=self._read_file, environment={})

    def _read_file(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory")
        return self.files[path].encode()

    def data_plane(self, configuration: dict[str, Any]) -> FakePlane:
        return self.plane

    def applier(self) -> Applier:
        return Applier(context=self.context, heap=Heap())

    def sockets(self, configuration: dict[str, Any]) -> dict[str, list[str]]:
        return {"http": ["socket 0", "socket 1"]}

    def subscriber(self, configuration: dict[str, Any], heard: Any) -> None:
        self.heard = heard

    def debug_values(self, configuration: dict[str, Any]) -> FakeDebugValues:
        return self.debug

    def limit_sync(self, configuration: dict[str, Any], plane: FakePlane) -> FakeSync:
        assert plane is self.plane
        return self.sync


class Supervisor:
    """Remembers what the worker says."""

    def __init__(self) -> None:
        self.said: list[tuple[Message, dict[str, Any]]] = []

    def message_received(self, message: Message, payload: bytes) -> None:
        self.said.append((message, json.loads(payload)))

    def channel_lost(self) -> None: ...

    def said_of(self, message: Message) -> list[dict[str, Any]]:
        return [values for said, values in self.said if said is message]


class WorkerAgentTests(SynchronousTestCase):
    """`WorkerAgent`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.parts = Parts()
        self.plane = self.parts.plane
        self.ends: list[str] = []
        self.agent = WorkerAgent(
            clock=self.clock,
            parts=self.parts,
            done=lambda: self.ends.append("done"),
            orphaned=lambda agent: self.ends.append("orphaned"),
        )
        self.supervisor = Supervisor()
        self.channel = LocalChannel(clock=self.clock, user=self.supervisor)
        theirs = LocalChannel(clock=self.clock, user=self.agent)
        LocalChannel.connect(self.channel, theirs)
        self.agent.connect(theirs)

    def turn(self) -> None:
        self.clock.pump([0.0] * 30)

    def configure(self, **more: Any) -> None:
        self.channel.send(Message.CONFIGURE, {"worker": "w0", "read_slots": [0], **more})
        self.turn()

    def test_configured_worker_asks_for_everything_and_accepts_nothing(self) -> None:
        """Without a configuration there is nothing to serve."""
        self.configure()
        (question,) = self.supervisor.said_of(Message.CATCH_UP)
        self.assertEqual((question["reason"], question["position"]), ("started", None))
        self.assertEqual(self.plane.listening, [])

    def test_worker_without_configuration_refuses_after_a_while(self) -> None:
        """Clients get an answer; ready it is not, until there is something to serve."""
        self.channel.send(
            Message.CONFIGURE, {"worker": "w0", "read_slots": [0], "refuse_after": 3.0}
        )
        self.turn()
        self.assertEqual(self.plane.listening, [])
        self.clock.advance(3.0)
        self.assertEqual(self.plane.listening, [("http", "socket 0")])
        self.assertEqual(self.supervisor.said_of(Message.READY), [])
        self.channel.send_delta(full(1, [a_route(1)]))
        self.turn()
        self.assertEqual(len(self.supervisor.said_of(Message.READY)), 1)
        self.assertEqual(self.plane.listening, [("http", "socket 0")])

    def test_first_delta_makes_it_serve_and_then_say_so(self) -> None:
        """Swapped, acknowledged, listening, ready: in this order."""
        self.configure()
        self.channel.send_delta(full(3, [a_route(1)]))
        self.turn()
        (applied,) = self.supervisor.said_of(Message.APPLIED)
        self.assertEqual(applied["position"], ["e", 3, "t3"])
        self.assertEqual(applied["compiled"], {"route": 1})
        self.assertEqual(self.plane.listening, [("http", "socket 0")])
        self.assertEqual(self.plane.applied[-1].routes.size, 1)
        order = [message for message, _ in self.supervisor.said]
        self.assertLess(order.index(Message.APPLIED), order.index(Message.READY))

    def test_what_is_switched_off_holds_at_once_and_for_what_comes(self) -> None:
        """All of it is said each time; before there is a configuration it is only noted."""
        self.configure()
        self.override(routes=["r1"])
        self.assertEqual(self.plane.applied, [])
        self.channel.send_delta(full(1, [a_route(1), a_route(2)]))
        self.turn()
        self.assertEqual(self.switched_off(), ["r1"])
        self.override(routes=["r2"])
        self.assertEqual(self.switched_off(), ["r2"])
        self.assertEqual(self.plane.applied[-1].overrides.routes, {"r2"})
        self.channel.send_delta(full(2, [a_route(1), a_route(2)]))
        self.turn()
        self.assertEqual(self.switched_off(), ["r2"])

    def test_what_is_switched_off_while_a_delta_arrives_holds_when_it_is_served(self) -> None:
        """Parts of one may come turns apart."""
        self.configure()
        self.channel.send_delta(full(1, [a_route(1)]))
        self.turn()
        frames = [frame[5:] for frame in delta_frames(full(2, [a_route(1), a_route(2)]))]
        kinds = [Message.DELTA, *[Message.CHANGES] * (len(frames) - 2), Message.DELTA_END]
        for message, payload in list(zip(kinds, frames, strict=True))[:-1]:
            self.agent.message_received(message, payload)
        self.override(routes=["r2"])
        self.agent.message_received(Message.DELTA_END, b"{}")
        self.turn()
        self.assertEqual(self.plane.applied[-1].position, at(2))
        self.assertEqual(self.switched_off(), ["r2"])

    def override(self, **given: Any) -> None:
        nothing = {"routes": [], "instances": [], "health_is_stale": False, "is_draining": False}
        self.channel.send(Message.OVERRIDES, {**nothing, **given})
        self.turn()

    def switched_off(self) -> list[str]:
        routes = self.plane.applied[-1].routes
        return sorted(route.id for route in routes if route.plan.guards is SWITCHED_OFF)

    def test_evidence_is_told_once_a_second_where_there_is_any(self) -> None:
        """As the data plane has it."""
        self.configure()
        self.clock.advance(1.0)
        self.turn()
        self.assertEqual(self.supervisor.said_of(Message.EVIDENCE), [])
        self.plane.evidence = {"instances": {"i": {"failures": 1}}, "others": 0}
        self.clock.advance(0.5)
        self.turn()
        self.assertEqual(self.supervisor.said_of(Message.EVIDENCE), [])
        self.clock.advance(0.5)
        self.clock.advance(1.0)
        self.turn()
        told = [{"instances": {"i": {"failures": 1}}, "others": 0}]
        self.assertEqual(self.supervisor.said_of(Message.EVIDENCE), told)

    def test_spans_are_told_before_the_worker_is_gone(self) -> None:
        """The last of them when it has drained."""
        self.configure(tracing={"sample_ratio": 0.0, "redact_query": [], "trust": "all"})
        self.channel.send(Message.DRAIN, {"deadline": 1.0, "last": False})
        self.turn()
        self.plane.tracing.ended(recorded())
        self.plane.drained.callback(None)
        self.turn()
        said = [message for message, _ in self.supervisor.said]
        self.assertLess(said.index(Message.SPANS), said.index(Message.DRAINED))

    def test_failures_are_told_before_the_worker_is_gone(self) -> None:
        """What fails because of its end is nobody's business any more."""
        failures = {"per_second": 15.0, "slower_than": 10.0}
        self.configure(failures=failures, data_plane={"workers": 1})
        self.assertEqual(self.plane.tells_slower_than, 10.0)
        self.channel.send(Message.DRAIN, {"deadline": 1.0, "last": False})
        self.turn()
        self.plane.tell_ended(ended(error=ForwardError.CONNECT_FAILED))
        self.plane.drained.callback(None)
        self.turn()
        said = [message for message, _ in self.supervisor.said]
        self.assertLess(said.index(Message.RECORDS), said.index(Message.DRAINED))
        self.assertIsNone(self.plane.tell_ended)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def tap(self, number: int = 1) -> None:
        told = {"id": number, "seconds": 60.0, "filter": TapFilter(routes=["orders"]).to_json()}
        self.channel.send(Message.TAP, told)
        self.turn()

    def test_requests_are_told_while_somebody_looks_on(self) -> None:
        """Before that and after it they cost nothing."""
        self.configure()
        self.assertIsNone(self.plane.tell_ended)
        self.tap()
        self.plane.tell_ended(ended())
        self.plane.tell_ended(ended(route="others"))
        self.clock.advance(1.0)
        self.turn()
        [told] = self.supervisor.said_of(Message.TAPPED)
        self.assertEqual([one["route"] for one in told["requests"]], ["orders"])
        self.channel.send(Message.UNTAP, {"id": 1})
        self.turn()
        self.assertIsNone(self.plane.tell_ended)

    def test_last_requests_are_told_before_the_worker_is_gone(self) -> None:
        """Also to somebody who begins to look on while it drains."""
        self.configure()
        self.channel.send(Message.DRAIN, {"deadline": 1.0, "last": False})
        self.tap()
        self.plane.tell_ended(ended())
        self.plane.drained.callback(None)
        self.turn()
        said = [message for message, _ in self.supervisor.said]
        self.assertLess(said.index(Message.TAPPED), said.index(Message.DRAINED))
        self.assertIsNone(self.plane.tell_ended)

    def test_nobody_looks_on_at_an_orphan(self) -> None:
        """It could tell nobody."""
        self.configure()
        self.tap()
        self.channel.close()
        self.assertIsNone(self.plane.tell_ended)

    def test_nothing_is_traced_without_a_setting(self) -> None:
        """Nor looked at."""
        self.configure()
        self.assertIsNone(self.plane.tracing)

    def test_instances_are_told_as_they_stand(self) -> None:
        """Those that something speaks against, or those that are asked for."""
        self.configure()
        self.channel.send_delta(full(1, [a_route(1)]))
        self.turn()
        for number, more in enumerate(({}, {"instances": ["i"]})):
            self.channel.send(Message.REQUEST, {"id": number, "ask": "instances", **more})
        self.turn()
        answers = self.supervisor.said_of(Message.ANSWER)
        self.assertEqual([one["answer"] for one in answers], [[], []])

    def test_certificates_are_used_before_what_refers_to_them(self) -> None:
        """In one turn: no request is served by the one without the other."""
        self.parts.files["/shop.key"] = SHOP.key
        self.configure()
        self.channel.send_delta(full(1, certificate("file:/shop.key")))
        self.turn()
        (offered,) = self.plane.certificates
        self.assertEqual(set(offered["shop"].hosts), {"shop.example", "*.shop.example"})
        self.assertEqual(offered["shop"].key.decode(), SHOP.key)
        self.assertEqual(self.supervisor.said_of(Message.APPLIED)[-1]["failed"], {})
        self.channel.send_delta(full(2, [*certificate("file:/shop.key"), a_route(1)]))
        self.turn()
        self.assertEqual(len(self.plane.certificates), 1)

    def test_issuers_are_believed_before_what_asks_for_them(self) -> None:
        """In one turn, with keys that came before, too; others' changes change nothing."""
        self.configure()
        source = {"source": "jwks https://id.example/k", "document": {"keys": [rsa_jwk()]}}
        self.channel.send(
            Message.KEY_SETS, {"corp": {**source, "is_fetching": False, "again_in": 30.0}}
        )
        corp = issuer(jwks_url="https://id.example/k")
        self.channel.send_delta(full(1, corp))
        self.turn()
        self.assertEqual(len(self.plane.issuers[-1]["https://id.example"].keys), 1)
        self.assertEqual(self.supervisor.said_of(Message.APPLIED)[-1]["failed"], {})
        self.channel.send_delta(full(2, [*corp, a_route(1)]))
        self.turn()
        self.assertEqual(len(self.plane.issuers), 1)

    def test_issuer_without_keys_is_reported_until_they_are_there(self) -> None:
        """Whether they are published or shared; what else fails is told on."""
        self.parts.files["/shop.key"] = "none"
        self.configure()
        changes = [
            *certificate("file:/shop.key"),
            *issuer(key_secret="shared", algorithms=["HS256"]),
        ]
        self.channel.send_delta(full(1, changes))
        self.turn()
        failed = self.supervisor.said_of(Message.APPLIED)[-1]["failed"]
        self.assertEqual(set(failed), {"certificate shop", "issuer corp"})
        self.assertIn("/shared", failed["issuer corp"])
        self.parts.files["/shared"] = "s" * 32
        self.channel.send(Message.RENEW, {"secrets": {}, "tls": {}})
        self.turn()
        failed = self.supervisor.said_of(Message.RENEWED)[-1]["failed"]
        self.assertEqual(set(failed), {"certificate shop"})
        self.channel.send_delta(
            full(2, [*certificate("file:/shop.key"), *issuer(jwks_url="https://id.example/k")])
        )
        self.turn()
        self.assertIn(
            "no keys yet", self.supervisor.said_of(Message.APPLIED)[-1]["failed"]["issuer corp"]
        )
        source = {"source": "jwks https://id.example/k", "document": {"keys": [rsa_jwk()]}}
        self.channel.send(
            Message.KEY_SETS, {"corp": {**source, "is_fetching": False, "again_in": 30.0}}
        )
        self.turn()
        self.assertEqual(
            set(self.supervisor.said_of(Message.RENEWED)[-1]["failed"]), {"certificate shop"}
        )

    def test_keys_that_are_wanted_are_asked_for(self) -> None:
        """By the id of their issuer, once for all who want them."""
        self.configure()
        self.channel.send(Message.KEY_SETS, {"corp": {"is_fetching": False, "again_in": 0.0}})
        self.turn()
        self.assertTrue(self.plane.want_keys("corp"))
        self.assertTrue(self.plane.want_keys("corp"))
        self.assertFalse(self.plane.want_keys("other"))
        self.turn()
        self.assertEqual(self.supervisor.said_of(Message.KEY_WANTED), [{"issuer": "corp"}])

    def test_certificate_without_its_key_is_reported_until_it_is_there(self) -> None:
        """A renewal reads the file again; the supervisor hears of it."""
        self.configure()
        self.channel.send_delta(full(1, certificate("file:/shop.key")))
        self.turn()
        self.assertEqual(
            self.supervisor.said_of(Message.APPLIED)[-1]["failed"],
            {
                "certificate shop": "secret shop can't be read from /shop.key: "
                "No such file or directory"
            },
        )
        self.parts.files["/shop.key"] = SHOP.key
        self.channel.send(Message.RENEW, {"secrets": {}, "tls": {"https": {}}})
        self.turn()
        self.assertEqual(self.supervisor.said_of(Message.RENEWED), [{"failed": {}}])
        self.assertEqual(set(self.plane.certificates[-1]), {"shop"})
        self.assertEqual(self.plane.files_read, [{"https": {}}])

    def test_renewal_brings_keys(self) -> None:
        """What is encrypted with a new one can be opened then."""
        text = f"new:{bytes(range(32)).hex()}"
        sealed = Sealer(parse_sealing_keys([text]), random_bytes=bytes).seal(
            "shop", SHOP.key.encode()
        )
        self.channel.send(
            Message.RENEW, {"secrets": {"keys": [text]}, "tls": {}}
        )  # too early to mean anything
        self.configure()
        self.channel.send_delta(full(1, certificate(sealed)))
        self.turn()
        self.assertIn("not here", str(self.supervisor.said_of(Message.APPLIED)[-1]["failed"]))
        self.channel.send(Message.RENEW, {"secrets": {"keys": [text]}, "tls": {}})
        self.turn()
        self.assertEqual(set(self.plane.certificates[-1]), {"shop"})

    def test_configuration_on_its_way_is_worth_waiting_for(self) -> None:
        """100,000 routes compile longer than clients without any configuration wait."""
        self.channel.send(
            Message.CONFIGURE, {"worker": "w0", "read_slots": [0], "refuse_after": 3.0}
        )
        self.turn()
        head = next(delta_frames(full(1, [a_route(1)])))
        self.agent.message_received(Message.DELTA, head[5:])
        self.clock.advance(60.0)
        self.assertEqual(self.plane.listening, [])

    def test_incremental_delta_compiles_what_it_changes(self) -> None:
        """One route among a hundred: one object."""
        self.configure()
        routes = [a_route(number) for number in range(100)]
        first = full(1, routes)
        self.channel.send_delta(first)
        more = a_route(100)
        self.channel.send_delta(
            Delta(at(1), at(2), first.hash_after, hash_of([*routes, more]), (more,))
        )
        self.turn()
        self.assertEqual(self.supervisor.said_of(Message.APPLIED)[-1]["compiled"], {"route": 1})
        self.assertEqual(self.plane.applied[-1].routes.size, 101)

    def test_delta_that_does_not_fit_is_not_applied_and_asked_about(self) -> None:
        """A gap is never papered over."""
        self.configure()
        self.channel.send_delta(full(1, [a_route(1)]))
        self.turn()
        self.channel.send_delta(Delta(at(2), at(3), 12345, 6, (a_route(2),)))
        self.turn()
        question = self.supervisor.said_of(Message.CATCH_UP)[-1]
        self.assertEqual(
            (question["reason"], question["position"]), ("out of place", ["e", 1, "t1"])
        )
        self.assertEqual(len(self.plane.applied), 1)

    def test_delta_that_leads_elsewhere_than_it_said_is_not_applied(self) -> None:
        """The hash after is checked as well as the hash before."""
        self.configure()
        self.channel.send_delta(Delta(None, at(1), 0, 999, (a_route(1),)))
        self.turn()
        self.assertEqual(self.plane.applied, [])
        self.assertEqual(self.supervisor.said_of(Message.CATCH_UP)[-1]["reason"], "out of place")

    def test_delta_that_fails_half_way_ends_nothing(self) -> None:
        """What was served stays, the conversation goes on, and the collector works again."""
        self.configure()
        self.channel.send_delta(full(1, [a_route(1)]))
        self.turn()
        self.parts.context.compiles_left = 150
        self.channel.send_delta(full(2, [a_route(number) for number in range(200)]))
        self.channel.send(Message.REQUEST, {"id": 1, "ask": "counters"})
        self.turn()
        self.assertEqual(len(self.flushLoggedErrors(RecursionError)), 1)
        self.assertEqual(len(self.plane.applied), 1)
        self.assertEqual(len(self.supervisor.said_of(Message.ANSWER)), 1)
        self.assertTrue(gc.isenabled())
        self.parts.context.compiles_left = 1_000_000
        self.channel.send_delta(full(2, [a_route(number) for number in range(200)]))
        self.turn()
        self.assertEqual(self.plane.applied[-1].routes.size, 200)

    def test_lost_place_is_asked_about_once_and_then_ever_less_often(self) -> None:
        """A fault that stays must not keep supervisor and worker busy with full deltas."""
        self.configure()
        self.channel.send_delta(full(1, [a_route(1)]))
        self.turn()
        asked = len(self.supervisor.said_of(Message.CATCH_UP))
        for revision in range(3, 50):
            self.channel.send_delta(Delta(at(revision - 1), at(revision), 12345, 6, ()))
        self.turn()
        questions = self.supervisor.said_of(Message.CATCH_UP)[asked:]
        self.assertEqual([one["position"] for one in questions], [["e", 1, "t1"]])
        for _ in range(600):
            self.channel.send_delta(Delta(None, at(60), 0, 999, (a_route(2),)))
            self.clock.advance(1.0)
        questions = self.supervisor.said_of(Message.CATCH_UP)[asked:]
        self.assertLess(len(questions), 20)
        self.assertIsNone(questions[-1]["position"], "everything, for what is missing did not do")

    def test_newer_position_on_redis_makes_it_ask(self) -> None:
        """An older or known one does not."""
        self.configure()
        self.channel.send_delta(full(3, [a_route(1)]))
        self.turn()
        for revision in (2, 3, 4, 5):
            self.parts.heard(at(revision))
        self.turn()
        self.assertEqual(self.wanted(), [], "it may be on the way")
        self.clock.advance(HEARSAY_SECONDS)
        self.turn()
        self.assertEqual(self.wanted(), [["e", 5, "t5"]])

    def test_what_has_come_meanwhile_is_not_asked_for(self) -> None:
        """The supervisor hears the same, and mostly is faster."""
        self.configure()
        self.channel.send_delta(full(3, [a_route(1)]))
        self.turn()
        self.parts.heard(at(4))
        self.channel.send_delta(full(4, [a_route(2)]))
        self.turn()
        self.clock.advance(HEARSAY_SECONDS)
        self.turn()
        self.assertEqual(self.wanted(), [])

    def test_older_announcement_behind_a_newer_one_changes_nothing(self) -> None:
        """Hosts announce what they know when they come to it; the newest is what is missing."""
        self.configure()
        self.channel.send_delta(full(3, [a_route(1)]))
        self.turn()
        for revision in (5, 4):
            self.parts.heard(at(revision))
        self.channel.send_delta(full(4, [a_route(2)]))
        self.turn()
        self.clock.advance(HEARSAY_SECONDS)
        self.turn()
        self.assertEqual(self.wanted(), [["e", 5, "t5"]])

    def wanted(self) -> list[Any]:
        """What it has asked for because of announcements."""
        return [one["wanted"] for one in self.supervisor.said_of(Message.CATCH_UP)[1:]]

    def test_slots_are_read_as_told(self) -> None:
        """It takes a sibling's socket over and gives it back."""
        self.configure()
        self.channel.send(Message.READ_SLOTS, {"slots": [0, 1]})
        self.turn()
        self.assertEqual(self.plane.listening, [], "not before it has something to serve")
        self.channel.send_delta(full(1, [a_route(1)]))
        self.turn()
        self.assertEqual(self.plane.listening, [("http", "socket 0"), ("http", "socket 1")])
        self.channel.send(Message.READ_SLOTS, {"slots": [0]})
        self.turn()
        self.assertEqual(self.plane.listening, [("http", "socket 0")])

    def test_drain_stops_accepting_at_once_and_ends_with_the_last_exchange(self) -> None:
        """Closed, then drained, then done."""
        self.configure()
        self.channel.send_delta(full(1, [a_route(1)]))
        self.channel.send(Message.DRAIN, {"deadline": 30.0, "last": False})
        self.turn()
        self.assertEqual((self.plane.listening, self.ends), ([], []))
        self.plane.drained.callback(None)
        self.turn()
        said = [message for message, _ in self.supervisor.said]
        self.assertEqual(said[-2:], [Message.CLOSED, Message.DRAINED])
        self.assertEqual(self.ends, ["done"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_ends_when_its_last_words_are_sent(self) -> None:
        """What a process has not sent ends with it: all that it has counted, for one."""
        is_sent = False
        self.patch(LocalChannel, "has_sent_all", property(lambda _: is_sent))
        self.drain()
        self.assertEqual(self.ends, [])
        is_sent = True
        self.clock.advance(LAST_WORDS_SECONDS / 10)
        self.assertEqual(self.ends, ["done"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_supervisor_that_does_not_listen_is_waited_for_a_moment(self) -> None:
        """It may hang."""
        self.patch(LocalChannel, "has_sent_all", False)
        self.drain()
        self.clock.pump([LAST_WORDS_SECONDS / 100] * 101)
        self.assertEqual(self.ends, ["done"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def drain(self) -> None:
        """Serve something, and then nothing more."""
        self.configure()
        self.channel.send_delta(full(1, [a_route(1)]))
        self.channel.send(Message.DRAIN, {"deadline": 30.0, "last": False})
        self.turn()
        self.plane.drained.callback(None)
        self.turn()

    def test_who_counts_limits_with_others_lives_as_long_as_the_worker(self) -> None:
        """While requests are finished, too, and hears of other keys."""
        self.configure()
        self.assertEqual(self.parts.sync.lived, ["started"])
        values = {"secrets": {}, "tls": {}, "bus_keys": ["a", "b"]}
        self.channel.send(Message.RENEW, values)
        self.channel.send_delta(full(1, [a_route(1)]))
        self.channel.send(Message.DRAIN, {"deadline": 30.0, "last": False})
        self.turn()
        self.assertEqual(self.parts.sync.lived, ["started", "has 2 keys"])
        self.plane.drained.callback(None)
        self.assertEqual(self.parts.sync.lived[2:], ["stopped"])

    def test_debug_headers_are_verified_by_the_keys_of_the_bus(self) -> None:
        """By the new ones, when there are new ones."""
        self.configure()
        self.assertEqual([self.plane.debug_id_in(one) for one in (b"good", b"bad")], ["id", None])
        self.channel.send(Message.RENEW, {"secrets": {}, "tls": {}, "bus_keys": ["a", "b"]})
        self.turn()
        self.assertEqual(self.parts.debug.lived, ["has 2 keys"])

    def test_lost_supervisor_makes_an_orphan(self) -> None:
        """Unless it is draining anyway."""
        self.configure()
        self.channel.close()
        self.assertEqual(self.ends, ["orphaned"])

    def test_lost_supervisor_before_any_word_ends_the_worker(self) -> None:
        """There is nothing to serve on with."""
        self.channel.close()
        self.assertEqual(self.ends, ["done"])

    def test_settings_that_cannot_be_used_end_the_worker(self) -> None:
        """Its supervisor learns it at once, and not after a minute of silence."""
        self.parts.sockets = lambda configuration: {}["none"]  # type: ignore[method-assign]
        self.configure()
        self.assertEqual((self.ends, self.supervisor.said), (["done"], []))
        self.flushLoggedErrors(KeyError)

    def test_questions_are_answered_and_bad_ones_too(self) -> None:
        """An answer or an error, never silence."""
        self.configure()
        self.channel.send_delta(full(1, [a_route(1)]))
        self.channel.send(Message.REQUEST, {"id": 1, "ask": "counters"})
        self.channel.send(Message.REQUEST, {"id": 2, "ask": "explain", "request": {"path": "/r1"}})
        self.channel.send(Message.REQUEST, {"id": 3, "ask": "nonsense"})
        self.channel.send(Message.REQUEST, {"id": 4, "ask": "names"})
        self.turn()
        answers = self.supervisor.said_of(Message.ANSWER)
        self.assertEqual((answers[0]["id"], answers[0]["answer"]["retries"]), (1, 3))
        self.assertEqual(answers[1]["answer"]["route"], "r1")
        self.assertIn("KeyError", answers[2]["error"])
        self.assertEqual(answers[3], {"id": 4, "answer": [{"name": "orders"}]})
        self.flushLoggedErrors(KeyError)

    def test_lag_and_what_the_process_uses_are_told_with_the_counters(self) -> None:
        """The latter by a process of its own only: it would be told twice."""
        self.configure()
        self.clock.pump([0.05] * 3)
        self.channel.send(Message.REQUEST, {"id": 1, "ask": "counters"})
        self.turn()
        answer = self.supervisor.said_of(Message.ANSWER)[-1]["answer"]
        self.assertGreaterEqual(sum(answer["histograms"]["reactor_lag"]["values"][:-1]), 3)
        self.assertNotIn("process_now", answer)

    def test_counters_are_told_in_parts(self) -> None:
        """The first has what else there is; who asks anew begins anew."""
        self.configure()
        self.plane.rows = ROWS + 1
        for is_more in (False, False, True, True):
            values = {"is_more": True} if is_more else {}
            self.channel.send(Message.REQUEST, {"id": 1, "ask": "counters", **values})
        self.turn()
        parts = [one["answer"] for one in self.supervisor.said_of(Message.ANSWER)]
        self.assertEqual([len(one["pairs"]["routes"]) for one in parts], [0, 0, ROWS, 1])
        self.assertEqual([one["is_more"] for one in parts], [True, True, True, False])
        self.assertEqual(["histograms" in one for one in parts], [True, True, False, False])

    def test_answer_that_no_frame_can_carry_is_an_error(self) -> None:
        """Sent all the same, it would cost the worker its life."""
        self.configure()
        self.plane.values = {"retries": "x" * MAX_PAYLOAD_BYTES}
        self.channel.send(Message.REQUEST, {"id": 1, "ask": "counters"})
        self.turn()
        (answer,) = self.supervisor.said_of(Message.ANSWER)
        self.assertIn("more than a frame can carry", answer["error"])
        self.flushLoggedErrors(FrameError)

    def test_heartbeats_carry_the_longest_lag(self) -> None:
        """A reactor that was held up says for how long."""
        self.configure()
        self.clock.advance(0.25)
        self.clock.advance(0.8)
        self.turn()
        beats = self.supervisor.said_of(Message.HEARTBEAT)
        self.assertGreaterEqual(beats[-1]["lag_ms"], 200.0)

    def test_a_drained_node_sends_its_clients_away_and_takes_them_back(self) -> None:
        """The worker goes on."""
        self.configure()
        nothing = {"routes": [], "instances": [], "health_is_stale": False}
        for away in (True, False):
            self.channel.send(Message.OVERRIDES, {**nothing, "is_draining": away})
            self.turn()
        self.assertEqual(self.plane.sent_away, [True, False])

    def test_heartbeats_tell_what_has_been_served(self) -> None:
        """For rates and percentiles that nobody has to ask for."""
        self.configure()
        self.assertEqual(self.supervisor.said_of(Message.HEARTBEAT)[0]["totals"], {"requests": 7})
