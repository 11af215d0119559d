"""The programs that the gateway is compared with, each configured fairly.

Fairly means: one worker or thread, no access log, keep-alive to the upstream
instances with the connections shared between clients, the usual forwarding
headers, and otherwise the limits and defaults that the program ships with.
"""

from __future__ import annotations

from typing import Final

from benchmarks.peers.baseline import BASELINE
from benchmarks.peers.caddy import CADDY
from benchmarks.peers.envoy import ENVOY
from benchmarks.peers.fengling import FENGLING, PLAIN
from benchmarks.peers.haproxy import HAPROXY
from benchmarks.peers.nginx import NGINX
from benchmarks.peers.peer import Peer
from benchmarks.peers.traefik import TRAEFIK

PEERS: Final[tuple[Peer, ...]] = (
    FENGLING,
    NGINX,
    HAPROXY,
    ENVOY,
    TRAEFIK,
    CADDY,
    BASELINE,
)

EXTRAS: Final[tuple[Peer, ...]] = (PLAIN,)
"""Measured only when they are named."""

__all__ = ["EXTRAS", "PEERS", "Peer"]
