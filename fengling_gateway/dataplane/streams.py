"""The narrow interface between an exchange and the two connections it relays between.

Nobody but the codecs knows how a head becomes bytes or what a transport is. A
codec gathers what it is given until `flush`, so that a head and the body that
came with it leave in one segment.

Back-pressure is told, not asked: a stream that cannot take more calls the
exchange's ``*_blocked`` method, and the exchange pauses the other stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.headers import Pair

if TYPE_CHECKING:
    from fengling_gateway.dataplane.exchange import Exchange
    from fengling_gateway.dataplane.tunnel import Tunnel


class DownstreamStream(Protocol):
    """
    One request's place on a client's connection.

    Attributes:
        deadline: on the sweeper's clock, when `Exchange.deadline_passed` is due.
    """

    deadline: float

    def end_connection(self) -> None:
        """Let the answer that is about to begin be the connection's last."""

    def send_interim(self, status: int, reason: bytes, pairs: list[Pair]) -> None:
        """Send an interim (1xx) head."""

    def send_head(self, status: int, reason: bytes, pairs: list[Pair], framing: int) -> None:
        """Begin the answer; `framing` is that of `http.framing`."""

    def send_data(self, data: bytes) -> None:
        """Send a piece, never empty, of the answer's body."""

    def send_end(self, trailers: list[Pair]) -> None:
        """End the answer; it flushes. Trailers go with chunks only."""

    def begin_tunnel(self, tunnel: Tunnel) -> None:
        """After the head of a 101: give the tunnel whatever the client says, then its end."""

    def half_close(self) -> None:
        """Tell the client of the instance's end; a tunnel's other way goes on."""

    def close_tunnel(self) -> None:
        """Close the connection, once what was sent has left."""

    def flush(self) -> None: ...

    def retract(self) -> bool:
        """Take back the answer's head; False when it has left already."""

    def abort(self, error: ForwardError) -> None:
        """Break the answer off so that nobody takes it for complete."""

    def fault(self, exchange: Exchange) -> None:
        """Fail an exchange by a fault of our own; a client that can't be told is cut off."""

    def has_moved(self) -> bool:
        """Whether the client, blocked, has read something since that was told or last asked."""

    def pause(self) -> None:
        """Deliver no more of the request's body until `resume`."""

    def resume(self) -> None: ...


class UpstreamStream(Protocol):
    """
    One request's place on a connection to an instance.

    Attributes:
        is_reused: whether the connection has carried another exchange before.
    """

    is_reused: bool

    def send_head(
        self, method: bytes, target: bytes, host: bytes, pairs: list[Pair], framing: int
    ) -> None: ...

    def send_data(self, data: bytes) -> None: ...

    def send_end(self, trailers: list[Pair]) -> None:
        """End the request; it flushes. Trailers go with chunks only."""

    def begin_tunnel(self, tunnel: Tunnel) -> None:
        """After a 101: give the tunnel whatever the instance says, then its end."""

    def half_close(self) -> None:
        """Tell the instance of the client's end; a tunnel's other way goes on."""

    def close_tunnel(self) -> None:
        """Close the connection, once what was sent has left."""

    def flush(self) -> None: ...

    def abort(self) -> None:
        """Give the exchange up; the connection is of no further use."""

    def has_moved(self) -> bool:
        """Whether the instance, blocked, has read something since that was told or last asked."""

    def pause(self) -> None:
        """Deliver no more of the answer until `resume`."""

    def resume(self) -> None: ...
