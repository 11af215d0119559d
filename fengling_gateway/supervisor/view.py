"""What the management API shows of a supervisor and may ask of it."""

from __future__ import annotations

import heapq
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway import __version__
from fengling_gateway.access.kept_tokens import kept_token
from fengling_gateway.balancing.instance import split_instance_address
from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.configsource.reading import NotHeldError, SourceError
from fengling_gateway.control.inspection import inspect_process, inspect_silent
from fengling_gateway.dataplane.settings import DataPlaneSettings
from fengling_gateway.model.delta import Position
from fengling_gateway.model.effective import NOTHING
from fengling_gateway.model.entity import Key
from fengling_gateway.model.management_tokens import READ, WRITE
from fengling_gateway.observability.places import Places
from fengling_gateway.observability.sums import NOTHING as NO_COUNTERS
from fengling_gateway.records.ring import Ring
from fengling_gateway.supervisor import fleet
from fengling_gateway.supervisor.api_keys import ApiKeyWatch
from fengling_gateway.supervisor.bus import NoBus
from fengling_gateway.supervisor.certificates import CertificateWatch
from fengling_gateway.supervisor.contents import Contents
from fengling_gateway.supervisor.issuer_status import trust_warnings
from fengling_gateway.supervisor.link import WorkerState
from fengling_gateway.supervisor.taps import Audience
from fengling_gateway.supervisor.traffic import together
from fengling_gateway.supervisor.values import position_values, rejection_values, worker_values
from fengling_gateway.syncbus.messages import NOWHERE, Command

if TYPE_CHECKING:
    from fengling_gateway.supervisor.supervisor import Supervisor

_log = Logger()

FLEET_POLL_SECONDS: Final = 0.05
"""How often a wait for other nodes asks for their states."""

REJECTED_SHOWN: Final = 100
"""Rejected entities that the status names: 10,000 are nothing that anybody reads at once."""

UNREAD: Final = (READ, WRITE)
"""
The scopes of a token before there is a configuration to say what is revoked: whoever had a
token may look, and have the source looked at, which is what there is to do then.
"""

CONFIRM_SECONDS: Final = 10.0
"""How long a confirmation waits for what it has released to be served."""


class SupervisorView:
    """
    A `fengling_gateway.management.gateway.ManagedGateway`.

    Called on the reactor thread only.

    Args:
        trusted: ids of the issuers whose tokens the host's settings believe here.
    """

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        clock: Any,
        dropped_log_lines: Callable[[], int],
        trusted: Sequence[str] = (),
    ) -> None:
        self._supervisor = supervisor
        self._trusted = trusted
        self._clock = clock
        self._dropped_log_lines = dropped_log_lines
        self._certificates = CertificateWatch(supervisor.loop.config)
        self._api_keys = ApiKeyWatch(supervisor.loop.config)
        self._content = Contents(supervisor, clock)
        self._networks: tuple[dict[str, Any], UpstreamNetworks] | None = None

    def status(self) -> dict[str, Any]:
        supervisor = self._supervisor
        loop, source, bus = supervisor.loop, supervisor.source, supervisor.bus
        counts = dict(supervisor.config.counts)
        return {
            "cluster": supervisor.settings.cluster,
            "node": supervisor.settings.node,
            "version": __version__,
            "state": supervisor.state,
            **supervisor.overrides.status(),
            "started_s_ago": round(self._clock.seconds() - supervisor.started_at, 1),
            "source": {
                "kind": supervisor.settings.source,
                "connected": source.state.connected,
                "listening": source.state.listening,
                "last_read_at": source.state.last_read_at,
                "last_error": source.state.last_error,
                "reads": source.state.reads,
                "reads_ahead": source.state.reads_ahead,
                "full_reads": source.state.full_reads,
                "rows_read": source.state.rows_read,
                "reconnects": source.state.reconnects,
                "notes": source.state.notes,
            },
            "position": position_values(supervisor.position),
            "pinned": supervisor.pinning.values(),
            "pin_problem": supervisor.pinning.problem,
            "content_hash": f"{supervisor.config.content_hash:032x}",
            "held": None
            if loop.held is None
            else {"revision": loop.held.revision, "message": loop.held.describe()},
            "rejected": self.rejected(after=None, limit=REJECTED_SHOWN),
            "rejected_total": len(loop.config.rejected),
            "rejected_by_kind": Counter(key.kind for key in loop.config.rejected),
            "entities": counts,
            "warnings": [
                *self._certificates.warnings(time.time()),
                *self._api_keys.warnings(time.time()),
                *supervisor.refused_instances.warnings(),
                *supervisor.key_sets.warnings(),
                *self._trust_warnings(),
            ],
            "issuers": supervisor.key_sets.status(),
            "key_set_file": {"failures": supervisor.key_sets.file_failures},
            "certificates_expire": self._certificates.expiries(),
            "workers": self.workers(),
            "traffic": together(
                (one.traffic for one in supervisor.workers.links()), now=self._clock.seconds()
            ),
            "deaths": supervisor.workers.deaths,
            "restarts": supervisor.workers.restarts,
            "restarting": supervisor.workers.restarting,
            "redis": {
                "configured": not isinstance(bus, NoBus),
                "connected": bus.connected,
                "last_error": bus.last_error,
                "counters": {**bus.counters, "evidence_dropped": supervisor.evidence.dropped},
            },
            "tracing": None if supervisor.spans is None else supervisor.spans.values(),
            "failures": supervisor.failures.values(),
            "taps": {"on": len(supervisor.taps), "begun": supervisor.taps.begun},
            "config_age_s": self._config_age(),
            "served_from": supervisor.served_from,
            "last_known_good": {
                "failures": supervisor.journal.failures,
                "failing": supervisor.journal.is_failing,
            },
            "log": {"dropped_lines": self._dropped_log_lines()},
            "looks": loop.looks,
            "longest_lag_ms": round(supervisor.lag.longest_ever_ms, 1),
            "longest_blocked_ms": round(supervisor.lag.longest_blocked_ms, 1),
            "last_propagation_ms": supervisor.narration.last_propagation_ms,
            "listeners": {name: where for name, where, _ in supervisor.listening()},
        }

    def _trust_warnings(self) -> Iterator[dict[str, str]]:
        if self._supervisor.loop.position is None:
            return iter(())  # nothing is known of issuers yet
        return trust_warnings(self._trusted, self._supervisor.config.bodies)

    def _config_age(self) -> float | None:
        read_at = self._supervisor.source.state.last_read_at
        return None if read_at is None else round(time.time() - read_at, 3)

    def workers(self) -> list[dict[str, Any]]:
        node, now = self._supervisor.settings.node, self._clock.seconds()
        links = self._supervisor.workers.links()
        return [{"node": node, **worker_values(one, now=now)} for one in links]

    def fleet(self) -> Deferred[dict[str, Any]]:
        """
        Return the workers of every node.

        ``complete`` is False where Redis did not answer: then these are ours only.
        """
        return Deferred.fromCoroutine(self._fleet())

    async def _fleet(self) -> dict[str, Any]:
        bus, node = self._supervisor.bus, self._supervisor.settings.node
        workers = self.workers()
        try:
            states = await bus.nodes()
        except Exception as error:
            return {"complete": False, "reason": str(error), "workers": workers}
        for name, state in sorted(states.items()):
            if name != node:
                workers += [
                    {"node": name, "live": state.get("live"), **one} for one in state["workers"]
                ]
        return {"complete": True, "workers": workers}

    def bodies(self) -> Mapping[Key, bytes]:
        """Return the canonical bodies that are served."""
        return self._supervisor.config.bodies

    def management_token(self, token_id: str) -> Mapping[str, Any] | None:
        supervisor = self._supervisor
        # The newest, whatever is pinned: what is revoked stays so.
        config = None if supervisor.loop.position is None else supervisor.loop.config
        return kept_token(config, token_id, unread=UNREAD)

    def position(self) -> dict[str, Any] | None:
        return position_values(self._supervisor.position)

    def content_hash(self) -> int:
        return self._supervisor.config.content_hash

    def rejected(self, *, after: Key | None, limit: int) -> list[dict[str, Any]]:
        """Return the first rejected entities, by kind and id, that come after one of them."""
        found = self._supervisor.loop.config.rejected
        following = found if after is None else (key for key in found if key > after)
        return [rejection_values(key, found[key]) for key in heapq.nsmallest(limit, following)]

    def rejection(self, key: Key) -> dict[str, Any] | None:
        """Return what is wrong with an entity; None if it is not rejected."""
        found = self._supervisor.loop.config.rejected.get(key)
        return None if found is None else rejection_values(key, found)

    def refusal(self, address: str) -> str | None:
        """Say why workers that are started now send nothing to a canonical address; None: they do."""
        _, host, port = split_instance_address(address)
        return self.networks().refusal(host, port)

    def networks(self) -> UpstreamNetworks:
        """Return what this host's settings, as they were read last, make of addresses."""
        values = self._supervisor.settings.worker_configuration.get("data_plane", {})
        if self._networks is None or self._networks[0] is not values:
            settings = DataPlaneSettings.from_json(values)
            self._networks = values, settings.upstream_networks()
        return self._networks[1]

    def reload(self, *, comment: str | None, wait: str, timeout: float) -> Deferred[dict[str, Any]]:
        return Deferred.fromCoroutine(self._reload(comment, wait, timeout))

    async def _reload(self, comment: str | None, wait: str, seconds: float) -> dict[str, Any]:
        started = self._clock.seconds()
        failed_before = self._supervisor.narration.failed_looks
        if wait == "all":
            at = self._supervisor.loop.position or NOWHERE
            await self._command("reload", at, {"comment": comment})
        look = self._supervisor.look("reload")
        if wait == "none":
            return {"looking": True}
        answered = await _settled(look, seconds, self._clock)
        position = self._supervisor.position
        content_hash = f"{self._supervisor.config.content_hash:032x}"
        left = max(0.0, seconds - (self._clock.seconds() - started))
        behind: list[str] = await self._supervisor.propagation.wait(left)
        held = self._supervisor.loop.held
        answer = {
            "position": position_values(position),
            "held": None if held is None else held.describe(),
            "source_answered": answered
            and self._supervisor.narration.failed_looks == failed_before,
            "source_error": self._supervisor.source.state.last_error,
            "behind": [f"{self._supervisor.settings.node}/{name}" for name in behind],
            "complete": True,
        }
        if wait == "all" and position is not None:
            await self._wait_for_fleet(position, content_hash, started + seconds, answer)
        answer["took_ms"] = round((self._clock.seconds() - started) * 1000, 1)
        return answer

    async def _wait_for_fleet(
        self, position: Position, content_hash: str, until: float, answer: dict[str, Any]
    ) -> None:
        own = answer["behind"]
        while True:
            try:
                states = await self._supervisor.bus.nodes()
            except Exception as error:
                answer["complete"], answer["reason"] = False, f"only this node is known: {error}"
                return
            behind = fleet.behind(states, position, content_hash, self._supervisor.settings.node)
            answer["behind"] = own + behind
            if pinned := fleet.pinned(states):
                answer["pinned"] = pinned
            if not behind or self._clock.seconds() >= until:
                return
            await _sleep(self._clock, FLEET_POLL_SECONDS)

    def confirm(self, revision: int, author: str) -> Deferred[dict[str, Any]]:
        return Deferred.fromCoroutine(self._confirm(revision, author))

    async def _confirm(self, revision: int, author: str) -> dict[str, Any]:
        holding, unknown = await self._tell_siblings(revision)
        here = self._supervisor.loop.held_position
        if (
            here is None
            or here.revision != revision
            or not self._supervisor.loop.confirm_here(here)
        ):
            try:
                await self._supervisor.source.confirm(revision, author)
            except NotHeldError as error:
                if not holding:
                    raise NotHeldError(f"{error}{unknown}") from None
            except SourceError:
                if not holding:
                    raise
        await _settled(self._supervisor.look("confirmed"), CONFIRM_SECONDS, self._clock)
        held = self._supervisor.loop.held
        return {
            "confirmed": revision,
            "held": None if held is None else held.describe(),
            **({"told": holding} if holding else {}),
        }

    async def _tell_siblings(self, revision: int) -> tuple[list[str], str]:
        """
        Have other nodes release what each of them holds for itself, which this one need not hold.

        Returns the live ones that held it, and what to say where that is not known.
        """
        settings = self._supervisor.settings
        if settings.source == "file":
            return [], ""  # each host numbers the contents of its file for itself
        unknown, states = "", {}
        try:
            states = await self._supervisor.bus.nodes()
        except Exception as error:
            unknown = f"; whether other nodes hold it is not known: {error}"
        # After the question: at once they hold it no longer.
        loop = self._supervisor.loop
        for position in fleet.held_positions(states, revision, loop.held_position, loop.position):
            await self._command("confirm", position, {})
        return fleet.holding(states, revision, settings.node), unknown

    def explain(self, request: dict[str, Any]) -> Deferred[dict[str, Any]]:
        """Ask a worker which route a request would take; fails with `LookupError` without one."""
        return Deferred.fromCoroutine(self._explain(request))

    async def _explain(self, request: dict[str, Any]) -> dict[str, Any]:
        why = "no worker serves yet"
        for link in self._supervisor.workers.links():
            if link.state is not WorkerState.SERVING:
                continue
            try:
                return self._say_rejected(await link.ask("explain", request=request))
            except (TimeoutError, ConnectionError) as error:  # it hangs, or has died of late
                why = f"worker {link.name}: {error}"
        raise LookupError(why)

    def _say_rejected(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Say of a route that was asked about what no worker knows: why it is not there."""
        asked = answer.get("asked")
        rejected = self.rejection(Key("route", asked["route"])) if asked else None
        if asked and rejected is not None:
            why = "; ".join(f"{one['path']}: {one['message']}" for one in rejected["problems"])
            if rejected["serving"] == NOTHING:
                asked["reason"] = f"it is rejected: {why}"
            else:
                asked["reason"] += f" (a previous version serves; the newest is rejected: {why})"
        return answer

    def counters(self) -> Deferred[dict[str, Any]]:
        """Return the counters of every worker that answers, by worker name."""
        return self._supervisor.counted.gather()

    def past_counters(self) -> Mapping[str, Any]:
        """Return what workers have counted that `counters` has just not told of, together."""
        return self._supervisor.counted.unshown()

    @property
    def places(self) -> Places:
        """What has series of its own in the metrics of this host."""
        return self._supervisor.places

    def own_counters(self) -> dict[str, Any]:
        """Return what the supervisor has counted itself, in the shape of what workers tell."""
        supervisor = self._supervisor
        return {
            **NO_COUNTERS,
            "reloads": dict(supervisor.loop.asked),
            "histograms": supervisor.config_times.to_json(),
            "process_now": supervisor.costs.to_json(),
        }

    def names(self) -> Deferred[dict[str, Any]]:
        """Return the names that every worker that answers has looked up, by worker name."""
        return self._ask_workers("names")

    def debug(self) -> Deferred[dict[str, Any]]:
        """Return what each process of this node is doing; a worker that is silent says nothing of it."""
        return Deferred.fromCoroutine(self._debug())

    async def _debug(self) -> dict[str, Any]:
        lag = self._supervisor.lag
        own = {
            **inspect_process(self._clock),
            "longest_lag_ms": round(lag.longest_ever_ms, 1),
            "longest_blocked_ms": round(lag.longest_blocked_ms, 1),
        }
        links = self._supervisor.workers.links()
        asked = [one.ask("debug").addErrback(_said_of, one.pid) for one in links]
        answers = [await one for one in asked]
        shown = ("state", "lag_ms", "longest_lag_ms", "blocked_ms", "longest_blocked_ms")
        now = self._clock.seconds()
        workers = []
        for link, answer in zip(links, answers, strict=True):
            known = worker_values(link, now=now)
            workers.append({"worker": link.name, **{n: known[n] for n in shown}, **answer})
        return {"node": self._supervisor.settings.node, "supervisor": own, "workers": workers}

    def _ask_workers(self, question: str) -> Deferred[dict[str, Any]]:
        links = [one for one in self._supervisor.workers.links() if one.state.value != "starting"]
        asked = DeferredList([one.ask(question) for one in links], consumeErrors=True)
        return asked.addCallback(
            lambda results: {
                f"{link.name}/{link.pid}": answer
                for link, (answered, answer) in zip(links, results, strict=True)
                if answered
            }
        )

    def route_traffic(self, sort: Any, limit: int) -> Deferred[dict[str, Any]]:
        found = Deferred.fromCoroutine(self._supervisor.route_traffic.busiest(sort, limit))
        return found.addCallback(lambda values: {"node": self._supervisor.settings.node, **values})

    def tap(
        self, tap_filter: Mapping[str, Any], *, seconds: float, audience: Audience
    ) -> Callable[[], None]:
        return self._supervisor.taps.begin(tap_filter, seconds=seconds, audience=audience)

    def exchanges(self) -> Ring:
        return self._supervisor.failures.ring

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Ready: every worker serves one good configuration. The database is not asked."""
        supervisor = self._supervisor
        drained = supervisor.overrides.is_drained
        ready = supervisor.state == "serving" and supervisor.workers.some_serve and not drained
        workers = len(supervisor.workers.links())
        said = {"state": supervisor.state, "drained": drained, "workers": workers}
        if supervisor.pinning.pin is not None:
            said["pinned"] = supervisor.pinning.describe()
        return ready, said

    def drain(self, on: bool, by: str) -> dict[str, Any]:
        self._supervisor.overrides.drain(on, by=by)
        return {"drained": on}

    def restart(self) -> dict[str, Any]:
        workers = self._supervisor.workers
        if not workers.can_restart:
            raise ValueError(
                "the only worker runs in the process of the gateway itself (workers = 1)"
                if self._supervisor.state != "draining"
                else "this gateway is being stopped"
            )
        workers.rolling_restart()
        return {"restarting": workers.restarting, "restarts": workers.restarts}

    def pin(
        self, *, revision: int | None, everywhere: bool, by: str, comment: str
    ) -> Deferred[dict[str, Any]]:
        return Deferred.fromCoroutine(self._pin(revision, everywhere, by, comment))

    async def _pin(
        self, revision: int | None, everywhere: bool, by: str, comment: str
    ) -> dict[str, Any]:
        pin = await self._content.find(revision, by=by, comment=comment)
        told = {}
        if everywhere:
            args = {"revision": revision, "by": by, "comment": comment}
            told = await self._tell_all("pin", pin.position, args)
        await self._supervisor.pinning.hold(pin)
        return self._pinned(told)

    def unpin(self, *, everywhere: bool, by: str) -> Deferred[dict[str, Any]]:
        return Deferred.fromCoroutine(self._unpin(everywhere, by))

    async def _unpin(self, everywhere: bool, by: str) -> dict[str, Any]:
        supervisor = self._supervisor
        about = supervisor.loop.position or supervisor.position or NOWHERE
        told = await self._tell_all("unpin", about, {"by": by}) if everywhere else {}
        await supervisor.pinning.release(by)
        return self._pinned(told)

    def _pinned(self, told: dict[str, Any]) -> dict[str, Any]:
        pinning = self._supervisor.pinning
        return {
            "pinned": pinning.values(),
            "position": position_values(self._supervisor.position),
            "problem": pinning.problem,
            **told,
        }

    async def _tell_all(self, name: str, about: Position, args: dict[str, Any]) -> dict[str, Any]:
        """Send a command to every node; say how many listen, or why it is only done here."""
        if isinstance(self._supervisor.bus, NoBus):
            return {"complete": False, "reason": "only this node is told: it has no Redis"}
        command = Command(secrets.token_hex(8), name, self._supervisor.settings.node, about, args)
        try:
            listening = await self._supervisor.bus.send_command(command)
        except Exception as error:
            return {"complete": False, "reason": f"only this node is told: {error}"}
        return {"complete": True, "told": max(0, listening - 1)}

    def _pin_command(self, command: Command) -> None:
        """Do what another node asks of all about pins; in another epoch it means nothing."""
        here, args = self._supervisor.position, command.args
        revision, by = args.get("revision"), f"{args.get('by')} on {command.sender}"
        if here is None or here.epoch != command.position.epoch:
            return
        if command.name == "unpin":
            done = self._unpin(everywhere=False, by=by)
        elif revision is None or type(revision) is int:
            comment = str(args.get("comment") or "")
            done = self._pin(revision, everywhere=False, by=by, comment=comment)
        else:
            return
        Deferred.fromCoroutine(done).addErrback(
            lambda failure: _log.error(
                "{name}, as {by} asks: {reason}",
                name=command.name,
                by=by,
                reason=failure.getErrorMessage(),
                log_id="config.pin_refused",
            )
        )

    async def _command(self, name: str, about: Position, args: dict[str, Any]) -> None:
        command = Command(secrets.token_hex(8), name, self._supervisor.settings.node, about, args)
        try:
            await self._supervisor.bus.send_command(command)
        except Exception:  # noqa: S110 - the bus counts it, and correctness does not depend on it
            pass

    def command_received(self, command: Command) -> None:
        """Do what another node asks of every node."""
        if command.sender == self._supervisor.settings.node:
            return
        if command.name == "reload":
            self._supervisor.look("command")
        elif command.name == "confirm":
            self._supervisor.loop.confirm_here(command.position)
        elif command.name in ("pin", "unpin"):
            self._pin_command(command)
        elif command.name == "switches":
            self._supervisor.overrides.switches.look()
        elif self._is_for_this_start(command):
            self._node_command(command)

    def _is_for_this_start(self, command: Command) -> bool:
        """Whether a command is for this node, and was not recorded before it was restarted."""
        here = {
            "node": self._supervisor.settings.node,
            "started_at": self._supervisor.started_on,
        }
        return here.items() <= command.args.items()

    def _node_command(self, command: Command) -> None:
        on = command.args.get("on")
        if command.name == "drain" and type(on) is bool:
            self._supervisor.overrides.drain(on, by=command.sender)
        elif command.name == "restart":
            _log.info(
                "workers are to be replaced, as {by} asks",
                by=command.sender,
                log_id="restart.asked",
            )
            self._supervisor.workers.rolling_restart()


def _said_of(failure: Failure, pid: int | None) -> dict[str, Any]:
    """Say what is known of a worker that does not answer."""
    seen = {} if pid is None else inspect_silent(pid)
    return {**seen, "error": failure.getErrorMessage()}


def _sleep(clock: Any, seconds: float) -> Deferred[None]:
    slept: Deferred[None] = Deferred()
    clock.callLater(seconds, slept.callback, None)
    return slept


def _settled(waiting: Deferred[None], timeout: float, clock: Any) -> Deferred[bool]:
    """Wait for a shared Deferred for a while, without cancelling it; whether it has fired."""
    settled: Deferred[bool] = Deferred()

    def settle(in_time: bool) -> None:
        if not settled.called:
            settled.callback(in_time)

    expiry = clock.callLater(timeout, settle, False)
    waiting.addBoth(lambda _: settle(True))

    def ended(in_time: bool) -> bool:
        if expiry.active():
            expiry.cancel()
        return in_time

    return settled.addCallback(ended)
