"""What each process has imported by the time it starts: seconds and megabytes per worker."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("pydantic", "psycopg2", "klein", "treq", "alembic", "werkzeug", "jwt", "yaml", "rich")

_WORKER = """
from fengling_gateway.dataplane import lean_epoll
lean_epoll.install()
import fengling_gateway.tap.worker
import fengling_gateway.worker.agent, fengling_gateway.worker.handoff
import fengling_gateway.dataplane.plane, fengling_gateway.control.socket_channel
import fengling_gateway.observability.log
import fengling_gateway.syncbus.redis, fengling_gateway.syncbus.signing
parts = fengling_gateway.tap.worker.Parts(reactor=None, rng=None)
parts.applier()
"""
_SUPERVISOR = """
import fengling_gateway.tap.foreground, fengling_gateway.tap.assembly
import fengling_gateway.configsource.postgres, fengling_gateway.syncbus.redis
import fengling_gateway.configsource.last_known_good
"""
_TELL = "import sys; print(*(name for name in {names!r} if name in sys.modules))"


def imported(code: str, names: tuple[str, ...]) -> set[str]:
    """Run code in a new interpreter; return which of the modules it has loaded."""
    program = code + _TELL.format(names=names)
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(answer.stdout.split())


def test_a_worker_imports_nothing_heavy() -> None:
    """Neither validation nor the database's driver nor the management API is its business."""
    assert imported(_WORKER, HEAVY) == set()


def test_workers_are_started_before_the_management_api_is_imported() -> None:
    """Else its imports would come before theirs instead of beside them."""
    names = ("klein", "werkzeug", "jwt", "fengling_gateway.management.listener")
    assert imported(_SUPERVISOR, names) == set()
