"""The quickstart as a test: does a change in SQL reach every worker while requests flow?"""

from __future__ import annotations

import time
from typing import Final

import psycopg2

from fengling_gateway.quickstart.load import Answer, Load, shares
from fengling_gateway.quickstart.narrative import served
from fengling_gateway.quickstart.screen import Screen
from fengling_gateway.quickstart.stack import Stack
from fengling_gateway.quickstart.watch import connect, read_revisions, read_status

_WAIT_SECONDS: Final = 20.0
_ENOUGH_ANSWERS: Final = 40

SPLIT: Final = """
BEGIN;
SELECT fengling.describe('half of hello to v2');
UPDATE fengling.route SET split = '{"hello-v1": 50, "hello-v2": 50}' WHERE id = 'hello';
COMMIT;
"""


class SmokeError(Exception):
    """Something was not as it should be."""


def run_smoke(stack: Stack, screen: Screen, load: Load) -> None:
    """
    Send requests, change a route, and see every worker serve the change.

    Raises:
        SmokeError: it says what was seen instead.
    """
    load.start()
    try:
        answers = _until(load, lambda seen: _everybody(stack, seen, {"hello-v1"}))
        screen.say("good", f"before: {_described(answers)}")
        screen.say("good", _change(stack))
        load.tally.forget_recent()
        answers = _until(load, lambda seen: _everybody(stack, seen, {"hello-v1", "hello-v2"}))
        screen.say("good", f"after: {_described(answers)}")
    finally:
        load.stop()
    tally = load.tally
    if tally.failed:
        raise SmokeError(
            f"{tally.failed} of {tally.requests} requests failed: {tally.last_failure}"
        )
    screen.say("good", f"{tally.requests:,} requests · 0 failed")


def _everybody(stack: Stack, answers: list[Answer], services: set[str]) -> str:
    """Return what is still missing until every worker has answered by just these services."""
    hello = [answer for answer in answers if answer.service.startswith("hello-")]
    if len(hello) < _ENOUGH_ANSWERS:
        return f"{len(hello)} answers"
    by_worker: dict[str, set[str]] = {}
    for answer in hello:
        by_worker.setdefault(answer.worker, set()).add(answer.service)
    if len(by_worker) < stack.workers or "" in by_worker:
        return f"answers by {len(by_worker)} of {stack.workers} workers ({sorted(by_worker)})"
    wrong = {name: found for name, found in by_worker.items() if found != services}
    return f"worker {min(wrong)} sends to {sorted(wrong[min(wrong)])}" if wrong else ""


def _until(load: Load, missing: object) -> list[Answer]:
    import threading

    assert callable(missing)
    pause = threading.Event()
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        answers = load.tally.recent()
        lacks = missing(answers)
        if not lacks:
            return answers
        if time.monotonic() > deadline:
            last = f"; last failure: {load.tally.last_failure}" if load.tally.failed else ""
            raise SmokeError(f"after {_WAIT_SECONDS:g} s only {lacks}{last}")
        pause.wait(0.1)


def _described(answers: list[Answer]) -> str:
    workers = {answer.worker for answer in answers if answer.worker}
    parts = [f"{name} {share:.0%}" for name, share in shares(answers, "hello-").items()]
    return f"/hello is answered by {', '.join(parts)}, through {len(workers)} workers"


def _change(stack: Stack) -> str:
    """Change the route as somebody with psql would, and return how that went."""
    import threading

    stack.postgres.psql(SPLIT, dsn=stack.database())
    connection = connect(stack.database())
    try:
        with connection.cursor() as cursor:
            revision = list(read_revisions(cursor, stack.demo_revision))[-1]
    except (psycopg2.Error, IndexError) as error:
        raise SmokeError(f"the change made no revision: {error}") from error
    finally:
        connection.close()
    pause = threading.Event()
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        end = served(read_status(stack.management_url, stack.token), revision)
        if end is not None:
            return f"revision {revision.id}: {end}"
        pause.wait(0.02)
    raise SmokeError(f"revision {revision.id} is not served by every worker")
