"""An exchange that has ended, as it is told to whoever keeps records of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from fengling_gateway.http.forward_error import ForwardError, Phase
from fengling_gateway.http.head import RequestHead

_ANSWERED: Final = frozenset({Phase.READ_RESPONSE_BODY, Phase.SEND_RESPONSE, Phase.TUNNEL})
"""Phases of failures after the first byte of an answer."""


class Attempt(NamedTuple):
    """
    An attempt to have an instance answer.

    Attributes:
        instance, address: of it, as configured.
        error: what it failed by; None for the one that was answered, or is not to blame.
        began: seconds after the exchange.
        connect: seconds that it waited for a connection; None: there was one, or it came to none.
        seconds: until its answer began, or it failed; None: it did neither.
    """

    instance: str
    address: str
    error: ForwardError | None
    began: float
    connect: float | None
    seconds: float | None

    @property
    def first_byte(self) -> float | None:
        """Seconds until its answer began; None: there was none."""
        if self.error is None or self.error.phase in _ANSWERED:
            return self.seconds
        return None


class Ended(NamedTuple):
    """
    An exchange that has ended.

    Attributes:
        at: when, in seconds since the epoch.
        seconds: from the end of its head to the end of its answer.
        head: None for what came to no request.
        client: its address, as far as those are trusted who say it; ``peer``: who it came from.
        status: that the client was told, or would have been; 0: none.
        route, service: ids; empty where it came to none.
        subject: who asked, as whoever vouches for him says; None: nobody knows.
        revision: by which it was served.
        attempts: in their order; the last one is what was answered, if anything was.
        received, sent: bytes of bodies, from and to the client.
        trace_id: of the trace that it is part of, in hex, recorded or not; None: nothing
            is traced, or it went no further than the gateway.
        tls: the client's certificate (DER), version and cipher; None: it speaks plain HTTP.
    """

    at: float
    seconds: float
    head: RequestHead | None
    request_id: bytes
    listener: str
    scheme: bytes
    client: str
    peer: str
    status: int
    error: ForwardError | None
    route: str
    service: str
    tenant: str | None
    subject: str | None
    revision: int | None
    attempts: tuple[Attempt, ...]
    received: int
    sent: int
    trace_id: bytes | None = None
    tls: tuple[bytes | None, str | None, str | None] | None = None


ended_of: Final[Callable[[tuple[Any, ...]], Ended]] = partial(tuple.__new__, Ended)
"""Makes one of all its values, in their order: in a third of the time that its name takes."""

attempt_of: Final[Callable[[tuple[Any, ...]], Attempt]] = partial(tuple.__new__, Attempt)
"""The same of an attempt."""
