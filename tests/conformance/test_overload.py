"""Too many clients, or too slow ones, cost the others nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.bulk import running_bulk
from tests.conformance.client import Client, request
from tests.conformance.instance import RecordingInstance, ok
from tests.conformance.scene import Scene, staged
from tests.dataplane.processes import running_instance
from tests.dataplane.snapshots import Entity, answering_route, instance, route, service
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


def test_refusal_takes_no_time(scene: Scene) -> None:
    """At the cap a client is told within 50 ms of its coming."""
    clients = connected(scene, CAP)
    took = []
    for _ in range(20):
        began = time.monotonic()
        with scene.client() as client:
            assert client.send(request()).answer().code == "connection_limit"
        took.append(time.monotonic() - began)
    for one in clients:
        one.close()
    assert sorted(took)[10] <= 0.05, took


# Memory

MIB = 1 << 20
MEMORY = 250 * MIB
HEALTH = answering_route("health", "/health", respond={"status": 200, "headers": {}, "body": "ok"})


@pytest.fixture
def short() -> Iterator[Scene]:
    """A scene whose memory can run short."""
    with staged(HEALTH, max_memory=MEMORY, header_deadline=60.0) as scene:
        yield scene


def use(scene: Scene, share: float) -> None:
    """Have the gateway use so much of its memory."""
    scene.gateway.use(0)
    wait_until(lambda: scene.gateway.ask()["rss"] < 0.5 * MEMORY, timeout=20)
    scene.gateway.use(round(share * MEMORY) - scene.gateway.ask()["rss"])


def lines_of(scene: Scene, words: str) -> list[str]:
    """Lines of the log; the last ones may be on their way yet."""
    return [line for line in scene.gateway.logged if words in line]


def level(scene: Scene, expected: int) -> None:
    wait_until(lambda: scene.counter("overload_now") == expected, timeout=20)


def test_new_requests_are_refused_while_memory_is_short(short: Scene) -> None:
    """From 85 % of it on; what is under way goes on, and all is well again when there is memory."""
    goes_on = threading.Event()
    short.instance.answers(goes_on, ok(b"late"))
    with short.client() as under_way, short.client() as idle:
        under_way.send(request(target=b"/late"))
        wait_until(lambda: len(short.instance.requests) == 1)
        assert idle.send(request(target=b"/health")).answer().status == 200
        use(short, 0.9)
        level(short, 1)
        assert idle.ends()
        for _ in range(10):
            answer = short.ask(request())
            assert (answer.status, answer.code) == (503, "overloaded")
            assert answer.one("Retry-After") == b"1"
            assert answer.is_last
        assert short.ask(request(target=b"/health")).body == b"ok"
        goes_on.set()
        answer = under_way.answer()
        assert (answer.status, answer.body) == (200, b"late")
        assert answer.is_last
    short.gateway.use(0)
    level(short, 0)
    short.serves_others()
    wait_until(lambda: lines_of(short, "everything is served"))
    said = lines_of(short, "memory:")
    assert len(said) == 2, said
    assert short.counter("connections_shed") == 1
    assert short.failures("overloaded") == 10


def test_nobody_is_accepted_while_memory_is_out(short: Scene) -> None:
    """From 95 % on clients wait in the queue, and are served when there is memory."""
    use(short, 0.97)
    level(short, 2)
    waiting = [short.client().send(request(target=b"/turn/1")) for _ in range(20)]
    threading.Event().wait(0.3)
    assert short.counter("connections_accepted") == short.counter("connections_now") == 0
    short.gateway.use(0)
    for client in waiting:
        with client:
            assert client.answer().status == 200
    assert short.counter("accept_pauses") == 1


def test_idle_connections_cost_little() -> None:
    """A connection that has carried a request and waits for the next takes at most 12 KiB."""
    number = 2000
    with staged(keepalive_idle=600.0) as scene:
        scene.instance.responds(lambda _: (ok(b"x" * 100),))
        for _ in range(100):
            assert scene.ask(request()).status == 200
        before = scene.gateway.ask()["rss"]
        clients = [scene.client() for _ in range(number)]
        for client in clients:
            assert client.send(request(b"Cookie: a=b; c=d")).answer().status == 200
        grown = scene.gateway.ask()["rss"] - before
        assert scene.counter("connections_now") == number
        for client in clients:
            client.close()
    assert grown <= number * 12 * 1024, grown / number


def test_idle_tls_connections_cost_little(tmp_path: Path) -> None:
    """One over TLS takes at most 16 KiB, also when it has carried large bodies both ways."""
    number, large = 300, 200_000
    with running_bulk(directory=tmp_path, keepalive_idle=600.0) as bulk:
        for _ in range(50):
            assert bulk.exchange("down", "length", large) == large
            assert bulk.exchange("up", "length", large) == large
        before = bulk.gateway.ask()["rss"]
        clients = [bulk.connect() for _ in range(number)]
        for client in clients:
            client.download(large)
            assert client.downloaded() == large
            client.upload(large)
            assert client.uploaded() == large
        grown = bulk.gateway.ask()["rss"] - before
        assert bulk.counter("connections_now") == number
        for client in clients:
            client.close()
    assert grown <= number * 16 * 1024, grown / number


def test_memory_of_clients_that_have_left_is_memory_again(short: Scene) -> None:
    """What beginnings of heads have taken does not count any more when their clients are gone."""
    beginning = request(*[b"X%d: %b" % (turn, b"y" * 3000) for turn in range(10)])[:-2]
    clients: list[Client] = []
    # At once, it may have been enough again: memory is looked at every half second.
    is_short = False
    while not is_short and len(clients) < 10_000:
        clients += [short.client().send(beginning) for _ in range(200)]
        is_short = short.counter("overload_now") > 0
    assert is_short, short.gateway.ask()["rss"]
    # Here and there one stays, and what lies beside it with it.
    for client in [one for turn, one in enumerate(clients) if turn % 50]:
        client.close()
    level(short, 0)
    assert short.counter("connections_now") > 0
    assert short.gateway.ask()["rss"] < 0.8 * MEMORY
    short.serves_others()
    for client in clients:
        client.close()


# Descriptors

POOLS = 40
DESCRIPTORS = 300


def pools(address: str) -> list[Entity]:
    """Routes to services of their own, which one instance serves."""
    return [
        one
        for name in (f"p{number}" for number in range(POOLS))
        for one in (
            route(name, f"/{name}", service_id=name),
            service(name),
            instance(name, service_id=name, address=address),
        )
    ]


def test_idle_connections_to_instances_make_room() -> None:
    """Whoever a client is let in for finds a descriptor for the way to its instance, too."""
    one = RecordingInstance()
    with (
        running_instance(one.serve) as address,
        staged(
            *pools(address),
            descriptors=DESCRIPTORS,
            max_connections=1000,
            upstream_idle_timeout=60.0,
        ) as small,
    ):
        cap = (DESCRIPTORS - 256) // 2
        for number in range(POOLS):
            assert small.ask(request(target=b"/p%d" % number)).status == 200
        wait_until(lambda: small.counter("upstream_connections_now") <= cap)
        assert small.counter("upstream_connections_now") == cap  # no more are closed than need be
        goes_on = threading.Event()
        for _ in range(cap):
            one.answers(goes_on, ok(b"x"))
        clients = connected(small, cap)
        with small.client() as one_too_many:
            assert one_too_many.answer().code == "connection_limit"
        for number, client in enumerate(clients):
            client.send(request(target=b"/p%d" % number))
        wait_until(lambda: small.counter("in_flight_now") == cap)
        wait_until(lambda: small.counter("upstream_connections_now") <= cap)
        goes_on.set()
        for client in clients:
            with client:
                assert client.answer().status == 200
        assert len(small.gateway.descriptors()) <= DESCRIPTORS


@pytest.fixture
def narrow() -> Iterator[Scene]:
    """A scene whose descriptors can be taken from it; then it can't be asked anything, either."""
    with staged() as scene:
        scene.serves_others()
        wait_until(lambda: scene.counter("connections_now") == 0)
        yield scene


def lines_of_refusals(scene: Scene) -> list[str]:
    return lines_of(scene, "can't be accepted")


def test_clients_without_a_descriptor_are_told(narrow: Scene) -> None:
    """When none is left, clients are 503, at little cost; when there are some, they are served."""
    narrow.gateway.limit_descriptors(narrow.gateway.descriptors()[-1] + 3)
    clients = [narrow.client() for _ in range(50)]
    for client in clients[10:]:
        answer = client.answer()
        assert (answer.status, answer.code) == (503, "connection_limit")
        assert client.ends()
    spent = narrow.gateway.cpu_seconds
    threading.Event().wait(1)
    assert narrow.gateway.cpu_seconds - spent <= 0.1
    narrow.gateway.limit_descriptors(1000)
    for client in clients:
        client.close()
    narrow.serves_others()
    assert len(wait_until(lambda: lines_of_refusals(narrow))) == 1
    assert narrow.counter("descriptors_short") >= 40
    assert narrow.counter("connections_refused") >= 40


def test_worker_without_any_descriptor_does_not_spin(narrow: Scene) -> None:
    """When not even one can be lent, clients wait; the reactor does not ask again and again."""
    narrow.gateway.limit_descriptors(narrow.gateway.descriptors()[0] + 1)
    clients = [narrow.client().send(request()) for _ in range(10)]
    wait_until(lambda: lines_of_refusals(narrow))
    spent = narrow.gateway.cpu_seconds
    threading.Event().wait(1)
    assert narrow.gateway.cpu_seconds - spent <= 0.1
    narrow.gateway.limit_descriptors(1000)
    for client in clients:
        with client:
            assert client.answer().status == 200
    assert len(lines_of_refusals(narrow)) == 1
    assert narrow.counter("connections_refused") == 0
