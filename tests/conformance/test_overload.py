"""Too many clients, or too slow ones, cost the others nothing."""

from __future__ import annotations

import threading

import pytest

from tests.conformance.client import Client, request
from tests.conformance.instance import ok
from tests.conformance.scene import Scene
from tests.support.wait import wait_until

CAP = 30
SETTINGS = {"max_connections": CAP, "header_deadline": 1.5}


def connected(scene: Scene, number: int) -> list[Client]:
    """So many connections, of which the gateway knows."""
    wait_until(lambda: scene.counter("connections_now") == 0)
    clients = [scene.client() for _ in range(number)]
    wait_until(lambda: scene.counter("connections_now") == number)
    return clients


@pytest.mark.parametrize("already", [CAP - 2, CAP - 1, CAP])
def test_clients_beyond_the_cap_are_told(scene: Scene, already: int) -> None:
    """Up to the cap each connection is served; one more is 503 and closed, without reading from it."""
    clients = connected(scene, already)
    with scene.client() as client:
        if already < CAP:
            assert client.send(request()).answer().status == 200
        else:
            answer = client.answer()
            assert (answer.status, answer.code) == (503, "connection_limit")
            assert answer.is_last
            assert answer.one("Retry-After") == b"1"
    for one in clients:
        with one:
            assert one.send(request()).answer().status == 200


def test_place_of_a_client_that_leaves_is_free(scene: Scene) -> None:
    """After a flood everything is as before."""
    clients = connected(scene, CAP)
    for _ in range(50):
        with scene.client() as client:
            assert client.answer().status == 503
    for client in clients:
        client.reset()
    wait_until(lambda: scene.counter("connections_now") == 0)
    for client in connected(scene, CAP):
        with client:
            assert client.send(request()).answer().status == 200


def test_slow_heads_cost_the_others_nothing(scene: Scene) -> None:
    """Clients that send a byte now and then are all told 408 while others are served."""
    slow = connected(scene, 20)
    are_over = threading.Event()

    def trickle() -> None:
        for byte in request(b"X: " + b"y" * 10_000):
            for client in slow:
                client.send(bytes((byte,)))
            if are_over.wait(0.05):
                return

    sender = threading.Thread(target=trickle, daemon=True)
    sender.start()
    for _ in range(100):
        assert scene.ask(request()).status == 200
    for client in slow:
        assert client.answer().code == "header_timeout"
    are_over.set()
    sender.join(10)
    for client in slow:
        client.close()


def test_slow_head_on_a_used_connection_has_no_more_time(scene: Scene) -> None:
    """However long a client may think between two requests, a head that it has begun is due."""
    with scene.client() as client:
        assert client.send(request()).answer().status == 200
        assert client.send(request()[:-2]).answer().code == "header_timeout"
        assert client.ends()


def test_slow_instance_costs_the_others_nothing(scene: Scene) -> None:
    """Clients that wait for their answers are no reason for others to wait."""
    goes_on = threading.Event()
    for _ in range(20):
        scene.instance.answers(goes_on, ok(b"late"))
    waiting = [scene.client().send(request(target=b"/late")) for _ in range(20)]
    wait_until(lambda: len(scene.instance.requests) == 20)
    for _ in range(50):
        assert scene.ask(request()).body == b"GET /"
    goes_on.set()
    for client in waiting:
        with client:
            assert client.answer().body == b"late"
