"""Connections to one instance: idle ones, how many there may be, and who waits for one.

A connection is an exchange's own from the moment it is opened for it or handed
to it until its answer has ended. Nothing here knows what is said on it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from fengling_gateway.balancing.instance import InstanceState
from fengling_gateway.dataplane.http1_upstream import UpstreamConnection
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.http.forward_error import ForwardError

if TYPE_CHECKING:
    from fengling_gateway.dataplane.exchange import Exchange


class UpstreamPool:
    """
    The connections of a worker to one instance.

    The connection used last is used next, so that those not needed grow old
    together. All methods run in the reactor's thread and none waits.

    Attributes:
        size: connections that are open or being opened.
    """

    __slots__ = (
        "_counts",
        "_dialing",
        "_idle",
        "_instance",
        "_plane",
        "_queue",
        "_service_id",
        "size",
    )

    def __init__(self, instance: InstanceState, plane: PlaneState) -> None:
        self._instance = instance
        self._plane = plane
        self._idle: list[UpstreamConnection] = []
        self._dialing: dict[Exchange, UpstreamConnection] = {}
        self._queue: deque[Exchange] = deque()
        self._service_id = instance.instance.service_id
        self._counts = plane.counters.pools_of(self._service_id)
        self.size = 0
        plane.pools.add(self)

    def __repr__(self) -> str:
        return (
            f"<UpstreamPool {self._instance.id} size={self.size} idle={len(self._idle)}"
            f" queued={len(self._queue)}>"
        )

    @property
    def is_retired(self) -> bool:
        """Whether the instance has left the configuration."""
        return self._instance.retired

    def tell(self) -> None:
        """Note that all that the instance has answered by now has been told of, where it matters."""
        self._instance.told = self._instance.answered

    def is_crowded(self) -> bool:
        """Whether more than half of the connections there may be are busy."""
        busy = self.size - len(self._idle)
        return 2 * busy > self._plane.settings.upstream_max_connections

    def take_idle(self, exchange: Exchange) -> UpstreamConnection | None:
        """Lend an idle connection, of which the reactor need not know all yet; None without any."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            self._counts.idle -= 1
            if not connection.is_alive():
                connection.discard()
                continue
            self._plane.counters.upstream_reused += 1
            connection.lend(exchange)
            return connection
        return None

    def connect(self, exchange: Exchange) -> None:
        """Open a connection for `exchange`, queue it where there are enough, or send it elsewhere."""
        settings = self._plane.settings
        if self.size < settings.upstream_max_connections:
            self._dial(exchange)
        elif len(self._queue) < settings.upstream_queue:
            self._queue.append(exchange)
            self._plane.counters.upstream_queued_now += 1
            self._counts.waiting += 1
            exchange.queued()
        else:
            exchange.upstream_failed(ForwardError.UPSTREAM_BUSY, is_reused=False)

    def give_up(self, exchange: Exchange) -> None:
        """Forget an exchange that waits for a connection."""
        connection = self._dialing.pop(exchange, None)
        if connection is not None:
            self._counts.connecting -= 1
            connection.cancel()
        elif exchange in self._queue:
            self._queue.remove(exchange)
            self._plane.counters.upstream_queued_now -= 1
            self._counts.waiting -= 1

    def _dial(self, exchange: Exchange) -> None:
        self.size += 1
        self._counts.size += 1
        counters = self._plane.counters
        counters.upstream_connects += 1
        counters.upstream_connections_now += 1
        if counters.upstream_connections_now > self._plane.max_upstream:
            self._plane.spare_upstream()
        connection = UpstreamConnection(self, self._plane, self._instance.instance)
        self._dialing[exchange] = connection
        self._counts.connecting += 1
        exchange.connecting()
        connection.dial(exchange)

    # What connections report

    def connection_made(self, connection: UpstreamConnection, exchange: Exchange) -> None:
        """Give a connection that was opened for `exchange` to it."""
        del self._dialing[exchange]
        self._counts.connecting -= 1
        if not connection.is_alive():
            # Over already, or it greets: either way what it has said would answer no request.
            connection.discard()
            exchange.upstream_failed(ForwardError.CONNECT_FAILED, is_reused=False)
            return
        connection.lend(exchange)
        exchange.connected(connection)

    def connection_failed(self, exchange: Exchange, error: ForwardError) -> None:
        """Tell `exchange` why its connection could not be opened."""
        self._plane.counters.upstream_connects_failed += 1
        if self._dialing.pop(exchange, None) is not None:
            self._counts.connecting -= 1
            exchange.upstream_failed(error, is_reused=False)

    def release(self, connection: UpstreamConnection) -> None:
        """Take back a connection fit for another exchange."""
        if self._queue:
            if not connection.is_alive():
                connection.discard()  # whoever is queued gets its place
                return
            exchange = self._dequeue()
            self._plane.counters.upstream_reused += 1
            connection.lend(exchange)
            exchange.connected(connection)
        elif (
            self._instance.retired
            or connection.idle_until <= self._plane.sweeper.now
            or len(self._idle) >= self._plane.settings.upstream_max_idle
        ):
            connection.close()
        else:
            self._idle.append(connection)
            self._counts.idle += 1

    def forget(self, connection: UpstreamConnection) -> None:
        """Lend an idle connection to nobody any more."""
        if connection in self._idle:
            self._idle.remove(connection)
            self._counts.idle -= 1

    def closed(self, connection: UpstreamConnection) -> None:
        """Note that a connection, opened or not, is no more; whoever is queued may have its place."""
        self._plane.counters.upstream_connections_now -= 1
        self.forget(connection)
        if connection.is_counted:
            self._vacate()

    def left(self, connection: UpstreamConnection) -> None:
        """Note that a connection has become a tunnel's: such may be more than do requests."""
        connection.is_counted = False
        self._vacate()

    def _vacate(self) -> None:
        self.size -= 1
        self._counts.size -= 1
        if self._queue:
            self._dial(self._dequeue())
        elif not self.size:
            self._plane.pools.discard(self)
            self._plane.passive.left(self._instance)
            if self._instance.pool is self:
                self._instance.pool = None

    def _dequeue(self) -> Exchange:
        self._plane.counters.upstream_queued_now -= 1
        self._counts.waiting -= 1
        return self._queue.popleft()

    # Ageing

    def sweep(self, now: float) -> None:
        """Close what has been idle for too long, or all where the instance is gone."""
        if self._instance.instance.service_id != self._service_id:
            self._move()
        if self._instance.retired:
            self.close_idle()
            return
        for connection in [one for one in self._idle if one.idle_until <= now]:
            self._idle.remove(connection)
            self._counts.idle -= 1
            connection.close()

    def _move(self) -> None:
        """Count for the service that the instance belongs to now."""
        self._service_id = self._instance.instance.service_id
        counts = self._plane.counters.pools_of(self._service_id)
        for one, sign in ((self._counts, -1), (counts, 1)):
            one.connecting += sign * len(self._dialing)
            one.idle += sign * len(self._idle)
            one.size += sign * self.size
            one.waiting += sign * len(self._queue)
        self._counts = counts

    def close_oldest(self) -> bool:
        """Close the connection that has been idle longest; False where none is."""
        if not self._idle:
            return False
        self._counts.idle -= 1
        self._idle.pop(0).close()
        return True

    def close_idle(self) -> None:
        """Close every connection that carries no exchange."""
        while self._idle:
            self._counts.idle -= 1
            self._idle.pop().close()
