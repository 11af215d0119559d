"""A line for each request, of a real data plane with a real file."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.records.line_source import DEFAULT_FIELDS
from tests.conformance.client import post, request
from tests.conformance.instance import CLOSE, RESET, RecordingInstance, chunked, head, ok
from tests.conformance.scene import staged
from tests.dataplane.processes import running_instance
from tests.dataplane.snapshots import answering_route, instance, route, service
from tests.support.wait import wait_until

LOG: dict[str, Any] = {
    "format": "json",
    "fields": list(DEFAULT_FIELDS),
    "statuses": [],
    "slower_than": 1e9,
    "sample": 1.0,
    "routes": [],
    "redact_query": ["token"],
    "redact_headers": [],
}
HELLO = answering_route("hello", "/hello", respond={"status": 200, "headers": {}, "body": "hi"})


def read(path: Path, number: int) -> list[dict[str, Any]]:
    """Wait for so many lines, and return them."""

    def lines() -> list[str]:
        found = path.read_text().splitlines()
        assert len(found) >= number, found
        return found

    found = wait_until(lines)
    assert len(found) == number, found
    return [json.loads(line) for line in found]


def test_lines_say_what_became_of_requests(tmp_path: Path) -> None:
    """Answers of instances, of the gateway itself, failures, and what was no request."""
    path = tmp_path / "access.log"
    dead = instance("dead", service_id="gone", address="http://127.0.0.1:9")
    others = (HELLO, route("gone", "/gone", service_id="gone"), service("gone"), dead)
    with staged(*others, access_log={**LOG, "path": str(path)}) as scene:
        scene.instance.answers(ok(b"12345"))
        asked = request(b"User-Agent: curl/8", b"X-Request-Id: 1", target=b"/a?token=x&b=c")
        assert scene.ask(asked).body == b"12345"
        scene.instance.answers(chunked(b"abc", b"def"))
        assert scene.ask(post(b"123", target=b"/b")).body == b"abcdef"
        assert scene.ask(request(target=b"/hello")).body == b"hi"
        assert scene.ask(request(method=b"HEAD", target=b"/hello"), method=b"HEAD").status == 200
        assert scene.ask(request(target=b"/gone")).code == "connect_failed"
        with scene.client() as client:
            assert client.send(b"nonsense\r\n\r\n").answer().status == 400
        lines = read(path, 6)
        histograms = scene.gateway.ask()["counters"]["services"].values()
        assert sum(one["sent"][-1] for one in histograms) == sum(one["sent"] for one in lines)
    first, second, hello, head_only, gone, nonsense = lines
    assert first["target"] == "/a?token=REDACTED&b=c"
    assert (first["method"], first["status"], first["sent"]) == ("GET", 200, 5)
    assert (first["attempts"], first["user_agent"]) == (1, "curl/8")
    assert 0 < first["first_byte_ms"] <= first["duration_ms"] < 10_000
    assert first["connect_ms"] is not None
    assert first["client"] == "127.0.0.1"
    assert (second["received"], second["sent"], second["error"]) == (3, 6, None)
    assert (hello["route"], hello["service"], hello["instance"]) == ("hello", None, None)
    assert (hello["attempts"], hello["sent"]) == (0, 2)
    assert (head_only["method"], head_only["sent"]) == ("HEAD", 0)
    assert (gone["status"], gone["error"], gone["instance"]) == (502, "connect_failed", "dead")
    assert gone["first_byte_ms"] is None
    assert (nonsense["status"], nonsense["method"], nonsense["route"]) == (400, None, None)
    assert nonsense["error"]
    assert len({one["request_id"] for one in lines}) == 6


def test_attempts_before_the_last_are_told(tmp_path: Path) -> None:
    """With what each has failed by."""
    path = tmp_path / "access.log"
    with (
        running_instance(RecordingInstance().serve) as address,
        staged(
            route("two", "/two", service_id="two", policies={"retry": {"attempts": 2}}),
            service("two", balancing="round_robin"),
            instance("dead", service_id="two", address="http://127.0.0.1:9"),
            instance("live", service_id="two", address=address),
            access_log={**LOG, "path": str(path)},
        ) as scene,
    ):
        for _ in range(2):
            assert scene.ask(request(target=b"/two")).status == 200
        retried = [one for one in read(path, 2) if one["attempts"] == 2]
    assert len(retried) == 1
    [one] = retried
    assert (one["instance"], one["status"], one["error"]) == ("live", 200, None)
    [tried] = one["tried"]
    assert (tried["instance"], tried["error"]) == ("dead", "connect_failed")
    assert tried["ms"] >= 0


def test_answers_that_are_cut_and_clients_that_leave(tmp_path: Path) -> None:
    """Told with the status that the client had, or would have had, and how much it got."""
    path = tmp_path / "access.log"
    with staged(access_log={**LOG, "path": str(path)}) as scene:
        scene.instance.answers(head(b"Content-Length: 10") + b"12345", CLOSE)
        with scene.client() as client:
            client.send(request())
            client.head()
            assert client.data(5) == b"12345"
            assert client.ends()
        [cut] = read(path, 1)
        goes_on = threading.Event()
        scene.instance.answers(goes_on, RESET)
        client = scene.client().send(request(target=b"/left"))
        wait_until(lambda: len(scene.instance.requests) == 2)
        client.reset()
        _, left = read(path, 2)
        goes_on.set()
    assert (cut["status"], cut["sent"]) == (200, 5)
    assert cut["error"] is not None
    assert (left["status"], left["error"], left["target"]) == (499, "client_gone", "/left")


@pytest.mark.parametrize(
    ("different", "targets"),
    [
        ({"sample": 0.0}, ["/none"]),
        ({"sample": 0.0, "statuses": [[200, 299]]}, ["/hello", "/hello", "/none"]),
        ({"sample": 0.5}, ["/hello", "/none"]),
        ({"routes": ["hello"]}, ["/hello", "/hello"]),
    ],
)
def test_what_is_asked_for_has_lines(tmp_path: Path, different: Any, targets: Any) -> None:
    path = tmp_path / "access.log"
    with staged(HELLO, access_log={**LOG, **different, "path": str(path)}) as scene:
        for target in (b"/hello", b"/hello"):
            scene.ask(request(target=target))
        with scene.client() as client:
            scene.instance.answers(CLOSE)
            client.send(request(target=b"/none"))
            client.answer()
        wait_until(lambda: scene.counter("access_log_lines") == len(targets))
        assert [one["target"] for one in read(path, len(targets))] == targets


def test_log_that_can_not_be_written_stops_nothing(tmp_path: Path) -> None:
    """It is counted, said once, and written again when it can be."""
    path = tmp_path / "access.log"
    with staged(HELLO, access_log={**LOG, "path": str(path)}) as scene:

        def dropped() -> int:
            assert scene.ask(request(target=b"/hello")).status == 200
            return int(scene.counter("access_log_dropped"))

        path.mkdir()
        wait_until(lambda: dropped() > 3)
        path.rmdir()
        wait_until(lambda: scene.ask(request(target=b"/hello")) and path.is_file())
        wait_until(lambda: any("is written again" in line for line in scene.gateway.logged))
        failed = [line for line in scene.gateway.logged if "can't be written" in line]
        assert len(failed) == 1


def test_reader_that_does_not_read_stops_nothing(tmp_path: Path) -> None:
    """A pipe that is full: lines are dropped and counted, requests go on."""
    path = tmp_path / "access.fifo"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    long = b"/hello?" + b"x" * 6000
    with staged(HELLO, access_log={**LOG, "path": str(path)}) as scene:

        def dropped() -> int:
            with scene.client() as client:
                for _ in range(100):
                    assert client.send(request(target=long)).answer().status == 200
            return int(scene.counter("access_log_dropped"))

        wait_until(lambda: dropped() > 0, timeout=60)
        os.close(reading)
