"""A collector of traces that takes whatever it is sent, and forgets it."""

from __future__ import annotations

import argparse
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.harness.children import Children, free_port


class _Taker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nobody asks."""


def start_collector(children: Children, *, cpus: frozenset[int] | None) -> str:
    """
    Start one, and return its host and port.

    Raises:
        StartError: it does not listen.
    """
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.harness.collector", str(port)]
    children.start("collector", command, cpus=cpus).wait_for_port(port)
    return f"127.0.0.1:{port}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), _Taker).serve_forever()
