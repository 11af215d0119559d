"""The programs of the quickstart."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

import pytest

from fengling_gateway.quickstart.place import Place
from fengling_gateway.quickstart.stack import Stack


class _Ready(BaseHTTPRequestHandler):
    """What another quickstart's gateway would answer."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    place = Place(tmp_path / "quickstart")
    place.take()
    made = Stack(place, workers=2)
    yield made
    made.stop()
    place.leave()


class StackTests:
    """`Stack`"""

    def test_ports_that_somebody_else_took_meanwhile_are_left_to_him(self, stack: Stack) -> None:
        """Two quickstarts that begin together each get a gateway of their own."""
        taken = stack.traffic_port, stack.management_port
        others = [ThreadingHTTPServer(("127.0.0.1", port), _Ready) for port in taken]
        threads = [Thread(target=other.serve_forever, daemon=True) for other in others]
        for thread in threads:
            thread.start()
        try:
            list(stack.start())
            assert not {stack.traffic_port, stack.management_port} & set(taken)
            with urlopen(f"{stack.gateway_url}/hello", timeout=10) as answer:
                assert answer.headers["X-Gateway-Worker"]
        finally:
            for other in others:
                other.shutdown()
                other.server_close()
