"""Sockets change hands, whatever state the former workers are in."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.supervisor.sockets import ListenerAddress, ListenerSockets
from fengling_gateway.worker.handoff import (
    MAX_DESCRIPTORS,
    Legacy,
    OfferFactory,
    collect_legacies,
    offer_path,
)


class FormerWorker:
    """Offers its sockets to one supervisor, as a worker of a former one does."""

    def __init__(self, directory: Path, pid: int, sockets: dict[str, list[Any]]) -> None:
        self.drained = 0
        self.factory = OfferFactory(worker=f"w{pid}", sockets=lambda: sockets, drain=self._drain)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(offer_path(directory, pid)))
        self._listening.listen()
        self._thread = threading.Thread(target=self.answer)

    def _drain(self) -> None:
        self.drained += 1

    def answer_meanwhile(self) -> None:
        self._thread.start()

    def answer(self) -> None:
        """Take one connection and what is said over it until its end."""
        connection, _ = self._listening.accept()
        with connection:
            offer: Any = self.factory.buildProtocol(None)
            offer.makeConnection(SimpleNamespace(getHandle=lambda: connection))
            while heard := connection.recv(100):
                offer.dataReceived(heard)

    def close(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()
        self._listening.close()


class HandoffTests(SynchronousTestCase):
    """`collect_legacies` and what answers it"""

    def setUp(self) -> None:
        # (A short path: trial's own may not fit into the address of a socket.)
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)

    def former_worker(self, pid: int, sockets: dict[str, list[Any]]) -> FormerWorker:
        worker = FormerWorker(self.directory, pid, sockets)
        self.addCleanup(worker.close)
        return worker

    def sockets(self, count: int) -> list[socket.socket]:
        opened = ListenerSockets([ListenerAddress("http", "127.0.0.1", 0)])
        opened.open(count)
        self.addCleanup(opened.close)
        return opened.by_listener["http"]

    def collect(self) -> list[Legacy]:
        found = list(collect_legacies(self.directory))
        for legacy in found:
            self.addCleanup(legacy.close_sockets_except, {})
        return found

    def test_sockets_come_in_order_and_the_worker_is_told_to_drain(self) -> None:
        """They are the same sockets, with the connections queued on them."""
        sockets = {"http": self.sockets(2), "other": self.sockets(2)}
        worker = self.former_worker(7, sockets)
        worker.answer_meanwhile()
        (legacy,) = self.collect()
        names = {name: [one.getsockname() for one in ours] for name, ours in sockets.items()}
        self.assertEqual(
            {name: [one.getsockname() for one in ours] for name, ours in legacy.sockets.items()},
            names,
        )
        legacy.drain()
        worker.close()
        self.assertEqual(worker.drained, 1)

    def test_more_sockets_than_a_message_carries_come_in_several(self) -> None:
        """128 slots of two listeners."""
        one = self.sockets(1)[0]
        worker = self.former_worker(7, {"http": [one] * MAX_DESCRIPTORS, "other": [one] * 3})
        worker.answer_meanwhile()
        (legacy,) = self.collect()
        counts = [len(by_slot) for by_slot in legacy.sockets.values()]
        self.assertEqual(counts, [MAX_DESCRIPTORS, 3])
        legacy.drain()

    def test_worker_that_hangs_gives_no_sockets_and_drains_when_it_wakes(self) -> None:
        """It is not forgotten: it would serve an old configuration beside the new workers."""
        worker = self.former_worker(7, {"http": self.sockets(1)})
        (legacy,) = self.collect()
        self.assertEqual(legacy.sockets, {})
        legacy.drain()
        worker.answer()
        self.assertEqual(worker.drained, 1)

    def test_offer_that_makes_no_sense_gives_no_sockets(self) -> None:
        """A worker of another version, or none at all, does not keep a gateway from starting."""
        for pid, offer in enumerate((b"", b"[]", b'{"listeners": [{"name": "http", "slots": 2}]}')):
            listening = socket.socket(socket.AF_UNIX)
            self.addCleanup(listening.close)
            listening.bind(str(offer_path(self.directory, pid)))
            listening.listen()
            self.answer_with(listening, offer)
        found = self.collect()
        self.assertEqual([legacy.sockets for legacy in found], [{}, {}, {}])
        for legacy in found:
            legacy.drain()

    def answer_with(self, listening: socket.socket, said: bytes) -> None:
        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        self.addCleanup(thread.join)

    def test_what_nobody_listens_at_is_removed(self) -> None:
        """A killed worker leaves its socket's name behind."""
        self.former_worker(7, {}).close()
        self.assertEqual(self.collect(), [])
        self.assertEqual(os.listdir(self.directory), [])
