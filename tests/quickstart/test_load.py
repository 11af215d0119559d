"""The load and its count."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from fengling_gateway.quickstart.load import Answer, Load, Tally, median_ms, shares
from tests.support.wait import wait_until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Demo-Service: hello-v1\r\nX-Gateway-Worker: w0\r\n\r\nok"
BROKEN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Peer:
    """A server that answers each request by the next of what it was given."""

    def __init__(self, answer: Callable[[int, int], bytes | None]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self.requests = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        number = 0
        with connection:
            while connection.recv(65536):
                self.requests += 1
                answer = self._answer(self.requests, number)
                number += 1
                if answer is None:
                    return
                connection.sendall(answer)


@pytest.fixture
def start() -> Iterator[Callable[[Callable[[int, int], bytes | None]], tuple[Peer, Load]]]:
    started: list[tuple[Peer, Load]] = []

    def begin(answer: Callable[[int, int], bytes | None]) -> tuple[Peer, Load]:
        peer = Peer(answer)
        load = Load("127.0.0.1", peer.port, per_second=400)
        load.start()
        started.append((peer, load))
        return peer, load

    yield begin
    for peer, load in started:
        load.stop()
        peer.close()


class LoadTests:
    """Two clients and a server."""

    def test_good_answers_are_counted_by_service(
        self, start: Callable[..., tuple[Peer, Load]]
    ) -> None:
        """One client keeps its connection, the other opens one per request."""
        peer, load = start(lambda *_: OK)
        wait_until(lambda: load.tally.requests >= 50)
        load.stop()
        assert load.tally.failed == 0
        assert shares(load.tally.recent(), "hello-") == {"hello-v1": 1.0}
        assert (median_ms(load.tally.recent()) or 0) > 0
        assert 10 < peer.connections < peer.requests

    def test_error_status_is_a_failure_with_its_reason(
        self, start: Callable[..., tuple[Peer, Load]]
    ) -> None:
        """And the next request is sent all the same."""
        _, load = start(lambda total, _: BROKEN if total == 5 else OK)
        wait_until(lambda: load.tally.requests >= 20)
        assert load.tally.failed == 1
        assert "503 Service Unavailable" in load.tally.last_failure

    def test_idle_connection_closed_by_the_server_is_no_failure(
        self, start: Callable[..., tuple[Peer, Load]]
    ) -> None:
        """A request on a reused connection that was closed is asked once more on a new one."""
        _, load = start(lambda _, number: OK if number < 3 else None)
        wait_until(lambda: load.tally.requests >= 30)
        assert load.tally.failed == 0

    def test_request_cut_on_a_new_connection_is_asked_again_and_counted(
        self, start: Callable[..., tuple[Peer, Load]]
    ) -> None:
        """A worker that is killed with a GET in its hands."""
        _, load = start(lambda total, _: None if total == 1 else OK)
        wait_until(lambda: load.tally.requests >= 30)
        assert (load.tally.failed, load.tally.asked_again) == (0, 1)

    def test_connection_refused_is_a_failure(self, start: Callable[..., tuple[Peer, Load]]) -> None:
        """Nobody listens."""
        peer, load = start(lambda *_: None)
        peer.close()
        wait_until(lambda: load.tally.failed >= 2)


class TallyTests:
    """The count."""

    def test_recent_answers_are_those_of_three_seconds(self) -> None:
        """Older ones are forgotten, not uncounted."""
        tally = Tally()
        for at in range(10):
            tally.add(Answer(float(at), 0.001, "hello-v1", "w0"))
        assert [answer.at for answer in tally.recent()] == [6.0, 7.0, 8.0, 9.0]
        assert tally.requests == 10

    def test_no_answers_have_no_median(self) -> None:
        """And no shares."""
        assert median_ms([]) is None
        assert shares([], "hello-") == {}
