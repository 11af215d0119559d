"""A worker process: ``python -m fengling_gateway.tap.worker NAME REACTOR FORMAT LEVEL``.

Started by the supervisor only. What it has to know beyond these words it is
told over the control channel, so that nothing secret stands in the process
list or the environment. Imports are kept few: a worker is to serve within a
fraction of a second, and there are many.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fengling_gateway.model.delta import Position

ORPHAN_GRACE_SECONDS: Final = 60.0
CONTROL_DESCRIPTOR: Final = 3
IGNORED_SIGNALS: Final = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2),
)


class Parts:
    """
    What an agent drives, in this process.

    Args:
        sockets: the listening sockets where they are in this process already,
            with ``workers = 1``; None where they are inherited descriptors.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        rng: random.Random,
        sockets: Callable[[], dict[str, list[socket.socket]]] | None = None,
    ) -> None:
        from fengling_gateway.routing.snapshot import CompileContext

        self._reactor = reactor
        self._rng = rng
        self._sockets = sockets
        self._context = CompileContext(rng)

    def applier(self) -> Any:
        from fengling_gateway.control.heap import Heap
        from fengling_gateway.worker.applier import Applier

        return Applier(context=self._context, heap=Heap())

    def data_plane(self, configuration: dict[str, Any]) -> Any:
        from fengling_gateway.dataplane.plane import DataPlane
        from fengling_gateway.dataplane.settings import DataPlaneSettings

        settings = DataPlaneSettings.from_json(configuration["data_plane"])
        # The supervisor says its settings before the first delta.
        self._context.networks = settings.upstream_networks()
        return DataPlane(
            reactor=self._reactor,
            settings=settings,
            worker_name=configuration["worker"],
            rng=self._rng,
        )

    def resolver(self, secrets: dict[str, Any]) -> Any:
        from fengling_gateway.auth.sealing import parse_sealing_keys
        from fengling_gateway.auth.secrets import SecretResolver
        from fengling_gateway.worker.secret_file import read_secret_file

        keys = secrets.get("keys")
        return SecretResolver(
            parse_sealing_keys(keys) if keys else (),
            read_file=read_secret_file,
            environment=os.environ,
        )

    def sockets(self, configuration: dict[str, Any]) -> dict[str, list[socket.socket]]:
        if self._sockets is not None:
            return self._sockets()
        return {
            name: [socket.socket(fileno=descriptor) for descriptor in descriptors]
            for name, descriptors in configuration["listeners"].items()
        }

    def subscriber(self, configuration: dict[str, Any], heard: Callable[[Position], None]) -> Any:
        redis = configuration["redis"]
        if redis is None:
            return None
        from fengling_gateway.syncbus.redis import AnnouncementSubscriber
        from fengling_gateway.syncbus.signing import Keyring

        return AnnouncementSubscriber(
            reactor=self._reactor,
            url=redis["url"],
            cluster=configuration["cluster"],
            keyring=Keyring(redis["keys"], cluster=configuration["cluster"]),
            on_announcement=heard,
            rng=self._rng,
        )

    def debug_values(self, configuration: dict[str, Any]) -> Any:
        redis = configuration["redis"]
        if redis is None:
            return None
        from fengling_gateway.syncbus.debug import DebugValues
        from fengling_gateway.syncbus.signing import Keyring

        keyring = Keyring(redis["keys"], cluster=configuration["cluster"])
        return DebugValues(keyring=keyring, wall=time.time)

    def limit_sync(self, configuration: dict[str, Any], plane: Any) -> Any:
        redis = configuration["redis"]
        if redis is None:
            return None
        from fengling_gateway.syncbus.limits import LimitSync, SyncTimes

        return LimitSync(
            reactor=self._reactor,
            url=redis["url"],
            cluster=configuration["cluster"],
            keys=redis["keys"],
            ledger=plane.limit_table.ledger,
            times=SyncTimes.from_json(redis["limits"]),
            rng=self._rng,
        )


class Process:
    """This process around its agent: signals, the handoff socket, the end."""

    def __init__(self, *, reactor: Any, name: str) -> None:
        from fengling_gateway.control.process import ProcessCosts
        from fengling_gateway.worker.agent import WorkerAgent

        costs = ProcessCosts()
        costs.start()
        self._reactor = reactor
        self._name = name
        self._agent = WorkerAgent(
            clock=reactor,
            parts=Parts(reactor=reactor, rng=random.Random()),
            done=self._exit,
            orphaned=self._orphaned,
            configured=self._configured,
            costs=costs,
        )

    def run(self) -> None:
        from fengling_gateway.control.socket_channel import OneChannel, SocketChannel

        channel = SocketChannel(clock=self._reactor, user=self._agent)
        self._agent.connect(channel)
        self._reactor.adoptStreamConnection(CONTROL_DESCRIPTOR, socket.AF_UNIX, OneChannel(channel))
        self._reactor.run(installSignalHandlers=False)

    def _configured(self, configuration: dict[str, Any]) -> None:
        from fengling_gateway.worker.handoff import OfferFactory, listen_for_successor

        offer = OfferFactory(
            worker=self._name, sockets=lambda: self._agent.sockets, drain=self._drain
        )
        listen_for_successor(self._reactor, Path(configuration["runtime_dir"]), offer)

    def _orphaned(self, agent: Any) -> None:
        grace = agent.configuration.get("orphan_grace", ORPHAN_GRACE_SECONDS)
        from twisted.logger import Logger

        Logger().warn(
            "the supervisor is gone; serving on for {grace} s unless another one takes over",
            grace=grace,
            log_id="worker.orphaned",
        )
        self._reactor.callLater(grace, self._drain)

    def _drain(self) -> None:
        self._agent.drain(self._agent.configuration.get("drain_deadline", 30.0))

    def _exit(self) -> None:
        if self._reactor.running:
            self._reactor.stop()


def _ignore_signals() -> None:
    """A terminal or a service manager signals the whole group; the supervisor decides."""
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def main(name: str, reactor_name: str, form: str, level: str) -> None:
    _ignore_signals()
    # What importing makes is never garbage: looking for some takes a tenth of the time.
    gc.disable()
    if reactor_name == "lean":
        from fengling_gateway.dataplane import lean_epoll

        lean_epoll.install()
    from twisted.internet import reactor  # noqa: TID251

    from fengling_gateway.observability.log import start_logging
    from fengling_gateway.tap.reactors import keep_monotonic

    keep_monotonic(reactor)
    start_logging(process=name, form=form, level=level)
    process = Process(reactor=reactor, name=name)
    import fengling_gateway.dataplane.plane  # noqa: F401 - now rather than when it is needed

    gc.freeze()
    gc.enable()
    process.run()


if __name__ == "__main__":
    main(*sys.argv[1:5])
