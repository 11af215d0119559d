"""The data plane of one worker: listening sockets in, exchanges, pools, drain."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from heapq import nsmallest
from random import Random
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import ClientFactory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from fengling_gateway.auth.issuer import Issuer
from fengling_gateway.balancing.instance import InstanceState
from fengling_gateway.dataplane.accepting import (
    Connection,
    DownstreamFactory,
    ListeningSocket,
    connection_cap,
)
from fengling_gateway.dataplane.counters_in_parts import CountersInParts
from fengling_gateway.dataplane.dialing import NamedInstances
from fengling_gateway.dataplane.http1_upstream import UpstreamConnection
from fengling_gateway.dataplane.listener import Listener
from fengling_gateway.dataplane.memory import (
    ResidentMemory,
    share_of_worker,
    trimmer,
    whole_memory,
)
from fengling_gateway.dataplane.overload import Level, Overload
from fengling_gateway.dataplane.recipients import ALL, Recipients
from fengling_gateway.dataplane.record_keeping import AccessLog, AccessLogWriter
from fengling_gateway.dataplane.settings import DataPlaneSettings
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.dataplane.tls_certificates import Certificate, CertificateError
from fengling_gateway.dataplane.tls_contexts import ServerTls, TlsSettings
from fengling_gateway.dataplane.tls_upstream import ClientTls, no_terms
from fengling_gateway.dataplane.transports import (
    FastTransports,
    StockTransports,
    Transports,
)
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.limiting.table import LimitTable
from fengling_gateway.routing.snapshot import Snapshot

_log = Logger()

DRAIN_IDLE_SECONDS: Final = 1.0
"""
How long a client must have been silent for its connection to be closed in a drain.

A busier one is told with its next answer, and so never finds a request of its
own on a connection that has just been closed.
"""

_DRAIN_TICK_SECONDS: Final = 0.1

SHED_PER_LOOK: Final = 500
"""Idle connections closed at each look while memory is short: some 20 ms, 1,000 a second."""


class DataPlane:
    """
    Serves requests by the snapshot it was given last.

    Args:
        reactor: a real one, or a `MemoryReactorClock` with stock transports.
        rng: for balancing and the ids of requests.
        resident: returns the memory of this process; None: reads it.

    Attributes:
        recipients: of what is told of exchanges that have ended.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        settings: DataPlaneSettings,
        worker_name: str,
        rng: Random,
        resident: Callable[[], int | None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._transports: Transports = (
            FastTransports(
                high_water_bytes=settings.high_water_bytes,
                low_water_bytes=settings.low_water_bytes,
            )
            if settings.transports == "fast"
            else StockTransports()
        )
        clients = connection_cap()
        self._state = PlaneState(
            clock=reactor,
            settings=settings,
            worker_name=worker_name,
            rng=rng,
            wall_clock=time.time,
            dial=self._dial,
            look=self._look,
        )
        self._state.max_upstream = clients
        self._client_tls, self._new_server_tls = _tls_kind(settings.tls_transport, self._state)
        self._server_tls: dict[str, ServerTls] = {}
        self._named = NamedInstances(
            reactor=reactor, plane=self._state, transports=self._transports
        )
        self._ports: set[ListeningSocket] = set()
        self._connections: set[Connection] = set()
        self._max_connections = min(settings.max_connections or clients, clients)
        self._memory = ResidentMemory()
        self._overload = Overload(
            limit_bytes=settings.max_memory or share_of_worker(settings.workers, whole_memory()),
            resident=resident or self._memory,
            trim=trimmer(),
            changed=self._overload_changed,
        )
        self._has_room_by: Snapshot | None = None
        self.recipients = Recipients(self._state)
        self._access_log: AccessLog | None = None
        if settings.access_log is not None and settings.access_log["path"]:
            self._keep_access_log(settings.access_log)
        self._drained: Deferred[None] | None = None
        self._drain_seconds = self._drain_deadline = 0.0
        self._is_past_deadline = False
        self._drain_loop: LoopingCall | None = None
        self._state.sweeper.start()

    def __repr__(self) -> str:
        return f"<DataPlane {self._state.worker_name} connections={len(self._connections)}>"

    # Configuration

    @property
    def snapshot(self) -> Snapshot | None:
        """What is served; None before the first configuration."""
        snapshot = self._state.snapshot
        return None if snapshot.position is None else snapshot

    def apply(self, snapshot: Snapshot) -> None:
        """Serve by `snapshot` from the next exchange on; those under way end by the old one."""
        self._state.apply(snapshot)
        self._client_tls.changed()
        for instance in snapshot.retired:
            if instance.pool is not None:
                instance.pool.close_idle()
            if instance.instance.is_named:
                self._named.retired(instance.instance)

    def counters(self) -> dict[str, Any]:
        """Return all counters and gauges, fit for JSON; see `Counters.to_json`."""
        values = {**self._counted_beside(), **self._state.counters.to_json()}
        self._make_room()
        return values

    def counters_in_parts(self) -> CountersInParts:
        """Return the same so that no part of it takes long."""
        counters = self._state.counters
        values = {**self._counted_beside(), **counters.without_rows()}
        return CountersInParts(values, *counters.pairs(), self._make_room)

    def _make_room(self) -> None:
        """Forget what others want the places of, and what has been told; it is gone by a change."""
        snapshot = self._state.snapshot
        if snapshot is self._has_room_by:
            return
        if self._state.counters.make_room(snapshot.names):
            self._has_room_by = snapshot

    def _counted_beside(self) -> dict[str, Any]:
        """Return what others count than the counters; bring those up to date."""
        counters, identities = self._state.counters, self._state.identities
        counters.memory_now = self._overload.resident_bytes
        counters.memory_limit_now = self._overload.limit_bytes
        if self._access_log is not None:
            # Who drains says no more after this, and its last lines are to count, too.
            self._access_log.flush()
            counters.access_log_lines = self._access_log.lines
            counters.access_log_dropped = self._access_log_writer.dropped
        return {
            **self._state.limit_table.counters(),
            "credentials_refused": dict(identities.refused),
            "credentials_accepted": {
                "jwt": identities.tokens_accepted,
                "api_key": identities.keys_accepted,
            },
            "limit_decisions": self._state.limit_table.decisions(),
            "tunnels_now": len(self._state.tunnels),
            "instances_now": self._state.availability.standings,
        }

    def totals(self) -> dict[str, Any]:
        """Return the sums of what is counted, for each heartbeat; see `Counters.totals`."""
        return self._state.counters.totals()

    @property
    def limit_table(self) -> LimitTable:
        """What has been counted of rates and requests at a time."""
        return self._state.limit_table

    def resolved_names(self) -> list[dict[str, Any]]:
        """Return what is known of the names of instances, fit for JSON."""
        return self._named.to_json()

    def ejected_for(self, state: InstanceState) -> float | None:
        """Return for how many seconds an instance stays ejected; None where it is not."""
        return self._state.passive.ejected_for(state)

    def take_evidence(self) -> dict[str, Any] | None:
        """Return what requests have shown of instances since the last time; None for nothing."""
        return self._state.passive.take_evidence()

    # Listening

    def listen(self, listener: str, sock: socket.socket) -> ListeningSocket:
        """
        Accept clients of `listener` from a socket that listens.

        The socket stays the caller's; the data plane reads a duplicate.
        """
        # Others may accept from it too, so readiness is no promise; a blocking
        # accept would stop the worker.
        sock.setblocking(False)
        factory = DownstreamFactory(
            self._state,
            Listener(listener, self._state.settings, self._tls_of(listener)),
            connections=self._connections,
            max_connections=self._max_connections,
            on_closed=self._connection_closed,
        )
        port = ListeningSocket(self._transports.listen(self._reactor, sock, factory), self._ports)
        self._ports.add(port)
        if self._overload.level is Level.PAUSED:
            port.pause()
        return port

    def _tls_of(self, listener: str) -> ServerTls | None:
        """Return the TLS of a listener, which its sockets share; None where it has none."""
        values = self._state.settings.of_listener(listener).tls
        if values is None:
            return None
        tls = self._server_tls.get(listener)
        if tls is None:
            settings = TlsSettings.from_json(values)
            report = partial(self._certificate_failed, listener)
            tls = self._server_tls[listener] = self._new_server_tls(settings, report)
            for problem in tls.read_files(settings):
                report(problem)
            tls.offer(self._client_tls.certificates.values())
        return tls

    # Overload

    @property
    def overload(self) -> Level:
        """What is done without at present for want of memory."""
        return self._overload.level

    def _keep_access_log(self, settings: Mapping[str, Any]) -> None:
        self._access_log_writer = writer = AccessLogWriter(settings["path"])
        writer.start()
        self._access_log = AccessLog(settings, writer.put)
        self.recipients.add(self._access_log.ended, slower_than=ALL)

    def _look(self, now: float) -> None:
        """Look at memory, now and then; while it is short, close what is idle."""
        if self._access_log is not None:
            self._access_log.flush()
        # By the reactor's clock: where turns take long, memory is the likelier to run short.
        if self._overload.look(self._reactor.seconds()) and self._overload.level:
            self._close_idle_longest(now - DRAIN_IDLE_SECONDS)

    def _overload_changed(self, level: Level) -> None:
        state = self._state
        state.counters.overload_now = level
        state.is_shedding = level >= Level.SHEDDING
        if level is Level.PAUSED:
            state.counters.accept_pauses += 1
        for port in self._ports:
            if level is Level.PAUSED:
                port.pause()
            else:
                port.resume()

    def _close_idle_longest(self, idle_since: float) -> None:
        connections = nsmallest(SHED_PER_LOOK, self._connections, key=_idle_since)
        for connection in connections:
            if connection.idle_since() <= idle_since and connection.close_idle(idle_since):
                self._state.counters.connections_shed += 1

    # Certificates

    def read_certificates(self, listeners: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """
        Read the certificate files of listeners again.

        Args:
            listeners: by name, what `TlsSettings.from_json` takes. What has
                changed in it holds for the next handshake.

        Returns:
            what is wrong, which the log has, too; there, what was before goes on.
        """
        problems: list[str] = []
        for name, tls in self._server_tls.items():
            if name in listeners:
                found = tls.read_files(TlsSettings.from_json(listeners[name]))
                for problem in found:
                    self._certificate_failed(name, problem)
                problems += found
        return problems

    def offer_certificates(self, certificates: Iterable[Certificate]) -> None:
        """
        Offer these of the table, by SNI, on all listeners with TLS, and to instances.

        Of several for the same name the first one is. Call it before `apply`.
        """
        offered = list(certificates)
        self._client_tls.certificates = {one.name: one for one in offered}
        for tls in self._server_tls.values():
            tls.offer(offered)
        self._client_tls.changed()

    # Issuers

    def offer_issuers(self, issuers: Mapping[str, Issuer]) -> None:
        """
        Believe the tokens of these, by what they say in ``iss``.

        Called before `apply`, whenever one has changed, and when a fetch of keys
        has ended that `want_keys` said might help, whether or not it did.
        """
        self._state.offer_issuers(issuers)

    @property
    def want_keys(self) -> Callable[[str], bool]:
        """
        Asks for the keys of an issuer, by its id, when a token names one that is unknown.

        Returns whether waiting for `offer_issuers` may help. Set once, from outside.
        """
        return self._state.identities.want_keys

    @want_keys.setter
    def want_keys(self, want: Callable[[str], bool]) -> None:
        self._state.identities.want_keys = want

    @property
    def tracing(self) -> Any:
        """Decides which requests are recorded, and is told of them; None: none. Set once."""
        return self._state.tracing

    @tracing.setter
    def tracing(self, tracing: Any) -> None:
        self._state.trace_with(tracing)

    @property
    def debug_id_in(self) -> Callable[[bytes], str | None]:
        """Returns the id in the value of a good debug header, else None. Set once, from outside."""
        return self._state.debug_id_in

    @debug_id_in.setter
    def debug_id_in(self, id_in: Callable[[bytes], str | None]) -> None:
        self._state.debug_id_in = id_in

    def _certificate_failed(self, listener: str, problem: str) -> None:
        self._state.counters.tls_certificates_failed += 1
        _log.error(
            "listener {listener}: {problem}",
            listener=listener,
            problem=problem,
            log_id="tls.certificate_failed",
        )

    def _connection_closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if self._drained is not None and not self._connections:
            self._end_drain()

    def _dial(self, connection: UpstreamConnection) -> Any:
        instance = connection.instance
        factory: ClientFactory = _UpstreamFactory(connection)
        if instance.refused is not None:
            # No snapshot has it among those to pick from: it takes a fault of ours.
            error = ForwardError.ADDRESS_REFUSED
            self._reactor.callLater(0, connection.connect_failed, error)
            return None
        try:
            if instance.scheme == "https":
                factory = self._client_tls.factory(connection)
            if instance.is_named:
                return self._named.dial(connection, factory)
            return self._transports.connect(self._reactor, instance.host, instance.port, factory)
        except CertificateError as error:
            self._client_tls.report(instance, no_terms(error))
            self._reactor.callLater(0, connection.connect_failed, ForwardError.TLS_FAILED)
            return None
        except Exception as error:
            # Such as a name that can't be verified. Told later, as other failures to
            # connect are: who waits behind this one would else be tried in its midst.
            _log.error(
                "{connection} can't be opened: {error}",
                connection=connection,
                error=error,
                log_id="accept.not_opened",
            )
            self._reactor.callLater(0, connection.connect_failed)
            return None

    # Ends

    def send_away(self, away: bool) -> None:
        """End clients' connections with their next answer, or no longer; all are served as ever."""
        self._state.is_draining = away or self._drained is not None

    def start_draining(self, deadline: float) -> Deferred[None]:
        """
        Take no new connections, end those that are idle and, after their answers, the others.

        Args:
            deadline: seconds after which what is left is aborted.

        Returns:
            What fires when no connection is left, or a tick after the deadline.
        """
        if self._drained is not None:
            return self._drained
        self._state.is_draining = True
        for port in list(self._ports):
            port.stop_accepting()
        self._drained = Deferred()
        self._drain_seconds = deadline
        self._drain_deadline = self._reactor.seconds() + deadline
        drained = self._drained
        self._drain_loop = LoopingCall(self._drain)
        self._drain_loop.clock = self._reactor
        self._drain_loop.start(_DRAIN_TICK_SECONDS)
        return drained

    def _drain(self) -> None:
        now = self._reactor.seconds()
        if not self._connections:
            self._end_drain()
            return
        if now >= self._drain_deadline:
            # Twice: those that were told in an answer have had a tick to read it.
            self._break_all_off()
            if self._is_past_deadline:
                self._end_drain()
            self._is_past_deadline = True
            return
        self._end_tunnels(now)
        idle_since = self._state.sweeper.now - DRAIN_IDLE_SECONDS
        for connection in list(self._connections):
            connection.close_idle(idle_since)

    def _end_tunnels(self, now: float) -> None:
        """End as many as are due for all to be told by half of the time, one after the other."""
        tunnels = [one for one in self._state.tunnels if one.farewell is None]
        left = self._drain_deadline - self._drain_seconds / 2 - now
        ticks = max(1, round(left / _DRAIN_TICK_SECONDS))
        for tunnel in tunnels[: -(-len(tunnels) // ticks)]:
            tunnel.go_away(ForwardError.DRAIN_DEADLINE)

    def _end_drain(self) -> None:
        loop, self._drain_loop = self._drain_loop, None
        if loop is not None and loop.running:
            loop.stop()
            for pool in list(self._state.pools):
                pool.close_idle()
            self._named.stop()
            if self._drained is not None and not self._drained.called:
                self._drained.callback(None)

    def stop(self) -> Deferred[None]:
        """Abort everything at once."""
        for port in list(self._ports):
            port.stop_accepting()
        self._break_all_off()
        for pool in list(self._state.pools):
            pool.close_idle()
        self._named.stop()
        self._state.sweeper.stop()
        if self._access_log is not None:
            self._access_log.flush()
            self._access_log_writer.stop()
        self._memory.close()
        return succeed(None)

    def _break_all_off(self) -> None:
        for connection in list(self._connections):
            try:
                connection.break_off(ForwardError.DRAIN_DEADLINE)
            except Exception:
                _log.failure(
                    "{connection} could not be broken off",
                    connection=connection,
                    log_id="connection.not_broken_off",
                )


def _tls_kind(kind: str, state: PlaneState) -> tuple[ClientTls, type[ServerTls]]:
    """Return the TLS towards instances, and the class of that of listeners."""
    if kind == "fast":
        return ClientTls(state), ServerTls
    from fengling_gateway.dataplane.tls_stock import StockClientTls, StockServerTls

    return StockClientTls(state), StockServerTls


def _idle_since(connection: Connection) -> float:
    return connection.idle_since()


class _UpstreamFactory(ClientFactory):
    """Gives one connection to the protocol that asked for it."""

    noisy = False

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: Any) -> Any:
        return self._connection

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self._connection.connect_failed()
