"""Two connections that have left HTTP (a 101): bytes are relayed both ways until both sides end.

A tunnel is the rest of an exchange and has its back-pressure. It lives on
whatever is applied, as long as its route and its instance exist; then, or when
it is silent for too long or the worker drains, it is ended in the words of its
protocol where these are known, which is WebSocket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.internet.error import ConnectionDone

from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.websocket import GOING_AWAY, FrameBorders, close_frame

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from fengling_gateway.dataplane.admission import Admission
    from fengling_gateway.dataplane.exchange import Exchange
    from fengling_gateway.dataplane.streams import DownstreamStream, UpstreamStream
    from fengling_gateway.routing.snapshot import Snapshot

GO_AWAY_SECONDS: Final = 5.0
"""How long peers have to end after they were told; then the connections are broken off."""


class _Way:
    """
    One direction.

    Attributes:
        is_cut: whether the gateway has ended it in the sender's place.
        is_finished: whether its receiver has been told that nothing more comes.
        has_ended: whether its sender has ended it.
        sent: bytes that have gone on, and of what ended it.
    """

    __slots__ = ("_borders", "_end", "_to", "has_ended", "is_cut", "is_finished", "sent")

    def __init__(
        self,
        to: DownstreamStream | UpstreamStream,
        borders: FrameBorders | None,
        end: bytes,
    ) -> None:
        """
        Args:
            to: its receiver.
            borders: follows the frames, where the protocol has any.
            end: what ends it, between two frames.
        """
        self._to = to
        self._borders = borders
        self._end = end
        self.is_cut = False
        self.is_finished = False
        self.has_ended = False
        self.sent = 0

    def _send(self, data: bytes) -> None:
        self.sent += len(data)
        self._to.send_data(data)

    def relay(self, data: bytes, is_going_away: bool) -> None:
        if self.is_cut:
            return
        borders = self._borders
        if borders is None:
            self._send(data)
        elif not is_going_away:
            borders.feed(data)
            self._send(data)
        else:
            end = borders.end_of_frame(data)
            if end < 0:
                self._send(data)
                return
            if end:
                self._send(data[:end])
            self.cut()

    def cut(self) -> None:
        """End it, unless a frame is under way: then its end is waited for."""
        borders = self._borders
        if borders is not None and not borders.is_between:
            return
        self.is_cut = True
        if self._end and borders is not None and not borders.has_closed and not self.has_ended:
            self._send(self._end)

    def finish(self) -> None:
        """Tell the receiver that nothing more comes; once, as a second time breaks its connection."""
        if not self.is_finished:
            self.is_finished = True
            self._to.half_close()


class Tunnel:
    """
    What an exchange has become.

    Attributes:
        farewell: why it is being ended; None while it is not.
        received: bytes from the client; of those that came after it was told to end, some
            went no further.
    """

    __slots__ = (
        "_admission",
        "_downstream",
        "_exchange",
        "_from_client",
        "_from_instance",
        "_instance",
        "_is_framed",
        "_route_id",
        "_timeout",
        "_upstream",
        "farewell",
        "received",
    )

    def __init__(
        self,
        exchange: Exchange,
        upstream: UpstreamStream,
        protocol: bytes,
        admission: Admission,
        *,
        route_id: str,
        timeout: float,
        mask: bytes,
    ) -> None:
        """
        Args:
            protocol: in lower case; WebSocket is ended by frames that say so.
            admission: by which it was let in.
            timeout: seconds for which neither side need say anything.
            mask: four random bytes for a WebSocket frame of ours to the instance.
        """
        self._exchange = exchange
        self._admission = admission
        self._instance = exchange.instance
        self._route_id = route_id
        self._timeout = timeout
        downstream: DownstreamStream = exchange.downstream
        self._downstream = downstream
        self._upstream = upstream
        self.farewell: ForwardError | None = None
        self.received = 0
        self._is_framed = protocol == b"websocket"
        if self._is_framed:
            close = close_frame(GOING_AWAY)
            self._from_client = _Way(upstream, FrameBorders(), close_frame(GOING_AWAY, mask))
            self._from_instance = _Way(downstream, FrameBorders(), close)
        else:
            self._from_client = _Way(upstream, None, b"")
            self._from_instance = _Way(downstream, None, b"")

    def __repr__(self) -> str:
        return f"<Tunnel of {self._exchange!r}>"

    @property
    def sent(self) -> int:
        """Bytes to the client."""
        return self._from_instance.sent

    def client_data(self, data: bytes) -> None:
        """Relay what the client says."""
        self.received += len(data)
        self._from_client.relay(data, self.farewell is not None)
        self._upstream.flush()
        self.moved()

    def instance_data(self, data: bytes) -> None:
        """Relay what the instance says."""
        self._from_instance.relay(data, self.farewell is not None)
        self._downstream.flush()
        self.moved()

    def client_ended(self, is_cut: bool = False) -> None:
        """
        Note that the client will say no more; the instance is told, and may go on.

        Args:
            is_cut: whether it was TCP that ended, and not TLS over it. What has no frames
                is broken off then: cut short, it would look complete on the other side.
        """
        if is_cut and self._is_missed(self._from_instance):
            self._exchange.fail(ForwardError.CLIENT_GONE_IN_RESPONSE)
        elif not self._from_client.has_ended:
            self._from_client.has_ended = True
            self._from_client.finish()
            self._end_with_both()

    def instance_ended(self, is_cut: bool = False) -> None:
        """Note that the instance will say no more, as `client_ended`."""
        if is_cut and self._is_missed(self._from_client):
            self._exchange.fail(ForwardError.TUNNEL_BROKEN)
        elif not self._from_instance.has_ended:
            self._from_instance.has_ended = True
            self._from_instance.finish()
            self._end_with_both()

    def side_closed(self) -> None:
        """
        Note that one side has closed in good order and both ways at once, as Twisted's TLS does.

        What it has said is still sent; for what the other says there is nobody left.
        """
        self._exchange.tunnel_ended(self.farewell)

    def takes_for_end(self, reason: Failure) -> bool:
        """Whether an instance that has closed its connection has ended it: also by breaking off, if told to."""
        return self.farewell is not None or reason.check(ConnectionDone) is not None

    def is_wanted(self, snapshot: Snapshot) -> bool:
        """Whether its route and its instance are still configured, and whoever asked may still ask."""
        if not self._admission.is_still_good():
            return False
        if self._instance is None or self._instance.retired:
            return False
        route = snapshot.routes.get(self._route_id)
        return route is not None and route.enabled and route.id not in snapshot.overrides.routes

    def moved(self) -> None:
        """Start its deadline anew: something was said."""
        if self.farewell is None:
            self._exchange.arm(self._timeout)

    def go_away(self, reason: ForwardError) -> None:
        """Tell both sides to end, and give them a moment to do it themselves."""
        if self.farewell is not None:
            return
        self.farewell = reason
        self._exchange.arm(GO_AWAY_SECONDS)
        for way in (self._from_client, self._from_instance):
            way.cut()
        self._upstream.flush()
        self._downstream.flush()
        if not self._is_framed:
            self._from_client.finish()
            self._from_instance.finish()

    def _is_missed(self, other: _Way) -> bool:
        """Whether an end is needed to know that nothing is missing; not by who has ended, too."""
        return not self._is_framed and not other.has_ended and self.farewell is None

    def _end_with_both(self) -> None:
        if self._from_client.has_ended and self._from_instance.has_ended:
            self._exchange.tunnel_ended(self.farewell)
