"""What all connections of one worker share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from random import Random
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IReactorTime

from fengling_gateway.auth.issuer import Issuer
from fengling_gateway.balancing.overrides import Overrides
from fengling_gateway.dataplane.availability import Availability
from fengling_gateway.dataplane.counters import Counters
from fengling_gateway.dataplane.identities import Identities
from fengling_gateway.dataplane.passive import PassiveHealth
from fengling_gateway.dataplane.settings import DataPlaneSettings
from fengling_gateway.dataplane.sweeper import Sweeper
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.forwarded import client_address
from fengling_gateway.http.headers import Pair, request_roles
from fengling_gateway.limiting.table import LimitTable
from fengling_gateway.records.ended import Ended
from fengling_gateway.routing.snapshot import Snapshot

if TYPE_CHECKING:
    from fengling_gateway.dataplane.tunnel import Tunnel

NO_BOUND: Final = 1 << 30

MAX_CHAINS: Final = 4096
"""X-Forwarded-For headers of which it is known who the client is."""

TUNNELS_PER_SWEEP: Final = 1000
"""How many are looked at in a turn after a configuration has changed."""


class Revision:
    """
    What the exchanges of one revision have in common, beside its routes and services.

    Attributes:
        number: of the revision; None before the first.
        tenant_header: the header that tells an instance the tenant.
        extra_pairs: headers that every answer gets (a debug setting).
    """

    __slots__ = ("extra_pairs", "number", "tenant_header")

    def __init__(
        self, number: int | None, names: Mapping[str, str], extra_pairs: list[Pair]
    ) -> None:
        self.number = number
        self.tenant_header = names["tenant"].encode("latin-1")
        self.extra_pairs = extra_pairs


class PlaneState:
    """
    The mutable heart of a data plane: what it serves by, its clock and its counters.

    Attributes:
        availability: how many instances services have, and how many get requests.
        snapshot, revision: what the next exchange is served by; replaced whole.
        limit_table: what has been counted of rates and requests at a time; its time
            is that of `seconds`.
        limits: of an answer's head; a listener has those of its requests.
        roles: of request headers, by the snapshot's identity headers.
        identities: what tokens and API keys are verified with.
        trust: changes identity whenever a peer's trust must be judged anew.
        date: a Date header, as of the last sweep.
        wall: seconds since the Unix epoch, as of the last sweep.
        seconds: the reactor's clock, read at the beginning and end of an exchange.
        debug_id_in: returns the id in the value of a good debug header, else None; set from outside.
        counts_requests: whether exchanges are counted by route and service.
        tell_ended: is told of exchanges that have ended: of those that have failed or were
            answered with 500 or more, and those that took `tells_slower_than` seconds or
            longer; see `Recipients`, which sets both. None: nobody wants to know.
        passive: what requests show of instances, and who is ejected for it.
        pseudonym: what this gateway calls itself in Via headers.
        via, via_1_0: the Via header of a request that has none, and of one of HTTP/1.0.
        tunnels: exchanges that have become one, in this order.
        is_draining: whether answers end their connections.
        is_shedding: whether they do, and nothing is forwarded, for want of memory.
        max_upstream: connections to instances that there are descriptors for; beyond
            that, one is opened only where another that is idle is closed.
        dial: opens a connection to an instance, for an `UpstreamConnection`, and
            returns its connector; None where it has failed, of which it tells later.
    """

    __slots__ = (
        "_chains",
        "_identity",
        "_look",
        "_next_request",
        "_request_prefix",
        "_unchecked",
        "_wall_clock",
        "availability",
        "counters",
        "counts_requests",
        "date",
        "debug_id_in",
        "dial",
        "identities",
        "is_draining",
        "is_shedding",
        "limit_table",
        "limits",
        "max_upstream",
        "passive",
        "pools",
        "pseudonym",
        "revision",
        "rng",
        "roles",
        "seconds",
        "settings",
        "snapshot",
        "sweeper",
        "tell_ended",
        "tells_slower_than",
        "tracing",
        "trust",
        "tunnels",
        "via",
        "via_1_0",
        "wall",
        "worker_name",
    )

    def __init__(
        self,
        *,
        clock: IReactorTime,
        settings: DataPlaneSettings,
        worker_name: str,
        rng: Random,
        wall_clock: Callable[[], float],
        dial: Callable[[Any], Any],
        look: Callable[[float], None] = lambda _: None,
    ) -> None:
        """
        Args:
            look: called after each sweep, with the sweeper's time.
        """
        self.settings = settings
        self.worker_name = worker_name
        self.rng = rng
        self.dial = dial
        self.counters = Counters(settings.max_metric_pairs)
        self.availability = Availability(self.counters.max_services)
        self.counts_requests = settings.count_requests
        self.limit_table = LimitTable(workers=settings.workers, max_keys=settings.max_limit_keys)
        self.limits = settings.head_limits()
        self.pseudonym = settings.via.encode()
        self.via: Pair = (b"Via", b"1.1 " + self.pseudonym)
        self.via_1_0: Pair = (b"Via", b"1.0 " + self.pseudonym)
        self.tunnels: dict[Tunnel, None] = {}
        self._unchecked: list[Tunnel] = []
        self.seconds = clock.seconds
        self.sweeper = Sweeper(clock=clock, swept=self._swept)
        self.is_draining = False
        self.is_shedding = False
        self.max_upstream = NO_BOUND
        self.debug_id_in: Callable[[bytes], str | None] = lambda _: None
        self.tell_ended: Callable[[Ended], None] | None = None
        self.tells_slower_than = float("inf")
        self.tracing: Any = None
        self._look = look
        self.passive = PassiveHealth(self)
        self.pools: set[Any] = set()
        self._wall_clock = wall_clock
        self._request_prefix = b"%08x%08x-" % (rng.getrandbits(32), rng.getrandbits(32))
        self._next_request = 0
        self.wall = 0.0
        self.date: Pair = (b"Date", b"")
        self.roles: Mapping[bytes, int] = request_roles()
        self.trust: tuple[Any, ...] = ()
        self._identity: Any = None
        self._chains: dict[tuple[bytes, str], str] = {}
        self.snapshot = Snapshot.empty()
        self.identities = Identities(self.snapshot)
        self.revision = Revision(None, self.snapshot.live.identity_headers, [])
        self._read_wall_clock()

    def apply(self, snapshot: Snapshot) -> None:
        """Serve by `snapshot` from the next exchange on."""
        live = snapshot.live
        if live is not self.snapshot.live:
            self.trust = tuple(live.trusted_proxies)
            self._chains = {}
        self.snapshot = snapshot
        self.passive.applied(snapshot)
        self._count_overrides(snapshot.overrides)
        self.identities.apply(snapshot)
        self._name_roles()
        extra_pairs: list[Pair] = []
        if self.settings.worker_header and snapshot.position is not None:
            extra_pairs = [
                (b"X-Gateway-Worker", self.worker_name.encode()),
                (b"X-Gateway-Revision", b"%d" % snapshot.position.revision),
            ]
        number = None if snapshot.position is None else snapshot.position.revision
        self.revision = Revision(number, live.identity_headers, extra_pairs)
        self._unchecked = list(self.tunnels)

    def _count_overrides(self, overrides: Overrides) -> None:
        counters = self.counters
        counters.routes_off_now = len(overrides.routes)
        counters.instances_off_now = len(overrides.instances)
        counters.health_stale_now = overrides.health_is_stale

    def offer_issuers(self, issuers: Mapping[str, Issuer]) -> None:
        """Verify tokens of these, by what they say in ``iss``, from the next exchange on."""
        self.identities.issuers = issuers
        self._name_roles()

    def trace_with(self, tracing: Any) -> None:
        """Record requests, or none; set once, before there are any."""
        self.tracing = tracing
        names = self.snapshot.live.identity_headers
        self.roles = request_roles(names.values(), names["tenant"], trace_trust=self._trace_trust())

    def _trace_trust(self) -> str | None:
        trust: str | None = None if self.tracing is None else self.tracing.trust
        return trust

    def _name_roles(self) -> None:
        """Let no client set what only verified credentials may."""
        names = self.snapshot.live.identity_headers
        extra = self.identities.header_names
        if self._identity != (names, extra):
            self._identity = (names, extra)
            self.roles = request_roles(
                (*names.values(), *sorted(extra)), names["tenant"], trace_trust=self._trace_trust()
            )

    def client_of(self, chain: bytes, peer: str) -> str:
        """Return the address of the client that a trusted peer speaks for."""
        client = self._chains.get((chain, peer))
        if client is None:
            if len(self._chains) >= MAX_CHAINS:
                self._chains = {}
            client = client_address(chain, peer, self.is_trusted)
            self._chains[chain, peer] = client
        return client

    def is_trusted(self, peer: str) -> bool:
        """Whether a peer's word on forwarded headers counts: it is one of our own proxies."""
        if not self.trust:
            return False
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.trust)

    def new_request_id(self) -> bytes:
        """Return an id no other request has: random per worker, counted within it."""
        self._next_request += 1
        return self._request_prefix + b"%x" % self._next_request

    def _swept(self, now: float) -> None:
        self._read_wall_clock()
        for pool in list(self.pools):
            pool.sweep(now)
        self.limit_table.sweep(self.seconds())
        self.availability.look(self.snapshot, self.counters.measured())
        if self.passive.due <= now:
            self.passive.reactivate(now)
        if self._unchecked:
            self._check_tunnels()
        if self.identities.is_asked_again:
            self.identities.ask_again()
        self._look(now)

    def spare_upstream(self) -> None:
        """Close a connection that an instance is not asked over, if there is one."""
        for pool in self.pools:
            if pool.close_oldest():
                return

    def _check_tunnels(self) -> None:
        """End tunnels that the snapshot no longer wants, some at a time."""
        some, self._unchecked = (
            self._unchecked[:TUNNELS_PER_SWEEP],
            self._unchecked[TUNNELS_PER_SWEEP:],
        )
        for tunnel in some:
            if tunnel in self.tunnels and not tunnel.is_wanted(self.snapshot):
                tunnel.go_away(ForwardError.TUNNEL_WITHDRAWN)

    def wall_now(self) -> float:
        """Return the seconds since the Unix epoch, as of now."""
        return self._wall_clock()

    def _read_wall_clock(self) -> None:
        before = int(self.wall)
        self.wall = self._wall_clock()
        if int(self.wall) != before:
            # The English names are what C's locale gives; Python sets no other by itself.
            date = strftime("%a, %d %b %Y %H:%M:%S GMT", gmtime(self.wall))
            self.date = (b"Date", date.encode())
