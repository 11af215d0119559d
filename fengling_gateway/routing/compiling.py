"""What compiling shares from one snapshot to the next, and how a build says that it is void."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

from fengling_gateway.balancing.overrides import NO_OVERRIDES
from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.model.entity import KINDS, Key

T = TypeVar("T")


class HashMismatch(Exception):  # noqa: N818 - it is an outcome to act on, not a fault
    """A delta does not start from this configuration, or has not led where it said."""


class CompileContext:
    """
    What outlives snapshots in a worker.

    Attributes:
        rng: for starting places of turns.
        compiled: objects compiled so far by kind.
        failed: entities that were valid to the supervisor and do not compile
            here, with the reason; they are left out. It takes a fault of ours,
            or supervisor and worker of different versions.
        overrides: what holds beside the configuration; see `overriding.override`.
        networks: where this host may connect to; set before the first build.
        refused: instances at addresses where it may not, with the reason, by id.
    """

    __slots__ = ("compiled", "failed", "networks", "overrides", "refused", "rng")

    def __init__(self, rng: Random, networks: UpstreamNetworks | None = None) -> None:
        """
        Args:
            networks: None: what holds where the host's settings say nothing.
        """
        self.rng = rng
        self.networks = networks or UpstreamNetworks()
        self.overrides = NO_OVERRIDES
        self.refused: dict[str, str] = {}
        self.compiled: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.failed: dict[Key, str] = {}

    def compile(self, key: Key, compile_it: Callable[[], T]) -> T | None:
        """Compile and count one object; None where it cannot be compiled."""
        self.compiled[key.kind] += 1
        try:
            result = compile_it()
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            self.failed[key] = f"{type(error).__name__}: {error}"
            return None
        if self.failed:
            self.failed.pop(key, None)
        return result
