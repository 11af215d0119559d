"""The lean reactor, in a process of its own: there is one reactor to a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PREAMBLE = """
import os, socket, time
from fengling_gateway.dataplane.lean_epoll import install
reactor = install()
from twisted.internet import defer, protocol, task, threads
from twisted.internet import reactor as installed
assert installed is reactor
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher
observer = EventLoggingObserver()
globalLogPublisher.addObserver(observer)
"""


def run(script: str) -> str:
    """What a script that uses the reactor prints."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_timers_threads_and_processes_work() -> None:
    """It is Twisted's reactor in every other respect."""
    script = """
from twisted.internet.utils import getProcessOutput
@defer.inlineCallbacks
def main(reactor):
    yield task.deferLater(reactor, 0.01, lambda: None)
    number = yield threads.deferToThread(lambda: 42)
    said = yield getProcessOutput("/bin/echo", [b"hello"])
    print(number, said.decode().strip())
task.react(main, _reactor=reactor)
"""
    assert run(script) == "42 hello"


def test_clock_is_monotonic() -> None:
    """Setting the system's time does not move timers."""
    assert run("print(abs(reactor.seconds() - time.monotonic()) < 1)") == "True"


def test_fault_of_one_connection_is_not_the_others() -> None:
    """An exception closes its own connection, is logged, and nothing else happens."""
    script = """
class Server(protocol.Protocol):
    def dataReceived(self, data):
        if data == b"fail":
            raise RuntimeError("asked for")
        self.transport.write(data)
    def connectionLost(self, reason):
        lost.append(reason.type.__name__)
lost = []
factory = protocol.ServerFactory.forProtocol(Server)
port = reactor.listenTCP(0, factory, interface="127.0.0.1")
def ask(words):
    answers = []
    good = socket.create_connection(("127.0.0.1", port.getHost().port))
    bad = socket.create_connection(("127.0.0.1", port.getHost().port))
    bad.sendall(b"fail")
    answers.append(bad.recv(10))
    good.sendall(b"echo")
    answers.append(good.recv(10))
    good.close()
    return answers
@defer.inlineCallbacks
def main(reactor):
    answers = yield threads.deferToThread(ask, None)
    while len(lost) < 2:
        yield task.deferLater(reactor, 0.01, lambda: None)
    failures = [event for event in observer if "log_failure" in event]
    print(answers, sorted(lost), len(failures))
task.react(main, _reactor=reactor)
"""
    assert run(script) == "[b'', b'echo'] ['ConnectionDone', 'RuntimeError'] 1"


@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_ends_of_connections_are_told_apart(how: str) -> None:
    """A clean end, a reset and a half-close arrive as what they are."""
    script = f"""
from twisted.internet.interfaces import IHalfCloseableProtocol
from zope.interface import implementer
import struct
HOW = {how!r}
told = []
@implementer(IHalfCloseableProtocol)
class Server(protocol.Protocol):
    def readConnectionLost(self):
        told.append("half")
        self.transport.write(b"bye")
        self.transport.loseConnection()
    def writeConnectionLost(self): pass
    def connectionLost(self, reason):
        told.append(reason.type.__name__)
port = reactor.listenTCP(0, protocol.ServerFactory.forProtocol(Server), interface="127.0.0.1")
def client():
    with socket.create_connection(("127.0.0.1", port.getHost().port)) as end:
        end.sendall(b"x")
        if HOW == "reset":
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif HOW == "half":
            end.shutdown(socket.SHUT_WR)
            assert end.recv(10) == b"bye"
@defer.inlineCallbacks
def main(reactor):
    yield threads.deferToThread(client)
    while not told or told[-1] == "half":
        yield task.deferLater(reactor, 0.01, lambda: None)
    print(told)
task.react(main, _reactor=reactor)
"""
    expected = {
        "close": "['half', 'ConnectionDone']",
        "reset": "['ConnectionLost']",
        "half": "['half', 'ConnectionDone']",
    }
    assert run(script) == expected[how]
